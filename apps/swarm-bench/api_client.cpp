// Plain sockets; answers with Content-Length or in chunks.
#include "apps/swarm-bench/api_client.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "runtime/text.hpp"

namespace swarm::bench {

namespace {

constexpr std::string_view scheme = "unix://";

[[noreturn]] void fail(const std::string& what) { throw api_error{what + ": " + std::strerror(errno)}; }

std::size_t hexadecimal(std::string_view text) {
  std::size_t out = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), out, 16).ec != std::errc{})
    throw api_error{"a chunk without a length"};
  return out;
}

// The value of a header in a head whose names are lower case already.
std::string_view header(std::string_view head, std::string_view name) {
  const auto at = head.find("\r\n" + std::string{name} + ":");
  if (at == std::string_view::npos)
    return {};
  const auto begin = at + 3 + name.size();
  return text::trim(head.substr(begin, head.find("\r\n", begin) - begin));
}

std::size_t value_at(std::string_view json, std::string_view key) {
  const auto at = json.find("\"" + std::string{key} + "\":");
  return at == std::string_view::npos ? at : at + key.size() + 3;
}

} // namespace

// -- answers ----------------------------------------------------------------------------------------------------------------

std::optional<api_answer> answer_reader::take() {
  const auto end = buffer_.find("\r\n\r\n");
  if (end == std::string::npos)
    return std::nullopt;
  const auto head = text::to_lower(std::string_view{buffer_}.substr(0, end + 2));
  if (!head.starts_with("http/1.") || head.size() < 12)
    throw api_error{"not HTTP: " + head.substr(0, 40)};
  api_answer out;
  out.status = std::stoi(head.substr(9, 3));
  out.closes = header(head, "connection") == "close";
  const auto begin = end + 4;
  if (header(head, "transfer-encoding") == "chunked") {
    const auto behind = read_chunks(begin, out.body);
    if (behind == std::string::npos)
      return std::nullopt;
    buffer_.erase(0, behind);
    return out;
  }
  const auto length = header(head, "content-length");
  std::size_t size = 0;
  std::from_chars(length.data(), length.data() + length.size(), size);
  if (buffer_.size() < begin + size)
    return std::nullopt;
  out.body = buffer_.substr(begin, size);
  buffer_.erase(0, begin + size);
  return out;
}

// Where the answer ends, or npos while a part of it is missing.
std::size_t answer_reader::read_chunks(std::size_t from, std::string& body) const {
  for (;;) {
    const auto end = buffer_.find("\r\n", from);
    if (end == std::string::npos)
      return end;
    const auto length = hexadecimal(std::string_view{buffer_}.substr(from, end - from));
    from = end + 2;
    if (buffer_.size() < from + length + 2)
      return std::string::npos;
    body.append(buffer_, from, length);
    from += length + 2;
    if (length == 0)
      return from;
  }
}

std::string request_text(std::string_view method, std::string_view target, std::string_view body) {
  std::string out{method};
  out += " /v1.41";
  out += target;
  out += " HTTP/1.1\r\nHost: d\r\n";
  if (!body.empty())
    out += "Content-Type: application/json\r\n";
  if (!body.empty() || method != "GET")
    out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  out += "\r\n";
  out += body;
  return out;
}

// -- sockets ----------------------------------------------------------------------------------------------------------------

connection::connection(const std::string& host, int timeout_s) {
  const auto path = host.starts_with(scheme) ? host.substr(scheme.size()) : host;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    throw api_error{path + ": too long for a socket"};
  std::memcpy(address.sun_path, path.data(), path.size());
  fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit{timeout_s, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int why = errno;
    ::close(fd_);
    throw api_error{path + ": " + std::strerror(why)};
  }
}

connection::~connection() { ::close(fd_); }

void connection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0)
      fail("sending");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void connection::receive(answer_reader& into) {
  char block[65536];
  const auto n = ::recv(fd_, block, sizeof block, 0);
  if (n < 0)
    fail("receiving");
  if (n == 0)
    throw api_error{"the server closed the connection"};
  into.feed({block, static_cast<std::size_t>(n)});
}

api_client::api_client(std::string host, int timeout_s) : host_{std::move(host)}, timeout_s_{timeout_s} {}

api_answer api_client::call(std::string_view method, std::string_view target, std::string_view body) {
  try {
    if (!to_) {
      to_.emplace(host_, timeout_s_);
      in_ = {};
    }
    to_->send(request_text(method, target, body));
    auto answer = in_.take();
    for (; !answer; answer = in_.take())
      to_->receive(in_);
    if (answer->closes)
      to_.reset();
    return std::move(*answer);
  } catch (...) {
    to_.reset();
    throw;
  }
}

std::string api_client::must(std::string_view method, std::string_view target, std::string_view body) {
  auto answer = call(method, target, body);
  if (!answer.ok())
    throw api_error{std::string{method} + " " + std::string{target} + " -> " + std::to_string(answer.status) + " " +
                    answer.body.substr(0, 200)};
  return std::move(answer.body);
}

std::string text_of(std::string_view json, std::string_view key) {
  auto at = value_at(json, key);
  if (at == std::string_view::npos)
    return {};
  at = json.find('"', at);
  return at == std::string_view::npos ? "" : std::string{json.substr(at + 1, json.find('"', at + 1) - at - 1)};
}

double number_of(std::string_view json, std::string_view key) {
  const auto at = value_at(json, key);
  if (at == std::string_view::npos)
    return -1;
  double out = -1;
  const auto text = text::trim(json.substr(at, 32));
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

} // namespace swarm::bench
