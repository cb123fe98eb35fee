// RAFT and STORE for shell tests: RAFT answers as it is told, STORE answers subscriptions and reads.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "messages/interfaces.hpp"

namespace swarm::test {

struct fake_log {
  std::vector<Command> proposed;
  std::uint64_t last_index = 0;
  failure answer;      ///< when not ok: every proposal and read index is answered with it
  bool silent = false; ///< when set: nothing is answered
  /// What "applying" says; without it every Command succeeds.
  std::function<CommandResult(const Command&)> apply;
};

inline raft_actor::behavior_type fake_raft(raft_actor::pointer self, std::shared_ptr<fake_log> log) {
  return {
    [=](const Command& command) {
      auto promise = self->make_response_promise<CommandResult>();
      log->proposed.push_back(command);
      if (log->silent)
        return promise;
      if (!log->answer.ok()) {
        promise.deliver(to_error(log->answer));
        return promise;
      }
      auto result = log->apply ? log->apply(command) : CommandResult{};
      result.set_log_index(++log->last_index);
      promise.deliver(std::move(result));
      return promise;
    },
    [=](const ReadIndex&) {
      auto promise = self->make_response_promise<ReadIndexReached>();
      if (log->silent)
        return promise;
      if (!log->answer.ok()) {
        promise.deliver(to_error(log->answer));
        return promise;
      }
      ReadIndexReached reached;
      reached.set_read_index(log->last_index);
      promise.deliver(reached);
      return promise;
    },
    [](const RaftMessage&) {},
    [](const LinkChanged&) {},
    [](const TransferLeadership&) { return LeadershipTransferred{}; },
    [](const ChangeMembership&) { return MembershipCommitted{}; },
    [](const ReadMembership&) { return MembershipRead{}; },
    [](tick_atom) {},
    [](const ReadStatus&) { return ActorStatus{}; },
  };
}

struct fake_state {
  StoreSnapshot snapshot;
  ObjectsRead objects;
  failure answer;      ///< of reads and subscriptions, when not ok
  bool silent = false; ///< subscriptions stay without an answer
  std::vector<store_subscriber> subscribers;
  std::size_t reads = 0;

  void tell(const EventBatch& batch) {
    for (const auto& subscriber : subscribers)
      caf::anon_send(subscriber, batch);
  }
};

inline store_actor::behavior_type fake_store(store_actor::pointer self, std::shared_ptr<fake_state> state) {
  return {
    [](const ApplyEntries&) { return EntriesApplied{}; },
    [](const ReloadState&) { return EntriesApplied{}; },
    [state](const ReadObjects&) -> caf::result<ObjectsRead> {
      ++state->reads;
      if (!state->answer.ok())
        return to_error(state->answer);
      return state->objects;
    },
    [=](subscribe_atom, const store_subscriber& subscriber) {
      auto promise = self->make_response_promise<StoreSnapshot>();
      state->subscribers.push_back(subscriber);
      if (state->silent)
        return promise;
      if (state->answer.ok())
        promise.deliver(state->snapshot);
      else
        promise.deliver(to_error(state->answer));
      return promise;
    },
    [](const ReadStatus&) { return ActorStatus{}; },
  };
}

} // namespace swarm::test
