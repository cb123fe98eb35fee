// Subscriptions to the logs of many tasks.
#include "actors/logs/logs_core.hpp"

#include <algorithm>

#include "runtime/text.hpp"

namespace swarm::logs {

namespace {

constexpr std::int64_t stream_share_bytes = 64 * 1024; ///< what one task may have on the way
constexpr auto default_node_deadline = seconds{5};

std::int64_t bytes_of(const LogChunk& chunk) {
  std::int64_t bytes = 0;
  for (const auto& line : chunk.lines())
    bytes += static_cast<std::int64_t>(line.data().size());
  return bytes;
}

} // namespace

bool reader::wants(const std::string& task_id, const task_place& task) const {
  const auto has = [](const auto& list, const std::string& id) { return std::find(list.begin(), list.end(), id) != list.end(); };
  return has(request_.task_ids(), task_id) || has(request_.service_ids(), task.service_id);
}

void reader::open(instant now, const std::string& task_id, const task_place& task, effects& out) {
  seen_tasks_.insert(task_id);
  stream s;
  s.task_id = task_id;
  s.node_id = task.node_id;
  s.owed = stream_share_bytes;
  s.opened = now;
  ReadTaskLogs request;
  request.set_task_id(task_id);
  request.set_subscription(next_stream_);
  request.set_follow(request_.follow());
  request.set_stdout(request_.stdout());
  request.set_stderr(request_.stderr());
  request.set_tail(request_.tail());
  request.set_since(request_.since());
  out.push_back(open_stream{s.node_id, std::move(request)});
  streams_.emplace(next_stream_++, std::move(s));
}

void reader::share(effects& out) {
  for (auto& [id, s] : streams_) {
    if (window_ <= 0)
      return;
    if (s.ended || s.owed <= 0)
      continue;
    const auto bytes = std::min(s.owed, window_);
    s.owed -= bytes;
    window_ -= bytes;
    LogCredit credit;
    credit.set_subscription(id);
    credit.set_bytes(static_cast<std::uint32_t>(bytes));
    out.push_back(grant{s.node_id, credit});
  }
}

void reader::finish_if_done(effects& out) {
  if (ended_ || request_.follow() || !std::all_of(streams_.begin(), streams_.end(), [](const auto& e) { return e.second.ended; }))
    return;
  ended_ = true;
  LogChunk last;
  last.set_subscription(request_.subscription());
  last.set_end(true);
  if (!missing_.empty())
    last.set_error("warning: incomplete log stream. some logs could not be retrieved for the following reasons: "
                   + text::join(missing_, ", "));
  out.push_back(deliver{std::move(last)});
}

void task_places::put(const Task& task) {
  rows_.insert_or_assign(swarm::task_id{task.id()},
                         row{swarm::service_id{task.service_id()}, swarm::node_id{task.node_id()}, task.status().state()});
}

void task_places::erase(const std::string& id) { rows_.erase(swarm::task_id{id}); }

std::map<std::string, task_place> task_places::candidates(const SubscribeLogs& request) const {
  std::set<swarm::service_id> services;
  for (const auto& id : request.service_ids())
    services.emplace(id);
  std::set<swarm::task_id> tasks;
  for (const auto& id : request.task_ids())
    tasks.emplace(id);
  std::map<std::string, task_place> out;
  for (const auto& [id, at] : rows_) // the order is that of `out`, not of the table
    if (services.contains(at.service) || tasks.contains(id))
      out.emplace(id.str(), task_place{at.service.str(), at.node.str(), at.state});
  return out;
}

effects reader::begin(instant now, const std::map<std::string, task_place>& tasks, const std::set<std::string>& nodes) {
  effects out;
  for (const auto& [id, task] : tasks) {
    if (!wants(id, task))
      continue;
    if (task.node_id.empty()) {
      if (!request_.follow())
        missing_.push_back("task " + id + " has not been scheduled");
    } else if (nodes.count(task.node_id) == 0) {
      missing_.push_back("node " + task.node_id + " is not available");
    } else if (task.state >= TASK_STATE_RUNNING && task.state != TASK_STATE_REJECTED) {
      open(now, id, task, out);
    }
  }
  share(out);
  finish_if_done(out);
  return out;
}

effects reader::task_changed(instant now, const std::string& task_id, const task_place& task, const std::set<std::string>& nodes) {
  effects out;
  if (ended_ || !request_.follow() || !wants(task_id, task) || seen_tasks_.count(task_id) > 0 || nodes.count(task.node_id) == 0
      || task.state < TASK_STATE_RUNNING || task.state == TASK_STATE_REJECTED)
    return out;
  open(now, task_id, task, out);
  share(out);
  return out;
}

effects reader::chunk(instant, const LogChunk& chunk) {
  effects out;
  const auto it = streams_.find(chunk.subscription());
  if (ended_ || it == streams_.end() || it->second.ended)
    return out;
  auto& s = it->second;
  s.spoke = true;
  s.owed += bytes_of(chunk);
  if (chunk.end()) {
    s.ended = true;
    if (!chunk.error().empty())
      missing_.push_back("task " + s.task_id + ": " + chunk.error());
  }
  if (chunk.lines_size() > 0) {
    LogChunk passed = chunk;
    passed.set_subscription(request_.subscription());
    passed.set_task_id(s.task_id);
    passed.set_node_id(s.node_id);
    passed.set_end(false);
    passed.clear_error();
    out.push_back(deliver{std::move(passed)});
  }
  finish_if_done(out);
  return out;
}

effects reader::credit(std::uint32_t bytes) {
  effects out;
  window_ += bytes;
  share(out);
  return out;
}

effects reader::tick(instant now) {
  effects out;
  const auto deadline = request_.node_deadline() > 0 ? duration{request_.node_deadline()} : duration{default_node_deadline};
  // A follower's quiet task is no fault; a task that is only to be read must say something, if only that it has ended.
  for (auto& [id, s] : streams_) {
    if (request_.follow() || s.ended || s.spoke || s.opened + deadline > now)
      continue;
    s.ended = true;
    missing_.push_back("node " + s.node_id + " is not available");
    CancelLogs request;
    request.set_subscription(id);
    out.push_back(cancel{s.node_id, request});
  }
  finish_if_done(out);
  return out;
}

effects reader::stop() {
  effects out;
  ended_ = true;
  for (const auto& [id, s] : streams_) {
    if (s.ended)
      continue;
    CancelLogs request;
    request.set_subscription(id);
    out.push_back(cancel{s.node_id, request});
  }
  return out;
}

} // namespace swarm::logs
