// Writes messages by their plans.
#include "messages/docker_json.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <google/protobuf/message.h>

#include "messages/json_plan.hpp"

namespace swarm {

namespace {

namespace pb = google::protobuf;
using json_plan::element;
using json_plan::field_plan;
using json_plan::message_plan;
using json_plan::shape;

class encoder {
public:
  encoder(json_writer& out, api_minor api) : out_{out}, api_{api} {}

  void message(const pb::Message& msg, const message_plan& plan) {
    out_.begin_object();
    fields(msg, plan);
    out_.end_object();
  }

private:
  void fields(const pb::Message& msg, const message_plan& plan) {
    const auto& reflection = *msg.GetReflection();
    for (const auto& field : plan.fields) {
      if (field.write_only || !field.known_in(api_.value))
        continue;
      switch (field.form) {
      case shape::scalar: scalar(msg, reflection, field); break;
      case shape::message: submessage(msg, reflection, field); break;
      case shape::inlined: fields(reflection.GetMessage(msg, field.field), *field.child); break;
      case shape::list:
      case shape::list_of_lists: list(msg, reflection, field); break;
      case shape::map: map(msg, reflection, field); break;
      }
    }
  }

  void submessage(const pb::Message& msg, const pb::Reflection& reflection, const field_plan& field) {
    if (!reflection.HasField(msg, field.field) && !field.empty_object) {
      if (field.always) {
        out_.raw_key(field.raw_key);
        out_.null();
      }
      return;
    }
    out_.raw_key(field.raw_key);
    message(reflection.GetMessage(msg, field.field), *field.child);
  }

  // Writes key and value unless the field counts as empty.
  void scalar(const pb::Message& msg, const pb::Reflection& reflection, const field_plan& field) {
    const auto* f = field.field;
    bool wanted = field.always;
    if (field.has_presence)
      wanted |= reflection.HasField(msg, f);
    const auto put = [&](auto value, auto write) {
      if (!wanted && (field.has_presence || value == decltype(value){}))
        return;
      out_.raw_key(field.raw_key);
      (out_.*write)(value);
    };
    std::string scratch;
    switch (field.of) {
    case element::boolean: return put(reflection.GetBool(msg, f), &json_writer::boolean);
    case element::int32: return put(std::int64_t{reflection.GetInt32(msg, f)}, &json_writer::integer);
    case element::int64: return put(std::int64_t{reflection.GetInt64(msg, f)}, &json_writer::integer);
    case element::uint32: return put(std::uint64_t{reflection.GetUInt32(msg, f)}, &json_writer::unsigned_integer);
    case element::uint64: return put(std::uint64_t{reflection.GetUInt64(msg, f)}, &json_writer::unsigned_integer);
    case element::time: return put(std::int64_t{reflection.GetInt64(msg, f)}, &json_writer::time);
    case element::float32:
      return put(reflection.GetFloat(msg, f), static_cast<void (json_writer::*)(float)>(&json_writer::floating));
    case element::float64:
      return put(reflection.GetDouble(msg, f), static_cast<void (json_writer::*)(double)>(&json_writer::floating));
    case element::string:
      return put(std::string_view{reflection.GetStringReference(msg, f, &scratch)}, &json_writer::string);
    case element::bytes:
      return put(std::string_view{reflection.GetStringReference(msg, f, &scratch)}, &json_writer::base64);
    case element::enumeration: return put(text_of(*field.texts, reflection.GetEnumValue(msg, f)), &json_writer::string);
    case element::message: return;
    }
  }

  // An enum value of a later version has no text here: it is shown as unset.
  static std::string_view text_of(const json_plan::enum_plan& texts, int number) {
    const auto* text = texts.text_of(number);
    return text ? std::string_view{*text} : std::string_view{};
  }

  // False when the empty list or map is to be left out or has been written.
  bool begin_collection(const field_plan& field, bool empty, std::string_view when_empty) {
    if (empty && !field.always)
      return false;
    out_.raw_key(field.raw_key);
    if (empty)
      out_.raw(field.null_when_empty ? "null" : when_empty);
    return !empty;
  }

  void list(const pb::Message& msg, const pb::Reflection& reflection, const field_plan& field) {
    const int size = reflection.FieldSize(msg, field.field);
    if (!begin_collection(field, size == 0, "[]"))
      return;
    out_.begin_array();
    for (int i = 0; i < size; ++i) {
      if (field.form == shape::list) {
        item(msg, reflection, field.field, field, i);
        continue;
      }
      const auto& inner = reflection.GetRepeatedMessage(msg, field.field, i);
      const auto& inner_reflection = *inner.GetReflection();
      out_.begin_array();
      for (int k = 0; k < inner_reflection.FieldSize(inner, field.value); ++k)
        item(inner, inner_reflection, field.value, field, k);
      out_.end_array();
    }
    out_.end_array();
  }

  void item(const pb::Message& msg, const pb::Reflection& reflection, const pb::FieldDescriptor* f,
            const field_plan& field, int i) {
    std::string scratch;
    switch (field.of) {
    case element::boolean: return out_.boolean(reflection.GetRepeatedBool(msg, f, i));
    case element::int32: return out_.integer(reflection.GetRepeatedInt32(msg, f, i));
    case element::int64: return out_.integer(reflection.GetRepeatedInt64(msg, f, i));
    case element::uint32: return out_.unsigned_integer(reflection.GetRepeatedUInt32(msg, f, i));
    case element::uint64: return out_.unsigned_integer(reflection.GetRepeatedUInt64(msg, f, i));
    case element::time: return out_.time(reflection.GetRepeatedInt64(msg, f, i));
    case element::float32: return out_.floating(reflection.GetRepeatedFloat(msg, f, i));
    case element::float64: return out_.floating(reflection.GetRepeatedDouble(msg, f, i));
    case element::string: return out_.string(reflection.GetRepeatedStringReference(msg, f, i, &scratch));
    case element::bytes: return out_.base64(reflection.GetRepeatedStringReference(msg, f, i, &scratch));
    case element::enumeration: return out_.string(text_of(*field.texts, reflection.GetRepeatedEnumValue(msg, f, i)));
    case element::message: return message(reflection.GetRepeatedMessage(msg, f, i), *field.child);
    }
  }

  // Go sorts map keys.
  void map(const pb::Message& msg, const pb::Reflection& reflection, const field_plan& field) {
    const int size = reflection.FieldSize(msg, field.field);
    if (!begin_collection(field, size == 0, "{}"))
      return;
    const auto* key_field = field.field->message_type()->map_key();
    std::vector<std::pair<std::string_view, const pb::Message*>> entries;
    entries.reserve(static_cast<std::size_t>(size));
    std::string scratch;
    for (int i = 0; i < size; ++i) {
      const auto& entry = reflection.GetRepeatedMessage(msg, field.field, i);
      entries.emplace_back(entry.GetReflection()->GetStringReference(entry, key_field, &scratch), &entry);
    }
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    out_.begin_object();
    for (const auto& [key, entry] : entries) {
      const auto& value = *entry->GetReflection();
      out_.key(key);
      if (field.of == element::message)
        message(value.GetMessage(*entry, field.value), *field.child);
      else
        out_.string(value.GetStringReference(*entry, field.value, &scratch));
    }
    out_.end_object();
  }

  json_writer& out_;
  api_minor api_;
};

} // namespace

void to_json(const google::protobuf::Message& message, json_writer& out, api_minor api) {
  encoder{out, api}.message(message, json_plan::plan_of(*message.GetDescriptor()));
}

std::string to_json(const google::protobuf::Message& message, api_minor api) {
  std::string text;
  json_writer out{text};
  to_json(message, out, api);
  return text;
}

} // namespace swarm
