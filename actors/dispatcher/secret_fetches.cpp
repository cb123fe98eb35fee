// Who waits for which value, see the header.
#include "actors/dispatcher/secret_fetches.hpp"

#include <utility>

#include "runtime/check.hpp"

namespace swarm::dispatcher {

void secret_fetches::need(const task_id& task, const std::string& kind, const std::vector<std::string>& secrets) {
  if (!tasks_.try_emplace(task, task_row{kind, secrets, {}}).second)
    return;
  for (const auto& id : secrets)
    if (auto& s = secrets_[id]; !s.shared) {
      s.lanes[kind].waiting[task] = false;
      look_ = true;
    }
}

// One question for all who wait together; where values are for one task alone, one for each.
void secret_fetches::ask(const std::string& secret_id, const std::string& kind, secret& s, std::vector<order>& out) {
  auto& l = s.lanes.at(kind);
  for (auto& [task, asked] : l.waiting) {
    if (!s.one_each && l.asked > 0)
      return;
    if (asked)
      continue;
    asked = true;
    ++l.asked;
    questions_[++last_number_] = {secret_id, kind, task};
    out.push_back({last_number_, secret_id, task});
  }
}

std::vector<secret_fetches::order> secret_fetches::take_orders() {
  std::vector<order> out;
  if (!std::exchange(look_, false))
    return out;
  for (auto& [id, s] : secrets_)
    for (auto& [kind, l] : s.lanes)
      ask(id, kind, s, out);
  return out;
}

std::string secret_fetches::secret_of(std::uint64_t number) const {
  const auto it = questions_.find(number);
  return it == questions_.end() ? std::string{} : it->second.secret_id;
}

void secret_fetches::leave_lanes(const task_id& task, const task_row& row) {
  for (const auto& id : row.secrets) {
    const auto s = secrets_.find(id);
    if (s == secrets_.end())
      continue;
    s->second.own.erase(task);
    const auto l = s->second.lanes.find(row.kind);
    if (l == s->second.lanes.end())
      continue;
    l->second.waiting.erase(task);
    if (l->second.waiting.empty() && l->second.asked == 0)
      s->second.lanes.erase(l);
  }
}

void secret_fetches::release(const task_id& task) {
  const auto it = tasks_.find(task);
  if (it == tasks_.end())
    return;
  leave_lanes(task, it->second);
  tasks_.erase(it);
}

void secret_fetches::forget(const std::string& secret_id) {
  secrets_.erase(secret_id);
  std::erase_if(questions_, [&](const auto& item) { return item.second.secret_id == secret_id; });
}

void secret_fetches::fail(const task_id& task, const std::string& problem, std::vector<task_id>& failed) {
  auto& row = tasks_.at(task);
  row.problem = problem;
  leave_lanes(task, row);
  failed.push_back(task);
  ++failures_;
}

std::vector<task_id> secret_fetches::answered(std::uint64_t number, answer what) {
  std::vector<task_id> failed;
  const auto it = questions_.find(number);
  if (it == questions_.end())
    return failed;
  const auto asked = std::move(it->second);
  questions_.erase(it);
  look_ = true;
  auto& s = secrets_.at(asked.secret_id);
  auto& l = s.lanes.at(asked.kind);
  --l.asked;
  if (!what.problem.empty()) {
    // Where each has a question of its own, the others may fare better.
    std::vector<task_id> losers;
    for (const auto& [task, by_itself] : l.waiting)
      if (!s.one_each || task == asked.task)
        losers.push_back(task);
    for (const auto& task : losers)
      fail(task, what.problem, failed);
  } else if (what.do_not_reuse) {
    s.one_each = true;
    if (l.waiting.erase(asked.task) > 0)
      s.own[asked.task] = {number, std::move(what.value)};
  } else if (!l.waiting.empty()) {
    s.shared = value{number, std::move(what.value)};
    for (auto& [kind, other] : s.lanes)
      other.waiting.clear();
  }
  std::erase_if(s.lanes, [](const auto& item) { return item.second.waiting.empty() && item.second.asked == 0; });
  return failed;
}

const std::string& secret_fetches::problem_of(const task_id& task) const {
  static const std::string none;
  const auto it = tasks_.find(task);
  return it == tasks_.end() ? none : it->second.problem;
}

std::size_t secret_fetches::waiting() const {
  std::size_t out = 0;
  for (const auto& [id, s] : secrets_)
    for (const auto& [kind, l] : s.lanes)
      out += l.waiting.size();
  return out;
}

void secret_fetches::check_invariants() const {
  std::map<std::pair<std::string, std::string>, std::size_t> asked;
  for (const auto& [number, q] : questions_)
    ++asked[{q.secret_id, q.kind}];
  for (const auto& [id, s] : secrets_)
    for (const auto& [kind, l] : s.lanes) {
      const auto questions = asked.find({id, kind});
      SWARM_CHECK(l.asked == (questions == asked.end() ? 0 : questions->second), id);
      SWARM_CHECK(l.waiting.empty() || !s.shared, id);
      SWARM_CHECK(l.waiting.empty() || l.asked > 0 || look_, id); // everybody who waits is going to be told
      for (const auto& [task, by_itself] : l.waiting) {
        SWARM_CHECK(tasks_.contains(task), task.str());
        SWARM_CHECK(tasks_.at(task).problem.empty(), task.str());
        SWARM_CHECK(!s.one_each || by_itself || look_, task.str());
      }
    }
}

} // namespace swarm::dispatcher
