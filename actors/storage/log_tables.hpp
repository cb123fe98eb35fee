// What the node's database holds, key by key: the format that later versions must be able to read.
//
// Folder (mode 0700), format "swarm-storage 1":
//   storage.mdb          LMDB file with the tables below       storage.key      data key (runtime/crypto/key_file.hpp)
//   storage.mdb-lock     LMDB's reader table                    storage.ballast  space to give back on a full disk
//   storage.owner        flock: one process at a time           storage.clean    exists only after an orderly stop
//
// | table       | key                     | value                                                             |
// |-------------|-------------------------|-------------------------------------------------------------------|
// | meta        | "format"                | the text "swarm-storage 1"; the only value that is not sealed     |
// | meta        | "identity"              | StorageIdentity, sealed for domain ""                             |
// | meta        | "boot"                  | BootRecord                                                        |
// | meta        | "hard"                  | HardState                                                         |
// | meta        | "applied"               | LogPosition: the state tables reflect the log up to here          |
// | meta        | "compacted"             | LogPosition: the last entry that was removed; 0@0 before that     |
// | meta        | "membership"            | Membership as of "applied"                                        |
// | log         | log index, 8 bytes b.e. | Entry; indexes are contiguous from compacted + 1, terms never fall |
// | st.0.<name> | the object's id         | serialized object; <name> is one of table_names()                 |
//
// Every other value is sealed (runtime/crypto/sealer.hpp) with table and key as associated data and the environment id
// as domain. Keys hold ids and indexes only. The 0 in st.0. is a generation: installing a snapshot fills the tables of
// the next one and switches over in one transaction. The small records share one table so that a commit dirties one
// page for all of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "messages/store.pb.h"

namespace swarm::storage {

inline constexpr std::string_view format_text = "swarm-storage 1";

namespace key {
inline constexpr std::string_view format = "format";
inline constexpr std::string_view identity = "identity";
inline constexpr std::string_view boot = "boot";
inline constexpr std::string_view hard = "hard";
inline constexpr std::string_view applied = "applied";
inline constexpr std::string_view compacted = "compacted";
inline constexpr std::string_view membership = "membership";
} // namespace key

namespace file {
inline constexpr const char* database = "storage.mdb";
inline constexpr const char* data_key = "storage.key";
inline constexpr const char* owner = "storage.owner";
inline constexpr const char* clean = "storage.clean";
inline constexpr const char* ballast = "storage.ballast";
} // namespace file

/// Positions in the list of table_names(); the object tables follow, in the order of TableWrite::Table.
inline constexpr std::size_t meta_table = 0;
inline constexpr std::size_t log_table = 1;
inline constexpr std::size_t first_object_table = 2;
inline constexpr std::size_t object_tables = static_cast<std::size_t>(TableWrite::Table_MAX) + 1;

/// A new value of TableWrite::Table needs its name here, and a new format number (older versions would lose it).
[[nodiscard]] inline const std::vector<std::string>& table_names() {
  static const std::vector<std::string> names{"meta",      "log",       "st.0.cluster", "st.0.service", "st.0.template",
                                              "st.0.task", "st.0.node", "st.0.secret",  "st.0.config",  "st.0.network"};
  static_assert(first_object_table + object_tables == 10);
  return names;
}

} // namespace swarm::storage
