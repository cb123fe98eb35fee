// The engine as a whole: is it there, what does it offer, what has happened to our containers, what is found after a gap.
#include <algorithm>

#include "drivers/docker/docker_core.hpp"
#include "runtime/check.hpp"

namespace swarm::docker {
namespace {

constexpr std::uint32_t api_minor_max = 50;
constexpr std::uint32_t api_minor_min = 41;

std::optional<std::uint32_t> minor_of(const std::string& version) {
  if (!version.starts_with("1.") || version.size() < 3 || version.size() > 5
      || !std::all_of(version.begin() + 2, version.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  return static_cast<std::uint32_t>(std::stoul(version.substr(2)));
}

bool is_ok(const answer& from) {
  return from.how == outcome::answered && from.status == 200;
}

} // namespace

// -- health ----------------------------------------------------------------------------------------------------------

void core::on_tick() {
  starting_.expire(now_);
  removing_.expire(now_);
  images_.tidy(now_);
  if (ping_answers_)
    networks_.tidy(now_, next_call_, out_);
  if (!pinging_ && now_ >= ping_at_) {
    pinging_ = true;
    call({purpose::ping, {}, 0}, "GET", "/_ping", opts_.ping_deadline);
  }
  if (!trouble_.empty() && now_ >= trouble_until_) {
    trouble_.clear();
    set_health(ping_answers_, health_message_);
  }
  if (watch_ == watch::closed && ping_answers_ && now_ >= watch_at_) {
    watch_ = watch::opening;
    // Only what on_event() reads: each health check alone would send three more. Matched as prefixes by the engine.
    const auto filter = label_filter({{"event", {"create", "destroy", "die", "health_status", "oom"}},
                                      {"label", {std::string{driver::label_cluster_id}}},
                                      {"type", {"container"}}});
    out_.push_back(open_events{"/events?filters=" + filter});
  }
  relist();
}

void core::on_ping(const answer& from) {
  pinging_ = false;
  ping_answers_ = is_ok(from);
  if (ping_answers_) {
    ping_backoff_.reset();
    ping_at_ = now_ + opts_.ping_period;
    if (const auto minor = minor_of(from.api_version))
      api_minor_ = std::clamp(*minor, api_minor_min, api_minor_max);
  } else {
    ping_at_ = now_ + ping_backoff_.next(rng_);
  }
  set_health(ping_answers_, ping_answers_ ? "" : to_failure(from).message);
  for (auto early = std::exchange(early_, {}); !early.empty(); early.pop_front())
    on_operation(early.front());
  on_tick();
}

void core::set_health(bool answers, std::string message) {
  const auto healthy = answers && trouble_.empty() && claimed_by_.empty();
  if (!claimed_by_.empty())
    message = claimed_by_;
  else if (answers)
    message = trouble_;
  const auto changed = !healthy_ || *healthy_ != healthy || (!healthy && message != health_message_);
  healthy_ = healthy;
  health_message_ = std::move(message);
  if (changed)
    out_.push_back(report_health{healthy, health_message_});
}

void core::note_trouble(const answer& from) {
  if (from.how != outcome::answered || from.status < 400)
    return;
  const auto message = read_message(from.body);
  if (!is_host_trouble(message))
    return;
  trouble_ = "engine: " + message;
  trouble_until_ = now_ + opts_.trouble_rest;
  set_health(ping_answers_, health_message_);
}

// -- what happened -----------------------------------------------------------------------------------------------------

void core::on_event(const event& ev) {
  if (ev.task_id.empty() || ev.cluster_id.empty() || ev.cluster_id != cluster_id_)
    return;
  const auto it = lanes_.find(ev.task_id);
  auto* l = it == lanes_.end() ? nullptr : &it->second;
  if (l != nullptr && !l->known.container().container_id().empty() && l->known.container().container_id() != ev.container_id)
    return; // of an earlier container of this task
  TaskHandle news;
  news.set_task_id(ev.task_id);
  news.mutable_container()->set_container_id(ev.container_id);
  if (ev.action == "create" && l == nullptr) {
    // The late success of a create whose answer was lost and whose task was given up since.
    news.set_phase(TaskHandle::PHASE_CREATED);
    out_.push_back(observe{std::move(news)});
  } else if (ev.action == "die") {
    news.set_phase(TaskHandle::PHASE_EXITED);
    news.mutable_container()->set_exit_code(ev.exit_code);
    news.set_finished_at(ev.time);
    if (l == nullptr) {
      out_.push_back(remove_files{ev.task_id});
      out_.push_back(observe{std::move(news)});
      return;
    }
    learn(ev.task_id, news);
    tell(*l);
  } else if (ev.action == "oom" && l != nullptr) {
    l->known.set_oom_killed(true);
  } else if (ev.action == "destroy") {
    if (l != nullptr && l->current && l->current->at == stage::remove)
      return; // our own doing, and its answer is on the way
    if (l != nullptr) {
      l->known = {};
      l->known.set_task_id(ev.task_id);
      if (!l->current) // else its end decides: a Prepare may have just written them
        drop_files(ev.task_id, *l);
    }
    TaskHandle gone;
    gone.set_task_id(ev.task_id);
    out_.push_back(observe{std::move(gone)});
  } else if (ev.action.starts_with("health_status: ") && l != nullptr) {
    const auto news_is = ev.action == "health_status: healthy" ? health_news::healthy : health_news::unhealthy;
    l->health = news_is;
    if (l->known.phase() == TaskHandle::PHASE_RUNNING) {
      learn(ev.task_id, l->known);
      tell(*l);
    }
  }
}

// -- what is there -------------------------------------------------------------------------------------------------------

std::string core::our_filter() const {
  return label_filter({{"label", {std::string{driver::label_cluster_id} + "=" + cluster_id_}}});
}

void core::recover(const operation& op) {
  cluster_id_ = std::get<RecoverTasks>(op.request).cluster_id();
  recoveries_[op.id] = {};
  call({purpose::recover_list, {}, op.id}, "GET", "/containers/json?all=1&filters=" + our_filter(), opts_.call_deadline);
}

void core::recovered(const pending& p, const answer& from) {
  const auto it = recoveries_.find(p.id);
  if (it == recoveries_.end())
    return; // failed already
  auto fail = [&](failure error) {
    recoveries_.erase(it);
    out_.push_back(deliver{p.id, std::move(error)});
  };
  if (p.what == purpose::recover_list) {
    std::vector<listed> rows;
    if (!is_ok(from))
      return fail(to_failure(from));
    if (auto error = read_list(from.body, rows); !error.ok())
      return fail(std::move(error));
    for (const auto& row : rows) {
      if (row.task_id.empty() || row.cluster_id != cluster_id_)
        continue;
      ++it->second.left;
      call({purpose::recover_inspect, row.task_id, p.id}, "GET", "/containers/" + row.container_id + "/json", opts_.call_deadline);
    }
    return recovery_step(p.id);
  }
  --it->second.left;
  inspected found;
  if (is_ok(from)) {
    if (auto error = read_inspect(from.body, found); !error.ok())
      return fail(std::move(error));
    if (found.handle.task_id() == p.task_id && found.cluster_id == cluster_id_) {
      learn(p.task_id, found.handle);
      networks_.adopt(p.task_id, found.networks);
      *it->second.found.add_tasks() = lanes_.at(p.task_id).known;
    }
  } else if (from.how != outcome::answered || from.status != 404) {
    return fail(to_failure(from));
  }
  recovery_step(p.id);
}

void core::recovery_step(operation_id id) {
  auto& r = recoveries_.at(id);
  if (r.left > 0)
    return;
  auto found = std::move(r.found);
  recoveries_.erase(id);
  out_.push_back(deliver{id, std::move(found)});
  networks_.sweep(cluster_id_, next_call_, out_);
}

void core::relist() {
  if (!relist_due_ || relisting_ || watch_ != watch::open || cluster_id_.empty())
    return;
  relist_due_ = false;
  relisting_ = true;
  call({purpose::relist, {}, 0}, "GET", "/containers/json?all=1&filters=" + our_filter(), opts_.call_deadline);
}

void core::relisted(const answer& from) {
  relisting_ = false;
  std::vector<listed> rows;
  if (!is_ok(from) || !read_list(from.body, rows).ok()) {
    relist_due_ = true; // the next tick asks again
    return;
  }
  for (auto& [task_id, l] : lanes_)
    l.listed = false;
  for (const auto& row : rows) {
    if (row.task_id.empty() || row.cluster_id != cluster_id_)
      continue;
    const auto it = lanes_.find(row.task_id);
    if (it != lanes_.end()) {
      auto& l = it->second;
      l.listed = true;
      if (l.current)
        continue; // finds out by itself
      const auto phase = l.known.phase();
      const auto as_known = (row.state == "created" && phase == TaskHandle::PHASE_CREATED)
                            || (row.state == "exited" && phase == TaskHandle::PHASE_EXITED)
                            || (row.state == "running" && phase == TaskHandle::PHASE_RUNNING && !l.known.has_health());
      if (as_known && l.known.container().container_id() == row.container_id)
        continue;
    }
    call({purpose::refresh, row.task_id, 0}, "GET", "/containers/" + row.container_id + "/json", opts_.call_deadline);
  }
  for (auto& [task_id, l] : lanes_) {
    if (l.listed || l.current || l.known.phase() == TaskHandle::PHASE_ABSENT)
      continue;
    l.known = {};
    l.known.set_task_id(task_id);
    drop_files(task_id, l);
    tell(l);
  }
}

void core::refreshed(const std::string& task_id, const answer& from) {
  inspected found;
  if (from.how == outcome::answered && from.status == 404) {
    relist_due_ = true;
    return;
  }
  if (!is_ok(from) || !read_inspect(from.body, found).ok()) {
    relist_due_ = true;
    return;
  }
  if (found.handle.task_id() != task_id || found.cluster_id != cluster_id_)
    return;
  learn(task_id, found.handle);
  networks_.adopt(task_id, found.networks);
  tell(lanes_.at(task_id));
}

// -- what is offered -----------------------------------------------------------------------------------------------------

void core::fingerprint(operation_id id) {
  descriptions_[id] = {};
  call({purpose::info, {}, id}, "GET", "/info", opts_.call_deadline);
  call({purpose::version, {}, id}, "GET", "/version", opts_.call_deadline);
}

void core::described(const pending& p, const answer& from) {
  const auto it = descriptions_.find(p.id);
  if (it == descriptions_.end())
    return;
  NodeFingerprint out;
  if (!is_ok(from)) {
    descriptions_.erase(it);
    out.set_message(to_failure(from).message);
    out_.push_back(deliver{p.id, std::move(out)});
    return;
  }
  (p.what == purpose::info ? it->second.info : it->second.version) = from.body;
  if (it->second.info.empty() || it->second.version.empty())
    return;
  docker::fingerprint read;
  const auto error = read_fingerprint(it->second.info, it->second.version, read);
  descriptions_.erase(it);
  *out.mutable_description() = std::move(read.description);
  out.set_healthy(error.ok() && healthy());
  out.set_message(error.ok() ? health_message_ : error.message);
  out_.push_back(deliver{p.id, std::move(out)});
}

} // namespace swarm::docker
