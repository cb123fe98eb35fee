// The way of Raft's messages: no question waits there, and no other actor is between.
#include "actors/links/proxy_actor.hpp"

namespace swarm::links {

raft_carrier::behavior_type carry_raft(observed_ptr<raft_carrier, raft_peers_state> self, std::shared_ptr<link::directory> directory) {
  self->state.directory = std::move(directory);
  return {
    [self](const RaftMessage& message) {
      auto& st = self->state;
      const auto link = st.directory->find_number(message.to());
      if (!link) {
        ++st.lost;
        return;
      }
      Envelope envelope;
      envelope.set_to("raft");
      envelope.set_type("RaftMessage");
      envelope.set_payload(message.SerializeAsString());
      if (link->connection->send(static_cast<link::priority>(urgency_of(message)), envelope) != link::sent::queued)
        ++st.lost;
    },
    [self](const ReadStatus& request) {
      auto status = self->base_status(request);
      (*status.mutable_facts())["lost"] = std::to_string(self->state.lost);
      return status;
    },
  };
}

} // namespace swarm::links
