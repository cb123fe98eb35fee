// What a leader decides with: the real cores of ORCHESTRATOR, SERVICE, SCHEDULER and NODE, fed with the store's events.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actors/dispatcher/assignments_core.hpp"
#include "actors/dispatcher/routing_core.hpp"
#include "actors/orchestrator/orchestrator_core.hpp"
#include "actors/orchestrator/service_core.hpp"
#include "actors/scheduler/scheduler_core.hpp"
#include "runtime/random.hpp"

namespace swarm::test {

/// Stands where the actors of a leader stand; dies with the office.
class leader_cores {
public:
  using answer = std::function<void(const failure&)>;
  enum class reader { orchestrator, scheduler, dispatcher };
  struct host {
    std::function<timestamp()> now;
    std::function<void(Command, answer)> propose; ///< the answer may come at once, later or never
    std::function<failure(const ReadObjects&, ObjectsRead&)> read;
    std::function<void(instant)> wake = nullptr;  ///< tick_due() is wanted then; without it call tick_all() now and then
    // What that reader hears instead (planted bugs).
    std::function<void(reader, EventBatch&)> edit = nullptr;
    std::function<void(reader, StoreSnapshot&)> edit_start = nullptr;
  };

  leader_cores(host where, random_source& rng) : host_{std::move(where)}, rng_{rng} {}

  void load(const StoreSnapshot& snapshot) {
    heard(reader::orchestrator, snapshot, host_.edit_start,
          [&](const StoreSnapshot& s) { route(orchestrator_.load(host_.now(), s), {}); });
    heard(reader::scheduler, snapshot, host_.edit_start, [&](const StoreSnapshot& s) { take(scheduler_.load(host_.now(), s)); });
    heard(reader::dispatcher, snapshot, host_.edit_start, [&](const StoreSnapshot& s) { dispatch(routes_.load(s)); });
    enforce(orchestrator_.next_enforcement(host_.now()));
  }
  void publish(const EventBatch& batch) {
    heard(reader::orchestrator, batch, host_.edit, [&](const EventBatch& b) { route(orchestrator_.route(b), b); });
    heard(reader::scheduler, batch, host_.edit, [&](const EventBatch& b) { take(scheduler_.apply(host_.now(), b)); });
    heard(reader::dispatcher, batch, host_.edit, [&](const EventBatch& b) { dispatch(routes_.route(b)); });
    enforce(orchestrator_.next_enforcement(host_.now()));
  }
  void tick_all() {
    for (auto& [id, service] : services_)
      take(id, service->tick(host_.now()));
    take(scheduler_.tick(host_.now()));
    enforce(orchestrator_.next_enforcement(host_.now()));
  }
  /// Those only that have asked to be woken.
  void tick_due() {
    const auto now = host_.now().now;
    std::vector<service_id> due;
    std::erase_if(service_wakes_, [&](const auto& item) {
      if (item.second > now)
        return false;
      due.push_back(item.first);
      return true;
    });
    for (const auto& id : due)
      if (const auto it = services_.find(id); it != services_.end())
        take(id, it->second->tick(host_.now()));
    if (scheduler_wake_ && *scheduler_wake_ <= now) {
      scheduler_wake_.reset();
      take(scheduler_.tick(host_.now()));
    }
    if (enforce_wake_ && *enforce_wake_ <= now) {
      enforce_wake_.reset();
      enforce(orchestrator_.next_enforcement(host_.now()));
    }
  }

  [[nodiscard]] std::map<std::string, std::unique_ptr<dispatcher::assignments_core>>& nodes() { return nodes_; }
  [[nodiscard]] dispatcher::assignments_core& node_of(const std::string& id) {
    return *nodes_.try_emplace(id, std::make_unique<dispatcher::assignments_core>(id)).first->second;
  }
  [[nodiscard]] const scheduler::core& placing() const { return scheduler_; }
  [[nodiscard]] orchestrator::service_core& deciding(const service_id& id) { return *services_.at(id); }
  [[nodiscard]] std::string dump() const {
    std::string out;
    for (const auto& [id, service] : services_) {
      const auto wake = service_wakes_.find(id);
      out += service->dump() + (wake == service_wakes_.end() ? "" : " wake=" + std::to_string(wake->second.time_since_epoch().count())) + '\n';
    }
    return out;
  }
  [[nodiscard]] std::size_t service_count() const { return services_.size(); }
  void check_invariants() const {
    scheduler_.check_invariants();
    for (const auto& [id, service] : services_)
      service->check_invariants();
    for (const auto& [id, node] : nodes_)
      node->check_invariants();
  }

private:
  template <class What, class Edit, class F>
  void heard(reader who, const What& what, const Edit& edit, F f) {
    if (!edit)
      return f(what);
    auto edited = what;
    edit(who, edited);
    f(edited);
  }
  void wake(std::optional<instant>& slot, const std::optional<instant>& at) {
    if (!at || (slot && *slot <= *at))
      return;
    slot = at;
    if (host_.wake)
      host_.wake(*at);
  }
  /// An answer that comes after the office has ended is for nobody.
  template <class F>
  answer while_alive(F f) {
    return [alive = std::weak_ptr<int>{alive_}, f = std::move(f)](const failure& outcome) {
      if (!alive.expired())
        f(outcome);
    };
  }

  void route(orchestrator::routing plan, const EventBatch& whole) {
    for (const auto& id : plan.fresh) {
      services_[id] = std::make_unique<orchestrator::service_core>(id, rng_());
      take(id, services_[id]->apply(host_.now(), orchestrator_.base()));
    }
    const auto give = [&](const service_id& id, const EventBatch& batch) {
      if (const auto it = services_.find(id); it != services_.end())
        take(id, it->second->apply(host_.now(), batch));
    };
    for (const auto& id : plan.whole_to)
      give(id, whole);
    if (!plan.whole_to.empty())
      return;
    std::vector<service_id> all;
    for (const auto& [id, service] : services_)
      all.push_back(id);
    for (const auto& id : all)
      if (const auto part = plan.parts.find(id); part != plan.parts.end())
        give(id, part->second);
      else if (plan.whole_to_all)
        give(id, whole);
      else if (plan.common.nodes_size() + plan.common.clusters_size() + plan.common.networks_size() > 0)
        give(id, plan.common);
  }

  void take(const service_id& id, orchestrator::service_effects effects) {
    if (effects.propose)
      host_.propose(std::move(*effects.propose), while_alive([this, id](const failure& outcome) {
                      if (const auto it = services_.find(id); it != services_.end())
                        take(id, it->second->proposed(host_.now(), outcome));
                    }));
    if (effects.wake) {
      const auto it = service_wakes_.find(id);
      auto slot = it == service_wakes_.end() ? std::optional<instant>{} : std::optional{it->second};
      wake(slot, effects.wake);
      service_wakes_[id] = *slot;
    }
    if (effects.finished) {
      services_.erase(id);
      orchestrator_.retired(id);
    }
  }

  void take(scheduler::effects effects) {
    for (auto& p : effects.proposals)
      host_.propose(std::move(p.command), while_alive([this, ticket = p.ticket](const failure& outcome) {
                      take(scheduler_.proposed(host_.now(), ticket, outcome));
                    }));
    wake(scheduler_wake_, effects.wake);
  }

  void enforce(orchestrator::enforcement step) {
    wake(enforce_wake_, step.wake);
    if (step.read_node) {
      ReadObjects read;
      read.set_kind(OBJECT_KIND_TASK);
      read.add_filters()->set_key("node");
      read.mutable_filters(0)->add_values(*step.read_node);
      ObjectsRead answer;
      const auto outcome = host_.read(read, answer);
      enforce(orchestrator_.enforced_read(host_.now(), *step.read_node, outcome, answer));
    }
    if (step.propose)
      host_.propose(std::move(*step.propose), while_alive([this](const failure& outcome) {
                      enforce(orchestrator_.proposed(host_.now(), outcome));
                    }));
  }

  void dispatch(dispatcher::routed plan) {
    for (const auto& id : plan.fresh)
      (void)node_of(id);
    for (auto& [id, node] : nodes_)
      if (plan.to_all.services_size() + plan.to_all.templates_size() > 0)
        node->apply(plan.to_all);
    for (const auto& [id, part] : plan.parts)
      node_of(id).apply(part);
    for (const auto& id : plan.gone)
      nodes_.erase(id);
  }

  host host_;
  random_source& rng_;
  orchestrator::orchestrator_core orchestrator_;
  std::map<service_id, std::unique_ptr<orchestrator::service_core>> services_;
  scheduler::core scheduler_;
  dispatcher::routing_core routes_;
  std::map<std::string, std::unique_ptr<dispatcher::assignments_core>> nodes_;
  std::map<service_id, instant> service_wakes_;
  std::optional<instant> scheduler_wake_;
  std::optional<instant> enforce_wake_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

} // namespace swarm::test
