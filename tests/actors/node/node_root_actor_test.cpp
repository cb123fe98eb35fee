// NODE ROOT on real threads and a real disk, with the simulated driver: init, restart, lock, leave.
#include "tests/actors/node/node_life.hpp"

#include <fstream>

#include "tests/support/temp_dir.hpp"

namespace swarm::node {
namespace {

const failure wrong_key{errc::permission_denied, "swarm could not be unlocked: invalid key provided"};
const failure locked_text{errc::unavailable, "Swarm is encrypted and needs to be unlocked before it can be used. Please use "
                                             "\"docker swarm unlock\" to unlock it."};

struct node_root_actor_test : testing::Test {
  test::temp_dir dir;
  std::filesystem::path swarm = dir / "swarm";

  std::string key_file() const {
    std::ifstream in{swarm / "raft" / "storage.key"};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  /// What is on disk follows the cluster a moment after the answer.
  void wait_for_disk(const std::string& kind, const std::string& other_than = {}) const {
    for (int i = 0; i < 400; ++i) {
      const auto now = key_file();
      if (now.find("\n" + kind + " ") != std::string::npos && now != other_than)
        return;
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    ADD_FAILURE() << "the data key is not " << kind;
  }
};

TEST_F(node_root_actor_test, a_node_without_membership_says_so) {
  life node{dir.path()};
  EXPECT_EQ(node.local().state(), LOCAL_NODE_STATE_INACTIVE);
  EXPECT_EQ(node.leave(false), (failure{errc::unavailable, "This node is not part of a swarm"}));
  EXPECT_TRUE(node.cluster().second.message.starts_with("This node is not a swarm manager. Use \"docker swarm init\""));
  EXPECT_EQ(node.unlock("SWMKEY-1-x").code, errc::unavailable);
}

TEST_F(node_root_actor_test, init_makes_a_manager_that_a_restart_resumes) {
  std::string cluster_id, node_id;
  {
    life node{dir.path()};
    ASSERT_TRUE(node.init().ok());
    EXPECT_EQ(node.local().state(), LOCAL_NODE_STATE_ACTIVE);
    EXPECT_TRUE(node.local().control_available());
    cluster_id = node.eventually_cluster().id();
    node_id = node.local().node_id();
    EXPECT_EQ(node.init(), (failure{errc::unavailable, "This node is already part of a swarm. Use \"docker swarm leave\" to "
                                                       "leave this swarm and join another one."}));
    EXPECT_EQ(node.unlock("SWMKEY-1-x"), (failure{errc::conflict, "swarm is not locked"}));
  }
  life again{dir.path()};
  EXPECT_EQ(again.eventually_cluster().id(), cluster_id);
  EXPECT_EQ(again.local().node_id(), node_id);
}

TEST_F(node_root_actor_test, a_reader_from_before_init_misses_nothing) {
  life node{dir.path()};
  const auto names = node.follow_services();
  ASSERT_TRUE(node.init().ok());
  ASSERT_TRUE(node.create_service("first").ok());
  ASSERT_TRUE(names->wait(1));
  EXPECT_EQ(names->all(), std::vector<std::string>{"first"});
}

TEST_F(node_root_actor_test, a_manager_leaves_by_force_only_and_leaves_nothing) {
  life node{dir.path()};
  ASSERT_TRUE(node.init().ok());
  EXPECT_TRUE(node.leave(false).message.starts_with("You are attempting to leave the swarm on a node that is participating"));
  ASSERT_TRUE(node.leave(true).ok());
  EXPECT_EQ(node.local().state(), LOCAL_NODE_STATE_INACTIVE);
  EXPECT_FALSE(std::filesystem::exists(swarm));
  EXPECT_TRUE(node.init().ok()) << "and it can begin anew";
}

TEST_F(node_root_actor_test, a_beginning_that_was_cut_off_is_removed_at_the_next_start) {
  std::filesystem::create_directories(swarm / "raft");
  std::ofstream{swarm / "unfinished"};
  std::ofstream{swarm / "raft" / "storage.key"} << "half";
  life node{dir.path()};
  EXPECT_EQ(node.local().state(), LOCAL_NODE_STATE_INACTIVE);
  EXPECT_FALSE(std::filesystem::exists(swarm));
  EXPECT_TRUE(node.init().ok());
}

TEST_F(node_root_actor_test, a_locked_manager_wants_its_key_after_a_restart) {
  std::string key, cluster_id;
  {
    life node{dir.path()};
    ASSERT_TRUE(node.init(true).ok());
    key = node.unlock_key();
    cluster_id = node.eventually_cluster().id();
    EXPECT_TRUE(key.starts_with("SWMKEY-1-"));
    EXPECT_NE(key_file().find("\nwrapped "), std::string::npos);
  }
  life again{dir.path()};
  EXPECT_EQ(again.local().state(), LOCAL_NODE_STATE_LOCKED);
  EXPECT_EQ(again.local().node_id(), "");
  EXPECT_FALSE(again.local().control_available());
  EXPECT_EQ(again.cluster().second, locked_text);
  EXPECT_EQ(again.ask<UnlockKey>(ReadUnlockKey{}).second, locked_text);
  EXPECT_EQ(again.init().message.substr(0, 30), "This node is already part of a");
  EXPECT_EQ(again.leave(false), (failure{errc::unavailable, "Swarm is encrypted and locked. Please unlock it first or use "
                                                            "`--force` to ignore this message."}));
  EXPECT_EQ(again.unlock("not a key"), (failure{errc::invalid_argument, "invalid key string"}));
  EXPECT_EQ(again.unlock(crypto::format_unlock_key(crypto::secret_key::generate())), wrong_key);
  EXPECT_EQ(again.local().state(), LOCAL_NODE_STATE_LOCKED);
  ASSERT_TRUE(again.unlock(key).ok());
  EXPECT_EQ(again.local().state(), LOCAL_NODE_STATE_ACTIVE);
  EXPECT_EQ(again.cluster().first.id(), cluster_id) << "unlock answers when there is a leader";
}

TEST_F(node_root_actor_test, locking_rotating_and_unlocking_reach_the_disk) {
  std::string first, second;
  {
    life node{dir.path()};
    ASSERT_TRUE(node.init().ok());
    EXPECT_EQ(node.unlock_key(), "");
    ASSERT_TRUE(node.update(true).ok());
    wait_for_disk("wrapped");
    first = node.unlock_key();
    const auto before = key_file();
    ASSERT_TRUE(node.update(true, true).ok());
    wait_for_disk("wrapped", before);
    second = node.unlock_key();
    EXPECT_NE(first, second);
  }
  {
    life node{dir.path()};
    EXPECT_EQ(node.local().state(), LOCAL_NODE_STATE_LOCKED);
    EXPECT_EQ(node.unlock(first), wrong_key);
    ASSERT_TRUE(node.unlock(second).ok());
    ASSERT_TRUE(node.update(false).ok());
    wait_for_disk("plain");
    EXPECT_EQ(node.unlock_key(), "");
  }
  life node{dir.path()};
  EXPECT_EQ(node.local().state(), LOCAL_NODE_STATE_ACTIVE);
}

TEST_F(node_root_actor_test, a_locked_node_can_leave_by_force) {
  {
    life node{dir.path()};
    ASSERT_TRUE(node.init(true).ok());
  }
  life again{dir.path()};
  ASSERT_EQ(again.local().state(), LOCAL_NODE_STATE_LOCKED);
  ASSERT_TRUE(again.leave(true).ok());
  EXPECT_EQ(again.local().state(), LOCAL_NODE_STATE_INACTIVE);
  EXPECT_TRUE(again.init().ok());
}

TEST_F(node_root_actor_test, a_membership_without_its_key_is_an_error_and_can_be_left) {
  {
    life node{dir.path()};
    ASSERT_TRUE(node.init().ok());
  }
  std::filesystem::remove(swarm / "raft" / "storage.key");
  life again{dir.path()};
  EXPECT_EQ(again.local().state(), LOCAL_NODE_STATE_ERROR);
  EXPECT_NE(again.local().error(), "");
  ASSERT_TRUE(again.leave(true).ok());
  EXPECT_EQ(again.local().state(), LOCAL_NODE_STATE_INACTIVE);
}

} // namespace
} // namespace swarm::node
