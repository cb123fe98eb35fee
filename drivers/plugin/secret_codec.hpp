// What a plugin that keeps secrets is sent and what it answers, as Docker has it.
#pragma once

#include <string>
#include <string_view>

#include "messages/errors.hpp"
#include "messages/secrets.pb.h"

namespace swarm::plugin {

inline constexpr std::string_view content_type = "application/vnd.docker.plugins.v1.2+json";
/// Of an answer: the largest value in base64, with room for what stands around it.
inline constexpr std::size_t answer_bytes_max = 1024 * 1024;

/// The body of POST /SecretProvider.GetSecret.
[[nodiscard]] std::string request_body(const FetchSecret& request);
/// The answer to POST /Plugin.Activate: may it be asked for secrets?
[[nodiscard]] failure read_activation(int status, std::string_view body);
/// The answer to GetSecret. No text ever holds a part of a value.
[[nodiscard]] failure read_secret(int status, std::string_view body, SecretFetched& out);

} // namespace swarm::plugin
