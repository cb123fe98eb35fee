// Carries out the steps of the core, and answers those who join and leave.
#include "actors/manager/members_actor.hpp"

#include "runtime/log.hpp"

namespace swarm::manager {

namespace {

using self_ptr = observed_ptr<members_actor, members_state>;

timestamp now(self_ptr self) {
  return {instant{std::chrono::duration_cast<duration>(now_of(self))}, actor_registry::wall_now_ns()};
}

void proceed(self_ptr self);

void note_failure(self_ptr self, const char* what, const failure& why) {
  ++self->state.failed;
  log::warn(self->label(), what, {{"error", why}});
}

// -- effects ---------------------------------------------------------------------------------------------------------------

void perform(self_ptr self, change_group& what) {
  auto& st = self->state;
  ++st.changes;
  const auto& member = what.request.member();
  const bool adds = what.request.kind() == ChangeMembership::KIND_ADD_LEARNER;
  log::info(self->label(), adds ? "adds_manager" : "removes_manager", {{"node", member.node_id()}, {"raft_id", member.raft_id()}});
  self->tap().effect((adds ? "add " : "remove ") + member.node_id());
  self->request(st.raft, st.opts.request_timeout, std::move(what.request))
    .then(
      [self](const MembershipCommitted& done) {
        self->state.core.group_changed(now(self), {}, done.membership());
        proceed(self);
      },
      [self](const caf::error& err) {
        const auto why = to_failure(err);
        note_failure(self, "group_not_changed", why);
        self->state.core.group_changed(now(self), why, {});
        proceed(self);
      });
}

void perform(self_ptr self, hand_over& what) {
  auto& st = self->state;
  TransferLeadership request;
  request.set_to_raft_id(what.to_raft_id);
  self->tap().effect("hand over");
  const auto finish = [self](const failure& outcome) {
    if (!outcome.ok())
      note_failure(self, "leadership_not_handed_over", outcome);
    self->state.core.handed_over(now(self), outcome);
    proceed(self);
  };
  self->request(st.raft, st.opts.request_timeout, std::move(request))
    .then(
      [finish](const LeadershipTransferred& done) { finish(done.done() ? failure{} : failure{errc::unavailable, done.message()}); },
      [finish](const caf::error& err) { finish(to_failure(err)); });
}

void perform(self_ptr self, propose& what) {
  auto& st = self->state;
  ++st.proposals;
  const auto finish = [self](const failure& outcome) {
    if (!outcome.ok())
      note_failure(self, "proposal_failed", outcome);
    self->state.core.written(now(self), outcome);
    proceed(self);
  };
  self->request(st.raft, st.opts.request_timeout, std::move(what.command))
    .then([finish](const CommandResult& result) { finish({static_cast<errc>(result.code()), result.message()}); },
          [finish](const caf::error& err) { finish(to_failure(err)); });
}

void perform(self_ptr self, answer_join& what) {
  auto asked = self->state.joining.extract(what.tag);
  if (asked.empty())
    return;
  if (what.error.ok())
    asked.mapped().deliver(std::move(what.joined));
  else
    asked.mapped().deliver(to_error(what.error));
}

void perform(self_ptr self, answer_leave& what) {
  auto asked = self->state.leaving.extract(what.tag);
  if (asked.empty())
    return;
  if (what.error.ok())
    asked.mapped().deliver(RaftLeft{});
  else
    asked.mapped().deliver(to_error(what.error));
}

void tick_within(self_ptr self, duration time) {
  auto& st = self->state;
  const auto at = now(self).now;
  if (st.tick_at > at && st.tick_at <= at + time)
    return;
  st.tick_at = at + time;
  self->delayed_send(self, time, tick_atom_v);
}

void proceed(self_ptr self) {
  auto& core = self->state.core;
  for (auto& effect : core.next(now(self)))
    std::visit([self](auto& what) { perform(self, what); }, effect);
  core.check_invariants();
  if (core.waiting() > 0)
    tick_within(self, self->state.opts.tick);
}

// -- what is known -----------------------------------------------------------------------------------------------------------

void read_group(self_ptr self) {
  auto& st = self->state;
  if (st.reading)
    return;
  st.reading = true;
  self->request(st.raft, st.opts.request_timeout, ReadMembership{})
    .then(
      [self](const MembershipRead& group) {
        self->state.reading = false;
        self->state.core.read(now(self), group);
        proceed(self);
      },
      [self](const caf::error& err) {
        self->state.reading = false;
        note_failure(self, "group_not_read", to_failure(err));
      });
}

/// Everything that was committed before this leader's term is in the state before the group is compared with it.
void read_state(self_ptr self) {
  auto& st = self->state;
  const auto give_up = [self](const caf::error& err) {
    log::warn(self->label(), "state_not_read", {{"error", to_failure(err)}});
    self->quit(err);
  };
  self->request(st.raft, st.opts.request_timeout, ReadIndex{})
    .then(
      [self, give_up](const ReadIndexReached&) {
        self->request(self->state.store, self->state.opts.request_timeout, subscribe_atom::value, store_subscriber{self})
          .then(
            [self](const StoreSnapshot& snapshot) {
              self->state.core.reset(snapshot);
              proceed(self);
            },
            give_up);
      },
      give_up);
}

ActorStatus status_of(self_ptr self, const ReadStatus& request) {
  const auto& st = self->state;
  auto out = self->base_status(request);
  auto& facts = *out.mutable_facts();
  facts["waiting"] = std::to_string(st.core.waiting());
  facts["changes"] = std::to_string(st.changes);
  facts["proposals"] = std::to_string(st.proposals);
  facts["failed"] = std::to_string(st.failed);
  if (request.full())
    out.set_state(st.core.dump());
  return out;
}

} // namespace

members_actor::behavior_type members_keeper(self_ptr self, members_actor_options opts, raft_actor raft, store_actor store) {
  auto& st = self->state;
  st.opts = opts;
  st.raft = std::move(raft);
  st.store = std::move(store);
  st.core = members_core{opts.core};
  read_state(self);
  read_group(self);
  tick_within(self, opts.tick);
  return {
    [self](const JoinRaft& request) -> caf::result<RaftJoined> {
      auto& st = self->state;
      const auto tag = ++st.last_tag;
      auto promise = self->make_response_promise<RaftJoined>();
      st.joining[tag] = promise;
      st.core.join(now(self), tag, request);
      proceed(self);
      return promise;
    },
    [self](const LeaveRaft& request) -> caf::result<RaftLeft> {
      auto& st = self->state;
      const auto tag = ++st.last_tag;
      auto promise = self->make_response_promise<RaftLeft>();
      st.leaving[tag] = promise;
      st.core.leave(now(self), tag, request);
      proceed(self);
      return promise;
    },
    [self](const EventBatch& batch) {
      self->state.core.observe(batch);
      proceed(self);
    },
    [self](tick_atom) {
      read_group(self);
      proceed(self);
      tick_within(self, self->state.opts.idle_tick);
    },
    [self](const ReadStatus& request) { return status_of(self, request); },
  };
}

} // namespace swarm::manager
