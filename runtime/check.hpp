// Assertions that stay on in production: better to stop than to go on being wrong.
#pragma once

#include <string_view>

namespace swarm {

/// Prints the failed condition to stderr and aborts. Never returns.
[[noreturn]] void check_failed(const char* file, int line, const char* condition, std::string_view detail = {});

} // namespace swarm

/// For states that can only come from a defect in this program ("impossible", see messages/errors.hpp),
/// never for input, disks, networks or engines.
#define SWARM_CHECK(condition, ...)                                                       \
  do {                                                                                    \
    if (!(condition)) [[unlikely]]                                                        \
      ::swarm::check_failed(__FILE__, __LINE__, #condition __VA_OPT__(, ) __VA_ARGS__);   \
  } while (false)
