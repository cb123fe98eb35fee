// Makes one EventBatch out of those of commands that only create, so that many small writes cost subscribers one message.
#pragma once

#include <functional>

#include "messages/store.pb.h"

namespace swarm::store {

/// Every batch that is put in comes out, whole and in order, by itself or together with its neighbours. Only neighbours of one
/// kind are put together: services with their templates, or secrets, or configs, and all of them created. Such commands do not
/// depend on each other, so that nobody can tell in which order within a batch they came; a subscriber that hears of services
/// before templates, or the other way round, would see through anything else. A batch of several commands has the index and
/// the wall time of the last one.
class batch_merger {
public:
  using sink = std::function<void(EventBatch&&)>;
  /// `out` gets what is not empty.
  explicit batch_merger(sink out) : out_{std::move(out)} {}

  void put(EventBatch&& batch);
  /// What is still held back. To be called before anybody may count on the events.
  void flush();

private:
  sink out_;
  EventBatch held_;
  int kind_ = 0; // of what is held; 0 = nothing
};

} // namespace swarm::store
