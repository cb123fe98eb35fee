// Header fields, escapes and the small texts every HTTP answer needs.
#include "runtime/http/types.hpp"

#include <algorithm>

#include "runtime/text.hpp"

namespace swarm::http {

void headers::set(std::string_view name, std::string value) {
  auto it = std::find_if(fields_.begin(), fields_.end(), [&](const field& f) { return text::iequals(f.name, name); });
  if (it == fields_.end()) {
    fields_.push_back({std::string{name}, std::move(value)});
    return;
  }
  it->value = std::move(value);
  fields_.erase(std::remove_if(it + 1, fields_.end(), [&](const field& f) { return text::iequals(f.name, name); }),
                fields_.end());
}

void headers::remove(std::string_view name) {
  std::erase_if(fields_, [&](const field& f) { return text::iequals(f.name, name); });
}

const std::string* headers::find(std::string_view name) const {
  for (const auto& f : fields_)
    if (f.name.size() == name.size() && text::iequals(f.name, name))
      return &f.value;
  return nullptr;
}

std::string_view headers::get(std::string_view name) const {
  const auto* value = find(name);
  return value ? std::string_view{*value} : std::string_view{};
}

bool headers::has_token(std::string_view name, std::string_view token) const {
  for (const auto& f : fields_) {
    if (f.name.size() != name.size() || !text::iequals(f.name, name))
      continue;
    for (std::string_view rest = f.value;;) {
      const auto comma = rest.find(',');
      if (text::iequals(text::trim(rest.substr(0, comma)), token))
        return true;
      if (comma == std::string_view::npos)
        break;
      rest.remove_prefix(comma + 1);
    }
  }
  return false;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 412: return "Precondition Failed";
    case 413: return "Request Entity Too Large";
    case 414: return "Request URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return {};
  }
}

namespace {

// Length of the well-formed UTF-8 sequence at the start of s, 0 if there is none.
std::size_t utf8_length(std::string_view s) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const auto tail = [&](std::size_t i) { return i < s.size() && (byte(i) & 0xc0) == 0x80; };
  const auto lead = byte(0);
  if (lead < 0x80)
    return 1;
  if (lead >= 0xc2 && lead <= 0xdf)
    return tail(1) ? 2 : 0;
  if ((lead & 0xf0) == 0xe0) {
    const bool bad = !tail(1) || !tail(2) || (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f);
    return bad ? 0 : 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const bool bad = !tail(1) || !tail(2) || !tail(3) || (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f);
    return bad ? 0 : 4;
  }
  return 0;
}

constexpr char hex_digits[] = "0123456789abcdef";

int hex_value(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

} // namespace

std::string error_body(std::string_view message) {
  std::string out = R"({"message":")";
  for (std::size_t i = 0; i < message.size();) {
    const auto length = utf8_length(message.substr(i));
    const auto c = message[i];
    if (length == 0) {
      out += "\\ufffd"; // as Go's encoder writes a stray byte
      ++i;
      continue;
    }
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += hex_digits[(c >> 4) & 0xf];
      out += hex_digits[c & 0xf];
    } else {
      out += message.substr(i, length);
    }
    i += length;
  }
  out += "\"}\n";
  return out;
}

std::optional<std::string> percent_decode(std::string_view s, bool plus_is_space, std::string* bad_escape) {
  std::string out;
  out.reserve(s.size());
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '%') {
      const int high = i + 1 < s.size() ? hex_value(s[i + 1]) : -1;
      const int low = i + 2 < s.size() ? hex_value(s[i + 2]) : -1;
      if (high < 0 || low < 0) {
        if (bad_escape)
          *bad_escape = text::quoted(s.substr(i, 3));
        return std::nullopt;
      }
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += plus_is_space && s[i] == '+' ? ' ' : s[i];
    }
  }
  return out;
}

std::string percent_encode(std::string_view s) {
  static constexpr char upper[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : s) {
    const auto u = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'
                       || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += upper[u >> 4];
      out += upper[u & 0xf];
    }
  }
  return out;
}

} // namespace swarm::http
