// Base-36 numbers of 128 and 256 bits, and the text around them.
#include "actors/ca/join_token.hpp"

#include <algorithm>
#include <vector>

#include "runtime/check.hpp"
#include "runtime/crypto/bytes.hpp"
#include "runtime/text.hpp"

namespace swarm::ca {

namespace {

constexpr std::size_t digest_chars = 50; // ceil(log36(2^256))
constexpr std::size_t secret_chars = 25; // ceil(log36(2^128))
constexpr std::size_t secret_bytes = 16;
constexpr std::string_view digits = "0123456789abcdefghijklmnopqrstuvwxyz";

// A big-endian number as text of exactly `chars` digits, which must be enough.
std::string to_base36(std::string_view number, std::size_t chars) {
  std::string rest{number};
  std::string out(chars, '0');
  for (auto at = out.rbegin(); at != out.rend(); ++at) {
    unsigned remainder = 0;
    for (auto& byte : rest) {
      const auto value = remainder * 256 + static_cast<unsigned char>(byte);
      byte = static_cast<char>(value / 36);
      remainder = value % 36;
    }
    *at = digits[remainder];
  }
  return out;
}

// nullopt for other characters, or when the number needs more than `bytes`.
std::optional<std::string> from_base36(std::string_view text, std::size_t bytes) {
  std::string out(bytes, '\0');
  for (const char c : text) {
    const auto digit = digits.find(c);
    if (digit == std::string_view::npos)
      return std::nullopt;
    auto carry = static_cast<unsigned>(digit);
    for (auto at = out.rbegin(); at != out.rend(); ++at) {
      const auto value = static_cast<unsigned char>(*at) * 36u + carry;
      *at = static_cast<char>(value & 0xff);
      carry = value >> 8;
    }
    if (carry != 0)
      return std::nullopt;
  }
  return out;
}

} // namespace

std::optional<parsed_token> parse_join_token(std::string_view token) {
  constexpr std::size_t longest = 5 + 2 + 2 + 1 + 1 + digest_chars + 1 + secret_chars;
  if (token.size() > longest + 8)
    return std::nullopt;
  const auto parts = text::split(token, '-');
  if (parts.size() < 4 || parts[0] != "SWMTKN")
    return std::nullopt;
  parsed_token out;
  if (parts[1] == "2" && parts.size() == 5 && (parts[2] == "0" || parts[2] == "1"))
    out.fips = parts[2] == "1";
  else if (parts[1] != "1" || parts.size() != 4)
    return std::nullopt;
  const auto digest = parts[parts.size() - 2];
  const auto secret = parts.back();
  if (digest.size() != digest_chars || secret.size() != secret_chars || !from_base36(secret, secret_bytes + 1))
    return std::nullopt;
  auto bytes = from_base36(digest, 32);
  if (!bytes)
    return std::nullopt;
  out.root_digest = std::move(*bytes);
  out.secret = secret;
  return out;
}

std::string format_join_token(std::string_view root_pem, std::string_view secret) {
  SWARM_CHECK(secret.size() == secret_bytes);
  return "SWMTKN-1-" + to_base36(crypto::sha256(root_pem), digest_chars) + '-' + to_base36(secret, secret_chars);
}

std::string make_join_token(std::string_view root_pem) {
  return format_join_token(root_pem, crypto::random_bytes(secret_bytes));
}

JoinTokens make_join_tokens(std::string_view root_pem) {
  JoinTokens out;
  rotate_join_tokens(out, root_pem, true, true);
  return out;
}

void rotate_join_tokens(JoinTokens& tokens, std::string_view root_pem, bool worker, bool manager) {
  if (worker)
    tokens.set_worker(make_join_token(root_pem));
  if (manager)
    tokens.set_manager(make_join_token(root_pem));
}

bool token_fits_root(const parsed_token& token, std::string_view root_pem) {
  return crypto::equal_constant_time(token.root_digest, crypto::sha256(root_pem));
}

std::optional<NodeRole> role_of_token(const JoinTokens& tokens, std::string_view token) {
  const bool worker = crypto::equal_constant_time(tokens.worker(), token);
  const bool manager = crypto::equal_constant_time(tokens.manager(), token);
  if (token.empty() || worker == manager)
    return std::nullopt;
  return manager ? NODE_ROLE_MANAGER : NODE_ROLE_WORKER;
}

} // namespace swarm::ca
