// The base of every actor: label, counters, mailbox length and the ring of its last messages, so that the console
// needs nothing else. Costs 14-35 ns per message.
#pragma once

#include <atomic>
#include <caf/all.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <typeindex>
#include <vector>

#include "messages/introspect.pb.h"
#include "runtime/request_deadlines.hpp"

namespace swarm {

/// Counters of one actor. Written by the thread that runs it (relaxed), read by anyone through actor_registry.
struct actor_stats {
  std::atomic<std::uint64_t> handled{0};
  std::atomic<std::uint64_t> enqueued{0};
  std::atomic<std::uint64_t> busy_ns{0};
  std::atomic<std::uint64_t> running_since_ns{0}; ///< monotonic; 0 = not inside a handler
  std::atomic<const std::type_info*> last_type{nullptr};
  std::atomic<std::uint16_t> last_nr{0};
  std::uint64_t id = 0;
  std::uint64_t parent = 0;
  const char* type = "";
  std::string label;      ///< guarded by the registry's shard
  caf::actor_addr address;
  caf::actor_system* system = nullptr;
  actor_stats* previous = nullptr;
  actor_stats* next = nullptr;
};

/// All living observed actors of the process. Thread-safe.
namespace actor_registry {
void add(actor_stats& stats);
void remove(actor_stats& stats);
void set_label(actor_stats& stats, std::string label);
[[nodiscard]] std::string label_of(const actor_stats& stats);

struct entry {
  ActorStatus status; ///< what can be known without asking the actor
  caf::actor_addr address;
};
/// Actors of one system, sorted by label. `under` is a label prefix.
[[nodiscard]] std::vector<entry> list(caf::actor_system& system, const std::string& under = {});
[[nodiscard]] ActorStatus snapshot(const actor_stats& stats);
[[nodiscard]] std::uint64_t monotonic_ns();
[[nodiscard]] std::int64_t wall_now_ns();
[[nodiscard]] std::string type_name(caf::actor_system& system, std::uint16_t nr, const std::type_info* type);
} // namespace actor_registry

/// The last messages an actor handled, by type; and lines its core wrote about its effects. Touched by the actor only.
class tap_ring {
public:
  static constexpr std::size_t capacity = 32;
  void message(std::uint16_t nr, const std::type_info* type);
  /// An effect or state transition, already rendered (use messages/render: it knows what is secret).
  void effect(std::string text);
  void copy_to(ActorStatus& out, caf::actor_system& system) const;

private:
  struct record {
    std::uint64_t sequence = 0;
    std::int64_t at = 0;
    const std::type_info* type = nullptr;
    std::uint16_t nr = 0;
    std::string text;
  };
  record& next();
  std::vector<record> records_; // grows as it is used, to `capacity`: most services' and tasks' actors are quiet
  std::uint64_t next_ = 0;
};

template <class Base>
class observed : public Base {
public:
  template <class... Ts>
  explicit observed(caf::actor_config& cfg, Ts&&... xs) : Base(cfg, std::forward<Ts>(xs)...) {
    stats_.id = this->id();
    stats_.parent = cfg.parent != nullptr ? cfg.parent->id() : 0;
    stats_.system = &this->system();
  }

  void launch(caf::execution_unit* unit, bool lazy, bool hide) override {
    stats_.type = this->name();
    stats_.address = this->address();
    if (stats_.label.empty())
      stats_.label = stats_.type;
    actor_registry::add(stats_);
    listed_ = true;
    Base::launch(unit, lazy, hide);
  }
  void on_destroy() override {
    unlist();
    Base::on_destroy();
  }
  bool cleanup(caf::error&& reason, caf::execution_unit* host) override {
    unlist();
    return Base::cleanup(std::move(reason), host);
  }

  void enqueue(caf::mailbox_element_ptr element, caf::execution_unit* unit) override {
    stats_.enqueued.fetch_add(1, std::memory_order_relaxed);
    Base::enqueue(std::move(element), unit);
  }
  /// As CAF's, but cheap where answers come long before their deadlines. Call then() or await() before the next request:
  /// one that nobody waits for counts as answered.
  template <caf::message_priority P = caf::message_priority::normal, class Handle, class Rep, class Period, class... Ts>
  auto request(const Handle& to, std::chrono::duration<Rep, Period> deadline, Ts&&... xs) {
    auto answer = Base::template request<P>(to, caf::duration{}, std::forward<Ts>(xs)...); // none that CAF knows of
    if (to)
      set_deadline(answer.id(), std::chrono::duration_cast<duration>(deadline));
    return answer;
  }

  using Base::consume;
  caf::invoke_message_result consume(caf::mailbox_element& element) override {
    if (deadline_passed_.is_response() && element.mid.integer_value() == deadline_passed_.integer_value()) {
      end_late_requests();
      return caf::invoke_message_result::consumed;
    }
    auto& content = element.content();
    std::uint16_t nr = 0;
    const std::type_info* type = nullptr;
    if (!content.empty()) {
      const auto token = content.type(0);
      nr = token.first;
      type = token.second;
      stats_.last_nr.store(nr, std::memory_order_relaxed);
      stats_.last_type.store(type, std::memory_order_relaxed);
    }
    const auto result = Base::consume(element);
    if (result != caf::invoke_message_result::skipped) {
      stats_.handled.store(stats_.handled.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      tap_.message(nr, type);
    }
    return result;
  }
  caf::resumable::resume_result resume(caf::execution_unit* unit, std::size_t max_throughput) override {
    const auto begin = actor_registry::monotonic_ns();
    stats_.running_since_ns.store(begin, std::memory_order_relaxed);
    const auto result = Base::resume(unit, max_throughput);
    stats_.busy_ns.store(stats_.busy_ns.load(std::memory_order_relaxed) + (actor_registry::monotonic_ns() - begin),
                         std::memory_order_relaxed);
    stats_.running_since_ns.store(0, std::memory_order_relaxed);
    return result;
  }

  /// `role` or `role/instance`: "raft", "service/web". The same text in log, console and ActorStatus.
  void set_label(std::string label) {
    if (listed_)
      actor_registry::set_label(stats_, std::move(label));
    else
      stats_.label = std::move(label);
  }
  /// The message at hand, to be kept: shared with everybody it was sent to, if it was sent as a caf::message.
  template <class T>
  [[nodiscard]] std::shared_ptr<const T> keep_message() {
    const auto kept = std::make_shared<const caf::message>(this->current_mailbox_element()->copy_content_to_message());
    return {kept, &kept->template get_as<T>(0)};
  }
  [[nodiscard]] std::string label() const { return actor_registry::label_of(stats_); }
  [[nodiscard]] tap_ring& tap() { return tap_; }

  /// The answer to ReadStatus; the caller adds its facts. Tap only when asked for in full.
  [[nodiscard]] ActorStatus base_status(const ReadStatus& request) {
    auto status = actor_registry::snapshot(stats_);
    if (request.full())
      tap_.copy_to(status, this->system());
    return status;
  }

private:
  [[nodiscard]] auto is_open() const {
    return [this](std::uint64_t request) {
      const caf::message_id id{request};
      const auto mine = [&](const auto& pending) { return pending.first.integer_value() == request; };
      return this->multiplexed_responses_.find(id) != this->multiplexed_responses_.end()
             || std::any_of(this->awaited_responses_.begin(), this->awaited_responses_.end(), mine);
    };
  }
  [[nodiscard]] instant clock_now() { return instant{std::chrono::duration_cast<duration>(this->clock().now().time_since_epoch())}; }

  void set_deadline(caf::message_id request, duration deadline) {
    if (const auto when = deadlines_.add(request.integer_value(), clock_now() + deadline, is_open()))
      call_at(*when);
  }
  void call_at(instant when) {
    if (!deadline_passed_.is_response())
      deadline_passed_ = this->new_request_id(caf::message_priority::normal).response_id();
    else
      this->clock().cancel_request_timeout(this, deadline_passed_);
    this->clock().set_request_timeout(caf::actor_clock::time_point{when.time_since_epoch()}, this, deadline_passed_);
  }
  void end_late_requests() {
    const auto look = deadlines_.expired(clock_now(), is_open());
    if (look.again)
      call_at(*look.again);
    for (const auto request : look.late)
      this->eq_impl(caf::message_id{request}, this->ctrl(), this->context(), caf::make_error(caf::sec::request_timeout));
  }

  void unlist() {
    if (listed_) {
      actor_registry::remove(stats_);
      listed_ = false;
    }
  }
  actor_stats stats_;
  tap_ring tap_;
  request_deadlines deadlines_;
  caf::message_id deadline_passed_; ///< what CAF's clock answers when it is time to look; no request has it
  bool listed_ = false;
};

/// `raft_actor::behavior_type raft(observed_ptr<raft_actor, raft_state> self, …)` is how an actor function looks;
/// State has `static inline const char* name`.
template <class Typed, class State>
using observed_actor = caf::stateful_actor<State, observed<typename Typed::base>>;
template <class Typed, class State>
using observed_ptr = observed_actor<Typed, State>*;

/// An untyped observed actor (sessions that speak to libraries only).
template <class State>
using observed_session = caf::stateful_actor<State, observed<caf::event_based_actor>>;

/// Monotonic time of the actor's clock: virtual under the test coordinator.
template <class Self>
auto now_of(Self* self) {
  return self->clock().now().time_since_epoch();
}

} // namespace swarm
