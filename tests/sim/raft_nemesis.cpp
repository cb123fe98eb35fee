// What happens to the simulated cluster: clients, faults, healing, and the proof that it converges.
#include <algorithm>
#include <array>

#include "tests/sim/raft_world.hpp"

namespace swarm::sim {

using raft::raft_id;

namespace {

enum fault : unsigned {
  crash_one, crash_everyone, split_in_two, cut_direction, cut_leader_off, make_disk_slow, freeze_one, make_apply_slow,
  change_membership, transfer_leadership, lose_link, replay_message, fail_disk, fault_count
};

/// A healed cluster must do its first write within this many (longest) election timeouts, and settle in as many.
constexpr std::uint64_t timeouts_to_converge = 60;

constexpr raft::log_index max_backlog = 60; ///< entries of clients who wait for an answer

} // namespace

raft_world::member* raft_world::pick(bool up) {
  std::vector<member*> found;
  for (auto& [id, who] : members_)
    if (!who->retired && (who->core != nullptr) == up)
      found.push_back(who.get());
  return found.empty() ? nullptr : found[rng_.below(found.size())];
}

raft_world::member* raft_world::leader() {
  member* best = nullptr;
  for (auto& [id, who] : members_)
    if (who->core && who->core->role() == RAFT_ROLE_LEADER && (best == nullptr || who->core->term() > best->core->term()))
      best = who.get();
  return best;
}

void raft_world::cut(raft_id from, raft_id to) {
  if (from != to)
    cuts_.insert({from, to});
}

// -- clients ----------------------------------------------------------------------------------------------------------

void raft_world::client() {
  after(1 + rng_.below(2 * knobs_.client_us), [this] { client(); });
  auto* who = rng_.chance(70) ? leader() : pick(true);
  if (who == nullptr || !who->core || who->frozen_until > now_)
    return;
  if (rng_.chance(40)) {
    auto* const reader = rng_.chance(50) ? who : pick(true);
    if (reader->frozen_until <= now_) {
      const auto tag = next_tag_++;
      ++totals_.reads;
      reader->reads[tag] = checkers_.highest_acknowledged();
      step(*reader, raft::read{tag});
    }
  }
  // Clients wait for their answers: what is under way is bounded.
  if (!who->core || who->core->log().last_index() - who->core->last_applied() > max_backlog)
    return;
  raft::propose batch;
  for (auto count = rng_.between(1, knobs_.batch_max); count > 0; --count) {
    raft::proposal p;
    p.tag = next_tag_++;
    p.data = std::to_string(p.tag) + std::string(rng_.below(40), '.');
    batch.batch.push_back(std::move(p));
    ++totals_.proposed;
  }
  step(*who, std::move(batch));
}

// -- faults -----------------------------------------------------------------------------------------------------------

void raft_world::nemesis() {
  if (healing_)
    return;
  after(1 + rng_.below(2 * knobs_.fault_us), [this] { nemesis(); });
  const std::array<unsigned, fault_count> weights{knobs_.crash,       knobs_.crash_all,  knobs_.split,
                                                  knobs_.cut_one_way, knobs_.isolate_leader, knobs_.slow_disk,
                                                  knobs_.freeze,      knobs_.slow_apply, knobs_.member_change,
                                                  knobs_.transfer,    knobs_.link_loss,  knobs_.replay,
                                                  knobs_.disk_error};
  // Everything gets well again as often as it breaks.
  if (rng_.chance(40)) {
    cuts_.clear();
    for (auto* down = pick(false); down != nullptr && rng_.chance(70); down = pick(false)) {
      down->no_start_before = 0; // somebody has made room on its disk
      start(*down);
    }
    return;
  }
  unsigned total = 0;
  for (const auto weight : weights)
    total += weight;
  auto drawn = rng_.below(total);
  for (unsigned which = 0; which < fault_count; ++which) {
    if (drawn < weights[which])
      return inject(which);
    drawn -= weights[which];
  }
}

void raft_world::inject(unsigned which) {
  ++totals_.faults;
  auto* who = rng_.chance(50) ? leader() : pick(true);
  if (who == nullptr)
    who = pick(true);
  trace("fault", which);
  switch (which) {
    case crash_one:
      if (who != nullptr)
        crash(*who);
      break;
    case crash_everyone:
      for (auto& [id, each] : members_)
        crash(*each);
      for (auto& [id, each] : members_)
        if (!each->retired)
          start(*each);
      break;
    case split_in_two: {
      std::vector<bool> side;
      for (std::size_t i = 0; i < members_.size(); ++i)
        side.push_back(rng_.chance(50));
      std::size_t a = 0;
      for (const auto& [from, m] : members_) {
        std::size_t b = 0;
        for (const auto& [to, n] : members_) {
          if (side[a] != side[b])
            cut(from, to);
          ++b;
        }
        ++a;
      }
      break;
    }
    case cut_direction:
      if (auto* const other = pick(true); who != nullptr && other != nullptr)
        rng_.chance(50) ? cut(who->id, other->id) : cut(other->id, who->id);
      break;
    case cut_leader_off:
      for (const auto& [id, other] : members_)
        if (who != nullptr) {
          cut(who->id, id);
          cut(id, who->id);
        }
      break;
    case make_disk_slow:
      if (who != nullptr)
        who->slow_disk_until = now_ + rng_.below(3'000'000);
      break;
    case freeze_one:
      if (who != nullptr)
        who->frozen_until = now_ + rng_.below(1'500'000);
      break;
    case make_apply_slow:
      if (who != nullptr)
        who->slow_apply_until = now_ + rng_.below(3'000'000);
      break;
    case change_membership:
      change_members();
      break;
    case transfer_leadership:
      if (who != nullptr && who->frozen_until <= now_) {
        auto* const target = pick(true);
        step(*who, raft::transfer{next_tag_++, rng_.chance(30) || target == nullptr ? 0 : target->id});
      }
      break;
    case lose_link:
      if (auto* const other = pick(true); other != nullptr && who != nullptr && other->frozen_until <= now_)
        step(*other, raft::link_lost{who->id});
      break;
    case replay_message:
      replay_old_messages();
      break;
    case fail_disk:
      if (who != nullptr) {
        who->disk_fails = true;
        if (rng_.chance(40))
          who->no_start_before = now_ + rng_.below(5'000'000);
      }
      break;
    default:
      break;
  }
}

void raft_world::replay_old_messages() {
  for (auto count = old_messages_.empty() ? 0 : rng_.between(1, 12); count > 0; --count) {
    auto kind = old_messages_.begin();
    std::advance(kind, static_cast<std::ptrdiff_t>(rng_.below(old_messages_.size())));
    deliver(kind->second[rng_.below(kind->second.size())]);
  }
}

void raft_world::change_members() {
  // Sometimes two askers, sometimes a deposed leader: whoever believes to lead is asked.
  for (unsigned askers = rng_.chance(30) ? 2 : 1; askers > 0; --askers) {
    std::vector<member*> leaders;
    for (auto& [id, who] : members_)
      if (who->core && who->core->role() == RAFT_ROLE_LEADER && who->frozen_until <= now_)
        leaders.push_back(who.get());
    if (leaders.empty())
      return;
    auto& who = *leaders[rng_.below(leaders.size())];
    raft::change_member change;
    change.tag = next_tag_++;
    const auto& config = who.core->config();
    const auto size = config.voters.incoming.voters().size() + config.learners.size();
    if (size < knobs_.max_members && rng_.chance(55)) {
      change.kind = raft::member_change::add_learner;
      change.member.set_raft_id(next_id_++);
      start(add_member(change.member.raft_id()));
    } else if (!config.learners.empty() && rng_.chance(30)) {
      change.kind = raft::member_change::promote;
      change.member.set_raft_id(*config.learners.begin());
    } else {
      const auto& voters = config.voters.incoming.voters();
      change.kind = raft::member_change::remove;
      change.member.set_raft_id(voters[rng_.below(voters.size())]);
    }
    trace("change", who.id, [&] { return std::to_string(static_cast<int>(change.kind)) + ' ' + std::to_string(change.member.raft_id()); });
    step(who, std::move(change));
  }
}

// -- faults that the host wants ---------------------------------------------------------------------------------------------

void raft_world::crash(raft_id id) { crash(*find(id)); }

void raft_world::start(raft_id id) {
  if (auto& who = *find(id); !who.core && !who.retired)
    start(who);
}

void raft_world::hand_over(raft_id id) {
  trace("hand_over", id);
  if (auto& who = *find(id); who.core && who.frozen_until <= now_)
    step(who, raft::transfer{next_tag_++, 0});
}

void raft_world::cut_off(raft_id id) {
  trace("cut_off", id);
  for (const auto& [other, m] : members_) {
    cut(id, other);
    cut(other, id);
  }
}

void raft_world::freeze(raft_id id, std::uint64_t for_us) {
  trace("freeze", id);
  find(id)->frozen_until = now_ + for_us;
}

// -- convergence --------------------------------------------------------------------------------------------------------

void raft_world::heal() {
  healing_ = true;
  cuts_.clear();
  trace("heal", 0);
  for (auto& [id, who] : members_) {
    who->frozen_until = std::min(who->frozen_until, now_);
    who->slow_disk_until = 0;
    who->slow_apply_until = 0;
    who->disk_fails = false;
    who->no_start_before = 0;
    if (!who->core && !who->retired)
      start(*who);
  }
  if (host_ != nullptr)
    host_->heal();
}

bool raft_world::converged() {
  if (healed_write_ == 0)
    return false;
  auto* const first = leader();
  if (first == nullptr)
    return false;
  std::uint64_t digest = 0;
  const auto index = first->core->commit_index();
  for (auto& [id, who] : members_) {
    if (!first->core->config().contains(id))
      continue;
    if (!who->core || who->store.applied_index < healed_write_ || who->store.applied_index != index)
      return false;
    if (digest == 0)
      digest = who->store.digest;
    if (who->store.digest != digest)
      throw violation{"convergence: members hold different states at " + std::to_string(index)};
  }
  return host_ == nullptr || host_->converged();
}

std::uint64_t raft_world::missing_entries() const {
  raft::log_index longest = 0;
  auto shortest = ~raft::log_index{0};
  for (const auto& [id, who] : members_) {
    if (who->retired)
      continue;
    longest = std::max(longest, who->disk.durable().last_index());
    shortest = std::min(shortest, who->disk.durable().last_index());
  }
  return longest < shortest ? 0 : longest - shortest;
}

void raft_world::converge() {
  std::uint64_t slowest = knobs_.tick_us;
  for (const auto& [id, who] : members_)
    slowest = std::max(slowest, who->tick_us);
  const auto step_us = 2 * knobs_.core.election_ticks * slowest;
  // Slow disks and stores slow everything down that heals.
  const auto patience = step_us + 20 * (knobs_.sync_us_max + knobs_.apply_us_max + knobs_.delay_us_max);
  const auto give_up = now_ + timeouts_to_converge * patience + knobs_.catch_up_us(missing_entries())
                       + (host_ != nullptr ? host_->patience_us() : 0);
  bool wrote = false;
  while (now_ < give_up) {
    run_until(now_ + step_us / 8);
    if (!wrote && healed_write_ != 0) {
      wrote = true;
      knobs_.client_us = step_us; // fewer writes, so that the followers can be seen to have caught up
    }
    if (converged()) {
      checkers_.at_end(leader()->core->commit_index());
      return;
    }
  }
  throw violation{healed_write_ == 0 ? std::string{"liveness: no write was acknowledged after everything had healed"}
                                     : "liveness: the members did not converge after everything had healed"
                                         + (host_ != nullptr ? ": " + host_->unsettled() : std::string{})};
}

} // namespace swarm::sim
