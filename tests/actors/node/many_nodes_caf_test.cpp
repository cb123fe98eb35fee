// Several nodes in one process, with real links over loopback: joining, roles, removal, a new root, a forced new cluster.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actors/ca/certificates.hpp"
#include "tests/actors/node/node_life.hpp"
#include "tests/support/temp_dir.hpp"

namespace swarm::node {
namespace {

// The kernel gives out ports in turn: this one stays free for a while.
std::string free_address() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size);
  ::close(fd);
  return "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
}

struct host {
  test::temp_dir dir;
  std::string addr = free_address();
  io_threads io;
  std::unique_ptr<life> node;

  host() {
    io.start();
    start();
  }
  ~host() {
    node.reset();
    io.stop();
  }
  void start() { node = std::make_unique<life>(dir.path(), &io); }
  void stop() { node.reset(); }
  life* operator->() { return node.get(); }
  std::string id() { return node->local().node_id(); }
};

struct many_nodes : testing::Test {
  host first;

  void SetUp() override { ASSERT_EQ(first->init(false, first.addr).message, ""); }
  std::string token(NodeRole role) {
    const auto tokens = first->eventually_cluster().root_ca().join_tokens();
    return role == NODE_ROLE_MANAGER ? tokens.manager() : tokens.worker();
  }
  void join(host& other, NodeRole role) {
    const auto outcome = other->join(first.addr, token(role), other.addr);
    ASSERT_TRUE(outcome.ok()) << outcome.message;
  }
  bool is_ready(const std::string& id) { return first->node(id).status().state() == NODE_STATE_READY; }
  bool is_member(const std::string& id) { return first->node(id).manager_status().reachability() == REACHABILITY_REACHABLE; }
};

TEST_F(many_nodes, a_worker_joins_and_takes_part) {
  host worker;
  join(worker, NODE_ROLE_WORKER);
  EXPECT_EQ(worker->local().state(), LOCAL_NODE_STATE_ACTIVE);
  EXPECT_FALSE(worker->local().control_available());
  EXPECT_TRUE(eventually([&] { return is_ready(worker.id()); }));
  EXPECT_EQ(first->nodes().size(), 2u);
  EXPECT_TRUE(worker->cluster().second.message.find("Worker nodes can't be used to view or modify cluster state") != std::string::npos);
  EXPECT_EQ(worker->join(first.addr, token(NODE_ROLE_WORKER), worker.addr).message.substr(0, 38), "This node is already part of a swarm. ");
}

TEST_F(many_nodes, a_joining_host_is_told_why_it_may_not) {
  host other;
  const auto good = token(NODE_ROLE_WORKER);
  EXPECT_EQ(other->join(first.addr, "SWMTKN-1-nonsense", other.addr), (failure{errc::internal, "invalid join token"}));
  auto wrong_secret = good;
  wrong_secret.back() = wrong_secret.back() == '1' ? '2' : '1';
  EXPECT_EQ(other->join(first.addr, wrong_secret, other.addr),
            (failure{errc::invalid_argument,
                     "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster"}));
  const auto stranger = ca::create_root(actor_registry::wall_now_ns()).join_tokens().worker();
  EXPECT_TRUE(other->join(first.addr, stranger, other.addr).message.starts_with("remote CA does not match fingerprint. Expected: "));
  EXPECT_EQ(other->local().state(), LOCAL_NODE_STATE_INACTIVE);
  const auto nobody = other->join(free_address(), good, other.addr);
  EXPECT_EQ(nobody.code, errc::unavailable);
  EXPECT_TRUE(nobody.message.starts_with("rpc error: code = Unavailable desc = connection error: ")) << nobody.message;
  EXPECT_TRUE(other->join(first.addr, good, other.addr).ok()) << "and none of it has left a trace";
}

TEST_F(many_nodes, a_manager_joins_reads_and_writes) {
  host second;
  join(second, NODE_ROLE_MANAGER);
  EXPECT_TRUE(second->local().control_available());
  EXPECT_TRUE(eventually([&] { return is_member(second.id()); }));
  EXPECT_EQ(second->cluster().first.id(), first->cluster().first.id());
  EXPECT_TRUE(second->update(true).ok()) << "the leader writes what a follower is asked";
  EXPECT_EQ(second->unlock_key(), first->unlock_key());
  EXPECT_NE(second->unlock_key(), "");
}

TEST_F(many_nodes, a_restarted_worker_and_a_restarted_manager_take_part_again) {
  host second, worker;
  join(second, NODE_ROLE_MANAGER);
  join(worker, NODE_ROLE_WORKER);
  const auto id = worker.id();
  worker.stop();
  worker.start();
  EXPECT_EQ(worker.id(), id);
  EXPECT_TRUE(eventually([&] { return is_ready(id); }));
  ASSERT_TRUE(eventually([&] { return is_member(second.id()); }));
  second.stop();
  second.start();
  EXPECT_TRUE(eventually([&] { return second->cluster().second.ok(); }));
}

TEST_F(many_nodes, a_worker_is_promoted_and_demoted) {
  host other;
  join(other, NODE_ROLE_WORKER);
  const auto id = other.id();
  ASSERT_TRUE(eventually([&] { return is_ready(id); }));
  ASSERT_TRUE(first->set_role(id, NODE_ROLE_MANAGER).ok());
  EXPECT_TRUE(eventually([&] { return other->local().control_available() && is_member(id); }));
  EXPECT_TRUE(eventually([&] { return other->cluster().second.ok(); }));
  EXPECT_TRUE(first->remove(id, true).message.find("is a cluster manager and is a member of the raft cluster") != std::string::npos);
  ASSERT_TRUE(first->set_role(id, NODE_ROLE_WORKER).ok());
  EXPECT_TRUE(eventually([&] { return !other->local().control_available() && !first->node(id).has_manager_status(); }));
  EXPECT_TRUE(eventually([&] { return !std::filesystem::exists(other.dir.path() / "swarm" / "raft"); }));
  EXPECT_TRUE(eventually([&] { return is_ready(id); }));
  EXPECT_EQ(first->set_role(first.id(), NODE_ROLE_WORKER).message, "attempting to demote the last manager of the swarm");
}

TEST_F(many_nodes, the_founder_too_can_be_demoted_and_promoted_again) {
  host second;
  join(second, NODE_ROLE_MANAGER);
  const auto founder = first.id();
  ASSERT_TRUE(eventually([&] { return is_member(second.id()) && second->nodes().size() == 2; }));
  const auto cluster_id = first->cluster().first.id();
  ASSERT_EQ(second->set_role(founder, NODE_ROLE_WORKER).message, "");
  EXPECT_TRUE(eventually([&] { return !first->local().control_available() && !second->node(founder).has_manager_status(); }));
  ASSERT_TRUE(eventually([&] { return !std::filesystem::exists(first.dir.path() / "swarm" / "raft"); }));
  ASSERT_EQ(second->set_role(founder, NODE_ROLE_MANAGER).message, "");
  EXPECT_TRUE(eventually([&] { return first->local().control_available() && second->node(founder).has_manager_status(); }));
  EXPECT_EQ(first->cluster().first.id(), cluster_id) << "as a member of the group, not as the founder of another";
  EXPECT_EQ(first->nodes().size(), 2u);
  EXPECT_TRUE(second->node(second.id()).manager_status().leader());
}

TEST_F(many_nodes, a_worker_leaves_and_a_removed_one_stays_out) {
  host leaving, removed;
  join(leaving, NODE_ROLE_WORKER);
  join(removed, NODE_ROLE_WORKER);
  const auto gone = leaving.id(), out = removed.id();
  EXPECT_TRUE(leaving->leave(false).ok());
  EXPECT_EQ(leaving->local().state(), LOCAL_NODE_STATE_INACTIVE);
  ASSERT_TRUE(eventually([&] { return is_ready(out); }));
  EXPECT_EQ(first->remove(out, false).message, "node " + out + " is not down and can't be removed");
  ASSERT_TRUE(first->remove(out, true).ok());
  removed.stop();
  removed.start();
  std::this_thread::sleep_for(std::chrono::seconds{2});
  EXPECT_EQ(first->node(out).id(), "") << "not even as a new node";
}

TEST_F(many_nodes, the_root_is_replaced_under_running_nodes) {
  host second, worker;
  join(second, NODE_ROLE_MANAGER);
  join(worker, NODE_ROLE_WORKER);
  ASSERT_TRUE(eventually([&] { return is_ready(worker.id()) && is_ready(second.id()); }));
  const auto before = first->cluster().first;
  ASSERT_TRUE(first->rotate_root().ok());
  ASSERT_TRUE(eventually([&] {
    const auto now = first->cluster().first;
    return !now.root_rotation_in_progress() && now.root_ca().certificate_pem() != before.root_ca().certificate_pem();
  }));
  const auto after = first->cluster().first;
  EXPECT_NE(after.root_ca().join_tokens().worker(), before.root_ca().join_tokens().worker());
  EXPECT_TRUE(eventually([&] {
    for (const auto& n : first->nodes())
      if (n.description().tls_info().trust_root() != after.tls_info().trust_root())
        return false;
    return true;
  }));
  host late;
  EXPECT_FALSE(late->join(first.addr, before.root_ca().join_tokens().worker(), late.addr).ok());
  EXPECT_TRUE(late->join(first.addr, after.root_ca().join_tokens().worker(), late.addr).ok());
}

TEST_F(many_nodes, one_manager_goes_on_alone_when_it_is_told_to) {
  host second;
  join(second, NODE_ROLE_MANAGER);
  ASSERT_TRUE(eventually([&] { return is_member(second.id()); }));
  const auto cluster_id = first->cluster().first.id();
  second.stop(); // and with it the quorum
  ASSERT_TRUE(first->force_new_cluster(first.addr).ok());
  EXPECT_EQ(first->eventually_cluster().id(), cluster_id);
  EXPECT_EQ(first->nodes().size(), 2u) << "the other one is still listed";
  EXPECT_TRUE(first->update(true).ok());
}

} // namespace
} // namespace swarm::node
