// Questions to the I/O threads; the answer comes back as a message, so that promises are kept inside their own actor.
#include "actors/links/outsider_actor.hpp"

#include "runtime/link/one_shot.hpp"

namespace swarm::links {

namespace {

/// Not a bare caf::error: CAF ends an actor that gets one as a message.
struct question_failed {
  failure why;
};

} // namespace
} // namespace swarm::links

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::links::question_failed)

namespace swarm::links {
namespace {

using self_ptr = observed_ptr<outsider_actor, outsider_state>;

/// What one question waits for: the I/O thread answers it through an actor of its own.
template <class Reply>
using waiting_actor = caf::typed_actor<caf::replies_to<tick_atom>::with<Reply>, caf::reacts_to<Reply>, caf::reacts_to<question_failed>>;

template <class Reply>
struct waiting_state {
  static inline const char* name = "outsider_question";
  caf::typed_response_promise<Reply> promise;
};

template <class Reply>
typename waiting_actor<Reply>::behavior_type wait_for(observed_ptr<waiting_actor<Reply>, waiting_state<Reply>> self) {
  return {
    [self](tick_atom) {
      self->state.promise = self->template make_response_promise<Reply>();
      return self->state.promise;
    },
    [self](Reply& reply) {
      self->state.promise.deliver(std::move(reply));
      self->quit();
    },
    [self](const question_failed& question) {
      self->state.promise.deliver(to_error(question.why));
      self->quit();
    },
  };
}

template <class Reply, class Request>
caf::result<Reply> ask(self_ptr self, io_threads& io, link::one_shot_target target, const Request& request) {
  ++self->state.questions;
  const auto waiting = self->spawn(wait_for<Reply>);
  // The promise must be there before the answer: both are messages to `waiting`, and this one is sent first.
  auto answer = self->delegate(waiting, tick_atom_v);
  link::ask_ca_once<Reply>(io, std::move(target), request, [waiting](const failure& error, Reply reply) {
    if (error.ok())
      caf::anon_send(waiting, std::move(reply));
    else
      caf::anon_send(waiting, question_failed{error});
  });
  return answer;
}

} // namespace

outsider_actor::behavior_type ask_as_outsider(self_ptr self, io_threads* io, std::chrono::milliseconds deadline) {
  return {
    [self, io, deadline](const std::string& addr, const ReadRootCertificate& request) {
      return ask<RootCertificate>(self, *io, {addr, "", deadline}, request);
    },
    [self, io, deadline](const std::string& addr, const std::string& root_pem, const IssueNodeCertificate& request) {
      if (root_pem.empty())
        return caf::result<NodeCertificateIssued>{to_error({errc::invalid_argument, "a join token goes to nobody who has not proved itself"})};
      return ask<NodeCertificateIssued>(self, *io, {addr, root_pem, deadline}, request);
    },
  };
}

} // namespace swarm::links
