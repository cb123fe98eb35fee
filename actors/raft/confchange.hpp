// Membership as quorums see it, and the rules by which it may change.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "actors/raft/progress.hpp"
#include "actors/raft/quorum.hpp"

namespace swarm::raft {

enum class change_kind : std::uint8_t { add_voter, add_learner, remove, update };

struct conf_change {
  change_kind kind = change_kind::update;
  raft_id id = 0; ///< changes of id 0 are skipped
};

struct configuration {
  joint_majority voters;
  std::set<raft_id> learners;
  std::set<raft_id> learners_next; ///< voters of the outgoing half that become learners when the joint state is left
  bool auto_leave = false;

  [[nodiscard]] bool joint() const { return !voters.outgoing.empty(); }
  [[nodiscard]] bool contains(raft_id id) const {
    return voters.contains(id) || learners.contains(id) || learners_next.contains(id);
  }
  bool operator==(const configuration&) const = default;
};

[[nodiscard]] configuration to_configuration(const Membership& membership);
/// "voters=(1 2 3) outgoing=(1) learners=(4)"
[[nodiscard]] std::string render(const configuration& config);

/// Applies changes to copies of a configuration and its progress, so that a refused change leaves nothing behind.
/// RAFT itself makes only simple changes (one voter at a time: every majority of N overlaps every majority of N±1);
/// joint ones are complete so that the log format never stands in the way of using them.
class changer {
public:
  struct limits {
    std::size_t max_inflight_messages = 256;
    std::size_t max_inflight_bytes = 16 << 20;
  };
  struct outcome {
    std::string error; ///< "" = accepted
    configuration config;
    progress_map progress;
  };

  changer(configuration config, progress_map progress, log_index last_index, limits bounds)
      : config_{std::move(config)}, progress_{std::move(progress)}, last_index_{last_index}, bounds_{bounds} {}

  /// Refused when more than one voter comes or goes.
  [[nodiscard]] outcome simple(const std::vector<conf_change>& changes) const;
  [[nodiscard]] outcome enter_joint(bool auto_leave, const std::vector<conf_change>& changes) const;
  [[nodiscard]] outcome leave_joint() const;

private:
  [[nodiscard]] outcome accepted() const { return {{}, config_, progress_}; }
  void apply(outcome& to, const std::vector<conf_change>& changes) const;
  void start_progress(outcome& to, raft_id id, bool learner) const;
  void make_voter(outcome& to, raft_id id) const;
  void make_learner(outcome& to, raft_id id) const;
  static void remove(outcome& to, raft_id id);

  configuration config_;
  progress_map progress_;
  log_index last_index_;
  limits bounds_;
};

} // namespace swarm::raft
