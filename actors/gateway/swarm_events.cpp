// Events are derived from the difference of two versions of an object.
#include "actors/gateway/swarm_events.hpp"

#include <algorithm>

#include "messages/docker_json.hpp"
#include "messages/render.hpp"

namespace swarm::gateway {

namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;

const char* action_of(ChangeKind kind) {
  return kind == CHANGE_KIND_CREATED ? "create" : kind == CHANGE_KIND_REMOVED ? "remove" : "update";
}

EventMessage make(const char* type, ChangeKind kind, const std::string& id, const Meta& meta, std::int64_t wall) {
  EventMessage event;
  event.set_type(type);
  event.set_action(action_of(kind));
  event.mutable_actor()->set_id(id);
  event.set_scope("swarm");
  const auto at = kind == CHANGE_KIND_CREATED ? meta.created_at() : kind == CHANGE_KIND_UPDATED ? meta.updated_at() : wall;
  event.set_time_nano(at != 0 ? at : wall);
  event.set_time(event.time_nano() / ns_per_s);
  return event;
}

void attribute(EventMessage& event, const std::string& key, const std::string& value) {
  (*event.mutable_actor()->mutable_attributes())[key] = value;
}

// "<key>.old" and "<key>.new" when they differ.
void changed(EventMessage& event, const std::string& key, const std::string& before, const std::string& after) {
  if (before == after)
    return;
  if (!before.empty())
    attribute(event, key + ".old", before);
  attribute(event, key + ".new", after);
}

template <class Enum>
std::string text_of(Enum value) {
  return short_name(*google::protobuf::GetEnumDescriptor<Enum>()->FindValueByNumber(value));
}

std::string replicas_of(const ServiceSpec& spec) {
  return spec.mode().has_replicated() ? std::to_string(spec.mode().replicated().replicas()) : std::string{};
}

std::string update_state_of(const Service& service) {
  return service.has_update_status() ? text_of(service.update_status().state()) : std::string{};
}

EventMessage service_event(const ServiceEvent& e, std::int64_t wall) {
  auto event = make("service", e.kind(), e.service().id(), e.service().meta(), wall);
  attribute(event, "name", e.service().spec().name());
  if (e.kind() == CHANGE_KIND_UPDATED) {
    changed(event, "image", e.old().spec().task_template().container_spec().image(),
            e.service().spec().task_template().container_spec().image());
    changed(event, "replicas", replicas_of(e.old().spec()), replicas_of(e.service().spec()));
    if (e.service().has_update_status()) // that there is none any more goes without saying, as in Swarm
      changed(event, "updatestate", update_state_of(e.old()), update_state_of(e.service()));
  }
  return event;
}

EventMessage node_event(const NodeEvent& e, std::int64_t wall) {
  auto event = make("node", e.kind(), e.node().id(), e.node().meta(), wall);
  attribute(event, "name", e.node().description().hostname());
  if (e.kind() == CHANGE_KIND_UPDATED) {
    changed(event, "availability", text_of(e.old().spec().availability()), text_of(e.node().spec().availability()));
    changed(event, "role", text_of(e.old().spec().role()), text_of(e.node().spec().role()));
    changed(event, "state", text_of(e.old().status().state()), text_of(e.node().status().state()));
    if (e.node().has_manager_status() || e.old().has_manager_status()) {
      changed(event, "leader", e.old().manager_status().leader() ? "true" : "false",
              e.node().manager_status().leader() ? "true" : "false");
      changed(event, "reachability", text_of(e.old().manager_status().reachability()),
              text_of(e.node().manager_status().reachability()));
    }
  }
  return event;
}

template <class Object>
EventMessage named_event(const char* type, ChangeKind kind, const Object& object, std::int64_t wall) {
  auto event = make(type, kind, object.id(), object.meta(), wall);
  attribute(event, "name", object.spec().name());
  return event;
}

} // namespace

std::vector<EventMessage> swarm_events(const EventBatch& batch) {
  std::vector<EventMessage> out;
  for (const auto& e : batch.services())
    out.push_back(service_event(e, batch.wall()));
  for (const auto& e : batch.nodes())
    out.push_back(node_event(e, batch.wall()));
  for (const auto& e : batch.networks())
    out.push_back(named_event("network", e.kind(), e.network(), batch.wall()));
  for (const auto& e : batch.secrets())
    out.push_back(named_event("secret", e.kind(), e.secret(), batch.wall()));
  for (const auto& e : batch.configs())
    out.push_back(named_event("config", e.kind(), e.config(), batch.wall()));
  return out;
}

bool passes(const EventMessage& event, const std::map<std::string, std::vector<std::string>>& filters) {
  const auto& attributes = event.actor().attributes();
  const auto name = attributes.count("name") > 0 ? attributes.at("name") : std::string{};
  return std::all_of(filters.begin(), filters.end(), [&](const auto& entry) {
    const auto& [key, values] = entry;
    const auto any_of = [&](const auto& test) { return std::any_of(values.begin(), values.end(), test); };
    if (key == "type")
      return any_of([&](const std::string& v) { return v == event.type(); });
    if (key == "scope")
      return any_of([&](const std::string& v) { return v == event.scope(); });
    if (key == "event")
      return any_of([&](const std::string& v) { return v == event.action(); });
    if (key == "label")
      return any_of([&](const std::string& v) {
        const auto eq = v.find('=');
        const auto it = attributes.find(v.substr(0, eq));
        return it != attributes.end() && (eq == std::string::npos || it->second == v.substr(eq + 1));
      });
    if (key == "service" || key == "node" || key == "secret" || key == "config" || key == "network")
      return event.type() == key && any_of([&](const std::string& v) { return v == event.actor().id() || v == name; });
    return false; // container, image, volume, daemon…: none of ours
  });
}

} // namespace swarm::gateway
