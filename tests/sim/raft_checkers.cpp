// The checkers of the Raft simulator.
#include "tests/sim/raft_checkers.hpp"

#include <algorithm>

namespace swarm::sim {

using raft::log_index;
using raft::raft_id;
using raft::term_number;

namespace {

std::string num(std::uint64_t value) { return std::to_string(value); }
std::string at(log_index index, term_number term) { return num(index) + '@' + num(term); }

[[noreturn]] void fail(const std::string& what) { throw violation{what}; }

} // namespace

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  auto z = a ^ (b + 0x9e3779b97f4a7c15ull + (a << 6) + (a >> 2));
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

std::uint64_t hash_of(const Entry& entry) {
  std::uint64_t out = mix(entry.type(), entry.data().size());
  for (const unsigned char c : entry.data())
    out = (out ^ c) * 0x100000001b3ull;
  return out;
}

std::uint64_t raft_checkers::chain_at(log_index index, term_number term) const {
  if (index == 0)
    return 0;
  const auto it = chains_.find({index, term});
  return it == chains_.end() ? 0 : it->second;
}

// 5 log matching: one (index, term) means one history.
void raft_checkers::on_write(raft_id id, const std::vector<raft::entry_ptr>& entries, term_number prev_term) {
  for (const auto& entry : entries) {
    const auto index = entry->log_index();
    auto chain = mix(mix(chain_at(index - 1, prev_term), entry->term()), hash_of(*entry));
    const auto [it, fresh] = chains_.try_emplace({index, entry->term()}, chain);
    if (!fresh && it->second != chain)
      fail("log matching: member " + num(id) + " has another history at " + at(index, entry->term()));
    prev_term = entry->term();
  }
}

void raft_checkers::after_step(const raft::core& member, log_index commit_before, bool led_before,
                               const raft::configuration& config_before, const disks& all) {
  if (member.role() == RAFT_ROLE_LEADER)
    check_leader(member);
  const auto commit = member.commit_index();
  if (commit < commit_before)
    fail("commit monotonic: member " + num(member.id()) + " went from " + num(commit_before) + " to " + num(commit));
  // A membership that commits in this step is in force for what is counted after it.
  std::vector<raft::configuration> in_force{config_before};
  for (auto index = std::max(commit_before, member.log().base_index()) + 1; index <= commit; ++index) {
    check_commit(member, index, led_before, in_force, all);
    Membership membership;
    if (const auto& entry = member.log().at(index);
        entry->type() == ENTRY_TYPE_CONFIGURATION && membership.ParseFromString(entry->data()))
      in_force.push_back(raft::to_configuration(membership));
  }
}

// 1 election safety, 6 leader completeness, 12 one uncommitted membership change.
void raft_checkers::check_leader(const raft::core& member) {
  const auto& log = member.log();
  const auto [it, fresh] = leaders_.try_emplace(member.term(), member.id());
  if (it->second != member.id())
    fail("election safety: members " + num(it->second) + " and " + num(member.id()) + " both lead term " + num(member.term()));
  if (fresh) {
    auto index = static_cast<log_index>(committed_.size());
    while (index > 0 && committed_[index - 1].in_term >= member.term())
      --index;
    // Log matching makes the last one stand for all before it.
    if (index > log.last_index())
      fail("leader completeness: leader " + num(member.id()) + " of term " + num(member.term()) + " ends at "
           + num(log.last_index()) + ", " + num(index) + " is committed");
    if (index > log.base_index() && chain_at(index, *log.term_at(index)) != committed_[index - 1].chain)
      fail("leader completeness: leader " + num(member.id()) + " of term " + num(member.term())
           + " has another entry at committed index " + num(index));
  }
  unsigned changes = 0;
  for (auto index = std::max(member.commit_index(), log.base_index()) + 1; index <= log.last_index(); ++index)
    if (log.at(index)->type() == ENTRY_TYPE_CONFIGURATION && ++changes > 1)
      fail("one membership change at a time: leader " + num(member.id()) + " has two that are not committed");
}

// 7 state machine safety (log side), 11 committed means durable on a quorum, 14 only entries of its own term by counting.
void raft_checkers::check_commit(const raft::core& member, log_index index, bool counted,
                                 const std::vector<raft::configuration>& in_force, const disks& all) {
  const auto term = *member.log().term_at(index);
  const auto chain = chain_at(index, term);
  if (index > committed_.size() + 1)
    fail("commit order: member " + num(member.id()) + " commits " + num(index) + ", known are " + num(committed_.size()));
  if (index <= committed_.size()) {
    if (committed_[index - 1].chain != chain || committed_[index - 1].term != term)
      fail("state machine safety: member " + num(member.id()) + " commits " + at(index, term) + ", committed was "
           + at(index, committed_[index - 1].term));
    return;
  }
  if (counted && index == member.commit_index() && term != member.term() && member.role() == RAFT_ROLE_LEADER)
    fail("figure 8: leader " + num(member.id()) + " of term " + num(member.term()) + " commits " + at(index, term)
         + " by counting");
  if (counted) {
    const auto durable = [&](raft_id id) -> std::optional<bool> {
      for (const auto& [owner, disk] : all)
        if (owner == id)
          return disk->base_index >= index || disk->term_at(index) == term;
      return false;
    };
    if (std::none_of(in_force.begin(), in_force.end(),
                     [&](const auto& config) { return config.voters.tally(durable) == raft::vote_result::won; }))
      fail("durability: leader " + num(member.id()) + " commits " + at(index, term) + ", not on the disks of a quorum of "
           + raft::render(in_force.back()));
  }
  committed_.push_back({term, member.term(), chain});
  if (member.log().at(index)->type() == ENTRY_TYPE_CONFIGURATION)
    check_membership_step(member, index);
}

// 12 adjacent memberships share a member of every two quorums.
void raft_checkers::check_membership_step(const raft::core& member, log_index index) {
  Membership membership;
  if (!membership.ParseFromString(member.log().at(index)->data()))
    fail("membership: entry " + num(index) + " cannot be read");
  const auto voters = raft::to_configuration(membership).voters.incoming.voters();
  if (last_membership_ != 0) {
    std::vector<raft_id> changed;
    std::set_symmetric_difference(voters.begin(), voters.end(), last_voters_.begin(), last_voters_.end(),
                                  std::back_inserter(changed));
    if (changed.size() > 1)
      fail("membership: entries " + num(last_membership_) + " and " + num(index) + " differ by more than one voter");
  }
  last_membership_ = index;
  last_voters_ = voters;
}

// 2, 3, 10: what a message promises is on the sender's disk.
void raft_checkers::on_send(const RaftMessage& message, const disk_image& sender) {
  const auto& hard = sender.hard_state;
  const bool pre_vote = (message.has_request_vote() && message.request_vote().pre_vote())
                        || (message.has_request_vote_reply() && message.request_vote_reply().pre_vote()
                            && message.request_vote_reply().granted());
  if (!pre_vote && hard.term() < message.term())
    fail("persist before send: member " + num(message.from()) + " speaks in term " + num(message.term())
         + ", its disk is in term " + num(hard.term()));
  if (message.has_request_vote_reply() && message.request_vote_reply().granted() && !pre_vote) {
    const auto [it, fresh] = votes_.try_emplace({message.from(), message.term()}, message.to());
    if (it->second != message.to())
      fail("one vote per term: member " + num(message.from()) + " votes for " + num(it->second) + " and "
           + num(message.to()) + " in term " + num(message.term()));
    if (hard.term() == message.term() && hard.voted_for() != message.to())
      fail("persist before send: the vote of member " + num(message.from()) + " is not on its disk");
  }
  // An acknowledgement of an earlier term may be overtaken on this disk by a later leader's write of the same sync.
  if (message.has_append_entries_reply() && message.append_entries_reply().success() && hard.term() == message.term()
      && sender.last_index() < message.append_entries_reply().match_index())
    fail("persist before send: member " + num(message.from()) + " acknowledges "
         + num(message.append_entries_reply().match_index()) + ", its disk ends at " + num(sender.last_index()));
}

// 7 state machine safety (store side).
void raft_checkers::on_apply(raft_id id, const Entry& entry, std::uint64_t digest) {
  const auto index = entry.log_index();
  if (index > committed_.size())
    fail("apply: member " + num(id) + " applies " + num(index) + " which is not committed");
  if (digests_.size() < index)
    digests_.resize(index, 0);
  auto& known = digests_[index - 1];
  if (known == 0)
    known = digest;
  if (known != digest)
    fail("state machine safety: member " + num(id) + " has another state after " + num(index));
}

// 16 the installed state is the sender's.
void raft_checkers::on_snapshot_installed(raft_id id, const store_image& store) {
  const auto index = store.applied_index;
  if (index == 0 || index > digests_.size() || digests_[index - 1] != store.digest)
    fail("snapshot: member " + num(id) + " installed a state that nobody had at " + num(index));
}

void raft_checkers::on_acknowledged(log_index index, term_number term) {
  if (index > committed_.size() || committed_[index - 1].term != term)
    fail("acknowledged: " + at(index, term) + " is not committed");
  highest_acknowledged_ = std::max(highest_acknowledged_, index);
}

// 15 reads.
void raft_checkers::on_read(raft_id id, log_index acknowledged, log_index reflects) const {
  if (reflects < acknowledged)
    fail("linearizable read: member " + num(id) + " answers from " + num(reflects) + " after " + num(acknowledged)
         + " was acknowledged");
}

void raft_checkers::at_end(log_index converged_on) const {
  if (converged_on < highest_acknowledged_)
    fail("acknowledged writes survive: " + num(highest_acknowledged_) + " was acknowledged, all ends at " + num(converged_on));
}

} // namespace swarm::sim
