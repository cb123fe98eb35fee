// The steps of a fetch, see the header.
#include "drivers/plugin/secret_provider_core.hpp"

#include <algorithm>
#include <utility>

#include "drivers/plugin/secret_codec.hpp"
#include "runtime/check.hpp"

namespace swarm::plugin {

effects core::add(instant now, fetch_id id, FetchSecret request) {
  effects out;
  const auto name = request.driver();
  if (!is_reference(name)) {
    ++failed_;
    out.push_back(reply{id, {errc::invalid_argument, "not the name of a plugin"}, {}});
    return out;
  }
  if (waiting() >= opts_.waiting) {
    ++failed_;
    out.push_back(reply{id, {errc::resource_exhausted, "too many secrets are being fetched"}, {}});
    return out;
  }
  const auto until = now + opts_.deadline;
  const bool fresh = fetches_.try_emplace(id, fetch{std::move(request), stage::waiting, until, {}, {}}).second;
  SWARM_CHECK(fresh);
  deadlines_.emplace(until, id);
  drivers_[name].waiting.push_back(id);
  start_waiting(now, out);
  return out;
}

void core::start_waiting(instant now, effects& out) {
  for (auto& [name, d] : drivers_)
    while (!d.waiting.empty() && d.running < opts_.running_per_driver && running_ < opts_.running) {
      const auto id = d.waiting.front();
      d.waiting.pop_front();
      ++d.running;
      ++running_;
      auto& f = fetches_.at(id);
      f.at = opts_.has_engine ? stage::engine : stage::searching;
      if (opts_.has_engine)
        out.push_back(call_engine{id, "/plugins/" + name + "/json", std::min(opts_.engine_deadline, f.until - now)});
      else
        out.push_back(search{id, name});
    }
}

core::fetch* core::find(fetch_id id, stage at) {
  const auto it = fetches_.find(id);
  return it == fetches_.end() || it->second.at != at ? nullptr : &it->second;
}

void core::ask_plugin(instant now, fetch_id id, fetch& f, stage next, effects& out) const {
  f.at = next;
  const bool first = next == stage::activating;
  out.push_back(call_plugin{id, f.plugin, first ? "/Plugin.Activate" : "/SecretProvider.GetSecret",
                            first ? std::string{} : request_body(f.request), f.until - now});
}

effects core::engine_answered(instant now, fetch_id id, const http_answer& answer) {
  effects out;
  auto* f = find(id, stage::engine);
  if (f == nullptr)
    return out;
  if (answer.problem.empty()) {
    const auto problem = read_managed(answer.status, answer.body, opts_.socket_dir, f->plugin);
    if (problem.ok()) {
      ask_plugin(now, id, *f, stage::asking, out);
      return out;
    }
    if (problem.code == errc::failed_precondition) {
      end(now, id, problem, {}, out);
      return out;
    }
    if (problem.code != errc::not_found)
      f->note = problem.message;
  } else {
    f->note = answer.problem;
  }
  f->at = stage::searching;
  out.push_back(search{id, f->request.driver()});
  return out;
}

effects core::searched(instant now, fetch_id id, const failure& problem, const address& found) {
  effects out;
  auto* f = find(id, stage::searching);
  if (f == nullptr)
    return out;
  if (problem.ok()) {
    f->plugin = found;
    ask_plugin(now, id, *f, stage::activating, out);
  } else if (problem.code == errc::not_found) {
    end(now, id,
        {errc::not_found,
         "plugin not found" + (f->note.empty() ? "" : " (and the engine was not asked: " + f->note + ")")},
        {}, out);
  } else {
    end(now, id, problem, {}, out);
  }
  return out;
}

effects core::plugin_answered(instant now, fetch_id id, const http_answer& answer) {
  effects out;
  const auto it = fetches_.find(id);
  if (it == fetches_.end() || it->second.at < stage::activating)
    return out;
  auto& f = it->second;
  const bool last = f.at == stage::asking;
  if (answer.too_large) {
    end(now, id,
        {errc::failed_precondition,
         last ? "secret data must be larger than 0 and less than 512000 bytes" : "plugin's answer cannot be read"},
        {}, out);
    return out;
  }
  if (!answer.problem.empty()) {
    end(now, id, {errc::unavailable, answer.problem}, {}, out);
    return out;
  }
  SecretFetched value;
  const auto problem =
      last ? read_secret(answer.status, answer.body, value) : read_activation(answer.status, answer.body);
  if (problem.ok() && !last)
    ask_plugin(now, id, f, stage::asking, out);
  else
    end(now, id, problem, std::move(value), out);
  return out;
}

void core::end(instant now, fetch_id id, failure problem, SecretFetched answer, effects& out) {
  const auto it = fetches_.find(id);
  SWARM_CHECK(it != fetches_.end());
  const auto d = drivers_.find(it->second.request.driver());
  if (it->second.at == stage::waiting) {
    std::erase(d->second.waiting, id);
  } else {
    --d->second.running;
    --running_;
  }
  if (d->second.running == 0 && d->second.waiting.empty())
    drivers_.erase(d);
  deadlines_.erase({it->second.until, id});
  fetches_.erase(it);
  ++(problem.ok() ? done_ : failed_);
  out.push_back(reply{id, std::move(problem), std::move(answer)});
  start_waiting(now, out);
}

effects core::tick(instant now) {
  effects out;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const auto id = deadlines_.begin()->second;
    const auto seconds_given = std::chrono::duration_cast<seconds>(opts_.deadline).count();
    const bool asked = fetches_.at(id).at >= stage::activating;
    end(now, id,
        {errc::deadline_exceeded, (asked ? "plugin did not answer within " : "plugin was not found within ") +
                                      std::to_string(seconds_given) + " s"},
        {}, out);
  }
  return out;
}

std::optional<instant> core::due() const {
  return deadlines_.empty() ? std::nullopt : std::optional{deadlines_.begin()->first};
}

void core::check_invariants() const {
  std::map<std::string, std::size_t> running;
  for (const auto& [id, f] : fetches_) {
    running[f.request.driver()] += f.at == stage::waiting ? 0 : 1;
    SWARM_CHECK(deadlines_.contains(std::pair{f.until, id}));
  }
  SWARM_CHECK(deadlines_.size() == fetches_.size());
  std::size_t all = 0;
  for (const auto& [name, d] : drivers_) {
    SWARM_CHECK(d.running == running[name], name);
    SWARM_CHECK(d.running <= opts_.running_per_driver, name);
    all += d.running;
  }
  SWARM_CHECK(all == running_ && running_ <= opts_.running);
}

std::string core::dump() const {
  constexpr const char* names[] = {"waiting", "engine", "searching", "activating", "asking"};
  constexpr std::size_t shown_max = 200;
  std::string out = "running=" + std::to_string(running_) + " waiting=" + std::to_string(waiting()) + "\n";
  std::size_t shown = 0;
  for (const auto& [id, f] : fetches_) {
    if (++shown > shown_max)
      return out + "…\n";
    out += f.request.driver() + " secret=" + f.request.secret_name() + " task=" + f.request.task_id() + " " +
           names[static_cast<std::size_t>(f.at)] + "\n";
  }
  return out;
}

} // namespace swarm::plugin
