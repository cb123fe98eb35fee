// The list of living actors, and what the base class records of each.
#include "runtime/observed.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>

#include "messages/type_ids.hpp"

namespace swarm {

namespace {

// Sharded by actor id: spawning and ending actors must not meet on one lock.
struct shard {
  std::mutex mutex;
  actor_stats* head = nullptr;
};
constexpr std::size_t shard_count = 64;

std::array<shard, shard_count>& shards() {
  static std::array<shard, shard_count> instance;
  return instance;
}

shard& shard_of(const actor_stats& stats) { return shards()[stats.id % shard_count]; }

} // namespace

namespace actor_registry {

void add(actor_stats& stats) {
  auto& s = shard_of(stats);
  std::lock_guard guard{s.mutex};
  stats.next = s.head;
  stats.previous = nullptr;
  if (s.head != nullptr)
    s.head->previous = &stats;
  s.head = &stats;
}

void remove(actor_stats& stats) {
  auto& s = shard_of(stats);
  std::lock_guard guard{s.mutex};
  (stats.previous != nullptr ? stats.previous->next : s.head) = stats.next;
  if (stats.next != nullptr)
    stats.next->previous = stats.previous;
}

void set_label(actor_stats& stats, std::string label) {
  std::lock_guard guard{shard_of(stats).mutex};
  stats.label = std::move(label);
}

std::string label_of(const actor_stats& stats) {
  std::lock_guard guard{shard_of(stats).mutex};
  return stats.label;
}

std::uint64_t monotonic_ns() {
  return static_cast<std::uint64_t>(
    std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
}

std::int64_t wall_now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string type_name(caf::actor_system& system, std::uint16_t nr, const std::type_info* type) {
  if (nr == 0 && type == nullptr)
    return {};
  if (type == nullptr)
    return system.types().portable_name(nr, type);
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text{abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), std::free};
  std::string name = status == 0 ? text.get() : type->name();
  if (const auto colon = name.rfind("::"); colon != std::string::npos && name.find('<') == std::string::npos)
    name.erase(0, colon + 2);
  return name;
}

namespace {
ActorStatus snapshot_locked(const actor_stats& stats) {
  ActorStatus out;
  out.set_label(stats.label);
  out.set_type(stats.type);
  out.set_actor_id(stats.id);
  out.set_parent_id(stats.parent);
  const auto handled = stats.handled.load(std::memory_order_relaxed);
  const auto enqueued = stats.enqueued.load(std::memory_order_relaxed);
  out.set_messages_handled(handled);
  out.set_mailbox_length(enqueued > handled ? enqueued - handled : 0);
  out.set_busy_ns(stats.busy_ns.load(std::memory_order_relaxed));
  if (const auto since = stats.running_since_ns.load(std::memory_order_relaxed); since != 0) {
    out.set_running(true);
    if (out.mailbox_length() > 0)
      out.set_mailbox_length(out.mailbox_length() - 1); // the one being handled
    out.set_running_ns(monotonic_ns() - since);
  }
  out.set_last_message(type_name(*stats.system, stats.last_nr.load(std::memory_order_relaxed),
                                 stats.last_type.load(std::memory_order_relaxed)));
  return out;
}
} // namespace

ActorStatus snapshot(const actor_stats& stats) {
  std::lock_guard guard{shard_of(stats).mutex};
  return snapshot_locked(stats);
}

std::vector<entry> list(caf::actor_system& system, const std::string& under) {
  std::vector<entry> out;
  for (auto& s : shards()) {
    std::lock_guard guard{s.mutex};
    for (auto* stats = s.head; stats != nullptr; stats = stats->next)
      if (stats->system == &system && stats->label.starts_with(under))
        out.push_back({snapshot_locked(*stats), stats->address});
  }
  std::sort(out.begin(), out.end(), [](const entry& a, const entry& b) {
    return std::pair{a.status.label(), a.status.actor_id()} < std::pair{b.status.label(), b.status.actor_id()};
  });
  return out;
}

} // namespace actor_registry

tap_ring::record& tap_ring::next() {
  const auto at = next_ % capacity;
  if (at == records_.size()) {
    records_.reserve(std::min(capacity, std::max<std::size_t>(4, std::bit_ceil(at + 1))));
    records_.emplace_back();
  }
  auto& slot = records_[at];
  slot.sequence = ++next_;
  slot.at = actor_registry::wall_now_ns();
  return slot;
}

void tap_ring::message(std::uint16_t nr, const std::type_info* type) {
  auto& slot = next();
  slot.nr = nr;
  slot.type = type;
  slot.text.clear();
}

void tap_ring::effect(std::string text) {
  auto& slot = next();
  slot.nr = 0;
  slot.type = nullptr;
  slot.text = std::move(text);
}

void tap_ring::copy_to(ActorStatus& out, caf::actor_system& system) const {
  const auto count = std::min<std::uint64_t>(next_, capacity);
  for (auto i = next_ - count; i < next_; ++i) {
    const auto& from = records_[i % capacity];
    auto& to = *out.add_tap();
    to.set_sequence(from.sequence);
    to.set_at(from.at);
    to.set_effect(from.type == nullptr && from.nr == 0);
    to.set_what(to.effect() ? from.text : actor_registry::type_name(system, from.nr, from.type));
  }
}

failure to_failure(const caf::error& err) {
  if (!err)
    return {};
  if (err.category() == caf::atom("swarm")) {
    std::string text;
    if (err.context().match_elements<std::string>())
      text = err.context().get_as<std::string>(0);
    return {static_cast<errc>(err.code()), std::move(text)};
  }
  if (err == caf::sec::request_timeout)
    return {errc::deadline_exceeded, "context deadline exceeded"};
  return {errc::unavailable, "the responsible actor is not there"};
}

} // namespace swarm
