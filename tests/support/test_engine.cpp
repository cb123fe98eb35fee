// Drives tests/integration/engine.sh, see the header.
#include "tests/support/test_engine.hpp"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace swarm::test {
namespace {

std::string quoted(const std::string& s) { return "'" + s + "'"; }

} // namespace

bool test_engine::possible() {
  return std::getenv("SWARM_SKIP_DOCKER") == nullptr && ::geteuid() == 0
         && std::system("command -v dockerd docker ip nsenter >/dev/null 2>&1") == 0;
}

test_engine::test_engine(const std::string& name) : name_{"swt-" + name + "-" + std::to_string(::getpid())} {
  directory_ = "/tmp/" + name_; // short: unix socket paths are
  state_ = "/dev/shm/" + name_;
  std::filesystem::create_directories(directory_);
  std::filesystem::create_directories(state_);
  started_ = std::system((quoted(SWARM_SOURCE_DIR "/tests/integration/engine.sh") + " netns-add " + name_).c_str()) == 0
             && script("start", name_) == 0
             && std::system((quoted(SWARM_SOURCE_DIR "/tests/integration/engine.sh") + " image " + directory_).c_str()) == 0;
}

test_engine::~test_engine() {
  (void)script("stop");
  (void)std::system((quoted(SWARM_SOURCE_DIR "/tests/integration/engine.sh") + " netns-del " + name_).c_str());
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
  std::filesystem::remove_all(state_, ignored);
}

int test_engine::script(const std::string& verb, const std::string& more) const {
  return std::system((quoted(SWARM_SOURCE_DIR "/tests/integration/engine.sh") + " " + verb + " " + name_ + " " + directory_
                      + " " + more).c_str());
}

std::string test_engine::socket() const { return directory_ + "/docker.sock"; }

std::string test_engine::docker(const std::string& arguments) const {
  const auto command = "timeout 60 docker -H unix://" + socket() + " " + arguments + " 2>&1";
  std::string out;
  if (auto* pipe = ::popen(command.c_str(), "r")) {
    char buffer[4096];
    while (const auto n = std::fread(buffer, 1, sizeof buffer, pipe))
      out.append(buffer, n);
    ::pclose(pipe);
  }
  while (!out.empty() && out.back() == '\n')
    out.pop_back();
  return out;
}

void test_engine::pause() const { (void)script("pause"); }
void test_engine::resume() const { (void)script("resume"); }
void test_engine::restart() const {
  (void)script("kill");
  (void)script("start", name_);
}

} // namespace swarm::test
