// Reading and writing the certificate folder.
#include "actors/ca/cert_files.hpp"

#include <sys/stat.h>

#include <system_error>

#include "runtime/crypto/atomic_file.hpp"
#include "runtime/crypto/bytes.hpp"
#include "runtime/crypto/x509.hpp"
#include "runtime/text.hpp"

namespace swarm::ca {

namespace fs = std::filesystem;

namespace {

failure make_folder(const fs::path& directory) {
  std::error_code error;
  if (fs::is_directory(directory, error))
    return {};
  fs::create_directories(directory, error);
  if (error)
    return {errc::storage_failed, "cannot make " + directory.string() + ": " + error.message()};
  ::chmod(directory.c_str(), 0700);
  return crypto::sync_directory(directory.parent_path());
}

bool belong_together(std::string_view certificate_pem, std::string_view key_pem) {
  const auto certificates = crypto::certificate::parse_pem(certificate_pem);
  const auto key = crypto::private_key::parse_pem(key_pem);
  return certificates && key && certificates->front().belongs_to(*key);
}

loaded_credentials refuse(load_status status, std::string message) { return {status, {}, {}, std::move(message)}; }

constexpr std::string_view sealed_header = "swarm sealed key 1\n";
constexpr std::string_view seal_table = "node-key";

crypto::sealer sealer_of(const crypto::data_key& key) { return {key.copy(), "swarm-node.key"}; }

std::string key_text(const std::string& pem, const crypto::data_key* seal) {
  if (seal == nullptr)
    return pem;
  return std::string{sealed_header} + text::base64_encode(sealer_of(*seal).seal(seal_table, {}, pem)) + '\n';
}

// ok with the PEM text, locked, or damaged.
load_status open_key(std::string& content, const crypto::data_key* seal) {
  if (!content.starts_with(sealed_header))
    return load_status::ok;
  if (seal == nullptr)
    return load_status::locked;
  const auto sealed = text::base64_decode(text::trim(std::string_view{content}.substr(sealed_header.size())));
  std::string pem;
  if (!sealed || sealer_of(*seal).open(seal_table, {}, *sealed, pem) != crypto::open_result::ok)
    return load_status::damaged;
  content = std::move(pem);
  return load_status::ok;
}

} // namespace

failure save_credentials(const fs::path& directory, const node_credentials& credentials, const crypto::data_key* seal) {
  if (auto error = make_folder(directory); !error.ok())
    return error;
  if (auto error = crypto::stage_file(directory / file::certificate, credentials.certificate_pem, 0600); !error.ok())
    return error;
  auto key = key_text(credentials.key_pem, seal);
  const auto staged = crypto::stage_file(directory / file::key, key, 0600);
  crypto::wipe(key);
  if (!staged.ok())
    return staged;
  // The temporary names must outlive a power cut before the first of them is used up.
  if (auto error = crypto::sync_directory(directory); !error.ok())
    return error;
  if (auto error = crypto::publish_file(directory / file::key); !error.ok())
    return error;
  return crypto::publish_file(directory / file::certificate);
}

failure save_root(const fs::path& directory, std::string_view root_pem) {
  if (auto error = make_folder(directory); !error.ok())
    return error;
  return crypto::replace_file(directory / file::root, root_pem, 0644);
}

loaded_credentials load_credentials(const fs::path& directory, const crypto::data_key* seal) {
  using crypto::read_status;
  const auto root = crypto::read_file(directory / file::root, false);
  auto key = crypto::read_file(directory / file::key, true);
  if (root.status == read_status::missing || key.status == read_status::missing)
    return refuse(load_status::missing, (root.status == read_status::missing ? root : key).message);
  if (key.status == read_status::unsafe)
    return refuse(load_status::unsafe, key.message);
  if (key.status != read_status::ok || root.status != read_status::ok)
    return refuse(load_status::damaged, (key.status != read_status::ok ? key : root).message);
  auto certificate = crypto::read_file(directory / file::certificate, true);
  const bool sealed = key.bytes.starts_with(sealed_header);
  switch (open_key(key.bytes, seal)) {
    case load_status::ok: break;
    case load_status::locked: return {load_status::locked, {certificate.bytes, {}}, root.bytes, "the node's key is locked", true};
    default: return refuse(load_status::damaged, "the node's key is damaged, or sealed by another data key");
  }
  if (certificate.status != read_status::ok || !belong_together(certificate.bytes, key.bytes)) {
    auto waiting = crypto::read_file(crypto::staged_name(directory / file::certificate), true);
    if (waiting.status != read_status::ok || !belong_together(waiting.bytes, key.bytes))
      return refuse(load_status::damaged, certificate.status != read_status::ok
                                              ? certificate.message
                                              : "the node's certificate and key do not belong together");
    if (const auto error = crypto::publish_file(directory / file::certificate); !error.ok())
      return refuse(load_status::damaged, error.message);
    certificate = std::move(waiting);
  }
  return {load_status::ok, {std::move(certificate.bytes), std::move(key.bytes)}, root.bytes, {}, sealed};
}

} // namespace swarm::ca
