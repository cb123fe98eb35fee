// A NODE ROOT as the daemon runs it, with the simulated driver: one object is one life of the process.
#pragma once

#include <gtest/gtest.h>

#include <thread>

#include "actors/node/node_root_actor.hpp"
#include "drivers/simulated/simulated_driver.hpp"
#include "runtime/system.hpp"
#include "tests/support/record.hpp"

namespace swarm::node {

inline constexpr std::chrono::seconds patience{25};

/// One life of the process: stops as the daemon does.
class life {
public:
  explicit life(const std::filesystem::path& data_root, io_threads* io = nullptr) {
    node_options opts;
    opts.io = io;
    opts.data_root = data_root.string();
    opts.map_bytes = 64 << 20;
    opts.raft_heartbeat = std::chrono::milliseconds{25};
    opts.raft_election = std::chrono::milliseconds{125};
    opts.spawn_driver = [](caf::actor_system& system) -> driver_actor {
      return system.spawn(simulated::simulated_driver, simulated::simulated_options{});
    };
    root_ = system_.spawn(node_root, std::move(opts));
  }
  ~life() {
    caf::anon_send(root_, stop_atom_v);
    for (int i = 0; i < 1000 && !actor_registry::list(system_, "storage").empty(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
    root_ = node_root_interface{};
    caf::anon_send_exit(reader_, caf::exit_reason::user_shutdown);
    reader_ = store_subscriber{};
    EXPECT_TRUE(end_all_actors(system_, patience).empty());
  }

  template <class Reply, class Request>
  std::pair<Reply, failure> ask(Request request) {
    std::pair<Reply, failure> out;
    caf::scoped_actor self{system_};
    self->request(root_, patience, std::move(request))
      .receive([&](Reply& reply) { out.first = std::move(reply); },
               [&](caf::error& err) { out.second = to_failure(err); });
    return out;
  }
  template <class Request>
  failure change(Request request) {
    const auto [reply, lost] = ask<MembershipChanged>(std::move(request));
    return lost.ok() ? failure{static_cast<errc>(reply.code()), reply.message()} : lost;
  }
  failure init(bool auto_lock = false, const std::string& addr = "127.0.0.1:2377") {
    InitSwarm request;
    request.set_listen_addr(addr);
    request.set_advertise_addr(addr);
    request.set_auto_lock(auto_lock);
    return change(request);
  }
  failure force_new_cluster(const std::string& addr) {
    InitSwarm request;
    request.set_listen_addr(addr);
    request.set_advertise_addr(addr);
    request.set_force_new_cluster(true);
    return change(request);
  }
  failure join(const std::string& manager, const std::string& token, const std::string& addr) {
    JoinSwarm request;
    request.set_listen_addr(addr);
    request.set_advertise_addr(addr);
    request.add_remote_addrs(manager);
    request.set_join_token(token);
    return change(request);
  }
  failure leave(bool force) {
    LeaveSwarm request;
    request.set_force(force);
    return change(request);
  }
  failure unlock(const std::string& key) {
    UnlockSwarm request;
    request.set_unlock_key(key);
    return change(request);
  }
  LocalNode local() { return ask<LocalNode>(ReadLocalNode{}).first; }
  std::string unlock_key() { return ask<UnlockKey>(ReadUnlockKey{}).first.unlock_key(); }
  std::pair<Cluster, failure> cluster() {
    ReadObjects request;
    request.set_kind(OBJECT_KIND_CLUSTER);
    auto [read, problem] = ask<ObjectsRead>(request);
    return {read.cluster(), problem};
  }
  /// A restarted manager needs a moment until it leads.
  Cluster eventually_cluster() {
    for (int i = 0; i < 400; ++i) {
      if (auto [found, problem] = cluster(); problem.ok())
        return found;
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    ADD_FAILURE() << "no leader";
    return {};
  }
  failure write(const ControlRequest& request) {
    const auto [written, lost] = ask<Written>(request);
    return lost.ok() ? failure{static_cast<errc>(written.code()), written.message()} : lost;
  }
  std::vector<Node> nodes() {
    ReadObjects request;
    request.set_kind(OBJECT_KIND_NODE);
    const auto read = ask<ObjectsRead>(request).first;
    return {read.nodes().begin(), read.nodes().end()};
  }
  Node node(const std::string& id) {
    for (auto& n : nodes())
      if (n.id() == id)
        return n;
    return {};
  }
  failure set_role(const std::string& id, NodeRole role) {
    const auto now = node(id);
    ControlRequest request;
    auto& update = *request.mutable_update_node();
    update.set_node_id(id);
    update.set_version(now.meta().version().index());
    *update.mutable_spec() = now.spec();
    update.mutable_spec()->set_role(role);
    return write(request);
  }
  failure remove(const std::string& id, bool force) {
    ControlRequest request;
    request.mutable_remove_node()->set_node_id(id);
    request.mutable_remove_node()->set_force(force);
    return write(request);
  }
  failure rotate_root() {
    const auto now = eventually_cluster();
    ControlRequest request;
    request.mutable_update_cluster()->set_version(now.meta().version().index());
    *request.mutable_update_cluster()->mutable_spec() = now.spec();
    auto& config = *request.mutable_update_cluster()->mutable_spec()->mutable_ca_config();
    config.set_force_rotate(config.force_rotate() + 1);
    return write(request);
  }
  failure update(bool auto_lock, bool rotate = false) {
    auto now = eventually_cluster();
    ControlRequest request;
    auto& update = *request.mutable_update_cluster();
    update.set_version(now.meta().version().index());
    *update.mutable_spec() = now.spec();
    update.mutable_spec()->mutable_encryption_config()->set_auto_lock_managers(auto_lock);
    update.set_rotate_unlock_key(rotate);
    return write(request);
  }

  failure create_service(const std::string& name) {
    ControlRequest request;
    auto& spec = *request.mutable_create_service()->mutable_spec();
    spec.set_name(name);
    spec.mutable_task_template()->mutable_container_spec()->set_image("web");
    return write(request);
  }
  /// The names of all services that are created from here on; asks as GATEWAY's event stream does.
  test::record_ptr<std::string> follow_services() {
    auto names = std::make_shared<test::record<std::string>>();
    auto subscribed = std::make_shared<test::record<bool>>();
    reader_ = system_.spawn([names, subscribed, root = root_](store_subscriber::pointer self) -> store_subscriber::behavior_type {
      self->request(root, patience, subscribe_atom_v, store_subscriber{self})
        .then([](const StoreSnapshot&) {}, [](const caf::error&) { ADD_FAILURE() << "the subscription ended"; });
      subscribed->add(true);
      return {[names](const EventBatch& batch) {
        for (const auto& event : batch.services())
          names->add(event.service().spec().name());
      }};
    });
    EXPECT_TRUE(subscribed->wait(1));
    return names;
  }

private:
  system_config cfg_;
  caf::actor_system system_{cfg_};
  node_root_interface root_;
  store_subscriber reader_;
};

using test::eventually;

} // namespace swarm::node
