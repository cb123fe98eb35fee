// Simulated tasks, see the header.
#include "drivers/simulated/simulated_core.hpp"

#include <algorithm>
#include <charconv>

namespace swarm::simulated {
namespace {

constexpr std::int64_t killed = 137;

std::string upper(std::string s) {
  std::transform(s.begin(), s.end(), s.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return s;
}

template <class Int>
Int number(const std::string& text) {
  Int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? value : Int{0};
}

} // namespace

duration parse_duration(const std::string& text) {
  if (text.empty() || text.size() > 32)
    return {};
  if (std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return duration{number<std::int64_t>(text)};
  double total = 0;
  for (std::size_t i = 0; i < text.size();) {
    auto digits_end = text.find_first_not_of("0123456789.", i);
    if (digits_end == i || digits_end == std::string::npos)
      return {};
    auto unit_end = text.find_first_of("0123456789.", digits_end);
    const auto unit = text.substr(digits_end, unit_end == std::string::npos ? unit_end : unit_end - digits_end);
    const auto scale = unit == "ns" ? 1.0 : unit == "us" ? 1e3 : unit == "ms" ? 1e6 : unit == "s" ? 1e9 : unit == "m" ? 6e10
                       : unit == "h" ? 3.6e12 : 0.0;
    if (scale == 0.0)
      return {};
    double count = 0;
    std::from_chars(text.data() + i, text.data() + digits_end, count);
    total += count * scale;
    i = unit_end == std::string::npos ? text.size() : unit_end;
  }
  return total < 9e18 ? duration{static_cast<std::int64_t>(total)} : duration{};
}

knobs knobs_of(const ContainerSpec& spec) {
  knobs out;
  auto value = [&](const char* knob) -> std::string {
    if (const auto it = spec.labels().find(std::string{"simulated."} + knob); it != spec.labels().end())
      return it->second;
    const auto key = "SIMULATED_" + upper(knob) + "=";
    for (const auto& entry : spec.env())
      if (entry.starts_with(key))
        return entry.substr(key.size());
    return {};
  };
  if (spec.labels().empty() && spec.env().empty())
    return out;
  out.run_for = parse_duration(value("run_for"));
  out.block_start = parse_duration(value("block_start"));
  out.crash_after = parse_duration(value("crash_after"));
  out.exit_code = number<std::int64_t>(value("exit_code"));
  out.log_lines = number<std::uint32_t>(value("log_lines"));
  out.fail_start = value("fail_start");
  out.lose_reply = value("lose_reply");
  return out;
}

TaskHandle core::handle_of(const std::string& task_id, const row& r) const {
  TaskHandle out;
  out.set_task_id(task_id);
  out.set_phase(static_cast<TaskHandle::Phase>(r.phase));
  auto& container = *out.mutable_container();
  container.set_container_id("sim-" + task_id);
  container.set_exit_code(r.exit_code);
  if (r.phase == TaskHandle::PHASE_RUNNING)
    container.set_pid(1);
  out.set_oom_killed(r.oom != 0);
  out.set_started_at(r.started_at);
  out.set_finished_at(r.finished_at);
  return out;
}

bool core::lose(row& r, const char* request) {
  if (!r.special || r.special->lose_reply != request)
    return false;
  r.special->lose_reply.clear();
  return true;
}

void core::arm(instant at, const std::string& task_id) {
  due_.emplace(at, task_id);
}

reply core::prepare(timestamp, const TaskDescription& task) {
  if (task.task_id().empty())
    return {{}, {errc::invalid_argument, "a task needs an id"}, {}};
  auto [it, fresh] = rows_.try_emplace(task.task_id());
  auto& r = it->second;
  if (fresh) {
    r.phase = TaskHandle::PHASE_CREATED;
    auto cluster = std::find(clusters_.begin(), clusters_.end(), task.cluster_id());
    if (cluster == clusters_.end())
      cluster = clusters_.insert(clusters_.end(), task.cluster_id());
    r.cluster = static_cast<std::uint32_t>(cluster - clusters_.begin());
    if (auto special = knobs_of(task.spec().container_spec()); special != knobs{})
      r.special = std::make_unique<knobs>(std::move(special));
  }
  if (lose(r, "prepare"))
    return {{}, {errc::deadline_exceeded, "simulated: the answer to prepare is lost"}, {}};
  return {handle_of(it->first, r), {}, {}};
}

reply core::start(timestamp now, const std::string& task_id) {
  const auto it = rows_.find(task_id);
  if (it == rows_.end())
    return {{}, {errc::not_found, "starting container failed: No such container: " + task_id}, {}};
  auto& r = it->second;
  duration wait{};
  if (r.phase == TaskHandle::PHASE_CREATED) {
    if (r.special && !r.special->fail_start.empty())
      return {{}, {errc::invalid_argument, "starting container failed: " + r.special->fail_start}, {}};
    r.phase = TaskHandle::PHASE_RUNNING;
    r.started_at = now.wall;
    if (r.special) {
      const auto& s = *r.special;
      wait = s.block_start;
      if (s.crash_after > duration{})
        arm(now.now + s.crash_after, task_id);
      else if (s.run_for > duration{})
        arm(now.now + s.run_for, task_id);
    }
  }
  if (lose(r, "start"))
    return {{}, {errc::deadline_exceeded, "simulated: the answer to start is lost"}, {}};
  return {handle_of(task_id, r), {}, wait};
}

reply core::stop(timestamp now, const std::string& task_id) {
  const auto it = rows_.find(task_id);
  if (it == rows_.end())
    return inspect(task_id);
  auto& r = it->second;
  if (r.phase == TaskHandle::PHASE_RUNNING) {
    r.phase = TaskHandle::PHASE_EXITED;
    r.exit_code = 143; // SIGTERM's default
    r.finished_at = now.wall;
  }
  if (lose(r, "stop"))
    return {{}, {errc::deadline_exceeded, "simulated: the answer to stop is lost"}, {}};
  return {handle_of(task_id, r), {}, {}};
}

reply core::remove(timestamp, const std::string& task_id) {
  const auto it = rows_.find(task_id);
  if (it != rows_.end() && lose(it->second, "remove")) {
    rows_.erase(it);
    return {{}, {errc::deadline_exceeded, "simulated: the answer to remove is lost"}, {}};
  }
  if (it != rows_.end())
    rows_.erase(it);
  return inspect(task_id);
}

reply core::inspect(const std::string& task_id) const {
  const auto it = rows_.find(task_id);
  if (it != rows_.end())
    return {handle_of(task_id, it->second), {}, {}};
  reply out;
  out.handle.set_task_id(task_id);
  return out;
}

RecoveredTasks core::recover(const std::string& cluster_id) const {
  RecoveredTasks out;
  for (const auto& [task_id, r] : rows_)
    if (clusters_[r.cluster] == cluster_id)
      *out.add_tasks() = handle_of(task_id, r);
  return out;
}

std::vector<TaskHandle> core::vanish(const std::string& task_id) {
  if (rows_.erase(task_id) == 0)
    return {};
  return {inspect(task_id).handle};
}

std::vector<TaskHandle> core::tick(timestamp now) {
  std::vector<TaskHandle> out;
  while (!due_.empty() && due_.begin()->first <= now.now) {
    const auto task_id = std::move(due_.begin()->second);
    due_.erase(due_.begin());
    const auto it = rows_.find(task_id);
    if (it == rows_.end() || it->second.phase != TaskHandle::PHASE_RUNNING || !it->second.special)
      continue; // stopped or removed since
    auto& r = it->second;
    const auto crashed = r.special->crash_after > duration{};
    r.phase = TaskHandle::PHASE_EXITED;
    r.exit_code = static_cast<std::int16_t>(crashed ? killed : r.special->exit_code);
    r.oom = crashed;
    r.finished_at = now.wall;
    out.push_back(handle_of(task_id, r));
  }
  return out;
}

std::optional<instant> core::next_due() const {
  return due_.empty() ? std::nullopt : std::optional{due_.begin()->first};
}

std::uint32_t core::log_lines(const std::string& task_id) const {
  const auto it = rows_.find(task_id);
  return it != rows_.end() && it->second.special ? it->second.special->log_lines : 0;
}

} // namespace swarm::simulated
