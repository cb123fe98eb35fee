// Majorities, plain and joint: which index is committed, who has won a vote.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "actors/raft/types.hpp"

namespace swarm::raft {

enum class vote_result : std::uint8_t { pending, lost, won };

/// What a voter has acknowledged; nullopt = nothing known of it.
using acked_index = std::function<std::optional<log_index>(raft_id)>;
/// How a voter has voted; nullopt = no answer yet.
using cast_vote = std::function<std::optional<bool>(raft_id)>;

/// An empty majority commits everything and wins every vote: this is what makes a joint configuration with an empty
/// half behave like the other half alone.
inline constexpr log_index everything = std::numeric_limits<log_index>::max();

/// A sorted set of voters.
class majority {
public:
  majority() = default;
  explicit majority(std::vector<raft_id> voters);

  [[nodiscard]] const std::vector<raft_id>& voters() const { return voters_; }
  [[nodiscard]] bool empty() const { return voters_.empty(); }
  [[nodiscard]] bool contains(raft_id id) const;
  void insert(raft_id id);
  void erase(raft_id id);

  /// The largest index that a majority has acknowledged.
  [[nodiscard]] log_index committed(const acked_index& acked) const;
  [[nodiscard]] vote_result tally(const cast_vote& votes) const;
  bool operator==(const majority&) const = default;

private:
  std::vector<raft_id> voters_;
};

/// Both halves must agree. Outside of a joint change `outgoing` is empty.
struct joint_majority {
  majority incoming;
  majority outgoing;

  [[nodiscard]] bool contains(raft_id id) const { return incoming.contains(id) || outgoing.contains(id); }
  [[nodiscard]] log_index committed(const acked_index& acked) const;
  [[nodiscard]] vote_result tally(const cast_vote& votes) const;
  bool operator==(const joint_majority&) const = default;
};

} // namespace swarm::raft
