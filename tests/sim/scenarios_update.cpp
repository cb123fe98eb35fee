// Scenarios of updates and rollbacks.
#include "tests/sim/scenarios.hpp"

#include "tests/sim/raft_checkers.hpp"

namespace swarm::sim {

namespace {

constexpr std::uint64_t replicas = 6;

bool is_updating(const scenario_play& p) { return p.seen().update_state() == UPDATE_STATE_UPDATING; }
bool is_rolling_back(const scenario_play& p) { return p.seen().update_state() == UPDATE_STATE_ROLLBACK_STARTED; }

ServiceSpec updated_service(const UpdateConfig& update) {
  auto spec = web(replicas);
  restart_with(spec, RESTART_CONDITION_ANY, 1'000);
  *spec.mutable_update_config() = update;
  return spec;
}

// Nobody but the update replaces a task: in each slot one of every image in this order.
std::string replaced_once(const scenario_play& p, const std::vector<std::string>& images,
                          std::uint64_t slots = replicas) {
  const auto all = p.seen().slots();
  if (all.size() != slots)
    return of("slots", all.size(), slots);
  for (const auto& [slot, tasks] : all) {
    std::vector<std::string> had;
    for (const auto* task : tasks)
      had.push_back(task->image);
    if (had != images)
      return "slot " + slot + " had " + std::to_string(had.size()) + " tasks, not one of each version";
  }
  return {};
}

void moments_of_update(scenario_play& p, std::uint64_t parallelism) {
  p.moment("before the first batch", [&p] { return p.seen().service() != nullptr && p.seen().image() == "new"; });
  p.moment("within a batch", [&p] { return p.seen().created("new") > p.seen().running("new"); });
  p.moment("between two batches", [&p, parallelism] {
    return p.seen().running("new") == parallelism && p.seen().created("new") == parallelism;
  });
  p.moment("within the second batch", [&p, parallelism] { return p.seen().created("new") > parallelism; });
  p.moment("within the monitor period", [&p] { return p.seen().running("new") == replicas && is_updating(p); });
  p.moment("when it has completed", [&p] { return p.seen().update_state() == UPDATE_STATE_COMPLETED; });
}

void plain_update(scenario_play& p, const UpdateConfig& update) {
  p.step("create", p.create(updated_service(update)), [&p] { return up(p, "old", replicas); });
  p.step("update", p.change_image("new"),
         [&p] { return complaint(update_is(p, UPDATE_STATE_COMPLETED), up(p, "new", replicas)); });
  p.at_last([&p] {
    return complaint(update_is(p, UPDATE_STATE_COMPLETED), up(p, "new", replicas), replaced_once(p, {"old", "new"}));
  });
}

void fail_new(scenario_play& p) {
  p.fates([](const watched_task& task) -> std::optional<cluster_script::fate> {
    if (task.image != "new")
      return std::nullopt;
    return cluster_script::fate{300 * ms_us, 1};
  });
}

// Slots that have never had a task of another version than the first.
std::size_t untouched(const scenario_play& p) {
  std::size_t out = 0;
  for (const auto& [slot, tasks] : p.seen().slots())
    out += tasks.size() == 1 && tasks.front()->image == "old" && tasks.front()->runs() ? 1 : 0;
  return out;
}

} // namespace

void update_stop_first(scenario_play& p) {
  plain_update(p, update_config(2, 1'000, 2'000));
  moments_of_update(p, 2);
  p.always([&p] {
    return complaint(at_least("containers", p.seen().running(), replicas - 2),
                     at_most("containers", p.seen().running(), replicas));
  });
}

void update_start_first(scenario_play& p) {
  auto update = update_config(2, 1'000, 2'000);
  update.set_order(UPDATE_ORDER_START_FIRST);
  plain_update(p, update);
  moments_of_update(p, 2);
  // What has been told to stop is not waited for, as in Swarm.
  p.always([&p] {
    const auto wanted = p.seen().count([](const watched_task& t) { return t.runs() && t.wanted(); });
    return complaint(at_least("containers", p.seen().running(), replicas),
                     at_most("wanted containers", wanted, replicas + 2));
  });
}

void update_all_at_once(scenario_play& p) {
  plain_update(p, update_config(0, 0, 2'000));
  p.moment("before it", [&p] { return p.seen().service() != nullptr && p.seen().image() == "new"; });
  p.moment("within it", [&p] { return p.seen().created("new") == replicas; });
  p.moment("when half is up", [&p] { return p.seen().running("new") >= replicas / 2; });
  p.always([&p] { return at_most("containers", p.seen().running(), replicas); });
}

// A leader that begins after the failure counts it no more, as in Swarm, but the next one: so at most one slot more is lost.
void update_pauses(scenario_play& p) {
  auto update = update_config(1, 2'000, 4'000);
  update.set_failure_action(FAILURE_ACTION_PAUSE);
  p.step("create", p.create(updated_service(update)), [&p] { return up(p, "old", replicas); });
  p.step("update to what fails", p.change_image("new"), [&p] { return update_is(p, UPDATE_STATE_PAUSED); });
  p.step("nobody goes on", {}, [&p, wait = p.lasts(10'000 * ms_us)] {
    if (auto wrong =
            complaint(update_is(p, UPDATE_STATE_PAUSED), at_least("untouched slots", untouched(p), replicas - 2));
        !wrong.empty())
      throw violation{wrong};
    return wait();
  });
  p.step("update to what works", p.change_image("better"),
         [&p] { return complaint(update_is(p, UPDATE_STATE_COMPLETED), up(p, "better", replicas)); });
  fail_new(p);
  p.moment("before the first batch", [&p] { return p.seen().service() != nullptr && p.seen().image() == "new"; });
  p.moment("when the first new one is placed", [&p] { return p.seen().created("new") > 0; });
  p.moment("when the first new one runs", [&p] { return p.seen().running("new") > 0; });
  p.moment("when it has failed", [&p] { return p.seen().failed() > 0; });
  p.moment("when it is paused", [&p] { return p.seen().update_state() == UPDATE_STATE_PAUSED; });
  p.moment("in the update after that", [&p] { return p.seen().running("better") > 0; });
  p.always([&p] { return at_least("containers", p.seen().running(), replicas - 2); });
  p.at_last([&p] { return complaint(update_is(p, UPDATE_STATE_COMPLETED), up(p, "better", replicas)); });
}

void update_rolls_back(scenario_play& p) {
  auto update = update_config(2, 2'000, 4'000);
  update.set_failure_action(FAILURE_ACTION_ROLLBACK);
  auto spec = updated_service(update);
  *spec.mutable_rollback_config() = update_config(1, 500, 1'500);
  const auto is_back = [&p] {
    return complaint(update_is(p, UPDATE_STATE_ROLLBACK_COMPLETED), up(p, "old", replicas));
  };
  p.step("create", p.create(spec), [&p] { return up(p, "old", replicas); });
  // Asked once only: when it has been rolled back it must not be asked again.
  p.step("update to what fails", p.change_image("new"),
         [&p] { return p.seen().created("new") > 0 ? "" : "nothing is replaced"; });
  p.step("the rollback", {}, is_back);
  fail_new(p);
  p.moment("before the first batch", [&p] { return p.seen().service() != nullptr && p.seen().image() == "new"; });
  p.moment("when a new one has failed", [&p] { return p.seen().failed() > 0; });
  p.moment("when it begins to go back", [&p] { return is_rolling_back(p); });
  p.moment("within the rollback", [&p] { return is_rolling_back(p) && p.seen().created("old") > replicas; });
  p.moment("within its monitor period", [&p] { return is_rolling_back(p) && p.seen().running("old") == replicas; });
  p.moment("when it is back", [&p] { return p.seen().update_state() == UPDATE_STATE_ROLLBACK_COMPLETED; });
  // A leader that dies before it is told of the failures leaves two that look well: the next two follow at once.
  p.always([&p] { return at_least("containers", p.seen().running(), replicas - 4); });
  p.at_last([&p, is_back] { return complaint(is_back(), at_least("untouched slots", untouched(p), replicas - 4)); });
}

void roll_back_twice(scenario_play& p) {
  auto spec = updated_service(update_config(1, 500, 2'000));
  *spec.mutable_rollback_config() = update_config(1, 500, 2'000);
  p.step("create", p.create(spec), [&p] { return up(p, "old", replicas); });
  p.step("update", p.change_image("new"), [&p] { return at_least("new containers", p.seen().running("new"), 3); });
  p.step("roll back", p.roll_back("old"),
         [&p] { return at_least("old tasks", p.seen().created("old"), replicas + 2); });
  p.step("roll forward", p.roll_back("new"),
         [&p] { return complaint(update_is(p, UPDATE_STATE_ROLLBACK_COMPLETED), up(p, "new", replicas)); });
  p.moment("within the update", [&p] { return p.seen().running("new") == 2; });
  p.moment("when the rollback is asked for", [&p] { return p.seen().created("new") > 0 && p.seen().image() == "old"; });
  p.moment("within the rollback", [&p] { return p.seen().created("old") > replicas; });
  p.moment("when it is rolled forward",
           [&p] { return p.seen().created("old") > replicas && p.seen().image() == "new"; });
  p.moment("in its monitor period", [&p] { return is_rolling_back(p) && p.seen().running("new") == replicas; });
  p.always([&p] {
    return complaint(at_least("containers", p.seen().running(), replicas - 1),
                     at_most("containers", p.seen().running(), replicas));
  });
  p.at_last([&p] { return complaint(update_is(p, UPDATE_STATE_ROLLBACK_COMPLETED), up(p, "new", replicas)); });
}

void update_and_scale(scenario_play& p) {
  constexpr std::uint64_t more = 9;
  p.step("create", p.create(updated_service(update_config(2, 1'000, 2'000))), [&p] { return up(p, "old", replicas); });
  p.step("update", p.change_image("new"), [&p] { return at_least("new containers", p.seen().running("new"), 2); });
  p.step("scale", p.change([](ServiceSpec& spec) { spec.mutable_mode()->mutable_replicated()->set_replicas(more); }),
         [&p] { return complaint(update_is(p, UPDATE_STATE_COMPLETED), up(p, "new", more)); });
  p.moment("within the update", [&p] { return p.seen().running("new") > 0; });
  p.moment("when it is scaled", [&p] {
    return p.seen().service() != nullptr && p.seen().service()->spec().mode().replicated().replicas() == more;
  });
  p.moment("when the additional ones are there", [&p] { return p.seen().slots().size() == more; });
  p.moment("when it has completed", [&p] { return p.seen().update_state() == UPDATE_STATE_COMPLETED; });
  p.always([&p] { return at_least("containers", p.seen().running(), replicas - 2); });
  p.at_last([&p] {
    std::size_t twice = 0;
    for (const auto& [slot, tasks] : p.seen().slots())
      twice += tasks.size() > 2 ? 1 : 0;
    return complaint(update_is(p, UPDATE_STATE_COMPLETED), up(p, "new", more), equal("slots replaced twice", twice, 0));
  });
}

void update_secret(scenario_play& p) {
  const auto fine = [] { return std::string{}; };
  const auto with_secret = [&p](ServiceSpec& spec, const std::string& name) {
    spec.mutable_task_template()->mutable_container_spec()->clear_secrets();
    test::use_secret(spec, p.seen().secret(name), name);
  };
  p.step("create the first secret", p.create_secret("one", "data of old"), fine);
  p.step(
      "create",
      [&p, with_secret] {
        auto spec = updated_service(update_config(2, 500, 1'000));
        with_secret(spec, "one");
        return p.create(spec)();
      },
      [&p] { return up(p, "old", replicas); });
  p.step("create the second secret", p.create_secret("two", "data of new"), fine);
  p.step("update", p.change([with_secret](ServiceSpec& spec) {
    with_secret(spec, "two");
    spec.mutable_task_template()->mutable_container_spec()->set_image("new");
  }),
         [&p] { return complaint(update_is(p, UPDATE_STATE_COMPLETED), up(p, "new", replicas)); });
  // The previous specification names it: a rollback would need it.
  p.step("update once more", p.change_image("newer"),
         [&p] { return complaint(update_is(p, UPDATE_STATE_COMPLETED), up(p, "newer", replicas)); });
  p.step("remove the first secret", p.remove_secret("one"), fine);
  p.moment("when the second secret is there", [&p] { return !p.seen().secret("two").empty(); });
  p.moment("when the service names it", [&p] { return p.seen().service() != nullptr && p.seen().image() == "new"; });
  p.moment("when a new task is placed", [&p] { return p.seen().created("new") > 0; });
  p.moment("when half is replaced", [&p] { return p.seen().running("new") >= replicas / 2; });
  p.moment("when the first secret is gone",
           [&p] { return !p.seen().secret("two").empty() && p.seen().secret("one").empty(); });
  p.always([&p]() -> std::string {
    for (const auto* task : p.seen().all())
      if (task->started_us != 0 && task->files != (task->image == "old" ? "data of old" : "data of new"))
        return "task " + task->row.id() + " of " + task->image + " has \"" + task->files + '"';
    return {};
  });
  p.at_last([&p] { return complaint(up(p, "newer", replicas), replaced_once(p, {"old", "new", "newer"})); });
}

namespace {

// A service whose secrets these drivers keep, each secret named as its driver, is created and updated once.
void play_drivers(scenario_play& p, const std::vector<std::string>& drivers) {
  const auto fine = [] { return std::string{}; };
  for (const auto& driver : drivers)
    p.step("create the secret " + driver, p.create_driven_secret(driver, driver), fine);
  p.step(
      "create",
      [&p, drivers] {
        auto spec = updated_service(update_config(2, 500, 1'000));
        for (const auto& driver : drivers)
          test::use_secret(spec, p.seen().secret(driver), driver);
        return p.create(spec)();
      },
      [&p] { return up(p, "old", replicas); });
  p.moment("when the first task is placed", [&p] { return p.seen().created("old") > 0; });
  p.moment("when the first container runs", [&p] { return p.seen().running("old") > 0; });
  p.always([&p, drivers]() -> std::string {
    for (const auto* task : p.seen().all()) {
      std::string wanted;
      for (const auto& driver : drivers)
        wanted += driver == "each" ? "of " + task->row.id() : "of " + driver;
      if (task->started_us != 0 && task->files != wanted)
        return "task " + task->row.id() + " has \"" + task->files + '"';
    }
    return {};
  });
}

} // namespace

void driven_secrets(scenario_play& p) {
  play_drivers(p, {"all", "each"});
  p.step("update", p.change_image("new"),
         [&p] { return complaint(update_is(p, UPDATE_STATE_COMPLETED), up(p, "new", replicas)); });
  moments_of_update(p, 2);
  p.at_last([&p] { return complaint(up(p, "new", replicas), replaced_once(p, {"old", "new"})); });
}

void flaky_driver(scenario_play& p) {
  play_drivers(p, {"flaky"});
  p.at_last([&p] { return up(p, "old", replicas); });
}

} // namespace swarm::sim
