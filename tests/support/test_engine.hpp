// A Docker Engine of the test's own, in a network and mount namespace of its own; gone without a trace at the end.
#pragma once

#include <memory>
#include <string>

#include "tests/support/temp_dir.hpp"

namespace swarm::test {

/// Start and stop are done by tests/integration/engine.sh. Needs root and dockerd.
class test_engine {
public:
  /// Whether this machine can do it; SWARM_SKIP_DOCKER in the environment says no.
  [[nodiscard]] static bool possible();

  /// `name` is unique per test program: it names the namespace and the cgroup. With a busybox:latest image.
  explicit test_engine(const std::string& name);
  ~test_engine();
  test_engine(const test_engine&) = delete;
  test_engine& operator=(const test_engine&) = delete;

  [[nodiscard]] bool started() const { return started_; }
  [[nodiscard]] std::string socket() const;
  /// A folder on tmpfs for secrets that the engine sees, too.
  [[nodiscard]] const std::string& state_directory() const { return state_; }

  /// Output of the docker CLI against this engine, without the last newline.
  std::string docker(const std::string& arguments) const;
  void pause() const;    ///< an engine that hangs
  void resume() const;
  void restart() const;  ///< kill -9 and a new start

private:
  [[nodiscard]] int script(const std::string& verb, const std::string& more = {}) const;
  std::string name_;
  std::string directory_;
  std::string state_;
  bool started_ = false;
};

} // namespace swarm::test
