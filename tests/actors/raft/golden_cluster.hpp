// A handful of cores on one thread, driven command by command; what happens is written down for golden files.
#pragma once

#include <algorithm>
#include <cctype>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "actors/raft/raft_core.hpp"
#include "actors/raft/render.hpp"
#include "tests/support/datadriven.hpp"

namespace swarm::raft {

/// Writes and applies happen at once unless held; messages wait in one queue until they are delivered.
class golden_cluster {
public:
  /// Commands, see tests/README.md: add-nodes, new-node, tick, silence, deliver, stabilize, drop, cut, heal, propose,
  /// change, read, transfer, link-lost, hold-disk, release-disk, hold-apply, release-apply, crash, restart, state, log.
  std::string run(const test::golden_case& c) {
    out_.clear();
    quiet_ = std::find(c.words.begin(), c.words.end(), "quiet") != c.words.end();
    dispatch(c);
    return out_.empty() ? "ok\n" : out_;
  }

private:
  struct node {
    restored_state disk;
    std::unique_ptr<core> member;
    std::deque<ready> writes;    ///< held
    std::uint64_t persisted = 0;
    std::deque<std::pair<std::uint64_t, std::vector<RaftMessage>>> held_messages;
    std::vector<log_index> to_apply;
    bool disk_held = false;
    bool apply_held = false;
    RaftRole told = RAFT_ROLE_FOLLOWER;
    term_number told_term = 0;
    log_index told_commit = 0;
  };

  static std::string num(std::uint64_t value) { return std::to_string(value); }
  static raft_id id_of(const test::golden_case& c, std::size_t at = 0) {
    const bool number = at < c.words.size() && std::isdigit(static_cast<unsigned char>(c.words[at][0])) != 0;
    return number ? std::stoull(c.words[at]) : 0;
  }
  static std::uint64_t arg(const test::golden_case& c, const char* name, std::uint64_t otherwise) {
    const auto it = c.args.find(name);
    return it == c.args.end() ? otherwise : std::stoull(it->second);
  }
  void say(const std::string& line) {
    if (!quiet_)
      out_ += line + '\n';
  }

  void dispatch(const test::golden_case& c) {
    const auto id = id_of(c);
    if (c.cmd == "add-nodes")
      return add_nodes(c);
    if (c.cmd == "new-node")
      return add(id, {});
    if (c.cmd == "deliver")
      return deliver(c);
    if (c.cmd == "stabilize")
      return stabilize();
    if (c.cmd == "drop")
      return drop();
    if (c.cmd == "cut")
      return (void)(cuts_.insert({id, id_of(c, 1)}), cuts_.insert({id_of(c, 1), id}));
    if (c.cmd == "heal")
      return cuts_.clear();
    if (c.cmd == "crash")
      return crash(id);
    if (c.cmd == "restart")
      return start(id);
    auto& n = nodes_.at(id);
    if (c.cmd == "tick")
      for (auto left = arg(c, "count", 1); left > 0; --left)
        pass_a_tick(id);
    else if (c.cmd == "silence")
      silence(id);
    else if (c.cmd == "propose")
      step(id, propose{{{arg(c, "tag", ++tag_), c.words.size() > 1 && c.words[1] != "quiet" ? c.words[1] : "x"}}});
    else if (c.cmd == "change")
      change(c);
    else if (c.cmd == "read")
      step(id, read{arg(c, "tag", ++tag_)});
    else if (c.cmd == "transfer")
      step(id, transfer{arg(c, "tag", ++tag_), id_of(c, 1)});
    else if (c.cmd == "link-lost")
      step(id, link_lost{id_of(c, 1)});
    else if (c.cmd == "hold-disk")
      n.disk_held = true;
    else if (c.cmd == "release-disk")
      release_disk(id);
    else if (c.cmd == "hold-apply")
      n.apply_held = true;
    else if (c.cmd == "release-apply")
      release_apply(id);
    else if (c.cmd == "state")
      out_ += n.member->dump();
    else if (c.cmd == "log")
      for (auto i = n.member->log().first_index(); i <= n.member->log().last_index(); ++i)
        out_ += render(*n.member->log().at(i)) + (n.member->log().at(i)->type() == ENTRY_TYPE_COMMAND ? ' ' + n.member->log().at(i)->data() : "") + '\n';
    else
      out_ = "unknown command " + c.cmd + '\n';
  }

  void add_nodes(const test::golden_case& c) {
    nodes_.clear();
    queue_.clear();
    cuts_.clear();
    opts_.seed = arg(c, "seed", 1);
    opts_.keep_entries = arg(c, "keep", opts_.keep_entries);
    opts_.compaction_batch = arg(c, "batch", opts_.compaction_batch);
    opts_.max_append_bytes = arg(c, "append_bytes", opts_.max_append_bytes);
    opts_.promote_lag_entries = arg(c, "promote_lag", opts_.promote_lag_entries);
    chunks_ = arg(c, "chunks", 2);
    Membership founders;
    for (raft_id id = 1; id <= id_of(c); ++id)
      founders.add_voters()->set_raft_id(id);
    for (raft_id id = 1; id <= id_of(c); ++id)
      add(id, founders);
  }
  void add(raft_id id, const Membership& membership) {
    nodes_[id].disk.id = id;
    nodes_[id].disk.membership = membership;
    start(id);
  }
  void start(raft_id id) {
    auto& n = nodes_[id];
    auto opts = opts_;
    opts.seed += id;
    n.member = std::make_unique<core>(opts, n.disk);
    n.told = n.member->role();
    n.told_term = n.member->term();
    n.told_commit = n.member->commit_index();
    n.persisted = 0;
    perform(id, n.member->take_ready());
  }
  /// What was not on disk is gone.
  void crash(raft_id id) {
    auto& n = nodes_.at(id);
    n.member.reset();
    n.writes.clear();
    n.held_messages.clear();
    n.to_apply.clear();
    n.disk_held = n.apply_held = false;
  }
  /// A tick that was called quiet is one.
  void pass_a_tick(raft_id id) {
    auto& n = nodes_.at(id);
    if (!n.member || n.member->quiet_ticks(1) == 0)
      return step(id, tick{});
    n.member->step(tick{});
    auto work = n.member->take_ready();
    EXPECT_TRUE(work.empty()) << "node " << id << " called this tick quiet:\n" << n.member->dump();
    perform(id, std::move(work));
  }
  void silence(raft_id id) {
    const auto before = nodes_.at(id).member->role();
    for (int i = 0; i < 100 && nodes_.at(id).member->role() == before; ++i)
      step(id, tick{});
  }
  void change(const test::golden_case& c) {
    static const std::map<std::string, member_change> kinds{{"add_learner", member_change::add_learner},
                                                            {"promote", member_change::promote},
                                                            {"remove", member_change::remove},
                                                            {"update_address", member_change::update_address}};
    change_member ev;
    ev.tag = arg(c, "tag", ++tag_);
    ev.kind = kinds.at(c.words.at(1));
    ev.member.set_raft_id(id_of(c, 2));
    step(id_of(c), std::move(ev));
  }

  void step(raft_id id, event ev) {
    auto& n = nodes_.at(id);
    if (!n.member)
      return;
    n.member->step(std::move(ev));
    perform(id, n.member->take_ready());
  }
  void perform(raft_id id, ready work) {
    auto& n = nodes_.at(id);
    report(id, work);
    for (auto& message : work.messages_now)
      post(std::move(message));
    if (!work.messages_after_persist.empty())
      n.held_messages.emplace_back(work.release_after, std::move(work.messages_after_persist));
    for (const auto& entry : work.committed)
      n.to_apply.push_back(entry->log_index());
    const auto reads = std::move(work.snapshot_reads);
    const auto chunks = std::move(work.snapshot_writes);
    if (work.sequence != 0)
      n.writes.push_back(std::move(work));
    release_messages(n);
    if (!n.disk_held)
      release_disk(id);
    if (!n.apply_held)
      release_apply(id);
    for (const auto& wanted : reads)
      read_snapshot(id, wanted);
    for (const auto& chunk : chunks)
      store_chunk(id, chunk);
  }
  void report(raft_id id, const ready& work) {
    auto& n = nodes_.at(id);
    const auto role = n.member->role();
    if (role != n.told || n.member->term() != n.told_term)
      say(num(id) + ' ' + render(n.told) + " -> " + render(role) + " term=" + num(n.member->term()));
    n.told = role;
    n.told_term = n.member->term();
    if (n.member->commit_index() != n.told_commit)
      say(num(id) + " commit=" + num(n.member->commit_index()));
    n.told_commit = n.member->commit_index();
    if (work.membership)
      say(num(id) + " config " + render(n.member->config()));
    for (const auto& what : work.outcomes)
      say(num(id) + ' ' + render(what));
    if (work.removed)
      say(num(id) + " removed");
  }

  void release_messages(node& n) {
    while (!n.held_messages.empty() && n.held_messages.front().first <= n.persisted) {
      for (auto& message : n.held_messages.front().second)
        post(std::move(message));
      n.held_messages.pop_front();
    }
  }
  void release_disk(raft_id id) {
    auto& n = nodes_.at(id);
    n.disk_held = false;
    while (!n.writes.empty() && n.member) {
      const auto write = std::move(n.writes.front());
      n.writes.pop_front();
      if (write.hard_state)
        n.disk.hard_state = *write.hard_state;
      if (!write.entries.empty()) {
        n.disk.entries.resize(write.entries.front()->log_index() - n.disk.base_index - 1);
        n.disk.entries.insert(n.disk.entries.end(), write.entries.begin(), write.entries.end());
      }
      n.persisted = write.sequence;
      release_messages(n);
      step(id, persisted{write.sequence});
    }
  }
  void release_apply(raft_id id) {
    auto& n = nodes_.at(id);
    n.apply_held = false;
    if (n.to_apply.empty())
      return;
    const auto last = n.to_apply.back();
    for (const auto index : std::exchange(n.to_apply, {})) {
      const auto& entry = n.member->log().at(index);
      if (entry->type() == ENTRY_TYPE_CONFIGURATION)
        n.disk.membership.ParseFromString(entry->data());
    }
    n.disk.applied_index = last;
    step(id, applied{last});
  }

  void read_snapshot(raft_id id, const snapshot_read& wanted) {
    auto& n = nodes_.at(id);
    snapshot_chunk_read chunk;
    chunk.peer = wanted.peer;
    chunk.snapshot_id = wanted.snapshot_id != 0 ? wanted.snapshot_id : ++snapshots_;
    if (wanted.snapshot_id == 0) {
      auto& meta = metas_[chunk.snapshot_id];
      meta.set_last_included_index(n.disk.applied_index);
      meta.set_last_included_term(*n.member->log().term_at(n.disk.applied_index));
      *meta.mutable_membership() = n.disk.membership;
    }
    chunk.meta = metas_[chunk.snapshot_id];
    chunk.chunk = wanted.chunk;
    chunk.last = wanted.chunk + 1 == chunks_;
    chunk.data = "chunk";
    step(id, std::move(chunk));
  }
  void store_chunk(raft_id id, const snapshot_write& chunk) {
    auto& n = nodes_.at(id);
    say(num(id) + " stores chunk " + num(chunk.chunk) + (chunk.last ? " and switches" : ""));
    if (chunk.last) {
      n.disk.base_index = n.disk.applied_index = chunk.meta.last_included_index();
      n.disk.base_term = chunk.meta.last_included_term();
      n.disk.entries.clear();
      n.disk.membership = chunk.meta.membership();
    }
    step(id, snapshot_chunk_stored{chunk.snapshot_id, chunk.chunk, true});
  }

  void post(RaftMessage message) {
    if (!cuts_.contains({message.from(), message.to()}))
      queue_.push_back(std::move(message));
  }
  void drop() {
    for (const auto& message : queue_)
      say("lost " + render(message));
    queue_.clear();
  }
  /// Everything that is under way now, once; answers stay in the queue.
  void deliver(const test::golden_case& c) {
    const auto only = arg(c, "to", 0);
    std::deque<RaftMessage> now;
    now.swap(queue_);
    for (auto& message : now) {
      if (only != 0 && message.to() != only) {
        queue_.push_back(std::move(message));
        continue;
      }
      say(render(message));
      const auto to = message.to();
      if (nodes_.contains(to) && !cuts_.contains({message.from(), to}))
        step(to, received{std::move(message)});
    }
  }
  void stabilize() {
    for (int rounds = 0; !queue_.empty() && rounds < 1'000; ++rounds)
      deliver({});
  }

  options opts_;
  std::map<raft_id, node> nodes_;
  std::deque<RaftMessage> queue_;
  std::set<std::pair<raft_id, raft_id>> cuts_;
  std::map<std::uint64_t, SnapshotMeta> metas_;
  std::uint64_t snapshots_ = 0;
  std::uint64_t chunks_ = 2;
  std::uint64_t tag_ = 0;
  std::string out_;
  bool quiet_ = false;
};

} // namespace swarm::raft
