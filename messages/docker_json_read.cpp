// Reads messages by their plans, with Go's rules and error texts.
#include "messages/docker_json.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <type_traits>
#include <utility>
#include <vector>

#include <google/protobuf/message.h>

#include "messages/json_plan.hpp"
#include "messages/json_scalar.hpp"

namespace swarm {

namespace {

namespace pb = google::protobuf;
using json_plan::element;
using json_plan::field_plan;
using json_plan::message_plan;
using json_plan::shape;

class decoder {
public:
  decoder(std::string_view text, json_limits limits, api_minor api) : in_{text, limits}, api_{api} {}

  failure document(pb::Message& out) {
    if (in_.blank())
      return {errc::invalid_argument, "got EOF while reading request body"};
    if (in_.kind() == json_kind::null) // leaves everything as it was, as in Go
      in_.read_null();
    else
      message(out, json_plan::plan_of(*out.GetDescriptor()));
    // Go checks the syntax of the whole text before it looks at any type, and types before Docker looks at values.
    if (!in_.finish())
      return in_.error();
    return type_error_.ok() ? value_error_ : type_error_;
  }

private:
  void message(pb::Message& msg, const message_plan& plan) { message(msg, plan, plan.go_type, plan.go_struct); }
  void message(pb::Message& msg, const field_plan& field) { message(msg, *field.child, field.go_type, field.go_struct); }

  void message(pb::Message& msg, const message_plan& plan, const std::string& go_type, const std::string& go_struct) {
    if (in_.kind() != json_kind::object)
      return mismatch(go_type.substr(go_type.starts_with('*') ? 1 : 0));
    const auto* outer = std::exchange(struct_, &go_struct);
    std::string key;
    if (in_.enter_object())
      while (in_.next_key(key))
        member(msg, plan, key);
    struct_ = outer;
  }

  void member(pb::Message& msg, const message_plan& plan, std::string_view key) {
    const auto* found = plan.find(key);
    if (!found || !found->field->known_in(api_.value)) {
      in_.skip();
      return;
    }
    auto* target = &msg;
    for (const auto* inlined : found->through)
      target = target->GetReflection()->MutableMessage(target, inlined);
    path_.push_back(found->field->name);
    field(*target, *found->field);
    path_.pop_back();
  }

  void field(pb::Message& msg, const field_plan& field) {
    const auto& reflection = *msg.GetReflection();
    if (in_.kind() == json_kind::null) {
      in_.read_null();
      if (field.has_presence || field.field->is_repeated())
        reflection.ClearField(&msg, field.field);
      return;
    }
    switch (field.form) {
    case shape::message: return message(*reflection.MutableMessage(&msg, field.field), field);
    case shape::map: return map(msg, reflection, field);
    case shape::list: return list("[]", msg, field.field, field);
    case shape::list_of_lists: return lists(msg, reflection, field);
    case shape::scalar: return scalar(msg, reflection, field.field, field);
    case shape::inlined: return; // has no key of its own
    }
  }

  void list(std::string_view brackets, pb::Message& msg, const pb::FieldDescriptor* f, const field_plan& field) {
    if (in_.kind() != json_kind::array)
      return mismatch(std::string{brackets} + field.go_type);
    const auto& reflection = *msg.GetReflection();
    reflection.ClearField(&msg, f);
    if (!in_.enter_array())
      return;
    while (in_.next_element()) {
      if (field.of == element::message) {
        auto& item = *reflection.AddMessage(&msg, f);
        if (in_.kind() == json_kind::null)
          in_.read_null();
        else
          message(item, field);
      } else {
        scalar(msg, reflection, f, field);
      }
    }
  }

  void lists(pb::Message& msg, const pb::Reflection& reflection, const field_plan& field) {
    if (in_.kind() != json_kind::array)
      return mismatch("[][]" + field.go_type);
    reflection.ClearField(&msg, field.field);
    if (!in_.enter_array())
      return;
    while (in_.next_element()) {
      auto& inner = *reflection.AddMessage(&msg, field.field);
      if (in_.kind() == json_kind::null)
        in_.read_null();
      else
        list("[]", inner, field.value, field);
    }
  }

  // A second object under the same key adds to the first, as Go's maps do.
  void map(pb::Message& msg, const pb::Reflection& reflection, const field_plan& field) {
    if (in_.kind() != json_kind::object)
      return mismatch("map[string]" + field.go_type);
    const auto* key_field = field.field->message_type()->map_key();
    std::map<std::string, pb::Message*> entries;
    for (int i = 0; i < reflection.FieldSize(msg, field.field); ++i) {
      auto* entry = reflection.MutableRepeatedMessage(&msg, field.field, i);
      entries[entry->GetReflection()->GetString(*entry, key_field)] = entry;
    }
    std::string key;
    if (!in_.enter_object())
      return;
    while (in_.next_key(key)) {
      auto& entry = entries[key];
      if (!entry) {
        entry = reflection.AddMessage(&msg, field.field);
        entry->GetReflection()->SetString(entry, key_field, key);
      }
      const auto& value = *entry->GetReflection();
      value.ClearField(entry, field.value);
      if (in_.kind() == json_kind::null)
        in_.read_null();
      else if (field.of == element::message)
        message(*value.MutableMessage(entry, field.value), field);
      else
        scalar(*entry, value, field.value, field);
    }
  }

  // Sets a singular field or appends to a repeated one.
  void scalar(pb::Message& msg, const pb::Reflection& reflection, const pb::FieldDescriptor* f,
              const field_plan& field) {
    using R = pb::Reflection;
    const auto number = [&](auto value, auto set, auto add) {
      if (read(value, field))
        (reflection.*(f->is_repeated() ? add : set))(&msg, f, value);
    };
    switch (field.of) {
    case element::boolean: return number(bool{}, &R::SetBool, &R::AddBool);
    case element::int32: return number(std::int32_t{}, &R::SetInt32, &R::AddInt32);
    case element::int64: return number(std::int64_t{}, &R::SetInt64, &R::AddInt64);
    case element::uint32: return number(std::uint32_t{}, &R::SetUInt32, &R::AddUInt32);
    case element::uint64: return number(std::uint64_t{}, &R::SetUInt64, &R::AddUInt64);
    case element::float32: return number(float{}, &R::SetFloat, &R::AddFloat);
    case element::float64: return number(double{}, &R::SetDouble, &R::AddDouble);
    default: break;
    }
    std::string text;
    if (!read(text, field))
      return;
    switch (field.of) {
    case element::time: return time(msg, reflection, f, text);
    case element::enumeration: return enumeration(msg, reflection, f, field, text);
    case element::bytes:
      if (!base64(text))
        return;
      break;
    default: break;
    }
    if (f->is_repeated())
      reflection.AddString(&msg, f, std::move(text));
    else
      reflection.SetString(&msg, f, std::move(text));
  }

  void time(pb::Message& msg, const pb::Reflection& reflection, const pb::FieldDescriptor* f, const std::string& text) {
    const auto wall_ns = scalar::parse_rfc3339(text);
    if (!wall_ns)
      return wrong_type("parsing time " + scalar::quoted(text.substr(0, shown_max)) +
                        " as \"2006-01-02T15:04:05Z07:00\" failed" + where());
    if (f->is_repeated())
      reflection.AddInt64(&msg, f, *wall_ns);
    else
      reflection.SetInt64(&msg, f, *wall_ns);
  }

  void enumeration(pb::Message& msg, const pb::Reflection& reflection, const pb::FieldDescriptor* f,
                   const field_plan& field, const std::string& text) {
    const int number = field.texts->number_of(text);
    if (number < 0 && value_error_.ok())
      value_error_ = {errc::invalid_argument, field.texts->unknown(text)};
    if (f->is_repeated())
      reflection.AddEnumValue(&msg, f, std::max(number, 0));
    else
      reflection.SetEnumValue(&msg, f, std::max(number, 0));
  }

  bool base64(std::string& text) {
    std::size_t bad_at = 0;
    auto bytes = scalar::decode_base64(text, bad_at);
    if (bytes)
      text = std::move(*bytes);
    else
      wrong_type("illegal base64 data at input byte " + std::to_string(bad_at));
    return bytes.has_value();
  }

  // Each read takes one value of the field's type. null (inside a list or map) is the zero value, as in Go.
  bool read(bool& value, const field_plan& field) {
    return expect(json_kind::boolean, field, [&] { return in_.read_bool(value); });
  }

  bool read(std::string& value, const field_plan& field) {
    return expect(json_kind::string, field, [&] { return in_.read_string(value); });
  }

  // Integers must be written as integers: Go takes neither 1.0 nor 1e3 for them.
  template <class Number>
  bool read(Number& value, const field_plan& field) {
    return expect(json_kind::number, field, [&] {
      std::string_view digits;
      if (!in_.read_number(digits))
        return false;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      if (std::is_floating_point_v<Number> && error == std::errc::result_out_of_range)
        return underflows(digits, value) || out_of_range(digits, field);
      return (error == std::errc{} && end == digits.data() + digits.size()) || out_of_range(digits, field);
    });
  }

  // from_chars calls 1e-400 out of range too; Go reads it as 0.
  template <class Number>
  static bool underflows(std::string_view digits, Number& value) {
    const auto e = digits.find_first_of("eE");
    value = 0;
    return e != std::string_view::npos && digits.substr(e + 1).starts_with('-');
  }

  bool out_of_range(std::string_view digits, const field_plan& field) {
    wrong_type("json: cannot unmarshal number " + std::string{digits.substr(0, shown_max)} + " into Go " + target() +
               " of type " + field.go_type);
    return false;
  }

  template <class Read>
  bool expect(json_kind wanted, const field_plan& field, Read take) {
    const auto found = in_.kind();
    if (found == wanted)
      return take();
    if (found == json_kind::null)
      return in_.read_null();
    mismatch(field.go_type);
    return false;
  }

  std::string path() const {
    std::string out;
    for (const auto name : path_)
      out.append(out.empty() ? "" : ".").append(name);
    return out;
  }

  std::string where() const { return path_.empty() ? "" : " (" + path() + ")"; }
  std::string target() const { return path_.empty() ? "value" : "struct field " + *struct_ + "." + path(); }

  // The value that comes next is of the wrong kind: Go's text, then on with the rest.
  void mismatch(const std::string& type) {
    const auto found = to_string(in_.kind());
    if (in_.ok())
      wrong_type("json: cannot unmarshal " + std::string{found} + " into Go " + target() + " of type " + type);
    in_.skip();
  }

  void wrong_type(std::string text) {
    if (type_error_.ok())
      type_error_ = {errc::invalid_argument, std::move(text)};
  }

  static constexpr std::size_t shown_max = 64; // of a wrong value in an error text

  json_reader in_;
  api_minor api_;
  std::vector<std::string_view> path_; // names of the fields around the value, for errors
  const std::string* struct_ = nullptr;
  failure type_error_, value_error_; // the first of each
};

} // namespace

failure from_json(std::string_view text, google::protobuf::Message& out, api_minor api, json_limits limits) {
  out.Clear();
  return decoder{text, limits, api}.document(out);
}

} // namespace swarm
