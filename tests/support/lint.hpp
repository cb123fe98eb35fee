// The project's own lints: layers, banned calls, sizes, documentation. Plain text checks, no compiler.
#pragma once

#include <string>
#include <vector>

namespace swarm::test::lint {

/// A file of the tree. `path` is relative to the repository's root.
struct file {
  std::string path;
  std::string text;
};

struct finding {
  std::string path;
  int line = 0;
  std::string what;
};

/// Every text file of ours below `root`, sorted by path; build folders and .git are left out.
[[nodiscard]] std::vector<file> read_tree(const std::string& root);

/// The same number of lines, with comments (and, unless `keep_strings`, the insides of literals) blanked out.
[[nodiscard]] std::string strip(const std::string& text, bool keep_strings = false);

// Each lint looks at one file and says what is wrong in it.
[[nodiscard]] std::vector<finding> check_includes(const file& f);      ///< who may include whom
[[nodiscard]] std::vector<finding> check_core_calls(const file& f);    ///< clocks, threads, I/O in a core
[[nodiscard]] std::vector<finding> check_caf_use(const file& f);       ///< caf::infinite, using namespace caf
[[nodiscard]] std::vector<finding> check_sizes(const file& f);         ///< functions, headers, sources
[[nodiscard]] std::vector<finding> check_first_line(const file& f);    ///< says what the file is for
[[nodiscard]] std::vector<finding> check_leftovers(const file& f);     ///< notes to self
[[nodiscard]] std::vector<finding> check_interfaces(const file& f);    ///< a table per typed actor, a row per clause

// These look at the whole tree.
[[nodiscard]] std::vector<finding> check_unordered(const std::vector<file>& tree);    ///< iteration in cores
[[nodiscard]] std::vector<finding> check_mirrors(const std::vector<file>& tree);      ///< a test for each core
[[nodiscard]] std::vector<finding> check_message_index(const std::vector<file>& tree); ///< messages/README.md

/// Decides without clock, disk, network or randomness of its own: the rules for cores apply.
[[nodiscard]] bool is_core(const std::string& path);

} // namespace swarm::test::lint
