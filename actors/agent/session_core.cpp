// The agent's session, see the header.
#include "actors/agent/session_core.hpp"

#include <algorithm>

#include "runtime/overload.hpp"

namespace swarm::agent::session {

effects core::step(instant now, const event& ev) {
  now_ = now;
  effects out;
  std::visit(overload{
    [&](const dispatcher_found&) {
      dispatcher_ = true;
      if (at_ == phase::in_session)
        out.push_back(end{});
      at_ = phase::away;
      failures_ = 0;
      try_register(out);
    },
    [&](const described&) {
      described_ = true;
      if (at_ == phase::away)
        try_register(out);
    },
    [&](const registered& e) {
      if (at_ != phase::registering)
        return;
      at_ = phase::in_session;
      failures_ = 0;
      last_error_.clear();
      session_id_ = e.session.session_id();
      period_ = std::max(e.session.heartbeat_period() > 0 ? duration{e.session.heartbeat_period()} : opts_.default_period, opts_.period_min);
      beat_at(period_);
      accept_by_.reset();
      out.push_back(begin{session_id_});
    },
    [&](const register_failed& e) {
      last_error_ = e.error.message;
      if (at_ == phase::registering)
        back_off(out);
    },
    [&](const invalidated& e) {
      if (at_ == phase::in_session && (e.session_id == session_id_ || e.session_id.empty()))
        back_off(out);
    },
    [&](const out_of_step&) {
      if (at_ == phase::in_session)
        back_off(out);
    },
    [&](const status_sent&) { accept_by_ = now + opts_.accept_deadline; },
    [&](const status_accepted&) { accept_by_.reset(); },
    [&](const news&) {
      if (at_ != phase::in_session)
        return;
      beat_at(period_);
      out.push_back(beat{});
    },
    [&](const ticked&) {
      if (at_ == phase::backing_off && now >= retry_at_) {
        try_register(out);
      } else if (at_ == phase::in_session && accept_by_ && now >= *accept_by_) {
        last_error_ = "a status message was not accepted in time";
        back_off(out);
      } else if (at_ == phase::in_session && now >= beat_at_) {
        beat_at(period_);
        out.push_back(beat{});
      }
    },
  }, ev);
  return out;
}

void core::try_register(effects& out) {
  if (!dispatcher_ || !described_)
    return;
  at_ = phase::registering;
  out.push_back(register_now{});
}

void core::back_off(effects& out) {
  if (at_ == phase::in_session)
    out.push_back(end{});
  accept_by_.reset();
  session_id_.clear();
  at_ = phase::backing_off;
  const auto whole = std::min<std::int64_t>(opts_.backoff_max.count(), opts_.backoff_first.count() << std::min(failures_, 20u));
  ++failures_;
  retry_at_ = now_ + duration{whole / 2 + static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(whole / 2) + 1))};
}

std::optional<instant> core::next_due() const {
  if (at_ == phase::backing_off)
    return retry_at_;
  if (at_ != phase::in_session)
    return std::nullopt;
  return accept_by_ ? std::min(*accept_by_, beat_at_) : beat_at_;
}

std::string core::dump() const {
  static constexpr const char* names[] = {"away", "backing_off", "registering", "in_session"};
  return std::string{"session="} + names[static_cast<int>(at_)] + (session_id_.empty() ? "" : " id=" + session_id_)
         + (last_error_.empty() ? "" : " last_error=" + last_error_);
}

} // namespace swarm::agent::session
