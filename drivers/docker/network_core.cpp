// One entry per network, one call at a time for each.
#include "drivers/docker/network_core.hpp"

#include <algorithm>

#include "messages/ipv4.hpp"
#include "messages/json_value.hpp"
#include "messages/json_writer.hpp"
#include "messages/networks.hpp"
#include "runtime/check.hpp"

namespace swarm::docker {
namespace {

static_assert(driver::label_cluster_id == cluster_label);

bool is_ok(const answer& from) { return from.how == outcome::answered && from.status >= 200 && from.status < 300; }
bool is(const answer& from, int status) { return from.how == outcome::answered && from.status == status; }

/// The engine's words for an address range or a bridge that another network has.
bool is_clash(std::string_view text) {
  return text.find("overlaps") != std::string_view::npos || text.find("same bridge name") != std::string_view::npos;
}

std::string engine_name(const Network& network, bool other_name) {
  return other_name ? network.spec().name() + "." + network.id() : network.spec().name();
}

std::string first_subnet(const Network& network) { return network.ipam().empty() ? std::string{} : network.ipam(0).subnet(); }

const json_value& at(const json_value& from, std::string_view key) {
  static const json_value none;
  const auto* found = from.find(key);
  return found != nullptr ? *found : none;
}

} // namespace

// -- wishes -------------------------------------------------------------------------------------------------------------------

network_core::verdict network_core::want(const TaskDescription& task, call_id& next_call, effects& out) {
  if (task.network_definitions().empty())
    return verdict::ready;
  cluster_id_ = task.cluster_id();
  bool all = listed_;
  for (const auto& definition : task.network_definitions()) {
    auto& e = networks_[definition.id()];
    e.definition = definition;
    e.users.insert(task.task_id());
    all = all && e.at == phase::ready;
  }
  if (all)
    return verdict::ready;
  for (const auto& definition : task.network_definitions())
    networks_[definition.id()].wanted_by.insert(task.task_id());
  waiting_.insert(task.task_id());
  go_on(next_call, out);
  return verdict::wait;
}

void network_core::stop_waiting(const std::string& task_id) {
  waiting_.erase(task_id);
  for (auto& [id, e] : networks_) {
    e.wanted_by.erase(task_id);
    e.leaving.erase(task_id);
  }
}

void network_core::adopt(const std::string& task_id, const std::vector<std::string>& network_ids) {
  for (const auto& id : network_ids)
    networks_[id].users.insert(task_id);
}

network_core::verdict network_core::release(const std::string& task_id, call_id& next_call, effects& out) {
  stop_waiting(task_id);
  bool wait = false;
  for (auto& [id, e] : networks_) {
    if (e.users.erase(task_id) == 0 || !e.users.empty())
      continue;
    if (e.at == phase::ready)
      remove(id, e, next_call, out);
    if (e.at == phase::removing) {
      e.leaving.insert(task_id);
      wait = true;
    }
  }
  std::erase_if(networks_, [](const auto& item) { return item.second.at == phase::absent && item.second.users.empty(); });
  return wait ? verdict::wait : verdict::ready;
}

void network_core::sweep(const std::string& cluster_id, call_id& next_call, effects& out) {
  cluster_id_ = cluster_id;
  may_sweep_ = true;
  list(next_call, out);
}

void network_core::tidy(instant now, call_id& next_call, effects& out) {
  for (auto& [id, e] : networks_)
    if (e.at == phase::ready && e.users.empty() && may_sweep_ && now >= e.retry_at)
      remove(id, e, next_call, out);
}

/// Starts whatever somebody waits for and nothing is under way for.
void network_core::go_on(call_id& next_call, effects& out) {
  if (!listed_) {
    if (!waiting_.empty())
      list(next_call, out);
    return;
  }
  for (auto& [id, e] : networks_) {
    if (e.at != phase::absent || e.wanted_by.empty())
      continue;
    const auto* before = in_its_place(id, e);
    if (before == nullptr)
      create(id, e, next_call, out);
    else if (before->at != phase::removing)
      fail(e, {errc::unavailable, "network " + e.definition.spec().name() + ": tasks on this host still use network " + before->name
                                    + ", whose place it takes"});
  }
  settle_ready();
}

// -- calls --------------------------------------------------------------------------------------------------------------------

void network_core::list(call_id& next_call, effects& out) {
  if (listing_ != 0)
    return;
  listing_ = next_call++;
  calls_.emplace(listing_, "");
  const auto filter = label_filter({{"label", {std::string{cluster_label} + "=" + cluster_id_}}});
  out.push_back(make_call{listing_, "GET", "/networks?filters=" + filter, {}, opts_.call_deadline});
}

void network_core::listed(const answer& from, call_id& next_call, effects& out) {
  listing_ = 0;
  std::vector<listed_network> rows;
  failure error = is_ok(from) ? read_networks(from.body, rows) : to_failure(from);
  if (!error.ok()) {
    for (auto& [id, e] : networks_)
      if (e.at != phase::creating)
        fail(e, error);
    return;
  }
  listed_ = true;
  for (auto& [id, e] : networks_)
    if (e.at == phase::ready) {
      e.at = phase::absent; // unless it is in the list
      e.engine_id.clear();
    }
  for (const auto& row : rows) {
    if (row.cluster_id != cluster_id_ || row.network_id.empty())
      continue;
    auto& e = networks_[row.network_id];
    if (e.at == phase::removing || (!e.engine_id.empty() && e.engine_id != row.engine_id))
      continue;
    e.engine_id = row.engine_id;
    e.name = row.name;
    e.subnet = row.subnet;
    if (e.at == phase::absent)
      e.at = phase::ready;
  }
  for (auto& [id, e] : networks_)
    if (may_sweep_ && e.at == phase::ready && e.users.empty())
      remove(id, e, next_call, out);
  go_on(next_call, out);
}

void network_core::create(const std::string& id, entry& e, call_id& next_call, effects& out) {
  e.at = phase::creating;
  calls_.emplace(next_call, id);
  out.push_back(make_call{next_call++, "POST", "/networks/create", network_body(e.definition, cluster_id_, e.other_name),
                          opts_.work_deadline});
}

void network_core::created(const std::string& id, entry& e, const answer& from, call_id& next_call, effects& out) {
  e.at = phase::absent;
  if (is_ok(from)) {
    e.engine_id = read_created_id(from.body);
    e.name = engine_name(e.definition, e.other_name);
    e.subnet = first_subnet(e.definition);
    e.at = e.engine_id.empty() ? phase::absent : phase::ready;
    if (e.at == phase::absent)
      fail(e, {errc::deadline_exceeded, "the engine's answer to the creation of a network has no id"});
    else if (e.users.empty())
      remove(id, e, next_call, out); // whoever wanted it has gone meanwhile
    return go_on(next_call, out);
  }
  if (is(from, 409) && !e.other_name) {
    // Ours, whose answer was lost, or somebody else's of the same name: the list tells.
    e.other_name = true;
    listed_ = false;
    return go_on(next_call, out);
  }
  auto error = to_failure(from, "network " + e.definition.spec().name());
  listed_ = listed_ && from.how != outcome::unknown;
  if (from.how == outcome::answered && is_clash(read_message(from.body)))
    error.code = errc::invalid_argument;
  else if (from.how == outcome::answered && (from.status == 403 || from.status == 409))
    error.code = errc::invalid_argument;
  fail(e, error);
  go_on(next_call, out);
}

/// A network of ours that has its name, its addresses or its bridge. An engine that makes one while it deletes the other
/// takes the old bridge for one that somebody else has made, and leaves it behind when the new network goes.
const network_core::entry* network_core::in_its_place(const std::string& id, const entry& e) const {
  const auto mine = parse_ipv4_subnet(first_subnet(e.definition));
  for (const auto& [other_id, other] : networks_) {
    if (other_id == id || other.engine_id.empty())
      continue;
    const auto subnet = parse_ipv4_subnet(other.subnet);
    if ((mine && subnet && mine->overlaps(*subnet)) || (e.definition.vni() != 0 && other.definition.vni() == e.definition.vni())
        || other.name == e.definition.spec().name())
      return &other;
  }
  return nullptr;
}

void network_core::remove(const std::string& id, entry& e, call_id& next_call, effects& out) {
  e.at = phase::removing;
  calls_.emplace(next_call, id);
  out.push_back(make_call{next_call++, "DELETE", "/networks/" + e.engine_id, {}, opts_.work_deadline});
}

void network_core::removed(instant now, const std::string& id, const answer& from, random_source& rng, call_id& next_call,
                           effects& out) {
  auto& e = networks_.at(id);
  settle_left(e);
  if (is_ok(from) || is(from, 404)) {
    e.at = phase::absent;
    e.engine_id.clear();
    e.other_name = false;
    e.retries.reset();
  } else {
    e.at = phase::ready; // a container is still on it, or the engine is away
    e.retry_at = now + e.retries.next(rng);
  }
  if (e.at == phase::absent && e.users.empty())
    networks_.erase(id);
  go_on(next_call, out);
}

void network_core::step(instant now, const call_ended& ev, random_source& rng, call_id& next_call, effects& out) {
  const auto it = calls_.find(ev.call);
  if (it == calls_.end())
    return;
  const auto id = it->second;
  calls_.erase(it);
  if (id.empty())
    return listed(ev.answer, next_call, out);
  auto& e = networks_.at(id);
  if (e.at == phase::removing)
    removed(now, id, ev.answer, rng, next_call, out);
  else
    created(id, e, ev.answer, next_call, out);
}

// -- verdicts -----------------------------------------------------------------------------------------------------------------

void network_core::fail(entry& e, const failure& error) {
  for (const auto& task_id : std::exchange(e.wanted_by, {})) {
    waiting_.erase(task_id);
    settled_.push_back({task_id, error});
    for (auto& [id, other] : networks_)
      other.wanted_by.erase(task_id);
  }
}

/// Those whose networks are all there.
void network_core::settle_ready() {
  if (!listed_)
    return;
  std::set<std::string> still;
  for (auto& [id, e] : networks_)
    if (e.at != phase::ready)
      still.insert(e.wanted_by.begin(), e.wanted_by.end());
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    if (still.contains(*it)) {
      ++it;
      continue;
    }
    for (auto& [id, e] : networks_)
      e.wanted_by.erase(*it);
    settled_.push_back({*it, {}});
    it = waiting_.erase(it);
  }
}

void network_core::settle_left(entry& e) {
  for (const auto& task_id : std::exchange(e.leaving, {})) {
    const bool leaves_another = std::any_of(networks_.begin(), networks_.end(),
                                            [&](const auto& item) { return item.second.leaving.contains(task_id); });
    if (!leaves_another)
      settled_.push_back({task_id, {}});
  }
}

std::string network_core::engine_id(const std::string& network_id) const {
  const auto it = networks_.find(network_id);
  return it == networks_.end() ? std::string{} : it->second.engine_id;
}

std::size_t network_core::ready() const {
  return static_cast<std::size_t>(
    std::count_if(networks_.begin(), networks_.end(), [](const auto& item) { return item.second.at == phase::ready; }));
}

void network_core::check_invariants() const {
  for (const auto& [id, e] : networks_) {
    SWARM_CHECK((e.at != phase::ready && e.at != phase::removing) || !e.engine_id.empty(), id);
    for (const auto& task_id : e.wanted_by)
      SWARM_CHECK(waiting_.contains(task_id), task_id);
  }
}

// -- JSON -----------------------------------------------------------------------------------------------------------------------

std::string network_body(const Network& network, const std::string& cluster_id, bool other_name) {
  const auto& spec = network.spec();
  std::string body;
  json_writer out{body};
  out.begin_object();
  out.member("Name", engine_name(network, other_name));
  out.member("CheckDuplicate", true);
  out.member("Driver", "bridge");
  out.member("Internal", spec.internal());
  out.key("IPAM");
  out.begin_object();
  out.member("Driver", "default");
  out.key("Config");
  out.begin_array();
  for (const auto& ipam : network.ipam()) {
    out.begin_object();
    out.member("Subnet", ipam.subnet());
    out.member("Gateway", ipam.gateway());
    out.member("IPRange", ipam.gateway() + "/32");
    out.end_object();
  }
  out.end_array();
  out.end_object();
  const auto mtu = spec.options().find(std::string{mtu_option});
  out.key("Options");
  out.begin_object();
  out.member("com.docker.network.bridge.name", "sw-" + std::to_string(network.vni()));
  out.member(mtu_option, mtu != spec.options().end() ? mtu->second : std::to_string(default_mtu));
  out.end_object();
  out.key("Labels");
  out.begin_object();
  out.member(cluster_label, cluster_id);
  out.member(network_label, network.id());
  out.end_object();
  out.end_object();
  return body;
}

failure read_networks(std::string_view body, std::vector<listed_network>& out) {
  json_value doc;
  if (!json_value::parse(body, doc).ok() || !doc.is_array())
    return {errc::deadline_exceeded, "the engine's answer is not a list of networks"};
  for (const auto& row : doc.items()) {
    const auto& labels = at(row, "Labels");
    const auto& config = at(at(row, "IPAM"), "Config").items();
    listed_network item{std::string{at(row, "Id").as_string()}, std::string{at(row, "Name").as_string()},
                        std::string{at(labels, network_label).as_string()},
                        std::string{at(labels, cluster_label).as_string()},
                        config.empty() ? std::string{} : std::string{at(config[0], "Subnet").as_string()}};
    if (!item.engine_id.empty() && !item.network_id.empty())
      out.push_back(std::move(item));
  }
  return {};
}

} // namespace swarm::docker
