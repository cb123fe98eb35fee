// The strict parsers byte by byte, without sockets.
#include "runtime/http/parser.hpp"

#include <gtest/gtest.h>

namespace swarm::http::test {
namespace {

struct verdict {
  parse_state state;
  int status;
  std::string text;
};

// One byte more at a time: a verdict must not depend on how the bytes were cut.
verdict parse(std::string_view bytes, head_parser::kind kind = head_parser::kind::request) {
  head_parser whole{kind};
  const auto state = whole.parse(bytes);
  head_parser p{kind};
  auto stepwise = parse_state::need_more;
  for (std::size_t n = 1; n <= bytes.size() && stepwise == parse_state::need_more; ++n)
    stepwise = p.parse(bytes.substr(0, n));
  EXPECT_EQ(state, stepwise) << bytes;
  if (state == parse_state::complete && stepwise == state) {
    EXPECT_EQ(whole.consumed(), p.consumed());
  }
  return {state, whole.error().status, whole.error().text};
}

const std::string host = "Host: d\r\n";

TEST(http_parser, a_good_head_is_complete_at_its_empty_line) {
  head_parser p{head_parser::kind::request};
  const std::string_view bytes = "GET /a?b HTTP/1.1\r\nHost: d\r\nX:  two words \t\r\n\r\nrest";
  ASSERT_EQ(p.parse(bytes), parse_state::complete);
  EXPECT_EQ(bytes.substr(p.consumed()), "rest");
  EXPECT_EQ(p.request().headers.get("x"), "two words");
  EXPECT_EQ(p.request().query.count("b"), 1u);
  EXPECT_FALSE(p.request().has_body);
}

TEST(http_parser, request_lines_that_are_not_exact_are_refused) {
  for (const auto* line : {"GET  / HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1", "GET\t/ HTTP/1.1", "GET /\tHTTP/1.1", "GET",
                           "GET /", "GET / HTTP/1", "GET / HTTP/01.1", "GET / http/1.1", "GET / HTTP/ 1.1", "GET /a b HTTP/1.1",
                           "GET /\x80 HTTP/1.1", "GET /%zz HTTP/1.1", "GET /%00 HTTP/1.1", "GET * HTTP/1.1", "GET x HTTP/1.1",
                           "GET http:/// HTTP/1.1", "GET ftp://d/ HTTP/1.1", "G@T / HTTP/1.1", "GET / HTTP/1.1\rX: y"})
    EXPECT_EQ(parse(std::string{line} + "\r\n" + host + "\r\n").status, 400) << line;
  EXPECT_EQ(parse("GET / HTTP/1.2\r\n" + host + "\r\n").status, 505);
  EXPECT_EQ(parse("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status, 505);
  EXPECT_EQ(parse("get / HTTP/1.1\r\n" + host + "\r\n").status, 501);
  EXPECT_EQ(parse("BREW / HTTP/1.1\r\n" + host + "\r\n").status, 501);
}

TEST(http_parser, every_line_ending_but_crlf_is_refused) {
  EXPECT_EQ(parse("GET / HTTP/1.1\n" + host + "\r\n").status, 400);
  EXPECT_EQ(parse("GET / HTTP/1.1\r\nHost: d\nX: y\r\n\r\n").status, 400);
  EXPECT_EQ(parse("GET / HTTP/1.1\r\n" + host + "\n").status, 400);
  EXPECT_EQ(parse("GET / HTTP/1.1\r\nX: a\rY: b\r\n" + host + "\r\n").status, 400);
  EXPECT_EQ(parse("GET / HTTP/1.1\r\n" + host + "\rX").status, 400);
}

TEST(http_parser, malformed_fields_are_refused) {
  using namespace std::string_literals;
  for (const auto& field : {"X : y"s, ": y"s, "X y"s, "X\ty: z"s, "X[: y"s, "\xc3\xab: y"s, "X: a\x01"s, "X: a\0b"s, "X: \x7f"s,
                            " X: folded"s, "Host: e"s, "Content_Length: 1"s, "Transfer_Encoding: chunked"s})
    EXPECT_EQ(parse("GET / HTTP/1.1\r\n" + host + field + "\r\n\r\n").status, 400) << field;
  for (const auto* value : {"", "a b", "u@d", "a,b", "d/x", "\"d\"", "<d>"})
    EXPECT_EQ(parse("GET / HTTP/1.1\r\nHost: " + std::string{value} + "\r\n\r\n").status, 400) << value;
  for (const auto* value : {"docker", "api.moby.localhost", "[::1]:80", "%2Fvar%2Frun%2Fdocker.sock", "127.0.0.1:2375"})
    EXPECT_EQ(parse("GET / HTTP/1.1\r\nHost: " + std::string{value} + "\r\n\r\n").state, parse_state::complete) << value;
}

TEST(http_parser, whatever_could_hide_a_second_request_is_refused) {
  const auto post = [](const std::string& fields) { return parse("POST / HTTP/1.1\r\nHost: d\r\n" + fields + "\r\n\r\n").status; };
  for (const auto* fields : {"Content-Length: 1\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 1",
                             "Content-Length: 1\r\nContent-Length: 2", "Content-Length: 1\r\nContent-Length: 1",
                             "Content-Length: 1, 1", "Content-Length: +1", "Content-Length: -1", "Content-Length: 0x1",
                             "Content-Length: 1 1", "Content-Length: ", "Content-Length: 9223372036854775808",
                             "Content-Length: 99999999999999999999", "Transfer-Encoding: chunked, chunked",
                             "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked, gzip",
                             "Transfer-Encoding: , chunked", "Transfer-Encoding: chunked,", "Transfer-Encoding:"})
    EXPECT_EQ(post(fields), 400) << fields;
  for (const auto* coding : {"gzip", "identity", "xchunked", "gzip, chunked", "chunked;a=b", "\"chunked\""})
    EXPECT_EQ(post(std::string{"Transfer-Encoding: "} + coding), 501) << coding;
  EXPECT_EQ(parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").status, 400);
  EXPECT_EQ(post("Transfer-Encoding: CHUNKED"), 0);
  EXPECT_EQ(post("Content-Length: \t 007 "), 0);
}

TEST(http_parser, defects_are_found_as_soon_as_their_bytes_are_there) {
  EXPECT_EQ(parse("GET / HTTP/1.1\r\n Host").status, 400);
  EXPECT_EQ(parse("POST / HTTP/1.1\r\nContent-Length: x\r\n").status, 400);
  EXPECT_EQ(parse("GET / HTTP/1.1\r\nX: a\rb").status, 400);
  EXPECT_EQ(parse("\x16\x03\x01").status, 400);
  EXPECT_EQ(parse(std::string(40, 'A')).status, 400);
  EXPECT_EQ(parse("\r\n\r\n\r\n\r\n\r\n").status, 400);
}

TEST(http_parser, bounds_hold_whether_or_not_a_line_ends) {
  head_parser a{head_parser::kind::request, {200, 3, 100}};
  EXPECT_EQ(a.parse("GET /" + std::string(100, 'x')), parse_state::failed);
  EXPECT_EQ(a.error().status, 414);
  head_parser b{head_parser::kind::request, {200, 3, 100}};
  EXPECT_EQ(b.parse("GET / HTTP/1.1\r\nX: " + std::string(200, 'x')), parse_state::failed);
  EXPECT_EQ(b.error().status, 431);
  head_parser c{head_parser::kind::request, {200, 3, 100}};
  EXPECT_EQ(c.parse("GET / HTTP/1.1\r\nHost: d\r\nX: y\r\nX: y\r\nX: y\r\n"), parse_state::failed);
  EXPECT_EQ(c.error().status, 431);
}

TEST(http_parser, response_heads_say_where_the_body_ends) {
  const auto framing_of = [](const std::string& head, const char* method = "GET") {
    head_parser p{head_parser::kind::response};
    EXPECT_EQ(p.parse(head + "\r\n"), parse_state::complete) << head;
    return p.response_framing(method).kind;
  };
  EXPECT_EQ(framing_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"), body_kind::length);
  EXPECT_EQ(framing_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "HEAD"), body_kind::none);
  EXPECT_EQ(framing_of("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"), body_kind::none);
  EXPECT_EQ(framing_of("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n"), body_kind::chunked);
  EXPECT_EQ(framing_of("HTTP/1.1 200 \r\n"), body_kind::until_close);
  EXPECT_EQ(framing_of("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n"), body_kind::none);
  EXPECT_EQ(framing_of("HTTP/1.1 101 UPGRADED\r\n"), body_kind::none);
  for (const auto* line : {"HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 200OK", "HTTP/2.0 200 OK", "HTTP/1.1  200 OK", "ICY 200 OK"})
    EXPECT_EQ(parse(std::string{line} + "\r\n\r\n", head_parser::kind::response).state, parse_state::failed) << line;
}

// Feeds in pieces of `piece` bytes; the decoded body or "!" and why.
std::string decode(std::string_view in, std::size_t piece) {
  body_decoder d{{body_kind::chunked, 0}};
  std::string out;
  std::size_t used = 0;
  while (used < in.size() && !d.complete() && !d.failed())
    used += d.feed(in.substr(used, piece), &out);
  return d.failed() ? "!" : d.complete() ? out + "|" + std::string{in.substr(used)} : out + "…";
}

TEST(http_body, chunks_decode_alike_however_they_are_cut) {
  for (const std::size_t piece : {1u, 2u, 3u, 7u, 1000u}) {
    EXPECT_EQ(decode("5\r\nhello\r\n0006;a;b=c;d=\"e \\\" f\"\r\n world\r\n0\r\n\r\nnext", piece), "hello world|next");
    EXPECT_EQ(decode("1\r\na\r\n0\r\nX-T: 1\r\nY: 2\r\n\r\n", piece), "a|");
    EXPECT_EQ(decode("A\r\n0123456789\r\n", piece), "0123456789…");
  }
}

TEST(http_body, malformed_chunks_are_refused) {
  for (const auto* in : {"\r\n", "x\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", "1_0\r\n", "1 \r\na\r\n", "1;\r\n", "1;=a\r\n", "1;a=\r\n", "1; a\r\n",
                         "1;a[\r\n", "1;a=\"b\r\n", "1;a=\"b\"c\r\n", "1\n", "1\r\r\n", "1\ra", "1\r\nab", "1\r\na\rb", "1\r\na\n",
                         "FFFFFFFFFFFFFFFFF\r\n", "0\r\nbad\r\n", "0\r\n: x\r\n", "0\r\nA: b\n", "0\r\n folded\r\n"})
    EXPECT_EQ(decode(in, 1), "!") << in;
}

TEST(http_body, framing_that_outweighs_the_data_is_refused) {
  std::string tiny;
  for (int i = 0; i < 100; ++i)
    tiny += "1;e=" + std::string(400, 'e') + "\r\nx\r\n";
  EXPECT_EQ(decode(tiny, 1000), "!");
  EXPECT_EQ(decode("1;e=" + std::string(chunk_line_bytes_max, 'e') + "\r\n", 1000), "!");
  EXPECT_EQ(decode("0\r\nX: " + std::string(9000, 'e') + "\r\n\r\n", 1000), "!");
  std::string honest; // one byte per chunk, as a slow terminal sends them
  for (int i = 0; i < 10000; ++i)
    honest += "1\r\nx\r\n";
  EXPECT_EQ(decode(honest + "0\r\n\r\n", 1000), std::string(10000, 'x') + "|");
}

TEST(http_types, error_bodies_are_valid_json_whatever_the_text) {
  using namespace std::string_literals;
  EXPECT_EQ(error_body("say \"hi\" \\ \n\t\x01"), "{\"message\":\"say \\\"hi\\\" \\\\ \\n\\t\\u0001\"}\n");
  EXPECT_EQ(error_body("größe €"), "{\"message\":\"größe €\"}\n");
  EXPECT_EQ(error_body("a\xff\xc0\xaf\xed\xa0\x80"), "{\"message\":\"a\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"}\n");
  EXPECT_EQ(error_body("a\0b"s), "{\"message\":\"a\\u0000b\"}\n");
}

TEST(http_types, headers_compare_without_case_and_know_tokens) {
  headers h{{"Connection", "Keep-Alive, Upgrade"}, {"connection", "x"}};
  EXPECT_TRUE(h.has_token("CONNECTION", "upgrade"));
  EXPECT_TRUE(h.has_token("connection", "X"));
  EXPECT_FALSE(h.has_token("connection", "keep"));
  h.set("CONNECTION", "close");
  EXPECT_EQ(h.size(), 1u);
  h.remove("connection");
  EXPECT_FALSE(h.contains("Connection"));
}

TEST(http_types, percent_coding_is_its_own_inverse) {
  std::string all;
  for (int c = 0; c < 256; ++c)
    all += static_cast<char>(c);
  EXPECT_EQ(percent_decode(percent_encode(all), false), all);
  EXPECT_EQ(percent_decode("a+b%20", true), "a b ");
  EXPECT_EQ(percent_decode("a+b", false), "a+b");
  EXPECT_FALSE(percent_decode("%4", false));
}

} // namespace
} // namespace swarm::http::test
