// Times, base64, UTF-8, floats and quoting. Kept apart from runtime/text because messages/ may not include runtime/.
#include "messages/json_scalar.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>

namespace swarm::scalar {

namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::string_view base64_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view hex_digits = "0123456789abcdef";

constexpr auto base64_values = [] {
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < base64_alphabet.size(); ++i)
    table[static_cast<unsigned char>(base64_alphabet[i])] = static_cast<std::int8_t>(i);
  return table;
}();

void append_digits(std::string& out, unsigned value, int width) {
  std::array<char, 10> buf{};
  for (int i = width; i-- > 0; value /= 10)
    buf[static_cast<std::size_t>(i)] = static_cast<char>('0' + value % 10);
  out.append(buf.data(), static_cast<std::size_t>(width));
}

// Reads exactly n digits at s[pos]; -1 when they are not there.
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

// "Z" or "+hh:mm" at the end of a time, in seconds.
std::optional<int> parse_offset(std::string_view s) {
  if (s == "Z" || s == "z")
    return 0;
  if (s.size() != 6 || (s[0] != '+' && s[0] != '-') || s[3] != ':')
    return std::nullopt;
  const int h = digits_at(s, 1, 2), m = digits_at(s, 4, 2);
  if (h < 0 || h > 23 || m < 0 || m > 59)
    return std::nullopt;
  return (s[0] == '-' ? -60 : 60) * (h * 60 + m);
}

// Go takes strconv's shortest digits and lays them out itself; from_chars/to_chars give the same digits.
template <class Float>
void append_go_float(std::string& out, Float value) {
  std::array<char, 64> buf{};
  const auto magnitude = std::fabs(value);
  const auto end = std::to_chars(buf.data(), buf.data() + buf.size(), value, std::chars_format::scientific).ptr;
  std::string_view text{buf.data(), static_cast<std::size_t>(end - buf.data())};
  if (text.front() == '-') {
    out += '-';
    text.remove_prefix(1);
  }
  const auto e = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), text.data() + text.size(), exponent);
  std::string digits{text.substr(0, 1)};
  if (e > 2)
    digits += text.substr(2, e - 2);
  if (magnitude != 0 && (magnitude < Float(1e-6) || magnitude >= Float(1e21))) {
    out += digits[0];
    if (digits.size() > 1)
      out.append(".").append(digits, 1);
    out.append(exponent < 0 ? "e-" : "e+").append(std::to_string(std::abs(exponent)));
  } else if (exponent < 0) {
    out.append("0.").append(static_cast<std::size_t>(-exponent - 1), '0').append(digits);
  } else {
    const auto whole = static_cast<std::size_t>(exponent) + 1;
    if (digits.size() <= whole)
      out.append(digits).append(whole - digits.size(), '0');
    else
      out.append(digits, 0, whole).append(".").append(digits, whole);
  }
}

} // namespace

void append_rfc3339(std::string& out, std::int64_t wall_ns) {
  if (wall_ns == 0) {
    out += "0001-01-01T00:00:00Z";
    return;
  }
  using namespace std::chrono;
  // Split by hand: chrono's floor leaves 64 bits on the first day that they hold.
  auto whole = wall_ns / ns_per_s, fraction = wall_ns % ns_per_s;
  if (fraction < 0) {
    fraction += ns_per_s;
    --whole;
  }
  const sys_seconds at{seconds{whole}};
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss time{at - day};
  append_digits(out, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.month()), 2);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.day()), 2);
  out += 'T';
  append_digits(out, static_cast<unsigned>(time.hours().count()), 2);
  out += ':';
  append_digits(out, static_cast<unsigned>(time.minutes().count()), 2);
  out += ':';
  append_digits(out, static_cast<unsigned>(time.seconds().count()), 2);
  if (fraction != 0) {
    out += '.';
    append_digits(out, static_cast<unsigned>(fraction), 9);
    out.erase(out.find_last_not_of('0') + 1);
  }
  out += 'Z';
}

std::optional<std::int64_t> parse_rfc3339(std::string_view s) {
  using namespace std::chrono;
  const int y = digits_at(s, 0, 4), mo = digits_at(s, 5, 2), d = digits_at(s, 8, 2);
  const int h = digits_at(s, 11, 2), mi = digits_at(s, 14, 2), sec = digits_at(s, 17, 2);
  if (y < 0 || mo < 0 || d < 0 || h < 0 || h > 23 || mi < 0 || mi > 59 || sec < 0 || sec > 59 || s[4] != '-' ||
      s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':')
    return std::nullopt;
  const year_month_day date{year{y}, month{static_cast<unsigned>(mo)}, day{static_cast<unsigned>(d)}};
  if (!date.ok())
    return std::nullopt;
  std::size_t pos = 19;
  std::int64_t fraction = 0;
  if (pos < s.size() && s[pos] == '.') {
    const auto first = ++pos;
    for (auto scale = ns_per_s / 10; pos < s.size() && s[pos] >= '0' && s[pos] <= '9'; ++pos, scale /= 10)
      fraction += (s[pos] - '0') * scale;
    if (pos == first)
      return std::nullopt;
  }
  const auto offset = parse_offset(s.substr(pos));
  if (!offset)
    return std::nullopt;
  if (y == 1 && mo == 1 && d == 1 && h == 0 && mi == 0 && sec == 0 && fraction == 0 && *offset == 0)
    return 0;
  const auto seconds = sys_days{date}.time_since_epoch().count() * 86400LL + h * 3600 + mi * 60 + sec - *offset;
  const auto wall = static_cast<__int128>(seconds) * ns_per_s + fraction;
  if (wall < std::numeric_limits<std::int64_t>::min() || wall > std::numeric_limits<std::int64_t>::max())
    return std::nullopt;
  return static_cast<std::int64_t>(wall);
}

void append_base64(std::string& out, std::string_view bytes) {
  out.reserve(out.size() + (bytes.size() + 2) / 3 * 4);
  std::size_t i = 0;
  const auto at = [&](std::size_t k) { return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[k])); };
  for (; i + 3 <= bytes.size(); i += 3) {
    const auto bits = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    for (int shift = 18; shift >= 0; shift -= 6)
      out += base64_alphabet[(bits >> shift) & 63];
  }
  if (i + 1 == bytes.size()) {
    out += base64_alphabet[at(i) >> 2];
    out += base64_alphabet[(at(i) << 4) & 63];
    out += "==";
  } else if (i + 2 == bytes.size()) {
    const auto bits = at(i) << 8 | at(i + 1);
    out += base64_alphabet[bits >> 10];
    out += base64_alphabet[(bits >> 4) & 63];
    out += base64_alphabet[(bits << 2) & 63];
    out += '=';
  }
}

std::optional<std::string> decode_base64(std::string_view s, std::size_t& bad_at) {
  std::string out;
  out.reserve(s.size() / 4 * 3);
  std::uint32_t bits = 0;
  int have = 0, padding = 0;
  for (bad_at = 0; bad_at < s.size(); ++bad_at) {
    const char c = s[bad_at];
    if (c == '\r' || c == '\n')
      continue;
    if (c == '=') {
      if (have + padding < 2 || have + ++padding > 4)
        return std::nullopt;
      continue;
    }
    const int digit = base64_values[static_cast<unsigned char>(c)];
    if (digit < 0 || padding > 0)
      return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    if (++have == 4) {
      out += static_cast<char>(bits >> 16 & 0xff);
      out += static_cast<char>(bits >> 8 & 0xff);
      out += static_cast<char>(bits & 0xff);
      have = 0;
    }
  }
  if (have + padding != 0 && have + padding != 4) {
    if (padding == 0) // Go names the group of four that is not whole
      bad_at -= static_cast<std::size_t>(have);
    return std::nullopt;
  }
  if (have == 2)
    out += static_cast<char>(bits >> 4 & 0xff);
  if (have == 3) {
    out += static_cast<char>(bits >> 10 & 0xff);
    out += static_cast<char>(bits >> 2 & 0xff);
  }
  return out;
}

std::size_t utf8_length(std::string_view s) {
  const auto byte = [&](std::size_t i) { return i < s.size() ? static_cast<unsigned char>(s[i]) : 0u; };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const auto lead = byte(0);
  if (s.empty() || (lead >= 0x80 && lead < 0xc2) || lead > 0xf4)
    return 0;
  if (lead < 0x80)
    return 1;
  if (!continues(1))
    return 0;
  if (lead < 0xe0)
    return 2;
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) || !continues(2)) // overlong, surrogate
    return 0;
  if (lead < 0xf0)
    return 3;
  if ((lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f) || !continues(3)) // overlong, > U+10FFFF
    return 0;
  return 4;
}

void append_utf8(std::string& out, std::uint32_t c) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | c >> 6);
    put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3f));
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

void append_float(std::string& out, double value) { append_go_float(out, value); }
void append_float(std::string& out, float value) { append_go_float(out, value); }

void append_quoted(std::string& out, std::string_view s) {
  constexpr std::string_view from = "\a\b\t\n\v\f\r\"\\", to = "abtnvfr\"\\";
  out += '"';
  while (!s.empty()) {
    const auto length = utf8_length(s);
    const auto c = static_cast<unsigned char>(s.front());
    if (const auto at = from.find(s.front()); length == 1 && at != std::string_view::npos) {
      out += '\\';
      out += to[at];
    } else if (length == 0 || c < 0x20 || c == 0x7f) {
      out += "\\x";
      out += hex_digits[c >> 4];
      out += hex_digits[c & 15];
    } else {
      out += s.substr(0, length);
    }
    s.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

std::string quoted(std::string_view s) {
  std::string out;
  append_quoted(out, s);
  return out;
}

} // namespace swarm::scalar
