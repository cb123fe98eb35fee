// Value sealing by libsodium's XChaCha20-Poly1305 (IETF construction).
#include "runtime/crypto/sealer.hpp"

#include <sodium.h>

#include <cstring>

#include "runtime/check.hpp"

namespace swarm::crypto {

namespace {
constexpr std::size_t id_size = 4;
static_assert(id_size + crypto_aead_xchacha20poly1305_ietf_NPUBBYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES
              == sealer::overhead);
static_assert(secret_key::size == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

void put_u32(unsigned char* out, std::uint32_t value) {
  for (std::size_t i = 0; i < id_size; ++i)
    out[i] = static_cast<unsigned char>(value >> (24 - 8 * i));
}

std::uint32_t read_u32(const unsigned char* in) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < id_size; ++i)
    value = (value << 8) | in[i];
  return value;
}

const unsigned char* raw(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); }
} // namespace

data_key data_key::generate() {
  std::uint32_t id = 0;
  while (id == 0)
    fill_random(&id, sizeof id);
  return {id, secret_key::generate()};
}

sealer::sealer(data_key key, std::string domain) : key_{std::move(key)}, domain_{std::move(domain)} {
  SWARM_CHECK(domain_.size() <= 255);
}

std::string sealer::associated(std::string_view table, std::string_view key) const {
  SWARM_CHECK(table.size() <= 255);
  std::string out;
  out.reserve(domain_.size() + table.size() + key.size() + 2 + id_size);
  out += static_cast<char>(domain_.size());
  out += domain_;
  out += static_cast<char>(table.size());
  out += table;
  unsigned char id[id_size];
  put_u32(id, key_.id);
  out.append(reinterpret_cast<const char*>(id), id_size);
  out += key;
  return out;
}

void sealer::take_nonce(unsigned char* out) {
  static_assert(nonce_size == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
  if (nonces_left_ == 0) {
    fill_random(nonces_.data(), nonces_.size());
    nonces_left_ = nonces_.size() / nonce_size;
  }
  std::memcpy(out, nonces_.data() + --nonces_left_ * nonce_size, nonce_size);
}

void sealer::seal(std::string_view table, std::string_view key, std::string_view plain, void* out) {
  auto* const bytes = static_cast<unsigned char*>(out);
  put_u32(bytes, key_.id);
  auto* const nonce = bytes + id_size;
  take_nonce(nonce);
  const auto ad = associated(table, key);
  crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + nonce_size, nullptr, raw(plain), plain.size(), raw(ad), ad.size(),
                                             nullptr, nonce, key_.key.data());
}

std::string sealer::seal(std::string_view table, std::string_view key, std::string_view plain) {
  std::string out(sealed_size(plain.size()), '\0');
  seal(table, key, plain, out.data());
  return out;
}

open_result sealer::open(std::string_view table, std::string_view key, std::string_view sealed,
                         std::string& plain) const {
  plain.clear();
  if (sealed.size() < overhead)
    return open_result::damaged;
  if (read_u32(raw(sealed)) != key_.id)
    return open_result::other_key;
  const auto ad = associated(table, key);
  const auto* const nonce = raw(sealed) + id_size;
  plain.resize(sealed.size() - overhead);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(reinterpret_cast<unsigned char*>(plain.data()), nullptr, nullptr,
                                                 nonce + nonce_size, sealed.size() - id_size - nonce_size, raw(ad),
                                                 ad.size(), nonce, key_.key.data()) != 0) {
    wipe(plain);
    return open_result::damaged;
  }
  return open_result::ok;
}

} // namespace swarm::crypto
