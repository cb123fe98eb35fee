// JOURNAL: the agent's file on this node's disk, written off the agent's path.
#pragma once

#include <string>

#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::agent {

using append_atom = caf::atom_constant<caf::atom("append")>;
using replace_atom = caf::atom_constant<caf::atom("replace")>;

/// JOURNAL — one file, appended in batches: whatever has come in by the time of a write goes with it. No fsync: after a
/// power cut the end may be missing, and the manager knows better anyway.       core: actors/agent/journal_core.hpp
/// | from  | message         | meaning                                     | reply           | errors         |
/// |-------|-----------------|---------------------------------------------|-----------------|----------------|
/// | AGENT | append, bytes   | goes with the next write                    | –               | –              |
/// | AGENT | replace, bytes  | a new file in place of the old one          | –               | –              |
/// | self  | flush           | write what has gathered                     | –               | –              |
using journal_actor = caf::typed_actor<
  caf::reacts_to<append_atom, std::string>,
  caf::reacts_to<replace_atom, std::string>,
  caf::reacts_to<flush_atom>,
  status_clause>;

struct journal_state {
  static inline const char* name = "journal";
  std::string path;
  std::string gathered;
  bool replaces = false;   // gathered is a whole new file
  bool flushing = false;
  bool failing = false;
  int fd = -1;
  std::uint64_t writes = 0;
  ~journal_state();
};

/// The whole file; "" when there is none.
[[nodiscard]] std::string read_journal(const std::string& path);

/// Blocks in file I/O: spawn it detached outside of tests.
journal_actor::behavior_type journal_file(observed_ptr<journal_actor, journal_state> self, std::string path);

} // namespace swarm::agent
