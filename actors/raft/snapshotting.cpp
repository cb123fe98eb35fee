// Snapshots: the bookkeeping of chunks on both sides. The data is the shell's.
#include <algorithm>

#include "actors/raft/raft_core.hpp"
#include "runtime/check.hpp"

namespace swarm::raft {

namespace {
constexpr unsigned max_snapshot_retries = 10; // in election timeouts without any answer
} // namespace

// -- sender: one chunk at a time, the next one when the receiver has asked for it ---------------------------------------

void core::start_snapshot(raft_id to, progress& follower) {
  if (now_ - follower.last_contact > opts_.election_ticks) {
    follower.paused = true; // reading a snapshot for someone who does not answer would only cost
    return;
  }
  follower.become_snapshot();
  auto& transfer = leader_->snapshots[to];
  transfer = {};
  transfer.last_activity = now_;
  transfer.reading = true;
  out_.snapshot_reads.push_back({to, 0, 0});
}

void core::on_snapshot_chunk_read(snapshot_chunk_read& ev) {
  if (!leader_)
    return;
  const auto it = leader_->snapshots.find(ev.peer);
  if (it == leader_->snapshots.end())
    return;
  auto& transfer = it->second;
  const bool opening = transfer.snapshot_id == 0;
  if (!transfer.reading || ev.chunk != transfer.next_chunk || (!opening && ev.snapshot_id != transfer.snapshot_id))
    return; // an answer to a question that is no longer asked
  transfer.reading = false;
  if (opening) {
    SWARM_CHECK(ev.snapshot_id != 0 && ev.meta.last_included_index() <= last_applied_);
    transfer.snapshot_id = ev.snapshot_id;
    transfer.meta = ev.meta;
  }
  transfer.last_activity = now_;
  auto message = message_to(ev.peer);
  auto& install = *message.mutable_install_snapshot();
  *install.mutable_meta() = transfer.meta;
  install.set_snapshot_id(transfer.snapshot_id);
  install.set_chunk(ev.chunk);
  install.set_last(ev.last);
  install.set_data(std::move(ev.data));
  install.set_chain_sha256(std::move(ev.chain_sha256));
  send(std::move(message));
}

void core::on_snapshot_read_failed(raft_id peer) {
  if (!leader_ || leader_->snapshots.erase(peer) == 0)
    return;
  if (const auto it = progress_.find(peer); it != progress_.end()) {
    it->second.become_probe();
    it->second.paused = true; // until it answers a heartbeat
  }
}

void core::on_install_snapshot_reply(const RaftMessage& message) {
  const auto it = progress_.find(message.from());
  if (!leader_ || it == progress_.end())
    return;
  auto& follower = it->second;
  follower.recent_active = true;
  follower.last_contact = now_;
  const auto at = leader_->snapshots.find(message.from());
  const auto& reply = message.install_snapshot_reply();
  if (at == leader_->snapshots.end() || at->second.snapshot_id != reply.snapshot_id())
    return;
  auto& transfer = at->second;
  transfer.last_activity = now_;
  transfer.retries = 0;
  if (reply.refused())
    return on_snapshot_read_failed(message.from());
  if (reply.installed()) {
    follower.acknowledged(transfer.meta.last_included_index());
    leader_->snapshots.erase(at);
    follower.become_probe();
    return;
  }
  if (reply.next_chunk() == transfer.next_chunk)
    return; // it has not stored this one yet; if it was lost, retry_snapshots sends it again
  transfer.next_chunk = reply.next_chunk();
  transfer.reading = true;
  out_.snapshot_reads.push_back({message.from(), transfer.snapshot_id, transfer.next_chunk});
}

void core::retry_snapshots() {
  std::vector<raft_id> given_up;
  for (auto& [peer, transfer] : leader_->snapshots) {
    if (now_ - transfer.last_activity < opts_.election_ticks)
      continue;
    transfer.last_activity = now_;
    if (++transfer.retries > max_snapshot_retries) {
      given_up.push_back(peer);
      continue;
    }
    transfer.reading = true;
    out_.snapshot_reads.push_back({peer, transfer.snapshot_id, transfer.next_chunk});
  }
  for (const auto peer : given_up)
    on_snapshot_read_failed(peer);
}

// -- receiver -----------------------------------------------------------------------------------------------------------

void core::on_install_snapshot(RaftMessage& message) {
  const auto& offered = message.install_snapshot().meta();
  const bool makes_sense = offered.last_included_index() != 0 && offered.last_included_term() <= term_
                           && offered.membership().voters_size() != 0;
  if (leader_ || !makes_sense) {
    ++dropped_messages_;
    return;
  }
  if (office_ != office::follower || leader_id_ != message.from())
    become_follower(term_, message.from());
  election_elapsed_ = 0;
  auto& install = *message.mutable_install_snapshot();
  const auto& meta = install.meta();
  const auto id = install.snapshot_id();
  if (incoming_ && incoming_->installing)
    return;
  const bool have_it = meta.last_included_index() <= commit_index_
                       || log_.matches(meta.last_included_index(), meta.last_included_term());
  if (have_it) {
    commit_to(std::min(meta.last_included_index(), log_.last_index()));
    incoming_.reset();
    return reply_install(message.from(), id, 0, true, false);
  }
  if (!incoming_ || incoming_->snapshot_id != id || incoming_->from != message.from()) {
    if (install.chunk() != 0)
      return reply_install(message.from(), id, 0, false, false);
    incoming_ = incoming_snapshot{message.from(), id, meta, 0, false, false, {}};
  }
  auto& incoming = *incoming_;
  if (incoming.storing)
    return;
  if (install.chunk() != incoming.next_chunk)
    return reply_install(message.from(), id, incoming.next_chunk, false, false);
  incoming.storing = true;
  incoming.installing = install.last();
  snapshot_write write{id, meta, install.chunk(), install.last(), std::move(*install.mutable_data()),
                       std::move(*install.mutable_chain_sha256())};
  if (!incoming.installing)
    return out_.snapshot_writes.push_back(std::move(write));
  incoming.last = std::move(write);
  install_when_applied();
}

// STORE must be idle when its tables are replaced under it; nothing is handed to it from here on.
void core::install_when_applied() {
  if (incoming_ && incoming_->last && (handed_out_ == last_applied_ || opts_.bugs.snapshot_under_store)) {
    out_.snapshot_writes.push_back(std::move(*incoming_->last));
    incoming_->last.reset();
  }
}

void core::on_snapshot_chunk_stored(const snapshot_chunk_stored& ev) {
  if (!incoming_ || !incoming_->storing || incoming_->snapshot_id != ev.snapshot_id || incoming_->next_chunk != ev.chunk)
    return;
  if (incoming_->last)
    return;
  const auto incoming = *incoming_;
  if (!ev.ok) {
    incoming_.reset();
    return reply_install(incoming.from, ev.snapshot_id, 0, false, true);
  }
  if (!incoming.installing) {
    incoming_->storing = false;
    ++incoming_->next_chunk;
    return reply_install(incoming.from, ev.snapshot_id, incoming_->next_chunk, false, false);
  }
  incoming_.reset();
  restore(incoming.meta);
  reply_install(incoming.from, ev.snapshot_id, ev.chunk + 1, true, false);
}

void core::reply_install(raft_id to, std::uint64_t snapshot_id, std::uint64_t next_chunk, bool installed, bool refused) {
  auto message = message_to(to);
  auto& reply = *message.mutable_install_snapshot_reply();
  reply.set_snapshot_id(snapshot_id);
  reply.set_next_chunk(next_chunk);
  reply.set_installed(installed);
  reply.set_refused(refused);
  // "Installed" may speak of entries of the log that are still being written.
  send_after_persist(std::move(message));
}

// The disk has already switched: its tables are the snapshot's and its log is empty.
void core::restore(const SnapshotMeta& meta) {
  const auto index = meta.last_included_index();
  SWARM_CHECK(index > commit_index_);
  log_.reset(index, meta.last_included_term());
  for (auto& write : in_flight_)
    write.last_index = 0;
  unsaved_from_ = index + 1;
  stable_index_ = commit_index_ = handed_out_ = last_applied_ = index;
  applying_bytes_ = 0;
  truncate_before_ = 0;
  if (!opts_.bugs.snapshot_keeps_config) {
    adopt_membership(meta.membership());
    out_.membership = membership_;
  }
  serve_applied_reads();
}

} // namespace swarm::raft
