// Go templates: what Docker's documentation shows, Go's own rules, and input that must not hurt.
#include "actors/agent/template.hpp"

#include <gtest/gtest.h>

namespace swarm::agent::gotemplate {
namespace {

value context() {
  return value::object("template.Context", {
    {"Service", value::object("struct", {{"ID", value{"s1"}}, {"Name", value{"web"}}, {"Labels", value::map({{"a", "1"}, {"b.c", "2"}})}})},
    {"Node", value::object("struct", {{"ID", value{"n1"}}, {"Hostname", value{"host1"}},
                                      {"Platform", value::object("template.Platform", {{"Architecture", value{"x86_64"}}, {"OS", value{"linux"}}})}})},
    {"Task", value::object("struct", {{"ID", value{"t1"}}, {"Name", value{"web.2.t1"}}, {"Slot", value{"2"}}})},
  });
}

std::string text_of(std::string_view text) {
  const auto out = expand(text, context());
  EXPECT_EQ(out.error, "") << text;
  return out.text;
}
std::string error_of(std::string_view text) {
  const auto out = expand(text, context());
  EXPECT_EQ(out.text.size(), out.error.empty() ? 0 : out.text.size());
  return out.error;
}

TEST(template_expansion, text_without_braces_stays) {
  EXPECT_EQ(text_of("plain } text { $HOME"), "plain } text { $HOME");
}

TEST(template_expansion, placeholders_of_the_documentation_are_filled) {
  EXPECT_EQ(text_of("{{.Service.ID}} {{.Service.Name}} {{.Node.ID}} {{.Node.Hostname}} {{.Task.ID}} {{.Task.Name}} {{.Task.Slot}}"),
            "s1 web n1 host1 t1 web.2.t1 2");
  EXPECT_EQ(text_of("{{.Node.Platform.OS}}/{{ .Node.Platform.Architecture }}"), "linux/x86_64");
  EXPECT_EQ(text_of("{{.Service.Labels.a}}"), "1");
  EXPECT_EQ(text_of("{{index .Service.Labels \"b.c\"}}"), "2");
  EXPECT_EQ(text_of("{{index .Service.Labels `b.c`}}"), "2");
}

TEST(template_expansion, missing_labels_print_as_in_go) {
  EXPECT_EQ(text_of("[{{index .Service.Labels \"zz\"}}]"), "[]");
  EXPECT_EQ(text_of("[{{.Service.Labels.zz}}]"), "[<no value>]");
  EXPECT_EQ(text_of("{{.Service.Labels}}"), "map[a:1 b.c:2]");
}

TEST(template_expansion, pipelines_and_functions_work) {
  EXPECT_EQ(text_of("{{.Service.Name | printf \"%s-%s\" \"x\"}}"), "x-web");
  EXPECT_EQ(text_of("{{printf \"%q %05d|%-4s|\" .Service.Name 42 \"ab\"}}"), "\"web\" 00042|ab  |");
  EXPECT_EQ(text_of("{{join \",\" \"a\" \"b\" .Task.Slot}}"), "a,b,2");
  EXPECT_EQ(text_of("{{len .Service.Name}} {{len .Service.Labels}}"), "3 2");
  EXPECT_EQ(text_of("{{print 1 2 \"x\" \"y\"}}"), "1 2xy");
  EXPECT_EQ(text_of("{{(index .Service.Labels \"a\") | printf \"%s!\"}}"), "1!");
}

TEST(template_expansion, control_structures_work) {
  EXPECT_EQ(text_of("{{if eq .Task.Slot \"2\"}}two{{else}}other{{end}}"), "two");
  EXPECT_EQ(text_of("{{if eq .Task.Slot \"1\"}}one{{else if eq .Task.Slot \"2\" \"3\"}}few{{else}}many{{end}}"), "few");
  EXPECT_EQ(text_of("{{range $k, $v := .Service.Labels}}{{$k}}={{$v}};{{end}}"), "a=1;b.c=2;");
  EXPECT_EQ(text_of("{{range .Service.Labels}}{{.}},{{end}}"), "1,2,");
  EXPECT_EQ(text_of("{{with .Node}}{{.Hostname}} of {{$.Service.Name}}{{end}}"), "host1 of web");
  EXPECT_EQ(text_of("{{$x := .Service.Name}}{{$x}}{{$x = \"y\"}}{{$x}}"), "weby");
  EXPECT_EQ(text_of("{{with .Service.Labels.zz}}x{{else}}none{{end}}"), "none");
  EXPECT_EQ(text_of("{{if and .Service.Name (not false)}}yes{{end}}{{/* nothing */}}"), "yes");
  EXPECT_EQ(text_of("a  {{- 1 -}}  b"), "a1b");
}

TEST(template_expansion, unknown_fields_and_functions_are_errors_that_say_where) {
  EXPECT_EQ(error_of("{{.Service.Nope}}"),
            "template: expansion:1: executing \"expansion\": at <.Nope>: can't evaluate field Nope in type struct");
  EXPECT_EQ(error_of("x\n{{nope}}"), "template: expansion:2: executing \"expansion\": function \"nope\" not defined");
  EXPECT_NE(error_of("{{.Service.Name.x}}"), "");
  EXPECT_NE(error_of("{{index .Service \"x\"}}"), "");
  EXPECT_NE(error_of("{{$y}}"), "");
  EXPECT_NE(error_of("{{eq 1 \"a\"}}"), "");
}

TEST(template_expansion, broken_syntax_is_an_error) {
  for (const auto* text : {"{{", "{{.A", "{{if .Service.Name}}", "{{end}}", "{{else}}", "{{\"abc}}", "{{.A |}}", "{{|}}", "{{()}}", "{{(.A}}",
                           "{{range}}{{end}}", "{{template \"x\"}}", "{{if}}x{{end}}", "{{1 2}}", "{{ := 3}}", "{{}}", "{{/* x}}", "{{.A}}}}{{"})
    EXPECT_NE(error_of(text), "") << text;
}

TEST(template_expansion, hostile_templates_end_quickly) {
  std::string deep;
  for (int i = 0; i < 5000; ++i)
    deep += "{{if 1}}";
  EXPECT_NE(error_of(deep), "");
  EXPECT_NE(error_of("{{" + std::string(100'000, '(') + "}}"), "");
  std::string ranges;
  std::string ends;
  for (int i = 0; i < 40; ++i) {
    ranges += "{{range $.Service.Labels}}";
    ends += "{{end}}";
  }
  EXPECT_NE(error_of(ranges + ends), "");
  EXPECT_NE(error_of("{{printf \"%999999999d\" 1}}{{range $.Service.Labels}}" + std::string(600'000, 'x') + "{{end}}"), "");
}

TEST(template_expansion, other_functions_come_from_the_caller) {
  const functions extra{{"secret", [](const std::vector<value>& args) -> call_result {
    return args.size() == 1 && args[0].print() == "pw" ? call_result{value{"hunter2"}, {}} : call_result{{}, "secret target x not found"};
  }}};
  EXPECT_EQ(expand("p={{secret \"pw\"}}", context(), extra).text, "p=hunter2");
  EXPECT_EQ(expand("{{secret \"x\"}}", context(), extra).error,
            "template: expansion:1: executing \"expansion\": error calling secret: secret target x not found");
}

TEST(template_expansion, random_bytes_never_crash) {
  std::uint64_t x = 88172645463325252ull;
  const std::string_view alphabet = "{{}}-.$\"`|()=:, \nindexrangeifendwithelse0129_/*\\ABabc";
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (int i = 0; i < 40; ++i) {
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      text += alphabet[x % alphabet.size()];
      if (x % 11 == 0)
        text += "{{";
    }
    (void)expand(text, context());
  }
}

} // namespace
} // namespace swarm::agent::gotemplate
