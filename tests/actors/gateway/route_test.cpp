// Which requests are ours, and which the engine's.
#include "actors/gateway/route.hpp"

#include <gtest/gtest.h>

namespace swarm::gateway {
namespace {

TEST(route, swarm_paths_are_ours_with_and_without_a_version) {
  EXPECT_EQ(find_route("GET", "/_ping").to, target::ping);
  EXPECT_EQ(find_route("HEAD", "/v1.41/_ping").to, target::ping);
  EXPECT_EQ(find_route("GET", "/v1.50/services").to, target::service_list);
  const auto r = find_route("POST", "/v1.41/services/web/update");
  EXPECT_EQ(r.to, target::service_update);
  EXPECT_EQ(r.id, "web");
  EXPECT_EQ(r.api_minor, 41u);
  EXPECT_EQ(find_route("POST", "/services/create").to, target::service_create);
  EXPECT_EQ(find_route("GET", "/services/create").to, target::service_inspect);
  EXPECT_EQ(find_route("GET", "/swarm").api_minor, api_minor_max);
}

TEST(route, networks_are_ours_to_sort_out_but_for_leaving_one) {
  EXPECT_EQ(find_route("GET", "/v1.50/networks").to, target::network_list);
  EXPECT_EQ(find_route("GET", "/networks/web").to, target::network_inspect);
  EXPECT_EQ(find_route("POST", "/networks/create").to, target::network_create);
  EXPECT_EQ(find_route("POST", "/networks/prune").to, target::network_prune);
  EXPECT_EQ(find_route("DELETE", "/networks/web").id, "web");
  EXPECT_EQ(find_route("POST", "/networks/web/connect").to, target::network_connect);
  EXPECT_EQ(find_route("POST", "/networks/web/disconnect").to, target::engine);
}

TEST(route, image_names_with_slashes_reach_distribution_whole) {
  const auto r = find_route("GET", "/v1.50/distribution/registry.example/team/app:1/json");
  EXPECT_EQ(r.to, target::distribution);
  EXPECT_EQ(r.id, "registry.example/team/app:1");
}

TEST(route, everything_else_is_the_engines) {
  for (const auto* path : {"/v1.50/containers/json", "/containers/create", "/build", "/v1.41/volumes", "/volumes/v1", "/grpc", "/session", "/", ""})
    EXPECT_EQ(find_route("GET", path).to, target::engine) << path;
  EXPECT_EQ(find_route("POST", "/info").to, target::engine);
}

TEST(route, nothing_below_our_paths_ever_reaches_the_engine) {
  for (const auto* path : {"/swarm/init", "/v1.41/swarm/nothing", "/services/a/b/c", "/nodes//update", "/tasks/x/update", "/secrets/"})
    EXPECT_EQ(find_route("PATCH", path).to, target::unknown) << path;
  EXPECT_EQ(find_route("GET", "/swarm/init").to, target::unknown);
}

TEST(route, versions_out_of_range_are_told_the_range) {
  EXPECT_EQ(find_route("GET", "/v1.99/info").error, "client version 1.99 is too new. Maximum supported API version is 1.50");
  EXPECT_EQ(find_route("GET", "/v1.12/info").error,
            "client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version");
  EXPECT_EQ(find_route("GET", "/v0.0/info").to, target::bad_version);
  EXPECT_EQ(find_route("GET", "/v2.0/containers/json").to, target::bad_version);
  EXPECT_EQ(find_route("GET", "/v99999999999999.1/x").to, target::engine); // no version at all
}

TEST(route, an_older_engine_is_asked_in_its_own_version) {
  EXPECT_EQ(engine_target("/v1.50/containers/json?all=1", 41), "/v1.41/containers/json?all=1");
  EXPECT_EQ(engine_target("/v1.30/containers/json", 41), "/v1.30/containers/json");
  EXPECT_EQ(engine_target("/v1.50/containers/json", 0), "/v1.50/containers/json");
  EXPECT_EQ(engine_target("/containers/json", 41), "/containers/json");
  EXPECT_EQ(engine_target("/v1.50", 41), "/v1.41");
}

} // namespace
} // namespace swarm::gateway
