// Which files and addresses a plugin's name leads to, and which names lead nowhere.
#include "drivers/plugin/plugin_locator.hpp"

#include <gtest/gtest.h>

namespace swarm::plugin {
namespace {

TEST(plugin_locator, looks_where_docker_looks_in_its_order) {
  std::string seen;
  for (const auto& [what, path] : candidates("vault", "/run/p", {"/etc/p", "/usr/p"}))
    seen += std::to_string(static_cast<int>(what)) + path + "\n";
  EXPECT_EQ(seen, "0/run/p/vault.sock\n0/run/p/vault/vault.sock\n"
                  "1/etc/p/vault.spec\n1/etc/p/vault/vault.spec\n2/etc/p/vault.json\n2/etc/p/vault/vault.json\n"
                  "1/usr/p/vault.spec\n1/usr/p/vault/vault.spec\n2/usr/p/vault.json\n2/usr/p/vault/vault.json\n");
}

TEST(plugin_locator, names_that_would_leave_the_folder_lead_to_no_file) {
  for (const auto* bad : {"", "..", ".", ".hidden", "../vault", "a/b", "/etc/passwd", "a b", "a\nb", "ä"}) {
    EXPECT_FALSE(is_file_name(bad)) << bad;
    EXPECT_TRUE(candidates(bad, "/run/p", {"/etc/p"}).empty()) << bad;
  }
  EXPECT_FALSE(is_file_name(std::string_view{"a\0b", 3}));
  EXPECT_FALSE(is_file_name(std::string(256, 'a')));
  EXPECT_TRUE(is_file_name("vault-1.0_x:latest"));
}

TEST(plugin_locator, the_engine_is_asked_for_references_only) {
  for (const auto* good : {"vault", "vault:1.0", "example/vault:1.0", "registry:5000/example/vault"})
    EXPECT_TRUE(is_reference(good)) << good;
  for (const auto* bad : {"", "a//b", "/a", "a/", "a/../b", "a/./b", "a?b", "a#b", "a%2fb", "a b"})
    EXPECT_FALSE(is_reference(bad)) << bad;
}

TEST(plugin_locator, reads_the_one_line_of_a_spec) {
  address at;
  ASSERT_TRUE(read_spec("unix:///var/run/vault.sock\n", at).ok());
  EXPECT_EQ(at, (address{"/var/run/vault.sock", "", 0}));
  at = {};
  ASSERT_TRUE(read_spec("  tcp://127.0.0.1:8080/\n", at).ok());
  EXPECT_EQ(at, (address{"", "127.0.0.1", 8080}));
  at = {};
  ASSERT_TRUE(read_spec("tcp://[::1]:81", at).ok());
  EXPECT_EQ(at, (address{"", "::1", 81}));
  for (const auto* bad : {"", "vault", "unix://relative", "http://x:1", "tcp://x", "tcp://:80", "tcp://x:0",
                          "tcp://x:70000", "tcp://x:1y", "tcp://x y:1", "unix:///a\ntcp://b:1 c"}) {
    address none;
    const auto refused = read_spec(bad, none);
    if (std::string_view{bad}.starts_with("unix:///"))
      continue; // a path may hold what it likes; the kernel judges it
    EXPECT_EQ(refused.code, errc::failed_precondition) << bad;
    EXPECT_NE(refused.message.find("is neither unix:///PATH nor tcp://HOST:PORT"), std::string::npos)
        << refused.message;
  }
}

TEST(plugin_locator, reads_a_json_file_and_refuses_tls_in_words) {
  address at;
  ASSERT_TRUE(read_json_spec(R"({"Name":"vault","Addr":"unix:///x.sock","TLSConfig":null})", at).ok());
  EXPECT_EQ(at.socket_path, "/x.sock");
  EXPECT_EQ(read_json_spec(R"({"Name":"vault","Addr":"tcp://x:1","TLSConfig":{"CAFile":"/ca"}})", at).message,
            "plugins behind TLS are not supported; let it listen on a unix socket");
  EXPECT_EQ(read_json_spec("{", at).message, "the plugin's JSON file cannot be read");
  EXPECT_EQ(read_json_spec("[]", at).message, "the plugin's JSON file cannot be read");
  EXPECT_FALSE(read_json_spec("{}", at).ok());
}

std::string managed(const std::string& enabled, const std::string& interface) {
  return R"({"Id":"ab12","Name":"vault:latest","Enabled":)" + enabled + R"(,"Config":{"Interface":)" + interface + "}}";
}

TEST(plugin_locator, finds_a_plugin_that_the_engine_runs) {
  const std::string interface =
      R"({"Types":["docker.volumedriver/1.0","docker.secretprovider/1.0"],"Socket":"plugin.sock"})";
  address at;
  ASSERT_TRUE(read_managed(200, managed("true", interface), "/run/p", at).ok());
  EXPECT_EQ(at.socket_path, "/run/p/ab12/plugin.sock");
  at = {};
  ASSERT_TRUE(
      read_managed(
          200,
          managed("true",
                  R"({"Types":[{"Prefix":"docker","Capability":"secretprovider","Version":"1.0"}],"Socket":"s"})"),
          "/run/p", at)
          .ok());
  EXPECT_EQ(at.socket_path, "/run/p/ab12/s");
  EXPECT_EQ(read_managed(404, R"({"message":"plugin \"vault\" not found"})", "/run/p", at).code, errc::not_found);
  EXPECT_EQ(read_managed(200, managed("false", interface), "/run/p", at),
            (failure{errc::failed_precondition, "plugin found but disabled"}));
  EXPECT_EQ(
      read_managed(200, managed("true", R"({"Types":["docker.volumedriver/1.0"],"Socket":"s"})"), "/run/p", at).message,
      "plugin provides no secrets");
  EXPECT_EQ(read_managed(200, managed("true", R"({"Types":["docker.secretproviderx/1.0"],"Socket":"s"})"), "/run/p", at)
                .message,
            "plugin provides no secrets");
  EXPECT_EQ(
      read_managed(200, managed("true", R"({"Types":["docker.secretprovider/1.0"],"Socket":"../x"})"), "/run/p", at)
          .message,
      "plugin speaks a protocol that is not known here");
  EXPECT_EQ(read_managed(
                200, managed("true", R"({"Types":["docker.secretprovider/1.0"],"Socket":"s","ProtocolScheme":"grpc"})"),
                "/run/p", at)
                .message,
            "plugin speaks a protocol that is not known here");
  for (const auto* body : {"", "{}", "null", "[]", R"({"Id":"../x","Config":{"Interface":{}}})"})
    EXPECT_EQ(read_managed(200, body, "/run/p", at).code, errc::unavailable) << body;
  EXPECT_EQ(read_managed(500, "{}", "/run/p", at).code, errc::unavailable);
}

} // namespace
} // namespace swarm::plugin
