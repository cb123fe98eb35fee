// Hosts with LINKS of their own in one process, linked over real TLS on loopback.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "actors/links/links_sup.hpp"
#include "runtime/system.hpp"
#include "tests/support/link_pki.hpp"
#include "tests/support/record.hpp"

namespace swarm::links::test {

using swarm::test::link_pki;

using swarm::test::eventually;
using swarm::test::record;
using swarm::test::record_ptr;

template <class Reply>
struct answer {
  std::optional<Reply> value;
  failure error;
};

/// One host: credentials, LINKS, and what its listener has heard.
class host {
public:
  host(caf::actor_system& system, io_threads& io, const link::credentials& who, links_options opts = quick(), link_options each = {})
    : credentials{link_pki::store(who)}, system_{system}, part{spawn_links(system, io, credentials, std::move(opts), each)} {
    listener_ = system.spawn([changes = changes, hints = hints](link_listener::pointer) -> link_listener::behavior_type {
      return {
        [changes](const LinkChanged& news) { changes->add(news); },
        [hints](const LeaderHint& hint) { hints->add(hint); },
      };
    });
    caf::anon_send(part.actor, subscribe_atom_v, listener_);
  }
  ~host() { stop(); }
  void stop() {
    if (!part.actor)
      return;
    caf::anon_send_exit(listener_, caf::exit_reason::kill);
    const auto address = part.actor.address();
    caf::scoped_actor self{system_};
    self->monitor(part.actor);
    caf::anon_send_exit(part.actor, caf::exit_reason::user_shutdown);
    part.actor = links_actor{};
    self->receive([&](const caf::down_msg&) {}, caf::after(seconds{10}) >> [] { ADD_FAILURE() << "LINKS does not end"; });
  }

  std::string listen(const std::string& at = "127.0.0.1:0") {
    ListenForPeers request;
    request.set_addr(at);
    caf::scoped_actor self{system_};
    self->request(part.actor, seconds{10}, request)
      .receive([&](const ListeningForPeers& l) { addr = l.addr(); }, [&](const caf::error& e) { ADD_FAILURE() << to_failure(e).message; });
    return addr;
  }
  void connect(const std::string& node_id, const std::string& to) {
    ConnectPeer request;
    request.set_node_id(node_id);
    request.set_addr(to);
    caf::anon_send(part.actor, request);
  }
  template <class Message>
  void say(const Message& message) {
    caf::anon_send(part.actor, message);
  }
  [[nodiscard]] bool linked(const std::string& node_id) const { return part.directory->find(node_id).has_value(); }
  bool wait_linked(const std::string& node_id) const {
    return eventually([&] { return linked(node_id); });
  }
  bool wait_unlinked(const std::string& node_id) const {
    return eventually([&] { return !linked(node_id); });
  }
  /// A fact that LINKS, or the LINK to that node, states of itself.
  std::string fact(const std::string& name, const std::string& node_id = {}) {
    caf::scoped_actor self{system_};
    const auto link = part.directory->find(node_id);
    const auto who = node_id.empty() ? caf::actor_cast<caf::actor>(part.actor) : link ? link->actor : caf::actor{};
    std::string out;
    if (who)
      self->request(who, seconds{10}, ReadStatus{})
        .receive([&](const ActorStatus& s) { out = s.facts().contains(name) ? s.facts().at(name) : ""; }, [](const caf::error&) {});
    return out;
  }
  template <class Handle>
  Handle proxy(const std::string& node_id, const std::string& to, std::chrono::milliseconds deadline = seconds{10}) {
    return spawn_proxy<Handle>(system_, part, {node_id, to, deadline});
  }

  /// A manager has a short silence limit in tests of loss only: this machine may be slow.
  static links_options quick() {
    links_options opts;
    opts.limits.silence_of_managers = seconds{5};
    opts.peers.backoff_min = milliseconds{20};
    opts.peers.backoff_max = milliseconds{200};
    return opts;
  }

  std::shared_ptr<link::credential_store> credentials;
  record_ptr<LinkChanged> changes = std::make_shared<record<LinkChanged>>();
  record_ptr<LeaderHint> hints = std::make_shared<record<LeaderHint>>();
  std::string addr;

private:
  caf::actor_system& system_;
  link_listener listener_;

public:
  links_part part;
};

class links_fixture : public testing::Test {
protected:
  links_fixture() { io.start(); }
  ~links_fixture() override { EXPECT_TRUE(end_all_actors(system, seconds{10}).empty()); }

  std::unique_ptr<host> manager(const std::string& id, links_options opts = host::quick(), link_options each = {}) {
    auto out = std::make_unique<host>(system, io, pki.manager(id), std::move(opts), each);
    out->listen();
    return out;
  }
  std::unique_ptr<host> worker(const std::string& id) { return std::make_unique<host>(system, io, pki.worker(id)); }
  void join(host& from, const std::string& own, host& to, const std::string& node_id) {
    from.connect(node_id, to.addr);
    ASSERT_TRUE(from.wait_linked(node_id) && to.wait_linked(own));
  }

  template <class Reply, class Handle, class... Parts>
  answer<Reply> ask(const Handle& handle, Parts&&... parts) {
    answer<Reply> out;
    caf::scoped_actor self{system};
    self->request(handle, seconds{20}, std::forward<Parts>(parts)...)
      .receive([&](Reply& r) { out.value = std::move(r); }, [&](caf::error& e) { out.error = to_failure(e); });
    return out;
  }

  /// A CONTROL that answers with its name and what it was asked, or with an error.
  control_actor fake_control(const std::string& name, failure refusal = {}) {
    return system.spawn([name, refusal](control_actor::pointer) -> control_actor::behavior_type {
      return {
        [=](const ControlRequest&) -> caf::result<Written> {
          if (!refusal.ok())
            return to_error(refusal);
          Written out;
          out.set_id(name);
          return out;
        },
        [=](const ReadObjects& request) -> caf::result<ObjectsRead> {
          ObjectsRead out;
          out.set_log_index(request.key().size());
          for (std::uint64_t i = 0; i < request.key().size(); ++i)
            out.add_configs()->mutable_spec()->set_data(std::string(1 << 20, 'x'));
          return out;
        },
        [](const ReadUnlockKey&) { return UnlockKey{}; },
        [](const EventBatch&) {},
        [](const ReadStatus&) { return ActorStatus{}; },
      };
    });
  }

  io_threads io{1};
  link_pki pki;
  system_config config = make_config();
  caf::actor_system system{config};

private:
  static system_config make_config() {
    return system_config{2};
  }
};

} // namespace swarm::links::test
