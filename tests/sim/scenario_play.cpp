// How a scenario is played: requests, leaders that go, and what is looked at after each event.
#include "tests/sim/scenario_play.hpp"

#include <google/protobuf/util/message_differencer.h>

#include "tests/sim/cluster_world.hpp"

namespace swarm::sim {

using raft::raft_id;

namespace {

constexpr std::uint64_t tick_us = 10'000;
constexpr std::uint64_t request_patience_us = 3'000'000;
constexpr std::uint64_t ask_again_us = 100'000;
constexpr std::uint64_t step_patience_us = 180'000'000;
constexpr std::uint64_t any_time_us = 12'000'000; ///< "at any time" is within this
constexpr std::uint64_t settle_us = 5'000'000;    ///< after the change of leaders: a frozen or cut off one is back
constexpr std::uint64_t quiet_us = 8'000'000;

} // namespace

cluster_knobs knobs_of(const scenario& which, std::uint64_t seed) {
  random_source rng{seed ^ 0x5ce9a210ull};
  cluster_knobs out;
  out.raft.voters = out.raft.max_members = 3;
  out.raft.tick_us = 20'000;
  out.raft.ticks = 60'000; // the script ends sooner
  out.raft.fault_us = out.fault_us = ~std::uint64_t{0} >> 1;
  out.raft.delay_us_max = rng.chance(70) ? rng.between(500, 3'000) : rng.between(3'000, 20'000);
  out.raft.sync_us_max = rng.chance(70) ? rng.between(200, 3'000) : rng.between(3'000, 20'000);
  out.workers = which.workers;
  out.late_workers = which.late_workers;
  out.history = which.history;
  out.services = out.keys = out.clients = 1;
  out.heartbeat_us = rng.between(500'000, 1'000'000);
  out.link_delay_us_max = rng.between(500, 20'000);
  out.engine_us_max = rng.chance(50) ? rng.between(1'000, 20'000) : rng.between(20'000, 200'000);
  return out;
}

scenario_play::scenario_play(const scenario& which, std::uint64_t seed)
    : which_{which}, rng_{seed ^ 0x91a7ull}, any_time_{rng_.below(any_time_us)} {
  which.write(*this);
  moment("at any time", [this] { return step_ == steps_.size() || (step_ > 0 && now() >= any_time_); });
  const auto pair = (seed == 0 ? 0 : seed - 1) % (moments_.size() * ways);
  moment_ = pair % moments_.size();
  way_ = static_cast<way>(pair / moments_.size());
}

std::string scenario_play::variant() const {
  static constexpr const char* names[ways] = {"the leader crashes", "the leader stops", "the leader is cut off",
                                              "the leader freezes", "two leaders crash"};
  return std::string{which_.name} + ", " + moments_[moment_].name + ": " + names[static_cast<int>(way_)];
}

std::uint64_t scenario_play::now() const { return world_->group().now(); }

std::string scenario_play::node(unsigned worker) const { return world_->node_of(worker); }

void scenario_play::start_worker(unsigned worker) {
  world_->group().after(1, [this, worker] { world_->start_worker(worker); });
}

void scenario_play::step(std::string name, request ask, verdict until) {
  steps_.push_back({std::move(name), std::move(ask), std::move(until)});
}

void scenario_play::moment(std::string name, condition when) { moments_.push_back({std::move(name), std::move(when)}); }

// -- requests -----------------------------------------------------------------------------------------------------------------

scenario_play::request scenario_play::create(ServiceSpec spec) const {
  return [this, spec = std::move(spec)]() -> std::optional<ControlRequest> {
    if (watch_.service() != nullptr)
      return std::nullopt;
    ControlRequest out;
    *out.mutable_create_service()->mutable_spec() = spec;
    return out;
  };
}

scenario_play::request scenario_play::change(std::function<void(ServiceSpec&)> edit) const {
  return [this, edit = std::move(edit)]() -> std::optional<ControlRequest> {
    const auto& service = *watch_.service();
    ControlRequest out;
    auto& update = *out.mutable_update_service();
    update.set_service_id(service.id());
    update.set_version(service.meta().version().index());
    *update.mutable_spec() = service.spec();
    edit(*update.mutable_spec());
    if (google::protobuf::util::MessageDifferencer::Equals(update.spec(), service.spec()))
      return std::nullopt;
    return out;
  };
}

scenario_play::request scenario_play::change_image(const std::string& image) const {
  return change(
      [image](ServiceSpec& spec) { spec.mutable_task_template()->mutable_container_spec()->set_image(image); });
}

scenario_play::request scenario_play::roll_back(const std::string& to_image) const {
  return [this, to_image]() -> std::optional<ControlRequest> {
    if (watch_.image() == to_image)
      return std::nullopt;
    ControlRequest out;
    auto& update = *out.mutable_update_service();
    update.set_service_id(watch_.service()->id());
    update.set_version(watch_.service()->meta().version().index());
    *update.mutable_spec() = watch_.service()->spec();
    update.set_roll_back(true);
    return out;
  };
}

scenario_play::request scenario_play::availability(unsigned worker, NodeAvailability wanted) const {
  return [this, worker, wanted]() -> std::optional<ControlRequest> {
    const auto* const found = watch_.node(node(worker));
    if (found == nullptr || found->spec().availability() == wanted)
      return std::nullopt;
    ControlRequest out;
    auto& update = *out.mutable_update_node();
    update.set_node_id(found->id());
    update.set_version(found->meta().version().index());
    *update.mutable_spec() = found->spec();
    update.mutable_spec()->set_availability(wanted);
    return out;
  };
}

scenario_play::request scenario_play::create_secret(const std::string& name, const std::string& data) const {
  return [this, name, data]() -> std::optional<ControlRequest> {
    if (!watch_.secret(name).empty())
      return std::nullopt;
    ControlRequest out;
    out.mutable_create_secret()->mutable_spec()->set_name(name);
    out.mutable_create_secret()->mutable_spec()->set_data(data);
    return out;
  };
}

scenario_play::request scenario_play::create_driven_secret(const std::string& name, const std::string& driver) const {
  return [this, name, driver]() -> std::optional<ControlRequest> {
    if (!watch_.secret(name).empty())
      return std::nullopt;
    ControlRequest out;
    out.mutable_create_secret()->mutable_spec()->set_name(name);
    out.mutable_create_secret()->mutable_spec()->mutable_driver()->set_name(driver);
    return out;
  };
}

scenario_play::request scenario_play::remove_secret(const std::string& name) const {
  return [this, name]() -> std::optional<ControlRequest> {
    if (watch_.secret(name).empty())
      return std::nullopt;
    ControlRequest out;
    out.mutable_remove_secret()->set_secret_id(watch_.secret(name));
    return out;
  };
}

scenario_play::verdict scenario_play::lasts(std::uint64_t us) const {
  return [this, us] { return now() >= step_began_ + us ? "" : "its time is not over"; };
}

// -- what happens ---------------------------------------------------------------------------------------------------------------

void scenario_play::begin(cluster_world& world) {
  world_ = &world;
  world.group().trace("scenario", 0, [this] { return variant(); });
  tick();
}

void scenario_play::committed(const EventBatch& events) {
  watch_.committed(now(), events);
  look();
}

void scenario_play::container_started(const std::string& task) {
  watch_.container_started(now(), task);
  look();
}

void scenario_play::container_ended(const std::string& task, std::int64_t exit_code) {
  watch_.container_ended(now(), task, exit_code);
  look();
}

std::optional<cluster_script::fate> scenario_play::fate_of(const std::string& task) {
  return fates_ ? fates_(*watch_.find(task)) : std::nullopt;
}

void scenario_play::look() {
  if (done_)
    return;
  if (step_ > 0)
    for (const auto& check : always_)
      if (const auto wrong = check(); !wrong.empty())
        throw violation{"always: " + wrong};
  if (changing_ || !moments_[moment_].when())
    return;
  changing_ = true;
  world_->group().trace("moment", step_, [this] { return moments_[moment_].name; });
  static constexpr std::uint64_t within_us[] = {1, 5'000, 300'000};
  world_->group().after(1 + rng_.below(within_us[rng_.below(std::size(within_us))]), [this] { change_leader(way_); });
}

void scenario_play::tick() {
  world_->group().after(tick_us, [this] { tick(); });
  if (!world_->is_set_up() || done_)
    return;
  if (step_began_ == 0)
    step_began_ = now();
  look();
  if (step_ < steps_.size())
    advance();
  else
    finish();
}

void scenario_play::advance() {
  const auto& current = steps_[step_];
  if (now() > step_began_ + step_patience_us)
    throw violation{"step \"" + current.name + "\" does not end: " + why_};
  if (auto wanted = current.ask ? current.ask() : std::nullopt) {
    why_ = "the request is not done";
    if (asked_at_ != 0 && now() < asked_at_ + request_patience_us)
      return;
    asked_at_ = now();
    world_->ask(std::move(*wanted), [this, at = asked_at_](const Written& answer) {
      world_->group().trace("answer", answer.code(), [&] { return answer.message(); });
      if (asked_at_ == at) // asked again at once would be asked of the same leader that has just gone
        asked_at_ = now() - std::min(now(), request_patience_us - ask_again_us);
    });
    return;
  }
  why_ = current.until();
  if (!why_.empty())
    return;
  ++step_;
  step_began_ = now();
  asked_at_ = 0;
  world_->group().trace("step", step_, [&] { return current.name; });
}

// -- leaders ------------------------------------------------------------------------------------------------------------------

void scenario_play::crash(raft_id id) {
  auto& group = world_->group();
  group.crash(id);
  group.after(100'000 + rng_.below(1'500'000), [&group, id] { group.start(id); });
}

void scenario_play::change_leader(way how) {
  auto& group = world_->group();
  const auto id = world_->leader_id();
  if (id == 0)
    return group.after(tick_us, [this, how] { change_leader(how); });
  ++leaders_;
  changed_at_ = now();
  switch (how) {
  case way::crash: return crash(id);
  case way::stop: group.hand_over(id); return group.after(200'000 + rng_.below(500'000), [this, id] { crash(id); });
  case way::cut_off:
    world_->cut_off(id, rng_.chance(50));
    return group.after(1'500'000 + rng_.below(2'500'000), [this] { world_->reconnect(); });
  case way::freeze: return group.freeze(id, 700'000 + rng_.below(2'000'000));
  case way::twice: crash(id); return group.after(tick_us + rng_.below(800'000), [this] { change_leader(way::crash); });
  }
}

// -- the end ------------------------------------------------------------------------------------------------------------------

void scenario_play::finish() {
  if (ended_at_ == 0) {
    if (!changing_)
      throw violation{"the moment \"" + moments_[moment_].name + "\" never came"}; // a scenario that proves nothing
    if (changed_at_ == 0 || now() < changed_at_ + settle_us)
      return;
    ended_at_ = now();
    tasks_then_ = watch_.all().size();
    return change_leader(way::stop);
  }
  if (quiet_ && watch_.all().size() != tasks_then_)
    throw violation{"quiet: a task is created when all was done"};
  if (now() < ended_at_ + quiet_us)
    return;
  for (const auto& check : at_last_)
    if (const auto wrong = check(); !wrong.empty())
      throw violation{"at last: " + wrong};
  done_ = true;
}

} // namespace swarm::sim
