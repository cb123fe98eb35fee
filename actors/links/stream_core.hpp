// Numbers of log streams that one peer has opened here. Every peer counts for itself, so that theirs are given local ones.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace swarm::links {

/// Which stream a number belongs to: LOGS reads one agent's task, or a reader reads LOGS.
enum class stream_kind : std::uint8_t { agent, logs };

class stream_core {
public:
  struct remote {
    stream_kind kind = stream_kind::agent;
    std::uint64_t number = 0;
    auto operator<=>(const remote&) const = default;
  };

  /// Local numbers are first, first + 1, …; the owner keeps other users of numbers away from them.
  stream_core(std::uint64_t first, std::size_t streams_max) : next_{first}, max_{streams_max} {}

  /// nullopt: too many, or this number is in use.
  std::optional<std::uint64_t> open(remote theirs);
  [[nodiscard]] std::optional<std::uint64_t> local(remote theirs) const;
  [[nodiscard]] std::optional<remote> theirs(std::uint64_t local) const;
  void close(std::uint64_t local);

  [[nodiscard]] std::size_t size() const { return by_local_.size(); }
  [[nodiscard]] std::vector<std::pair<std::uint64_t, stream_kind>> all() const;

private:
  std::uint64_t next_;
  std::size_t max_;
  std::map<std::uint64_t, remote> by_local_;
  std::map<remote, std::uint64_t> by_remote_;
};

} // namespace swarm::links
