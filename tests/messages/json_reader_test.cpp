// The JSON reader and tree: grammar, Go's error texts, bounds.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "messages/docker_json.hpp"
#include "messages/json_scalar.hpp"
#include "messages/json_value.hpp"
#include "messages/objects.pb.h"

namespace swarm {
namespace {

std::string error_of(std::string_view text) {
  json_value value;
  return json_value::parse(text, value).message;
}

std::string round_trip(std::string_view text) {
  json_value value;
  const auto error = json_value::parse(text, value);
  return error.ok() ? value.dump() : "<" + error.message + ">";
}

TEST(json_reader, keeps_every_kind_of_value_as_it_came) {
  EXPECT_EQ(round_trip(R"( {"a" : [1, -0, 1.50e+3, true,false , null, "x"], "b":{}} )"),
            R"({"a":[1,-0,1.50e+3,true,false,null,"x"],"b":{}})");
  EXPECT_EQ(round_trip("123456789012345678901234567890"), "123456789012345678901234567890");
}

TEST(json_reader, speaks_the_error_texts_of_go) {
  EXPECT_EQ(error_of("{x"), "invalid character 'x' looking for beginning of object key string");
  EXPECT_EQ(error_of("x"), "invalid character 'x' looking for beginning of value");
  EXPECT_EQ(error_of("[1 2]"), "invalid character '2' after array element");
  EXPECT_EQ(error_of("[1,]"), "invalid character ']' looking for beginning of value");
  EXPECT_EQ(error_of(R"({"a":1,})"), "invalid character '}' looking for beginning of object key string");
  EXPECT_EQ(error_of(R"({"a" 1})"), "invalid character '1' after object key");
  EXPECT_EQ(error_of(R"({"a":1 "b":2})"), "invalid character '\"' after object key:value pair");
  EXPECT_EQ(error_of("-x"), "invalid character 'x' in numeric literal");
  EXPECT_EQ(error_of("1.x"), "invalid character 'x' after decimal point in numeric literal");
  EXPECT_EQ(error_of("1e+x"), "invalid character 'x' in exponent of numeric literal");
  EXPECT_EQ(error_of("[01]"), "invalid character '1' after array element");
  EXPECT_EQ(error_of("trux"), "invalid character 'x' in literal true (expecting 'e')");
  EXPECT_EQ(error_of("\"a\nb\""), "invalid character '\\n' in string literal");
  EXPECT_EQ(error_of("\"\\q\""), "invalid character 'q' in string escape code");
  EXPECT_EQ(error_of("\"\\u12x4\""), "invalid character 'x' in \\u hexadecimal character escape");
  EXPECT_EQ(error_of("'"), "invalid character '\\'' looking for beginning of value");
  EXPECT_EQ(error_of("\xef\xbb\xbf{}"), "invalid character '\u00ef' looking for beginning of value");
  EXPECT_EQ(error_of("[\"a\""), "unexpected EOF");
  EXPECT_EQ(error_of("\"a"), "unexpected EOF");
  EXPECT_EQ(error_of("\"\\"), "unexpected EOF");
  EXPECT_EQ(error_of("tr"), "unexpected EOF");
  EXPECT_EQ(error_of(" "), "unexpected end of JSON input");
  EXPECT_EQ(error_of("{} {}"), "unexpected content after JSON");
  EXPECT_EQ(error_of("{}}"), "unexpected content after JSON");
}

TEST(json_reader, replaces_what_is_no_unicode) {
  EXPECT_EQ(round_trip("\"a\xff\xc0\xafz\""), "\"a\ufffd\ufffd\ufffdz\"");
  EXPECT_EQ(round_trip("\"\xed\xa0\x80\""), "\"\ufffd\ufffd\ufffd\"") << "an encoded surrogate";
  EXPECT_EQ(round_trip(R"("\ud83d\ude00")"), "\"\U0001F600\"");
  EXPECT_EQ(round_trip(R"("\ud83dx")"), "\"\ufffdx\"");
  EXPECT_EQ(round_trip(R"("\ud83d\u0041")"), "\"\ufffdA\"");
  EXPECT_EQ(round_trip(R"("\ude00\ud83d\ude00")"), "\"\ufffd\U0001F600\"");
  EXPECT_EQ(round_trip("\"\xe2\x82\""), "\"\ufffd\ufffd\"") << "cut in the middle of a character";
}

TEST(json_reader, refuses_depth_and_number_of_values_beyond_the_bounds) {
  const std::string open(100'000, '[');
  EXPECT_EQ(error_of(open), "exceeded max depth");
  std::string objects;
  for (int i = 0; i < 100'000; ++i)
    objects += "{\"a\":";
  EXPECT_EQ(error_of(objects), "exceeded max depth");
  EXPECT_EQ(error_of(std::string(200, '[') + std::string(200, ']')), "");
  EXPECT_EQ(error_of(std::string(201, '[') + std::string(201, ']')), "exceeded max depth");
  Service service;
  EXPECT_EQ(from_json("{\"Unknown\":" + open, service, {}).message, "exceeded max depth");

  json_value value;
  EXPECT_TRUE(json_value::parse("[1,2,3]", value, {.depth = 1, .values = 4}).ok());
  EXPECT_EQ(json_value::parse("[1,2,3,4]", value, {.depth = 1, .values = 4}).message,
            "JSON document has more than 4 values");
}

TEST(json_reader, takes_what_the_vectors_accept_and_refuses_what_they_reject) {
  const auto path = std::filesystem::path{SWARM_VECTORS} / "http/json_parsing_vectors.json";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << "SKIPPED, NOT TESTED: " << path << " is missing";
  std::ifstream file{path};
  std::stringstream text;
  text << file.rdbuf();
  json_value vectors;
  ASSERT_TRUE(json_value::parse(text.str(), vectors).ok());
  int accepted = 0, rejected = 0, either = 0;
  for (const auto& vector : vectors.items()) {
    std::size_t bad_at = 0;
    const auto input = scalar::decode_base64(vector.find("base64")->as_string(), bad_at);
    ASSERT_TRUE(input);
    json_value value;
    const bool ok = json_value::parse(*input, value).ok();
    Service service;
    (void)from_json(*input, service, {});
    const auto expected = vector.find("expect")->as_string();
    const auto id = std::string{vector.find("id")->as_string()};
    accepted += expected == "accept";
    rejected += expected == "reject";
    either += expected == "either";
    EXPECT_TRUE(ok || expected != "accept") << id;
    EXPECT_TRUE(!ok || expected != "reject") << id;
    if (ok) { // what was read can be written and read again
      json_value again;
      EXPECT_TRUE(json_value::parse(value.dump(), again).ok()) << id;
      EXPECT_EQ(again.dump(), value.dump()) << id;
    }
  }
  std::printf("json vectors: %d accept, %d reject, %d either\n", accepted, rejected, either);
  EXPECT_GE(accepted, 55);
  EXPECT_GE(rejected, 89);
}

TEST(json_value, finds_the_last_member_and_prefers_the_exact_name) {
  json_value value;
  ASSERT_TRUE(json_value::parse(R"({"Name":"a","name":"b","Name":"c","N":12,"B":true})", value).ok());
  EXPECT_EQ(value.find("Name")->as_string(), "c");
  EXPECT_EQ(value.find("name")->as_string(), "b");
  EXPECT_EQ(value.find("NAME")->as_string(), "c");
  EXPECT_EQ(value.find("missing"), nullptr);
  EXPECT_EQ(value.find("N")->as_integer(), 12);
  EXPECT_EQ(value.find("Name")->as_integer(), std::nullopt);
  EXPECT_TRUE(value.find("B")->as_bool());
  EXPECT_EQ(value.find("N")->find("x"), nullptr);
  value.set("Swarm", json_value::object().set("x", json_value{"in"})).set("N", json_value{std::int64_t{-1}});
  value.erase("Name");
  EXPECT_EQ(value.dump(), R"({"name":"b","N":-1,"B":true,"Swarm":{"x":"in"}})");
  auto list = json_value{true};
  list.push_back(json_value{"a"});
  EXPECT_EQ(list.dump(), R"(["a"])");
}

TEST(filters, are_read_in_both_encodings) {
  std::map<std::string, std::vector<std::string>> out;
  using filters = decltype(out);
  EXPECT_TRUE(parse_filters(R"({"name":{"web":true,"api":true},"id":{}})", out).ok());
  EXPECT_EQ(out, (filters{{"name", {"api", "web"}}, {"id", {}}}));
  EXPECT_TRUE(parse_filters(R"({"name":["web","api","web"]})", out).ok());
  EXPECT_EQ(out, (filters{{"name", {"api", "web"}}}));
  EXPECT_TRUE(parse_filters(R"({"label":{"a=b":true,"c":false}})", out).ok());
  EXPECT_EQ(out, (filters{{"label", {"a=b"}}}));
  EXPECT_TRUE(parse_filters("", out).ok());
  EXPECT_TRUE(out.empty());
  EXPECT_TRUE(parse_filters("{}", out).ok());
  EXPECT_TRUE(out.empty());
  EXPECT_TRUE(parse_filters("null", out).ok());
  EXPECT_TRUE(out.empty());
}

TEST(filters, that_are_malformed_are_refused_as_the_callers_mistake) {
  std::map<std::string, std::vector<std::string>> out;
  for (const auto* text : {"x", "[]", R"({"a":1})", R"({"a":[1]})", R"({"a":{"b":"c"}})", R"({"a":"b"})",
                           "{\"a\":", R"({"a":[["b"]]})", R"({"a":{"b":{"c":true}}})", " "}) {
    EXPECT_EQ(parse_filters(text, out).code, errc::invalid_argument) << text;
    EXPECT_TRUE(parse_filters(text, out).message.starts_with("invalid filter: ")) << text;
  }
  std::string many = "{\"a\":[";
  for (int i = 0; i < 20'000; ++i)
    many += "\"x\",";
  EXPECT_EQ(parse_filters(many + "\"x\"]}", out).code, errc::invalid_argument);
}

} // namespace
} // namespace swarm
