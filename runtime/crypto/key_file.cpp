// Text form of the data key file and of unlock keys.
#include "runtime/crypto/key_file.hpp"

#include <charconv>
#include <cstdio>

#include "runtime/crypto/atomic_file.hpp"
#include "runtime/text.hpp"

namespace swarm::crypto {

namespace {

constexpr std::string_view unlock_prefix = "SWMKEY-1-";
constexpr std::string_view file_header = "swarm data key 1";

// Wraps under the unlock key; the data key's id is bound in, so that a wrapped key cannot be given another name.
sealer wrapper(const secret_key& unlock_key) { return {data_key{1, unlock_key.copy()}, "SWMKEY-1"}; }

std::string id_text(std::uint32_t id) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", id);
  return text;
}

key_file_content refuse(key_file_status status, std::string message, bool wrapped = false) {
  return {status, std::nullopt, wrapped, std::move(message)};
}

struct fields {
  std::string_view id, kind, value;
};

// The three values of a well-formed file whose sum fits.
std::optional<fields> split_file(std::string_view text) {
  const auto sum_at = text.rfind("sum ");
  if (sum_at == std::string_view::npos || !text.ends_with('\n'))
    return std::nullopt;
  const auto sum = text.substr(sum_at + 4, text.size() - sum_at - 5);
  if (sum != hex(sha256(text.substr(0, sum_at))))
    return std::nullopt;
  const auto lines = text::split(text.substr(0, sum_at), '\n');
  if (lines.size() != 4 || lines[0] != file_header || !lines[1].starts_with("id ") || !lines[3].empty())
    return std::nullopt;
  const auto blank = lines[2].find(' ');
  if (blank == std::string_view::npos)
    return std::nullopt;
  return fields{lines[1].substr(3), lines[2].substr(0, blank), lines[2].substr(blank + 1)};
}

key_file_content parse_file(std::string_view text, const secret_key* unlock_key, const std::string& path) {
  const auto parts = split_file(text);
  std::uint32_t id = 0;
  if (!parts || parts->id.size() != 8 ||
      std::from_chars(parts->id.data(), parts->id.data() + 8, id, 16).ptr != parts->id.data() + 8 || id == 0)
    return refuse(key_file_status::damaged, path + " is damaged");
  auto value = text::base64_decode(parts->value);
  const bool wrapped = parts->kind == "wrapped";
  if (!value || (!wrapped && parts->kind != "plain"))
    return refuse(key_file_status::damaged, path + " is damaged");
  std::string bytes;
  if (wrapped) {
    if (unlock_key == nullptr)
      return refuse(key_file_status::locked, "the data key is locked and needs the unlock key", true);
    if (wrapper(*unlock_key).open("data-key", parts->id, *value, bytes) != open_result::ok)
      return refuse(key_file_status::wrong_unlock_key, "invalid unlock key", true);
  } else {
    bytes = *value;
    wipe(*value);
  }
  key_file_content out;
  out.wrapped = wrapped;
  if (bytes.size() == secret_key::size)
    out.key = data_key{id, secret_key::from_bytes(bytes)};
  else
    out = refuse(key_file_status::damaged, path + " holds a key of the wrong length", wrapped);
  wipe(bytes);
  return out;
}

} // namespace

std::string format_unlock_key(const secret_key& key) {
  auto encoded = text::base64_encode(key.view());
  encoded.resize(encoded.find('='));
  std::string out{unlock_prefix};
  out += encoded;
  wipe(encoded);
  return out;
}

std::optional<secret_key> parse_unlock_key(std::string_view text) {
  constexpr std::size_t encoded_size = 43;
  if (!text.starts_with(unlock_prefix) || text.size() != unlock_prefix.size() + encoded_size)
    return std::nullopt;
  std::string padded{text.substr(unlock_prefix.size())};
  padded += '=';
  auto bytes = text::base64_decode(padded);
  wipe(padded);
  if (!bytes || bytes->size() != secret_key::size)
    return std::nullopt;
  auto key = secret_key::from_bytes(*bytes);
  wipe(*bytes);
  // Two spare bits in the last character: only one spelling of a key is a key.
  auto canonical = format_unlock_key(key);
  const bool same = equal_constant_time(canonical, text);
  wipe(canonical);
  if (!same)
    return std::nullopt;
  return key;
}

key_file_content load_data_key(const std::filesystem::path& path, const secret_key* unlock_key) {
  auto file = read_file(path, true);
  switch (file.status) {
  case read_status::missing: return refuse(key_file_status::missing, file.message);
  case read_status::unsafe: return refuse(key_file_status::unsafe, file.message);
  case read_status::failed: return refuse(key_file_status::failed, file.message);
  case read_status::ok: break;
  }
  auto out = parse_file(file.bytes, unlock_key, path.string());
  wipe(file.bytes);
  return out;
}

failure save_data_key(const std::filesystem::path& path, const data_key& key, const secret_key* unlock_key) {
  const auto id = id_text(key.id);
  auto value = unlock_key == nullptr ? text::base64_encode(key.key.view())
                                     : text::base64_encode(wrapper(*unlock_key).seal("data-key", id, key.key.view()));
  std::string bytes;
  bytes.reserve(512);
  bytes.append(file_header).append("\nid ").append(id).append(unlock_key == nullptr ? "\nplain " : "\nwrapped ");
  bytes.append(value).append("\n");
  const auto sum = hex(sha256(bytes));
  bytes.append("sum ").append(sum).append("\n");
  auto result = replace_file(path, bytes, 0600);
  wipe(value);
  wipe(bytes);
  return result;
}

} // namespace swarm::crypto
