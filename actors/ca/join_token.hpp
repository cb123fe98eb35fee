// Join tokens in Swarm's format: which root to trust, and the secret that decides the role.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "messages/objects.pb.h"

namespace swarm::ca {

/// SWMTKN-1-<50>-<25>, or SWMTKN-2-<0 or 1>-<50>-<25> where 1 = the cluster demands FIPS. The two numbers are base 36,
/// lower case, padded with zeros: SHA-256 of the root certificate's PEM text, and 16 random bytes.
struct parsed_token {
  std::string root_digest; ///< 32 bytes
  std::string secret;      ///< 25 characters
  bool fips = false;
};

/// nullopt: users see "invalid join token".
[[nodiscard]] std::optional<parsed_token> parse_join_token(std::string_view token);

/// `secret` is 16 bytes.
[[nodiscard]] std::string format_join_token(std::string_view root_pem, std::string_view secret);
/// With a fresh secret from the system.
[[nodiscard]] std::string make_join_token(std::string_view root_pem);

/// Both, for a new cluster or a new root.
[[nodiscard]] JoinTokens make_join_tokens(std::string_view root_pem);
/// New secrets for the chosen roles; nodes that have joined are not affected.
void rotate_join_tokens(JoinTokens& tokens, std::string_view root_pem, bool worker, bool manager);

/// What a joining node checks before it trusts a root that came over an unauthenticated connection.
[[nodiscard]] bool token_fits_root(const parsed_token& token, std::string_view root_pem);

/// The role that `token` gives, or nullopt for a token that is not valid now. Compares with both tokens in a time that
/// does not depend on their contents, so that guesses learn nothing.
[[nodiscard]] std::optional<NodeRole> role_of_token(const JoinTokens& tokens, std::string_view token);

} // namespace swarm::ca
