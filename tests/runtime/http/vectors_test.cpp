// Peer test data: llhttp's requests against the parsers, Http11Probe's raw requests against the live server.
#include <fstream>
#include <map>
#include <sstream>

#include <boost/json/src.hpp>

#include "runtime/http/parser.hpp"
#include "tests/runtime/http/fixture.hpp"

namespace swarm::http::test {
namespace {

namespace json = boost::json;

std::optional<json::array> load(const std::string& name) {
  std::ifstream file{std::string{SWARM_VECTORS} + "/http/" + name};
  if (!file)
    return std::nullopt;
  std::stringstream text;
  text << file.rdbuf();
  return json::parse(text.str()).as_array();
}

// The files hold each byte as the code point of the same number.
std::string bytes_of(std::string_view utf8) {
  std::string out;
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const auto c = static_cast<unsigned char>(utf8[i]);
    if (c < 0x80)
      out += utf8[i];
    else
      out += static_cast<char>(((c & 0x03) << 6) | (static_cast<unsigned char>(utf8[++i]) & 0x3f));
  }
  return out;
}

// Where we are stricter than llhttp on purpose.
const std::map<std::string, std::string> stricter = {
  {"llhttp/sample.md:No HTTP version", "HTTP/0.9: Go and RFC 9112 servers answer 400"},
  {"llhttp/transfer-encoding.md:POST with `chunked` as last transfer-encoding", "a coding besides chunked is 501, as in Go"},
  {"llhttp/transfer-encoding.md:POST with `chunked` as last transfer-encoding (multiple headers)", "likewise"},
};

// Messages one after the other, as a session takes them; the error or ok.
parse_error run(std::string_view in, bool skip_bodies) {
  while (!in.empty()) {
    head_parser p{head_parser::kind::request, {.require_host = false}};
    switch (p.parse(in)) {
      case parse_state::need_more: return {};
      case parse_state::failed: return p.error();
      case parse_state::complete: break;
    }
    in.remove_prefix(p.consumed());
    const auto& r = p.request();
    if (r.method == "CONNECT" || r.headers.contains("Upgrade"))
      return {}; // llhttp pauses: what follows is not HTTP
    if (skip_bodies)
      continue;
    body_decoder d{p.body()};
    in.remove_prefix(d.feed(in, nullptr));
    if (d.failed())
      return {400, d.why()};
    if (r.headers.has_token("Connection", "close") || r.version == 10)
      return {};
  }
  return {};
}

TEST(http_vectors, llhttp_strict_requests_get_llhttp_s_verdict) {
  const auto vectors = load("llhttp_request_vectors.json");
  if (!vectors)
    GTEST_SKIP() << "LOUD: 0 llhttp vectors run, " SWARM_VECTORS "/http is missing";
  int run_count = 0, different = 0;
  for (const auto& v : *vectors) {
    const auto& o = v.as_object();
    const std::string id{o.at("id").as_string()};
    if (o.at("lenient").as_bool())
      continue;
    const std::string verdict{o.at("verdict").as_string()};
    const auto bytes = bytes_of(o.at("request_latin1").as_string());
    const bool skip_bodies = id.find("reset when no body is received") != std::string::npos; // their harness skips them
    const auto error = run(bytes, skip_bodies);
    ++run_count;
    if (stricter.contains(id)) {
      EXPECT_EQ(verdict, "accept") << id;
      EXPECT_FALSE(error.ok()) << id << " is listed as stricter and is not";
      ++different;
      continue;
    }
    if (verdict == "reject")
      EXPECT_FALSE(error.ok()) << id;
    else
      EXPECT_TRUE(error.ok()) << id << ": " << error.text;
  }
  std::printf("[  VECTORS ] llhttp: %d strict requests, %d stricter on purpose\n", run_count, different);
  EXPECT_GT(run_count, 0);
}

TEST(http_vectors, requests_llhttp_rejects_never_reach_a_handler) {
  const auto vectors = load("llhttp_request_vectors.json");
  if (!vectors)
    GTEST_SKIP() << "LOUD: 0 llhttp vectors run, " SWARM_VECTORS "/http is missing";
  std::atomic<int> handled{0};
  running_server s{[&](std::shared_ptr<exchange> ex, request&&) {
    ++handled;
    ex->reply(200, {}, "");
  }};
  for (const auto& v : *vectors) {
    const auto& o = v.as_object();
    if (o.at("lenient").as_bool() || o.at("verdict").as_string() != "reject")
      continue;
    const auto before = handled.load();
    auto p = s.connect();
    p.send(bytes_of(o.at("request_latin1").as_string()));
    p.shutdown_write();
    const auto answer = p.until_eof();
    EXPECT_GE(status_of(answer), 400) << o.at("id");
    EXPECT_EQ(handled, before) << o.at("id");
  }
}

// "400 or 2xx", "400/close/timeout", "2xx + echo", "!101", … against a status; 0 = closed without an answer.
bool allowed(const json::object& o, int status) {
  const auto klass = status / 100;
  const auto close_ok = o.at("close_allowed").as_bool();
  if (const auto* exact = o.at("expected_status").if_string()) {
    if (status == 0)
      return close_ok;
    return *exact == "Range2xx" ? klass == 2 : std::to_string(status) == std::string_view{*exact};
  }
  const std::string text{o.at("expected_text").as_string()};
  if (text.starts_with("!101") || text.starts_with("non-101"))
    return status != 101;
  if (text.starts_with("non-1xx"))
    return klass != 1;
  if (status == 0)
    return text.find("close") != std::string::npos;
  // A cut with a reason is a kind of close: ours always says why.
  const bool cut = klass == 4 && text.find("close") != std::string::npos;
  // "… = warn": 2xx is right as long as the next request is not poisoned, which is checked below.
  const bool warned = klass == 2 && text.ends_with("= warn");
  return cut || warned || text.find(std::to_string(status)) != std::string::npos
         || (klass == 2 && text.find("2xx") != std::string::npos) || text.starts_with("Reject/drop");
}

TEST(http_vectors, http11probe_requests_get_an_allowed_answer_from_the_live_server) {
  const auto vectors = load("http11probe_vectors.json");
  if (!vectors)
    GTEST_SKIP() << "LOUD: 0 Http11Probe vectors run, " SWARM_VECTORS "/http is missing";
  limits l;
  l.header_deadline = milliseconds{150}; // what never completes is cut with 408: its probe calls that a timeout
  l.body_grace = milliseconds{150};
  l.linger = milliseconds{20};
  running_server s{[](std::shared_ptr<exchange> ex, request&& r) {
                     ex->reply(200, {{"Content-Type", "text/plain"}}, r.body.empty() ? "ok" : r.body);
                   }, l};
  std::uint16_t port = 0;
  ASSERT_TRUE(s.http.listen(tcp_endpoint{.allow_plain_loopback = true}, &port).ok());
  const auto host = "127.0.0.1:" + std::to_string(port);
  int count = 0;
  for (const auto& v : *vectors) {
    const auto& o = v.as_object();
    const std::string id{o.at("id").as_string()};
    auto bytes = bytes_of(o.at("request_latin1").as_string());
    for (auto at = bytes.find("{HOST}"); at != std::string::npos; at = bytes.find("{HOST}", at))
      bytes.replace(at, 6, host);
    auto p = peer::tcp(port);
    p.send(bytes);
    auto answer = p.answer(bytes.starts_with("HEAD "));
    if (status_of(answer) == 100)
      answer = p.answer();
    const auto status = status_of(answer);
    EXPECT_TRUE(allowed(o, status)) << id << ": " << status << ", expected " << o.at("expected_status") << " / "
                                    << o.at("expected_text") << "\n" << bytes << "\n" << answer;
    if (id.ends_with("COMP-DATE-HEADER")) {
      EXPECT_NE(answer.find("\r\nDate: "), std::string::npos);
    }
    if (id.ends_with("HTTP10-DEFAULT-CLOSE")) {
      EXPECT_EQ(p.until_eof(), "");
      EXPECT_FALSE(p.timed_out);
    }
    if (std::string_view{o.at("expected_text").is_string() ? o.at("expected_text").as_string() : json::string{}} == "2xx + echo") {
      EXPECT_EQ(body_of(answer), "helloworld") << id;
    }
    if (status >= 400 && status != 404 && status != 405 && status != 417) { // refused: nothing after it is read as a request
      p.send("GET /next HTTP/1.1\r\nHost: d\r\n\r\n");
      EXPECT_EQ(p.until_eof().find("HTTP/1.1 200"), std::string::npos) << id;
    }
    if (status / 100 == 2 && answer.find("Connection: close") == std::string::npos && !answer.starts_with("HTTP/1.0")) {
      p.send("POST /next HTTP/1.1\r\nHost: d\r\nContent-Length: 6\r\n\r\nfollow");
      const auto next = p.answer();
      EXPECT_EQ(status_of(next), 200) << id;
      EXPECT_EQ(body_of(next), "follow") << id << ": the next request was misread";
    }
    ++count;
  }
  std::printf("[  VECTORS ] Http11Probe: %d raw requests\n", count);
  EXPECT_GT(count, 0);
}

} // namespace
} // namespace swarm::http::test
