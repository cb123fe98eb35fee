// What is sent to a plugin and what is made of its answers, good and bad.
#include "drivers/plugin/secret_codec.hpp"

#include <gtest/gtest.h>

#include "messages/json_scalar.hpp"
#include "messages/render.hpp"

namespace swarm::plugin {
namespace {

std::string base64(const std::string& bytes) {
  std::string out;
  scalar::append_base64(out, bytes);
  return out;
}

std::string problem(int status, const std::string& body) {
  SecretFetched out;
  const auto bad = read_secret(status, body, out);
  EXPECT_TRUE(bad.ok() || out.value().empty());
  return bad.message;
}

TEST(secret_codec, a_request_says_what_swarmkit_says) {
  FetchSecret r;
  r.set_driver("vault");
  r.set_secret_name("pw");
  EXPECT_EQ(request_body(r), R"({"SecretName":"pw"})") << "nothing that is empty";
  (*r.mutable_secret_labels())["b"] = "2";
  (*r.mutable_secret_labels())["a"] = "1";
  r.set_service_id("sid");
  r.set_service_name("web");
  r.set_service_hostname("h");
  (*r.mutable_service_labels())["l"] = "\"";
  r.set_task_id("tid");
  r.set_task_name("web.1.tid");
  r.set_task_image("busybox");
  r.set_node_id("nid");
  r.set_node_hostname("host1");
  (*r.mutable_node_labels())["n"] = "m";
  auto& endpoint = *r.mutable_endpoint_spec();
  endpoint.set_mode(ENDPOINT_MODE_DNSRR);
  auto& port = *endpoint.add_ports();
  port.set_name("http");
  port.set_protocol(PORT_PROTOCOL_UDP);
  port.set_target_port(80);
  port.set_published_port(8080);
  port.set_publish_mode(PUBLISH_MODE_HOST);
  endpoint.add_ports()->set_protocol(PORT_PROTOCOL_TCP);
  EXPECT_EQ(
      request_body(r),
      R"({"SecretName":"pw","SecretLabels":{"a":"1","b":"2"},"ServiceHostname":"h","ServiceID":"sid","ServiceName":"web",)"
      R"("ServiceLabels":{"l":"\""},"TaskID":"tid","TaskName":"web.1.tid","TaskImage":"busybox",)"
      R"("ServiceEndpointSpec":{"Mode":1,"Ports":[{"Name":"http","Protocol":1,"TargetPort":80,"PublishedPort":8080,"PublishMode":1},{}]},)"
      R"("NodeID":"nid","NodeHostname":"host1","NodeLabels":{"n":"m"}})");
}

TEST(secret_codec, an_activation_must_name_the_capability) {
  EXPECT_TRUE(read_activation(200, R"({"Implements":["volumedriver","secretprovider"]})").ok());
  for (const auto* body :
       {R"({"Implements":["volumedriver"]})", R"({"Implements":null})", R"({"Implements":"secretprovider"})", "{}"})
    EXPECT_EQ(read_activation(200, body).message, "plugin provides no secrets") << body;
  EXPECT_EQ(read_activation(200, "<html>").message, "plugin's answer cannot be read");
  EXPECT_EQ(read_activation(404, "no such page").message, "plugin answered with status 404");
}

TEST(secret_codec, a_value_is_any_bytes) {
  SecretFetched out;
  const std::string bytes{"a\0\xff\n", 4};
  ASSERT_TRUE(
      read_secret(200, R"({"Value":")" + base64(bytes) + R"(","Err":"","DoNotReuse":true,"More":1})", out).ok());
  EXPECT_EQ(out.value(), bytes);
  EXPECT_TRUE(out.do_not_reuse());
  ASSERT_TRUE(read_secret(200, R"({"value":"eA==","Err":null,"DoNotReuse":null})", out).ok());
  EXPECT_EQ(out.value(), "x");
  EXPECT_FALSE(out.do_not_reuse());
  EXPECT_EQ(render(out).find("eA=="), std::string::npos);
  EXPECT_NE(render(out).find("***"), std::string::npos) << render(out);
}

TEST(secret_codec, sizes_are_those_of_secrets) {
  const std::string refused = "secret data must be larger than 0 and less than 512000 bytes";
  for (const auto* body : {"{}", R"({"Value":""})", R"({"Value":null})"})
    EXPECT_EQ(problem(200, body), refused);
  EXPECT_EQ(problem(200, R"({"Value":")" + base64(std::string(512'000, 'x')) + "\"}"), refused);
  EXPECT_EQ(problem(200, R"({"Value":")" + base64(std::string(511'999, 'x')) + "\"}"), "");
}

TEST(secret_codec, bad_answers_are_told_apart_and_no_value_is_quoted) {
  EXPECT_EQ(problem(200, R"({"Value":"aHVudGVy*"})"), "plugin's value is not base64");
  for (const auto* body :
       {"", "hunter2", R"({"Value":"hunter2)", R"(["hunter2"])", R"({"Value":{"hunter2":1}})", R"({"Value":7})",
        R"({"Value":"eA==","Err":7})", R"({"Value":"eA==","DoNotReuse":"hunter2"})"})
    EXPECT_EQ(problem(200, body), "plugin's answer cannot be read") << body;
  EXPECT_EQ(problem(500, "hunter2"), "plugin answered with status 500");
  EXPECT_EQ(problem(500, R"({"Err":"sealed"})"), "plugin answered with status 500: sealed");
  EXPECT_EQ(problem(302, ""), "plugin answered with status 302");
  EXPECT_EQ(problem(200, std::string(100'000, '[')), "plugin's answer cannot be read");
}

TEST(secret_codec, an_error_wins_over_a_value_and_is_one_bounded_line) {
  EXPECT_EQ(problem(200, R"({"Value":"eA==","Err":"permission denied"})"), "permission denied");
  EXPECT_EQ(problem(200, R"({"Err":"two\nlines\u0000\u001b[1m"})"), "two lines  [1m");
  std::string many;
  for (int i = 0; i < 400; ++i)
    many += "ä";
  const auto told = problem(200, R"({"Err":")" + many + "\"}");
  EXPECT_LE(told.size(), 310U);
  EXPECT_TRUE(told.ends_with("ä…")) << told;
}

} // namespace
} // namespace swarm::plugin
