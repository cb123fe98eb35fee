// Builds the frames of behaviour §2.8.
#include "actors/gateway/log_frames.hpp"

#include <algorithm>
#include <vector>

#include "runtime/text.hpp"

namespace swarm::gateway {

void append_frame(std::string& out, int stream, std::string_view payload) {
  const auto n = static_cast<std::uint32_t>(payload.size());
  out += static_cast<char>(stream);
  out.append(3, '\0');
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>((n >> shift) & 0xff);
  out += payload;
}

void append_line(std::string& out, const LogLine& line, const log_format& format, std::string_view node_id,
                 std::string_view service_id, std::string_view task_id) {
  std::string payload;
  if (format.timestamps)
    payload += text::rfc3339_nano_fixed(line.timestamp()) + ' ';
  if (format.details) {
    // Keys are sorted; the driver's own attributes come sorted and escaped already.
    std::vector<std::string> parts{
      "com.docker.swarm.node.id=" + std::string{node_id},
      "com.docker.swarm.service.id=" + std::string{service_id},
      "com.docker.swarm.task.id=" + std::string{task_id},
    };
    if (!line.attributes().empty())
      for (const auto part : text::split(line.attributes(), ','))
        parts.emplace_back(part);
    std::sort(parts.begin(), parts.end());
    payload += text::join(parts, ",") + ' ';
  }
  payload += line.data();
  if (format.raw)
    out += payload;
  else
    append_frame(out, static_cast<int>(line.stream()), payload);
}

} // namespace swarm::gateway
