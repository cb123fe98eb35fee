// Any message as one line of text and back: logs, goldens, console and REPL all use it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "messages/errors.hpp"

namespace google::protobuf {
class EnumValueDescriptor;
class FieldDescriptor;
class Message;
} // namespace google::protobuf

namespace swarm {

/// Task{id=9f2c meta{version{index=7} created_at=2024-05-01T10:00:00Z} status{state=running} aliases=[a b]
/// labels=[k:v] blob=<12 bytes> join_token=***}
/// Fields stand in order of their numbers, unset ones are left out, map entries are sorted. A string is quoted (Go's
/// %q) unless it is a plain word. Enums are short lower-case names, times RFC 3339. Secret fields show only ***.
/// Beyond `size_max` the text is cut and ends in "…".
[[nodiscard]] std::string render(const google::protobuf::Message& message, std::size_t size_max = std::size_t(-1));

/// The reverse, for what a person types: `Name{…}`, `{…}` or the bare fields; '=' or ':' after a field's name, blanks or
/// commas between fields. The name, if given, must be that of `out`'s type. `out` is cleared first.
/// Fails with errc::invalid_argument and a text that names the place; *** and <N bytes> cannot be read.
[[nodiscard]] failure parse_rendered(std::string_view text, google::protobuf::Message& out);

/// "running" for TASK_STATE_RUNNING: the value's name without its enum's prefix, in lower case.
[[nodiscard]] std::string short_name(const google::protobuf::EnumValueDescriptor& value);

/// Whether a field holds a key, token or secret: marked (redacted) or write_only, or named like one.
[[nodiscard]] bool is_redacted(const google::protobuf::FieldDescriptor& field);

} // namespace swarm
