// Events in, effects out: routes each event to its part of the driver and keeps the whole consistent.
#include "drivers/docker/docker_core.hpp"

#include <algorithm>

#include "runtime/check.hpp"
#include "runtime/overload.hpp"
#include "runtime/text.hpp"

namespace swarm::docker {

bool is_host_trouble(std::string_view message) {
  const auto lower = text::to_lower(message);
  for (const auto* sign : {"no space left on device", "too many open files", "cannot allocate memory",
                           "resource temporarily unavailable", "read-only file system"})
    if (lower.find(sign) != std::string::npos)
      return true;
  return false;
}

failure to_failure(const answer& from, std::string_view what) {
  auto text = from.how == outcome::answered ? read_message(from.body) : from.text;
  if (text.empty())
    text = from.how == outcome::answered ? "the engine answered " + std::to_string(from.status) : "the engine is away";
  if (!what.empty())
    text = std::string{what} + ": " + text;
  if (from.how == outcome::nothing)
    return {errc::unavailable, std::move(text)};
  if (from.how == outcome::unknown)
    return {errc::deadline_exceeded, std::move(text)};
  if (is_host_trouble(text))
    return {errc::resource_exhausted, std::move(text)};
  switch (from.status) {
    case 400: return {errc::invalid_argument, std::move(text)};
    case 404: return {errc::not_found, std::move(text)};
    case 409: return {errc::conflict, std::move(text)};
    case 429:
    case 502:
    case 503:
    case 504: return {errc::unavailable, std::move(text)};
    default: return {errc::internal, std::move(text)};
  }
}

core::core(core_options opts, std::uint64_t seed)
  : opts_{std::move(opts)}, rng_{seed}, images_{opts_.images}, networks_{opts_.networks}, starting_{opts_.starting}, removing_{opts_.removing},
    watch_backoff_{opts_.reconnect}, ping_backoff_{opts_.reconnect} {}

effects core::step(instant now, const driver_event& ev) {
  now_ = now;
  out_.clear();
  std::visit(overload{
    [&](const operation& op) { on_operation(op); },
    [&](const call_ended& e) { on_call_ended(e); },
    [&](const pull_printed& e) { images_.step(now, e); },
    [&](const pull_ended& e) { images_.step(now, e); },
    [&](const files_written& e) {
      const auto it = lanes_.find(e.task_id);
      if (it == lanes_.end() || !it->second.current || it->second.current->at != stage::files)
        return;
      it->second.may_have_files = e.error.ok(); // all or none
      if (e.error.ok())
        want_image(e.task_id, it->second);
      else
        finish(e.task_id, it->second, e.error);
      advance(e.task_id);
    },
    [&](const events_opened&) {
      watch_ = watch::open;
      watch_backoff_.reset();
      relist_due_ = true; // whatever happened while nobody listened
      networks_.forget();
      relist();
    },
    [&](const event_printed& e) {
      event parsed;
      if (read_event(e.line, parsed).ok() && !parsed.action.empty())
        on_event(parsed);
    },
    [&](const events_closed&) {
      watch_ = watch::closed;
      watch_at_ = now + watch_backoff_.next(rng_);
      ping_at_ = now; // an engine that goes away shows here first
      on_tick();
    },
    [&](const engine_claimed& e) {
      claimed_by_ = e.by;
      set_health(ping_answers_, health_message_);
    },
    [&](const ticked&) { on_tick(); },
  }, ev);
  settle_images();
  settle_networks();
  admit();
  return std::exchange(out_, {});
}

void core::on_operation(const operation& op) {
  if (!claimed_by_.empty() && !std::holds_alternative<FingerprintNode>(op.request)) {
    out_.push_back(deliver{op.id, failure{errc::unavailable, claimed_by_}});
    return;
  }
  if (!healthy_) {
    if (early_.size() < opts_.starting.waiting_max)
      early_.push_back(op);
    else
      out_.push_back(deliver{op.id, failure{errc::resource_exhausted, "too many requests before the engine's first answer"}});
    if (!pinging_)
      on_tick();
    return;
  }
  std::visit(overload{
    [&](const RecoverTasks&) { recover(op); },
    [&](const FingerprintNode&) { fingerprint(op.id); },
    [&](const auto&) { enqueue(op); },
  }, op.request);
}

void core::on_call_ended(const call_ended& ev) {
  if (images_.owns(ev.call))
    return images_.step(now_, ev, next_call_, out_);
  if (networks_.owns(ev.call))
    return networks_.step(now_, ev, rng_, next_call_, out_);
  const auto it = calls_.find(ev.call);
  if (it == calls_.end())
    return;
  const auto p = std::move(it->second);
  calls_.erase(it);
  switch (p.what) {
    case purpose::lane: {
      const auto lane_it = lanes_.find(p.task_id);
      if (lane_it != lanes_.end() && lane_it->second.current && lane_it->second.current->call == ev.call)
        lane_answer(p.task_id, ev.answer);
      return;
    }
    case purpose::ping: return on_ping(ev.answer);
    case purpose::info:
    case purpose::version: return described(p, ev.answer);
    case purpose::recover_list:
    case purpose::recover_inspect: return recovered(p, ev.answer);
    case purpose::relist: return relisted(ev.answer);
    case purpose::refresh: return refreshed(p.task_id, ev.answer);
  }
}

call_id core::call(pending p, std::string method, std::string target, duration deadline, std::string body) {
  const auto id = next_call_++;
  calls_.emplace(id, std::move(p));
  out_.push_back(make_call{id, std::move(method), std::move(target), std::move(body), deadline});
  return id;
}

void core::learn(const std::string& task_id, const TaskHandle& news) {
  auto& l = lanes_[task_id];
  driver::merge_handle(l.known, news);
  l.known.set_task_id(task_id);
  if (l.known.phase() == TaskHandle::PHASE_RUNNING && l.health != health_news::none) {
    l.known.set_has_health(true);
    l.known.set_healthy(l.health == health_news::healthy);
    l.known.set_error(l.known.healthy() ? "" : "dockerexec: unhealthy container");
  }
  l.health = health_news::none;
  if (l.known.phase() == TaskHandle::PHASE_EXITED)
    drop_files(task_id, l);
}

void core::tell(const lane& l) {
  out_.push_back(observe{l.known});
}

void core::check_invariants() const {
  for (const auto& [task_id, l] : lanes_) {
    SWARM_CHECK(l.current || l.waiting.empty(), task_id);
    SWARM_CHECK(l.waiting.size() <= opts_.lane_requests_max, task_id);
  }
  networks_.check_invariants();
  SWARM_CHECK(starting_.inside() <= opts_.starting.places);
  SWARM_CHECK(removing_.inside() <= opts_.removing.places);
}

std::string core::dump() const {
  std::string out = "api=1." + std::to_string(api_minor_) + " healthy=" + (healthy() ? "true" : "false");
  if (!healthy() && !health_message_.empty())
    out += " (" + health_message_ + ")";
  out += " lanes=" + std::to_string(lanes_.size()) + " calls=" + std::to_string(calls_.size())
         + " starting=" + std::to_string(starting_.inside()) + "+" + std::to_string(starting_.waiting())
         + " removing=" + std::to_string(removing_.inside()) + "+" + std::to_string(removing_.waiting())
         + " pulls=" + std::to_string(images_.pulls()) + " networks=" + std::to_string(networks_.ready())
         + " events=" + (watch_ == watch::open ? "open" : watch_ == watch::opening ? "opening" : "closed");
  for (const auto& [task_id, l] : lanes_) {
    if (out.size() > 64 * 1024) {
      out += "\n…";
      break;
    }
    static constexpr const char* stages[] = {"lookup", "files", "image", "networks", "gate", "create", "connect",
                                              "adopt", "start", "inspect", "stop", "remove", "leave"};
    out += "\n" + task_id + " " + std::string{TaskHandle::Phase_Name(l.known.phase())}
           + (l.current ? std::string{" "} + stages[static_cast<int>(l.current->at)] : "")
           + (l.waiting.empty() ? "" : " +" + std::to_string(l.waiting.size()));
  }
  return out;
}

} // namespace swarm::docker
