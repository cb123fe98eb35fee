// The docker driver on an engine of the test program's own.
#pragma once

#include "drivers/docker/docker_driver.hpp"
#include "tests/drivers/contract/driver_contract.hpp"
#include "tests/support/test_engine.hpp"

namespace swarm::test {

/// The engine of this test program, started on first use; nullptr when the machine has none.
test_engine* shared_engine();

/// A docker driver on it, as swarm-node would run one.
class docker_under_test : public driver_under_test {
public:
  explicit docker_under_test(caf::actor_system& system, test_engine& engine, docker::docker_driver_options opts = {});
  ~docker_under_test() override;
  driver_actor handle() override { return driver_; }
  void run_for_ever(TaskDescription& task) override;
  void exit_soon(TaskDescription& task, int code) override;
  void print_lines(TaskDescription& task, int count) override;
  void refuse_start(TaskDescription& task) override;
  void vanish(const std::string& task_id) override;
  static void shell(TaskDescription& task, const std::string& script);

private:
  caf::actor_system& system_;
  test_engine& engine_;
  std::unique_ptr<io_threads> io_;
  docker::docker_driver_actor driver_;
};

std::unique_ptr<driver_under_test> make_docker_under_test(caf::actor_system& system);

} // namespace swarm::test
