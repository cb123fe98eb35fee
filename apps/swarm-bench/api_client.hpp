// A blocking HTTP/1.1 client on a unix socket with one kept connection: the cheapest load that a thread can make.
#pragma once

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
  std::string body;
  [[nodiscard]] bool ok() const { return status >= 200 && status < 400; }
};

/// Not thread-safe: one per thread.
class api_client {
public:
  /// `host` is unix:///PATH or a path. A call that takes longer than `timeout_s` fails.
  explicit api_client(std::string host, int timeout_s = 600);
  ~api_client();
  api_client(const api_client&) = delete;
  api_client& operator=(const api_client&) = delete;

  /// `target` without the version, which is API 1.41: every server compared here has it. Throws api_error.
  api_answer call(std::string_view method, std::string_view target, std::string_view body = {});
  /// The same, but a refusal throws, too.
  std::string must(std::string_view method, std::string_view target, std::string_view body = {});

private:
  void dial();
  void hang_up();
  void send_all(std::string_view bytes);
  void read_more();
  [[nodiscard]] api_answer read_answer();
  [[nodiscard]] std::string read_chunks(std::size_t from);

  std::string path_;
  int timeout_s_;
  int fd_ = -1;
  std::string buffer_;
};

/// The text of "KEY":"…" (its first occurrence), or "".
[[nodiscard]] std::string text_of(std::string_view json, std::string_view key);
/// The number of "KEY":N (its first occurrence), or -1.
[[nodiscard]] double number_of(std::string_view json, std::string_view key);

} // namespace swarm::bench
