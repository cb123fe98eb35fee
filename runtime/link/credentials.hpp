// What a node proves itself with and whom it believes; replaceable while links are up.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "messages/errors.hpp"
#include "runtime/link/identity.hpp"

typedef struct ssl_ctx_st SSL_CTX;

namespace swarm::link {

struct credentials {
  std::string cluster_id;      ///< "" only without a certificate: peers of any cluster are believed
  std::string certificate_pem; ///< own certificate first, then intermediates; "" = none: an outsider
  std::string key_pem;
  std::string roots_pem;       ///< one or more; "" = nobody can be believed
};

/// Immutable: an SSL_CTX and what it stands for. Handshakes under way keep the one they began with.
struct tls_identity {
  std::shared_ptr<SSL_CTX> context;
  identity self;               ///< role ANYONE without a certificate
  std::string cluster_id;
  bool has_roots = false;
};

/// invalid_argument with a text that holds no key material: unreadable PEM, a key that does not belong to the
/// certificate, or a certificate that is not of a node of this cluster.
[[nodiscard]] failure make_tls_identity(const credentials& from, std::shared_ptr<const tls_identity>& out);

/// Shared by everything that opens links. Thread-safe.
class credential_store {
public:
  /// New handshakes use these from now on; established links go on. On a failure the old ones stay.
  failure replace(const credentials& with);
  /// Null before the first replace().
  [[nodiscard]] std::shared_ptr<const tls_identity> current() const;

private:
  mutable std::mutex mutex_;
  std::shared_ptr<const tls_identity> current_;
};

} // namespace swarm::link
