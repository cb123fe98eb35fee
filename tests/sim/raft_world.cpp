// The event loop of the simulated cluster, and the shell around each core.
#include "tests/sim/raft_world.hpp"

#include <algorithm>

#include "actors/raft/render.hpp"
#include "runtime/check.hpp"

namespace swarm::sim {

using raft::raft_id;

namespace {

constexpr std::uint64_t events_at_once_max = 20'000;

std::string num(std::uint64_t value) { return std::to_string(value); }

bool later(const auto& a, const auto& b) { return a.at != b.at ? a.at > b.at : a.order > b.order; }

} // namespace

void raft_world::counters::operator+=(const counters& o) {
  events += o.events;
  messages += o.messages;
  faults += o.faults;
  crashes += o.crashes;
  proposed += o.proposed;
  acknowledged += o.acknowledged;
  reads += o.reads;
  reads_served += o.reads_served;
  changes += o.changes;
  snapshots += o.snapshots;
  elections += o.elections;
  committed += o.committed;
  virtual_us += o.virtual_us;
}

raft_world::counters raft_world::totals() const {
  auto out = totals_;
  out.elections = checkers_.elections();
  out.committed = checkers_.committed_entries();
  out.virtual_us = now_;
  return out;
}

raft_world::raft_world(std::uint64_t seed, raft_knobs knobs, log_mode mode, sink out, raft_host* host)
    : knobs_{std::move(knobs)}, rng_{seed ^ 0x5eedull}, mode_{mode}, out_{std::move(out)}, host_{host} {}

void raft_world::begin() {
  auto founders = std::make_shared<Membership>();
  for (unsigned i = 1; i <= knobs_.voters; ++i)
    founders->add_voters()->set_raft_id(i);
  next_id_ = knobs_.voters + 1;
  for (unsigned i = 1; i <= knobs_.voters; ++i)
    add_member(i).disk.durable().store.membership = founders;
  for (auto& [id, who] : members_)
    start(*who);
  if (host_ == nullptr)
    after(knobs_.client_us, [this] { client(); });
  after(knobs_.fault_us, [this] { nemesis(); });
  if (mode_ == log_mode::short_rows)
    after(100'000, [this] { print_row(); });
}

void raft_world::run() {
  begin();
  run_faults();
  heal();
  converge();
}

void raft_world::run_faults() {
  const auto end = knobs_.ticks * knobs_.tick_us;
  while (now_ < end && (host_ == nullptr || !host_->done()))
    run_until(host_ == nullptr ? end : std::min(end, now_ + 100'000));
}

// -- time -------------------------------------------------------------------------------------------------------------

void raft_world::after(std::uint64_t delay, std::function<void()> run) {
  queue_.push_back({now_ + delay, ++order_, std::move(run)});
  std::push_heap(queue_.begin(), queue_.end(), [](const event& a, const event& b) { return later(a, b); });
}

void raft_world::after_on(member& who, std::uint64_t delay, std::function<void(member&)> run) {
  after(delay, [this, id = who.id, life = who.life, run = std::move(run)]() mutable {
    auto* const target = find(id);
    if (target == nullptr || target->life != life || !target->core)
      return;
    if (target->frozen_until > now_)
      return after_on(*target, target->frozen_until - now_, std::move(run));
    run(*target);
  });
}

void raft_world::run_until(std::uint64_t end) {
  while (!queue_.empty() && queue_.front().at <= end) {
    std::pop_heap(queue_.begin(), queue_.end(), [](const event& a, const event& b) { return later(a, b); });
    auto next = std::move(queue_.back());
    queue_.pop_back();
    if (next.at / 1'000 != now_ / 1'000)
      events_at_once_ = 0;
    now_ = next.at;
    ++totals_.events;
    if (++events_at_once_ > events_at_once_max)
      throw violation{"livelock: more than " + num(events_at_once_max) + " events within a millisecond"};
    next.run();
  }
  now_ = std::max(now_, end);
}

void raft_world::trace(const char* what, std::uint64_t id, const std::function<std::string()>& text) {
  fingerprint_ = mix(fingerprint_, mix(now_, mix(static_cast<std::uint64_t>(what[0]) << 8 | static_cast<unsigned char>(what[1]), id)));
  if (mode_ == log_mode::full)
    out_(num(now_) + "us " + num(id) + ' ' + what + (text ? ' ' + text() : std::string{}));
}

// -- members ----------------------------------------------------------------------------------------------------------

raft_world::member& raft_world::add_member(raft_id id) {
  auto fresh = std::make_unique<member>();
  fresh->id = id;
  fresh->tick_us = knobs_.tick_us;
  if (knobs_.clock_skew_percent != 0)
    fresh->tick_us = std::max<std::uint64_t>(
      1'000, knobs_.tick_us * (100 + rng_.below(2 * knobs_.clock_skew_percent + 1) - knobs_.clock_skew_percent) / 100);
  return *(members_[id] = std::move(fresh));
}

raft_world::member* raft_world::find(raft_id id) {
  const auto it = members_.find(id);
  return it == members_.end() ? nullptr : it->second.get();
}

raft_checkers::disks raft_world::all_disks() const {
  raft_checkers::disks out;
  for (const auto& [id, who] : members_)
    out.emplace_back(id, &who->disk.durable());
  return out;
}

void raft_world::start(member& who) {
  ++who.life;
  const auto& disk = who.disk.durable();
  raft::restored_state state;
  state.id = who.id;
  state.hard_state = disk.hard_state;
  state.base_index = disk.base_index;
  state.base_term = disk.base_term;
  state.entries = disk.entries;
  state.applied_index = disk.store.applied_index;
  state.membership = *disk.store.membership;
  who.store = disk.store;
  who.persisted_sequence = 0;
  who.frozen_until = 0;
  who.receiving = 0;
  auto opts = knobs_.core;
  opts.seed = rng_();
  who.core = std::make_unique<raft::core>(opts, state);
  trace("start", who.id, [&] { return "term=" + num(who.core->term()) + " last=" + num(disk.last_index()); });
  who.last_tick = now_;
  after_on(who, rng_.below(who.tick_us), [this](member& m) { tick(m); });
  who.disk_fails = false;
  if (host_ != nullptr)
    host_->started(who.id, who.store.applied_index);
  perform(who, who.core->take_ready());
}

void raft_world::crash(member& who) {
  if (!who.core)
    return;
  ++totals_.crashes;
  trace("crash", who.id);
  ++who.life;
  who.core.reset();
  who.disk.crash(rng_);
  who.held.clear();
  who.to_apply.clear();
  who.waiting.clear();
  who.reads.clear();
  who.snapshots.clear();
  if (host_ != nullptr)
    host_->crashed(who.id);
  // Often a supervisor starts it again at once; else the nemesis does, some day.
  if (!who.retired && rng_.chance(50))
    after(1 + rng_.below(200'000), [this, id = who.id, life = who.life] {
      if (auto* const again = find(id); again->life == life && !again->core && !again->retired
                                                    && again->no_start_before <= now_)
        start(*again);
    });
}

void raft_world::tick(member& who) {
  const auto life = who.life;
  if (now_ - who.last_tick > who.tick_us * knobs_.core.election_ticks / 2)
    step(who, raft::was_paused{});
  if (who.life != life)
    return;
  who.last_tick = now_;
  after_on(who, who.tick_us, [this](member& m) { tick(m); });
  step(who, raft::tick{});
}

void raft_world::step(member& who, raft::event what) {
  auto& core = *who.core;
  const auto commit_before = core.commit_index();
  const bool led_before = core.role() == RAFT_ROLE_LEADER;
  const auto config_before = led_before ? core.config() : raft::configuration{};
  const auto role_before = core.role();
  const auto term_before = core.term();
  core.step(std::move(what));
  auto work = core.take_ready();
  if (!work.entries.empty())
    checkers_.on_write(who.id, work.entries,
                       core.log().term_at(work.entries.front()->log_index() - 1).value_or(0));
  if (core.commit_index() != commit_before || core.role() == RAFT_ROLE_LEADER)
    checkers_.after_step(core, commit_before, led_before, config_before, all_disks());
  if (role_before != core.role() || term_before != core.term())
    trace("role", who.id, [&] { return raft::render(core.role()) + " term=" + num(core.term()); });
  if (host_ != nullptr && (role_before != core.role() || term_before != core.term()))
    host_->role_changed(who.id);
  if (core.commit_index() != commit_before)
    trace("commit", who.id, [&] { return num(core.commit_index()); });
  perform(who, std::move(work));
}

// Of those within (above, up_to] nobody here will hear what became of them.
void raft_world::lose_waiting(member& who, raft::log_index above, raft::log_index up_to) {
  for (auto it = who.waiting.upper_bound(above); it != who.waiting.end() && it->first <= up_to; it = who.waiting.erase(it))
    tell_write(who, it->second.tag, {errc::commit_unknown, "leadership was lost before the change was committed"});
}

void raft_world::tell_write(const member& who, std::uint64_t tag, const failure& outcome) {
  if (host_ != nullptr)
    host_->write_done(who.id, tag, outcome);
}

bool raft_world::crash_point(member& who) {
  if (healing_ || knobs_.crash_point_ppm == 0 || rng_.below(1'000'000) >= knobs_.crash_point_ppm)
    return false;
  crash(who);
  return true;
}

bool raft_world::perform(member& who, raft::ready work) {
  if (crash_point(who))
    return false;
  if (work.sequence != 0) {
    disk_write write;
    write.sequence = work.sequence;
    write.hard_state = std::move(work.hard_state);
    write.entries = std::move(work.entries);
    write.truncate_before = work.truncate_before;
    trace("write", who.id, [&] {
      return '#' + num(write.sequence) + " entries=" + num(write.entries.size())
             + (write.hard_state ? " term=" + num(write.hard_state->term()) + " vote=" + num(write.hard_state->voted_for()) : "");
    });
    who.disk.write(std::move(write));
    start_sync(who);
  }
  for (auto& message : work.messages_now) {
    if (crash_point(who))
      return false;
    send(who, message);
  }
  for (const auto& done : work.outcomes)
    finish_outcome(who, done);
  if (work.leadership && work.leadership->role() != RAFT_ROLE_LEADER)
    lose_waiting(who, who.core->commit_index(), ~raft::log_index{0});
  if (!work.committed.empty()) {
    who.to_apply.push_back(std::move(work.committed));
    if (who.to_apply.size() == 1)
      start_apply(who);
  }
  if (!work.messages_after_persist.empty()) {
    who.held.push_back({work.release_after, std::move(work.messages_after_persist)});
    if (!release(who))
      return false;
  }
  for (const auto& wanted : work.snapshot_reads)
    read_snapshot(who, wanted);
  for (const auto& chunk : work.snapshot_writes)
    store_chunk(who, chunk);
  if (work.removed && !who.retired) {
    trace("retired", who.id);
    who.retired = true;
    crash(who);
    return false;
  }
  return true;
}

// Sends what was waiting for the disk.
bool raft_world::release(member& who) {
  while (!who.held.empty() && who.held.front().release_after <= who.persisted_sequence) {
    const auto batch = std::move(who.held.front());
    who.held.pop_front();
    for (const auto& message : batch.messages) {
      if (crash_point(who))
        return false;
      send(who, message);
    }
  }
  return true;
}

// -- disk and store -----------------------------------------------------------------------------------------------------

void raft_world::start_sync(member& who) {
  if (!who.disk.start_sync())
    return;
  const bool slow = who.slow_disk_until > now_;
  after_on(who, 1 + rng_.below(slow ? 1'500'000 : knobs_.sync_us_max), [this](member& m) { finish_sync(m); });
}

void raft_world::finish_sync(member& who) {
  if (who.disk_fails) { // as in production: the log cannot be written, so the manager stops
    crash(who);
    return;
  }
  const auto life = who.life;
  for (auto& write : who.disk.finish_sync()) {
    if (write.install_snapshot) {
      who.store = *write.store;
      ++totals_.snapshots;
      trace("install", who.id, [&] { return num(who.store.applied_index); });
      checkers_.on_snapshot_installed(who.id, who.store);
      if (host_ != nullptr) {
        host_->installed(who.id, who.store.applied_index);
        lose_waiting(who, 0, who.store.applied_index);
      }
      step(who, raft::snapshot_chunk_stored{write.snapshot_id, write.chunk, true});
    } else if (write.sequence != 0) {
      who.persisted_sequence = write.sequence;
      if (!release(who))
        return;
      step(who, raft::persisted{write.sequence});
    }
    if (who.life != life)
      return;
  }
  start_sync(who);
}

void raft_world::start_apply(member& who) {
  const bool slow = who.slow_apply_until > now_;
  after_on(who, 1 + rng_.below(slow ? 1'500'000 : knobs_.apply_us_max), [this](member& m) { finish_apply(m); });
}

void raft_world::finish_apply(member& who) {
  const auto entries = std::move(who.to_apply.front());
  who.to_apply.pop_front();
  if (!who.to_apply.empty())
    start_apply(who);
  for (const auto& entry : entries) {
    const auto index = entry->log_index();
    if (index != who.store.applied_index + 1)
      throw violation{"apply order: member " + num(who.id) + " applies " + num(index) + " after " + num(who.store.applied_index)};
    who.store.applied_index = index;
    who.store.applied_term = entry->term();
    who.store.digest = mix(mix(who.store.digest, index), hash_of(*entry));
    if (entry->type() == ENTRY_TYPE_CONFIGURATION) {
      auto membership = std::make_shared<Membership>();
      SWARM_CHECK(membership->ParseFromString(entry->data()));
      who.store.membership = std::move(membership);
    }
    checkers_.on_apply(who.id, *entry, who.store.digest);
    if (host_ != nullptr)
      host_->applied(who.id, *entry);
    const auto it = who.waiting.find(index);
    if (it == who.waiting.end())
      continue;
    if (it->second.term == entry->term()) {
      checkers_.on_acknowledged(index, entry->term());
      ++totals_.acknowledged;
      if (healing_)
        healed_write_ = std::max(healed_write_, index);
    }
    tell_write(who, it->second.tag,
               it->second.term == entry->term() ? failure{} : failure{errc::not_leader, "leadership was lost and the change was not made"});
    who.waiting.erase(it);
  }
  trace("apply", who.id, [&] { return num(who.store.applied_index); });
  disk_write save;
  save.store = who.store;
  who.disk.write(std::move(save));
  step(who, raft::applied{who.store.applied_index});
}

void raft_world::finish_outcome(member& who, const raft::outcome& what) {
  trace("outcome", who.id, [&] { return raft::render(what); });
  switch (what.kind) {
    case raft::outcome::of::proposal:
      if (what.error.ok())
        who.waiting[what.index] = {what.tag, what.term};
      else
        tell_write(who, what.tag, what.error);
      break;
    case raft::outcome::of::change:
      if (what.error.ok())
        ++totals_.changes;
      break;
    case raft::outcome::of::read: {
      const auto it = who.reads.find(what.tag);
      if (it == who.reads.end())
        break;
      if (what.error.ok()) {
        ++totals_.reads_served;
        checkers_.on_read(who.id, it->second, who.store.applied_index);
      }
      who.reads.erase(it);
      if (host_ != nullptr)
        host_->read_done(who.id, what.tag, what.error);
      break;
    }
    case raft::outcome::of::transfer:
      break;
  }
}

void raft_world::read_snapshot(member& who, const raft::snapshot_read& wanted) {
  after_on(who, 1 + rng_.below(knobs_.sync_us_max), [this, wanted](member& m) {
    auto id = wanted.snapshot_id;
    if (id == 0) {
      id = rng_() | 1;
      if (m.snapshots.size() >= 3)
        m.snapshots.erase(m.snapshots.begin());
      m.snapshots[id] = m.store;
    }
    const auto it = m.snapshots.find(id);
    const auto chunks = 1 + id % knobs_.snapshot_chunks_max;
    if (it == m.snapshots.end() || wanted.chunk >= chunks)
      return step(m, raft::snapshot_read_failed{wanted.peer});
    raft::snapshot_chunk_read chunk;
    chunk.peer = wanted.peer;
    chunk.snapshot_id = id;
    chunk.meta.set_last_included_index(it->second.applied_index);
    chunk.meta.set_last_included_term(it->second.applied_term);
    *chunk.meta.mutable_membership() = *it->second.membership;
    chunk.chunk = wanted.chunk;
    chunk.last = wanted.chunk + 1 == chunks;
    chunk.data = num(it->second.digest);
    chunk.chain_sha256 = num(mix(it->second.digest, wanted.chunk));
    step(m, std::move(chunk));
  });
}

void raft_world::store_chunk(member& who, const raft::snapshot_write& chunk) {
  if (chunk.chunk == 0) {
    who.receiving = chunk.snapshot_id;
    who.received_chunks = 0;
  }
  SWARM_CHECK(who.receiving == chunk.snapshot_id && who.received_chunks == chunk.chunk, "chunks out of order");
  const auto digest = std::stoull(chunk.data);
  const bool ok = !rng_.chance(healing_ ? 0 : knobs_.corrupt_chunk_percent)
                  && chunk.chain_sha256 == num(mix(digest, chunk.chunk));
  ++who.received_chunks;
  if (!chunk.last || !ok) {
    after_on(who, 1 + rng_.below(knobs_.sync_us_max), [this, id = chunk.snapshot_id, n = chunk.chunk, ok](member& m) {
      step(m, raft::snapshot_chunk_stored{id, n, ok});
    });
    return;
  }
  SWARM_CHECK(who.to_apply.empty(), "a snapshot replaces tables that STORE is working on");
  disk_write install;
  install.install_snapshot = true;
  install.snapshot_id = chunk.snapshot_id;
  install.chunk = chunk.chunk;
  store_image store;
  store.applied_index = chunk.meta.last_included_index();
  store.applied_term = chunk.meta.last_included_term();
  store.digest = digest;
  store.membership = std::make_shared<Membership>(chunk.meta.membership());
  install.store = std::move(store);
  who.disk.write(std::move(install));
  start_sync(who);
}

// -- network ------------------------------------------------------------------------------------------------------------

void raft_world::send(member& from, const RaftMessage& message) {
  ++totals_.messages;
  checkers_.on_send(message, from.disk.durable());
  trace("send", from.id, [&] { return raft::render(message); });
  if (cuts_.contains({message.from(), message.to()}))
    return;
  auto shared = std::make_shared<const RaftMessage>(message);
  if (knobs_.replay != 0 && !healing_) {
    auto& kept = old_messages_[message.body_case()];
    if (kept.size() < 16 || rng_.chance(5)) {
      if (kept.size() >= 16)
        kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(rng_.below(kept.size())));
      kept.push_back(shared);
    }
  }
  unsigned copies = 1;
  if (!healing_) {
    if (rng_.chance(knobs_.drop_percent))
      return;
    if (rng_.chance(knobs_.duplicate_percent))
      copies = 2;
  }
  for (; copies > 0; --copies) {
    auto delay = rng_.between(knobs_.delay_us_min, knobs_.delay_us_max);
    if (!healing_ && rng_.chance(knobs_.slow_percent))
      delay += rng_.below(1'000'000);
    after(delay, [this, shared] { deliver(shared); });
  }
}

void raft_world::deliver(const std::shared_ptr<const RaftMessage>& message) {
  auto* const to = find(message->to());
  if (to == nullptr || !to->core || cuts_.contains({message->from(), message->to()}))
    return;
  if (to->frozen_until > now_)
    return after(to->frozen_until - now_, [this, message] { deliver(message); });
  trace("recv", to->id, [&] { return raft::render(*message); });
  step(*to, raft::received{*message});
}

// -- for the host ---------------------------------------------------------------------------------------------------------

void raft_world::after_on(raft_id id, std::uint64_t delay, std::function<void()> run) {
  if (auto* const who = find(id); who != nullptr && who->core)
    after_on(*who, delay, [run = std::move(run)](member&) { run(); });
}

std::vector<raft_id> raft_world::managers() const {
  std::vector<raft_id> out;
  for (const auto& [id, who] : members_)
    if (!who->retired)
      out.push_back(id);
  return out;
}

const raft::core* raft_world::core_of(raft_id id) const {
  const auto it = members_.find(id);
  return it == members_.end() ? nullptr : it->second->core.get();
}

bool raft_world::is_frozen(raft_id id) const {
  const auto it = members_.find(id);
  return it != members_.end() && it->second->frozen_until > now_;
}

void raft_world::propose(raft_id id, std::uint64_t tag, std::string data) {
  ++totals_.proposed;
  raft::propose batch;
  batch.batch.push_back({tag, std::move(data)});
  step(*find(id), std::move(batch));
}

void raft_world::read(raft_id id, std::uint64_t tag) {
  ++totals_.reads;
  auto& who = *find(id);
  who.reads[tag] = checkers_.highest_acknowledged();
  step(who, raft::read{tag});
}

// -- reports ------------------------------------------------------------------------------------------------------------

void raft_world::print_row() {
  std::string row = num(now_ / 1000) + "ms";
  for (const auto& [id, who] : members_) {
    row += " | " + num(id);
    if (who->retired) {
      row += "x";
      continue;
    }
    if (!who->core) {
      row += "-";
      continue;
    }
    static constexpr char letters[] = "fpcLl";
    row += letters[who->core->role()];
    if (who->frozen_until > now_)
      row += '*';
    row += " t" + num(who->core->term()) + ' ' + num(who->core->log().first_index()) + ".." + num(who->core->log().last_index())
           + " c" + num(who->core->commit_index()) + " a" + num(who->store.applied_index);
  }
  if (!cuts_.empty())
    row += " | cuts=" + num(cuts_.size());
  out_(row);
  after(100'000, [this] { print_row(); });
}

std::string raft_world::dump() const {
  std::string out = "at " + num(now_) + "us\n";
  for (const auto& [id, who] : members_)
    out += who->core ? who->core->dump() : "raft " + num(id) + (who->retired ? " removed\n" : " down\n");
  for (const auto& [from, to] : cuts_)
    out += "cut " + num(from) + ">" + num(to) + '\n';
  return out;
}

} // namespace swarm::sim
