// One ReadTree becomes one ReadStatus per actor; the answer leaves when all have answered or run out of time.
#include "actors/introspect/introspect_actor.hpp"

namespace swarm::introspect {

namespace {

using self_ptr = observed_ptr<introspect_actor, introspect_state>;

struct gathering {
  SupervisionTree tree;
  std::size_t waiting = 0;
  caf::typed_response_promise<SupervisionTree> promise;
};

void done_one(const std::shared_ptr<gathering>& g) {
  if (--g->waiting == 0)
    g->promise.deliver(g->tree);
}

} // namespace

introspect_actor::behavior_type introspect_actor_behavior(self_ptr self, std::string host) {
  self->state.host = std::move(host);
  return {
    [self](const ReadTree& request) -> caf::result<SupervisionTree> {
      auto g = std::make_shared<gathering>();
      g->tree.set_host(self->state.host);
      g->tree.set_at(actor_registry::wall_now_ns());
      g->promise = self->make_response_promise<SupervisionTree>();
      auto entries = actor_registry::list(self->system(), request.under());
      g->waiting = 1;
      ReadStatus question;
      question.set_full(!request.under().empty());
      for (std::size_t i = 0; i < entries.size(); ++i) {
        *g->tree.add_actors() = entries[i].status;
        auto actor = caf::actor_cast<caf::actor>(entries[i].address);
        if (!actor || actor.id() == self->id() || i >= asked_actors_max)
          continue;
        ++g->waiting;
        self->request(actor, answer_deadline, question)
          .then(
            [g, i](const ActorStatus& status) {
              auto& slot = *g->tree.mutable_actors(static_cast<int>(i));
              const auto label = slot.label();
              slot = status;
              slot.set_label(label);
              done_one(g);
            },
            [g](const caf::error&) {
              g->tree.set_partial(true);
              done_one(g);
            });
      }
      done_one(g);
      return g->promise;
    },
    [self](const ReadStatus& request) { return self->base_status(request); },
  };
}

} // namespace swarm::introspect
