// The difference between two states as events.
#include "actors/store/store_core.hpp"
#include "actors/store/tables.hpp"

namespace swarm::store {

namespace {

std::string template_bytes(const Service& service) { return stable_bytes(template_of(service)); }

/// Walks two ordered maps of objects; `each(kind, object, old)`. An object is another one when `said` gives other bytes.
template <class Map, class Each, class Said = decltype(&stable_bytes)>
void compare(const Map& before, const Map& after, Each each, Said said = stable_bytes) {
  auto b = before.begin();
  auto a = after.begin();
  while (b != before.end() || a != after.end()) {
    if (a == after.end() || (b != before.end() && b->first < a->first)) {
      each(CHANGE_KIND_REMOVED, *b->second, *b->second);
      ++b;
    } else if (b == before.end() || a->first < b->first) {
      each(CHANGE_KIND_CREATED, *a->second, *a->second);
      ++a;
    } else {
      if (said(*a->second) != said(*b->second))
        each(CHANGE_KIND_UPDATED, *a->second, *b->second);
      ++a;
      ++b;
    }
  }
}

void compare_tasks(const task_table& before, const task_table& after, EventBatch& out) {
  const auto add = [&out](ChangeKind kind, const task_table& table, row_index row) {
    auto& event = *out.add_tasks();
    event.set_kind(kind);
    table.to_proto(row, *event.mutable_task());
  };
  for (row_index row = 0; row < before.limit(); ++row)
    if (before.at(row).id && after.find(before.at(row).id) == no_row)
      add(CHANGE_KIND_REMOVED, before, row);
  for (const auto row : after.sorted()) {
    const auto old_row = before.find(after.at(row).id);
    if (old_row == no_row) {
      add(CHANGE_KIND_CREATED, after, row);
      continue;
    }
    Task old;
    Task fresh;
    before.to_proto(old_row, old);
    after.to_proto(row, fresh);
    if (stable_bytes(old) != stable_bytes(fresh))
      add(CHANGE_KIND_UPDATED, after, row);
  }
}

} // namespace

EventBatch core::changes_to(const core& next) const {
  const auto& before = *tables_;
  const auto& after = *next.tables_;
  EventBatch out;
  out.set_log_index(after.applied_index);
  compare(before.services.all(), after.services.all(), [&](ChangeKind kind, const Service& service, const Service& old) {
    auto& event = *out.add_services();
    event.set_kind(kind);
    *event.mutable_service() = service;
    if (kind == CHANGE_KIND_UPDATED)
      *event.mutable_old() = old;
  });
  compare(before.templates, after.templates, [&](ChangeKind kind, const Service& service, const Service&) {
    auto& event = *out.add_templates();
    event.set_kind(kind);
    *event.mutable_template_() = template_of(service);
  }, template_bytes);
  compare_tasks(before.tasks, after.tasks, out);
  compare(before.nodes.all(), after.nodes.all(), [&](ChangeKind kind, const Node& node, const Node& old) {
    auto& event = *out.add_nodes();
    event.set_kind(kind);
    *event.mutable_node() = node;
    if (kind == CHANGE_KIND_UPDATED)
      *event.mutable_old() = old;
  });
  const auto add = [](auto& event, ChangeKind kind, auto* field, const auto& object) {
    event.set_kind(kind);
    *field = object;
  };
  compare(before.secrets.all(), after.secrets.all(), [&](ChangeKind kind, const Secret& object, const Secret&) {
    auto& event = *out.add_secrets();
    add(event, kind, event.mutable_secret(), object);
  });
  compare(before.configs.all(), after.configs.all(), [&](ChangeKind kind, const Config& object, const Config&) {
    auto& event = *out.add_configs();
    add(event, kind, event.mutable_config(), object);
  });
  compare(before.networks.all(), after.networks.all(), [&](ChangeKind kind, const Network& object, const Network&) {
    auto& event = *out.add_networks();
    add(event, kind, event.mutable_network(), object);
  });
  if (after.cluster && (!before.cluster || stable_bytes(*before.cluster) != stable_bytes(*after.cluster))) {
    auto& event = *out.add_clusters();
    add(event, before.cluster ? CHANGE_KIND_UPDATED : CHANGE_KIND_CREATED, event.mutable_cluster(), *after.cluster);
  }
  return out;
}

} // namespace swarm::store
