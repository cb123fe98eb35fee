// Seals stored values: nothing that comes back from disk is used unless its tag proves that we wrote it, there.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/crypto/bytes.hpp"

namespace swarm::crypto {

/// The key that seals one manager's values. The id is not secret; it tells "another key" from "damaged".
struct data_key {
  std::uint32_t id = 0;
  secret_key key;

  static data_key generate();
  [[nodiscard]] data_key copy() const { return {id, key.copy()}; }
};

enum class open_result : std::uint8_t {
  ok,
  other_key, ///< sealed under another key id
  damaged,   ///< cut short, altered, or moved here from another table, key or environment
};

/// XChaCha20-Poly1305 with a random 24-byte nonce per value: no counter to persist, and no bound on the number of
/// values under one key that matters (AES-GCM's 12-byte nonces would allow about 2^32).
/// Sealed value: key id (4 bytes, big-endian) ‖ nonce (24) ‖ ciphertext ‖ tag (16).
/// Associated data: length of domain (1) ‖ domain ‖ length of table (1) ‖ table ‖ key id (4) ‖ key.
class sealer {
public:
  static constexpr std::size_t overhead = 4 + 24 + 16;

  /// `domain` separates environments that might share a key; at most 255 bytes.
  sealer(data_key key, std::string domain);

  [[nodiscard]] static std::size_t sealed_size(std::size_t plain_size) { return plain_size + overhead; }

  /// Writes exactly sealed_size(plain.size()) bytes. `out` may not overlap `plain`.
  void seal(std::string_view table, std::string_view key, std::string_view plain, void* out);
  [[nodiscard]] std::string seal(std::string_view table, std::string_view key, std::string_view plain);

  /// On ok `plain` holds the value; otherwise it is empty: there is no way to see an unproven byte.
  [[nodiscard]] open_result open(std::string_view table, std::string_view key, std::string_view sealed,
                                 std::string& plain) const;

  [[nodiscard]] std::uint32_t key_id() const { return key_.id; }
  /// The same key for another domain.
  [[nodiscard]] sealer with_domain(std::string domain) const { return {key_.copy(), std::move(domain)}; }

private:
  static constexpr std::size_t nonce_size = 24;
  [[nodiscard]] std::string associated(std::string_view table, std::string_view key) const;
  void take_nonce(unsigned char* out);

  data_key key_;
  std::string domain_;
  std::array<unsigned char, 64 * nonce_size> nonces_{}; ///< drawn together: asking the kernel costs as much as sealing
  std::size_t nonces_left_ = 0;
};

} // namespace swarm::crypto
