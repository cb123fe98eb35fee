// Pull or not, see the header.
#include "drivers/docker/image_core.hpp"

#include <algorithm>

#include "runtime/check.hpp"
#include "runtime/text.hpp"

namespace swarm::docker {
namespace {

constexpr duration forget_after = minutes{10};

// The registry answered, and it is about this image; anything else is trouble with the registry or the way to it.
bool is_refusal(const answer& from, std::string_view error) {
  if (from.status == 401 || from.status == 403 || from.status == 404)
    return true;
  const auto lower = text::to_lower(error);
  for (const auto* word : {"denied", "manifest unknown", "not found", "unauthorized", "no matching manifest", "does not exist", "no basic auth credentials",
                           "authentication required"})
    if (lower.find(word) != std::string::npos && lower.find("no such host") == std::string::npos)
      return true;
  return false;
}

} // namespace

image_core::verdict image_core::want(instant now, const std::string& image, const std::string& auth,
                                     const std::string& waiter, call_id& next_call, effects& out) {
  const auto name = parse_image(image);
  if (name.is_id)
    return verdict::ready; // here or nowhere: create will tell
  const key k{image_reference(image), auth};
  auto& e = images_[k];
  e.name = name;
  e.asked = now;
  if (e.at == phase::idle && e.here && now < e.ready_until)
    return verdict::ready;
  e.waiters.push_back(waiter);
  if (e.at == phase::idle)
    look(k, e, next_call, out);
  return verdict::wait;
}

void image_core::look(const key& k, entry& e, call_id& next_call, effects& out) {
  e.at = phase::looking;
  e.call = next_call++;
  calls_.emplace(e.call, k);
  out.push_back(make_call{e.call, "GET", "/images/" + k.first + "/json", {}, opts_.call_deadline});
}

void image_core::looked(instant now, const key& k, entry& e, const answer& from, call_id& next_call, effects& out) {
  if (from.how != outcome::answered || (from.status != 200 && from.status != 404))
    return settle(now, e, to_failure(from));
  e.here = from.status == 200;
  const auto resting = resting_.find(e.name.registry);
  const auto rests = resting != resting_.end() && now < resting->second;
  if (e.here && (e.name.has_digest || opts_.prefer_offline || rests || now < e.refused_until))
    return settle(now, e, {});
  if (!e.here && now < e.refused_until)
    return settle(now, e, {errc::no_such_image, "No such image: " + k.first + " (" + e.refusal + ")"});
  if (e.waiters.empty()) {
    e.at = phase::idle;
    return;
  }
  pull(k, e, next_call, out);
}

void image_core::pull(const key& k, entry& e, call_id& next_call, effects& out) {
  e.at = phase::pulling;
  e.pull_error.clear();
  e.call = next_call++;
  calls_.emplace(e.call, k);
  auto target = "/images/create?fromImage=" + e.name.repository + "&tag=" + e.name.tag;
  out.push_back(start_pull{e.call, std::move(target), k.second, e.here ? opts_.registry_patience : opts_.pull_head});
}

void image_core::step(instant now, const call_ended& ev, call_id& next_call, effects& out) {
  const auto it = calls_.find(ev.call);
  if (it == calls_.end())
    return;
  const auto k = it->second;
  calls_.erase(it);
  looked(now, k, images_.at(k), ev.answer, next_call, out);
}

void image_core::step(instant, const pull_printed& ev) {
  const auto it = calls_.find(ev.call);
  if (it == calls_.end())
    return;
  if (auto error = read_pull_error(ev.line); !error.empty())
    images_.at(it->second).pull_error = std::move(error);
}

void image_core::step(instant now, const pull_ended& ev) {
  const auto it = calls_.find(ev.call);
  if (it == calls_.end())
    return;
  const auto k = it->second;
  calls_.erase(it);
  auto& e = images_.at(k);
  const auto& from = ev.answer;
  if (from.how == outcome::answered && from.status == 200 && e.pull_error.empty()) {
    e.here = true;
    return settle(now, e, {});
  }
  auto error = e.pull_error;
  if (error.empty())
    error = from.how == outcome::answered ? read_message(from.body) : from.text;
  if (from.how == outcome::answered && is_refusal(from, error)) {
    e.refused_until = now + opts_.refusal_rest;
    e.refusal = error;
  } else {
    resting_[e.name.registry] = now + opts_.registry_rest;
  }
  if (e.here)
    return settle(now, e, {});
  if (from.how != outcome::answered) // the engine went away, or the registry is silent: neither says that there is none
    return settle(now, e, to_failure(from, "pulling " + k.first));
  settle(now, e, {errc::no_such_image, "No such image: " + k.first + " (" + error + ")"});
}

void image_core::settle(instant now, entry& e, const failure& error) {
  e.at = phase::idle;
  e.call = 0;
  if (error.ok())
    e.ready_until = now + opts_.fresh;
  for (auto& waiter : e.waiters)
    settled_.push_back({std::move(waiter), error});
  e.waiters.clear();
}

void image_core::leave(const std::string& waiter, effects& out) {
  for (auto& [k, e] : images_) {
    if (std::erase(e.waiters, waiter) == 0 || !e.waiters.empty() || e.at != phase::pulling)
      continue;
    out.push_back(cancel_pull{e.call});
    calls_.erase(e.call);
    e.at = phase::idle;
    e.call = 0;
  }
}

void image_core::forget(const std::string& image) {
  const auto reference = image_reference(image);
  for (auto& [k, e] : images_)
    if (k.first == reference) {
      e.here = false;
      e.ready_until = {};
    }
}

void image_core::tidy(instant now) {
  std::erase_if(images_, [&](const auto& item) {
    return item.second.at == phase::idle && item.second.asked + forget_after < now;
  });
  std::erase_if(resting_, [&](const auto& item) { return item.second < now; });
}

std::size_t image_core::pulls() const {
  return static_cast<std::size_t>(
    std::count_if(images_.begin(), images_.end(), [](const auto& item) { return item.second.at == phase::pulling; }));
}

} // namespace swarm::docker
