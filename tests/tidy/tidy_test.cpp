// The rules of the house, checked on every file; and for each rule a bad sample, so that the check itself can fail.
#include <gtest/gtest.h>

#include "tests/support/lint.hpp"

namespace swarm::test::lint {
namespace {

const std::vector<file>& tree() {
  static const auto all = read_tree(SWARM_SOURCE_DIR);
  return all;
}

void expect_clean(const std::vector<finding>& found) {
  for (const auto& one : found)
    ADD_FAILURE() << one.path << ":" << one.line << ": " << one.what;
}

template <class Check>
void expect_clean_tree(Check check) {
  ASSERT_GT(tree().size(), 50U) << "the tree was not found";
  for (const auto& f : tree())
    expect_clean(check(f));
}

// Each finding of the sample, so that a failure shows what was found instead.
std::string told(const std::vector<finding>& found) {
  std::string out;
  for (const auto& one : found)
    out += std::to_string(one.line) + ": " + one.what + "\n";
  return out;
}

std::string includes(const std::string& path, const std::string& included) {
  return told(check_includes({path, "// sample\n#include " + included + "\n"}));
}

TEST(tidy_tree, layers_include_only_what_they_may) { expect_clean_tree(check_includes); }
TEST(tidy_tree, cores_touch_no_clock_thread_or_file) { expect_clean_tree(check_core_calls); }
TEST(tidy_tree, cores_never_iterate_over_unordered_containers) { expect_clean(check_unordered(tree())); }
TEST(tidy_tree, no_request_waits_for_ever_and_caf_keeps_its_namespace) { expect_clean_tree(check_caf_use); }
TEST(tidy_tree, files_and_functions_are_small) { expect_clean_tree(check_sizes); }
TEST(tidy_tree, every_file_says_first_what_it_is_for) { expect_clean_tree(check_first_line); }
TEST(tidy_tree, no_notes_to_self_are_left) { expect_clean_tree(check_leftovers); }
TEST(tidy_tree, every_interface_has_its_table) { expect_clean_tree(check_interfaces); }
TEST(tidy_tree, every_core_has_its_test) { expect_clean(check_mirrors(tree())); }
TEST(tidy_tree, the_index_of_messages_is_complete) { expect_clean(check_message_index(tree())); }

TEST(tidy_sample, layers) {
  EXPECT_NE(includes("messages/a.hpp", "\"runtime/ids.hpp\""), "");
  EXPECT_NE(includes("messages/a.hpp", "<caf/all.hpp>"), "");
  EXPECT_EQ(includes("messages/codec.hpp", "<caf/all.hpp>"), "");
  EXPECT_NE(includes("runtime/a.cpp", "\"messages/objects.pb.h\""), "");
  EXPECT_NE(includes("runtime/a.cpp", "\"actors/raft/raft_core.hpp\""), "");
  EXPECT_EQ(includes("runtime/a.cpp", "\"messages/errors.hpp\""), "");
  EXPECT_NE(includes("drivers/docker/docker_driver.cpp", "\"actors/agent/task_core.hpp\""), "");
  EXPECT_NE(includes("drivers/docker/docker_driver.cpp", "\"drivers/process/process_core.hpp\""), "");
  EXPECT_EQ(includes("drivers/docker/docker_driver.cpp", "\"drivers/docker/engine_map.hpp\""), "");
  EXPECT_NE(includes("actors/agent/agent_actor.cpp", "\"actors/agent/agent_actor.hpp\"\n#include \"actors/agent/task_actor.hpp\""), "");
  EXPECT_NE(includes("actors/agent/agent_actor.cpp", "\"actors/store/store_actor.hpp\""), "");
  EXPECT_EQ(includes("actors/agent/second_actor.cpp", "\"actors/agent/agent_actor.hpp\""), "");
  EXPECT_EQ(includes("actors/agent/agent_actor.cpp", "\"actors/agent/agent_actor.hpp\""), "");
  EXPECT_EQ(includes("actors/agent/agent_sup.cpp", "\"actors/agent/task_actor.hpp\""), "");
  EXPECT_NE(includes("actors/agent/agent_actor.cpp", "\"drivers/docker/docker_driver.hpp\""), "");
  EXPECT_NE(includes("apps/x/main.cpp", "\"tests/support/builders.hpp\""), "");
  EXPECT_NE(includes("actors/agent/task_core.cpp", "\"apps/x/y.hpp\""), "");
}

TEST(tidy_sample, core_includes) {
  for (const auto* bad : {"<caf/all.hpp>", "<lmdb.h>", "<openssl/ssl.h>", "<sys/socket.h>", "<thread>", "<fstream>",
                          "<iostream>", "<random>", "\"runtime/log.hpp\"", "\"messages/interfaces.hpp\"",
                          "\"actors/store/store_core.hpp\"", "\"actors/raft/raft_actor.hpp\""})
    EXPECT_NE(includes("actors/raft/progress.cpp", bad), "") << bad;
  for (const auto* good : {"<map>", "\"messages/raft.pb.h\"", "\"runtime/ids.hpp\"", "\"actors/raft/quorum.hpp\""})
    EXPECT_EQ(includes("actors/raft/progress.cpp", good), "") << good;
  EXPECT_NE(includes("drivers/docker/engine_map.cpp", "<unistd.h>"), "");
  EXPECT_EQ(includes("actors/raft/progress.cpp", "<map>\n// #include <thread>"), "") << "comments do not count";
}

TEST(tidy_sample, core_calls) {
  const auto calls = [](const std::string& code) { return told(check_core_calls({"actors/raft/raft_core.cpp", code})); };
  for (const auto* bad : {"auto t = std::chrono::steady_clock::now();", "std::random_device d;", "int x = rand();",
                          "std::mutex m;", "std::cerr << 1;", "printf(\"x\");", "log::info(\"a\", \"b\");",
                          "getenv(\"HOME\");", "caf::actor a;"})
    EXPECT_NE(calls(bad), "") << bad;
  for (const auto* good : {"// std::mutex", "auto s = \"std::mutex\";", "x.operand();", "snprintf(b, 1, \"\");"})
    EXPECT_EQ(calls(good), "") << good;
  EXPECT_EQ(told(check_core_calls({"actors/raft/raft_actor.cpp", "caf::actor a;"})), "") << "shells may";
}

TEST(tidy_sample, unordered_iteration) {
  const file header{"actors/x/x_core.hpp", "std::unordered_map<int, std::string> seen_;\n"};
  for (const auto* bad : {"for (auto& [k, v] : seen_) {}", "auto it = seen_.begin();", "std::erase_if(seen_, f);"})
    EXPECT_NE(told(check_unordered({header, {"actors/x/x_core.cpp", bad}})), "") << bad;
  EXPECT_EQ(told(check_unordered({header, {"actors/x/x_core.cpp", "seen_.find(3); for (int i : other_) {}"}})), "");
}

TEST(tidy_sample, caf_use) {
  EXPECT_NE(told(check_caf_use({"actors/a/a_actor.cpp", "self->request(x, caf::infinite, y);"})), "");
  EXPECT_NE(told(check_caf_use({"actors/a/a_actor.cpp", "using  namespace caf;"})), "");
  EXPECT_EQ(told(check_caf_use({"tests/a_test.cpp", "using namespace caf;"})), "");
}

TEST(tidy_sample, sizes) {
  std::string body;
  for (int i = 0; i < 75; ++i)
    body += "  call();\n";
  const auto size_of = [](const std::string& path, const std::string& text) { return told(check_sizes({path, text})); };
  EXPECT_NE(size_of("a.cpp", "namespace x {\nvoid f() {\n" + body + "}\n}\n"), "");
  EXPECT_NE(size_of("a.cpp", "namespace x {\nstruct s {\n  int f() const {\n" + body + "}\n};\n}\n"), "");
  EXPECT_NE(size_of("a.cpp", "s::s(int a)\n  : a_{a},\n  b_{a} {\n" + body + "}\n"), "") << "constructors too";
  EXPECT_EQ(size_of("a.cpp", "const int t[] = {\n" + body + "};\n"), "") << "tables are no functions";
  EXPECT_EQ(size_of("a.cpp", "void f() {\n  if (x) {\n  }\n}\n"), "");
  EXPECT_NE(size_of("a.cpp", std::string(801, '\n')), "");
  EXPECT_NE(size_of("a.hpp", std::string(301, '\n')), "");
  EXPECT_EQ(size_of("a.hpp", std::string(300, '\n')), "");
  EXPECT_EQ(size_of("messages/interfaces.hpp", std::string(301, '\n')), "") << "all tables stand in this one file";
}

TEST(tidy_sample, first_lines) {
  EXPECT_NE(told(check_first_line({"a.hpp", "#pragma once\n"})), "");
  EXPECT_NE(told(check_first_line({"a.cpp", "//\n"})), "");
  EXPECT_NE(told(check_first_line({"dev", "#!/bin/bash\nset -e\n"})), "");
  EXPECT_EQ(told(check_first_line({"a.cpp", "// Says what this is for.\n"})), "");
  EXPECT_EQ(told(check_first_line({"dev", "#!/bin/bash\n# Says what this is for.\n"})), "");
}

TEST(tidy_sample, leftovers) {
  EXPECT_NE(told(check_leftovers({"a.cpp", std::string{"// TO"} + "DO: later\n"})), "");
  EXPECT_NE(told(check_leftovers({"dev", std::string{"# FIX"} + "ME\n"})), "");
  EXPECT_EQ(told(check_leftovers({"a.cpp", "int todos = 1;\n"})), "");
}

TEST(tidy_sample, interfaces) {
  const std::string table = "/// A — does.\n/// | from | message | meaning | reply | errors |\n/// |---|---|---|---|---|\n";
  const std::string row = "/// | x | y | z | – | – |\n";
  const std::string handle = "using a_actor = caf::typed_actor<\n  caf::reacts_to<int>,\n  caf::replies_to<x>::with<y>>;\n";
  const auto check = [](const std::string& text) { return told(check_interfaces({"messages/interfaces.hpp", text})); };
  EXPECT_NE(check(handle), "");
  EXPECT_NE(check(table + row + handle), "");
  EXPECT_EQ(check(table + row + row + handle), "");
}

TEST(tidy_sample, mirrors_and_index) {
  const file core{"actors/a/b_core.cpp", ""};
  EXPECT_NE(told(check_mirrors({core})), "");
  EXPECT_EQ(told(check_mirrors({core, {"tests/actors/a/b_core_test.cpp", ""}})), "");
  const file proto{"messages/x.proto", ""};
  EXPECT_NE(told(check_message_index({proto})), "");
  EXPECT_NE(told(check_message_index({proto, {"messages/README.md", "nothing"}})), "");
  EXPECT_EQ(told(check_message_index({proto, {"messages/README.md", "x.proto"}})), "");
  const file handles{"messages/interfaces.hpp", "using a_actor = caf::typed_actor<caf::reacts_to<int>>;"};
  EXPECT_NE(told(check_message_index({handles, {"messages/README.md", "x.proto"}})), "");
}

TEST(tidy_sample, stripping_keeps_lines_and_code) {
  EXPECT_EQ(strip("a /* b\n c */ d // e\n\"f\" 'g' 1'000"), "a     \n      d     \n\" \" ' ' 1'000");
  EXPECT_EQ(strip("x = R\"(a\"b)\"; y"), "x = R\"     \"; y");
}

} // namespace
} // namespace swarm::test::lint
