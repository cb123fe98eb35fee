// Refusals as Docker's clients know them: HTTP status and text.
#pragma once

#include <string>

#include "messages/errors.hpp"

namespace swarm::gateway {

struct api_error {
  int status = 500;
  std::string message;
};

/// What Swarm's daemon makes of an error that its manager answers over gRPC: the status of its code, and the text
/// behind "rpc error: code = X desc = ". not_found and conflict are the daemon's own and stand without a prefix.
[[nodiscard]] api_error from_manager(const failure& f);

/// An error that the daemon itself finds, before any manager is asked: the bare text.
[[nodiscard]] api_error from_daemon(const failure& f);

} // namespace swarm::gateway
