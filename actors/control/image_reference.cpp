// A hand-written matcher: std::regex recurses per character, and this text comes from anyone.
#include "actors/control/image_reference.hpp"

#include <algorithm>

namespace swarm::control {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_alpha(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z'); }
bool is_alnum(char c) { return is_alpha(c) || is_digit(c); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

template <class Test>
bool each_part(std::string_view text, char separator, Test test) {
  while (true) {
    const auto end = text.find(separator);
    if (!test(text.substr(0, end)))
      return false;
    if (end == std::string_view::npos)
      return true;
    text.remove_prefix(end + 1);
  }
}

// [a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?
bool is_domain_part(std::string_view part) {
  return !part.empty() && is_alnum(part.front()) && is_alnum(part.back())
         && std::all_of(part.begin(), part.end(), [](char c) { return is_alnum(c) || c == '-'; });
}

bool is_domain(std::string_view text) {
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos || end < 2)
      return false;
    const auto address = text.substr(1, end - 1);
    if (!std::all_of(address.begin(), address.end(), [](char c) { return is_hex(c) || c == ':'; }))
      return false;
    text.remove_prefix(end + 1);
    return text.empty()
           || (text.front() == ':' && text.size() > 1 && std::all_of(text.begin() + 1, text.end(), is_digit));
  }
  const auto colon = text.find(':');
  if (colon != std::string_view::npos) {
    const auto port = text.substr(colon + 1);
    if (port.empty() || !std::all_of(port.begin(), port.end(), is_digit))
      return false;
  }
  return each_part(text.substr(0, colon), '.', is_domain_part);
}

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool is_path_part(std::string_view part) {
  std::size_t i = 0;
  const auto word = [&] {
    const auto begin = i;
    while (i < part.size() && (is_lower(part[i]) || is_digit(part[i])))
      ++i;
    return i > begin;
  };
  if (!word())
    return false;
  while (i < part.size()) {
    const auto begin = i;
    const char separator = part[i];
    if (separator != '.' && separator != '_' && separator != '-')
      return false;
    while (i < part.size() && part[i] == separator)
      ++i;
    const auto length = i - begin;
    if ((separator == '.' && length > 1) || (separator == '_' && length > 2) || !word())
      return false;
  }
  return true;
}

bool is_tag(std::string_view tag) {
  return !tag.empty() && tag.size() <= 128 && (is_alnum(tag.front()) || tag.front() == '_')
         && std::all_of(tag.begin(), tag.end(), [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool is_digest(std::string_view digest) {
  const auto colon = digest.find(':');
  if (colon == std::string_view::npos || colon == 0)
    return false;
  const auto algorithm = digest.substr(0, colon);
  const auto value = digest.substr(colon + 1);
  bool after_separator = true;
  for (const char c : algorithm) {
    if (after_separator ? !is_alpha(c) : !(is_alnum(c) || c == '-' || c == '_' || c == '+' || c == '.'))
      return false;
    after_separator = !is_alnum(c);
  }
  return !after_separator && value.size() >= 32 && std::all_of(value.begin(), value.end(), is_hex);
}

} // namespace

bool is_image_reference(std::string_view text) {
  if (text.starts_with("file:///"))
    return text.size() > 8 && text.find('\0') == std::string_view::npos;
  if (text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }))
    return false; // an image id is not a name
  if (const auto at = text.find('@'); at != std::string_view::npos) {
    if (!is_digest(text.substr(at + 1)))
      return false;
    text = text.substr(0, at);
  }
  std::string_view domain;
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    const auto first = text.substr(0, slash);
    const bool upper = std::any_of(first.begin(), first.end(), [](char c) { return is_alpha(c) && !is_lower(c); });
    if (first.find_first_of(".:[") != std::string_view::npos || first == "localhost" || upper) {
      domain = first;
      if (!is_domain(domain))
        return false;
      text.remove_prefix(slash + 1);
    }
  }
  const auto colon = text.find(':');
  if (colon != std::string_view::npos && !is_tag(text.substr(colon + 1)))
    return false;
  const auto path = text.substr(0, colon);
  return domain.size() + path.size() <= 254 && each_part(path, '/', is_path_part);
}

} // namespace swarm::control
