// Scenarios of slots and nodes: scaling, draining, joining.
#include "tests/sim/scenarios.hpp"

namespace swarm::sim {

namespace {

scenario_play::request scaled(scenario_play& p, std::uint64_t to) {
  return p.change([to](ServiceSpec& spec) { spec.mutable_mode()->mutable_replicated()->set_replicas(to); });
}

std::size_t running_on(const scenario_play& p, const std::string& node) {
  return p.seen().count([&](const watched_task& t) { return t.runs() && t.row.node_id() == node; });
}

std::size_t started_on(const scenario_play& p, const std::string& node) {
  return p.seen().count([&](const watched_task& t) { return t.started_us != 0 && t.row.node_id() == node; });
}

// One for each replica, and one for each that had to leave its node.
std::string replaced_once(const scenario_play& p, unsigned drained, std::uint64_t replicas) {
  const auto started = p.seen().count([](const watched_task& t) { return t.started_us != 0; });
  const auto left = started_on(p, p.node(drained));
  return complaint(up(p, "old", replicas), equal("tasks on the drained node", running_on(p, p.node(drained)), 0),
                   equal("containers ever", started, replicas + left),
                   equal("tasks ever", p.seen().all().size(), replicas + left));
}

void drain(scenario_play& p, UpdateOrder order) {
  constexpr std::uint64_t replicas = 6;
  auto spec = web(replicas);
  spec.mutable_update_config()->set_order(order);
  restart_with(spec, RESTART_CONDITION_ANY, 500);
  p.step("create", p.create(spec), [&p] { return up(p, "old", replicas); });
  p.step("drain", p.availability(0, NODE_AVAILABILITY_DRAIN), [&p] { return replaced_once(p, 0, replicas); });
  const auto is_drained = [&p] {
    const auto* const node = p.seen().node(p.node(0));
    return node != nullptr && node->spec().availability() == NODE_AVAILABILITY_DRAIN;
  };
  p.moment("before it is drained", [&p] { return p.seen().running() == replicas; });
  p.moment("when it is drained", is_drained);
  p.moment("when replacements are there", [&p] { return p.seen().all().size() > replicas; });
  p.moment("when one of them runs",
           [&p] { return p.seen().count([](const watched_task& t) { return t.started_us != 0; }) > replicas; });
  p.moment("when nothing is left there", [&p, is_drained] { return is_drained() && running_on(p, p.node(0)) == 0; });
  if (order == UPDATE_ORDER_START_FIRST)
    p.always([&p] { return at_least("containers", p.seen().running(), replicas); });
  p.at_last([&p] { return replaced_once(p, 0, replicas); });
}

} // namespace

void drain_stop_first(scenario_play& p) { drain(p, UPDATE_ORDER_STOP_FIRST); }
void drain_start_first(scenario_play& p) { drain(p, UPDATE_ORDER_START_FIRST); }

void global_service(scenario_play& p) {
  constexpr unsigned nodes = 4, late = 3, drained = 0;
  auto spec = web(0);
  spec.clear_mode();
  spec.mutable_mode()->mutable_global();
  restart_with(spec, RESTART_CONDITION_ANY, 500);
  const auto settled = [&p]() -> std::string {
    for (unsigned w = 0; w < nodes; ++w)
      if (auto wrong = complaint(
              equal("containers on worker " + std::to_string(w), running_on(p, p.node(w)), w == drained ? 0 : 1),
              equal("containers ever on worker " + std::to_string(w), started_on(p, p.node(w)), 1));
          !wrong.empty())
        return wrong;
    return up(p, "old", nodes - 1);
  };
  p.step("create", p.create(spec), [&p] { return up(p, "old", nodes - 1); });
  p.step(
      "one is drained, one joins",
      [&p, drain = p.availability(drained, NODE_AVAILABILITY_DRAIN)] {
        p.start_worker(late);
        return drain();
      },
      settled);
  p.moment("before that", [&p] { return p.seen().running() == nodes - 1; });
  p.moment("when it is drained", [&p] {
    const auto* const node = p.seen().node(p.node(drained));
    return node != nullptr && node->spec().availability() == NODE_AVAILABILITY_DRAIN;
  });
  p.moment("when the other has joined", [&p] { return p.seen().node(p.node(late)) != nullptr; });
  p.moment("when its task is there", [&p] { return p.seen().all().size() == nodes; });
  p.always([&p] {
    return complaint(at_least("containers", p.seen().running(), nodes - 2),
                     at_most("containers", p.seen().running(), nodes));
  });
  p.at_last(settled);
}

void scale_up_and_down(scenario_play& p) {
  constexpr std::int64_t history = 2; // of this scenario's cluster
  auto spec = web(2);
  *spec.mutable_update_config() = update_config(0, 0, 500);
  const auto settled = [&p](const std::string& image, std::uint64_t wanted) {
    std::set<std::uint64_t> slots;
    for (const auto* task : p.seen().all())
      if (task->runs())
        slots.insert(task->row.slot());
    return complaint(up(p, image, wanted), equal("slots with a container", slots.size(), wanted));
  };
  const auto updated = [&p, settled](const std::string& image, std::uint64_t wanted) {
    return complaint(update_is(p, UPDATE_STATE_COMPLETED), settled(image, wanted));
  };
  p.step("create", p.create(spec), [settled] { return settled("old", 2); });
  p.step("up", scaled(p, 6), [settled] { return settled("old", 6); });
  p.step("none of the first two was touched", {}, [&p] { return equal("tasks ever", p.seen().all().size(), 6); });
  p.step("down", scaled(p, 3), [settled] { return settled("old", 3); });
  p.step("update", p.change_image("new"), [updated] { return updated("new", 3); });
  p.step("update again", p.change_image("newer"), [updated] { return updated("newer", 3); });
  p.step("and again", p.change_image("newest"), [updated] { return updated("newest", 3); });
  p.step("up", scaled(p, 5), [settled] { return settled("newest", 5); });
  const auto replicas = [&p](std::uint64_t wanted) {
    return [&p, wanted] {
      return p.seen().service() != nullptr && p.seen().service()->spec().mode().replicated().replicas() == wanted;
    };
  };
  p.moment("when it is scaled up", replicas(6));
  p.moment("when the new slots are there", [&p] { return p.seen().all().size() == 6; });
  p.moment("when it is scaled down", replicas(3));
  p.moment("within an update", [&p] { return p.seen().running("newer") > 0; });
  p.moment("when it is scaled up again", replicas(5));
  p.always([&p] { return at_most("containers", p.seen().running(), 6); });
  p.at_last([&p, settled]() -> std::string {
    if (auto wrong = settled("newest", 5); !wrong.empty())
      return wrong;
    for (const auto& [slot, tasks] : p.seen().slots()) {
      std::int64_t kept = 0;
      bool live = false;
      for (const auto* task : tasks) {
        kept += task->removed ? 0 : 1;
        live = live || task->runs();
      }
      if (kept > (live ? history : 0))
        return "slot " + slot + " keeps " + std::to_string(kept) + " tasks";
    }
    return {};
  });
}

} // namespace swarm::sim
