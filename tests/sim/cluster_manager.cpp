// What STORE, CONTROL and RAFT's shell do on every manager, in virtual time.
#include "tests/sim/cluster_manager.hpp"

#include "tests/sim/cluster_checkers.hpp"
#include "tests/sim/cluster_history.hpp"
#include "tests/sim/cluster_office.hpp"

namespace swarm::sim {

using raft::raft_id;

namespace {

control::options control_options() {
  control::options out;
  out.rotate_join_tokens = [](Cluster&, bool, bool) {};
  out.follow_ca_config = [](Cluster&, wall_ns) { return failure{}; };
  out.make_unlock_key = [] { return std::string(32, 'k'); };
  return out;
}

Written refused(errc code, const std::string& text) {
  Written out;
  out.set_code(static_cast<std::uint32_t>(code));
  out.set_message(text);
  return out;
}

// As RAFT's shell does while the database is nearly full.
bool adds_objects(const Command& command) {
  for (const auto& action : command.actions())
    if (action.has_put_service() || action.has_put_secret() || action.has_put_config() || action.has_put_network())
      return true;
  return false;
}

} // namespace

cluster_manager::cluster_manager(cluster_env& env, raft_id id, manager_downlink down)
    : env_{env}, id_{id}, down_{std::move(down)}, next_tag_{id << 40} {}
cluster_manager::~cluster_manager() = default;

void cluster_manager::soon(std::uint64_t delay, std::function<void()> run) { env_.world.after_on(id_, delay, std::move(run)); }

// -- RAFT and STORE -----------------------------------------------------------------------------------------------------------

void cluster_manager::started(raft::log_index applied) {
  const auto has = env_.knobs.bugs.recovery_loses_last && applied > 0 ? applied - 1 : applied;
  store_ = env_.history.build(has);
  if (has != applied)
    store_->skip(applied);
  env_.checkers.state_of(id_, applied, [&] { return store_->digest(); });
  control_ = std::make_unique<control::core>(control_options(), random_source{env_.rng()()});
  control_->reset(store_->snapshot());
}

void cluster_manager::crashed() {
  office_.reset();
  control_.reset();
  store_.reset();
  writes_.clear();
  reads_.clear();
  greeted_.clear();
  leading_term_ = 0;
  hinted_ = 0;
  hinted_term_ = 0;
}

// The leader's actors are stopped and started by others, a little later; started when RAFT has said that it leads, which it
// does when STORE has applied the first entry of its term.
void cluster_manager::role_changed() {
  const bool leads = env_.world.core_of(id_)->role() == RAFT_ROLE_LEADER;
  if (leads && !env_.knobs.bugs.leader_decides_early)
    return;
  start_or_end_office();
}

void cluster_manager::start_or_end_office() {
  soon(env_.rng().below(3'000), [this] {
    const auto* const core = env_.world.core_of(id_);
    const auto term = core->role() == RAFT_ROLE_LEADER ? core->term() : 0;
    if (term == leading_term_)
      return;
    office_.reset();
    leading_term_ = 0;
    if (term == 0 || (core->log().term_at(store_->applied_index()) != term && !env_.knobs.bugs.leader_decides_early))
      return;
    leading_term_ = term;
    lead();
  });
}

void cluster_manager::applied(const Entry& entry) {
  env_.history.note(entry);
  store::applied done;
  if (env_.knobs.bugs.apply_differs && id_ == 2 && entry.log_index() % 50 == 0)
    store_->skip(entry.log_index());
  else
    done = cluster_history::apply(*store_, entry);
  last_result_ = std::move(done.result);
  env_.checkers.state_of(id_, entry.log_index(), [&] { return store_->digest(); });
  control_->observe(done.events);
  if (const auto* const core = env_.world.core_of(id_); core->role() == RAFT_ROLE_LEADER && entry.term() == core->term() && leading_term_ != core->term())
    start_or_end_office();
  if (!office_)
    return;
  done.events.set_log_index(entry.log_index());
  office_->inbox.push_back(std::move(done.events));
  if (office_->inbox.size() == 1)
    soon(1 + env_.rng().below(500), [this] { hear(); });
}

void cluster_manager::installed(raft::log_index applied) {
  if (env_.knobs.bugs.snapshot_keeps_store) {
    store_->skip(applied);
    return;
  }
  auto fresh = env_.history.build(applied);
  auto changes = store_->changes_to(*fresh);
  store_ = std::move(fresh);
  control_->reset(store_->snapshot());
  env_.checkers.state_of(id_, applied, [&] { return store_->digest(); });
}

void cluster_manager::propose(Command command, const std::function<void(const CommandResult&, const failure&)>& done) {
  if (full_ && adds_objects(command))
    return done({}, {errc::resource_exhausted, "the manager's database is nearly full"});
  const auto tag = ++next_tag_;
  auto data = command.SerializeAsString();
  writes_[tag] = {std::move(command), done};
  // A message to RAFT: this manager may die in the step that it leads to.
  soon(1, [this, tag, data = std::move(data)] { env_.world.propose(id_, tag, data); });
}

// In the middle of a step of RAFT: whoever waits hears of it later.
void cluster_manager::write_done(std::uint64_t tag, const failure& outcome) {
  auto node = writes_.extract(tag);
  if (node.empty())
    return;
  CommandResult result;
  if (outcome.ok()) {
    result = last_result_;
    if (result.code() == 0)
      env_.checkers.acknowledged(result.log_index(), node.mapped().command);
  }
  soon(1 + env_.rng().below(500), [done = std::move(node.mapped().done), result, outcome] { done(result, outcome); });
}

// -- clients --------------------------------------------------------------------------------------------------------------------

void cluster_manager::control(ControlRequest request, bool forwarded, const written& answer) {
  const auto* const core = env_.world.core_of(id_);
  if (core->role() == RAFT_ROLE_LEADER)
    return control_here(std::move(request), env_.knobs.bugs.retry_unknown_writes ? 3 : 0, answer);
  const auto leader = core->leader_id();
  if (forwarded || leader == 0 || leader == id_)
    return answer(refused(errc::unavailable, "no leader is known"));
  if (!down_.forward(id_, leader, std::move(request), answer))
    return; // lost on its way: the client's patience ends it
}

// Commands name what they replace by its version, so a client may ask again without doing harm. Asking again by ourselves
// is another matter: the second answer would hide what the first attempt did.
void cluster_manager::control_here(ControlRequest request, unsigned retries, const written& answer) {
  const auto original = request;
  auto what = control_->handle(std::move(request), time().wall);
  if (!what.command)
    return answer(what.answer);
  if (env_.knobs.bugs.version_ignored)
    plant(*what.command);
  if (env_.knobs.bugs.answer_before_commit) {
    auto early = what.answer;
    early.set_log_index(env_.world.core_of(id_)->log().last_index() + 1);
    answer(early);
    env_.checkers.acknowledged(early.log_index(), *what.command);
  }
  propose(std::move(*what.command), [=, this, said = what.answer](const CommandResult& result, const failure& outcome) {
    if (env_.knobs.bugs.answer_before_commit)
      return;
    if (outcome.code == errc::commit_unknown && retries > 0)
      return soon(300'000, [=, this] { retry_unknown(original, retries - 1, answer); });
    answer(outcome.ok() ? control::core::conclude(said, result) : refused(outcome.code, outcome.message));
  });
}

void cluster_manager::retry_unknown(ControlRequest request, unsigned times, const written& answer) {
  const auto* const core = env_.world.core_of(id_);
  if (core->role() == RAFT_ROLE_LEADER)
    return control_here(std::move(request), times, answer);
  if (core->leader_id() != 0 && core->leader_id() != id_)
    (void)down_.forward(id_, core->leader_id(), std::move(request), answer);
}

void cluster_manager::plant(Command& command) {
  for (auto& action : *command.mutable_actions()) {
    if (!action.has_put_config() || !action.put_config().has_expected_version())
      continue;
    ReadObjects wanted;
    wanted.set_kind(OBJECT_KIND_CONFIG);
    wanted.set_key(action.put_config().config().id());
    ObjectsRead found;
    if (store_->read(wanted, found).ok() && found.configs_size() == 1)
      action.mutable_put_config()->set_expected_version(found.configs(0).meta().version().index());
  }
}

void cluster_manager::read(const ReadObjects& request, const objects& answer) {
  const auto tag = ++next_tag_;
  reads_[tag] = {request, answer};
  if (env_.knobs.bugs.read_without_index)
    return read_done(tag, {});
  soon(1, [this, tag] { env_.world.read(id_, tag); });
}

void cluster_manager::read_done(std::uint64_t tag, const failure& outcome) {
  auto node = reads_.extract(tag);
  if (node.empty())
    return;
  ObjectsRead found;
  auto told = outcome;
  if (told.ok())
    told = store_->read(node.mapped().first, found);
  soon(1, [answer = std::move(node.mapped().second), told, found] { answer(told, found); });
}

} // namespace swarm::sim
