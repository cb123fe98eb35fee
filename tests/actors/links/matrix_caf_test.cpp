// The authorisation matrix over real TLS: every message type to every destination from every kind of sender that gets a link.
#include <functional>
#include <map>
#include <set>

#include "actors/links/role_table.hpp"
#include "runtime/link/send_queue.hpp"
#include "tests/actors/links/links_fixture.hpp"
#include "tests/actors/links/schema_types.hpp"
#include "tests/runtime/link/link_fixture.hpp"

namespace swarm::links::test {
namespace {

using link::test::end_point;

struct kind_of_sender {
  std::string id; ///< of its certificate; "" = none
  PeerRole certificate;
  std::optional<NodeRole> current;
};

/// What arrives at an actor that understands nothing: it is counted by type and answered with an error.
caf::actor counting_sink(caf::actor_system& system, const record_ptr<std::string>& seen) {
  return system.spawn([&system, seen](caf::event_based_actor* self) -> caf::behavior {
    self->set_default_handler([&system, seen](caf::scheduled_actor* actor, caf::message_view& view) -> caf::result<caf::message> {
      const auto token = view.content().type(0);
      seen->add(actor_registry::type_name(system, token.first, token.second));
      if (actor->current_mailbox_element()->mid.is_request())
        return caf::sec::unexpected_message;
      actor->current_mailbox_element()->sender = nullptr; // or CAF sends it a bare error, which ends it
      return caf::message{};
    });
    return {[](float) {}};
  });
}

class matrix : public links_fixture {
protected:
  matrix() {
    local_destinations here;
    here.raft = caf::actor_cast<raft_actor>(sink);
    here.dispatcher = caf::actor_cast<dispatcher_actor>(sink);
    here.control = caf::actor_cast<control_actor>(sink);
    here.ca = caf::actor_cast<ca_actor>(sink);
    here.members = caf::actor_cast<members_actor>(sink);
    here.logs = caf::actor_cast<logs_actor>(sink);
    here.agent = caf::actor_cast<log_source>(sink);
    a->say(here);
    PeerRoles roles;
    (*roles.mutable_roles())["b"] = NODE_ROLE_MANAGER;
    (*roles.mutable_roles())["w"] = NODE_ROLE_WORKER;
    (*roles.mutable_roles())["promoted"] = NODE_ROLE_MANAGER;
    (*roles.mutable_roles())["demoted"] = NODE_ROLE_WORKER;
    roles.add_removed("gone");
    a->say(roles);
    EXPECT_TRUE(eventually([&] {
      const auto rules = a->part.directory->current();
      return rules->destinations.contains("agent") && rules->removed.contains("gone");
    }));
    for (const auto& row : link_types())
      destinations.emplace(row.to);
  }
  ~matrix() override {
    a.reset();
    caf::anon_send_exit(sink, caf::exit_reason::kill);
  }

  link::credentials papers(const kind_of_sender& who) const {
    if (who.id.empty())
      return {pki.cluster(), "", "", pki.root_pem()};
    return who.certificate == PEER_ROLE_MANAGER ? pki.manager(who.id) : pki.worker(who.id);
  }

  /// The answers to asks, by their numbers.
  std::map<std::uint64_t, errc> answers(end_point& from, std::size_t count) {
    EXPECT_TRUE(from.wait([&] { return from.received.size() >= count; }, seconds{60}));
    return from.locked([&] {
      std::map<std::uint64_t, errc> out;
      for (const auto& e : from.received)
        if (e.kind() == Envelope::KIND_REPLY || e.kind() == Envelope::KIND_ERROR)
          out[e.request_id()] = static_cast<errc>(e.code());
      from.received.clear();
      return out;
    });
  }

  Envelope envelope(Envelope::Kind kind, const std::string& to, const Descriptor& type, const kind_of_sender& from, bool own) {
    const auto message = make(type, own ? from.id : "another");
    if (auto* const raft = dynamic_cast<RaftMessage*>(message.get()))
      raft->set_from(std::hash<std::string>{}(from.id)); // no other member's number
    Envelope out;
    out.set_kind(kind);
    out.set_to(to);
    out.set_type(type.name());
    out.set_payload(message->SerializeAsString());
    out.set_request_id(++last_request);
    return out;
  }

  bool expected(const kind_of_sender& from, const std::string& to, const Descriptor& type, bool own) {
    const auto message = make(type, own ? from.id : "another");
    return may_send({effective_role(from.certificate, from.current, false), from.id}, to, *message) == verdict::allowed;
  }

  /// Everything as a question: what is refused says so; whatever else comes back was let through.
  std::size_t ask_everything(end_point& from, const link::connection_ptr& over, const kind_of_sender& who) {
    std::size_t cells = 0;
    for (const auto& [name, type] : all_types()) {
      std::map<std::uint64_t, std::function<void(errc)>> checks;
      for (const auto& to : destinations)
        for (const bool own : {true, false}) {
          const auto* const row = find_link_type(to, name);
          const bool ask = row != nullptr && !row->reply.empty();
          const auto sent = envelope(Envelope::KIND_ASK, to, *type, who, own);
          EXPECT_EQ(over->send(link::priority::normal, sent), link::sent::queued);
          checks[sent.request_id()] = [this, &who, to, own, ask, row, &name = name, type = type](errc code) {
            const bool passed = code != errc::permission_denied && code != errc::unimplemented;
            EXPECT_EQ(passed, ask && expected(who, to, *type, own)) << name << " to " << to << " from \"" << who.id << "\" "
                                                                    << (own ? "" : "about another node ") << static_cast<int>(code);
            EXPECT_TRUE(ask || code == errc::unimplemented) << name << " to " << to << (row == nullptr ? "" : " is a tell");
          };
          ++cells;
        }
      const auto got = answers(from, checks.size());
      for (const auto& [id, check] : checks)
        if (const auto it = got.find(id); it != got.end())
          check(it->second);
        else
          ADD_FAILURE() << name << " was not answered";
    }
    return cells;
  }

  /// Rows without an answer: what passes is not counted as refused. A question behind it says when it has been dealt with.
  void tell_everything(end_point& from, const link::connection_ptr& over, const kind_of_sender& who) {
    const auto types = all_types();
    for (const auto& row : link_types()) {
      if (!row.reply.empty())
        continue;
      for (const bool own : {true, false}) {
        const auto& type = *types.at(std::string{row.type});
        const auto before = std::stoul(a->fact("refused", who.id));
        EXPECT_EQ(over->send(link::priority::normal, envelope(Envelope::KIND_TELL, std::string{row.to}, type, who, own)), link::sent::queued);
        const auto fence = envelope(Envelope::KIND_ASK, "nowhere", *types.at("Command"), who, true);
        EXPECT_EQ(over->send(link::priority::normal, fence), link::sent::queued);
        const auto dealt_with = [&] {
          return std::any_of(from.received.begin(), from.received.end(),
                             [&](const Envelope& e) { return e.request_id() == fence.request_id() && e.kind() == Envelope::KIND_ERROR; });
        };
        ASSERT_TRUE(from.wait([&] { return dealt_with() || !from.downs.empty(); }));
        ASSERT_TRUE(from.locked([&] { return from.downs.empty(); })) << row.type << " to " << row.to << ": " << from.downs[0].message;
        const auto refused = std::stoul(a->fact("refused", who.id)) - before - 1; // the fence is refused, too
        EXPECT_EQ(refused == 0, expected(who, std::string{row.to}, type, own)) << row.type << " to " << row.to << " from " << who.id
                                                                               << (own ? "" : " about another node");
      }
    }
  }

  record_ptr<std::string> seen = std::make_shared<record<std::string>>();
  caf::actor sink = counting_sink(system, seen);
  std::unique_ptr<host> a = manager("a");
  std::set<std::string> destinations;
  std::uint64_t last_request = 0;
};

TEST_F(matrix, over_tls_every_cell_is_as_the_table_says) {
  const kind_of_sender senders[] = {
      {"b", PEER_ROLE_MANAGER, NODE_ROLE_MANAGER},      {"unknown", PEER_ROLE_MANAGER, std::nullopt},
      {"demoted", PEER_ROLE_MANAGER, NODE_ROLE_WORKER}, {"w", PEER_ROLE_WORKER, NODE_ROLE_WORKER},
      {"promoted", PEER_ROLE_WORKER, NODE_ROLE_MANAGER}, {"", PEER_ROLE_ANYONE, std::nullopt},
  };
  std::size_t cells = 0;
  for (const auto& who : senders) {
    end_point from{io, link_pki::store(papers(who))};
    const auto over = from.dial(a->addr, "", !who.id.empty());
    ASSERT_TRUE(over);
    ASSERT_TRUE(from.wait_up()) << who.id;
    if (!who.id.empty()) {
      ASSERT_TRUE(a->wait_linked(who.id));
    }
    cells += ask_everything(from, over, who);
    EXPECT_TRUE(from.locked([&] { return from.downs.empty(); })) << who.id << " " << from.downs[0].message;
    if (who.id.empty()) {
      const auto before = seen->all().size();
      for (const auto& row : link_types())
        if (row.reply.empty())
          (void)over->send(link::priority::normal, envelope(Envelope::KIND_TELL, std::string{row.to}, *all_types().at(std::string{row.type}), who, true));
      (void)over->send(link::priority::normal, envelope(Envelope::KIND_ASK, "nowhere", *all_types().at("Command"), who, true));
      (void)answers(from, 1);
      EXPECT_EQ(seen->all().size(), before) << "nothing but joining is open to strangers";
    } else {
      tell_everything(from, over, who);
    }
    EXPECT_TRUE(from.locked([&] { return from.downs.empty(); })) << who.id;
  }
  EXPECT_GT(cells, 10'000u);
  const kind_of_sender gone{"gone", PEER_ROLE_MANAGER, NODE_ROLE_MANAGER};
  end_point removed{io, link_pki::store(papers(gone))};
  ASSERT_TRUE(removed.dial(a->addr));
  EXPECT_TRUE(removed.wait_down()) << "a removed node is not let in at all";
}

} // namespace
} // namespace swarm::links::test
