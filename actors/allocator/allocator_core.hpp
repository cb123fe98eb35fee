// Finds services whose endpoint is behind their spec, and says when to ask STORE again for ports.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "messages/store.pb.h"
#include "runtime/time.hpp"

namespace swarm::allocator {

struct options {
  duration retry_min = milliseconds{500};
  duration retry_max = minutes{5}; ///< Swarm's own period for what could not be allocated
  std::size_t batch_max = 500;     ///< services in one Command
};

/// STORE gives dynamic ports in the very entry that creates or changes a service, so that a refusal reaches the user. What
/// is left is the service for which no port was free: it is asked for again as soon as another service gives ports back,
/// else with growing pauses.
class core {
public:
  explicit core(options opts) : opts_{opts} {}

  void reset(instant now, const StoreSnapshot& snapshot);
  void observe(instant now, const EventBatch& batch);

  /// The Command to propose now, if any. While one is on its way there is no other: answer it with settled().
  [[nodiscard]] std::optional<Command> propose(instant now, wall_ns wall);
  /// The proposal was applied, refused or lost. Services that are still behind wait for their next turn.
  void settled();

  /// When propose() may have something; nullopt while nothing waits.
  [[nodiscard]] std::optional<instant> next_due() const;
  [[nodiscard]] std::size_t behind() const { return behind_.size(); }
  void check_invariants() const;
  [[nodiscard]] std::string dump() const;

private:
  struct waiting {
    EndpointSpec wanted;
    Endpoint last;
    std::uint64_t spec_version = 0;
    instant due;
    duration pause{};
  };
  void judge(instant now, const Service& service);

  options opts_;
  std::map<std::string, waiting> behind_; // by service id
  bool in_flight_ = false;
};

/// Whether the endpoint is not that of the spec.
[[nodiscard]] bool is_behind(const Service& service);

} // namespace swarm::allocator
