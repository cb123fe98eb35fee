// HTTP/1.1 to a server on a unix socket: requests, answers, and a client that waits for them.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace swarm::bench {

/// The server could not be reached, closed, or did not speak HTTP.
struct api_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct api_answer {
  int status = 0;
  bool closes = false; ///< the server ends the connection behind it
  std::string body;
  [[nodiscard]] bool ok() const { return status >= 200 && status < 400; }
};

/// Collects what a connection gives until an answer is whole.
class answer_reader {
public:
  void feed(std::string_view bytes) { buffer_ += bytes; }
  /// The next answer, or nothing while a part of it is missing. Throws api_error for what is not HTTP.
  [[nodiscard]] std::optional<api_answer> take();

private:
  [[nodiscard]] std::size_t read_chunks(std::size_t from, std::string& body) const;

  std::string buffer_;
};

/// `target` without the version, which is API 1.41: every server compared here has it.
[[nodiscard]] std::string request_text(std::string_view method, std::string_view target, std::string_view body);

/// A unix socket. Everything throws api_error.
class connection {
public:
  /// `host` is unix:///PATH or a path. What takes longer than `timeout_s` fails.
  connection(const std::string& host, int timeout_s);
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  void send(std::string_view bytes);
  /// Waits for at least one byte.
  void receive(answer_reader& into);
  [[nodiscard]] int fd() const { return fd_; }

private:
  int fd_ = -1;
};

/// Blocks; one kept connection. Not thread-safe: one per thread.
class api_client {
public:
  explicit api_client(std::string host, int timeout_s = 600);

  /// Throws api_error.
  api_answer call(std::string_view method, std::string_view target, std::string_view body = {});
  /// The same, but a refusal throws, too.
  std::string must(std::string_view method, std::string_view target, std::string_view body = {});

private:
  std::string host_;
  int timeout_s_;
  std::optional<connection> to_;
  answer_reader in_;
};

/// The text of "KEY":"…" (its first occurrence), or "".
[[nodiscard]] std::string text_of(std::string_view json, std::string_view key);
/// The number of "KEY":N (its first occurrence), or -1.
[[nodiscard]] double number_of(std::string_view json, std::string_view key);

} // namespace swarm::bench
