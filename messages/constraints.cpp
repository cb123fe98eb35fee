// Parsing and matching of placement constraints.
#include "messages/constraints.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace swarm {

namespace {

constexpr std::string_view node_label = "node.labels.";
constexpr std::string_view engine_label = "engine.labels.";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_alnum(char c) { return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9'); }

bool iequals(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

bool istarts_with(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && iequals(text.substr(0, prefix.size()), prefix);
}

std::string_view trim(std::string_view s) {
  constexpr std::string_view blank = " \t\r\n\v\f";
  const auto begin = s.find_first_not_of(blank);
  if (begin == std::string_view::npos)
    return {};
  return s.substr(begin, s.find_last_not_of(blank) - begin + 1);
}

// ^(?i)[a-z_][a-z0-9\-_.]+$
bool is_key(std::string_view key) {
  return key.size() >= 2 && (is_alnum(key[0]) || key[0] == '_') && !(key[0] >= '0' && key[0] <= '9') &&
         std::all_of(key.begin() + 1, key.end(),
                     [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

// ^(?i)[a-z0-9:\-_\s\.\*\(\)\?\+\[\]\\\^\$\|\/]+$
bool is_value(std::string_view value) {
  constexpr std::string_view also = ":-_ \t\r\n\v\f.*()?+[]\\^$|/";
  return !value.empty() && std::all_of(value.begin(), value.end(), [&](char c) {
    return is_alnum(c) || also.find(c) != std::string_view::npos;
  });
}

failure parse_one(const std::string& text, constraint& out) {
  const auto refuse = [](const std::string& why) { return failure{errc::invalid_argument, why}; };
  auto at = text.find("==");
  out.equal = at != std::string::npos;
  if (!out.equal)
    at = text.find("!=");
  if (at == std::string::npos)
    return refuse("constraint expected one operator from ==, !=");
  const auto key = trim(std::string_view{text}.substr(0, at));
  const auto value = trim(std::string_view{text}.substr(at + 2));
  if (!is_key(key))
    return refuse("key '" + std::string{key} + "' is invalid");
  if (!is_value(value))
    return refuse("value '" + std::string{value} + "' is invalid");
  out.key = key;
  out.expected = value;
  return {};
}

// An address as 16 bytes, IPv4 mapped into IPv6.
struct address {
  std::array<std::uint8_t, 16> bytes{};
  bool v4 = false;
};

std::optional<std::uint32_t> number(std::string_view s, unsigned base, std::uint32_t limit) {
  if (s.empty() || s.size() > 4)
    return std::nullopt;
  std::uint32_t value = 0;
  for (const char c : s) {
    const auto digit = c >= '0' && c <= '9' ? c - '0' : lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : 99;
    if (static_cast<unsigned>(digit) >= base)
      return std::nullopt;
    value = value * base + static_cast<std::uint32_t>(digit);
  }
  return value <= limit ? std::optional{value} : std::nullopt;
}

bool parse_v4(std::string_view s, std::uint8_t* to) {
  for (int i = 0; i < 4; ++i) {
    const auto dot = i < 3 ? s.find('.') : s.size();
    if (dot == std::string_view::npos)
      return false;
    const auto part = number(s.substr(0, dot), 10, 255);
    if (!part)
      return false;
    to[i] = static_cast<std::uint8_t>(*part);
    s.remove_prefix(std::min(s.size(), dot + 1));
  }
  return s.empty();
}

// Groups of a half of an IPv6 address ("a:b:c"), appended as bytes; false when malformed.
bool parse_groups(std::string_view s, std::vector<std::uint8_t>& out) {
  while (!s.empty()) {
    const auto colon = s.find(':');
    const auto part = s.substr(0, colon);
    if (part.find('.') != std::string_view::npos) {
      std::uint8_t v4[4];
      if (colon != std::string_view::npos || !parse_v4(part, v4))
        return false;
      out.insert(out.end(), v4, v4 + 4);
      return true;
    }
    const auto group = number(part, 16, 0xffff);
    if (!group)
      return false;
    out.push_back(static_cast<std::uint8_t>(*group >> 8));
    out.push_back(static_cast<std::uint8_t>(*group & 0xff));
    if (colon == std::string_view::npos)
      return true;
    s.remove_prefix(colon + 1);
    if (s.empty())
      return false;
  }
  return true;
}

std::optional<address> parse_address(std::string_view s) {
  address out;
  if (s.find(':') == std::string_view::npos) {
    out.v4 = true;
    out.bytes[10] = out.bytes[11] = 0xff;
    return parse_v4(s, out.bytes.data() + 12) ? std::optional{out} : std::nullopt;
  }
  std::vector<std::uint8_t> head;
  std::vector<std::uint8_t> tail;
  const auto gap = s.find("::");
  if (!parse_groups(s.substr(0, gap), head))
    return std::nullopt;
  if (gap != std::string_view::npos && !parse_groups(s.substr(gap + 2), tail))
    return std::nullopt;
  const auto size = head.size() + tail.size();
  if (gap == std::string_view::npos ? size != 16 : size > 14)
    return std::nullopt;
  std::copy(head.begin(), head.end(), out.bytes.begin());
  std::copy(tail.begin(), tail.end(), out.bytes.end() - static_cast<std::ptrdiff_t>(tail.size()));
  return out;
}

// node.ip: an address, or a network in CIDR form. A text that is neither never matches, whatever the operator.
bool matches_ip(const constraint& c, const Node& node) {
  const auto actual = parse_address(node.status().addr());
  const auto slash = c.expected.find('/');
  const auto wanted = parse_address(std::string_view{c.expected}.substr(0, slash));
  if (!wanted)
    return false;
  bool inside = actual.has_value();
  if (slash == std::string::npos) {
    inside = inside && actual->bytes == wanted->bytes;
  } else {
    const auto given = number(std::string_view{c.expected}.substr(slash + 1), 10, wanted->v4 ? 32 : 128);
    if (!given)
      return false;
    const auto bits = *given + (wanted->v4 ? 96 : 0);
    for (std::uint32_t bit = 0; inside && bit < bits; ++bit) {
      const auto mask = static_cast<std::uint8_t>(0x80 >> (bit % 8));
      inside = (actual->bytes[bit / 8] & mask) == (wanted->bytes[bit / 8] & mask);
    }
  }
  return inside == c.equal;
}

std::string_view label(const google::protobuf::Map<std::string, std::string>& labels, std::string_view key) {
  const auto it = labels.find(std::string{key});
  return it == labels.end() ? std::string_view{} : std::string_view{it->second};
}

} // namespace

failure parse_constraints(const google::protobuf::RepeatedPtrField<std::string>& texts, std::vector<constraint>& out) {
  for (const auto& text : texts) {
    constraint one;
    if (auto bad = parse_one(text, one); !bad.ok())
      return bad;
    out.push_back(std::move(one));
  }
  return {};
}

std::vector<constraint> stored_constraints(const Placement& placement) {
  std::vector<constraint> out;
  for (const auto& text : placement.constraints())
    if (constraint one; parse_one(text, one).ok())
      out.push_back(std::move(one));
    else
      out.push_back({text, true, {}}); // an unknown key: matches no node
  return out;
}

bool is_known_key(const constraint& c) {
  for (const auto* key : {"node.id", "node.hostname", "node.ip", "node.role", "node.platform.os", "node.platform.arch"})
    if (iequals(c.key, key))
      return true;
  return (istarts_with(c.key, node_label) && c.key.size() > node_label.size()) ||
         (istarts_with(c.key, engine_label) && c.key.size() > engine_label.size());
}

bool matches(const constraint& c, const Node& node) {
  const auto compare = [&](std::string_view actual) { return iequals(actual, c.expected) == c.equal; };
  if (iequals(c.key, "node.id"))
    return compare(node.id());
  if (iequals(c.key, "node.hostname"))
    return compare(node.description().hostname());
  if (iequals(c.key, "node.ip"))
    return matches_ip(c, node);
  if (iequals(c.key, "node.role")) {
    const auto role = node.certificate_role() != NODE_ROLE_UNSPECIFIED ? node.certificate_role() : node.spec().role();
    return compare(role == NODE_ROLE_MANAGER ? "manager" : "worker");
  }
  if (iequals(c.key, "node.platform.os"))
    return compare(node.description().platform().os());
  if (iequals(c.key, "node.platform.arch"))
    return compare(node.description().platform().architecture());
  if (istarts_with(c.key, node_label))
    return compare(label(node.spec().labels(), std::string_view{c.key}.substr(node_label.size())));
  if (istarts_with(c.key, engine_label))
    return compare(label(node.description().engine().labels(), std::string_view{c.key}.substr(engine_label.size())));
  return false;
}

bool matches(const std::vector<constraint>& all, const Node& node) {
  return std::all_of(all.begin(), all.end(), [&](const constraint& c) { return matches(c, node); });
}

std::string spread_value(std::string_view descriptor, const Node& node) {
  if (istarts_with(descriptor, node_label))
    return std::string{label(node.spec().labels(), descriptor.substr(node_label.size()))};
  if (istarts_with(descriptor, engine_label))
    return std::string{label(node.description().engine().labels(), descriptor.substr(engine_label.size()))};
  return {};
}

} // namespace swarm
