// Comparing JSON texts, and a generator of random messages for round trips.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/message.h>

#include "messages/json_value.hpp"
#include "messages/options.pb.h"

namespace swarm::test {

inline json_value sorted(const json_value& value) {
  if (value.is_object()) {
    auto members = value.members();
    std::sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    auto out = json_value::object();
    for (const auto& [key, inner] : members)
      out.set(key, sorted(inner));
    return out;
  }
  if (value.is_array()) {
    auto out = json_value::array();
    for (const auto& item : value.items())
      out.push_back(sorted(item));
    return out;
  }
  return value;
}

/// The same document with sorted keys and no blanks, so that two spellings of it compare equal.
/// The error's text when it does not parse.
inline std::string canonical(std::string_view json) {
  json_value value;
  const auto error = json_value::parse(json, value);
  return error.ok() ? sorted(value).dump() : "<" + error.message + ">";
}

/// A new seed for each run, printed; SWARM_SEED=N repeats one.
inline std::uint64_t fresh_seed() {
  const char* given = std::getenv("SWARM_SEED");
  const auto seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("seed=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

/// Fills messages at random with everything that JSON can carry at an API version above all gates: no internal or
/// write_only fields, and structs that are always shown are always set.
class random_filler {
public:
  explicit random_filler(std::uint64_t seed) : random_{seed} {}

  void fill(google::protobuf::Message& msg) {
    const auto& type = *msg.GetDescriptor();
    const auto& reflection = *msg.GetReflection();
    for (int i = 0; i < type.field_count(); ++i) {
      const auto& field = *type.field(i);
      const auto& rule = field.options().GetExtension(json);
      if (rule.internal() || rule.write_only() || rule.until_minor() != 0)
        continue;
      if (field.is_map()) {
        for (auto n = below(4); n-- > 0;)
          entry(msg, field, n);
      } else if (field.is_repeated()) {
        for (auto n = below(4); n-- > 0;)
          value(msg, reflection, field);
      } else if (below(3) != 0 || rule.empty_object() || rule.inlined()) {
        value(msg, reflection, field);
      }
    }
  }

private:
  using F = google::protobuf::FieldDescriptor;
  using R = google::protobuf::Reflection;

  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  std::string text() {
    static const std::vector<std::string> pieces = {"a",          "Z",      "0",     "/",   "\"", "\\",     "\n",
                                                    "\t",         "\x01",   "\x7f",  "<&>", "é",  "\u2028", "\u2029",
                                                    "\U0001F600", "\ufffd", "{{.}}", " ",   "'",  "\b"};
    std::string out;
    for (auto n = below(8); n-- > 0;)
      out += pieces[below(pieces.size())];
    return out;
  }

  template <class Integer>
  Integer integer() {
    constexpr Integer edges[] = {0, 1, std::numeric_limits<Integer>::max(), std::numeric_limits<Integer>::min()};
    return below(3) == 0 ? edges[below(4)] : static_cast<Integer>(random_() >> below(64));
  }

  void entry(google::protobuf::Message& msg, const F& field, std::uint64_t n) {
    auto& added = *msg.GetReflection()->AddMessage(&msg, &field);
    added.GetReflection()->SetString(&added, field.message_type()->map_key(), text() + std::to_string(n));
    value(added, *added.GetReflection(), *field.message_type()->map_value());
  }

  template <class Value>
  void put(google::protobuf::Message& msg, const R& reflection, const F& field, Value value,
           void (R::*set)(google::protobuf::Message*, const F*, Value) const,
           void (R::*add)(google::protobuf::Message*, const F*, Value) const) {
    (reflection.*(field.is_repeated() ? add : set))(&msg, &field, value);
  }

  void value(google::protobuf::Message& msg, const R& reflection, const F& field) {
    switch (field.cpp_type()) {
    case F::CPPTYPE_BOOL: return put(msg, reflection, field, below(2) == 1, &R::SetBool, &R::AddBool);
    case F::CPPTYPE_INT32: return put(msg, reflection, field, integer<std::int32_t>(), &R::SetInt32, &R::AddInt32);
    case F::CPPTYPE_INT64: return put(msg, reflection, field, integer<std::int64_t>(), &R::SetInt64, &R::AddInt64);
    case F::CPPTYPE_UINT32: return put(msg, reflection, field, integer<std::uint32_t>(), &R::SetUInt32, &R::AddUInt32);
    case F::CPPTYPE_UINT64: return put(msg, reflection, field, integer<std::uint64_t>(), &R::SetUInt64, &R::AddUInt64);
    case F::CPPTYPE_FLOAT:
      return put(msg, reflection, field, std::ldexp(static_cast<float>(random_()), static_cast<int>(below(200)) - 160),
                 &R::SetFloat, &R::AddFloat);
    case F::CPPTYPE_DOUBLE:
      return put(msg, reflection, field,
                 std::ldexp(static_cast<double>(random_()), static_cast<int>(below(2000)) - 1000), &R::SetDouble,
                 &R::AddDouble);
    case F::CPPTYPE_ENUM: {
      const auto& type = *field.enum_type();
      return put(msg, reflection, field,
                 type.value(static_cast<int>(below(static_cast<std::uint64_t>(type.value_count()))))->number(),
                 &R::SetEnumValue, &R::AddEnumValue);
    }
    case F::CPPTYPE_STRING: return put(msg, reflection, field, bytes_or_text(field), &R::SetString, &R::AddString);
    case F::CPPTYPE_MESSAGE:
      return fill(field.is_repeated() ? *reflection.AddMessage(&msg, &field)
                                      : *reflection.MutableMessage(&msg, &field));
    }
  }

  std::string bytes_or_text(const F& field) {
    if (field.type() == F::TYPE_STRING)
      return text();
    std::string out(below(20), '\0');
    for (auto& c : out)
      c = static_cast<char>(random_());
    return out;
  }

  std::mt19937_64 random_;
};

} // namespace swarm::test
