// The manager half of a node: STORAGE, STORE and RAFT, meaningless apart from each other.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "actors/storage/open_storage.hpp"
#include "messages/interfaces.hpp"

namespace swarm::node {

struct manager_options {
  std::string directory;            ///< of the database
  std::string cluster_id;
  std::string node_id;
  std::string advertise_addr;
  std::uint64_t raft_id = 0;        ///< of a new database
  bool founder = false;             ///< alone in the group until the log says otherwise; others wait for a leader
  bool force_new_cluster = false;   ///< whatever the log says, this is the only member from now on
  raft_peers peers;                 ///< null on a host without links
  std::uint64_t map_bytes = 16ULL << 30;
  const crypto::secret_key* unlock_key = nullptr; ///< when the data key is wrapped; used by the constructor only
  std::chrono::milliseconds heartbeat{50};
  std::chrono::milliseconds election{400};
};

/// Used on the supervising actor's thread only. That actor receives LeadershipChanged and the down messages and passes
/// them here. Throws storage::open_error from the constructor when the database cannot be opened.
class manager_part {
public:
  using monitor_function = std::function<void(const caf::actor&)>;

  manager_part(caf::actor_system& system, manager_options opts, leadership_listener listener, monitor_function monitor);
  ~manager_part();
  manager_part(const manager_part&) = delete;
  manager_part& operator=(const manager_part&) = delete;

  [[nodiscard]] const raft_actor& raft() const { return raft_; }
  [[nodiscard]] const store_actor& store() const { return store_; }
  [[nodiscard]] std::uint64_t raft_id() const { return raft_id_; }

  /// STORAGE, STORE or RAFT: without one the others are meaningless.
  [[nodiscard]] bool is_core(const caf::actor_addr& who) const;
  /// Ends RAFT, then STORE, then STORAGE (which writes what is queued). Returns at once; is_core() tells of the ends.
  void stop();

private:
  caf::actor_system& system_;
  std::uint64_t raft_id_ = 0;
  std::shared_ptr<storage::disk> disk_;
  storage_actor storage_;
  store_actor store_;
  raft_actor raft_;
};

} // namespace swarm::node
