// The rules of membership changes.
#include "actors/raft/confchange.hpp"

#include <algorithm>

namespace swarm::raft {

namespace {

std::size_t difference(const majority& a, const majority& b) {
  std::vector<raft_id> out;
  std::set_symmetric_difference(a.voters().begin(), a.voters().end(), b.voters().begin(), b.voters().end(),
                                std::back_inserter(out));
  return out.size();
}

template <class Ids>
void render_ids(std::string& out, const char* name, const Ids& ids) {
  if (ids.empty())
    return;
  if (!out.empty())
    out += ' ';
  out += name;
  out += "=(";
  bool first = true;
  for (const auto id : ids) {
    if (!first)
      out += ' ';
    first = false;
    out += std::to_string(id);
  }
  out += ')';
}

} // namespace

configuration to_configuration(const Membership& membership) {
  configuration out;
  for (const auto& m : membership.voters())
    out.voters.incoming.insert(m.raft_id());
  for (const auto& m : membership.voters_outgoing())
    out.voters.outgoing.insert(m.raft_id());
  for (const auto& m : membership.learners())
    out.learners.insert(m.raft_id());
  for (const auto& m : membership.learners_next())
    out.learners_next.insert(m.raft_id());
  out.auto_leave = membership.auto_leave();
  return out;
}

std::string render(const configuration& config) {
  std::string out;
  render_ids(out, "voters", config.voters.incoming.voters());
  render_ids(out, "outgoing", config.voters.outgoing.voters());
  render_ids(out, "learners", config.learners);
  render_ids(out, "learners_next", config.learners_next);
  if (config.auto_leave)
    out += " auto_leave";
  return out;
}

changer::outcome changer::simple(const std::vector<conf_change>& changes) const {
  if (config_.joint())
    return {"can't apply simple config change in joint config", {}, {}};
  auto out = accepted();
  apply(out, changes);
  if (out.error.empty() && difference(config_.voters.incoming, out.config.voters.incoming) > 1)
    out.error = "more than one voter changed without entering joint config";
  return out;
}

changer::outcome changer::enter_joint(bool auto_leave, const std::vector<conf_change>& changes) const {
  if (config_.joint())
    return {"config is already joint", {}, {}};
  if (config_.voters.incoming.empty())
    return {"can't make a zero-voter config joint", {}, {}};
  auto out = accepted();
  out.config.voters.outgoing = out.config.voters.incoming;
  apply(out, changes);
  out.config.auto_leave = auto_leave;
  return out;
}

changer::outcome changer::leave_joint() const {
  if (!config_.joint())
    return {"can't leave a non-joint config", {}, {}};
  auto out = accepted();
  auto& config = out.config;
  for (const auto id : config.learners_next) {
    config.learners.insert(id);
    if (const auto it = out.progress.find(id); it != out.progress.end())
      it->second.learner = true;
  }
  config.learners_next.clear();
  for (const auto id : config.voters.outgoing.voters())
    if (!config.voters.incoming.contains(id) && !config.learners.contains(id))
      out.progress.erase(id);
  config.voters.outgoing = {};
  config.auto_leave = false;
  return out;
}

void changer::apply(outcome& to, const std::vector<conf_change>& changes) const {
  for (const auto& change : changes) {
    if (change.id == 0)
      continue;
    switch (change.kind) {
      case change_kind::add_voter:
        make_voter(to, change.id);
        break;
      case change_kind::add_learner:
        make_learner(to, change.id);
        break;
      case change_kind::remove:
        remove(to, change.id);
        break;
      case change_kind::update:
        break;
    }
  }
  if (to.config.voters.incoming.empty())
    to.error = "removed all voters";
}

void changer::start_progress(outcome& to, raft_id id, bool learner) const {
  // Next is where the log ends, not 1: a newcomer's first refusal tells where it really is.
  progress fresh{std::max<log_index>(last_index_, 1), bounds_.max_inflight_messages, bounds_.max_inflight_bytes};
  fresh.learner = learner;
  // Otherwise the next CheckQuorum would count a member against the leader that could not have answered yet.
  fresh.recent_active = true;
  to.progress.emplace(id, std::move(fresh));
}

void changer::make_voter(outcome& to, raft_id id) const {
  const auto it = to.progress.find(id);
  if (it == to.progress.end())
    start_progress(to, id, false);
  else
    it->second.learner = false;
  to.config.learners.erase(id);
  to.config.learners_next.erase(id);
  to.config.voters.incoming.insert(id);
}

void changer::make_learner(outcome& to, raft_id id) const {
  const auto it = to.progress.find(id);
  if (it == to.progress.end()) {
    start_progress(to, id, true);
    to.config.learners.insert(id);
    return;
  }
  if (it->second.learner)
    return;
  to.config.voters.incoming.erase(id);
  // Still needed as a voter of the outgoing half: it may not count as both, so it waits until that half is gone.
  if (to.config.voters.outgoing.contains(id)) {
    to.config.learners_next.insert(id);
  } else {
    it->second.learner = true;
    to.config.learners.insert(id);
  }
}

void changer::remove(outcome& to, raft_id id) {
  if (!to.progress.contains(id))
    return;
  to.config.voters.incoming.erase(id);
  to.config.learners.erase(id);
  to.config.learners_next.erase(id);
  if (!to.config.voters.outgoing.contains(id))
    to.progress.erase(id);
}

} // namespace swarm::raft
