// Reports a broken invariant and stops the process.
#include "runtime/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace swarm {

void check_failed(const char* file, int line, const char* condition, std::string_view detail) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s%s%.*s\n", file, line, condition, detail.empty() ? "" : ": ",
               static_cast<int>(detail.size()), detail.data());
  std::fflush(stderr);
  std::abort();
}

} // namespace swarm
