// What the node's database holds, key by key: the format that later versions must be able to read.
//
// Folder (mode 0700), format "swarm-storage 4":
//   storage.mdb          LMDB file with the tables below       storage.key      data key (runtime/crypto/key_file.hpp)
//   storage.mdb-lock     LMDB's reader table                    storage.ballast  space to give back on a full disk
//   storage.owner        flock: one process at a time           storage.clean    exists only after an orderly stop
//   storage.journal      appends that are not in the tables yet (append_journal.hpp)
//
// | table       | key                     | value                                                             |
// |-------------|-------------------------|-------------------------------------------------------------------|
// | meta        | "format"                | the text "swarm-storage 4"; the only value that is not sealed     |
// | meta        | "identity"              | StorageIdentity, sealed for domain ""                             |
// | meta        | "boot"                  | BootRecord                                                        |
// | meta        | "hard"                  | HardState                                                         |
// | meta        | "applied"               | LogPosition: the state tables reflect the log up to here          |
// | meta        | "compacted"             | LogPosition: the last entry that was removed; 0@0 before that     |
// | meta        | "membership"            | Membership as of "applied"                                        |
// | meta        | "generation"            | StateGeneration: which of st.0 and st.1 is in force               |
// | meta        | "journal"               | the epoch (8 bytes b.e.) whose records in the journal are to be taken over |
// | log         | log index, 8 bytes b.e. | Entry; indexes are contiguous from compacted + 1, terms never fall |
// | st.<g>.<name> | row_key (store/apply.hpp) | serialized object; <g> is 0 or 1, <name> one of table_names() |
//
// Every other value is sealed (runtime/crypto/sealer.hpp) with table and key as associated data and the environment id
// as domain. Keys hold ids, indexes and times only. A template has a row while its service has another
// version or is gone; otherwise it is part of the service's row. Of the two generations of state tables one is in force: a snapshot fills the
// other one, chunk by chunk, and its last chunk switches over in one transaction that also empties the log and the tables
// left behind. Until then the other generation is debris that nobody reads. The small records share one table so that a
// commit dirties one page for all of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "messages/store.pb.h"

namespace swarm::storage {

inline constexpr std::string_view format_text = "swarm-storage 4";

namespace key {
inline constexpr std::string_view format = "format";
inline constexpr std::string_view identity = "identity";
inline constexpr std::string_view boot = "boot";
inline constexpr std::string_view hard = "hard";
inline constexpr std::string_view applied = "applied";
inline constexpr std::string_view compacted = "compacted";
inline constexpr std::string_view membership = "membership";
inline constexpr std::string_view generation = "generation";
inline constexpr std::string_view journal = "journal";
} // namespace key

namespace file {
inline constexpr const char* database = "storage.mdb";
inline constexpr const char* data_key = "storage.key";
inline constexpr const char* owner = "storage.owner";
inline constexpr const char* clean = "storage.clean";
inline constexpr const char* ballast = "storage.ballast";
inline constexpr const char* journal = "storage.journal";
} // namespace file

/// Positions in the list of table_names(); the object tables follow, in the order of TableWrite::Table.
inline constexpr std::size_t meta_table = 0;
inline constexpr std::size_t log_table = 1;
inline constexpr std::size_t first_object_table = 2;
inline constexpr std::size_t object_tables = static_cast<std::size_t>(TableWrite::Table_MAX) + 1;
inline constexpr std::size_t generations = 2;

[[nodiscard]] constexpr std::size_t object_table(std::size_t generation, std::size_t table) {
  return first_object_table + generation * object_tables + table;
}

/// A new value of TableWrite::Table needs its name here, and a new format number (older versions would lose it).
[[nodiscard]] inline const std::vector<std::string>& table_names() {
  static const std::vector<std::string> names{
      "meta",          "log",       "st.0.cluster", "st.0.service", "st.0.template", "st.0.task",
      "st.0.node",     "st.0.secret", "st.0.config", "st.0.network", "st.1.cluster",  "st.1.service",
      "st.1.template", "st.1.task", "st.1.node",    "st.1.secret",  "st.1.config",   "st.1.network"};
  static_assert(first_object_table + generations * object_tables == 18);
  return names;
}

} // namespace swarm::storage
