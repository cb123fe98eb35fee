// Targets with their back-off, links with their tie-break.
#include "actors/links/peers_core.hpp"

#include <algorithm>

namespace swarm::links {

namespace {

constexpr unsigned doublings_max = 20;

std::string key_of(const std::string& node_id, const std::string& addr) { return node_id.empty() ? "@" + addr : node_id; }

const failure not_wanted{errc::unavailable, "the link is not wanted any more"};
const failure second_link{errc::already_exists, "there is another link to this node"};

} // namespace

LinkChanged peers_core::news(const link& about, bool up, const std::string& reason) {
  LinkChanged out;
  out.set_node_id(about.node_id);
  out.set_addr(about.addr);
  out.set_role(about.role);
  out.set_up(up);
  out.set_reason(reason);
  return out;
}

bool peers_core::satisfied(const target& t) const { return !t.node_id.empty() && links_.contains(t.node_id); }

effects peers_core::connect(instant now, const std::string& node_id, const std::string& addr) {
  effects out;
  const auto key = key_of(node_id, addr);
  const auto it = targets_.find(key);
  if (it == targets_.end()) {
    if (targets_.size() >= opts_.targets_max)
      return out;
    target t;
    t.node_id = node_id;
    t.addr = addr;
    t.by_addr = node_id.empty();
    t.due = now;
    targets_.emplace(key, std::move(t));
  } else if (it->second.addr != addr) {
    it->second.addr = addr;
    it->second.failures = 0;
    it->second.due = now;
  }
  dial_due(now, out);
  return out;
}

effects peers_core::forget(const std::string& node_id, const std::string& addr) {
  effects out;
  const auto it = targets_.find(key_of(node_id, addr));
  if (it == targets_.end())
    return out;
  if (it->second.link != 0)
    out.push_back(hang_up{it->second.link, not_wanted});
  targets_.erase(it);
  return out;
}

void peers_core::dialling(const std::string& key, std::uint64_t link) {
  if (const auto it = targets_.find(key); it != targets_.end())
    it->second.link = link;
}

void peers_core::dial_failed(instant now, const std::string& key, const failure& why) {
  if (const auto it = targets_.find(key); it != targets_.end())
    retry(now, it->second, why);
}

bool peers_core::keep_old(instant now, const entry& old, const link& fresh, const std::string& own) const {
  if (old.what.dialled == fresh.dialled || now - old.since > opts_.duplicate_window)
    return false;
  // Both ends judge alike: the link that the smaller node id has dialled stays.
  const bool own_dial_stays = own < fresh.node_id;
  return old.what.dialled == own_dial_stays;
}

effects peers_core::up(instant now, const std::string& own_node_id, link with) {
  effects out;
  const auto asked = std::find_if(targets_.begin(), targets_.end(), [&](const auto& t) { return t.second.link == with.id; });
  if (asked != targets_.end() && asked->second.by_addr)
    asked->second.node_id = with.node_id;
  if (with.node_id == own_node_id) {
    out.push_back(hang_up{with.id, {errc::invalid_argument, "this is the node itself"}});
    return out;
  }
  const auto old = links_.find(with.node_id);
  const bool first = old == links_.end();
  if (!first && keep_old(now, old->second, with, own_node_id)) {
    out.push_back(hang_up{with.id, second_link});
    return out;
  }
  const auto id = with.id;
  if (!first)
    out.push_back(hang_up{old->second.what.id, second_link});
  const auto said = news(with, true, "");
  const auto node_id = with.node_id;
  links_.insert_or_assign(node_id, entry{std::move(with), now});
  out.push_back(adopt{id});
  if (first)
    out.push_back(report{said});
  return out;
}

effects peers_core::down(instant now, std::uint64_t link, const failure& why, bool broke_off) {
  effects out;
  const auto it = std::find_if(links_.begin(), links_.end(), [&](const auto& l) { return l.second.what.id == link; });
  std::string node_id;
  duration lived{};
  if (it != links_.end()) {
    node_id = it->first;
    lived = now - it->second.since;
    auto told = news(it->second.what, false, why.message);
    told.set_broke_off(broke_off);
    out.push_back(report{std::move(told)});
    links_.erase(it);
  }
  for (auto& [key, t] : targets_) {
    const bool its_own = t.link == link;
    if (its_own)
      t.link = 0;
    if (satisfied(t) || (!its_own && (node_id.empty() || t.node_id != node_id || t.link != 0)))
      continue;
    if (lived >= opts_.good_after)
      t.failures = 0;
    else if (lived >= opts_.flaps_after)
      t.failures = std::min(t.failures, opts_.flapping_max);
    retry(now, t, why);
  }
  dial_due(now, out);
  return out;
}

void peers_core::retry(instant now, target& t, const failure& why) {
  t.last_error = why.message;
  if (t.by_addr)
    t.node_id.clear(); // another node may answer there next time
  const auto ceiling = std::min(backoff_max_.count(), opts_.backoff_min.count() << std::min(t.failures, doublings_max));
  ++t.failures;
  t.due = now + duration{static_cast<std::int64_t>(rng_.between(static_cast<std::uint64_t>(ceiling) / 2, static_cast<std::uint64_t>(ceiling)))};
}

effects peers_core::refuse(const std::string& node_id, const failure& why) {
  effects out;
  if (const auto it = links_.find(node_id); it != links_.end())
    out.push_back(hang_up{it->second.what.id, why});
  return out;
}

void peers_core::dial_due(instant now, effects& out) {
  for (auto& [key, t] : targets_)
    if (t.link == 0 && !satisfied(t) && t.due <= now) {
      t.due = now + backoff_max_; // should the shell never tell what became of it
      out.push_back(dial{key, t.by_addr ? "" : t.node_id, t.addr});
    }
}

effects peers_core::tick(instant now) {
  effects out;
  dial_due(now, out);
  return out;
}

std::optional<instant> peers_core::next_due() const {
  std::optional<instant> due;
  for (const auto& [key, t] : targets_)
    if (t.link == 0 && !satisfied(t))
      due = due ? std::min(*due, t.due) : t.due;
  return due;
}

std::vector<LinkChanged> peers_core::links() const {
  std::vector<LinkChanged> out;
  for (const auto& [id, l] : links_)
    out.push_back(news(l.what, true, ""));
  return out;
}

std::string peers_core::dump() const {
  std::string out;
  for (const auto& [id, l] : links_)
    out += "link " + std::to_string(l.what.id) + " node=" + id + " addr=" + l.what.addr + (l.what.dialled ? " dialled\n" : " accepted\n");
  for (const auto& [key, t] : targets_)
    out += "target " + key + " addr=" + t.addr + (satisfied(t) ? " up" : t.link != 0 ? " dialling" : " waiting") +
           " failures=" + std::to_string(t.failures) + (t.last_error.empty() ? "" : " last: " + t.last_error) + "\n";
  return out;
}

} // namespace swarm::links
