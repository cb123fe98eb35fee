// One question to one address for a node that has no certificate yet: connect, ask, take the answer, hang up.
#pragma once

#include <functional>
#include <string>

#include "messages/errors.hpp"
#include "runtime/io.hpp"

namespace swarm::link {

struct one_shot_target {
  std::string addr;                ///< IP:PORT
  /// The peer must prove to be a manager under one of these roots. "": any peer will do, and nothing that it says may be
  /// believed without another proof; ReadRootCertificate is the only question asked in that way.
  std::string root_pem;
  duration deadline = seconds{10}; ///< for everything, from connecting to the answer
};

struct one_shot_question {
  std::string to;         ///< the addressed actor of the peer, such as "ca"
  std::string type;       ///< name of the payload's message in package swarm
  std::string payload;
  std::string reply_type; ///< another one is refused
};

/// Called exactly once, on an I/O thread, with the answer's payload or with why there is none: unavailable (nobody there,
/// not a manager under the root, connection lost), deadline_exceeded, or the failure that the peer answered with.
using one_shot_done = std::function<void(failure, std::string payload)>;

/// Returns at once. Any thread. `io` must outlive the question, or be stopped first: then `done` is dropped uncalled.
void ask_once(io_threads& io, one_shot_target target, one_shot_question question, one_shot_done done);

/// The same with messages: to "ca", which is all that an outsider may address.
template <class Reply, class Request>
void ask_ca_once(io_threads& io, one_shot_target target, const Request& request, std::function<void(failure, Reply)> done) {
  one_shot_question question{"ca", Request::descriptor()->name(), request.SerializeAsString(), Reply::descriptor()->name()};
  ask_once(io, std::move(target), std::move(question), [done = std::move(done)](failure error, const std::string& payload) {
    Reply reply;
    if (error.ok() && !reply.ParseFromString(payload))
      error = {errc::unavailable, "the answer is malformed"};
    done(std::move(error), std::move(reply));
  });
}

} // namespace swarm::link
