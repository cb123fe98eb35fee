// Scenarios as text: each line is one action, `apply` makes them one Command, `state` shows everything.
#include <gtest/gtest.h>

#include <sstream>

#include "actors/store/store_core.hpp"
#include "messages/render.hpp"
#include "tests/support/datadriven.hpp"

namespace swarm {
namespace {

/// Short forms for tasks: T1 stands for the 25 characters of an id that ends in 1.
std::string expand(std::string text) {
  for (auto at = text.find("T#"); at != std::string::npos; at = text.find("T#"))
    text.replace(at, 2, std::string(23, '0') + "t");
  return text;
}
std::string shorten(std::string text) {
  const auto id = std::string(23, '0') + "t";
  for (auto at = text.find(id); at != std::string::npos; at = text.find(id))
    text.replace(at, id.size(), "T#");
  return text;
}

std::string kind(ChangeKind k) {
  return k == CHANGE_KIND_CREATED ? "created " : k == CHANGE_KIND_UPDATED ? "updated " : "removed ";
}

std::string describe(const store::applied& out) {
  std::string text = "index=" + std::to_string(out.result.log_index());
  if (out.result.code() != 0)
    text += " refused " + std::string{to_string(static_cast<errc>(out.result.code()))} + ": " + out.result.message();
  text += "\n";
  for (const auto& e : out.events.services())
    text += kind(e.kind()) + "service " + e.service().spec().name() + " version=" + std::to_string(e.service().meta().version().index())
            + " spec=" + std::to_string(e.service().spec_version()) + "\n";
  for (const auto& e : out.events.templates())
    text += kind(e.kind()) + "template " + e.template_().service_id() + "@" + std::to_string(e.template_().spec_version()) + "\n";
  for (const auto& e : out.events.tasks()) {
    const auto& t = e.task();
    text += kind(e.kind()) + "task " + t.id() + " slot=" + std::to_string(t.slot()) + " node=" + t.node_id() + " "
            + short_name(*TaskState_descriptor()->FindValueByNumber(t.status().state())) + "->"
            + short_name(*TaskState_descriptor()->FindValueByNumber(t.desired_state())) + " '" + t.status().message() + "'\n";
  }
  for (const auto& e : out.events.nodes())
    text += kind(e.kind()) + "node " + e.node().id() + " version=" + std::to_string(e.node().meta().version().index()) + "\n";
  for (const auto& e : out.events.secrets())
    text += kind(e.kind()) + "secret " + e.secret().spec().name() + "\n";
  for (const auto& e : out.events.configs())
    text += kind(e.kind()) + "config " + e.config().spec().name() + "\n";
  for (const auto& e : out.events.networks())
    text += kind(e.kind()) + "network " + e.network().spec().name() + "\n";
  for (const auto& w : out.writes) // the first half of a key is not text
    text += (w.value().empty() ? "erase " : "write ") + TableWrite::Table_Name(w.table()).substr(6) + " " + w.key().substr(8) + "\n";
  return shorten(text);
}

struct scenario {
  store::core core;
  std::uint64_t index = 0;

  std::string run(const test::golden_case& c) {
    if (c.cmd == "state")
      return shorten(core.dump());
    if (c.cmd != "apply")
      return "unknown command\n";
    Command command;
    command.set_machine_version(1);
    command.set_proposed_at(static_cast<std::int64_t>(++index) * 1000);
    std::istringstream lines{c.input};
    for (std::string line; std::getline(lines, line) && !line.starts_with("apply");)
      if (const auto bad = parse_rendered(expand(line), *command.add_actions()); !bad.ok())
        return "cannot read: " + bad.message + "\n";
    auto out = core.apply(index, std::move(command));
    core.check_invariants();
    return describe(out);
  }
};

TEST(store_golden_test, scenarios_go_as_written) {
  test::run_golden_folder(std::string{SWARM_TESTDATA} + "/actors/store/testdata", [] {
    auto world = std::make_shared<scenario>();
    return [world](const test::golden_case& c) { return world->run(c); };
  });
}

} // namespace
} // namespace swarm
