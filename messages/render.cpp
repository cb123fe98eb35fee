// One line of text out of a message.
#include "messages/render.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>
#include <vector>

#include <google/protobuf/message.h>

#include "messages/json_scalar.hpp"
#include "messages/options.pb.h"

namespace swarm {

namespace {

namespace pb = google::protobuf;

// A word that needs no quotes: nothing that parse_rendered gives a meaning to, and not *** either.
bool is_plain(std::string_view s) {
  return !s.empty() && std::all_of(s.begin(), s.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '-' || c == '.' || c == '/' || c == '+' || c == '@' || c == '%';
  });
}

// UPDATE_STATE for UpdateState, TLS_INFO for TLSInfo: what the values of an enum start with.
std::string prefix_of(const std::string& type) {
  std::string out;
  for (std::size_t i = 0; i < type.size(); ++i) {
    const bool upper = std::isupper(static_cast<unsigned char>(type[i])) != 0;
    const bool after_lower = i > 0 && !std::isupper(static_cast<unsigned char>(type[i - 1]));
    const bool before_lower = i + 1 < type.size() && std::islower(static_cast<unsigned char>(type[i + 1]));
    if (i > 0 && upper && (after_lower || before_lower))
      out += '_';
    out += static_cast<char>(std::toupper(static_cast<unsigned char>(type[i])));
  }
  return out + '_';
}

class renderer {
public:
  renderer(std::string& out, std::size_t size_max) : out_{out}, size_max_{size_max} {}

  void message(const pb::Message& msg) {
    const auto& reflection = *msg.GetReflection();
    std::vector<const pb::FieldDescriptor*> set;
    reflection.ListFields(msg, &set); // by number
    out_ += '{';
    for (const auto* field : set) {
      if (out_.size() > size_max_)
        break; // cut by the caller; the rest need not be made
      if (field != set.front())
        out_ += ' ';
      out_ += field->name();
      this->field(msg, reflection, *field);
    }
    out_ += '}';
  }

private:
  void field(const pb::Message& msg, const pb::Reflection& reflection, const pb::FieldDescriptor& field) {
    if (is_redacted(field)) {
      out_ += "=***";
    } else if (field.is_map()) {
      map(msg, reflection, field);
    } else if (field.is_repeated()) {
      out_ += "=[";
      for (int i = 0; i < reflection.FieldSize(msg, &field) && out_.size() <= size_max_; ++i) {
        if (i > 0)
          out_ += ' ';
        item(msg, reflection, field, i);
      }
      out_ += ']';
    } else {
      if (field.cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE)
        out_ += '=';
      item(msg, reflection, field, -1);
    }
  }

  void map(const pb::Message& msg, const pb::Reflection& reflection, const pb::FieldDescriptor& field) {
    const auto* key = field.message_type()->map_key();
    const auto* value = field.message_type()->map_value();
    std::vector<std::pair<std::string, const pb::Message*>> entries;
    for (int i = 0; i < reflection.FieldSize(msg, &field); ++i) {
      const auto& entry = reflection.GetRepeatedMessage(msg, &field, i);
      std::string text;
      renderer{text, size_max_}.item(entry, *entry.GetReflection(), *key, -1);
      entries.emplace_back(std::move(text), &entry);
    }
    std::sort(entries.begin(), entries.end());
    out_ += "=[";
    for (const auto& [text, entry] : entries) {
      if (out_.size() > size_max_)
        break;
      out_.append(text == entries.front().first ? "" : " ").append(text).append(":");
      item(*entry, *entry->GetReflection(), *value, -1);
    }
    out_ += ']';
  }

  // The i-th element, or the singular value for -1.
  void item(const pb::Message& msg, const pb::Reflection& reflection, const pb::FieldDescriptor& field, int i) {
    using F = pb::FieldDescriptor;
    using R = pb::Reflection;
    const auto* f = &field;
    const auto get = [&](auto one, auto many) {
      return i < 0 ? (reflection.*one)(msg, f) : (reflection.*many)(msg, f, i);
    };
    switch (field.cpp_type()) {
    case F::CPPTYPE_BOOL: out_ += get(&R::GetBool, &R::GetRepeatedBool) ? "true" : "false"; break;
    case F::CPPTYPE_INT32: out_ += std::to_string(get(&R::GetInt32, &R::GetRepeatedInt32)); break;
    case F::CPPTYPE_INT64: integer(field, get(&R::GetInt64, &R::GetRepeatedInt64)); break;
    case F::CPPTYPE_UINT32: out_ += std::to_string(get(&R::GetUInt32, &R::GetRepeatedUInt32)); break;
    case F::CPPTYPE_UINT64: out_ += std::to_string(get(&R::GetUInt64, &R::GetRepeatedUInt64)); break;
    case F::CPPTYPE_FLOAT: scalar::append_float(out_, get(&R::GetFloat, &R::GetRepeatedFloat)); break;
    case F::CPPTYPE_DOUBLE: scalar::append_float(out_, get(&R::GetDouble, &R::GetRepeatedDouble)); break;
    case F::CPPTYPE_ENUM: enumeration(field, get(&R::GetEnumValue, &R::GetRepeatedEnumValue)); break;
    case F::CPPTYPE_STRING: text(field, get(&R::GetString, &R::GetRepeatedString)); break;
    case F::CPPTYPE_MESSAGE:
      message(i < 0 ? reflection.GetMessage(msg, f) : reflection.GetRepeatedMessage(msg, f, i));
      break;
    }
  }

  void integer(const pb::FieldDescriptor& field, std::int64_t value) {
    if (field.options().GetExtension(json).time())
      scalar::append_rfc3339(out_, value);
    else
      out_ += std::to_string(value);
  }

  void enumeration(const pb::FieldDescriptor& field, int number) {
    const auto* value = field.enum_type()->FindValueByNumber(number);
    out_ += value ? short_name(*value) : std::to_string(number);
  }

  void text(const pb::FieldDescriptor& field, const std::string& value) {
    if (field.type() == pb::FieldDescriptor::TYPE_BYTES)
      out_.append("<").append(std::to_string(value.size())).append(" bytes>");
    else if (is_plain(value))
      out_ += value;
    else
      scalar::append_quoted(out_, value);
  }

  std::string& out_;
  std::size_t size_max_;
};

} // namespace

std::string render(const google::protobuf::Message& message, std::size_t size_max) {
  std::string out = message.GetDescriptor()->name();
  renderer{out, size_max}.message(message);
  if (out.size() > size_max) {
    while (size_max > 0 && (static_cast<unsigned char>(out[size_max]) & 0xc0) == 0x80)
      --size_max; // not in the middle of a character
    out.resize(size_max);
    out += "…";
  }
  return out;
}

std::string short_name(const google::protobuf::EnumValueDescriptor& value) {
  std::string_view name = value.name();
  if (const auto prefix = prefix_of(value.type()->name()); name.starts_with(prefix))
    name.remove_prefix(prefix.size());
  std::string out{name};
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool is_redacted(const google::protobuf::FieldDescriptor& field) {
  if (field.options().GetExtension(redacted) || field.options().GetExtension(json).write_only())
    return true;
  // A net under forgotten marks: names that only secrets have.
  constexpr std::array<std::string_view, 9> secret_names = {
      "registry_auth", "join_token",  "unlock_key", "private_key", "password",
      "signing_key",   "secret_data", "data_key",   "ca_key",
  };
  const auto& name = field.name();
  return std::any_of(secret_names.begin(), secret_names.end(),
                     [&](std::string_view part) { return name.find(part) != std::string::npos; }) &&
         field.cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_BOOL;
}

} // namespace swarm
