// Durations as Go writes them, in labels of services.
#include "messages/service_labels.hpp"

#include <gtest/gtest.h>

namespace swarm {
namespace {

using namespace std::chrono;

std::optional<nanoseconds> deadline(const std::string& text) {
  ServiceSpec spec;
  (*spec.mutable_labels())[update_deadline_label] = text;
  return update_deadline(spec);
}

TEST(service_labels, a_deadline_is_a_duration_as_go_writes_it) {
  EXPECT_EQ(deadline("90s"), seconds{90});
  EXPECT_EQ(deadline("1h2m3s"), hours{1} + minutes{2} + seconds{3});
  EXPECT_EQ(deadline("1.5s"), milliseconds{1500});
  EXPECT_EQ(deadline("250ms"), milliseconds{250});
  EXPECT_EQ(update_deadline(ServiceSpec{}), std::nullopt);
}

TEST(service_labels, anything_else_is_none) {
  for (const auto* text : {"", "soon", "5", "-5s", "0s", "5 s", "5sx", "s", "1.s.", "99999999999h", "1e9s", ".s"})
    EXPECT_EQ(deadline(text), std::nullopt) << text;
}

} // namespace
} // namespace swarm
