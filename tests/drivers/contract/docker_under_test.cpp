// The docker driver on an engine of the test program's own, see the header.
#include "tests/drivers/contract/docker_under_test.hpp"

namespace swarm::test {
namespace {

// Stopped before main() returns, so that a failure to clean up is seen.
class engine_environment : public testing::Environment {
public:
  void TearDown() override { engine.reset(); }
  std::unique_ptr<test_engine> engine;
};
engine_environment* const environment = static_cast<engine_environment*>(testing::AddGlobalTestEnvironment(new engine_environment));

} // namespace

test_engine* shared_engine() {
  static const bool tried = [] {
    if (test_engine::possible())
      environment->engine = std::make_unique<test_engine>("drv");
    return true;
  }();
  (void)tried;
  return environment->engine && environment->engine->started() ? environment->engine.get() : nullptr;
}

docker_under_test::docker_under_test(caf::actor_system& system, test_engine& engine, docker::docker_driver_options opts)
  : system_{system}, engine_{engine}, io_{std::make_unique<io_threads>()} {
  io_->start();
  opts.engine_socket = engine.socket();
  opts.state_directory = engine.state_directory();
  driver_ = system_.spawn(docker::docker_driver, opts, io_.get());
}

docker_under_test::~docker_under_test() {
  caf::scoped_actor self{system_};
  self->monitor(driver_);
  self->send_exit(driver_, caf::exit_reason::user_shutdown);
  self->receive([](const caf::down_msg&) {}, caf::after(std::chrono::seconds{10}) >> [] { ADD_FAILURE() << "the driver does not end"; });
  driver_ = nullptr;
}

void docker_under_test::shell(TaskDescription& task, const std::string& script) {
  auto& spec = *task.mutable_spec()->mutable_container_spec();
  spec.clear_command();
  for (const auto* word : {"/bin/sh", "-c", script.c_str()})
    spec.add_command(word);
  auto& network = *task.add_networks();
  network.set_predefined_name("none");
}

void docker_under_test::run_for_ever(TaskDescription& task) { shell(task, "trap 'exit 0' TERM; while :; do sleep 0.2; done"); }
void docker_under_test::exit_soon(TaskDescription& task, int code) { shell(task, "sleep 0.1; exit " + std::to_string(code)); }
void docker_under_test::print_lines(TaskDescription& task, int count) {
  shell(task, "i=1; while [ $i -le " + std::to_string(count) + " ]; do echo line $i; i=$((i+1)); done; sleep 1000");
}
void docker_under_test::refuse_start(TaskDescription& task) {
  shell(task, "");
  task.mutable_spec()->mutable_container_spec()->clear_command();
  task.mutable_spec()->mutable_container_spec()->add_command("/no/such/program");
}
void docker_under_test::vanish(const std::string& task_id) {
  engine_.docker("rm -f $(docker -H unix://" + engine_.socket() + " ps -aq --filter label=com.docker.swarm.task.id=" + task_id + ")");
}

std::unique_ptr<driver_under_test> make_docker_under_test(caf::actor_system& system) {
  auto* engine = shared_engine();
  return engine == nullptr ? nullptr : std::make_unique<docker_under_test>(system, *engine);
}

} // namespace swarm::test
