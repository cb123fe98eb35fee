// Decides what a supervisor stops and starts when a child has ended. Strategies and intensity are OTP's.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "runtime/time.hpp"

namespace swarm {

enum class restart_strategy : unsigned char {
  one_for_one,  ///< only the child that ended
  one_for_all,  ///< all: they are meaningless apart
  rest_for_one, ///< the child and those after it, which depend on it
};

enum class restart_kind : unsigned char {
  permanent, ///< always restarted
  transient, ///< restarted unless it ended normally
  temporary, ///< never restarted
};

struct supervisor_options {
  restart_strategy strategy = restart_strategy::one_for_one;
  unsigned intensity = 3;       ///< this many restarts …
  duration period = seconds{30}; ///< … within this time are borne; one more and the supervisor gives up
};

/// What to do, in this order: stop (last started first), then start (in order).
struct supervisor_decision {
  std::vector<std::size_t> stop;
  std::vector<std::size_t> start;
  bool give_up = false; ///< stop everything and end: the parent decides
  bool operator==(const supervisor_decision&) const = default;
};

/// Children are numbered in start order. The shell reports only ends that it did not bring about itself.
class supervisor_core {
public:
  supervisor_core(supervisor_options opts, std::vector<restart_kind> children)
    : opts_{opts}, children_{std::move(children)} {}

  [[nodiscard]] supervisor_decision child_ended(instant now, std::size_t child, bool normally);
  [[nodiscard]] std::size_t restarts_in_period() const { return restarts_.size(); }

private:
  supervisor_options opts_;
  std::vector<restart_kind> children_;
  std::deque<instant> restarts_;
};

} // namespace swarm
