// Makes the Raft group what the nodes' roles say, one change at a time, and keeps ManagerStatus true.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "messages/ca.pb.h"
#include "messages/errors.hpp"
#include "messages/raft.pb.h"
#include "messages/store.pb.h"
#include "runtime/random.hpp"
#include "runtime/time.hpp"

namespace swarm::manager {

struct members_options {
  duration retry_min = milliseconds{250};
  duration retry_max = seconds{5};
  duration request_deadline = seconds{20}; ///< of joining and leaving
  duration silent_after = seconds{2};      ///< not heard of for so long: unreachable
  std::size_t max_requests = 64;           ///< joining and leaving at a time
  std::uint64_t seed = 0;
};

// -- what the shell must do ----------------------------------------------------------------------------------------------

struct change_group {
  ChangeMembership request; ///< then group_changed()
};
struct hand_over {
  std::uint64_t to_raft_id = 0; ///< 0: the best voter; TransferLeadership, then handed_over()
};
struct propose {
  Command command;          ///< then written()
};
struct answer_join {
  std::uint64_t tag = 0;
  failure error;
  RaftJoined joined;
};
struct answer_leave {
  std::uint64_t tag = 0;
  failure error;
};
using members_effect = std::variant<change_group, hand_over, propose, answer_join, answer_leave>;

/// What it is after, in this order; each step is decided anew from the state and the group as they are, so a new leader
/// goes on where the old one stopped:
///  1. a member whose node is to be a worker, or leaves, goes: leadership is handed over first when it leads, then it is
///     removed, then its ManagerStatus is cleared and its certificate_role becomes worker;
///  2. a member that no node stands for is removed (its node is gone, or a join stopped half-way: nobody runs it);
///  3. a manager that asks gets a raft id, is added as a learner, is recorded, and only then told;
///  4. a node that is to be a manager gets certificate_role manager, so that its certificate is renewed as one;
///  5. a leader whose node is drained hands over to a manager whose node is not, if there is one that is well;
///  6. reachability and leader of every member, written only when they change.
/// At most one change, hand-over or Command is under way at a time.
class members_core {
public:
  explicit members_core(members_options opts) : opts_{opts}, rng_{opts.seed} {}

  void reset(const StoreSnapshot& snapshot);
  void observe(const EventBatch& batch);
  void read(timestamp now, const MembershipRead& group);
  void join(timestamp now, std::uint64_t tag, const JoinRaft& request);
  void leave(timestamp now, std::uint64_t tag, const LeaveRaft& request);
  void group_changed(timestamp now, const failure& outcome, const Membership& membership);
  void handed_over(timestamp now, const failure& outcome);
  void written(timestamp now, const failure& outcome);

  /// Everything to be done now. Called after each of the above.
  [[nodiscard]] std::vector<members_effect> next(timestamp now);

  void check_invariants() const;
  [[nodiscard]] std::string dump() const;
  [[nodiscard]] std::size_t waiting() const { return joins_.size() + leaves_.size(); }

private:
  struct join_request {
    std::uint64_t tag = 0;
    std::string addr;
    instant deadline;
    std::uint64_t raft_id = 0; ///< drawn when it is added
  };
  struct leave_request {
    std::uint64_t tag = 0;
    instant deadline;
  };
  struct backoff {
    unsigned failures = 0;
    instant until;
  };
  using step = std::optional<members_effect>;

  void expire(timestamp now);
  [[nodiscard]] step let_go(timestamp now);
  [[nodiscard]] step remove_strangers(timestamp now);
  [[nodiscard]] step let_in(timestamp now);
  [[nodiscard]] step advance_join(timestamp now, const std::string& node_id, join_request& asked);
  [[nodiscard]] step give_certificates(timestamp now);
  [[nodiscard]] step step_aside(timestamp now);
  [[nodiscard]] step tell_status(timestamp now);

  [[nodiscard]] step change(const std::string& subject, ChangeMembership::Kind kind, const Member& member);
  [[nodiscard]] step put(timestamp now, const std::string& subject, std::vector<Node> nodes);
  [[nodiscard]] const Node* node(const std::string& id) const;
  [[nodiscard]] const Member* member(std::uint64_t raft_id) const;
  [[nodiscard]] const Member* member_of(const std::string& node_id) const;
  [[nodiscard]] std::vector<const Member*> members() const;
  /// Another manager that is well and not drained; 0 when there is none.
  [[nodiscard]] std::uint64_t undrained_successor() const;
  [[nodiscard]] bool leads(std::uint64_t raft_id) const { return raft_id != 0 && raft_id == group_->leader_raft_id(); }
  [[nodiscard]] bool must_wait(timestamp now, const std::string& subject) const;
  void settled(timestamp now, bool well);
  void end_leave(const std::string& node_id, failure outcome);
  void end_join(const std::string& node_id, failure why);
  [[nodiscard]] std::uint64_t draw_raft_id();

  members_options opts_;
  random_source rng_;
  bool known_ = false;
  std::map<std::string, Node> nodes_;
  std::optional<MembershipRead> group_;
  std::map<std::uint64_t, instant> heard_;   ///< raft id -> last seen active
  std::map<std::string, join_request> joins_;
  std::map<std::string, leave_request> leaves_;
  std::map<std::string, backoff> backoffs_;  ///< by subject
  std::optional<std::string> busy_;          ///< the subject of what is under way
  std::vector<members_effect> answers_;
};

} // namespace swarm::manager
