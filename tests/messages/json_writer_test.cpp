// The JSON writer and the spellings it shares with render.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>

#include "messages/json_scalar.hpp"
#include "messages/json_writer.hpp"

namespace swarm {
namespace {

template <class Write>
std::string written(Write write) {
  std::string text;
  json_writer out{text};
  write(out);
  return text;
}

std::string number(double value) {
  return written([&](auto& out) { out.floating(value); });
}
std::string number(float value) {
  return written([&](auto& out) { out.floating(value); });
}
std::string string(std::string_view value) {
  return written([&](auto& out) { out.string(value); });
}
std::string time(std::int64_t value) {
  return written([&](auto& out) { out.time(value); });
}

std::string base64(std::string_view bytes) {
  std::string out;
  scalar::append_base64(out, bytes);
  return out;
}

TEST(json_writer, puts_commas_where_they_belong) {
  EXPECT_EQ(written([](json_writer& out) {
              out.begin_object();
              out.member("a", "x");
              out.key("b");
              out.begin_array();
              out.begin_object();
              out.end_object();
              out.begin_array();
              out.end_array();
              out.integer(-1);
              out.null();
              out.end_array();
              out.member("c", true);
              out.raw_key("\"d\":");
              out.begin_object();
              out.member("e", std::uint64_t{18446744073709551615u});
              out.end_object();
              out.member("f", std::int64_t{1});
              out.end_object();
            }),
            R"({"a":"x","b":[{},[],-1,null],"c":true,"d":{"e":18446744073709551615},"f":1})");
}

TEST(json_writer, escapes_as_go_does_without_html_escaping) {
  EXPECT_EQ(string("<a href='x'>&\"\\/"), R"("<a href='x'>&\"\\/")");
  EXPECT_EQ(string(std::string_view{"\0\x01\b\f\n\r\t\x1f\x7f", 9}), "\"\\u0000\\u0001\\b\\f\\n\\r\\t\\u001f\x7f\"");
  EXPECT_EQ(string("a\u2028b\u2029c\u2027"), "\"a\\u2028b\\u2029c\u2027\"");
  EXPECT_EQ(string("é\xff\U0001F600\xe2\x80"), "\"é\\ufffd\U0001F600\\ufffd\\ufffd\"");
}

TEST(json_writer, writes_floats_with_the_fewest_digits) {
  EXPECT_EQ(number(0.2f), "0.2");
  EXPECT_EQ(number(0.2), "0.2");
  EXPECT_EQ(number(0.1f + 0.2f), "0.3");
  EXPECT_EQ(number(1.0), "1");
  EXPECT_EQ(number(0.0), "0");
  EXPECT_EQ(number(-0.0), "-0");
  EXPECT_EQ(number(-12.5), "-12.5");
  EXPECT_EQ(number(1e20), "100000000000000000000");
  EXPECT_EQ(number(1e21), "1e+21");
  EXPECT_EQ(number(1.25e-6), "0.00000125");
  EXPECT_EQ(number(1.25e-7), "1.25e-7");
  EXPECT_EQ(number(1e-9), "1e-9");
  EXPECT_EQ(number(123456.789), "123456.789");
  EXPECT_EQ(number(1.7976931348623157e308), "1.7976931348623157e+308");
  EXPECT_EQ(number(5e-324), "5e-324");
  EXPECT_EQ(number(3.4028235e38f), "3.4028235e+38");
  EXPECT_EQ(number(16777216.0f), "16777216");
  EXPECT_EQ(number(std::numeric_limits<double>::infinity()), "null");
  EXPECT_EQ(number(std::numeric_limits<float>::quiet_NaN()), "null");
}

TEST(scalar, times_are_written_with_the_digits_that_are_needed) {
  EXPECT_EQ(time(0), "\"0001-01-01T00:00:00Z\"");
  EXPECT_EQ(time(1), "\"1970-01-01T00:00:00.000000001Z\"");
  EXPECT_EQ(time(1795335968595645196), "\"2026-11-22T08:26:08.595645196Z\"");
  EXPECT_EQ(time(1795335968500000000), "\"2026-11-22T08:26:08.5Z\"");
  EXPECT_EQ(time(std::numeric_limits<std::int64_t>::min()), "\"1677-09-21T00:12:43.145224192Z\"");
  EXPECT_EQ(time(-1), "\"1969-12-31T23:59:59.999999999Z\"");
}

TEST(scalar, times_are_read_with_any_offset_and_nothing_malformed) {
  EXPECT_EQ(scalar::parse_rfc3339("2026-11-22T08:26:08.595645196Z"), 1795335968595645196);
  EXPECT_EQ(scalar::parse_rfc3339("2026-11-22T10:26:08.595645196+02:00"), 1795335968595645196);
  EXPECT_EQ(scalar::parse_rfc3339("2026-11-22T03:56:08.5-04:30"), 1795335968500000000);
  EXPECT_EQ(scalar::parse_rfc3339("2262-04-11T23:47:16.854775807Z"), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(scalar::parse_rfc3339("1677-09-21T00:12:43.145224192Z"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(scalar::parse_rfc3339("0001-01-01T00:00:00Z"), 0);
  EXPECT_EQ(scalar::parse_rfc3339("2024-02-29T00:00:00Z"), 1709164800000000000);
  for (const auto* text :
       {"", "2026", "2026-11-22", "2026-11-22T08:26:08", "2026-11-22 08:26:08Z", "2026-13-22T08:26:08Z",
        "2026-02-30T08:26:08Z", "2023-02-29T00:00:00Z", "2026-11-22T24:26:08Z", "2026-11-22T08:26:08.Z",
        "2026-11-22T08:26:08+0200", "2026-11-22T08:26:08Zx", "1500-01-01T00:00:00Z", "9999-01-01T00:00:00Z",
        "2262-04-11T23:47:16.854775808Z"})
    EXPECT_EQ(scalar::parse_rfc3339(text), std::nullopt) << text;
}

TEST(scalar, random_times_survive_writing_and_reading) {
  std::mt19937_64 random{7};
  for (int i = 0; i < 2000; ++i) {
    const auto t =
        static_cast<std::int64_t>(random() % 9'000'000'000'000'000'000u) - (i % 2 ? 0 : 9'000'000'000'000'000'000);
    std::string text;
    scalar::append_rfc3339(text, t);
    EXPECT_EQ(scalar::parse_rfc3339(text), t) << text;
  }
}

TEST(scalar, base64_is_strict_and_complete) {
  std::size_t bad_at = 0;
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("\xff\xfe\xfd\xfc"), "//79/A==");
  for (const auto* text : {"Zg", "Zg=", "Zg===", "Z", "=", "Zg==Zg==", "Zm9v=", "Zm 9", "Zm9-", "Z=g="})
    EXPECT_EQ(scalar::decode_base64(text, bad_at), std::nullopt) << text;
  EXPECT_EQ(scalar::decode_base64("Zm\r\n9v\nZg==\n", bad_at), "foof");
  std::mt19937_64 random{11};
  for (std::size_t size = 0; size < 300; ++size) {
    std::string bytes(size, '\0');
    for (auto& c : bytes)
      c = static_cast<char>(random());
    EXPECT_EQ(scalar::decode_base64(base64(bytes), bad_at), bytes);
  }
}

TEST(scalar, quotes_as_go_does) {
  EXPECT_EQ(scalar::quoted("a\"b\\c\n\x01\x7f\xff é"), "\"a\\\"b\\\\c\\n\\x01\\x7f\\xff é\"");
}

} // namespace
} // namespace swarm
