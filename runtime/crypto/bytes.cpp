// Randomness, digests and key memory by libsodium and OpenSSL's SHA-256.
#include "runtime/crypto/bytes.hpp"

#include <openssl/sha.h>
#include <sodium.h>

#include <cstring>

#include "runtime/check.hpp"

namespace swarm::crypto {

namespace {
// libsodium must be started once before its allocator and generator are used; later calls are cheap.
void start_sodium() {
  static const int started = sodium_init();
  SWARM_CHECK(started >= 0, "libsodium does not start: no system randomness");
}
} // namespace

void fill_random(void* data, std::size_t size) {
  start_sodium();
  randombytes_buf(data, size);
}

std::string random_bytes(std::size_t size) {
  std::string out(size, '\0');
  fill_random(out.data(), out.size());
  return out;
}

std::uint64_t random_u64() {
  std::uint64_t value = 0;
  fill_random(&value, sizeof value);
  return value;
}

random_source seeded_source() { return random_source{random_u64()}; }

std::string sha256(std::string_view data) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(data.data()), data.size(),
         reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

std::string hex(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    out += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    out += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

void wipe(std::string& text) {
  sodium_memzero(text.data(), text.size());
  text.clear();
}

void secret_key::release::operator()(unsigned char* p) const { sodium_free(p); }

// sodium_malloc places the bytes against a guard page, tries mlock and MADV_DONTDUMP, and wipes in sodium_free.
secret_key::secret_key() {
  start_sodium();
  bytes_.reset(static_cast<unsigned char*>(sodium_malloc(size)));
  SWARM_CHECK(bytes_ != nullptr, "no memory for a key");
}

secret_key secret_key::generate() {
  secret_key key;
  randombytes_buf(key.bytes_.get(), size);
  return key;
}

secret_key secret_key::from_bytes(std::string_view bytes) {
  SWARM_CHECK(bytes.size() == size, "a key has 32 bytes");
  secret_key key;
  std::memcpy(key.bytes_.get(), bytes.data(), size);
  return key;
}

secret_key secret_key::copy() const { return from_bytes(view()); }

std::string_view secret_key::view() const { return {reinterpret_cast<const char*>(bytes_.get()), size}; }

} // namespace swarm::crypto
