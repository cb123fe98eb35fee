// Identifiers: 128 random bits, 25 base-36 characters in text ("7f48pe1w5fx4gif2x6jzu7efu"), as Swarm's own.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "runtime/random.hpp"

namespace swarm {

/// The value of any id, 16 bytes; the form that tables of many rows keep. All-zero means "none" and is "" in text.
struct id128 {
  std::uint64_t hi = 0;
  std::uint64_t lo = 0;

  auto operator<=>(const id128&) const = default;
  explicit operator bool() const { return hi != 0 || lo != 0; }

  /// 25 characters [0-9a-z], zero-padded; "" for none. Order of texts = order of values.
  [[nodiscard]] std::string str() const;
  /// "" and anything that is not exactly 25 base-36 characters below 2^128 give none.
  static id128 parse(std::string_view text);
  /// A fresh id; the generator must be well seeded. Top bits are drawn so that texts start with 0-f like Swarm's.
  static id128 random(random_source& rng);
};

/// An id that cannot be mistaken for another kind's.
template <class Tag>
struct strong_id : id128 {
  strong_id() = default;
  explicit strong_id(id128 value) : id128(value) {}
  explicit strong_id(std::string_view text) : id128(id128::parse(text)) {}
  auto operator<=>(const strong_id&) const = default;
  static strong_id fresh(random_source& rng) { return strong_id{id128::random(rng)}; }
};

using service_id = strong_id<struct service_tag>;
using task_id = strong_id<struct task_tag>;
using node_id = strong_id<struct node_tag>;

struct id_hash {
  std::size_t operator()(const id128& id) const noexcept { return id.lo ^ (id.hi * 0x9e3779b97f4a7c15ull); }
};

} // namespace swarm

template <>
struct std::hash<swarm::id128> : swarm::id_hash {};
template <class Tag>
struct std::hash<swarm::strong_id<Tag>> : swarm::id_hash {};
