// Lays a flat list of labelled actors out as a tree.
#include "actors/introspect/tree_view.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "runtime/text.hpp"

namespace swarm::introspect {

namespace {

std::string busy_text(const ActorStatus& actor) {
  std::array<char, 32> buf{};
  std::snprintf(buf.data(), buf.size(), "%.3f s", static_cast<double>(actor.busy_ns()) / 1e9);
  return buf.data();
}

void pad(std::string& line, std::size_t column) {
  if (line.size() < column)
    line.append(column - line.size(), ' ');
  else
    line += ' ';
}

// The deepest earlier label that this one lies under decides the indentation; parts in between are named in full.
struct open_label {
  std::string label;
  std::size_t depth;
};

void add_details(std::string& out, const ActorStatus& actor, const std::string& indent) {
  for (const auto line : text::split(actor.state(), '\n'))
    if (!line.empty())
      out += indent + "| " + std::string{line} + '\n';
  for (const auto& record : actor.tap())
    out += indent + (record.effect() ? "> " : "< ") + text::rfc3339_nano_fixed(record.at()) + ' ' + record.what() + '\n';
}

} // namespace

std::string tree_text(const SupervisionTree& tree, const view_options& options) {
  std::string out = tree.host() + "  " + text::rfc3339_nano(tree.at()) + "  " + std::to_string(tree.actors_size())
                    + " actors" + (tree.partial() ? "  (partial: some did not answer in time)" : "") + '\n';
  std::vector<open_label> open;
  for (const auto& actor : tree.actors()) {
    while (!open.empty() && !actor.label().starts_with(open.back().label + "/"))
      open.pop_back();
    const auto depth = open.empty() ? 1 : open.back().depth + 1;
    auto name = open.empty() ? actor.label() : actor.label().substr(open.back().label.size() + 1);
    std::string line(2 * depth, ' ');
    line += name;
    pad(line, 34);
    line += "handled " + std::to_string(actor.messages_handled());
    pad(line, 52);
    line += "mailbox " + std::to_string(actor.mailbox_length());
    pad(line, 64);
    line += "busy " + busy_text(actor);
    if (actor.running())
      line += "  running";
    if (options.facts) {
      std::vector<std::pair<std::string, std::string>> facts(actor.facts().begin(), actor.facts().end());
      std::sort(facts.begin(), facts.end());
      for (const auto& [key, value] : facts)
        line += "  " + key + '=' + value;
    }
    out += line + '\n';
    if (options.details)
      add_details(out, actor, std::string(2 * depth + 2, ' '));
    open.push_back({actor.label(), depth});
  }
  return out;
}

} // namespace swarm::introspect
