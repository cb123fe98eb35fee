// Keeps what a manager's disk could give away as the cluster wants it: readable, or worth nothing without the unlock key.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "actors/ca/cert_files.hpp"
#include "runtime/crypto/key_file.hpp"

namespace swarm::node {

/// The unlock key wraps the data key (one file), and the data key seals the database always and the node's TLS key while
/// the swarm is locked. So a new unlock key is one file replaced at once, and between the two files of locking or
/// unlocking a crash leaves a state that opens: the TLS key is sealed first and unsealed last.
class key_guard {
public:
  key_guard(std::filesystem::path certificates, std::filesystem::path data_key_file)
    : certificates_{std::move(certificates)}, data_key_file_{std::move(data_key_file)} {}

  enum class status : std::uint8_t {
    ok,
    missing, ///< this host has no identity
    locked,  ///< an unlock key is needed; certificate and root are there
    wrong_unlock_key,
    failed,
  };
  struct opened {
    status what = status::ok;
    std::string message;
    ca::loaded_credentials identity;
  };
  [[nodiscard]] opened open(const crypto::secret_key* unlock_key);

  /// Makes the data key of a new manager, wrapped from the start when there is an unlock key.
  [[nodiscard]] failure create(const crypto::secret_key* unlock_key);
  /// Puts certificate and key on disk, in the state that the disk is in.
  [[nodiscard]] failure save(const ca::node_credentials& credentials) const;
  /// Brings the disk to what the cluster says; does nothing when it is there. `unlock_key` is null when autolock is off.
  /// Without a data key (workers) there is nothing to wrap. After a failure, call it again.
  [[nodiscard]] failure follow(const crypto::secret_key* unlock_key);

  /// Certificate and key, opened.
  [[nodiscard]] ca::loaded_credentials load() const { return ca::load_credentials(certificates_, data_key_ ? &*data_key_ : nullptr); }
  /// A worker's disk holds no replicated state: nothing is locked. The data key may be removed afterwards.
  [[nodiscard]] failure become_worker(const ca::node_credentials& credentials);
  [[nodiscard]] bool has_data_key() const { return data_key_.has_value(); }

  /// What the data key is wrapped by; null when it lies in clear.
  [[nodiscard]] const crypto::secret_key* unlock_key() const { return unlock_key_ ? &*unlock_key_ : nullptr; }
  [[nodiscard]] const crypto::data_key* seal() const { return sealed_ ? &*data_key_ : nullptr; }

private:
  [[nodiscard]] failure rewrite_credentials(bool sealed);

  std::filesystem::path certificates_;
  std::filesystem::path data_key_file_;
  std::optional<crypto::data_key> data_key_;
  std::optional<crypto::secret_key> unlock_key_;
  bool sealed_ = false; ///< the TLS key on disk; implies data_key_
};

} // namespace swarm::node
