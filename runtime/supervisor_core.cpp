// Restart decisions.
#include "runtime/supervisor_core.hpp"

#include "runtime/check.hpp"

namespace swarm {

supervisor_decision supervisor_core::child_ended(instant now, std::size_t child, bool normally) {
  SWARM_CHECK(child < children_.size());
  supervisor_decision out;
  const auto kind = children_[child];
  if (kind == restart_kind::temporary || (kind == restart_kind::transient && normally))
    return out;
  while (!restarts_.empty() && restarts_.front() + opts_.period <= now)
    restarts_.pop_front();
  restarts_.push_back(now);
  if (restarts_.size() > opts_.intensity) {
    out.give_up = true;
    return out;
  }
  const auto first = opts_.strategy == restart_strategy::one_for_all ? 0 : child;
  const auto last = opts_.strategy == restart_strategy::one_for_one ? child + 1 : children_.size();
  for (auto i = last; i-- > first;)
    if (i != child)
      out.stop.push_back(i);
  for (auto i = first; i < last; ++i)
    if (i == child || children_[i] != restart_kind::temporary)
      out.start.push_back(i);
  return out;
}

} // namespace swarm
