// One task's life on its node, see the header.
#include "actors/agent/task_core.hpp"

#include <algorithm>

#include "runtime/check.hpp"
#include "runtime/overload.hpp"

namespace swarm::agent::task {
namespace {

constexpr const char* message_texts[] = {"accepted", "preparing", "prepared", "starting", "started", "finished", "shutdown", ""};
constexpr const char* unhealthy_text = "dockerexec: unhealthy container";
constexpr const char* destroyed_text = "dockerexec: container destroyed";

bool is_unhealthy(const TaskHandle& handle) {
  return handle.phase() == TaskHandle::PHASE_RUNNING && handle.has_health() && !handle.healthy() && handle.error() == unhealthy_text;
}

} // namespace

// -- how it begins -------------------------------------------------------------------------------------------------------

effects core::begin(instant now, wall_ns wall, TaskState desired, const beginning& from, bool driver_healthy) {
  now_ = now;
  wall_ = wall;
  desired_ = desired;
  driver_healthy_ = driver_healthy;
  state_ = std::max(from.state, TASK_STATE_ASSIGNED);
  changed_at_ = from.status.timestamp();
  err_ = from.status.err();
  for (int i = 0; i < static_cast<int>(message::other); ++i)
    if (from.status.message() == message_texts[i])
      message_ = static_cast<message>(i);
  container_id_ = from.status.container_status().container_id();
  exit_code_ = from.status.container_status().exit_code();
  if (!from.status.port_status().ports().empty())
    ports_ = std::make_unique<google::protobuf::RepeatedPtrField<PortConfig>>(from.status.port_status().ports());
  resume(from.handle);
  act();
  return std::exchange(out_, {});
}

// A container that was found says more than any record; a record says whether it had been started.
void core::resume(const TaskHandle& found) {
  const auto phase = found.phase();
  // What begins only to be stopped may be a leftover that the engine has refused to remove: `found` does not have those.
  touched_ = phase != TaskHandle::PHASE_ABSENT || state_ > TASK_STATE_ACCEPTED || stop_wanted();
  stopped_ = phase == TaskHandle::PHASE_ABSENT || phase == TaskHandle::PHASE_EXITED;
  if (terminal())
    return;
  note(found);
  if (phase == TaskHandle::PHASE_ABSENT) {
    if (state_ >= TASK_STATE_STARTING && !stop_wanted())
      fail(destroyed_text); // it had been started, and a task never runs twice
    return;
  }
  if (stop_wanted())
    return;
  if (phase == TaskHandle::PHASE_CREATED) {
    if (state_ >= TASK_STATE_RUNNING)
      return fail(destroyed_text); // what was running is gone, and this is something else
    if (state_ < TASK_STATE_READY)
      enter(TASK_STATE_READY, message::prepared);
    return;
  }
  if (state_ < TASK_STATE_STARTING)
    enter(TASK_STATE_STARTING, message::starting);
  look_at(found);
}

// -- events ------------------------------------------------------------------------------------------------------------------

effects core::step(instant now, wall_ns wall, const event& ev) {
  now_ = now;
  wall_ = wall;
  if (over_)
    return {};
  std::visit(overload{
    [&](const desired& e) { desired_ = std::max(desired_, e.state); },
    [&](const forgotten&) { forgotten_ = true; },
    [&](const answered& e) {
      if (e.request == request_ && request_ != 0)
        on_answer(e);
    },
    [&](const seen& e) { look_at(e.handle); },
    [&](const driver_health& e) {
      if (e.healthy && !driver_healthy_) {
        waiting_ = false;
        failures_ = 0;
      }
      driver_healthy_ = e.healthy;
    },
    [&](const ticked&) {
      if (waiting_ && now >= retry_at_)
        waiting_ = false;
    },
  }, ev);
  act();
  return std::exchange(out_, {});
}

// The one place that decides what is next.
void core::act() {
  if (over_)
    return;
  if (doomed_ && stop_wanted())
    fail(err_); // as it is: nobody waits for the exit code of what is to go
  const auto must_stop = touched_ && !stopped_ && (forgotten_ || (!terminal() && (stop_wanted() || unhealthy_)));
  const auto ending = asked_ == verb::stop || asked_ == verb::remove;
  // Stopping does not wait for whatever else is under way or due: the driver cancels what has not reached the engine.
  if (request_ != 0 && (ending || !must_stop))
    return;
  if (waiting_ && (ending || !must_stop))
    return;
  if (must_stop)
    return issue(verb::stop);
  if (stop_wanted() && !terminal())
    enter(TASK_STATE_SHUTDOWN, message::shutdown);
  if (forgotten_) {
    if (touched_)
      return issue(verb::remove);
    over_ = true;
    out_.push_back(ended{});
    return;
  }
  if (!terminal())
    advance();
}

void core::advance() {
  if (look_ || doomed_)
    return issue(verb::inspect);
  if (!driver_healthy_ && state_ < TASK_STATE_RUNNING) // nothing new while the engine is away
    return;
  if (state_ == TASK_STATE_ASSIGNED)
    enter(TASK_STATE_ACCEPTED, message::accepted);
  if (state_ == TASK_STATE_ACCEPTED && desired_ > TASK_STATE_ACCEPTED)
    enter(TASK_STATE_PREPARING, message::preparing);
  if (state_ == TASK_STATE_PREPARING)
    return issue(verb::prepare); // finds what an earlier attempt made
  if (state_ == TASK_STATE_READY && desired_ > TASK_STATE_READY)
    enter(TASK_STATE_STARTING, message::starting);
  if (state_ == TASK_STATE_STARTING && !runs_)
    return issue(verb::start);
}

void core::issue(verb v) {
  waiting_ = false;
  asked_ = v;
  request_ = next_request_++;
  touched_ = true; // from now on there may be something
  if (v == verb::prepare || v == verb::start)
    stopped_ = false;
  out_.push_back(ask{request_, v});
}

void core::on_answer(const answered& ev) {
  request_ = 0;
  if (doomed_) {
    if (ev.error.ok() && ev.handle.container().container_id() == container_id_)
      exit_code_ = ev.handle.container().exit_code();
    return fail(err_);
  }
  if (!ev.error.ok())
    return on_error(ev.error);
  failures_ = 0;
  if (!terminal())
    err_.clear();
  switch (asked_) {
    case verb::prepare: return prepared(ev.handle);
    case verb::start: return look_at(ev.handle);
    case verb::inspect:
      look_ = false;
      if (state_ >= TASK_STATE_READY)
        return look_at(ev.handle);
      if (ev.handle.phase() == TaskHandle::PHASE_ABSENT)
        return retry({errc::unavailable, "the outcome of create is unknown, and there is no container"});
      return prepared(ev.handle);
    case verb::stop:
      note(ev.handle);
      stopped_ = true;
      if (stop_wanted() || terminal())
        return;
      return ev.handle.phase() == TaskHandle::PHASE_ABSENT ? fail(destroyed_text) : on_exit(ev.handle); // it was unhealthy
    case verb::remove:
      over_ = true;
      out_.push_back(ended{});
      return;
  }
}

void core::on_error(const failure& error) {
  const auto kind = classify(error.code);
  if (asked_ == verb::prepare || asked_ == verb::start) {
    if (kind == error_class::refused && asked_ == verb::start) {
      err_ = error.message;
      doomed_ = true;
      return;
    }
    if (kind == error_class::refused)
      return fail(error.message);
    // It may have happened: look before it is repeated. A container that has ended must not be started again.
    look_ = kind == error_class::unknown;
    if (look_)
      return;
  }
  retry(error); // looking, stopping and removing may be repeated, whatever became of the first attempt
}

void core::prepared(const TaskHandle& handle) {
  stopped_ = false;
  note(handle);
  enter(TASK_STATE_READY, message::prepared);
  if (handle.phase() == TaskHandle::PHASE_CREATED)
    return;
  // Started by an earlier attempt whose answer was lost.
  enter(TASK_STATE_STARTING, message::starting);
  look_at(handle);
}

// -- the container ------------------------------------------------------------------------------------------------------------

void core::note(const TaskHandle& handle) {
  if (handle.phase() == TaskHandle::PHASE_ABSENT)
    return;
  if (!handle.container().container_id().empty())
    container_id_ = handle.container().container_id();
  if (handle.container().pid() != 0)
    pid_ = handle.container().pid();
  if (!handle.ports().empty())
    ports_ = std::make_unique<google::protobuf::RepeatedPtrField<PortConfig>>(handle.ports());
  if (handle.phase() == TaskHandle::PHASE_EXITED) {
    exit_code_ = handle.container().exit_code();
    stopped_ = true;
  }
}

void core::look_at(const TaskHandle& handle) {
  if (terminal() || stop_wanted() || doomed_ || state_ < TASK_STATE_STARTING)
    return; // before STARTING nothing of it can run; after its end, and while stopping, the outcome is known
  switch (handle.phase()) {
    case TaskHandle::PHASE_CREATED: return;
    case TaskHandle::PHASE_ABSENT: return fail(destroyed_text);
    case TaskHandle::PHASE_EXITED:
      note(handle);
      return on_exit(handle);
    default: break;
  }
  note(handle);
  runs_ = true;
  if (is_unhealthy(handle)) {
    unhealthy_ = true; // act() stops it; how it ended is told then
    return;
  }
  if (state_ == TASK_STATE_STARTING && (!handle.has_health() || handle.healthy()))
    enter(TASK_STATE_RUNNING, message::started);
}

void core::on_exit(const TaskHandle& handle) {
  stopped_ = true;
  request_ = 0; // whatever was under way is answered by this
  if (handle.container().exit_code() == 0) {
    enter(TASK_STATE_COMPLETE, message::finished);
    return;
  }
  if (state_ == TASK_STATE_STARTING && !handle.has_health() && !unhealthy_)
    message_ = message::started; // it was, and has ended before anybody looked
  auto text = "task: non-zero exit (" + std::to_string(handle.container().exit_code()) + ")";
  if (unhealthy_)
    text += std::string{": "} + unhealthy_text;
  else if (!handle.error().empty())
    text += ": " + handle.error();
  fail(std::move(text));
}

// -- states ---------------------------------------------------------------------------------------------------------------------

void core::enter(TaskState state, message text) {
  SWARM_CHECK(state >= state_);
  state_ = state;
  message_ = text;
  err_.clear();
  failures_ = 0;
  tell();
}

void core::fail(std::string err) {
  state_ = state_ < TASK_STATE_STARTING ? TASK_STATE_REJECTED : TASK_STATE_FAILED;
  err_ = std::move(err);
  doomed_ = false;
  stopped_ = true;
  tell();
}

void core::retry(const failure& error) {
  waiting_ = true;
  // Doubling, half of it by chance: tasks that failed together do not come back together.
  const auto whole = std::min<std::int64_t>(opts_.retry_max.count(), opts_.retry_first.count() << std::min<unsigned>(failures_, 10));
  const auto delay = duration{whole / 2 + static_cast<std::int64_t>(rng_->below(static_cast<std::uint64_t>(whole / 2) + 1))};
  if (failures_ < 200)
    ++failures_;
  retry_at_ = now_ + delay;
  out_.push_back(wake{delay});
  // The reason shows in the same state, so that nobody must guess why a task does not run. Once per reason.
  if (err_ != error.message && !terminal()) {
    err_ = error.message;
    tell();
  }
}

void core::tell() {
  changed_at_ = wall_;
  out_.push_back(report{status()});
}

TaskStatus core::status() const {
  TaskStatus out;
  out.set_timestamp(changed_at_);
  out.set_state(state_);
  out.set_message(message_texts[static_cast<int>(message_)]);
  out.set_err(err_);
  if (!container_id_.empty()) {
    auto& container = *out.mutable_container_status();
    container.set_container_id(container_id_);
    container.set_pid(stopped_ ? 0 : pid_);
    container.set_exit_code(exit_code_);
  }
  if (ports_)
    *out.mutable_port_status()->mutable_ports() = *ports_;
  return out;
}

void core::check_invariants() const {
  SWARM_CHECK(state_ >= TASK_STATE_ASSIGNED && state_ <= TASK_STATE_REJECTED);
  SWARM_CHECK(!over_ || forgotten_);
  SWARM_CHECK(state_ != TASK_STATE_RUNNING || (touched_ && (!stopped_ || stop_wanted())));
}

std::string core::dump() const {
  static constexpr const char* verbs[] = {"prepare", "start", "stop", "remove", "inspect"};
  return "state=" + TaskState_Name(state_) + " desired=" + TaskState_Name(desired_)
         + (request_ != 0 ? std::string{" asking="} + verbs[static_cast<int>(asked_)] : "") + (waiting_ ? " waiting" : "")
         + (forgotten_ ? " forgotten" : "") + (err_.empty() ? "" : " err=" + err_)
         + (container_id_.empty() ? "" : " container=" + container_id_.substr(0, 12));
}

} // namespace swarm::agent::task
