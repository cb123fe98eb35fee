// RAFT and STORE in one for shell tests: every Command is applied to a real store at once, and all subscribers hear of it
// before the proposer does.
#pragma once

#include <memory>
#include <vector>

#include "actors/store/store_core.hpp"
#include "messages/interfaces.hpp"

namespace swarm::test {

struct committed_state {
  store::core store;
  std::uint64_t index = 0;
  failure refuse; ///< when not ok: every Command is answered with it, nothing is applied
  std::vector<Command> commands;
  bool keep_commands = true;
  std::vector<caf::actor> subscribers;

  CommandResult commit(const Command& command) {
    if (keep_commands)
      commands.push_back(command);
    auto done = store.apply(++index, command);
    const auto shared = caf::make_message(std::move(done.events));
    for (const auto& subscriber : subscribers)
      caf::anon_send(subscriber, shared);
    return done.result;
  }
};

inline raft_actor::behavior_type committing_raft(raft_actor::pointer, std::shared_ptr<committed_state> state) {
  return {
    [state](const Command& command) -> caf::result<CommandResult> {
      if (!state->refuse.ok())
        return to_error(state->refuse);
      return state->commit(command);
    },
    [](const ReadIndex&) { return ReadIndexReached{}; },
    [](const RaftMessage&) {},
    [](const LinkChanged&) {},
    [](const TransferLeadership&) { return LeadershipTransferred{}; },
    [](const ChangeMembership&) { return MembershipCommitted{}; },
    [](const ReadMembership&) { return MembershipRead{}; },
    [](tick_atom) {},
    [](const ReadStatus&) { return ActorStatus{}; },
  };
}

/// The same state, to subscribe to and to read. With real threads it must run on the same actor as the Commands; under
/// the test coordinator there is only one thread.
inline store_actor::behavior_type committed_store(store_actor::pointer, std::shared_ptr<committed_state> state) {
  return {
    [](const ApplyEntries&) { return EntriesApplied{}; },
    [](const ReloadState&) { return EntriesApplied{}; },
    [state](const ReadObjects& request) -> caf::result<ObjectsRead> {
      ObjectsRead answer;
      if (const auto bad = state->store.read(request, answer); !bad.ok())
        return to_error(bad);
      return answer;
    },
    [state](subscribe_atom, const store_subscriber& subscriber) {
      state->subscribers.push_back(caf::actor_cast<caf::actor>(subscriber));
      return state->store.snapshot();
    },
    [](const ReadStatus&) { return ActorStatus{}; },
  };
}

} // namespace swarm::test
