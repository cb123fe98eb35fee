// Log lines as the Engine API streams them: stdcopy frames, timestamps, details.
#pragma once

#include <string>
#include <string_view>

#include "messages/driver.pb.h"

namespace swarm::gateway {

struct log_format {
  bool timestamps = false;
  bool details = false;   ///< node, service and task ids and the log driver's own, before the line
  bool raw = false;       ///< a terminal's bytes: no frames
};

/// [stream, 0, 0, 0, big-endian length] + payload; stream 1 stdout, 2 stderr, 3 an error of the system itself.
void append_frame(std::string& out, int stream, std::string_view payload);

/// One line of a task, ready to send.
void append_line(std::string& out, const LogLine& line, const log_format& format, std::string_view node_id,
                 std::string_view service_id, std::string_view task_id);

} // namespace swarm::gateway
