// The search for an order that explains a history.
#include "tests/support/linearizability.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace swarm::test::linearizability {

namespace {

using state_id = std::uint32_t;

constexpr auto never = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t no_index = std::numeric_limits<std::size_t>::max();
constexpr auto overwritten = std::numeric_limits<state_id>::max(); ///< a value that nobody will have seen
constexpr std::size_t values_told = 6;
constexpr std::size_t operations_told = 12;
constexpr std::uint64_t steps_between_looks = 4'096;
constexpr std::size_t overhead = 80; ///< of one entry of a hash table, roughly

std::string render(const value& v) { return v ? '"' + *v + '"' : "nothing"; }

/// Values as small numbers, so that configurations compare and hash quickly.
class state_table {
public:
  state_id id_of(const value& v) {
    const auto [it, fresh] = ids_.try_emplace(v ? "v" + *v : "n", static_cast<state_id>(values_.size()));
    if (fresh) {
      values_.push_back(v);
      bytes_ += 2 * (v ? v->size() : 0) + overhead;
    }
    return it->second;
  }
  state_id appended(state_id from, state_id text) {
    if (from == overwritten)
      return from;
    const auto [it, fresh] = appended_.try_emplace(std::uint64_t{from} << 32 | text, 0);
    if (fresh) {
      bytes_ += overhead;
      it->second = id_of(values_[from].value_or("") + values_[text].value_or(""));
    }
    return it->second;
  }
  [[nodiscard]] const value& of(state_id id) const { return values_[id]; }
  [[nodiscard]] bool is_prefix(state_id begin, state_id of) const {
    return begin != overwritten && values_[of].value_or("").starts_with(values_[begin].value_or(""));
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

private:
  std::unordered_map<std::string, state_id> ids_;
  std::unordered_map<std::uint64_t, state_id> appended_;
  std::vector<value> values_;
  std::size_t bytes_ = 0;
};

struct step_of {
  const operation* source = nullptr;
  state_id argument = 0, expected = 0, answer = 0;
};

/// One key. Operations that returned stand in a list of their events, in which what has been placed is skipped; those
/// whose outcome is unknown stand in classes of equal ones.
class search {
public:
  search(const std::vector<const operation*>& all, const value& initial, const limits& bounds, std::uint64_t steps_used)
      : bounds_{bounds}, steps_{steps_used} {
    state_ = states_.id_of(initial);
    bool has_append = false;
    bool has_cas = false;
    std::map<std::tuple<action, state_id, state_id>, std::size_t> classes;
    for (const auto* op : all) {
      step_of step{op, states_.id_of(op->argument), states_.id_of(op->expected), states_.id_of(op->answer)};
      has_append |= op->what == action::append;
      has_cas |= op->what == action::cas;
      if (op->end != outcome::unknown) {
        returning_.push_back(step);
        continue;
      }
      const auto [it, fresh] = classes.try_emplace({op->what, step.argument, step.expected}, unknown_.size());
      if (fresh)
        unknown_.emplace_back();
      unknown_[it->second].push_back(step);
    }
    only_appends_ = has_append && !has_cas;
    used_.resize(unknown_.size());
    link();
  }

  verdict run();
  [[nodiscard]] std::uint64_t steps() const { return steps_; }
  [[nodiscard]] std::string reason() const;

private:
  struct event {
    std::size_t op = 0;
    bool is_call = false;
    std::size_t before = 0, after = 0;
  };
  struct frame {
    std::size_t call = no_index; ///< event that was lifted, or no_index
    std::size_t unknown = 0;     ///< else the class of which one was placed
    state_id state = 0;          ///< before it
    bool forced = false;         ///< nothing else needs to be tried in its place
  };

  void link();
  [[nodiscard]] std::optional<state_id> place(const step_of& step) const;
  [[nodiscard]] static bool changes_nothing(const step_of& step) {
    const auto& op = *step.source;
    return op.what == action::read
           || (op.what == action::cas && (op.end == outcome::failed || step.argument == step.expected));
  }
  void lift(std::size_t call);
  void unlift(std::size_t call);
  /// The first return that is still ahead; nothing that was invoked after it may be placed before it.
  [[nodiscard]] std::size_t next_return(std::size_t from) const {
    while (events_[from].is_call)
      from = events_[from].after;
    return from;
  }
  bool place_what_changes_nothing();
  bool place_next(std::size_t from_call, std::size_t from_unknown);
  bool leads_on();
  bool is_new();
  void dead_end(std::size_t at_op);
  bool back(std::size_t& from_call, std::size_t& from_unknown);

  const limits& bounds_;
  mutable state_table states_;
  bool only_appends_ = false; ///< and writes and reads
  std::vector<step_of> returning_;
  std::vector<std::vector<step_of>> unknown_;
  std::vector<std::uint32_t> used_; ///< per class: how many are placed
  std::vector<event> events_;       ///< [0] is the head, the last one the end
  std::vector<std::size_t> return_event_;
  std::vector<std::uint64_t> placed_; ///< bits of returning_
  std::size_t full_words_ = 0;        ///< leading words of placed_ that are all ones
  std::size_t left_ = 0;
  state_id state_ = 0;
  std::vector<frame> stack_;
  std::unordered_set<std::string> known_;
  std::uint64_t memory_ = 0;
  std::uint64_t steps_ = 0;
  std::string bound_met_;
  std::size_t furthest_ = 0; ///< op of the furthest return at which every order ended
  std::uint64_t furthest_at_ = 0;
  std::set<state_id> states_there_;
};

void search::link() {
  std::sort(returning_.begin(), returning_.end(),
            [](const step_of& a, const step_of& b) { return a.source->invoked < b.source->invoked; });
  left_ = returning_.size();
  placed_.resize(left_ / 64 + 1);
  std::vector<std::pair<std::uint64_t, event>> all;
  for (std::size_t op = 0; op < returning_.size(); ++op) {
    all.push_back({returning_[op].source->invoked, {op, true}});
    all.push_back({returning_[op].source->returned, {op, false}});
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  events_.push_back({no_index, true});
  return_event_.resize(returning_.size());
  for (const auto& [place, one] : all) {
    if (!one.is_call)
      return_event_[one.op] = events_.size();
    events_.push_back(one);
  }
  events_.push_back({no_index, false});
  for (std::size_t i = 0; i < events_.size(); ++i) {
    events_[i].before = i == 0 ? 0 : i - 1;
    events_[i].after = std::min(i + 1, events_.size() - 1);
  }
}

std::optional<state_id> search::place(const step_of& step) const {
  const auto& op = *step.source;
  switch (op.what) {
    case action::read:
      return state_ == step.answer ? std::optional{state_} : std::nullopt;
    case action::write:
      return step.argument;
    case action::append:
      return states_.appended(state_, step.argument);
    case action::cas:
      if (op.end == outcome::failed)
        return state_ != step.expected ? std::optional{state_} : std::nullopt;
      return state_ == step.expected ? std::optional{step.argument} : std::nullopt;
  }
  return std::nullopt;
}

void search::lift(std::size_t call) {
  const auto op = events_[call].op;
  for (const auto i : {call, return_event_[op]}) {
    events_[events_[i].before].after = events_[i].after;
    events_[events_[i].after].before = events_[i].before;
  }
  placed_[op / 64] |= std::uint64_t{1} << op % 64;
  while (full_words_ < placed_.size() && placed_[full_words_] == ~std::uint64_t{0})
    ++full_words_;
  --left_;
}

void search::unlift(std::size_t call) {
  const auto op = events_[call].op;
  for (const auto i : {return_event_[op], call}) {
    events_[events_[i].before].after = i;
    events_[events_[i].after].before = i;
  }
  placed_[op / 64] &= ~(std::uint64_t{1} << op % 64);
  full_words_ = std::min(full_words_, op / 64);
  ++left_;
}

// It may stand here in any order in which it stands later: no other order needs to be tried.
bool search::place_what_changes_nothing() {
  for (auto i = events_[0].after; events_[i].is_call; i = events_[i].after) {
    const auto& step = returning_[events_[i].op];
    if (!changes_nothing(step) || !place(step))
      continue;
    ++steps_;
    stack_.push_back({i, 0, state_, true});
    lift(i);
    return true;
  }
  return false;
}

// The configuration: what is placed (without the leading ones), how many of each class, the state.
bool search::is_new() {
  std::string key;
  const auto put = [&](std::uint64_t n, std::size_t bytes) { key.append(reinterpret_cast<const char*>(&n), bytes); };
  put(state_, sizeof state_);
  put(full_words_, 4);
  auto last = placed_.size();
  while (last > full_words_ && placed_[last - 1] == 0)
    --last;
  for (const auto count : used_)
    put(count, 2);
  for (auto i = full_words_; i < last; ++i)
    put(placed_[i], 8);
  const auto size = key.size() + overhead;
  if (!known_.insert(std::move(key)).second)
    return false;
  memory_ += size;
  return true;
}

// What the next read must have seen decides early: the value can only grow into that, or a write that it begins with is
// still to come. In the second case the value until then makes no difference, unless another read may still see it.
bool search::leads_on() {
  std::vector<state_id> writes;
  bool seen_later = false;
  auto i = events_[0].after;
  for (; i + 1 < events_.size(); i = events_[i].after) {
    const auto& step = returning_[events_[i].op];
    if (events_[i].is_call && step.source->what == action::read)
      seen_later |= states_.is_prefix(state_, step.answer);
    else if (events_[i].is_call && step.source->what == action::write)
      writes.push_back(step.argument);
    else if (!events_[i].is_call && step.source->what == action::read)
      break;
  }
  if (i + 1 >= events_.size() || seen_later)
    return true;
  const auto& read = returning_[events_[i].op];
  for (std::size_t c = 0; c < unknown_.size(); ++c)
    if (used_[c] < unknown_[c].size() && unknown_[c][used_[c]].source->what == action::write
        && unknown_[c][used_[c]].source->invoked < read.source->returned)
      writes.push_back(unknown_[c][used_[c]].argument);
  if (std::none_of(writes.begin(), writes.end(), [&](state_id text) { return states_.is_prefix(text, read.answer); })) {
    dead_end(events_[i].op);
    return false;
  }
  state_ = overwritten;
  return true;
}

bool search::place_next(std::size_t from_call, std::size_t from_unknown) {
  for (auto i = from_call; events_[i].is_call; i = events_[i].after) {
    const auto& step = returning_[events_[i].op];
    ++steps_;
    const auto next = changes_nothing(step) ? std::nullopt : place(step);
    if (!next)
      continue;
    const auto before = state_;
    lift(i);
    state_ = *next;
    if ((!only_appends_ || leads_on()) && is_new()) {
      stack_.push_back({i, 0, before, false});
      return true;
    }
    state_ = before;
    unlift(i);
  }
  const auto end = returning_[events_[next_return(events_[0].after)].op].source->returned;
  for (auto c = from_unknown; c < unknown_.size(); ++c) {
    if (used_[c] == unknown_[c].size() || unknown_[c][used_[c]].source->invoked > end)
      continue;
    ++steps_;
    const auto next = place(unknown_[c][used_[c]]);
    if (!next || *next == state_)
      continue;
    const auto before = state_;
    ++used_[c];
    state_ = *next;
    if ((!only_appends_ || leads_on()) && is_new()) {
      stack_.push_back({no_index, c, before, false});
      return true;
    }
    state_ = before;
    --used_[c];
  }
  return false;
}

void search::dead_end(std::size_t op) {
  const auto at = returning_[op].source->returned;
  if (at > furthest_at_) {
    furthest_at_ = at;
    furthest_ = op;
    states_there_.clear();
  }
  if (at == furthest_at_ && states_there_.size() <= values_told)
    states_there_.insert(state_);
}

bool search::back(std::size_t& from_call, std::size_t& from_unknown) {
  while (!stack_.empty()) {
    const auto last = stack_.back();
    stack_.pop_back();
    state_ = last.state;
    if (last.call != no_index)
      unlift(last.call);
    else
      --used_[last.unknown];
    if (last.forced)
      continue;
    from_call = last.call != no_index ? events_[last.call].after : next_return(events_[0].after);
    from_unknown = last.call != no_index ? 0 : last.unknown + 1;
    return true;
  }
  return false;
}

verdict search::run() {
  std::uint64_t next_look = steps_ + steps_between_looks;
  std::size_t from_call = 0;
  std::size_t from_unknown = 0;
  bool fresh = true;
  while (left_ > 0) {
    if (fresh && place_what_changes_nothing())
      continue;
    if (fresh) {
      from_call = events_[0].after;
      from_unknown = 0;
    }
    fresh = place_next(from_call, from_unknown);
    if (!fresh) {
      dead_end(events_[next_return(events_[0].after)].op);
      if (!back(from_call, from_unknown))
        return verdict::violated;
    }
    if (memory_ + states_.bytes() > bounds_.memory)
      bound_met_ = "memory";
    else if (steps_ > bounds_.steps)
      bound_met_ = "steps";
    else if (steps_ >= next_look) {
      next_look = steps_ + steps_between_looks;
      if (bounds_.stop && bounds_.stop())
        bound_met_ = "time";
    }
    if (!bound_met_.empty())
      return verdict::undecided;
  }
  return verdict::linearizable;
}

std::string search::reason() const {
  if (!bound_met_.empty())
    return "out of " + bound_met_ + " after " + std::to_string(steps_) + " steps, " + std::to_string(known_.size())
           + " configurations";
  const auto& wrong = *returning_[furthest_].source;
  std::string out = "no order explains: " + linearizability::render(wrong) + "\n  possible orders lead to";
  std::size_t told = 0;
  for (const auto state : states_there_) {
    out += (told == 0 ? " " : ", ") + (told >= values_told       ? std::string{"..."}
                                       : state == overwritten ? std::string{"something that a write replaces"}
                                                              : render(states_.of(state)));
    ++told;
  }
  std::vector<const operation*> near;
  for (const auto& step : returning_)
    if (step.source != &wrong && step.source->invoked < wrong.returned)
      near.push_back(step.source);
  const auto end_of = [&](const operation* op) { return op->end == outcome::unknown ? never : op->returned; };
  std::sort(near.begin(), near.end(), [&](const auto* a, const auto* b) { return end_of(a) < end_of(b); });
  if (near.size() > operations_told)
    near.erase(near.begin(), near.end() - operations_told);
  for (const auto& same : unknown_)
    for (const auto& step : same)
      if (near.size() < 2 * operations_told && step.source->invoked < wrong.returned)
        near.push_back(step.source);
  out += "\n  around it (events of the history):";
  for (const auto* op : near)
    out += "\n    " + std::to_string(op->invoked) + ".." + (op->end == outcome::unknown ? "" : std::to_string(op->returned))
           + ' ' + linearizability::render(*op);
  return out + "\n    " + std::to_string(wrong.invoked) + ".." + std::to_string(wrong.returned) + ' '
         + linearizability::render(wrong);
}

} // namespace

std::string render(const operation& op) {
  std::string out = "client " + op.client + ": ";
  const auto key = op.key.empty() ? std::string{} : ' ' + op.key;
  switch (op.what) {
    case action::read:
      return out + "read" + key + " = " + render(op.answer);
    case action::write:
      out += "write" + key + " = " + render(op.argument);
      break;
    case action::append:
      out += "append" + key + " += " + render(op.argument);
      break;
    case action::cas:
      out += "cas" + key + ' ' + render(op.expected) + " to " + render(op.argument);
      break;
  }
  return out + (op.end == outcome::failed ? " failed" : op.end == outcome::unknown ? " (outcome unknown)" : "");
}

result check(const history& what, const limits& bounds) {
  std::map<std::string, std::vector<const operation*>> keys;
  for (const auto& op : what.operations)
    keys[op.key].push_back(&op);
  result out;
  for (const auto& [key, operations] : keys) {
    search one{operations, what.initial, bounds, out.steps};
    const auto answer = one.run();
    out.steps = one.steps();
    if (answer == verdict::linearizable || (answer == verdict::undecided && out.answer == verdict::undecided))
      continue;
    out.answer = answer;
    out.key = key;
    out.reason = one.reason();
    if (answer == verdict::violated)
      break;
  }
  return out;
}

} // namespace swarm::test::linearizability
