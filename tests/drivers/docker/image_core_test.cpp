// When an image is pulled and when not.
#include "drivers/docker/image_core.hpp"

#include <gtest/gtest.h>

#include "runtime/overload.hpp"

namespace swarm::docker {
namespace {

class images : public testing::Test {
protected:
  std::string want(const std::string& image, const std::string& waiter = "t", const std::string& auth = "") {
    effects out;
    const auto verdict = core.want(now, image, auth, waiter, next, out);
    return (verdict == image_core::verdict::ready ? "ready " : "") + show(out);
  }
  std::string local(bool here) {
    effects out;
    core.step(now, call_ended{last, {outcome::answered, here ? 200 : 404, "{}", "", ""}}, next, out);
    return show(out) + verdicts();
  }
  std::string pulled(const answer& how) {
    core.step(now, pull_ended{last, how});
    return verdicts();
  }
  std::string verdicts() {
    std::string out;
    for (const auto& v : core.settled())
      out += v.waiter + "=" + (v.error.ok() ? "ok" : std::string{to_string(v.error.code)} + " " + v.error.message) + " ";
    return out;
  }
  std::string show(const effects& todo) {
    std::string out;
    for (const auto& e : todo)
      out += std::visit(overload{
        [&](const make_call& x) { last = x.id; return "look " + x.target; },
        [&](const start_pull& x) { last = x.id; return "pull " + x.target + " within " + std::to_string(x.head_deadline / seconds{1}) + "s"; },
        [&](const cancel_pull&) { return std::string{"cancel"}; },
        [](const auto&) { return std::string{"?"}; },
      }, e) + " ";
    return out;
  }
  image_core core;
  call_id next = 1;
  call_id last = 0;
  instant now{seconds{100}};
};

const answer fine{outcome::answered, 200, "", "", ""};
const answer silent{outcome::unknown, 0, "", "no answer in time", ""};
const answer denied{outcome::answered, 404, R"({"message":"pull access denied for x"})", "", ""};

TEST_F(images, an_id_is_never_looked_for) {
  EXPECT_EQ(want("sha256:" + std::string(64, '0')), "ready ");
  EXPECT_EQ(want(std::string(64, 'f')), "ready ");
}

TEST_F(images, a_digest_that_is_here_is_not_pulled) {
  const auto image = "busybox@sha256:" + std::string(64, '0');
  EXPECT_EQ(want(image), "look /images/" + image + "/json ");
  EXPECT_EQ(local(true), "t=ok ");
}

TEST_F(images, a_tag_is_pulled_once_for_all_who_want_it) {
  EXPECT_EQ(want("busybox", "a"), "look /images/busybox:latest/json ");
  EXPECT_EQ(want("busybox:latest", "b"), "");
  EXPECT_EQ(local(false), "pull /images/create?fromImage=busybox&tag=latest within 120s ");
  EXPECT_EQ(want("busybox", "c"), "");
  EXPECT_EQ(pulled(fine), "a=ok b=ok c=ok ");
  now += seconds{29};
  EXPECT_EQ(want("busybox"), "ready ");
  now += seconds{2};
  EXPECT_EQ(want("busybox"), "look /images/busybox:latest/json ");
}

TEST_F(images, a_silent_registry_costs_two_seconds_once_when_the_image_is_here) {
  (void)want("busybox");
  EXPECT_EQ(local(true), "pull /images/create?fromImage=busybox&tag=latest within 2s ");
  EXPECT_EQ(pulled(silent), "t=ok ");
  now += seconds{40};
  (void)want("busybox");
  EXPECT_EQ(local(true), "t=ok ") << "the registry rests";
  (void)want("alpine");
  EXPECT_EQ(local(true), "t=ok ") << "for all its images";
  (void)want("quay.io/x/y:1");
  EXPECT_EQ(local(true), "pull /images/create?fromImage=quay.io/x/y&tag=1 within 2s ");
  (void)pulled(fine);
  now += seconds{61};
  (void)want("busybox");
  EXPECT_NE(local(true), "t=ok ");
}

TEST_F(images, an_image_that_is_neither_here_nor_there_is_missing_and_says_why) {
  (void)want("x");
  (void)local(false);
  EXPECT_EQ(pulled(denied), "t=no_such_image No such image: x:latest (pull access denied for x) ");
  (void)want("x");
  EXPECT_EQ(local(false), "t=no_such_image No such image: x:latest (pull access denied for x) ") << "not asked again at once";
  now += seconds{11};
  (void)want("x");
  EXPECT_EQ(local(false), "pull /images/create?fromImage=x&tag=latest within 120s ");
}

TEST_F(images, a_refused_image_that_is_here_is_used) {
  (void)want("mine");
  (void)local(true);
  EXPECT_EQ(pulled(denied), "t=ok ");
}

TEST_F(images, a_registry_that_wants_a_password_is_not_one_in_trouble) {
  const answer locked{outcome::answered, 500, R"({"message":"Head \"http://r:5000/v2/x\": no basic auth credentials"})", "", ""};
  (void)want("r:5000/x");
  (void)local(false);
  EXPECT_EQ(pulled(locked), "t=no_such_image No such image: r:5000/x:latest (Head \"http://r:5000/v2/x\": no basic auth credentials) ");
  (void)want("r:5000/y");
  EXPECT_NE(local(true), "t=ok ") << "it is asked for its other images";
}

TEST_F(images, an_error_within_the_stream_is_a_failed_pull) {
  (void)want("x");
  (void)local(false);
  core.step(now, pull_printed{last, R"({"errorDetail":{"message":"manifest unknown"},"error":"manifest unknown"})"});
  EXPECT_EQ(pulled(fine), "t=no_such_image No such image: x:latest (manifest unknown) ");
}

TEST_F(images, an_engine_that_dies_while_pulling_does_not_make_the_image_missing) {
  (void)want("x");
  (void)local(false);
  EXPECT_EQ(pulled({outcome::nothing, 0, "", "gone", ""}), "t=unavailable pulling x:latest: gone ");
}

TEST_F(images, a_pull_that_nobody_waits_for_is_cancelled) {
  (void)want("x", "a");
  (void)want("x", "b");
  (void)local(false);
  effects out;
  core.leave("a", out);
  EXPECT_EQ(show(out), "");
  core.leave("b", out);
  EXPECT_EQ(show(out), "cancel ");
  EXPECT_EQ(want("x", "c"), "look /images/x:latest/json ");
}

TEST_F(images, different_passwords_are_different_pulls) {
  (void)want("x", "a", "one");
  EXPECT_NE(want("x", "b", "two"), "");
}

TEST_F(images, a_forgotten_image_is_looked_for_again) {
  (void)want("x");
  (void)local(true);
  (void)pulled(fine);
  core.forget("x");
  EXPECT_EQ(want("x"), "look /images/x:latest/json ");
}

TEST(image_names, are_taken_apart_as_docker_does) {
  auto show = [](const std::string& image) {
    const auto n = parse_image(image);
    return n.registry + " " + n.repository + " " + n.tag + (n.has_digest ? " digest" : "") + (n.is_id ? "id" : "");
  };
  EXPECT_EQ(show("busybox"), "docker.io busybox latest");
  EXPECT_EQ(show("library/busybox:1.36"), "docker.io library/busybox 1.36");
  EXPECT_EQ(show("localhost:5000/a/b"), "localhost:5000 localhost:5000/a/b latest");
  EXPECT_EQ(show("r.example/a:2@sha256:ab"), "r.example r.example/a sha256:ab digest");
  EXPECT_EQ(image_reference("a/b"), "a/b:latest");
  EXPECT_EQ(image_reference("a@sha256:x"), "a@sha256:x");
}

} // namespace
} // namespace swarm::docker
