// JOURNAL: the agent's file on this node's disk, written off the agent's path.
#pragma once

#include <string>
#include <vector>

#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::agent {

using append_atom = caf::atom_constant<caf::atom("append")>;
using replace_atom = caf::atom_constant<caf::atom("replace")>;
using sync_atom = caf::atom_constant<caf::atom("sync")>;

/// JOURNAL — one file, appended in batches: whatever has come in by the time of a write goes with it. A new file is on disk
/// before it replaces the old one; additions are when that is asked for, else a power cut may take the last of them.
/// After an error there is no file, so that nothing is believed that stops short.     core: actors/agent/journal_core.hpp
/// | from  | message         | meaning                                     | reply           | errors         |
/// |-------|-----------------|---------------------------------------------|-----------------|----------------|
/// | AGENT | append, bytes   | goes with the next write                    | –               | –              |
/// | AGENT | replace, bytes  | a new file in place of the old one          | –               | –              |
/// | AGENT | sync            | no power cut takes what came before this    | true; false:    | –              |
/// |       |                 |                                             | there is no file|                |
/// | self  | flush           | write what has gathered                     | –               | –              |
using journal_actor = caf::typed_actor<
  caf::reacts_to<append_atom, std::string>,
  caf::reacts_to<replace_atom, std::string>,
  caf::replies_to<sync_atom>::with<bool>,
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
  std::uint64_t syncs = 0;
  std::vector<caf::typed_response_promise<bool>> waiting; // for the next sync
  ~journal_state();
};

/// The whole file; "" when there is none.
[[nodiscard]] std::string read_journal(const std::string& path);

/// Blocks in file I/O: spawn it detached outside of tests.
journal_actor::behavior_type journal_file(observed_ptr<journal_actor, journal_state> self, std::string path);

} // namespace swarm::agent
