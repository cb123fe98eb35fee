// The two little languages that CONTROL reads: image references and templates. And the names that it gives.
#include <gtest/gtest.h>

#include "actors/control/image_reference.hpp"
#include "actors/control/names.hpp"
#include "actors/control/template_check.hpp"
#include "actors/control/validate.hpp"

namespace swarm::control {
namespace {

TEST(image_reference_test, what_docker_takes_is_taken) {
  const std::string sha = "@sha256:" + std::string(64, 'a');
  for (const auto& good :
       {std::string{"busybox"}, std::string{"busybox:latest"}, "busybox" + sha, "nginx:1.25" + sha,
        std::string{"library/nginx"}, std::string{"localhost/x"}, std::string{"localhost:5000/a/b:tag"},
        std::string{"reg.example.com:443/team/app_x/y--z:V1.0-rc"}, std::string{"[fd00::1]:5000/app"},
        std::string{"Registry.io/app"}, std::string{"a__b/c.d"}, "sha256:" + std::string(64, 'b'),
        std::string{"file:///srv/rootfs"}, std::string{"file:///srv/root.tar"}})
    EXPECT_TRUE(is_image_reference(good)) << good;
}

TEST(image_reference_test, what_docker_refuses_is_refused) {
  for (const auto& bad :
       {std::string{}, std::string{"Busybox"}, std::string{"a b"}, std::string{"a:"}, std::string{"a:b:c"}, std::string{"/a"},
        std::string{"a/"}, std::string{"a//b"}, std::string{"-a"}, std::string{"a-"}, std::string{"a..b"}, std::string{"a___b"},
        std::string{"a@sha256:abc"}, std::string{"a@"}, std::string{"a:" + std::string(129, 'x')}, std::string(64, 'a'),
        std::string{"reg.example.com:x/app"}, std::string{"reg..com/app"}, std::string{"[fd00::1/app"}, std::string{"file://x"},
        std::string{"file:///"}, std::string(300, 'a'), std::string{"a\nb"}, std::string{"\xff"}})
    EXPECT_FALSE(is_image_reference(bad)) << bad;
}

TEST(image_reference_test, long_input_costs_linear_time) {
  std::string text;
  for (int i = 0; i < 200'000; ++i)
    text += "a-";
  EXPECT_FALSE(is_image_reference(text));
  EXPECT_TRUE(check_template(std::string(200'000, '{')).has_value());
}

TEST(template_check_test, templates_of_services_pass) {
  for (const auto* good :
       {"", "plain", "{{.Task.Slot}}", "a{{ .Node.Hostname }}b{{.Service.Name}}", "{{- .Task.ID -}}", "{{/* note */}}x",
        "{{index .Service.Labels \"a}}b\"}}", "{{.Service.Labels.tier}}", "{{.Node.Platform.OS}}", "}}", "{ {", "{{\"x\"}}",
        "{{.Service.ID | index .Service.Labels}}", "{{`raw`}}", "{{if .Task.ID}}x{{else}}y{{end}}",
        "{{with .Service.Labels}}{{.anything}}{{$.Node.ID}}{{end}}", "{{range $k, $v := .Service.Labels}}{{$v}}{{end}}",
        "{{$x := .Task.Slot}}{{if (eq $x 1)}}one{{else if gt $x 2}}more{{end}}", "{{printf \"%s-%d\" .Service.Name .Task.Slot}}",
        "{{.}}", "{{len .Service.Name}}"})
    EXPECT_FALSE(check_template(good)) << good << ": " << *check_template(good);
}

TEST(template_check_test, mistakes_are_told_as_go_tells_them) {
  const std::pair<const char*, const char*> rows[] = {
    {"{{", "template: expansion:1: unclosed action"},
    {"{{.Task.Slot}", "template: expansion:1: unclosed action"},
    {"{{}}", "template: expansion:1: missing value for command"},
    {"{{.Task.ID | }}", "template: expansion:1: missing value for command"},
    {"{{/* x }}", "template: expansion:1: unclosed comment"},
    {"{{env \"A\"}}", "template: expansion:1: function \"env\" not defined"},
    {"x\n{{)}}", "template: expansion:2: unexpected \")\" in operand"},
    {"{{if .Task.ID}}x", "template: expansion:1: unexpected EOF"},
    {"{{if}}x{{end}}", "template: expansion:1: missing value for if"},
    {"{{range }}x{{end}}", "template: expansion:1: missing value for range"},
    {"{{end}}", "template: expansion:1: unexpected {{end}}"},
    {"{{eq (.Task.ID}}", "template: expansion:1: unclosed left paren"},
    {"{{template \"x\"}}", "template: expansion:1: {{template}} is not supported"},
  };
  for (const auto& [text, problem] : rows)
    EXPECT_EQ(check_template(text).value_or("accepted"), problem) << text;
  EXPECT_NE(check_template("{{.Node.Nope}}").value_or("").find("can't evaluate field Nope"), std::string::npos);
  EXPECT_NE(check_template("{{with .Service}}{{$.Nope}}{{end}}").value_or("").find("can't evaluate field Nope"),
            std::string::npos);
  EXPECT_TRUE(check_template("{{\"abc}}").has_value());
  std::string deep;
  for (int i = 0; i < 1000; ++i)
    deep += "{{if .Task.ID}}";
  EXPECT_EQ(check_template(deep).value_or(""), "template: expansion:1: nested too deeply");
}

TEST(names_test, given_names_are_valid_service_names) {
  random_source rng{3};
  for (int i = 0; i < 500; ++i)
    EXPECT_TRUE(check_dns_name(random_name(rng)).ok());
}

} // namespace
} // namespace swarm::control
