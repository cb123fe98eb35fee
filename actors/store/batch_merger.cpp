// Which batches may be put together.
#include "actors/store/batch_merger.hpp"

#include <algorithm>
#include <utility>

namespace swarm::store {

namespace {

constexpr int alone = 0;
constexpr int nothing = 4;

template <class Events>
bool all_created(const Events& events) {
  return std::all_of(events.begin(), events.end(), [](const auto& event) { return event.kind() == CHANGE_KIND_CREATED; });
}

// 1 to 3: batches with the same number may be put together.
int kind_of(const EventBatch& batch) {
  if (batch.tasks_size() + batch.nodes_size() + batch.networks_size() + batch.clusters_size() > 0)
    return alone;
  const bool services = batch.services_size() + batch.templates_size() > 0;
  const bool secrets = batch.secrets_size() > 0;
  const bool configs = batch.configs_size() > 0;
  if (!services && !secrets && !configs)
    return nothing;
  if (services + secrets + configs > 1 || !all_created(batch.services()) || !all_created(batch.templates())
      || !all_created(batch.secrets()) || !all_created(batch.configs()))
    return alone;
  return services ? 1 : secrets ? 2 : 3;
}

template <class Events>
void append(Events& to, Events& from) {
  for (auto& event : from)
    to.Add(std::move(event));
}

} // namespace

void batch_merger::put(EventBatch&& batch) {
  const int kind = kind_of(batch);
  if (kind == nothing)
    return;
  if (kind != alone && kind == kind_) {
    append(*held_.mutable_services(), *batch.mutable_services());
    append(*held_.mutable_templates(), *batch.mutable_templates());
    append(*held_.mutable_secrets(), *batch.mutable_secrets());
    append(*held_.mutable_configs(), *batch.mutable_configs());
    held_.set_log_index(batch.log_index());
    held_.set_wall(batch.wall());
    return;
  }
  flush();
  if (kind == alone)
    return out_(std::move(batch));
  held_ = std::move(batch);
  kind_ = kind;
}

void batch_merger::flush() {
  if (kind_ != 0)
    out_(std::exchange(held_, {}));
  kind_ = 0;
}

} // namespace swarm::store
