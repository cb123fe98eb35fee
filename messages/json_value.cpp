// The small JSON tree and the `filters` parameter.
#include "messages/json_value.hpp"

#include <algorithm>
#include <charconv>
#include <set>

namespace swarm {

namespace {

bool same_in_any_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

failure invalid_filter() {
  return {errc::invalid_argument, "invalid filter: expected {\"key\":{\"value\":true}} or {\"key\":[\"value\"]}"};
}

} // namespace

json_value json_value::read(json_reader& in) {
  json_value out;
  switch (in.kind()) {
  case json_kind::null: in.read_null(); break;
  case json_kind::boolean: in.read_bool(out.value_.emplace<bool>()); break;
  case json_kind::number: {
    std::string_view digits;
    in.read_number(digits);
    out.value_ = number{std::string{digits}};
    break;
  }
  case json_kind::string: in.read_string(out.value_.emplace<std::string>()); break;
  case json_kind::array: {
    auto& items = out.value_.emplace<std::vector<json_value>>();
    if (in.enter_array())
      while (in.next_element())
        items.push_back(read(in));
    break;
  }
  case json_kind::object: {
    auto& members = out.value_.emplace<std::vector<member>>();
    std::string key;
    if (in.enter_object())
      while (in.next_key(key))
        members.emplace_back(key, read(in));
    break;
  }
  }
  return out;
}

failure json_value::parse(std::string_view text, json_value& out, json_limits limits) {
  json_reader in{text, limits};
  if (in.blank()) {
    out = {};
    return {errc::invalid_argument, "unexpected end of JSON input"};
  }
  out = read(in);
  if (!in.finish())
    out = {};
  return in.error();
}

const json_value* json_value::find(std::string_view key) const {
  const auto& all = members();
  auto at = std::find_if(all.rbegin(), all.rend(), [&](const member& m) { return m.first == key; });
  if (at == all.rend())
    at = std::find_if(all.rbegin(), all.rend(), [&](const member& m) { return same_in_any_case(m.first, key); });
  return at == all.rend() ? nullptr : &at->second;
}

std::string_view json_value::as_string() const {
  const auto* s = std::get_if<std::string>(&value_);
  return s ? std::string_view{*s} : std::string_view{};
}

bool json_value::as_bool() const {
  const auto* b = std::get_if<bool>(&value_);
  return b && *b;
}

std::optional<std::int64_t> json_value::as_integer() const {
  const auto* n = std::get_if<number>(&value_);
  if (!n)
    return std::nullopt;
  std::int64_t value = 0;
  const auto* end = n->digits.data() + n->digits.size();
  const auto [ptr, error] = std::from_chars(n->digits.data(), end, value);
  return error == std::errc{} && ptr == end ? std::optional{value} : std::nullopt;
}

const std::vector<json_value>& json_value::items() const {
  static const std::vector<json_value> none;
  const auto* all = std::get_if<std::vector<json_value>>(&value_);
  return all ? *all : none;
}

const std::vector<json_value::member>& json_value::members() const {
  static const std::vector<member> none;
  const auto* all = std::get_if<std::vector<member>>(&value_);
  return all ? *all : none;
}

json_value& json_value::set(std::string_view key, json_value value) {
  if (!is_object())
    value_.emplace<std::vector<member>>();
  auto& all = std::get<std::vector<member>>(value_);
  const auto at = std::find_if(all.begin(), all.end(), [&](const member& m) { return m.first == key; });
  if (at == all.end())
    all.emplace_back(std::string{key}, std::move(value));
  else
    at->second = std::move(value);
  return *this;
}

void json_value::push_back(json_value value) {
  if (!is_array())
    value_.emplace<std::vector<json_value>>();
  std::get<std::vector<json_value>>(value_).push_back(std::move(value));
}

void json_value::erase(std::string_view key) {
  if (auto* all = std::get_if<std::vector<member>>(&value_))
    std::erase_if(*all, [&](const member& m) { return m.first == key; });
}

void json_value::write(json_writer& out) const {
  switch (kind()) {
  case json_kind::null: return out.null();
  case json_kind::boolean: return out.boolean(as_bool());
  case json_kind::number: return out.raw(std::get<number>(value_).digits);
  case json_kind::string: return out.string(as_string());
  case json_kind::array:
    out.begin_array();
    for (const auto& item : items())
      item.write(out);
    return out.end_array();
  case json_kind::object:
    out.begin_object();
    for (const auto& [key, value] : members()) {
      out.key(key);
      value.write(out);
    }
    return out.end_object();
  }
}

std::string json_value::dump() const {
  std::string text;
  json_writer out{text};
  write(out);
  return text;
}

failure parse_filters(std::string_view text, std::map<std::string, std::vector<std::string>>& out) {
  constexpr json_limits limits{.depth = 4, .values = 10'000};
  out.clear();
  if (text.empty())
    return {};
  json_value root;
  if (auto error = json_value::parse(text, root, limits); !error.ok())
    return {error.code, "invalid filter: " + error.message};
  if (root.is_null())
    return {};
  if (!root.is_object())
    return invalid_filter();
  for (const auto& [key, given] : root.members()) {
    std::set<std::string> values;
    if (!given.is_object() && !given.is_array())
      return invalid_filter();
    for (const auto& item : given.items()) {
      if (item.kind() != json_kind::string)
        return invalid_filter();
      values.emplace(item.as_string());
    }
    for (const auto& [value, chosen] : given.members()) {
      if (chosen.kind() != json_kind::boolean)
        return invalid_filter();
      if (chosen.as_bool())
        values.insert(value);
    }
    out[key].assign(values.begin(), values.end());
  }
  return {};
}

} // namespace swarm
