// Bytes that matter to security: system randomness, digests, comparison in constant time, and key memory that is wiped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/random.hpp"

namespace swarm::crypto {

/// From the kernel; aborts the process when the kernel cannot give any.
void fill_random(void* data, std::size_t size);
[[nodiscard]] std::string random_bytes(std::size_t size);
[[nodiscard]] std::uint64_t random_u64();

/// The generator for cores, seeded by the kernel. Not for secrets, see runtime/random.hpp.
[[nodiscard]] random_source seeded_source();

/// 32 raw bytes.
[[nodiscard]] std::string sha256(std::string_view data);
[[nodiscard]] std::string hex(std::string_view bytes);

/// Time depends on the lengths only, never on the contents.
[[nodiscard]] bool equal_constant_time(std::string_view a, std::string_view b);

/// Overwrites the bytes in a way that the compiler keeps, and empties the string.
void wipe(std::string& text);

/// 32 bytes in memory of their own: locked where the system allows it, left out of core dumps, wiped when freed.
/// Copying is explicit, so that a key does not spread by accident.
class secret_key {
public:
  static constexpr std::size_t size = 32;

  static secret_key generate();
  /// `bytes` must be exactly 32 long. The caller wipes its own copy.
  static secret_key from_bytes(std::string_view bytes);

  [[nodiscard]] secret_key copy() const;
  [[nodiscard]] std::string_view view() const;
  [[nodiscard]] const unsigned char* data() const { return bytes_.get(); }

private:
  struct release {
    void operator()(unsigned char* p) const;
  };
  secret_key();
  std::unique_ptr<unsigned char, release> bytes_;
};

} // namespace swarm::crypto
