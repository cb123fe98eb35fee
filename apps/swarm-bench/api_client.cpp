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

api_client::api_client(std::string host, int timeout_s)
    : path_{host.starts_with(scheme) ? host.substr(scheme.size()) : std::move(host)}, timeout_s_{timeout_s} {}

api_client::~api_client() { hang_up(); }

void api_client::hang_up() {
  if (fd_ >= 0)
    ::close(fd_);
  fd_ = -1;
  buffer_.clear();
}

void api_client::dial() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof address.sun_path)
    throw api_error{path_ + ": too long for a socket"};
  std::memcpy(address.sun_path, path_.data(), path_.size());
  fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit{timeout_s_, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail(path_);
}

void api_client::send_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0)
      fail("sending");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void api_client::read_more() {
  char block[65536];
  const auto n = ::recv(fd_, block, sizeof block, 0);
  if (n < 0)
    fail("receiving");
  if (n == 0)
    throw api_error{"the server closed the connection"};
  buffer_.append(block, static_cast<std::size_t>(n));
}

std::string api_client::read_chunks(std::size_t from) {
  std::string body;
  for (;;) {
    std::size_t end;
    while ((end = buffer_.find("\r\n", from)) == std::string::npos)
      read_more();
    const auto length = hexadecimal(std::string_view{buffer_}.substr(from, end - from));
    from = end + 2;
    while (buffer_.size() < from + length + 2)
      read_more();
    body.append(buffer_, from, length);
    from += length + 2;
    if (length == 0) {
      buffer_.erase(0, from);
      return body;
    }
  }
}

api_answer api_client::read_answer() {
  std::size_t end;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos)
    read_more();
  const auto head = text::to_lower(std::string_view{buffer_}.substr(0, end + 2));
  if (!head.starts_with("http/1.") || head.size() < 12)
    throw api_error{"not HTTP: " + head.substr(0, 40)};
  api_answer out;
  out.status = std::stoi(head.substr(9, 3));
  const auto begin = end + 4;
  if (header(head, "transfer-encoding") == "chunked") {
    out.body = read_chunks(begin);
  } else {
    const auto length = header(head, "content-length");
    std::size_t size = 0;
    std::from_chars(length.data(), length.data() + length.size(), size);
    while (buffer_.size() < begin + size)
      read_more();
    out.body = buffer_.substr(begin, size);
    buffer_.erase(0, begin + size);
  }
  if (header(head, "connection") == "close")
    hang_up();
  return out;
}

api_answer api_client::call(std::string_view method, std::string_view target, std::string_view body) {
  if (fd_ < 0)
    dial();
  std::string request{method};
  request += " /v1.41";
  request += target;
  request += " HTTP/1.1\r\nHost: d\r\n";
  if (!body.empty())
    request += "Content-Type: application/json\r\n";
  if (!body.empty() || method != "GET")
    request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  request += "\r\n";
  request += body;
  try {
    send_all(request);
    return read_answer();
  } catch (...) {
    hang_up();
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
