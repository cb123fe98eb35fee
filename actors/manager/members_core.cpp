// The steps of MEMBERS, each decided from what is stored and who is in the group.
#include "actors/manager/members_core.hpp"

#include <algorithm>
#include <utility>

#include "runtime/check.hpp"

namespace swarm::manager {

namespace {

constexpr const char* quorum_text = "can't remove member from the raft: this would result in a loss of quorum";
constexpr const char* status_subject = "";
constexpr std::size_t addr_bytes_max = 128;

bool is_manager(const Node& node) { return node.spec().role() == NODE_ROLE_MANAGER; }

/// "10.0.0.1:2377", "[::1]:2377"
bool looks_like_address(const std::string& addr) {
  const auto colon = addr.rfind(':');
  return addr.size() <= addr_bytes_max && colon != std::string::npos && colon > 0 && colon + 1 < addr.size()
         && addr.find_first_not_of("0123456789", colon + 1) == std::string::npos;
}

Node outside(Node node, bool worker) {
  node.set_raft_id(0);
  node.clear_manager_status();
  if (worker)
    node.set_certificate_role(NODE_ROLE_WORKER);
  return node;
}

} // namespace

// -- what is known -------------------------------------------------------------------------------------------------------

void members_core::reset(const StoreSnapshot& snapshot) {
  nodes_.clear();
  for (const auto& node : snapshot.nodes())
    nodes_[node.id()] = node;
  known_ = true;
}

void members_core::observe(const EventBatch& batch) {
  for (const auto& event : batch.nodes())
    if (event.kind() == CHANGE_KIND_REMOVED) {
      nodes_.erase(event.node().id());
      backoffs_.erase(event.node().id());
    } else
      nodes_[event.node().id()] = event.node();
}

void members_core::read(timestamp now, const MembershipRead& group) {
  group_ = group;
  for (const auto id : group.active())
    heard_[id] = now.now;
  for (const auto* one : members())
    heard_.try_emplace(one->raft_id(), now.now);
  std::erase_if(heard_, [&](const auto& entry) { return member(entry.first) == nullptr; });
}

const Node* members_core::node(const std::string& id) const {
  const auto it = nodes_.find(id);
  return it == nodes_.end() ? nullptr : &it->second;
}

std::vector<const Member*> members_core::members() const {
  std::vector<const Member*> out;
  if (group_)
    for (const auto* list : {&group_->membership().voters(), &group_->membership().learners()})
      for (const auto& one : *list)
        out.push_back(&one);
  return out;
}

const Member* members_core::member(std::uint64_t raft_id) const {
  for (const auto* one : members())
    if (one->raft_id() == raft_id)
      return one;
  return nullptr;
}

const Member* members_core::member_of(const std::string& node_id) const {
  for (const auto* one : members())
    if (one->node_id() == node_id)
      return one;
  return nullptr;
}

// -- requests --------------------------------------------------------------------------------------------------------------

void members_core::join(timestamp now, std::uint64_t tag, const JoinRaft& request) {
  const auto refuse = [&](errc code, std::string why) {
    answers_.emplace_back(answer_join{tag, {code, std::move(why)}, {}});
  };
  const auto* const asker = node(request.node_id());
  if (asker == nullptr || !is_manager(*asker) || asker->certificate_role() != NODE_ROLE_MANAGER)
    return refuse(errc::permission_denied, "node " + request.node_id() + " is not a manager of this swarm");
  if (!looks_like_address(request.addr()))
    return refuse(errc::invalid_argument, "\"" + request.addr().substr(0, addr_bytes_max) + "\" is no address (IP:PORT) to reach a manager at");
  if (const auto it = joins_.find(request.node_id()); it != joins_.end()) {
    // Nobody was told its raft id yet, so the new asker may have it.
    answers_.emplace_back(answer_join{it->second.tag, {errc::unavailable, "the node has asked again"}, {}});
    if (it->second.addr == request.addr()) {
      it->second.tag = tag;
      it->second.deadline = now.now + opts_.request_deadline;
      return;
    }
    joins_.erase(it);
  }
  if (waiting() >= opts_.max_requests)
    return refuse(errc::resource_exhausted, std::to_string(waiting()) + " managers are joining or leaving; try again");
  joins_[request.node_id()] = {tag, request.addr(), now.now + opts_.request_deadline, 0};
}

void members_core::leave(timestamp now, std::uint64_t tag, const LeaveRaft& request) {
  const auto* const asker = node(request.node_id());
  if (asker == nullptr || asker->raft_id() == 0) {
    answers_.emplace_back(answer_leave{tag, {}}); // nothing to leave
    return;
  }
  if (waiting() >= opts_.max_requests) {
    answers_.emplace_back(answer_leave{tag, {errc::resource_exhausted, std::to_string(waiting()) + " managers are joining or leaving; try again"}});
    return;
  }
  end_leave(request.node_id(), {errc::unavailable, "the node has asked again"});
  leaves_[request.node_id()] = {tag, now.now + opts_.request_deadline};
  end_join(request.node_id(), {errc::unavailable, "the node leaves"});
}

void members_core::end_leave(const std::string& node_id, failure outcome) {
  if (auto asked = leaves_.extract(node_id); !asked.empty())
    answers_.emplace_back(answer_leave{asked.mapped().tag, std::move(outcome)});
}

void members_core::end_join(const std::string& node_id, failure why) {
  if (auto asked = joins_.extract(node_id); !asked.empty())
    answers_.emplace_back(answer_join{asked.mapped().tag, std::move(why), {}});
}

void members_core::expire(timestamp now) {
  const failure late{errc::deadline_exceeded, "the group of managers was not changed in time"};
  for (const auto& [id, asked] : std::map{joins_})
    if (asked.deadline <= now.now)
      end_join(id, late);
  for (const auto& [id, asked] : std::map{leaves_})
    if (asked.deadline <= now.now)
      end_leave(id, late);
}

// -- outcomes --------------------------------------------------------------------------------------------------------------

bool members_core::must_wait(timestamp now, const std::string& subject) const {
  const auto it = backoffs_.find(subject);
  return it != backoffs_.end() && now.now < it->second.until;
}

void members_core::settled(timestamp now, bool well) {
  SWARM_CHECK(busy_, "an outcome of something that was not asked for");
  const auto subject = *std::exchange(busy_, std::nullopt);
  if (well) {
    backoffs_.erase(subject);
    return;
  }
  auto& wait = backoffs_[subject];
  const auto longest = opts_.retry_max.count();
  const auto base = std::min<std::int64_t>(longest, opts_.retry_min.count() << std::min(wait.failures, 16u));
  ++wait.failures;
  wait.until = now.now + duration{base * static_cast<std::int64_t>(rng_.between(75, 125)) / 100};
}

void members_core::group_changed(timestamp now, const failure& outcome, const Membership& membership) {
  const auto subject = busy_.value_or("");
  settled(now, outcome.ok());
  if (outcome.ok()) {
    if (group_)
      *group_->mutable_membership() = membership;
    for (const auto* one : members())
      heard_.try_emplace(one->raft_id(), now.now); // a newcomer gets the time to be heard
    return;
  }
  if (outcome.code == errc::failed_precondition) {
    end_leave(subject, {errc::failed_precondition, quorum_text});
    end_join(subject, outcome);
  }
}

void members_core::handed_over(timestamp now, const failure& outcome) {
  const auto subject = busy_.value_or("");
  settled(now, outcome.ok());
  end_leave(subject, outcome.ok() ? failure{errc::not_leader, "another manager leads now: ask it"} : outcome);
}

void members_core::written(timestamp now, const failure& outcome) { settled(now, outcome.ok()); }

// -- steps -----------------------------------------------------------------------------------------------------------------

std::vector<members_effect> members_core::next(timestamp now) {
  expire(now);
  if (!busy_ && known_ && group_ && group_->active_size() != 0) {
    // Each answer to a request makes room for the next step.
    for (auto taken = answers_.size() + 1; !busy_ && taken != answers_.size();) {
      taken = answers_.size();
      step what = let_go(now);
      if (!what)
        what = remove_strangers(now);
      if (!what)
        what = let_in(now);
      if (!what)
        what = give_certificates(now);
      if (!what)
        what = step_aside(now);
      if (!what)
        what = tell_status(now);
      if (what)
        answers_.push_back(std::move(*what));
    }
  }
  return std::exchange(answers_, {});
}

members_core::step members_core::change(const std::string& subject, ChangeMembership::Kind kind, const Member& member) {
  busy_ = subject;
  change_group out;
  out.request.set_kind(kind);
  *out.request.mutable_member() = member;
  return out;
}

members_core::step members_core::put(timestamp now, const std::string& subject, std::vector<Node> nodes) {
  busy_ = subject;
  propose out;
  out.command.set_machine_version(1);
  out.command.set_proposed_at(now.wall);
  for (auto& node : nodes) {
    auto& action = *out.command.add_actions()->mutable_put_node();
    action.set_membership_only(true);
    auto& target = *action.mutable_node();
    target.set_id(node.id());
    target.set_raft_id(node.raft_id());
    target.set_certificate_role(node.certificate_role());
    if (node.has_manager_status())
      target.mutable_manager_status()->Swap(node.mutable_manager_status());
  }
  return out;
}

members_core::step members_core::let_go(timestamp now) {
  for (const auto& [id, node] : nodes_) {
    const bool leaving = leaves_.contains(id);
    if (leaving && node.raft_id() == 0)
      end_leave(id, {}); // done
    if ((is_manager(node) && !leaving) || node.raft_id() == 0 || must_wait(now, id))
      continue;
    const auto* const one = member(node.raft_id());
    if (one == nullptr)
      return put(now, id, {outside(node, !is_manager(node))});
    if (!leads(one->raft_id()))
      return change(id, ChangeMembership::KIND_REMOVE, *one);
    busy_ = id;
    return hand_over{};
  }
  return std::nullopt;
}

// A raft id is told to its node only when it is recorded: a member that no record names is run by nobody.
members_core::step members_core::remove_strangers(timestamp now) {
  for (const auto* one : members()) {
    const auto* const owner = node(one->node_id());
    const auto asked = joins_.find(one->node_id());
    const bool joining = asked != joins_.end() && asked->second.raft_id == one->raft_id();
    if (leads(one->raft_id()) || joining || (owner != nullptr && owner->raft_id() == one->raft_id())
        || must_wait(now, one->node_id()))
      continue;
    return change(one->node_id(), ChangeMembership::KIND_REMOVE, *one);
  }
  return std::nullopt;
}

members_core::step members_core::let_in(timestamp now) {
  for (auto it = joins_.begin(); it != joins_.end();) {
    const auto id = it->first;
    auto& asked = it->second;
    ++it; // the request may go
    if (must_wait(now, id))
      continue;
    if (auto what = advance_join(now, id, asked))
      return what;
  }
  return std::nullopt;
}

members_core::step members_core::advance_join(timestamp now, const std::string& node_id, join_request& asked) {
  const auto* const asker = node(node_id);
  if (asker == nullptr || !is_manager(*asker)) {
    end_join(node_id, {errc::permission_denied, "node " + node_id + " is not a manager of this swarm"});
    return std::nullopt;
  }
  // Whoever asks has no Raft state (any more): what it acknowledged under an earlier raft id is lost, so that id must go.
  if (const auto* const old = member_of(node_id); old != nullptr && old->raft_id() != asked.raft_id) {
    if (!leads(old->raft_id()))
      return change(node_id, ChangeMembership::KIND_REMOVE, *old);
    end_join(node_id, {errc::failed_precondition, "node " + node_id + " leads the swarm under its present raft id"});
    return std::nullopt;
  }
  if (asked.raft_id == 0)
    asked.raft_id = draw_raft_id();
  const auto* const one = member(asked.raft_id);
  if (one == nullptr) {
    Member fresh;
    fresh.set_raft_id(asked.raft_id);
    fresh.set_node_id(node_id);
    fresh.set_addr(asked.addr);
    return change(node_id, ChangeMembership::KIND_ADD_LEARNER, fresh);
  }
  if (asker->raft_id() != asked.raft_id) {
    Node record = *asker;
    record.set_raft_id(asked.raft_id);
    record.mutable_manager_status()->set_addr(asked.addr);
    record.mutable_manager_status()->set_leader(false);
    record.mutable_manager_status()->set_reachability(REACHABILITY_REACHABLE);
    return put(now, node_id, {std::move(record)});
  }
  answer_join done{asked.tag, {}, {}};
  done.joined.set_raft_id(asked.raft_id);
  for (const auto* each : members()) {
    auto& manager = *done.joined.add_managers();
    manager.set_node_id(each->node_id());
    manager.set_addr(each->addr());
  }
  joins_.erase(node_id);
  answers_.emplace_back(std::move(done));
  return std::nullopt;
}

std::uint64_t members_core::draw_raft_id() {
  const auto taken = [&](std::uint64_t id) {
    const auto& removed = group_->membership().removed();
    return id == 0 || member(id) != nullptr || std::find(removed.begin(), removed.end(), id) != removed.end()
           || std::any_of(nodes_.begin(), nodes_.end(), [id](const auto& entry) { return entry.second.raft_id() == id; });
  };
  auto id = rng_();
  while (taken(id))
    id = rng_();
  return id;
}

members_core::step members_core::give_certificates(timestamp now) {
  for (const auto& [id, node] : nodes_) {
    if (must_wait(now, id) || joins_.contains(id) || leaves_.contains(id))
      continue;
    const bool manager = is_manager(node);
    // A new group (force-new-cluster) knows nothing of those who were managers before.
    const bool recorded = node.raft_id() != 0 || node.has_manager_status();
    if (recorded && member(node.raft_id()) == nullptr)
      return put(now, id, {outside(node, !manager)});
    if (manager && node.certificate_role() != NODE_ROLE_MANAGER) {
      Node promoted = node;
      promoted.set_certificate_role(NODE_ROLE_MANAGER);
      return put(now, id, {std::move(promoted)});
    }
    if (!manager && node.raft_id() == 0 && node.certificate_role() == NODE_ROLE_MANAGER)
      return put(now, id, {outside(node, true)});
  }
  return std::nullopt;
}

std::uint64_t members_core::undrained_successor() const {
  for (const auto& one : group_->membership().voters()) {
    const auto* const owner = node(one.node_id());
    const auto& active = group_->active();
    if (owner != nullptr && owner->raft_id() == one.raft_id() && !leads(one.raft_id()) && is_manager(*owner)
        && owner->spec().availability() != NODE_AVAILABILITY_DRAIN && !leaves_.contains(owner->id())
        && std::find(active.begin(), active.end(), one.raft_id()) != active.end())
      return one.raft_id();
  }
  return 0;
}

/// Who drains a node is about to work on it. Where all managers are drained, which is how some keep work off them, nothing moves.
members_core::step members_core::step_aside(timestamp now) {
  const auto* const leader = member(group_->leader_raft_id());
  const auto* const owner = leader == nullptr ? nullptr : node(leader->node_id());
  if (owner == nullptr || owner->spec().availability() != NODE_AVAILABILITY_DRAIN || must_wait(now, owner->id()))
    return std::nullopt;
  const auto successor = undrained_successor();
  if (successor == 0)
    return std::nullopt;
  busy_ = owner->id();
  return hand_over{successor};
}

members_core::step members_core::tell_status(timestamp now) {
  if (must_wait(now, status_subject))
    return std::nullopt;
  std::vector<Node> changed;
  for (const auto* one : members()) {
    const auto* const owner = node(one->node_id());
    if (owner == nullptr || owner->raft_id() != one->raft_id())
      continue;
    const auto heard = heard_.find(one->raft_id());
    const bool reachable = leads(one->raft_id()) || (heard != heard_.end() && now.now - heard->second < opts_.silent_after);
    ManagerStatus status;
    status.set_leader(leads(one->raft_id()));
    status.set_reachability(reachable ? REACHABILITY_REACHABLE : REACHABILITY_UNREACHABLE);
    status.set_addr(one->addr());
    if (owner->has_manager_status() && owner->manager_status().SerializeAsString() == status.SerializeAsString())
      continue;
    changed.push_back(*owner);
    *changed.back().mutable_manager_status() = std::move(status);
  }
  if (changed.empty())
    return std::nullopt;
  return put(now, status_subject, std::move(changed));
}

// -- looking inside --------------------------------------------------------------------------------------------------------

void members_core::check_invariants() const {
  SWARM_CHECK(waiting() <= opts_.max_requests);
  for (const auto& [id, asked] : joins_)
    SWARM_CHECK(!leaves_.contains(id) && asked.tag != 0);
}

std::string members_core::dump() const {
  std::string out = known_ ? "nodes=" + std::to_string(nodes_.size()) : "state not read yet";
  out += group_ ? " members=" + std::to_string(members().size()) : " group not read yet";
  out += busy_ ? " busy with " + (busy_->empty() ? std::string{"status"} : *busy_) : " idle";
  for (const auto& [id, asked] : joins_)
    out += "\njoining " + id + " raft_id=" + std::to_string(asked.raft_id) + " addr=" + asked.addr;
  for (const auto& [id, asked] : leaves_)
    out += "\nleaving " + id;
  for (const auto& [subject, wait] : backoffs_)
    out += "\nretry " + subject + " after " + std::to_string(wait.failures) + " failures";
  return out + '\n';
}

} // namespace swarm::manager
