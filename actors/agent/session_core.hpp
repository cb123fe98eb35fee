// The agent's session with a manager: register, keep it alive, register again.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "messages/dispatcher.pb.h"
#include "messages/errors.hpp"
#include "runtime/random.hpp"
#include "runtime/time.hpp"

namespace swarm::agent::session {

// -- what may happen -----------------------------------------------------------------------------------------------
struct dispatcher_found {};                            ///< a dispatcher to register with, perhaps another one
struct described {};                                   ///< the node knows itself: it can register
struct registered { NodeRegistered session; };
struct register_failed { failure error; };
struct invalidated { std::string session_id; };        ///< by the manager
struct out_of_step {};                                 ///< assignments were lost
struct status_sent {};
struct status_accepted {};
struct news {};                                        ///< something that the manager should hear with the next beat, now
struct ticked {};
using event = std::variant<dispatcher_found, described, registered, register_failed, invalidated, out_of_step, status_sent,
                           status_accepted, news, ticked>;

// -- what the shell must do, in this order ---------------------------------------------------------------------------
struct register_now { bool operator==(const register_now&) const = default; };
struct begin { std::string session_id; bool operator==(const begin&) const = default; };
struct end { bool operator==(const end&) const = default; };
struct beat { bool operator==(const beat&) const = default; };
using effect = std::variant<register_now, begin, end, beat>;
using effects = std::vector<effect>;

struct options {
  duration backoff_first = milliseconds{100};
  duration backoff_max = seconds{8};
  duration default_period = seconds{5};      ///< when the manager names none
  duration period_min = milliseconds{10};    ///< Swarm accepts 1 ns; a node does not
  duration accept_deadline = seconds{10};    ///< a status message that is not accepted by then: the session is broken
};

///   away ─1─► registering ─2─► in session ─4─► (back-off) ─► registering
///     ▲            └──3──► back-off ─► registering
///   1 there is a dispatcher, and the node knows itself   2 answered   3 refused or silent
///   4 invalidated, out of step, or a status message is not accepted in time
class core {
public:
  core(options opts, std::uint64_t seed) : opts_{opts}, rng_{seed} {}
  [[nodiscard]] effects step(instant now, const event& ev);
  /// When ticked{} has something to do.
  [[nodiscard]] std::optional<instant> next_due() const;
  [[nodiscard]] const std::string& session_id() const { return session_id_; }
  [[nodiscard]] bool in_session() const { return at_ == phase::in_session; }
  [[nodiscard]] std::string dump() const;

private:
  enum class phase : std::uint8_t { away, backing_off, registering, in_session };
  void try_register(effects& out);
  void back_off(effects& out);
  void beat_at(duration period) { beat_at_ = now_ + period * 9 / 10 + duration{static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>((period / 5).count()) + 1))}; }

  options opts_;
  random_source rng_;
  instant now_{};
  phase at_ = phase::away;
  bool dispatcher_ = false;
  bool described_ = false;
  std::uint32_t failures_ = 0;
  std::string session_id_;
  std::string last_error_;
  duration period_{};
  instant beat_at_{};
  instant retry_at_{};
  std::optional<instant> accept_by_;
};

} // namespace swarm::agent::session
