// Task cores against an inline driver, see the header.
#include "actors/agent/inline_tasks.hpp"

#include <algorithm>
#include <utility>

#include "runtime/overload.hpp"

namespace swarm::agent {

void inline_tasks::begin(timestamp now, const std::string& task_id, TaskState desired, const task::beginning& from,
                         std::shared_ptr<const TaskDescription> what) {
  auto& r = tasks_[task_id];
  r.task = std::make_unique<task::core>(opts_, rng_.get());
  r.what = std::move(what);
  perform(now, task_id, r, r.task->begin(now.now, now.wall, desired, from, true));
}

void inline_tasks::step(timestamp now, const std::string& task_id, const task::event& ev) {
  const auto it = tasks_.find(task_id);
  if (it != tasks_.end())
    perform(now, task_id, it->second, it->second.task->step(now.now, now.wall, ev));
}

inline_reply inline_tasks::call(timestamp now, const std::string& task_id, const row& r, task::verb verb) const {
  switch (verb) {
    case task::verb::prepare:
      if (!r.what)
        return {{}, {errc::unavailable, "the specification has not arrived on this node"}, {}};
      return driver_.prepare(now, *r.what);
    case task::verb::start: return driver_.start(now, task_id);
    case task::verb::stop: return driver_.stop(now, task_id);
    case task::verb::remove: return driver_.remove(now, task_id);
    case task::verb::inspect: return driver_.inspect(now, task_id);
  }
  return {};
}

void inline_tasks::perform(timestamp now, const std::string& task_id, row& r, task::effects todo) {
  bool ended = false;
  // Answers come at once and bring new effects; a task asks a handful of times in its life.
  while (!todo.empty()) {
    task::effects next;
    for (auto& effect : todo)
      std::visit(overload{
        [&](const task::ask& e) {
          auto reply = call(now, task_id, r, e.verb);
          task::answered answer{e.request, std::move(reply.error), std::move(reply.handle)};
          if (reply.after > duration{}) {
            due_.emplace(now.now + reply.after, due{task_id, std::move(answer)});
            return;
          }
          auto more = r.task->step(now.now, now.wall, answer);
          std::move(more.begin(), more.end(), std::back_inserter(next));
        },
        [&](const task::report&) {
          if (!std::exchange(r.changed, true))
            changed_.push_back(task_id);
        },
        [&](const task::wake& e) { due_.emplace(now.now + e.after, due{task_id, std::nullopt}); },
        [&](const task::ended&) { ended = true; },
      }, effect);
    todo = std::move(next);
  }
  if (ended && !std::exchange(r.changed, true))
    changed_.push_back(task_id);
  if (r.task->state() >= TASK_STATE_RUNNING)
    r.what.reset(); // never prepared again
}

void inline_tasks::tick(timestamp now) {
  for (const auto& handle : driver_.tick(now))
    step(now, handle.task_id(), task::seen{handle});
  while (!due_.empty() && due_.begin()->first <= now.now) {
    auto item = std::move(due_.extract(due_.begin()).mapped());
    if (item.answer)
      step(now, item.task_id, *item.answer);
    else
      step(now, item.task_id, task::ticked{});
  }
}

std::optional<instant> inline_tasks::next_due() const {
  auto out = driver_.next_due();
  if (!due_.empty())
    out = out ? std::min(*out, due_.begin()->first) : due_.begin()->first;
  return out;
}

std::map<std::string, TaskState> inline_tasks::states() const {
  std::map<std::string, TaskState> out;
  for (const auto& [task_id, r] : tasks_)
    out.emplace_hint(out.end(), task_id, r.task->state());
  return out;
}

TaskStatus inline_tasks::status(const std::string& task_id) const {
  const auto it = tasks_.find(task_id);
  return it == tasks_.end() ? TaskStatus{} : it->second.task->status();
}

std::vector<inline_tasks::change> inline_tasks::changes() {
  std::vector<change> out;
  out.reserve(changed_.size());
  for (auto& task_id : changed_) {
    const auto it = tasks_.find(task_id);
    it->second.changed = false;
    const auto over = it->second.task->is_over();
    out.push_back({task_id, it->second.task->status(), over});
    if (over)
      tasks_.erase(it);
  }
  changed_.clear();
  return out;
}

} // namespace swarm::agent
