// The checker of client histories: small histories whose answer is plain, published ones whose verdict is known, and a
// slow checker that tries every order.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "runtime/random.hpp"
#include "tests/support/history_file.hpp"

namespace swarm::test::linearizability {
namespace {

history from_events(const std::string& model, const std::string& events, const std::string& init = "null") {
  auto file = read_histories(R"({"id": "h", "model": ")" + model + R"(", "init": )" + init + R"(, "events": [)" + events + "]}");
  EXPECT_EQ(file.error, "");
  return file.histories.empty() ? history{} : std::move(file.histories[0]);
}

verdict of_register(const std::string& events) { return check(from_events("cas-register", events)).answer; }
verdict of_keys(const std::string& events) { return check(from_events("kv-string", events)).answer; }

std::string error_of(const std::string& text) { return read_histories(text).error; }

TEST(linearizability, an_acknowledged_write_is_seen_by_every_later_read) {
  EXPECT_EQ(of_register(R"([1,"invoke","write",7], [1,"ok","write",7], [2,"invoke","read",null], [2,"ok","read",7])"),
            verdict::linearizable);
  EXPECT_EQ(of_register(R"([1,"invoke","write",7], [1,"ok","write",7], [2,"invoke","read",null], [2,"ok","read",null])"),
            verdict::violated);
}

TEST(linearizability, a_read_beside_a_write_may_see_either_value_but_nobody_sees_the_old_one_after_the_new_one) {
  const std::string both = R"([1,"invoke","write",7], [2,"invoke","read",null], [2,"ok","read",A],
                              [3,"invoke","read",null], [3,"ok","read",B], [1,"ok","write",7])";
  const auto with = [&](const std::string& a, const std::string& b) {
    auto text = both;
    text.replace(text.find('A'), 1, a);
    text.replace(text.find('B'), 1, b);
    return of_register(text);
  };
  EXPECT_EQ(with("null", "7"), verdict::linearizable);
  EXPECT_EQ(with("null", "null"), verdict::linearizable);
  EXPECT_EQ(with("7", "7"), verdict::linearizable);
  EXPECT_EQ(with("7", "null"), verdict::violated);
}

TEST(linearizability, a_write_of_unknown_outcome_may_happen_later_or_never_but_only_once) {
  const std::string start = R"([1,"invoke","write",1], [1,"info","write","timeout"], [2,"invoke","write",2], [2,"ok","write",2],)";
  EXPECT_EQ(of_register(start + R"([2,"invoke","read",null], [2,"ok","read",2])"), verdict::linearizable);
  EXPECT_EQ(of_register(start + R"([2,"invoke","read",null], [2,"ok","read",1])"), verdict::linearizable);
  EXPECT_EQ(of_register(start + R"([2,"invoke","read",null], [2,"ok","read",1], [2,"invoke","read",null], [2,"ok","read",2])"),
            verdict::violated);
}

TEST(linearizability, a_write_that_failed_has_not_happened) {
  EXPECT_EQ(of_register(R"([1,"invoke","write",1], [1,"fail","write","refused"], [2,"invoke","read",null], [2,"ok","read",1])"),
            verdict::violated);
}

TEST(linearizability, a_cas_that_failed_has_seen_another_value) {
  const std::string write = R"([1,"invoke","write",1], [1,"ok","write",1],)";
  EXPECT_EQ(of_register(write + R"([1,"invoke","cas",[1,2]], [1,"ok","cas",[1,2]])"), verdict::linearizable);
  EXPECT_EQ(of_register(write + R"([1,"invoke","cas",[1,2]], [1,"fail","cas",[1,2]])"), verdict::violated);
  EXPECT_EQ(of_register(write + R"([1,"invoke","cas",[3,2]], [1,"ok","cas",[3,2]])"), verdict::violated);
}

TEST(linearizability, two_clients_cannot_both_win_the_same_cas) {
  EXPECT_EQ(of_register(R"([1,"invoke","write",0], [1,"ok","write",0], [1,"invoke","cas",[0,1]], [2,"invoke","cas",[0,2]],
                           [1,"ok","cas",[0,1]], [2,"ok","cas",[0,2]])"),
            verdict::violated);
}

TEST(linearizability, each_key_has_its_own_order_and_the_wrong_one_is_named) {
  EXPECT_EQ(of_keys(R"([1,"invoke","append","a","x"], [1,"ok","append","a","x"], [1,"invoke","append","a","y"],
                       [1,"ok","append","a","y"], [2,"invoke","get","a",null], [2,"ok","get","a","xy"])"),
            verdict::linearizable);
  const auto found = check(from_events(
    "kv-string", R"([1,"invoke","put","a","1"], [2,"invoke","put","b","2"], [1,"ok","put","a","1"], [2,"ok","put","b","2"],
                    [1,"invoke","get","b",null], [2,"invoke","get","a",null], [1,"ok","get","b","1"], [2,"ok","get","a","1"])"));
  EXPECT_EQ(found.answer, verdict::violated);
  EXPECT_EQ(found.key, "b");
  EXPECT_EQ(found.reason, "no order explains: client 1: read b = \"1\"\n"
                          "  possible orders lead to \"2\"\n"
                          "  around it (events of the history):\n"
                          "    1..3 client 2: write b = \"2\"\n"
                          "    4..6 client 1: read b = \"1\"");
}

TEST(linearizability, out_of_steps_memory_or_time_is_undecided_and_says_so) {
  std::string events;
  for (int i = 0; i < 40; ++i)
    events += "[" + std::to_string(i) + R"(,"invoke","write",)" + std::to_string(i) + "],";
  for (int i = 0; i < 40; ++i)
    events += "[" + std::to_string(i) + R"(,"ok","write",)" + std::to_string(i) + "],";
  const auto hard = from_events("cas-register", events + R"([1,"invoke","read",null],[1,"ok","read",99])");
  EXPECT_NE(check(hard, {.steps = 10'000}).reason.find("out of steps"), std::string::npos);
  EXPECT_NE(check(hard, {.memory = 1'000'000}).reason.find("out of memory"), std::string::npos);
  EXPECT_NE(check(hard, {.stop = [] { return true; }}).reason.find("out of time"), std::string::npos);
  EXPECT_EQ(check(hard, {.steps = 10'000}).answer, verdict::undecided);
}

TEST(linearizability, a_bad_file_is_refused_and_says_why) {
  EXPECT_NE(error_of(""), "");
  EXPECT_NE(error_of("[1"), "");
  EXPECT_NE(error_of(R"({"model": "kv-string", "events": []} x)"), "");
  EXPECT_EQ(error_of(R"({"id": "a"})"), "history a: no events");
  EXPECT_NE(error_of(R"({"model": "queue", "events": []})").find("model"), std::string::npos);
  const auto event = [](const std::string& text) { return error_of(R"({"id":"a","model":"kv-string","events":[)" + text + "]}"); };
  EXPECT_EQ(event(R"([1,"invoke","put","k"])"), "an event has 5 parts");
  EXPECT_EQ(event(R"([1,"ok","put","k","v"])"), "history a, event 0 (from 0): client 1 has no such operation under way");
  EXPECT_EQ(event(R"([1,"invoke","put","k","v"],[1,"invoke","put","k","v"])"),
            "history a, event 1 (from 0): client 1 has not finished its last operation");
  EXPECT_EQ(event(R"([1,"invoke","frob","k","v"])"), "history a, event 0 (from 0): unknown operation \"frob\"");
  EXPECT_EQ(event(R"([1,"invoke","cas","k","v"])"), "history a, event 0 (from 0): cas needs [expected, new], everything else one value");
  EXPECT_EQ(event(R"([1,"invoke","put","k",{}])"), "a value is null, a number or a string");
}

// -- against a slow one ---------------------------------------------------------------------------------------------------

bool fits(const operation& op, value& state) {
  switch (op.what) {
    case action::read:
      return state == op.answer;
    case action::write:
      state = op.argument;
      return true;
    case action::append:
      state = state.value_or("") + op.argument.value_or("");
      return true;
    case action::cas:
      if (op.end == outcome::failed)
        return state != op.expected;
      if (state != op.expected)
        return op.end == outcome::unknown;
      state = op.argument;
      return true;
  }
  return false;
}

/// Tries every order that real time allows.
bool exists_order(const std::vector<operation>& ops, unsigned placed, const value& state) {
  std::uint64_t first_return = ~0ull;
  for (std::size_t i = 0; i < ops.size(); ++i)
    if ((placed >> i & 1) == 0 && ops[i].end != outcome::unknown)
      first_return = std::min(first_return, ops[i].returned);
  if (first_return == ~0ull)
    return true;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    auto next = state;
    if ((placed >> i & 1) == 0 && ops[i].invoked < first_return && fits(ops[i], next)
        && exists_order(ops, placed | 1u << i, next))
      return true;
  }
  return false;
}

history draw(random_source& rng, unsigned actions) {
  history out;
  std::vector<std::optional<std::size_t>> busy(4);
  std::uint64_t place = 0;
  const auto digit = [&] { return value{std::to_string(rng.below(3))}; };
  while (out.operations.size() < 9) {
    const auto client = rng.below(busy.size());
    if (!busy[client]) {
      operation op;
      op.client = std::to_string(client);
      op.what = static_cast<action>(rng.below(actions));
      if (actions == 4 && rng.chance(50))
        op.what = action::append;
      op.argument = digit();
      op.expected = digit();
      op.invoked = place++;
      busy[client] = out.operations.size();
      out.operations.push_back(op);
      continue;
    }
    auto& op = out.operations[*busy[client]];
    busy[client].reset();
    if (rng.chance(20) && op.what != action::read)
      continue;
    op.end = op.what == action::cas && rng.chance(50) ? outcome::failed : outcome::ok;
    op.answer = digit();
    if (actions == 4 && rng.chance(60))
      *op.answer += *digit();
    op.returned = place++;
  }
  std::erase_if(out.operations, [](const operation& op) { return op.what == action::read && op.end == outcome::unknown; });
  return out;
}

TEST(linearizability, it_agrees_with_a_checker_that_tries_every_order) {
  random_source rng{1};
  int linearizable = 0;
  for (int i = 0; i < 10'000; ++i) {
    const auto one = draw(rng, i % 2 == 0 ? 3 : 4);
    const bool wanted = exists_order(one.operations, 0, one.initial);
    linearizable += wanted ? 1 : 0;
    const auto got = check(one);
    std::string text;
    for (const auto& op : one.operations)
      text += std::to_string(op.invoked) + ".." + std::to_string(op.returned) + ' ' + render(op) + '\n';
    ASSERT_EQ(got.answer, wanted ? verdict::linearizable : verdict::violated) << "history " << i << '\n' << text << got.reason;
  }
  EXPECT_GT(linearizable, 1'000);
  EXPECT_LT(linearizable, 9'000);
}

// -- against published verdicts -------------------------------------------------------------------------------------------

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream in{path};
  if (!in)
    return std::nullopt;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void agree(const std::string& text, std::size_t wanted_count) {
  const auto file = read_histories(text);
  ASSERT_EQ(file.error, "");
  EXPECT_EQ(file.histories.size(), wanted_count);
  for (const auto& one : file.histories) {
    ASSERT_TRUE(one.known_verdict) << one.id;
    const auto got = check(one);
    EXPECT_EQ(got.answer, *one.known_verdict ? verdict::linearizable : verdict::violated) << one.id << ' ' << got.reason;
    EXPECT_EQ(got.reason.empty(), *one.known_verdict) << one.id;
  }
}

TEST(linearizability, it_agrees_with_the_histories_of_testdata) {
  const auto text = read_file(SWARM_TESTDATA "/support/testdata/histories.json");
  ASSERT_TRUE(text);
  agree(*text, 6);
}

TEST(linearizability, it_agrees_with_every_published_verdict) {
  int missing = 0;
  for (const auto& [name, count] : {std::pair{"cas_register_histories.json", 102}, {"kv_histories.json", 6}}) {
    if (const auto text = read_file(std::string{SWARM_VECTORS "/linearizability/"} + name)) {
      agree(*text, static_cast<std::size_t>(count));
      continue;
    }
    std::fprintf(stderr, "SKIPPED: %d vectors of %s (no %s)\n", count, name, SWARM_VECTORS);
    ++missing;
  }
  if (missing == 2)
    GTEST_SKIP() << "LOUD: 0 histories checked, " SWARM_VECTORS "/linearizability is missing";
}

} // namespace
} // namespace swarm::test::linearizability
