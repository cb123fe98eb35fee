// The Raft algorithm as a pure state machine: events in, one batch of work ("ready") out.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actors/raft/confchange.hpp"
#include "actors/raft/events.hpp"
#include "actors/raft/options.hpp"
#include "actors/raft/raft_log.hpp"
#include "runtime/random.hpp"

namespace swarm::raft {

/// ```
///             (1) silence                (2) pre-votes             (3) votes
///  FOLLOWER ───────────────► PRE-CANDIDATE ────────► CANDIDATE ────────────► LEADER
///   ▲   ▲  ◄───────────────── (4) leader or higher term seen ──────────────────┘ │
///   │   └──────────────────── (5) no quorum in an election timeout, removed, ────┘
///   ▼                             cannot apply
///  LEARNER (follower that is no voter: never starts (1))
/// ```
/// Not callbacks but step() and take_ready(): the order between disk and network is then data that a test can see, a
/// simulator can break at every point, and the shell cannot get wrong by accident. No clock, no I/O, no threads.
/// All indexes and terms are checked when they come from outside; what only a defect could bring about is asserted by
/// check_invariants(), which runs after each step in production too.
class core {
public:
  core(options opts, const restored_state& start);

  /// Never fails: refusals come back in ready::outcomes, nonsense from peers is dropped and counted.
  void step(event ev);
  /// Everything to be done since the last call.
  [[nodiscard]] ready take_ready();

  void check_invariants() const;
  /// Several lines for status and goldens.
  [[nodiscard]] std::string dump() const;

  [[nodiscard]] raft_id id() const { return id_; }
  [[nodiscard]] RaftRole role() const;
  [[nodiscard]] term_number term() const { return term_; }
  [[nodiscard]] raft_id voted_for() const { return voted_for_; }
  [[nodiscard]] raft_id leader_id() const { return leader_id_; }
  [[nodiscard]] log_index commit_index() const { return commit_index_; }
  [[nodiscard]] log_index last_applied() const { return last_applied_; }
  [[nodiscard]] const raft_log& log() const { return log_; }
  [[nodiscard]] const Membership& membership() const { return membership_; }
  [[nodiscard]] const configuration& config() const { return config_; }
  [[nodiscard]] const progress_map& followers() const { return progress_; }
  /// Leader: itself and whoever it has heard of within an election timeout. Others: nobody.
  [[nodiscard]] std::vector<raft_id> active() const;
  [[nodiscard]] bool transferring() const { return leader_ && leader_->transferee != 0; }
  /// Messages that made no sense: wrong recipient, malformed, from removed members.
  [[nodiscard]] std::uint64_t dropped_messages() const { return dropped_messages_; }
  /// So many of the coming ticks, at most `limit`, will only be counted, if nothing else happens meanwhile: whoever makes
  /// the ticks may make them up later, all at once.
  [[nodiscard]] std::uint64_t quiet_ticks(std::uint64_t limit) const;
  [[nodiscard]] bool apply_stalled() const { return apply_stalled_ticks_ >= opts_.apply_stall_ticks; }

private:
  struct waiting_read {
    raft_id from = 0;         ///< 0 = asked on this node
    std::uint64_t tag = 0;    ///< or the peer's request id
  };
  struct read_round {
    std::uint64_t context = 0;
    log_index index = 0;
    std::vector<waiting_read> reads;
  };
  struct snapshot_transfer {
    std::uint64_t snapshot_id = 0;
    SnapshotMeta meta;
    std::uint64_t next_chunk = 0;     ///< what the receiver asked for
    std::uint64_t last_activity = 0;  ///< tick
    bool reading = false;             ///< the shell is getting next_chunk
    unsigned retries = 0;
  };
  /// What only a leader has; gone with the office.
  struct leader_state {
    raft_id transferee = 0;
    std::uint64_t transfer_tag = 0;
    std::uint64_t transfer_started = 0;
    std::uint64_t last_read_context = 0;
    std::vector<waiting_read> queued_reads;     ///< for the next round, or for the term's no-op
    std::optional<read_round> round;
    log_index pending_change = 0;               ///< no membership change before this index is committed
    bool leaving = false;                       ///< our own removal is in the log: nothing may follow it
    std::size_t uncommitted_bytes = 0;
    std::map<raft_id, snapshot_transfer> snapshots;
  };
  struct incoming_snapshot {
    raft_id from = 0;
    std::uint64_t snapshot_id = 0;
    SnapshotMeta meta;
    std::uint64_t next_chunk = 0;
    bool storing = false;
    bool installing = false;   ///< the last chunk is here: the log on disk is about to be emptied
    std::optional<snapshot_write> last; ///< ... when STORE has applied what it was given before
  };
  struct write_in_flight {
    std::uint64_t sequence = 0;
    log_index last_index = 0;  ///< lowered when the log is truncated under the write
    term_number term = 0;      ///< of the hard state as of this write
    std::uint64_t started = 0; ///< tick
  };
  struct forwarded_read {
    std::uint64_t tag = 0;
    std::uint64_t deadline = 0;
  };

  // raft_core.cpp
  void on_tick();
  void on_persisted(std::uint64_t sequence);
  void on_applied(log_index index);
  void watch_apply();
  void watch_disk();
  void compact();
  void fill_write(ready& out);
  void fill_committed(ready& out);
  [[nodiscard]] HardState hard_state() const;
  [[nodiscard]] bool term_is_persisted() const { return persisted_term_ == term_; }
  RaftMessage message_to(raft_id to) const;
  /// For what promises nothing beyond the term: leaves at once when the term is on disk.
  void send(RaftMessage message);
  void send_after_persist(RaftMessage message);
  void finish(outcome::of kind, std::uint64_t tag, failure error, log_index index = 0, term_number term = 0);
  void note_leadership();

  // election.cpp
  void on_message(RaftMessage& message);
  bool accept_term(const RaftMessage& message);
  void answer_old_term(const RaftMessage& message);
  void on_request_vote(const RaftMessage& message);
  void give_way(const RaftMessage& message);
  void on_request_vote_reply(const RaftMessage& message);
  void on_timeout_now(const RaftMessage& message);
  void on_link_lost(raft_id peer);
  void on_was_paused();
  void become_follower(term_number term, raft_id leader);
  void become_leader();
  void campaign(bool pre_vote, bool leadership_transfer);
  void ask_for_votes(bool pre_vote, bool leadership_transfer);
  void count_votes();
  void leave_office();
  void reset_election_timer();
  [[nodiscard]] bool promotable() const;
  [[nodiscard]] bool alone() const;
  [[nodiscard]] vote_result tally() const;
  void check_quorum();

  // transfer.cpp
  void on_transfer(const transfer& ev);
  void start_transfer(raft_id target, std::uint64_t tag);
  void continue_transfer(raft_id follower);
  void end_transfer(failure error);
  [[nodiscard]] raft_id best_successor() const;

  // replication.cpp
  void on_propose(propose& ev);
  void append_own(EntryType type, std::string data, const std::uint64_t* tag, outcome::of kind);
  void on_append_entries(RaftMessage& message);
  [[nodiscard]] bool makes_sense(const AppendEntries& append) const;
  void take_entries(AppendEntries& append);
  void on_append_entries_reply(const RaftMessage& message);
  void on_heartbeat(const RaftMessage& message);
  void on_heartbeat_reply(const RaftMessage& message);
  void send_appends();
  bool send_append(raft_id to, progress& follower, bool even_if_empty);
  void send_heartbeats();
  void send_heartbeat(raft_id to, const progress& follower);
  void truncate_log(log_index from);
  void commit_by_counting();
  void commit_to(log_index index);

  // membership.cpp
  void on_change_member(const change_member& ev);
  failure change(const change_member& ev, const std::uint64_t* tag);
  [[nodiscard]] failure plan_change(const change_member& ev, Membership& out) const;
  [[nodiscard]] bool quorum_survives_without(raft_id id) const;
  void apply_membership(const Membership& membership);
  void adopt_membership(const Membership& membership);
  void promote_learners();
  void ask_whether_removed();
  void note_own_removal(const Entry& entry);
  [[nodiscard]] bool is_removed(raft_id id) const;

  // read_index.cpp
  void on_read(const read& ev);
  void on_forward_read_index(const RaftMessage& message);
  void on_read_index_reply(const RaftMessage& message);
  void start_read_round();
  void confirm_reads();
  void answer_read(const waiting_read& waiting, log_index index);
  void refuse_read(const waiting_read& waiting);
  void serve_applied_reads();
  void expire_forwarded_reads();
  void drop_forwarded_reads();
  [[nodiscard]] bool committed_in_term() const { return log_.term_at(commit_index_) == term_; }

  // snapshotting.cpp
  void start_snapshot(raft_id to, progress& follower);
  void on_snapshot_chunk_read(snapshot_chunk_read& ev);
  void on_snapshot_read_failed(raft_id peer);
  void on_install_snapshot(RaftMessage& message);
  void on_install_snapshot_reply(const RaftMessage& message);
  void on_snapshot_chunk_stored(const snapshot_chunk_stored& ev);
  void reply_install(raft_id to, std::uint64_t snapshot_id, std::uint64_t next_chunk, bool installed, bool refused);
  void retry_snapshots();
  void install_when_applied();
  void restore(const SnapshotMeta& meta);

  options opts_;
  raft_id id_;
  random_source rng_;
  std::uint64_t now_ = 0; ///< ticks since start

  // persistent
  term_number term_ = 0;
  raft_id voted_for_ = 0;
  raft_log log_;

  // every role
  log_index commit_index_ = 0;
  log_index handed_out_ = 0;   ///< given to STORE
  log_index last_applied_ = 0; ///< STORE has done it
  std::size_t applying_bytes_ = 0;
  Membership membership_;
  configuration config_;
  bool removed_ = false;       ///< by a committed membership, or told so
  enum class office : std::uint8_t { follower, pre_candidate, candidate, leader } office_ = office::follower;
  raft_id leader_id_ = 0;
  unsigned election_elapsed_ = 0;
  unsigned heartbeat_elapsed_ = 0;
  unsigned election_timeout_ = 0; ///< drawn anew for each wait
  std::map<raft_id, bool> votes_;
  bool own_vote_unsaved_ = false; ///< a candidate's vote for itself counts when it is on disk
  progress_map progress_;
  std::optional<leader_state> leader_;
  std::optional<incoming_snapshot> incoming_;

  // reads asked on this node
  std::uint64_t next_request_id_ = 0;
  std::map<std::uint64_t, forwarded_read> forwarded_;
  std::multimap<log_index, std::uint64_t> reads_to_apply_;

  // writes
  std::uint64_t last_sequence_ = 0;
  std::uint64_t persisted_sequence_ = 0;
  std::deque<write_in_flight> in_flight_;
  log_index unsaved_from_ = 1; ///< first entry that no ready has carried
  log_index stable_index_ = 0; ///< on disk up to here
  HardState saved_;            ///< as of the last ready
  term_number persisted_term_ = 0;
  log_index truncate_before_ = 0;
  log_index membership_index_ = 0; ///< of the last membership that is known to be committed

  std::uint64_t dropped_messages_ = 0;
  std::uint64_t apply_stalled_ticks_ = 0;
  bool disk_transfer_tried_ = false;
  bool appends_due_ = false;
  LeadershipChanged told_;
  mutable log_index checked_commit_ = 0;  ///< check_invariants compares with the step before
  mutable term_number checked_term_ = 0;
  ready out_;
};

} // namespace swarm::raft
