// The order of the files: whatever stops us in between, what is on disk opens with the key that the user has.
#include "actors/node/key_guard.hpp"

namespace swarm::node {

namespace {

std::optional<crypto::secret_key> copy_of(const crypto::secret_key* key) {
  return key == nullptr ? std::nullopt : std::optional{key->copy()};
}

bool same(const crypto::secret_key* a, const crypto::secret_key* b) {
  return a == nullptr || b == nullptr ? a == b : crypto::equal_constant_time(a->view(), b->view());
}

key_guard::opened refuse(key_guard::status what, std::string message) { return {what, std::move(message), {}}; }

} // namespace

key_guard::opened key_guard::open(const crypto::secret_key* unlock_key) {
  using file_status = crypto::key_file_status;
  auto wrapped = crypto::load_data_key(data_key_file_, unlock_key);
  switch (wrapped.status) {
    case file_status::ok: case file_status::missing: case file_status::locked: break;
    case file_status::wrong_unlock_key: return refuse(status::wrong_unlock_key, wrapped.message);
    default: return refuse(status::failed, wrapped.message);
  }
  data_key_ = std::move(wrapped.key);
  unlock_key_ = wrapped.wrapped && data_key_ ? copy_of(unlock_key) : std::nullopt;
  opened out;
  out.identity = ca::load_credentials(certificates_, data_key_ ? &*data_key_ : nullptr);
  sealed_ = out.identity.sealed && data_key_;
  out.message = out.identity.message;
  if (out.identity.status == ca::load_status::missing)
    out.what = status::missing;
  else if (out.identity.status == ca::load_status::locked && wrapped.status == file_status::missing)
    return refuse(status::failed, "the node's key is locked, and the data key that opens it is missing");
  else if (wrapped.status == file_status::locked || out.identity.status == ca::load_status::locked)
    out.what = status::locked;
  else if (out.identity.status != ca::load_status::ok)
    out.what = status::failed;
  return out;
}

failure key_guard::create(const crypto::secret_key* unlock_key) {
  auto key = crypto::data_key::generate();
  if (auto problem = crypto::save_data_key(data_key_file_, key, unlock_key); !problem.ok())
    return problem;
  data_key_ = std::move(key);
  unlock_key_ = copy_of(unlock_key);
  sealed_ = unlock_key_.has_value();
  return {};
}

failure key_guard::save(const ca::node_credentials& credentials) const {
  return ca::save_credentials(certificates_, credentials, seal());
}

failure key_guard::become_worker(const ca::node_credentials& credentials) {
  if (auto problem = ca::save_credentials(certificates_, credentials); !problem.ok())
    return problem;
  sealed_ = false;
  data_key_.reset();
  unlock_key_.reset();
  return {};
}

failure key_guard::follow(const crypto::secret_key* unlock_key) {
  if (!data_key_)
    return {};
  if (unlock_key != nullptr && !sealed_)
    if (auto problem = rewrite_credentials(true); !problem.ok())
      return problem;
  if (!same(unlock_key, this->unlock_key())) {
    if (auto problem = crypto::save_data_key(data_key_file_, *data_key_, unlock_key); !problem.ok())
      return problem;
    unlock_key_ = copy_of(unlock_key);
  }
  return unlock_key == nullptr && sealed_ ? rewrite_credentials(false) : failure{};
}

failure key_guard::rewrite_credentials(bool sealed) {
  auto loaded = ca::load_credentials(certificates_, &*data_key_);
  if (loaded.status != ca::load_status::ok)
    return {errc::storage_failed, loaded.message};
  auto problem = ca::save_credentials(certificates_, loaded.credentials, sealed ? &*data_key_ : nullptr);
  crypto::wipe(loaded.credentials.key_pem);
  if (problem.ok())
    sealed_ = sealed;
  return problem;
}

} // namespace swarm::node
