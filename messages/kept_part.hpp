// Parts of STORE's batches that their receivers keep.
#pragma once

#include <memory>

#include "messages/store.pb.h"

namespace swarm {

/// A batch whose parts its receiver may share with all others that got it; null: they must be copied.
using shared_batch = std::shared_ptr<const EventBatch>;

/// Whoever keeps one part keeps the whole batch in memory: not for one object among thousands of tasks, or of objects.
[[nodiscard]] inline bool may_be_kept(const EventBatch& batch) {
  constexpr int few = 64;
  const int services = batch.services_size() + batch.templates_size();
  return batch.tasks_size() == 0 && services <= few && batch.secrets_size() <= few && batch.configs_size() <= few;
}

/// `part` is of the batch that `whole` owns, or of any message when `whole` is null.
template <class T>
[[nodiscard]] std::shared_ptr<const T> kept_part(const shared_batch& whole, const T& part) {
  return whole ? std::shared_ptr<const T>{whole, &part} : std::make_shared<const T>(part);
}

} // namespace swarm
