// Percentiles of a duration in constant memory: buckets of 1/16 of a power of two (at most 6 % too high).
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace swarm::storage {

class latency {
public:
  void add(std::uint64_t value) {
    ++buckets_[bucket(value)];
    ++count_;
    max_ = value > max_ ? value : max_;
  }

  /// The upper end of the bucket that holds the value at `percent`; 0 when nothing was added. Never above max().
  [[nodiscard]] std::uint64_t percentile(unsigned percent) const {
    const auto rank = (count_ * percent + 99) / 100;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= rank && seen > 0)
        return upper(i) < max_ ? upper(i) : max_;
    }
    return max_;
  }

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t max() const { return max_; }

private:
  static constexpr unsigned sub_bits = 4;
  static constexpr std::uint64_t sub = 1u << sub_bits;
  static constexpr unsigned max_power = 40; // 2^40 µs is two weeks: everything above shares the last bucket

  static std::size_t bucket(std::uint64_t value) {
    if (value < sub)
      return value;
    const auto power = static_cast<unsigned>(std::bit_width(value)) - 1;
    if (power >= max_power)
      return (max_power - sub_bits + 1) * sub - 1;
    return (power - sub_bits + 1) * sub + ((value >> (power - sub_bits)) & (sub - 1));
  }
  static std::uint64_t upper(std::size_t index) {
    if (index < sub)
      return index;
    const auto shift = index / sub - 1;
    return ((sub + index % sub + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (max_power - sub_bits + 1) * sub> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

} // namespace swarm::storage
