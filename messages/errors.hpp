// The one list of error codes: what went wrong, and what a caller may do about it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace swarm {

/// Values are stored in the log (CommandResult.code): append only. The class of a code decides the reaction:
///  refused   nothing happened, tell the caller        temporary  nothing happened, retry with back-off
///  unknown   it may have happened: read back first
enum class errc : std::uint8_t {
  ok = 0,
  invalid_argument = 1,     ///< refused: the request itself is wrong (400)
  not_found = 2,            ///< refused: no such object (404)
  already_exists = 3,       ///< refused: name or id taken (409)
  out_of_sequence = 4,      ///< refused: expected_version is not the stored one (500 in Swarm)
  failed_precondition = 5,  ///< refused: the state does not allow it, e.g. in use (400)
  permission_denied = 6,    ///< refused (403)
  unimplemented = 7,        ///< refused (501)
  not_leader = 8,           ///< refused: this node does not lead; the text names who does
  unavailable = 9,          ///< temporary: not ready, no leader, engine away (503)
  resource_exhausted = 10,  ///< temporary: a queue or table is full; the text says which bound
  deadline_exceeded = 11,   ///< unknown: no answer in time (500)
  commit_unknown = 12,      ///< unknown: leadership was lost while the entry was in flight
  internal = 13,            ///< refused: a plain Go error in Swarm's terms (500, "Unknown")
  conflict = 14,            ///< refused: the driver found another owner, or 409 without a gRPC prefix
  no_such_image = 15,       ///< refused: the driver cannot get the image
  storage_failed = 16,      ///< impossible to go on: the node stops
};

enum class error_class : std::uint8_t { refused, temporary, unknown };

[[nodiscard]] error_class classify(errc code);
[[nodiscard]] std::string_view to_string(errc code);

/// An error with its text, as it travels between cores. `ok()` when code is errc::ok.
struct failure {
  errc code = errc::ok;
  std::string message;
  [[nodiscard]] bool ok() const { return code == errc::ok; }
  bool operator==(const failure&) const = default;
};

} // namespace swarm
