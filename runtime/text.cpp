// Time, base64 and quoting in the spellings that Docker's clients expect.
#include "runtime/text.hpp"

#include <array>
#include <cctype>
#include <cstdio>

namespace swarm::text {

namespace {

constexpr wall_ns ns_per_s = 1'000'000'000;

// Days since 1970-01-01 of a civil date and back: Howard Hinnant, "chrono-compatible low-level date algorithms".
std::int64_t days_from_civil(std::int64_t y, unsigned m, unsigned d) {
  y -= m <= 2;
  const auto era = (y >= 0 ? y : y - 399) / 400;
  const auto yoe = static_cast<unsigned>(y - era * 400);
  const auto doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
  const auto doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + static_cast<std::int64_t>(doe) - 719468;
}

struct civil {
  std::int64_t year;
  unsigned month, day;
};

civil civil_from_days(std::int64_t z) {
  z += 719468;
  const auto era = (z >= 0 ? z : z - 146096) / 146097;
  const auto doe = static_cast<unsigned>(z - era * 146097);
  const auto yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const auto doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const auto mp = (5 * doy + 2) / 153;
  const auto month = mp < 10 ? mp + 3 : mp - 9;
  return {static_cast<std::int64_t>(yoe) + era * 400 + (month <= 2), month, doy - (153 * mp + 2) / 5 + 1};
}

std::string format_seconds(std::int64_t seconds) {
  auto days = seconds / 86400;
  auto rest = seconds % 86400;
  if (rest < 0) {
    rest += 86400;
    --days;
  }
  const auto date = civil_from_days(days);
  std::array<char, 64> buf{};
  std::snprintf(buf.data(), buf.size(), "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year), date.month, date.day,
                static_cast<int>(rest / 3600), static_cast<int>(rest / 60 % 60), static_cast<int>(rest % 60));
  return buf.data();
}

std::string format_time(wall_ns t, bool fixed) {
  if (t == 0)
    return fixed ? "0001-01-01T00:00:00.000000000Z" : "0001-01-01T00:00:00Z";
  auto seconds = t / ns_per_s;
  auto fraction = t % ns_per_s;
  if (fraction < 0) {
    fraction += ns_per_s;
    --seconds;
  }
  auto out = format_seconds(seconds);
  if (fraction != 0 || fixed) {
    std::array<char, 16> buf{};
    std::snprintf(buf.data(), buf.size(), ".%09d", static_cast<int>(fraction));
    std::string digits = buf.data();
    if (!fixed)
      digits.erase(digits.find_last_not_of('0') + 1);
    out += digits;
  }
  return out + 'Z';
}

// Reads exactly n digits at s[pos]; -1 when there are fewer.
int digits_at(std::string_view s, std::size_t pos, std::size_t n) {
  if (pos + n > s.size())
    return -1;
  int value = 0;
  for (auto i = pos; i < pos + n; ++i) {
    if (s[i] < '0' || s[i] > '9')
      return -1;
    value = value * 10 + (s[i] - '0');
  }
  return value;
}

constexpr std::string_view base64_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_digit(char c) {
  const auto at = base64_alphabet.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

std::optional<std::string> decode_unpadded(std::string_view s) {
  if (s.size() % 4 == 1)
    return std::nullopt;
  std::string out;
  out.reserve(s.size() * 3 / 4);
  unsigned bits = 0;
  int have = 0;
  for (const char c : s) {
    const int digit = base64_digit(c);
    if (digit < 0)
      return std::nullopt;
    bits = (bits << 6) | static_cast<unsigned>(digit);
    have += 6;
    if (have >= 8) {
      have -= 8;
      out += static_cast<char>((bits >> have) & 0xff);
    }
  }
  return out;
}

} // namespace

std::string rfc3339_nano(wall_ns t) { return format_time(t, false); }
std::string rfc3339_nano_fixed(wall_ns t) { return format_time(t, true); }

std::optional<wall_ns> parse_rfc3339(std::string_view s) {
  const int year = digits_at(s, 0, 4), month = digits_at(s, 5, 2), day = digits_at(s, 8, 2);
  const int hour = digits_at(s, 11, 2), minute = digits_at(s, 14, 2), second = digits_at(s, 17, 2);
  if (year < 0 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 || minute > 59
      || second < 0 || second > 60 || s[4] != '-' || s[7] != '-' || (s[10] != 'T' && s[10] != 't') || s[13] != ':'
      || s[16] != ':')
    return std::nullopt;
  std::size_t pos = 19;
  wall_ns fraction = 0;
  if (pos < s.size() && s[pos] == '.') {
    wall_ns scale = ns_per_s / 10;
    const auto first = ++pos;
    for (; pos < s.size() && s[pos] >= '0' && s[pos] <= '9'; ++pos, scale /= 10)
      fraction += (s[pos] - '0') * scale;
    if (pos == first)
      return std::nullopt;
  }
  int offset_minutes = 0;
  if (pos < s.size() && (s[pos] == 'Z' || s[pos] == 'z') && pos + 1 == s.size()) {
    offset_minutes = 0;
  } else if (pos + 6 == s.size() && (s[pos] == '+' || s[pos] == '-') && s[pos + 3] == ':') {
    const int h = digits_at(s, pos + 1, 2), m = digits_at(s, pos + 4, 2);
    if (h < 0 || h > 23 || m < 0 || m > 59)
      return std::nullopt;
    offset_minutes = (s[pos] == '-' ? -1 : 1) * (h * 60 + m);
  } else {
    return std::nullopt;
  }
  if (year <= 1)
    return 0;
  if (year < 1678 || year > 2261) // outside what 64-bit nanoseconds hold
    return std::nullopt;
  const auto days = days_from_civil(year, static_cast<unsigned>(month), static_cast<unsigned>(day));
  return ((days * 24 + hour) * 60 + minute - offset_minutes) * 60 * ns_per_s + second * ns_per_s + fraction;
}

std::string to_lower(std::string_view s) {
  std::string out{s};
  for (auto& c : out)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool iequals(std::string_view a, std::string_view b) {
  if (a.size() != b.size())
    return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::tolower(static_cast<unsigned char>(a[i])) != std::tolower(static_cast<unsigned char>(b[i])))
      return false;
  return true;
}

std::string_view trim(std::string_view s) {
  constexpr std::string_view blanks = " \t\r\n\v\f";
  const auto first = s.find_first_not_of(blanks);
  if (first == std::string_view::npos)
    return {};
  return s.substr(first, s.find_last_not_of(blanks) - first + 1);
}

std::vector<std::string_view> split(std::string_view s, char separator) {
  std::vector<std::string_view> out;
  for (;;) {
    const auto at = s.find(separator);
    out.push_back(s.substr(0, at));
    if (at == std::string_view::npos)
      return out;
    s.remove_prefix(at + 1);
  }
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (const auto& part : parts) {
    if (&part != &parts.front())
      out += separator;
    out += part;
  }
  return out;
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    unsigned bits = 0;
    const auto n = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t j = 0; j < 3; ++j)
      bits = (bits << 8) | (j < n ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j)
      out += j <= n ? base64_alphabet[(bits >> (18 - 6 * j)) & 63] : '=';
  }
  return out;
}

std::optional<std::string> base64_decode(std::string_view s) {
  if (s.size() % 4 != 0)
    return std::nullopt;
  for (int i = 0; i < 2 && s.ends_with('='); ++i)
    s.remove_suffix(1);
  return decode_unpadded(s);
}

std::optional<std::string> base64url_decode(std::string_view s) {
  while (s.ends_with('='))
    s.remove_suffix(1);
  std::string standard{s};
  for (auto& c : standard)
    c = c == '-' ? '+' : c == '_' ? '/' : c;
  return decode_unpadded(standard);
}

std::string quoted(std::string_view s) {
  std::string out = "\"";
  for (const char c : s) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          std::array<char, 8> buf{};
          std::snprintf(buf.data(), buf.size(), "\\x%02x", static_cast<unsigned char>(c));
          out += buf.data();
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

} // namespace swarm::text
