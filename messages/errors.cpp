// Names and classes of the error codes.
#include "messages/errors.hpp"

namespace swarm {

error_class classify(errc code) {
  switch (code) {
    case errc::unavailable:
    case errc::resource_exhausted: return error_class::temporary;
    case errc::deadline_exceeded:
    case errc::commit_unknown: return error_class::unknown;
    default: return error_class::refused;
  }
}

std::string_view to_string(errc code) {
  switch (code) {
    case errc::ok: return "ok";
    case errc::invalid_argument: return "invalid_argument";
    case errc::not_found: return "not_found";
    case errc::already_exists: return "already_exists";
    case errc::out_of_sequence: return "out_of_sequence";
    case errc::failed_precondition: return "failed_precondition";
    case errc::permission_denied: return "permission_denied";
    case errc::unimplemented: return "unimplemented";
    case errc::not_leader: return "not_leader";
    case errc::unavailable: return "unavailable";
    case errc::resource_exhausted: return "resource_exhausted";
    case errc::deadline_exceeded: return "deadline_exceeded";
    case errc::commit_unknown: return "commit_unknown";
    case errc::internal: return "internal";
    case errc::conflict: return "conflict";
    case errc::no_such_image: return "no_such_image";
    case errc::storage_failed: return "storage_failed";
  }
  return "unknown";
}

} // namespace swarm
