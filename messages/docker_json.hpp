// Protobuf messages as Docker Engine API JSON and back, by descriptor reflection and messages/options.proto.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "messages/errors.hpp"
#include "messages/json_reader.hpp"
#include "messages/json_writer.hpp"

namespace google::protobuf {
class Message;
}

namespace swarm {

/// The NN of the API version 1.NN of one request: decides which fields exist (behaviour §2.11).
struct api_minor {
  std::uint32_t value = 50;
  auto operator<=>(const api_minor&) const = default;
};

/// Reads one JSON document into `out`, which is cleared first. Go's rules: keys in any case, unknown keys skipped, null
/// leaves a field unset, of equal keys the last one wins, integers must be integers in range, bytes are base64, times
/// RFC 3339. A whole text is expected: the caller has bounded its size and waited for its end.
/// Fails with errc::invalid_argument and the text that Docker answers with status 400 (no "rpc error" prefix):
/// an empty body, a syntax error, a wrong type, a number out of range, an unknown enum text. `out` is unspecified then.
/// Fields marked internal, and those that `api` does not know (since/until), are skipped like unknown ones.
[[nodiscard]] failure from_json(std::string_view text, google::protobuf::Message& out, api_minor api,
                                json_limits limits = {});

/// Writes `message` as one JSON object. Fields marked internal or write_only are never written.
/// Thread-safe, also for one message from several threads.
void to_json(const google::protobuf::Message& message, json_writer& out, api_minor api);
[[nodiscard]] std::string to_json(const google::protobuf::Message& message, api_minor api);

} // namespace swarm
