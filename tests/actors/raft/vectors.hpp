// Reads the published Raft vectors (../shared/vectors/*.json) through protobuf's own JSON reader.
#pragma once

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

namespace swarm::test {

using json = google::protobuf::Value;

inline const json& member(const json& of, const std::string& name) {
  static const json null;
  const auto& fields = of.struct_value().fields();
  const auto it = fields.find(name);
  return it == fields.end() ? null : it->second;
}
inline const auto& items(const json& of) { return of.list_value().values(); }
inline std::uint64_t number(const json& of) { return static_cast<std::uint64_t>(of.number_value()); }

/// nullopt, and a line that cannot be missed, where the folder is not there.
inline std::optional<json> read_vectors(const std::string& name, int expected_count) {
  std::ifstream in{std::string{SWARM_VECTORS} + '/' + name};
  if (!in) {
    std::fprintf(stderr, "SKIPPED: %d vectors of %s (no %s)\n", expected_count, name.c_str(), SWARM_VECTORS);
    return std::nullopt;
  }
  std::ostringstream text;
  text << in.rdbuf();
  json out;
  const auto status = google::protobuf::util::JsonStringToMessage(text.str(), &out);
  EXPECT_TRUE(status.ok()) << name << ": " << status.message();
  return out;
}

} // namespace swarm::test
