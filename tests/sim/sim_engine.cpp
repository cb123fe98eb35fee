// Containers and what may go wrong with them.
#include "tests/sim/sim_engine.hpp"

#include <algorithm>

#include "tests/sim/cluster_checkers.hpp"
#include "tests/sim/cluster_script.hpp"

namespace swarm::sim {

namespace {
constexpr std::uint64_t call_deadline_us = 2'000'000;
} // namespace

void sim_engine::call(const char* what, const std::string& task, const reply& answer, std::function<failure()> work) {
  auto& rng = env_.rng();
  const bool calm = env_.world.healing();
  if (away_) {
    env_.world.after(1 + rng.below(1'000), [answer] { answer({errc::unavailable, "the engine is away"}, {}); });
    return;
  }
  if (!calm && rng.chance(env_.knobs.refuse_percent)) {
    env_.world.after(1 + rng.below(5'000), [answer] { answer({errc::unavailable, "the engine is busy"}, {}); });
    return;
  }
  auto delay = 1 + rng.below(env_.knobs.engine_us_max);
  if (hung_until_ > env_.world.now())
    delay += hung_until_ - env_.world.now();
  // The engine does one thing at a time with each container, in the order in which it was asked.
  auto& busy = busy_until_[task];
  busy = std::max(busy + 1, env_.world.now() + delay);
  delay = busy - env_.world.now();
  const bool lost = !calm && rng.chance(env_.knobs.lose_reply_percent);
  // The deadline is the caller's; the engine may do what was asked after it has passed.
  if (lost || delay > call_deadline_us)
    env_.world.after(call_deadline_us, [answer] { answer({errc::deadline_exceeded, "no answer from the engine"}, {}); });
  env_.world.after(delay, [this, what, task, answer, life = life_, work = std::move(work), silent = lost || delay > call_deadline_us] {
    if (life != life_) {
      if (!silent)
        answer({errc::deadline_exceeded, "the engine went away during the call"}, {});
      return;
    }
    const auto outcome = work();
    env_.world.trace("engine", 0, [&] { return what + (' ' + task) + " on " + node_id_ + ' ' + outcome.message; });
    if (!silent)
      answer(outcome, handle(task));
  });
}

TaskHandle sim_engine::handle(const std::string& task) const {
  TaskHandle out;
  out.set_task_id(task);
  const auto it = containers_.find(task);
  if (it == containers_.end())
    return out;
  out.set_phase(it->second.phase);
  out.mutable_container()->set_container_id(node_id_.substr(0, 4) + "-" + std::to_string(it->second.number));
  out.mutable_container()->set_exit_code(it->second.exit_code);
  return out;
}

void sim_engine::prepare(const std::string& task, const reply& answer) {
  call("prepare", task, answer, [this, task] {
    const auto [it, fresh] = containers_.try_emplace(task);
    if (fresh) {
      it->second.number = next_number_++;
      tell(task); // whoever asked may be gone
    }
    return failure{};
  });
}

void sim_engine::start(const std::string& task, const reply& answer) {
  call("start", task, answer, [this, task]() -> failure {
    const auto it = containers_.find(task);
    if (it == containers_.end())
      return {errc::not_found, "no such container"};
    auto& c = it->second;
    if (c.phase != TaskHandle::PHASE_CREATED)
      return {};
    if (!env_.world.healing() && env_.rng().chance(env_.knobs.fail_start_percent))
      return {errc::internal, "the container does not start"};
    c.phase = TaskHandle::PHASE_RUNNING;
    started_.insert(task);
    env_.world.trace("container_start", 0, [&] { return task + " on " + node_id_; });
    env_.checkers.container_started(node_id_, task, ++since_boot_[task]);
    if (env_.script != nullptr) {
      env_.script->container_started(task);
      if (const auto fate = env_.script->fate_of(task))
        end_later(task, c.number, fate->after_us, [code = fate->exit_code] { return code; });
    } else if (!env_.world.healing() && env_.rng().chance(env_.knobs.die_percent)) {
      end_later(task, c.number, 1 + env_.rng().below(env_.knobs.die_us_max), [this] { return env_.rng().chance(70) ? 1 : 0; });
    }
    return {};
  });
}

void sim_engine::end_later(const std::string& task, std::uint64_t number, std::uint64_t delay, std::function<std::int64_t()> exit_code) {
  env_.world.after(delay, [this, task, number, exit_code = std::move(exit_code)] {
    const auto dying = containers_.find(task);
    if (dying != containers_.end() && dying->second.number == number)
      end(task, exit_code(), true);
  });
}

void sim_engine::end(const std::string& task, std::int64_t exit_code, bool by_itself) {
  const auto it = containers_.find(task);
  if (it == containers_.end() || it->second.phase != TaskHandle::PHASE_RUNNING)
    return;
  it->second.phase = TaskHandle::PHASE_EXITED;
  it->second.exit_code = exit_code;
  env_.world.trace("container_end", 0, [&] { return task + " on " + node_id_ + " code=" + std::to_string(exit_code); });
  env_.checkers.container_ended(node_id_, task, by_itself);
  if (env_.script != nullptr)
    env_.script->container_ended(task, exit_code);
  if (by_itself)
    tell(task);
}

void sim_engine::tell(const std::string& task) {
  env_.world.after(1 + env_.rng().below(2'000), [this, task, life = life_] {
    if (life == life_ && !away_ && listener_.observed)
      listener_.observed(handle(task));
  });
}

void sim_engine::stop(const std::string& task, const reply& answer) {
  call("stop", task, answer, [this, task] {
    end(task, 143, false);
    return failure{};
  });
}

void sim_engine::remove(const std::string& task, const reply& answer) {
  call("remove", task, answer, [this, task] {
    end(task, 137, false);
    containers_.erase(task);
    return failure{};
  });
}

void sim_engine::inspect(const std::string& task, const reply& answer) {
  call("inspect", task, answer, [] { return failure{}; });
}

void sim_engine::recover(const std::function<void(const failure&, const RecoveredTasks&)>& answer) {
  call("recover", "", [this, answer](const failure& outcome, const TaskHandle&) {
    RecoveredTasks found;
    if (outcome.ok())
      for (const auto& [task, c] : containers_)
        *found.add_tasks() = handle(task);
    answer(outcome, found);
  }, [] { return failure{}; });
}

void sim_engine::fingerprint(const std::function<void(const NodeFingerprint&)>& answer) {
  env_.world.after(1 + env_.rng().below(5'000), [this, answer] {
    NodeFingerprint out;
    out.mutable_description()->set_hostname("host-" + node_id_.substr(20));
    out.mutable_description()->mutable_resources()->set_nano_cpus(4'000'000'000);
    out.mutable_description()->mutable_resources()->set_memory_bytes(8ll << 30);
    out.set_healthy(!away_);
    out.set_message(away_ ? "the engine is away" : "");
    answer(out);
  });
}

void sim_engine::power_off() {
  ++life_;
  busy_until_.clear();
  since_boot_.clear();
  away_ = false;
  hung_until_ = 0;
  listener_ = {};
  for (const auto& [task, c] : containers_)
    end(task, 137, false);
}

void sim_engine::restart(bool keep_containers) {
  ++life_;
  busy_until_.clear();
  away_ = true;
  if (!keep_containers)
    for (const auto& [task, c] : containers_)
      end(task, 137, false);
  if (listener_.health)
    listener_.health(false);
  env_.world.after(1 + env_.rng().below(2'000'000), [this, life = life_] {
    if (life == life_)
      heal();
  });
}

// What ended while it was away shows when it is back.
void sim_engine::heal() {
  hung_until_ = 0;
  if (!std::exchange(away_, false))
    return;
  if (listener_.health)
    listener_.health(true);
  for (const auto& [task, c] : containers_)
    if (c.phase == TaskHandle::PHASE_EXITED)
      tell(task);
}

bool sim_engine::runs(const std::string& task) const {
  const auto it = containers_.find(task);
  return it != containers_.end() && it->second.phase == TaskHandle::PHASE_RUNNING;
}

std::vector<std::string> sim_engine::running() const {
  std::vector<std::string> out;
  for (const auto& [task, c] : containers_)
    if (c.phase == TaskHandle::PHASE_RUNNING)
      out.push_back(task);
  return out;
}

std::vector<std::string> sim_engine::all() const {
  std::vector<std::string> out;
  for (const auto& [task, c] : containers_)
    out.push_back(task);
  return out;
}

} // namespace swarm::sim
