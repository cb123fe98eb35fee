// Defects that can be switched on in the core, so that the simulator can prove that it would notice them.
#pragma once

namespace swarm::raft {

/// For tests/sim only. Production leaves every flag false; each flag removes exactly one rule of the protocol.
struct planted_bugs {
  bool send_before_persist = false;     ///< replies leave before the disk has what they promise
  bool vote_not_persisted = false;      ///< the hard state is written without the vote
  bool lost_hard_state = false;         ///< a term learned from others is never written
  bool double_vote = false;             ///< grants a second candidate of the same term
  bool vote_ignores_log = false;        ///< grants candidates whose log is behind
  bool figure8_commit = false;          ///< commits entries of earlier terms by counting
  bool learner_in_quorum = false;       ///< learners count towards commitment
  bool self_ack_early = false;          ///< the leader counts its own copy before it is on disk
  bool small_quorum = false;            ///< half of an even group is taken for a majority in elections
  bool commit_before_append = false;    ///< a follower believes leader_commit before it has replaced what conflicts
  bool heartbeat_commit_unbounded = false; ///< heartbeats carry the leader's commit whatever the follower has
  bool accept_old_term = false;         ///< AppendEntries of a deposed leader is taken
  bool skip_log_matching = false;       ///< entries are taken without looking at prev_log_term
  bool truncate_on_append = false;      ///< every append cuts the log behind it, also a stale one
  bool conf_without_noop = false;       ///< membership changes before the term's first entry is committed
  bool many_conf_changes = false;       ///< a second membership change while one is uncommitted
  bool stale_read = false;              ///< ReadIndex without asking the quorum
  bool read_before_noop = false;        ///< ReadIndex with a commit index of an earlier leader
  bool read_before_apply = false;       ///< a read is served before its index is applied
  bool reuse_request_ids = false;       ///< forwarded reads count from 1 after each restart
  bool snapshot_keeps_config = false;   ///< a restored snapshot does not bring its membership
  bool apply_twice = false;             ///< after a leader change the last committed entry is handed out again
  bool stale_persist = false;           ///< a write that is out still counts for entries that were replaced under it
  bool snapshot_under_store = false;    ///< a snapshot is installed while STORE still applies
  bool early_own_vote = false;          ///< a candidate's vote for itself counts before it is on disk
  bool never_rewind = false;            ///< liveness: a rejected append does not lower next_index
  bool leak_inflight = false;           ///< liveness: acknowledged appends stay in the window
};

} // namespace swarm::raft
