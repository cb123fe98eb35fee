// A group of managers in one process and in virtual time: real RAFT, STORAGE (on disk) and STORE each, and a network that
// can be cut.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "actors/raft/raft_actor.hpp"
#include "actors/storage/open_storage.hpp"
#include "actors/storage/storage_actor.hpp"
#include "actors/store/store_actor.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/builders.hpp"
#include "tests/support/temp_dir.hpp"

namespace swarm::test {

using raft::raft_id;

/// Carries messages at once, unless the way is cut.
struct group_network {
  std::map<raft_id, raft_actor> members;
  std::set<std::pair<raft_id, raft_id>> cuts;
  std::uint64_t lost = 0;
  unsigned cut_after_chunks = 0; ///< so many chunks of a snapshot go through, then their way is cut; 0 = never

  void cut(raft_id a, raft_id b) {
    cuts.insert({a, b});
    cuts.insert({b, a});
  }
};

inline raft_peers::behavior_type group_peers(raft_peers::pointer, std::shared_ptr<group_network> net) {
  return {[net](const RaftMessage& message) {
    if (message.has_install_snapshot() && net->cut_after_chunks != 0 && --net->cut_after_chunks == 0)
      net->cut(message.from(), message.to());
    const auto it = net->members.find(message.to());
    if (it == net->members.end() || net->cuts.contains({message.from(), message.to()}))
      ++net->lost;
    else
      caf::anon_send(it->second, message);
  }};
}

/// What a client was told; `done` stays false while it waits.
struct told {
  bool done = false;
  CommandResult result;
  failure error;
  [[nodiscard]] bool ok() const { return done && error.ok() && result.code() == 0; }
};

class raft_group : public actor_fixture {
protected:
  struct running {
    raft_id id = 0;
    storage_actor storage;
    store_actor store;
    raft_actor raft;
    std::shared_ptr<store::core> state;
    std::shared_ptr<LeadershipChanged> leadership = std::make_shared<LeadershipChanged>();
    std::shared_ptr<std::optional<failure>> ended = std::make_shared<std::optional<failure>>(); ///< of RAFT
    bool up = false;
  };

  temp_dir dir;
  std::shared_ptr<group_network> net = std::make_shared<group_network>();
  raft_peers peers = track(sys.spawn(group_peers, net));
  std::map<raft_id, running> managers;
  raft::raft_actor_options opts;
  std::uint64_t next_service = 0;
  std::set<std::string> acknowledged; ///< ids of services whose creation was acknowledged

  static std::string node_id(raft_id id) { return "node" + std::to_string(id); }
  static Member member(raft_id id) {
    Member out;
    out.set_raft_id(id);
    out.set_node_id(node_id(id));
    out.set_addr("10.0.0." + std::to_string(id) + ":2377");
    return out;
  }

  ~raft_group() override {
    for (auto& [id, m] : managers)
      kill(id);
  }

  /// Founders know each other from the start; a member that joins knows nobody.
  void start_founders(raft_id count) {
    for (raft_id id = 1; id <= count; ++id)
      *founders_.add_voters() = member(id);
    for (raft_id id = 1; id <= count; ++id)
      start(id);
  }
  /// Also once more after kill(). What founders know is in no log entry: like the node's own start, this gives it to them
  /// until the first membership has been applied.
  void start(raft_id id) {
    storage::open_options open;
    open.cluster_id = "cluster";
    open.node_id = node_id(id);
    open.raft_id = id;
    open.map_bytes = 64u << 20;
    open.ballast_bytes = 0;
    auto disk = storage::open_storage(dir / node_id(id), open);
    raft::restored_state from;
    from.id = disk.identity.raft_id();
    from.hard_state = disk.hard;
    from.base_index = disk.compacted.log_index();
    from.base_term = disk.compacted.term();
    for (const auto& entry : disk.entries)
      from.entries.push_back(std::make_shared<const Entry>(entry));
    from.applied_index = disk.applied.log_index();
    const auto& founders = founders_.voters();
    const bool founder = std::any_of(founders.begin(), founders.end(), [id](const Member& m) { return m.raft_id() == id; });
    from.membership = disk.membership.voters_size() == 0 && founder ? founders_ : disk.membership;
    auto& m = managers[id];
    m.id = id;
    m.state = std::make_shared<store::core>();
    disk.visit_rows([&](TableWrite::Table table, std::string_view key, std::string_view value) {
      ASSERT_TRUE(m.state->load(table, key, value).ok());
    });
    ASSERT_TRUE(m.state->loaded(disk.applied.log_index()).ok());
    storage::storage_options writer;
    writer.reader_threads = false;
    writer.disk_reserve_bytes = 0;
    m.storage = sys.spawn(storage::storage_writer, disk.storage, writer);
    m.store = sys.spawn(store::store_keeper, m.state, m.storage);
    auto mine = opts;
    mine.core.seed = 1'000 * id + 7;
    *m.leadership = {};
    m.ended->reset();
    const auto listener = track(sys.spawn([heard = m.leadership](leadership_listener::pointer) -> leadership_listener::behavior_type {
      return {[heard](const LeadershipChanged& change) { *heard = change; }};
    }));
    m.raft = sys.spawn(raft::raft_member, mine, from, m.storage, m.store, listener, peers);
    track(sys.spawn([ended = m.ended, who = m.raft](caf::event_based_actor* watcher) -> caf::behavior {
      watcher->monitor(who);
      watcher->set_down_handler([ended](const caf::down_msg& down) { *ended = to_failure(down.reason); });
      return {[](tick_atom) {}};
    }));
    net->members[id] = m.raft;
    m.up = true;
    settle();
  }
  /// As a power cut would: nothing is finished in order.
  void kill(raft_id id) {
    auto& m = managers.at(id);
    if (!m.up)
      return;
    m.up = false;
    net->members.erase(id);
    caf::anon_send_exit(m.raft, caf::exit_reason::kill);
    caf::anon_send_exit(m.store, caf::exit_reason::kill);
    caf::anon_send_exit(m.storage, caf::exit_reason::kill);
    settle();
    m.raft = raft_actor{};
    m.store = store_actor{};
    m.storage = storage_actor{};
    settle();
  }

  std::string fact(raft_id id, const std::string& name) {
    const auto answer = ask<ActorStatus>(managers.at(id).raft, ReadStatus{});
    return answer.value ? answer.value->facts().at(name) : "gone";
  }
  std::uint64_t number(raft_id id, const std::string& name) { return std::stoull(fact(id, name)); }
  bool leads(raft_id id) { return managers.at(id).up && !managers.at(id).ended->has_value() && fact(id, "role") == "leader"; }
  /// The leader of the highest term among those that run; 0 = none.
  raft_id leader() {
    raft_id best = 0;
    for (const auto& [id, m] : managers)
      if (leads(id) && (best == 0 || number(id, "term") > number(best, "term")))
        best = id;
    return best;
  }
  /// Lets time pass until `good` holds; false when it does not within `patience`.
  template <class Condition>
  bool eventually(Condition good, duration patience = seconds{10}) {
    for (; patience > duration::zero(); patience -= milliseconds{25}) {
      if (good())
        return true;
      advance(milliseconds{25}, milliseconds{25});
    }
    return good();
  }
  raft_id wait_for_leader(raft_id not_this = 0) {
    raft_id found = 0;
    EXPECT_TRUE(eventually([&] { return (found = leader()) != 0 && found != not_this; })) << "no leader";
    return found;
  }

  /// Asks without waiting; the answer appears in what is returned.
  std::shared_ptr<told> propose(raft_id id, Command what) {
    auto answer = std::make_shared<told>();
    track(sys.spawn([answer, to = managers.at(id).raft, what](caf::event_based_actor* client) {
      client->request(to, seconds{60}, what)
        .then(
          [answer](const CommandResult& result) {
            answer->result = result;
            answer->done = true;
          },
          [answer](const caf::error& err) {
            answer->error = to_failure(err);
            answer->done = true;
          });
    }));
    settle();
    return answer;
  }
  /// Creates a service; notes it when that is acknowledged.
  std::shared_ptr<told> write(raft_id id, std::size_t image_bytes = 0) {
    const auto n = ++next_service;
    auto spec = service_spec("s" + std::to_string(n));
    if (image_bytes != 0)
      (*spec.mutable_labels())["filler"] = std::string(image_bytes, 'x');
    auto answer = propose(id, create_service(nth_id(n), std::move(spec)));
    pending_.emplace_back(nth_id(n), answer);
    note_answers();
    return answer;
  }
  void write_many(raft_id id, int count, std::size_t image_bytes = 0) {
    for (int i = 0; i < count; ++i) {
      const auto answer = write(id, image_bytes);
      ASSERT_TRUE(eventually([&] { return answer->done; })) << "write " << i;
      ASSERT_TRUE(answer->ok()) << answer->error.message << answer->result.message();
    }
  }
  void note_answers() {
    std::erase_if(pending_, [&](const auto& entry) {
      if (entry.second->ok())
        acknowledged.insert(entry.first);
      return entry.second->done;
    });
  }

  /// All that run have applied the same and hold every acknowledged write.
  void expect_agreement() {
    ASSERT_TRUE(eventually([&] {
      const auto now = leader();
      if (now == 0)
        return false;
      for (const auto& [id, m] : managers)
        if (m.up && !m.ended->has_value() && m.state->applied_index() != managers.at(now).state->applied_index())
          return false;
      return true;
    })) << "they do not converge";
    note_answers();
    std::optional<std::uint64_t> digest;
    for (const auto& [id, m] : managers) {
      if (!m.up || m.ended->has_value())
        continue;
      m.state->check_invariants();
      if (!digest)
        digest = m.state->digest();
      EXPECT_EQ(*digest, m.state->digest()) << "manager " << id;
      std::set<std::string> held;
      const auto state = m.state->snapshot();
      for (const auto& service : state.services())
        held.insert(service.id());
      for (const auto& service : acknowledged)
        EXPECT_TRUE(held.contains(service)) << "manager " << id << " has lost " << service;
    }
  }

  answer<MembershipCommitted> change(raft_id at, ChangeMembership::Kind kind, raft_id who) {
    ChangeMembership request;
    request.set_kind(kind);
    *request.mutable_member() = member(who);
    return ask<MembershipCommitted>(managers.at(at).raft, request);
  }

private:
  Membership founders_;
  std::vector<std::pair<std::string, std::shared_ptr<told>>> pending_;
};

} // namespace swarm::test
