// Opens this node's storage before any actor is there: checks it, and hands over what a node must know to start.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "actors/storage/disk.hpp"
#include "runtime/time.hpp"

namespace swarm::storage {

enum class open_problem : std::uint8_t {
  failed,  ///< the disk, LMDB or the system said no
  in_use,  ///< another process has it
  damaged, ///< a tag does not fit, the log has a gap, or the check crashed: never truncated by itself
  locked,  ///< autolock: an unlock key is needed
  wrong_unlock_key,
  unsafe_key_file,  ///< the data key can be read by others
  missing_key_file, ///< the database is there and its key is not
  wrong_identity,   ///< another cluster's or node's storage
};

class open_error : public std::runtime_error {
public:
  open_error(open_problem problem, const std::string& text) : std::runtime_error{text}, problem_{problem} {}
  [[nodiscard]] open_problem problem() const { return problem_; }

private:
  open_problem problem_;
};

struct open_options {
  /// Given to a new storage. Of an existing one, each part that is not empty must be what is stored.
  std::string cluster_id;
  std::string node_id;
  std::uint64_t raft_id = 0;
  const crypto::secret_key* unlock_key = nullptr; ///< needed when the data key is wrapped; used during the call only
  std::uint64_t map_bytes = 32ULL << 30;
  /// Preallocated, and given back when less than this is free on the disk, so that a full disk can be opened and
  /// compacted. 0 = none.
  std::uint64_t ballast_bytes = 16ULL << 20;
  std::size_t journal_bytes = append_journal::bytes_default; ///< of a new journal
  /// The check after an unclean stop. A hundred MB take well below a second.
  milliseconds check_deadline{120'000};
};

struct recovered_state {
  std::shared_ptr<disk> storage; ///< for STORAGE
  StorageIdentity identity;
  std::uint64_t boot_counter = 0; ///< one more than at the last start; on disk when this returns
  bool created = false;
  bool was_clean = false; ///< the last stop was in order (or there was none)
  HardState hard;         ///< commit_index is at least the applied index
  Membership membership;  ///< as of applied
  LogPosition applied;
  LogPosition compacted;          ///< prev of the first entry
  std::vector<Entry> entries;     ///< everything above compacted
  std::vector<std::string> notes; ///< for the log at level warn

  /// STORE loads itself from here: one row at a time, no second copy.
  void visit_rows(const std::function<void(TableWrite::Table, std::string_view, std::string_view)>& each) const {
    storage->visit_rows(each);
  }
};

/// Makes the folder and a data key when there is nothing. Throws open_error. Forks for the check after an unclean stop,
/// so call it early.
[[nodiscard]] recovered_state open_storage(const std::filesystem::path& directory, const open_options& opts);

} // namespace swarm::storage
