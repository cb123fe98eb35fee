// A node's certificate, key and root on disk, under Swarm's names; certificate and key change together or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "actors/ca/certificates.hpp"
#include "runtime/crypto/sealer.hpp"

namespace swarm::ca {

namespace file {
inline constexpr const char* certificate = "swarm-node.crt";
inline constexpr const char* key = "swarm-node.key";
inline constexpr const char* root = "swarm-root-ca.crt";
} // namespace file

/// Both are first complete and synced under temporary names, then renamed, the key before the certificate: at a crash
/// in between, the certificate of the new key waits under its temporary name, and load_credentials finishes.
/// With `seal` the key is useless without that data key: a locked manager's must not be worth stealing.
[[nodiscard]] failure save_credentials(const std::filesystem::path& directory, const node_credentials& credentials,
                                       const crypto::data_key* seal = nullptr);
[[nodiscard]] failure save_root(const std::filesystem::path& directory, std::string_view root_pem);

enum class load_status : std::uint8_t {
  ok,
  missing, ///< this node has no identity yet
  locked,  ///< the key is sealed and no data key was given; certificate and root are there
  unsafe,  ///< the key can be read by others
  damaged, ///< unreadable, or certificate and key do not belong together
};
struct loaded_credentials {
  load_status status = load_status::ok;
  node_credentials credentials;
  std::string root_pem;
  std::string message;
  bool sealed = false; ///< as it lies on disk
};
[[nodiscard]] loaded_credentials load_credentials(const std::filesystem::path& directory,
                                                  const crypto::data_key* seal = nullptr);

} // namespace swarm::ca
