// Client histories as JSON: the format of the published vectors and of what the chaos scripts write.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/linearizability.hpp"

namespace swarm::test::linearizability {

struct history_file {
  std::vector<history> histories;
  std::string error; ///< not "": the file is bad, and where
};

/// One history, or a list of them:
///   {"id": "...", "model": "cas-register" | "kv-string", "init": VALUE, "linearizable": true | false (vectors only),
///    "events": [[CLIENT, "invoke" | "ok" | "fail" | "info", "read" | "write" | "cas", VALUE], ...]}
/// Events of kv-string have a key before the value; their operations are "get", "put", "append" and "cas". VALUE: null
/// (nothing there), a number or a string; of cas [expected, new], or one string that says why the outcome is unknown.
/// A client has one operation at a time. "ok": it is done; of a read the value counts. "fail": a cas saw another value
/// than expected; anything else has had no effect. "info", or no end at all: nobody knows; it may take effect at any
/// later time, and its client may go on.
[[nodiscard]] history_file read_histories(std::string_view text);

} // namespace swarm::test::linearizability
