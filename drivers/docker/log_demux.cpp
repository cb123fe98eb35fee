// Takes the engine's log stream apart, see the header.
#include "drivers/docker/log_demux.hpp"

#include "runtime/text.hpp"

namespace swarm::docker {
namespace {

constexpr std::size_t header_bytes = 8;
constexpr std::uint32_t system_error_stream = 3;

} // namespace

LogLine log_demux::line_of(std::uint32_t stream, std::string_view payload) const {
  LogLine line;
  line.set_stream(stream == 2 ? 2 : 1);
  const auto first = payload.find(' ');
  const auto time = first == std::string_view::npos ? std::nullopt : text::parse_rfc3339(payload.substr(0, first));
  if (!time) {
    line.set_data(std::string{payload});
    return line;
  }
  line.set_timestamp(*time);
  payload.remove_prefix(first + 1);
  if (const auto second = payload.find(' '); second != std::string_view::npos) {
    line.set_attributes(std::string{payload.substr(0, second)});
    payload.remove_prefix(second + 1);
  }
  line.set_data(std::string{payload});
  return line;
}

void log_demux::feed(std::string_view bytes, std::vector<LogLine>& out) {
  if (broken_)
    return;
  buffer_.append(bytes);
  if (tty_)
    feed_raw(out);
  else
    feed_frames(out);
}

void log_demux::feed_frames(std::vector<LogLine>& out) {
  std::string_view rest{buffer_};
  while (rest.size() >= header_bytes) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(rest[i])); };
    const auto stream = byte(0);
    const auto length = std::size_t{byte(4)} << 24 | byte(5) << 16 | byte(6) << 8 | byte(7);
    if (stream > system_error_stream || byte(1) != 0 || byte(2) != 0 || byte(3) != 0 || length > frame_bytes_max) {
      error_ = "the engine's log stream is broken";
      broken_ = true;
      rest = {};
      break;
    }
    if (rest.size() < header_bytes + length)
      break;
    const auto payload = rest.substr(header_bytes, length);
    if (stream == system_error_stream)
      error_ = std::string{text::trim(payload)};
    else
      out.push_back(line_of(stream, payload));
    rest.remove_prefix(header_bytes + length);
  }
  buffer_.erase(0, buffer_.size() - rest.size());
}

void log_demux::feed_raw(std::vector<LogLine>& out) {
  std::string_view rest{buffer_};
  for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    out.push_back(line_of(1, rest.substr(0, end + 1)));
    rest.remove_prefix(end + 1);
  }
  if (rest.size() > raw_line_bytes_max) {
    out.push_back(line_of(1, rest));
    rest = {};
  }
  buffer_.erase(0, buffer_.size() - rest.size());
}

void log_demux::finish(std::vector<LogLine>& out) {
  if (tty_ && !buffer_.empty() && !broken_)
    out.push_back(line_of(1, buffer_));
  buffer_.clear();
}

} // namespace swarm::docker
