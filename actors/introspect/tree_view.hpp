// The actor tree of one host as text: what `swarm-console --once` and SIGUSR1 print.
#pragma once

#include <string>

#include "messages/introspect.pb.h"

namespace swarm::introspect {

struct view_options {
  bool facts = true;       ///< what each actor says about itself
  bool details = false;    ///< dump of the core and the last messages, when they were asked for
};

/// One line per actor, children below their parents in the order of their labels:
///   raft                 handled 1204  mailbox 0  busy 0.8%  role=leader term=3
[[nodiscard]] std::string tree_text(const SupervisionTree& tree, const view_options& options = {});

} // namespace swarm::introspect
