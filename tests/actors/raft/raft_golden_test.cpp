// Whole conversations between members, one golden file per topic. Rewrite with SWARM_REWRITE=1, and explain the diff.
#include <gtest/gtest.h>

#include "tests/actors/raft/golden_cluster.hpp"

namespace swarm::raft {
namespace {

TEST(raft_golden, every_conversation_goes_as_written) {
  test::run_golden_folder(std::string{SWARM_TESTDATA} + "/actors/raft/testdata", [] {
    auto cluster = std::make_shared<golden_cluster>();
    return [cluster](const test::golden_case& c) { return cluster->run(c); };
  });
}

} // namespace
} // namespace swarm::raft
