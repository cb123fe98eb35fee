// The part of assignments_core that deals with values which drivers keep.
#include <algorithm>

#include "actors/dispatcher/assignments_core.hpp"

namespace swarm::dispatcher {

namespace {

// Values of one frame: the rest goes with the next ones.
constexpr std::size_t values_bytes_max = 4 * 1024 * 1024;
constexpr std::size_t problem_bytes_max = 500;

// At most so many bytes, cut between characters.
std::string bounded(std::string text) {
  if (text.size() <= problem_bytes_max)
    return text;
  auto end = problem_bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  return text.substr(0, end);
}

} // namespace

void assignments_core::find_driven(version& v) const {
  v.driven.clear();
  for (const auto& ref : v.definition->spec().container_spec().secrets()) {
    const auto it = secrets_.find(ref.secret_id());
    if (it != secrets_.end() && it->second.value && it->second.value->spec().has_driver() &&
        std::find(v.driven.begin(), v.driven.end(), ref.secret_id()) == v.driven.end())
      v.driven.push_back(ref.secret_id());
  }
}

void assignments_core::follow_need(const task_id& id, row& r, bool needs) {
  const auto& [key, v] = *r.of;
  needs = needs && !v.driven.empty();
  if (needs == r.needs)
    return;
  r.needs = needs;
  if (needs)
    fetches_.need(id, key.first + "." + std::to_string(key.second), v.driven);
  else
    fetches_.release(id);
  dependencies_changed_ = true;
}

FetchSecret assignments_core::request_of(const secret_fetches::order& order) const {
  FetchSecret out;
  const auto& r = tasks_.at(order.task);
  const auto& definition = *r.of->second.definition;
  const auto& secret = secrets_.at(order.secret_id).value->spec();
  const auto& id = r.of->first.first;
  out.set_driver(secret.driver().name());
  out.set_secret_name(secret.name());
  *out.mutable_secret_labels() = secret.labels();
  out.set_service_id(id);
  out.set_task_id(order.task.str());
  if (const auto service = services_.find(id); service != services_.end()) {
    out.set_service_name(service->second.identity.name());
    *out.mutable_service_labels() = service->second.identity.labels();
    out.set_task_name(out.service_name() + "." + (r.slot == 0 ? node_id_ : std::to_string(r.slot)) + "." +
                      out.task_id());
  }
  out.set_service_hostname(definition.spec().container_spec().hostname());
  out.set_task_image(definition.spec().container_spec().image());
  if (definition.has_endpoint_spec())
    *out.mutable_endpoint_spec() = definition.endpoint_spec();
  out.set_node_id(node_id_);
  out.set_node_hostname(self_.description().hostname());
  *out.mutable_node_labels() = self_.spec().labels();
  return out;
}

std::vector<assignments_core::fetch> assignments_core::take_fetches() {
  std::vector<fetch> out;
  if (!has_session())
    return out;
  for (const auto& order : fetches_.take_orders())
    out.push_back({order.number, request_of(order)});
  return out;
}

void assignments_core::fetched(std::uint64_t number, const failure& problem, const SecretFetched& answer) {
  const auto found = secrets_.find(fetches_.secret_of(number));
  if (found == secrets_.end())
    return; // of a time before
  secret_fetches::answer what;
  what.do_not_reuse = answer.do_not_reuse();
  if (problem.ok())
    what.value = answer.value();
  else
    what.problem = bounded("secret " + found->second.value->spec().name() + ": driver " +
                           found->second.value->spec().driver().name() + ": " + problem.message);
  for (const auto& id : fetches_.answered(number, std::move(what))) {
    auto& r = tasks_.at(id);
    r.changed = true;
    changed_.insert(id);
  }
  dependencies_changed_ = true;
}

// False: there is more than fits.
bool assignments_core::add_values(Assignments& frame) {
  std::size_t bytes = 0;
  bool all = true;
  std::map<std::string, std::uint64_t> told;
  fetches_.each_value([&](const std::string& secret_id, const task_id* task, const secret_fetches::value& value) {
    const auto id = task == nullptr ? secret_id : secret_id + "." + task->str();
    const auto before = told_values_.find(id);
    if (before != told_values_.end() && before->second == value.number) {
      told.insert(*before);
      return;
    }
    if (bytes >= values_bytes_max) {
      all = false;
      return;
    }
    bytes += value.bytes.size();
    auto& secret = *frame.add_secrets();
    secret = *secrets_.at(secret_id).value;
    secret.set_id(id);
    secret.mutable_spec()->set_data(value.bytes);
    told[id] = value.number;
  });
  // An earlier value goes even when its successor has to wait: no task may start with it.
  for (const auto& [id, number] : told_values_)
    if (!told.contains(id))
      frame.add_removed_secret_ids(id);
  told_values_ = std::move(told);
  return all;
}

} // namespace swarm::dispatcher
