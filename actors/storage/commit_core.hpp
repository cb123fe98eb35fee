// Decides when what is queued goes to disk, so that one sync serves as many requests as possible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "runtime/time.hpp"

namespace swarm::storage {

/// What the shell must do after an event, to be woken in time.
enum class wake : std::uint8_t {
  none,    ///< somebody already will
  soon,    ///< send yourself `flush`: it queues behind every request that is waiting in the mailbox now
  later,   ///< send yourself `flush` after idle_delay
  at_once, ///< the queue has reached its bound: write now
};

/// What of the queue a transaction takes.
enum class take : std::uint8_t { nothing, appends, everything };

/// An Append waits for as long as the previous transaction takes, no longer: under load that is what gathers a batch,
/// and an idle disk costs no delay. A SaveState may be lost in a crash (the log has it), so it waits, for at most idle_delay,
/// until there are enough of them: many in one transaction change the same pages, and often the same rows, only once.
class commit_core {
public:
  struct options {
    duration idle_delay = milliseconds{50};
    std::size_t bytes_max = 32u << 20; ///< of queued requests; LMDB's own bound on one transaction is near 512 MiB
    std::size_t saves_bytes = 256u << 10; ///< of queued SaveStates that the next Append takes along
  };

  explicit commit_core(options opts) : opts_{opts} {}

  /// A request of about `bytes` was queued; `urgent` = somebody waits for its sync.
  [[nodiscard]] wake queued(instant now, bool urgent, std::size_t bytes);
  /// The transaction left work behind (compaction goes in slices).
  [[nodiscard]] wake unfinished(instant now);
  /// `flush` has arrived.
  [[nodiscard]] take flush(instant now);
  /// So much of the queue has been handed to a transaction.
  void taken(take what);

  [[nodiscard]] duration idle_delay() const { return opts_.idle_delay; }
  [[nodiscard]] std::size_t queued_bytes() const { return appends_.bytes + saves_.bytes; }
  void check_invariants() const;
  [[nodiscard]] std::string dump() const;

private:
  wake arm_later(instant now);

  struct queue {
    std::size_t requests = 0;
    std::size_t bytes = 0;
  };

  options opts_;
  queue appends_;
  queue saves_;
  bool work_left_ = false;
  bool soon_ = false;  // a `flush` sent at once is on its way
  bool later_ = false; // a delayed one is, and arrives at
  instant later_at_;   // this time or after it
};

} // namespace swarm::storage
