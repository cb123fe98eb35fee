// The scenarios, each written by one function; and small words that they share.
#pragma once

#include <string>

#include "tests/sim/scenario_play.hpp"
#include "tests/support/builders.hpp"

namespace swarm::sim {

// scenarios_update.cpp
void update_stop_first(scenario_play& p);
void update_start_first(scenario_play& p);
void update_all_at_once(scenario_play& p);
void update_pauses(scenario_play& p);
void update_rolls_back(scenario_play& p);
void roll_back_twice(scenario_play& p);
void update_and_scale(scenario_play& p);
void update_secret(scenario_play& p);
void driven_secrets(scenario_play& p);
void flaky_driver(scenario_play& p);
// scenarios_restart.cpp
void restart_attempts(scenario_play& p);
void restart_window(scenario_play& p);
void restart_backs_off(scenario_play& p);
void replicated_job(scenario_play& p);
void global_job(scenario_play& p);
// scenarios_nodes.cpp
void global_service(scenario_play& p);
void scale_up_and_down(scenario_play& p);
void drain_stop_first(scenario_play& p);
void drain_start_first(scenario_play& p);

constexpr std::int64_t ms_ns = 1'000'000;
constexpr std::uint64_t ms_us = 1'000;

inline std::string of(const std::string& what, std::uint64_t is, std::uint64_t wanted) {
  return what + ": " + std::to_string(is) + ", not " + std::to_string(wanted);
}
inline std::string equal(const std::string& what, std::uint64_t is, std::uint64_t wanted) {
  return is == wanted ? "" : of(what, is, wanted);
}
inline std::string at_least(const std::string& what, std::uint64_t is, std::uint64_t wanted) {
  return is >= wanted ? "" : of(what, is, wanted) + " or more";
}
inline std::string at_most(const std::string& what, std::uint64_t is, std::uint64_t wanted) {
  return is <= wanted ? "" : of(what, is, wanted) + " or less";
}
inline std::string update_is(const scenario_play& p, UpdateState wanted) {
  return p.seen().update_state() == wanted
             ? ""
             : "the update is " + UpdateState_Name(p.seen().update_state()) + ", not " + UpdateState_Name(wanted);
}
/// The first complaint, if there is any.
template <class... Rest>
std::string complaint(std::string first, const Rest&... rest) {
  if constexpr (sizeof...(rest) > 0)
    return first.empty() ? complaint(std::string{rest}...) : first;
  else
    return first;
}

/// Running on engines and known to be.
inline std::string up(const scenario_play& p, const std::string& image, std::uint64_t wanted) {
  const auto& seen = p.seen();
  const auto known = seen.count([&](const watched_task& t) {
    return !t.removed && t.runs() && t.image == image && t.row.status().state() == TASK_STATE_RUNNING &&
           t.row.desired_state() == TASK_STATE_RUNNING;
  });
  return complaint(equal("tasks of " + image + " that are up", known, wanted),
                   equal("containers", seen.running(), wanted));
}

inline ServiceSpec web(std::uint64_t replicas, const std::string& image = "old") {
  return test::service_spec("web", replicas, image);
}

inline UpdateConfig update_config(std::uint64_t parallelism, std::int64_t delay_ms, std::int64_t monitor_ms) {
  UpdateConfig out;
  out.set_parallelism(parallelism);
  out.set_delay(delay_ms * ms_ns);
  out.set_monitor(monitor_ms * ms_ns);
  return out;
}

inline void restart_with(ServiceSpec& spec, RestartCondition condition, std::int64_t delay_ms,
                         std::uint64_t attempts = 0, std::int64_t window_ms = 0) {
  auto& policy = *spec.mutable_task_template()->mutable_restart_policy();
  policy.set_condition(condition);
  policy.set_delay(delay_ms * ms_ns);
  policy.set_max_attempts(attempts);
  policy.set_window(window_ms * ms_ns);
}

} // namespace swarm::sim
