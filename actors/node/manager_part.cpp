// Opens the database, loads STORE from it, and starts the three.
#include "actors/node/manager_part.hpp"

#include "actors/raft/raft_actor.hpp"
#include "actors/raft/recovery.hpp"
#include "actors/storage/storage_actor.hpp"
#include "actors/store/store_actor.hpp"
#include "runtime/crypto/bytes.hpp"
#include "runtime/log.hpp"

namespace swarm::node {

namespace {

constexpr std::chrono::milliseconds raft_tick{25};

Member self_of(std::uint64_t raft_id, const manager_options& opts) {
  Member self;
  self.set_raft_id(raft_id);
  self.set_node_id(opts.node_id);
  self.set_addr(opts.advertise_addr);
  return self;
}

raft::restored_state restore(const storage::recovered_state& disk, const manager_options& opts) {
  raft::restored_state out;
  out.id = disk.identity.raft_id();
  out.hard_state = disk.hard;
  out.base_index = disk.compacted.log_index();
  out.base_term = disk.compacted.term();
  for (const auto& entry : disk.entries)
    out.entries.push_back(std::make_shared<const Entry>(entry));
  out.applied_index = disk.applied.log_index();
  out.membership = disk.membership;
  // A new group has no membership entry yet: its founder is its only voter.
  if (opts.founder && out.membership.voters_size() == 0)
    *out.membership.add_voters() = self_of(out.id, opts);
  return out;
}

// The one entry that makes us the only member is on disk before RAFT starts.
void stand_alone(storage::disk& disk, raft::restored_state& state, const manager_options& opts) {
  auto self = self_of(state.id, opts);
  auto forced = raft::force_new_cluster(std::move(state), std::move(self));
  Append append;
  *append.add_entries() = *forced.append;
  *append.mutable_hard_state() = forced.state.hard_state;
  const storage::operation write{static_cast<const Append*>(&append)};
  disk.commit({&write, 1});
  state = std::move(forced.state);
}

std::shared_ptr<store::core> load_store(const storage::recovered_state& disk) {
  auto core = std::make_shared<store::core>();
  failure problem;
  disk.visit_rows([&](TableWrite::Table table, std::string_view key, std::string_view value) {
    if (problem.ok())
      problem = core->load(table, key, value);
  });
  if (problem.ok())
    problem = core->loaded(disk.applied.log_index());
  if (!problem.ok())
    throw storage::open_error{storage::open_problem::damaged, problem.message};
  return core;
}

} // namespace

manager_part::manager_part(caf::actor_system& system, manager_options opts, leadership_listener listener, monitor_function monitor)
  : system_{system} {
  storage::open_options open;
  open.cluster_id = opts.cluster_id;
  open.node_id = opts.node_id;
  open.raft_id = opts.raft_id;
  open.unlock_key = opts.unlock_key;
  open.map_bytes = opts.map_bytes;
  auto disk = storage::open_storage(opts.directory, open);
  for (const auto& note : disk.notes)
    log::warn("storage", "opened", {{"note", note}});
  auto start = restore(disk, opts);
  raft_id_ = start.id;
  if (opts.force_new_cluster)
    stand_alone(*disk.storage, start, opts);
  auto store = load_store(disk);
  disk_ = disk.storage;
  storage::storage_options writing;
  writing.hurry = true;
  storage_ = system.spawn<caf::detached>(storage::storage_writer, disk.storage, writing);
  store_ = system.spawn(store::store_keeper, std::move(store), storage_);
  raft::raft_actor_options raft;
  raft.tick = raft_tick;
  raft.core.heartbeat_ticks = std::max(1u, static_cast<unsigned>(opts.heartbeat / raft_tick));
  raft.core.election_ticks = std::max(5 * raft.core.heartbeat_ticks, static_cast<unsigned>(opts.election / raft_tick));
  raft.core.seed = crypto::random_u64();
  raft_ = system.spawn(raft::raft_member, std::move(raft), std::move(start), storage_, store_, std::move(listener), opts.peers);
  for (const auto& actor : {caf::actor_cast<caf::actor>(storage_), caf::actor_cast<caf::actor>(store_), caf::actor_cast<caf::actor>(raft_)})
    monitor(actor);
}

manager_part::~manager_part() { stop(); }

bool manager_part::is_core(const caf::actor_addr& who) const {
  return who == raft_.address() || who == store_.address() || who == storage_.address();
}

void manager_part::stop() {
  // In this order: nobody gets a message from one that has ended before it.
  caf::anon_send_exit(raft_, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(store_, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(storage_, caf::exit_reason::user_shutdown);
  disk_.reset();
}

} // namespace swarm::node
