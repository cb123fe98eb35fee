// The agent's journal as bytes: what this node was told to run and what became of it. Pure; files are journal_actor's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "messages/dispatcher.pb.h"

namespace swarm::agent::journal {

/// A file is a header and records, appended in order:
///   header   "swarm-agent 1\n" node id "\n" cluster id "\n"
///   record   length (4 bytes, little-endian) kind (1) checksum of kind and payload (8, FNV-1a) payload
///   kind     'A' Assignments, 'S' UpdateTaskStatus
/// A COMPLETE Assignments replaces what is before it; statuses keep the latest per task. Never holds secret data.
inline constexpr std::size_t record_bytes_max = 64 * 1024 * 1024;

[[nodiscard]] std::string header(const std::string& node_id, const std::string& cluster_id);
[[nodiscard]] std::string record(const Assignments& message);
[[nodiscard]] std::string record(const UpdateTaskStatus& message);

struct content {
  Assignments assignments;                      ///< complete
  std::map<std::string, TaskStatus> statuses;   ///< of these tasks
};
/// nullopt when the journal is missing, damaged, or of another node: then this node waits for its manager. A last
/// record that is cut short is what a power cut leaves, and is left out.
[[nodiscard]] std::optional<content> read(std::string_view bytes, const std::string& node_id, const std::string& cluster_id);

/// The same content as the shortest journal.
[[nodiscard]] std::string rewrite(const std::string& node_id, const std::string& cluster_id, const Assignments& complete,
                                  const std::map<std::string, TaskStatus>& statuses);

} // namespace swarm::agent::journal
