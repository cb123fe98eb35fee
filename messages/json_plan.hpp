// What messages/options.proto says of each field, looked up once per message type and kept. Used by docker_json only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <google/protobuf/descriptor.h>

namespace swarm::json_plan {

struct message_plan;

/// The texts of one enum in the API.
struct enum_plan {
  struct value {
    int number = 0;
    std::string text;
  };
  std::vector<value> values;
  std::string invalid; ///< what is said of an unknown text, %s stands for it
  std::string type;    ///< short name, for errors
  bool exact = false;  ///< capital letters are others than small ones

  /// nullptr when the number has no text.
  [[nodiscard]] const std::string* text_of(int number) const;
  /// In any case, unless `exact`, as Docker compares; -1 when unknown.
  [[nodiscard]] int number_of(std::string_view text) const;
  [[nodiscard]] std::string unknown(std::string_view text) const;
};

/// How a field looks in JSON.
enum class shape : std::uint8_t { scalar, message, inlined, list, list_of_lists, map };
/// What a scalar, or an element of a list or map, is.
enum class element : std::uint8_t {
  boolean,
  int32,
  int64,
  uint32,
  uint64,
  float32,
  float64,
  string,
  bytes,
  time,
  enumeration,
  message
};

struct field_plan {
  const google::protobuf::FieldDescriptor* field = nullptr;
  const google::protobuf::FieldDescriptor* value = nullptr; ///< maps: the entry's value; lists of lists: the inner list
  std::string name;
  std::string raw_key; ///< "\"Name\":"
  std::string go_type;   ///< of the value, or of an element: "time.Duration", for errors
  std::string go_struct; ///< of a message: what stands before its fields in errors
  shape form = shape::scalar;
  element of = element::string;
  bool has_presence = false;
  bool always = false;
  bool empty_object = false;
  bool null_when_empty = false;
  bool write_only = false;
  std::uint32_t since_minor = 0;
  std::uint32_t until_minor = 0;
  const message_plan* child = nullptr;
  const enum_plan* texts = nullptr;

  [[nodiscard]] bool known_in(std::uint32_t minor) const {
    return minor >= since_minor && (until_minor == 0 || minor < until_minor);
  }
};

/// A key of a JSON object: its field, and the inlined messages that lead to it.
struct key_plan {
  std::vector<const google::protobuf::FieldDescriptor*> through;
  const field_plan* field = nullptr;
};

struct message_plan {
  std::string type;                               ///< "ServiceSpec"
  std::string go_type, go_struct;                 ///< "swarm.ServiceSpec" and "ServiceSpec" in Go, for errors
  std::vector<field_plan> fields;                 ///< by number, without internal ones
  std::unordered_map<std::string, key_plan> keys; ///< by name in lower case

  [[nodiscard]] const key_plan* find(std::string_view key) const;
};

/// Built at the first call for a type, with all types it holds; valid for ever. Thread-safe.
/// Throws std::logic_error when the options contradict each other: an error in a .proto file, found by any test.
[[nodiscard]] const message_plan& plan_of(const google::protobuf::Descriptor& type);

} // namespace swarm::json_plan
