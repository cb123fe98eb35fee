// The two ways an error reaches a client (behaviour §2.1).
#include "actors/gateway/api_error.hpp"

namespace swarm::gateway {

namespace {

struct grpc {
  int status;
  const char* name;
};

grpc grpc_of(errc code) {
  switch (code) {
    case errc::invalid_argument: return {400, "InvalidArgument"};
    case errc::failed_precondition: return {400, "FailedPrecondition"};
    case errc::not_found: return {404, "NotFound"};
    case errc::already_exists: return {409, "AlreadyExists"};
    case errc::conflict: return {409, "AlreadyExists"};
    case errc::permission_denied: return {403, "PermissionDenied"};
    case errc::unimplemented: return {501, "Unimplemented"};
    case errc::unavailable: return {503, "Unavailable"};
    case errc::resource_exhausted: return {500, "ResourceExhausted"};
    case errc::deadline_exceeded: return {500, "DeadlineExceeded"};
    default: return {500, "Unknown"};
  }
}

} // namespace

api_error from_manager(const failure& f) {
  const auto [status, name] = grpc_of(f.code);
  if (f.code == errc::not_found || f.code == errc::conflict)
    return {status, f.message};
  return {status, std::string{"rpc error: code = "} + name + " desc = " + f.message};
}

api_error from_daemon(const failure& f) { return {grpc_of(f.code).status, f.message}; }

} // namespace swarm::gateway
