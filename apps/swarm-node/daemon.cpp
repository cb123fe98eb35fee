// Wiring of one process: log, actor system, I/O threads, NODE ROOT, GATEWAY, control socket, signals.
#include "apps/swarm-node/daemon.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <caf/all.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "actors/gateway/gateway_sup.hpp"
#include "actors/introspect/introspect_actor.hpp"
#include "actors/introspect/introspect_sup.hpp"
#include "actors/node/node_root_actor.hpp"
#include "drivers/docker/docker_driver.hpp"
#include "drivers/plugin/secret_provider_actor.hpp"
#include "drivers/process/process_driver.hpp"
#include "drivers/simulated/simulated_driver.hpp"
#include "drivers/task_files.hpp"
#include "runtime/crypto/bytes.hpp"
#include "runtime/log.hpp"
#include "runtime/system.hpp"

extern char** environ;

namespace swarm::daemon {

namespace {

using config::daemon_options;

std::string path_of(const std::string& address) {
  constexpr std::string_view scheme = "unix://";
  return address.starts_with(scheme) ? address.substr(scheme.size()) : address;
}

// Where systemd wants to be told; nothing when it did not start us (sd_notify(3), "Notes": the protocol is stable).
void notify_systemd(std::string_view text) {
  const char* socket_path = std::getenv("NOTIFY_SOCKET");
  if (socket_path == nullptr || std::strlen(socket_path) >= sizeof(sockaddr_un::sun_path))
    return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::strcpy(to.sun_path, socket_path);
  if (to.sun_path[0] == '@')
    to.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return;
  ::sendto(fd, text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&to),
           static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(socket_path)));
  ::close(fd);
}

class pidfile {
public:
  explicit pidfile(std::string path) : path_{std::move(path)} {
    if (!path_.empty())
      std::ofstream{path_} << ::getpid() << '\n';
  }
  ~pidfile() {
    if (!path_.empty())
      ::unlink(path_.c_str());
  }
  pidfile(const pidfile&) = delete;
  pidfile& operator=(const pidfile&) = delete;

private:
  std::string path_;
};

std::string runtime_folder(const daemon_options& o) {
  return std::filesystem::path{path_of(o.control_socket)}.parent_path().string();
}

std::function<driver_actor(caf::actor_system&)> driver_factory(const daemon_options& o, io_threads& io) {
  switch (o.driver) {
    case config::driver_kind::process: {
      process::process_driver_options opts;
      opts.state_directory = o.data_root + "/process";
      opts.files_directory = driver::folder_in_memory(runtime_folder(o) + "/files");
      opts.shim = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "swarm-task-shim";
      return [opts](caf::actor_system& system) -> driver_actor { return system.spawn<caf::detached>(process::process_driver, opts); };
    }
    case config::driver_kind::simulated:
      return [](caf::actor_system& system) -> driver_actor {
        return system.spawn(simulated::simulated_driver, simulated::simulated_options{});
      };
    default: break;
  }
  docker::docker_driver_options opts;
  opts.engine_socket = path_of(o.engine);
  opts.state_directory = runtime_folder(o);
  opts.core.call_deadline = o.engine_timeout;
  opts.core.images.call_deadline = o.engine_timeout;
  opts.seed = crypto::random_u64();
  return [opts, &io](caf::actor_system& system) -> driver_actor { return system.spawn(docker::docker_driver, opts, &io); };
}

std::function<secret_provider_actor(caf::actor_system&)> secret_provider_factory(const daemon_options& o, io_threads& io) {
  plugin::provider_options opts;
  if (o.driver == config::driver_kind::docker)
    opts.engine_socket = path_of(o.engine);
  opts.core.socket_dir = o.plugin_dir;
  return [opts, &io](caf::actor_system& system) -> secret_provider_actor {
    return system.spawn<caf::detached>(plugin::secret_provider, opts, &io);
  };
}

node::node_options node_options_of(const daemon_options& o, io_threads& io) {
  node::node_options out;
  out.data_root = o.data_root;
  out.listen_addr = o.listen_addr;
  out.advertise_addr = o.advertise_addr;
  out.node_name = o.node_name;
  out.map_bytes = o.map_size;
  out.raft_heartbeat = o.raft_heartbeat;
  out.raft_election = o.raft_election;
  out.spawn_driver = driver_factory(o, io);
  out.spawn_secret_provider = secret_provider_factory(o, io);
  out.io = &io;
  return out;
}

gateway::listen_options listen_options_of(const daemon_options& o) {
  gateway::listen_options out;
  out.hosts = o.hosts;
  out.group = o.group;
  out.limits.connections = o.max_connections;
  out.limits.body_bytes = o.max_body;
  out.limits.header_deadline = o.header_timeout;
  return out;
}

gateway::shared_options gateway_options_of(const daemon_options& o, io_threads& io) {
  auto out = std::make_shared<gateway::gateway_options>();
  if (o.driver == config::driver_kind::docker) {
    out->engine_socket = path_of(o.engine);
    http::client_options engine;
    engine.socket_path = out->engine_socket;
    out->engine = std::make_shared<http::client>(io, engine);
  }
  out->request_deadline = o.request_timeout;
  out->host_info = node::host_info_json(std::string{to_string(o.driver)}, "swarm-node");
  return out;
}

// Two daemons on one data-root would run every task twice. The kernel gives the lock back when we end, however we end.
class data_lock {
public:
  failure take(const std::string& data_root) {
    const auto path = data_root + "/lock";
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd_ < 0)
      return {errc::internal, "cannot open " + path + ": " + std::strerror(errno)};
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0)
      return {errc::conflict, "data-root " + data_root + " is used by another swarm-node"};
    return {};
  }
  data_lock() = default;
  ~data_lock() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  data_lock(const data_lock&) = delete;
  data_lock& operator=(const data_lock&) = delete;

private:
  int fd_ = -1;
};

void log_lines(std::string_view event, const std::string& text) {
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);)
    log::warn("node", event, {{"line", line}}); // someone asked for it: not to be lost in a quiet log
}

void reload(config::parsed& current, int argc, const char* const* argv) {
  auto fresh = config::parse_daemon_options(argc, argv, environ, &current);
  if (const auto* stop = std::get_if<config::stop_now>(&fresh)) {
    log::error("node", "reload_refused", {{"reason", stop->text}});
    return;
  }
  for (const auto& line : config::reload(current, std::get<config::parsed>(fresh)))
    log::info("node", "reloaded", {{"change", line}});
  log::set_level(current.options.log_level);
  log::set_format(current.options.log_format);
  log::debug("node", "log_level_set", {{"level", to_string(current.options.log_level)}});
}

// Sockets of a folder that does not exist cannot be opened; made with the rights that protect them.
failure make_folders(const daemon_options& o) {
  std::error_code ec;
  std::filesystem::create_directories(o.data_root, ec);
  if (ec)
    return {errc::internal, "cannot make data-root " + o.data_root + ": " + ec.message()};
  std::filesystem::permissions(o.data_root, std::filesystem::perms::owner_all, ec);
  std::vector<std::string> sockets{o.control_socket};
  sockets.insert(sockets.end(), o.hosts.begin(), o.hosts.end());
  for (const auto& socket : sockets)
    std::filesystem::create_directories(std::filesystem::path{path_of(socket)}.parent_path(), ec);
  return {};
}

struct wait_result {
  int exit_code = 0;
};

// Serves signals until one of them, or the node itself, ends the process.
wait_result wait_for_end(config::parsed& parsed, int argc, const char* const* argv, caf::actor_system& system,
                         const introspect_actor& introspect, const std::atomic<bool>& gave_up) {
  sigset_t handled;
  sigemptyset(&handled);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1})
    sigaddset(&handled, signal);
  for (;;) {
    int signal = 0;
    sigwait(&handled, &signal);
    if (gave_up)
      return {config::exit_runtime};
    if (signal == SIGHUP)
      reload(parsed, argc, argv);
    else if (signal == SIGUSR1)
      log_lines("dump", introspect::dump_tree(system, introspect));
    else
      return {config::exit_ok};
  }
}

// STORAGE writes what is queued before it ends.
void stop_node(caf::actor_system& system, const node::node_root_interface& root, duration deadline) {
  caf::anon_send(root, stop_atom_v);
  const auto until = std::chrono::steady_clock::now() + deadline;
  while (std::chrono::steady_clock::now() < until && !actor_registry::list(system, "storage").empty())
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
}

bool end_actors(caf::actor_system& system, duration deadline) {
  const auto alive = end_all_actors(system, std::chrono::duration_cast<std::chrono::milliseconds>(deadline));
  for (const auto& label : alive)
    log::warn("node", "actor_did_not_end", {{"label", label}});
  return alive.empty();
}

void finish(int exit_code) {
  log::info("node", "stopped", {{"exit_code", exit_code}});
  log::stop();
}

} // namespace

int run(config::parsed parsed, int argc, const char* const* argv) {
  const auto& o = parsed.options;
  log::options log_options;
  log_options.threshold = o.log_level;
  log_options.how = o.log_format;
  log_options.journald_prefix = log::journald_wanted(2);
  log::start(log_options);
  for (const auto& warning : parsed.warnings)
    log::warn("node", "configuration", {{"warning", warning}});
  data_lock lock;
  auto ready = make_folders(o);
  if (ready.ok())
    ready = lock.take(o.data_root);
  if (!ready.ok()) {
    log::error("node", "start_failed", {{"reason", ready.message}});
    log::stop();
    return config::exit_runtime;
  }
  int exit_code = config::exit_runtime;
  {
    io_threads io;
    io.start();
    system_config cfg;
    caf::actor_system system{cfg};
    std::atomic<bool> gave_up = false;
    auto node_options = node_options_of(o, io);
    // A signal to ourselves: the main thread sleeps in sigwait.
    const auto give_up = [&gave_up](const std::string&) {
      gave_up = true;
      ::kill(::getpid(), SIGTERM);
    };
    node_options.give_up = give_up;
    auto root = system.spawn(node::node_root, std::move(node_options));
    auto introspect = system.spawn(introspect::introspect_actor_behavior, o.node_name.empty() ? "this host" : o.node_name);
    introspect::control_front control{system, io, introspect, path_of(o.control_socket)};
    auto gateway_options = gateway_options_of(o, io);
    auto listen_options = listen_options_of(o);
    listen_options.give_up = give_up;
    gateway::front api{system, io, root, gateway_options, std::move(listen_options)};
    auto started = control.start();
    if (started.ok())
      started = api.start();
    if (started.ok()) {
      const pidfile pid{o.pidfile};
      notify_systemd("READY=1");
      log::info("node", "started", {{"data_root", o.data_root}, {"driver", to_string(o.driver)}});
      exit_code = wait_for_end(parsed, argc, argv, system, introspect, gave_up).exit_code;
      notify_systemd("STOPPING=1");
    } else {
      log::error("node", "start_failed", {{"reason", started.message}});
    }
    // No new requests; then the actors; then the sockets' threads. Bounded: whoever is left is named.
    api.stop(std::min<duration>(o.shutdown_timeout / 4, seconds{2}));
    control.stop();
    stop_node(system, root, o.shutdown_timeout / 2);
    root = node::node_root_interface{};
    introspect = introspect_actor{};
    if (!end_actors(system, o.shutdown_timeout / 4)) {
      finish(exit_code);
      ::_exit(exit_code); // ~actor_system would wait for them for ever
    }
    if (gateway_options->engine)
      gateway_options->engine->stop();
    io.stop();
  }
  finish(exit_code);
  return exit_code;
}

} // namespace swarm::daemon
