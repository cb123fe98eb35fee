// The hands of supervisor_core: children that a supervising actor starts, watches and restarts.
#pragma once

#include <caf/all.hpp>
#include <functional>
#include <string>
#include <vector>

#include "runtime/log.hpp"
#include "runtime/observed.hpp"
#include "runtime/supervisor_core.hpp"

namespace swarm {

struct child_spec {
  std::string label;
  restart_kind restart = restart_kind::permanent;
  /// Spawns the child. Handles of earlier children are read when it runs, so that no child holds a stale one.
  std::function<caf::actor()> start;
};

/// Lives in the state of the supervising actor and is used on its thread only; that actor passes its down messages here.
class child_group {
public:
  child_group() = default;

  template <class Self>
  static child_group make(Self* self, supervisor_options opts, std::vector<child_spec> children) {
    child_group g;
    std::vector<restart_kind> kinds;
    for (const auto& c : children)
      kinds.push_back(c.restart);
    g.children_ = std::move(children);
    g.running_.resize(g.children_.size());
    g.core_ = supervisor_core{opts, std::move(kinds)};
    g.monitor_ = [self](const caf::actor& a) { self->monitor(a); };
    g.demonitor_ = [self](const caf::actor& a) { self->demonitor(a.address()); };
    g.now_ = [self] { return instant{std::chrono::duration_cast<duration>(now_of(self))}; };
    return g;
  }

  void start_all() {
    for (std::size_t i = 0; i < children_.size(); ++i)
      start(i);
  }
  /// Last started first. Does not wait: the actors end when they have handled what they are at.
  void stop_all() {
    for (auto i = children_.size(); i-- > 0;)
      stop(i);
  }

  enum class outcome : unsigned char { not_ours, handled, gave_up };
  outcome child_down(const caf::down_msg& down) {
    for (std::size_t i = 0; i < running_.size(); ++i) {
      if (!running_[i] || running_[i].address() != down.source)
        continue;
      running_[i] = nullptr;
      const bool normally = down.reason == caf::exit_reason::normal;
      const auto decision = core_.child_ended(now_(), i, normally);
      if (!normally)
        log::warn("supervisor", "child_ended", {{"child", children_[i].label}, {"reason", to_failure(down.reason).message},
                                                {"code", static_cast<int>(down.reason.code())}, {"gives_up", decision.give_up}});
      if (decision.give_up) {
        stop_all();
        return outcome::gave_up;
      }
      for (const auto other : decision.stop)
        stop(other);
      for (const auto other : decision.start)
        start(other);
      return outcome::handled;
    }
    return outcome::not_ours;
  }

private:
  void start(std::size_t i) {
    running_[i] = children_[i].start();
    monitor_(running_[i]);
  }
  void stop(std::size_t i) {
    if (!running_[i])
      return;
    demonitor_(running_[i]);
    caf::anon_send_exit(running_[i], caf::exit_reason::user_shutdown);
    running_[i] = nullptr;
  }

  std::vector<child_spec> children_;
  std::vector<caf::actor> running_;
  supervisor_core core_{{}, {}};
  std::function<void(const caf::actor&)> monitor_, demonitor_;
  std::function<instant()> now_;
};

} // namespace swarm
