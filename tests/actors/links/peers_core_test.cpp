// Whom to dial when, and which of two links stays.
#include "actors/links/peers_core.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace swarm::links {
namespace {

const failure lost{errc::unavailable, "lost"};

class peers : public testing::Test {
protected:
  peers_core core{{}, 7};
  instant now{seconds{100}};

  template <class Effect>
  static std::vector<Effect> only(const effects& all) {
    std::vector<Effect> out;
    for (const auto& e : all)
      if (const auto* one = std::get_if<Effect>(&e))
        out.push_back(*one);
    return out;
  }
  static peers_core::link link(std::uint64_t id, const std::string& node, bool dialled = true) {
    return {id, node, "10.0.0.1:2377", NODE_ROLE_MANAGER, dialled};
  }
  effects up(std::uint64_t id, const std::string& node, bool dialled = true) { return core.up(now, "m", link(id, node, dialled)); }
};

TEST_F(peers, a_flapping_link_is_dialled_with_bounded_patience) {
  (void)core.connect(now, "a", "10.0.0.1:2377");
  for (std::uint64_t id = 1; id <= 12; ++id) {
    core.dialling("a", id);
    (void)up(id, "a");
    now += seconds{1}; // too short a life for a good link
    (void)core.down(now, id, lost);
    ASSERT_TRUE(core.next_due());
    EXPECT_LE(*core.next_due() - now, milliseconds{800});
    now = *core.next_due();
    (void)core.tick(now);
  }
}

TEST_F(peers, managers_try_each_other_every_second) {
  core.among_managers(true);
  (void)core.connect(now, "a", "10.0.0.1:2377");
  for (std::uint64_t id = 1; id <= 12; ++id) {
    core.dialling("a", id);
    (void)core.down(now, id, lost);
    EXPECT_LE(*core.next_due() - now, seconds{1});
    now = *core.next_due();
    (void)core.tick(now);
  }
}

TEST_F(peers, the_news_of_an_end_say_whether_it_broke_off) {
  (void)up(1, "a");
  const auto killed = only<report>(core.down(now, 1, lost, true));
  ASSERT_EQ(killed.size(), 1U);
  EXPECT_TRUE(killed[0].what.broke_off());
  (void)up(2, "a");
  EXPECT_FALSE(only<report>(core.down(now, 2, lost)).at(0).what.broke_off());
}

TEST_F(peers, a_target_is_dialled_at_once_and_told_of_when_it_is_up) {
  EXPECT_EQ(only<dial>(core.connect(now, "a", "10.0.0.1:2377")), (std::vector{dial{"a", "a", "10.0.0.1:2377"}}));
  core.dialling("a", 1);
  EXPECT_TRUE(core.connect(now, "a", "10.0.0.1:2377").empty()) << "asked again";
  EXPECT_FALSE(core.next_due());
  const auto done = up(1, "a");
  EXPECT_EQ(only<adopt>(done).size(), 1U);
  ASSERT_EQ(only<report>(done).size(), 1U);
  EXPECT_TRUE(only<report>(done)[0].what.up());
  EXPECT_EQ(core.links().size(), 1U);
}

TEST_F(peers, failures_back_off_with_jitter_up_to_a_bound) {
  (void)core.connect(now, "a", "x:1");
  std::vector<duration> waits;
  for (std::uint64_t id = 1; id < 12; ++id) {
    core.dialling("a", id);
    EXPECT_TRUE(only<dial>(core.down(now, id, lost)).empty());
    ASSERT_TRUE(core.next_due());
    waits.push_back(*core.next_due() - now);
    now = *core.next_due();
    EXPECT_EQ(only<dial>(core.tick(now)).size(), 1U);
  }
  EXPECT_GE(waits.front(), milliseconds{50});
  EXPECT_LE(waits.front(), milliseconds{100});
  for (const auto w : waits)
    EXPECT_LE(w, seconds{8});
  EXPECT_GE(waits.back(), seconds{4});
  std::sort(waits.begin() + 8, waits.end());
  EXPECT_NE(waits[8], waits[10]) << "jitter";
}

TEST_F(peers, a_link_that_held_is_dialled_again_at_once_one_that_is_refused_is_not) {
  (void)core.connect(now, "a", "x:1");
  core.dialling("a", 1);
  (void)up(1, "a");
  now += seconds{10};
  const auto ended = core.down(now, 1, lost);
  ASSERT_EQ(only<report>(ended).size(), 1U);
  EXPECT_EQ(only<report>(ended)[0].what.reason(), "lost");
  EXPECT_LE(*core.next_due() - now, milliseconds{100});
  duration last{};
  for (std::uint64_t id = 2; id < 9; ++id) {
    now = *core.next_due();
    ASSERT_EQ(only<dial>(core.tick(now)).size(), 1U);
    core.dialling("a", id);
    (void)up(id, "a");
    (void)core.down(now, id, lost);
    last = *core.next_due() - now;
  }
  EXPECT_GT(last, seconds{2});
}

TEST_F(peers, of_two_links_dialled_at_once_both_ends_keep_the_same_one) {
  // "a" < "m": on m, the accepted link (dialled by a) stays, whichever was first.
  (void)core.connect(now, "a", "x:1");
  core.dialling("a", 1);
  (void)up(1, "a", true);
  const auto second = up(2, "a", false);
  ASSERT_EQ(only<hang_up>(second).size(), 1U);
  EXPECT_EQ(only<hang_up>(second)[0].link, 1U);
  EXPECT_EQ(only<adopt>(second)[0].link, 2U);
  EXPECT_TRUE(only<report>(second).empty()) << "the node was within reach all the time";
  EXPECT_TRUE(only<report>(core.down(now, 1, lost)).empty());
  EXPECT_FALSE(core.next_due());

  peers_core other{{}, 7};
  (void)other.up(now, "a", link(1, "m", false));
  const auto kept = other.up(now, "a", link(2, "m", true));
  ASSERT_EQ(only<hang_up>(kept).size(), 1U);
  EXPECT_EQ(only<hang_up>(kept)[0].link, 1U) << "on a, the dialled one stays";
  const auto refused = other.up(now, "a", link(3, "m", false));
  ASSERT_EQ(only<hang_up>(refused).size(), 1U);
  EXPECT_EQ(only<hang_up>(refused)[0].link, 3U);
  EXPECT_TRUE(only<adopt>(refused).empty());
}

TEST_F(peers, a_later_link_replaces_the_old_one_because_the_peer_knows_it_dead) {
  (void)up(1, "z", true); // "m" < "z": within the window this one would stay
  now += seconds{4};
  const auto again = up(2, "z", false);
  EXPECT_EQ(only<hang_up>(again)[0].link, 1U);
  EXPECT_EQ(only<adopt>(again)[0].link, 2U);
  const auto same_way = up(3, "z", false);
  EXPECT_EQ(only<adopt>(same_way)[0].link, 3U) << "the same direction: the newer one";
}

TEST_F(peers, an_address_without_a_node_learns_who_is_there_and_is_satisfied_by_any_link_to_it) {
  EXPECT_EQ(only<dial>(core.connect(now, "", "x:1")), (std::vector{dial{"@x:1", "", "x:1"}}));
  core.dialling("@x:1", 1);
  (void)up(1, "a");
  EXPECT_FALSE(core.next_due());
  (void)core.down(now, 1, lost);
  now = *core.next_due();
  EXPECT_EQ(only<dial>(core.tick(now)), (std::vector{dial{"@x:1", "", "x:1"}})) << "another node may answer next time";
}

TEST_F(peers, a_node_that_dials_itself_hangs_up) {
  (void)core.connect(now, "", "x:1");
  core.dialling("@x:1", 1);
  const auto got = up(1, "m");
  EXPECT_EQ(only<hang_up>(got).size(), 1U);
  EXPECT_EQ(core.size(), 0U);
}

TEST_F(peers, forgotten_targets_are_hung_up_and_not_dialled_again) {
  (void)core.connect(now, "a", "x:1");
  core.dialling("a", 1);
  (void)up(1, "a");
  EXPECT_EQ(only<hang_up>(core.forget("a", ""))[0].link, 1U);
  EXPECT_EQ(only<report>(core.down(now, 1, lost)).size(), 1U);
  EXPECT_FALSE(core.next_due());
  EXPECT_TRUE(core.forget("a", "").empty());
}

TEST_F(peers, a_new_address_of_a_known_node_is_tried_at_once) {
  (void)core.connect(now, "a", "x:1");
  core.dialling("a", 1);
  (void)core.down(now, 1, lost);
  EXPECT_EQ(only<dial>(core.connect(now, "a", "y:2")), (std::vector{dial{"a", "a", "y:2"}}));
}

TEST_F(peers, targets_are_bounded) {
  peers_options few;
  few.targets_max = 2;
  peers_core small{few, 1};
  EXPECT_EQ(small.connect(now, "a", "x:1").size(), 1U);
  EXPECT_EQ(small.connect(now, "b", "x:2").size(), 1U);
  EXPECT_TRUE(small.connect(now, "c", "x:3").empty());
}

TEST_F(peers, refused_nodes_are_hung_up_on) {
  (void)up(4, "w", false);
  EXPECT_EQ(only<hang_up>(core.refuse("w", lost))[0].link, 4U);
  EXPECT_TRUE(core.refuse("nobody", lost).empty());
}

} // namespace
} // namespace swarm::links
