// Why a request is refused, in the words that the user will read.
#pragma once

#include <string>

#include "messages/control.pb.h"
#include "messages/errors.hpp"

namespace swarm::control {

/// ok() = not refused. `plain`: Swarm says it in the daemon, so GATEWAY puts no "rpc error" before it.
struct refusal {
  errc code = errc::ok;
  std::string text;
  bool plain = false;
  [[nodiscard]] bool ok() const { return code == errc::ok; }
  bool operator==(const refusal&) const = default;
};

[[nodiscard]] inline refusal invalid(std::string text) { return {errc::invalid_argument, std::move(text), false}; }
[[nodiscard]] inline refusal plain_refusal(errc code, std::string text) { return {code, std::move(text), true}; }

[[nodiscard]] inline Written to_written(const refusal& r) {
  Written out;
  out.set_code(static_cast<std::uint32_t>(r.code));
  out.set_message(r.text);
  out.set_plain(r.plain);
  return out;
}

} // namespace swarm::control
