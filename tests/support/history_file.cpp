// Reads client histories from JSON.
#include "tests/support/history_file.hpp"

#include <map>

#include "messages/json_reader.hpp"

namespace swarm::test::linearizability {

namespace {

constexpr json_limits file_limits{8, 100'000'000};

struct raw_event {
  std::string client, kind, action, key;
  value single;
  std::vector<value> pair; ///< of cas
  bool is_pair = false;
};

/// One document on its way into histories. The first error stays.
class parser {
public:
  explicit parser(std::string_view text) : in_{text, file_limits} {}

  history_file run() {
    history_file out;
    if (in_.kind() == json_kind::array) {
      if (in_.enter_array())
        while (in_.next_element() && error_.empty())
          out.histories.push_back(read_history());
    } else {
      out.histories.push_back(read_history());
    }
    if (error_.empty() && (!in_.finish() || !in_.ok()))
      error_ = in_.error().message;
    if (!error_.empty())
      out = {{}, error_};
    return out;
  }

private:
  void fail(const std::string& what) {
    if (error_.empty())
      error_ = what;
  }

  value read_value() {
    std::string text;
    std::string_view digits;
    switch (in_.kind()) {
      case json_kind::null:
        in_.read_null();
        return std::nullopt;
      case json_kind::number:
        in_.read_number(digits);
        return std::string{digits};
      case json_kind::string:
        in_.read_string(text);
        return text;
      default:
        fail("a value is null, a number or a string");
        in_.skip();
        return std::nullopt;
    }
  }

  raw_event read_event(bool keyed) {
    raw_event out;
    const std::size_t wanted = keyed ? 5 : 4;
    std::size_t at = 0;
    if (in_.enter_array())
      for (; in_.next_element(); ++at) {
        if (at + 1 == wanted && in_.kind() == json_kind::array) {
          out.is_pair = true;
          if (in_.enter_array())
            while (in_.next_element())
              out.pair.push_back(read_value());
          continue;
        }
        auto one = read_value();
        if (at + 1 == wanted)
          out.single = std::move(one);
        else if (!one)
          fail("client, kind, operation and key are not null");
        else
          (at == 0 ? out.client : at == 1 ? out.kind : at == 2 ? out.action : out.key) = std::move(*one);
      }
    if (at != wanted)
      fail("an event has " + std::to_string(wanted) + " parts");
    return out;
  }

  history read_history() {
    history out;
    std::string model;
    std::string key;
    std::vector<raw_event> events;
    bool has_events = false;
    if (in_.enter_object())
      while (in_.next_key(key)) {
        if (key == "id")
          out.id = read_value().value_or("");
        else if (key == "model")
          model = read_value().value_or("");
        else if (key == "init")
          out.initial = read_value();
        else if (key == "linearizable" && in_.kind() == json_kind::boolean)
          in_.read_bool(out.known_verdict.emplace());
        else if (key == "events") {
          has_events = true;
          if (model != "cas-register" && model != "kv-string")
            fail("history " + out.id + ": before the events, model is \"cas-register\" or \"kv-string\"");
          if (in_.enter_array())
            while (in_.next_element() && error_.empty())
              events.push_back(read_event(model == "kv-string"));
        } else
          in_.skip();
        if (!error_.empty())
          return out;
      }
    if (in_.ok() && !has_events)
      fail("history " + out.id + ": no events");
    if (in_.ok() && error_.empty())
      pair_up(out, events, model == "kv-string");
    return out;
  }

  static std::optional<action> action_of(const std::string& name, bool keyed) {
    if (name == (keyed ? "get" : "read"))
      return action::read;
    if (name == (keyed ? "put" : "write"))
      return action::write;
    if (name == "cas")
      return action::cas;
    if (keyed && name == "append")
      return action::append;
    return std::nullopt;
  }

  void pair_up(history& out, const std::vector<raw_event>& events, bool keyed) {
    struct pending {
      std::size_t operation;
      const raw_event* invoke;
    };
    std::map<std::string, pending> open;
    std::vector<bool> drop;
    for (std::size_t i = 0; i < events.size() && error_.empty(); ++i) {
      const auto& e = events[i];
      const auto bad = [&](const std::string& what) {
        fail("history " + out.id + ", event " + std::to_string(i) + " (from 0): " + what);
      };
      const auto act = action_of(e.action, keyed);
      if (!act)
        return bad("unknown operation \"" + e.action + '"');
      const auto it = open.find(e.client);
      if (e.kind == "invoke") {
        if (it != open.end())
          return bad("client " + e.client + " has not finished its last operation");
        if (*act == action::cas ? e.pair.size() != 2 : e.is_pair)
          return bad("cas needs [expected, new], everything else one value");
        operation op;
        op.client = e.client;
        op.what = *act;
        op.key = e.key;
        op.invoked = i;
        op.expected = *act == action::cas ? e.pair[0] : std::nullopt;
        op.argument = *act == action::cas ? e.pair[1] : *act == action::read ? std::nullopt : e.single;
        open[e.client] = {out.operations.size(), &e};
        out.operations.push_back(std::move(op));
        drop.push_back(*act == action::read); // until it is answered
        continue;
      }
      if (e.kind != "ok" && e.kind != "fail" && e.kind != "info")
        return bad("unknown kind \"" + e.kind + '"');
      if (it == open.end() || it->second.invoke->action != e.action || it->second.invoke->key != e.key)
        return bad("client " + e.client + " has no such operation under way");
      auto& op = out.operations[it->second.operation];
      op.returned = i;
      if (e.kind == "ok") {
        op.end = outcome::ok;
        op.answer = *act == action::read ? e.single : std::nullopt;
        drop[it->second.operation] = false;
      } else if (e.kind == "fail") {
        op.end = outcome::failed;
        drop[it->second.operation] = *act != action::cas;
      }
      open.erase(it);
    }
    std::size_t kept = 0;
    for (std::size_t i = 0; i < out.operations.size(); ++i)
      if (!drop[i] && kept++ != i)
        out.operations[kept - 1] = std::move(out.operations[i]);
    out.operations.resize(kept);
  }

  json_reader in_;
  std::string error_;
};

} // namespace

history_file read_histories(std::string_view text) { return parser{text}.run(); }

} // namespace swarm::test::linearizability
