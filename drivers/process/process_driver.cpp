// Starts shims, adopts those that outlived the last daemon, and reads what they wrote.
#include "drivers/process/process_driver.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include "runtime/log.hpp"

namespace swarm::process {

namespace {

using self_ptr = observed_ptr<process_driver_actor, process_driver_state>;
using task_entry = process_driver_state::task;
using promises = std::vector<caf::typed_response_promise<TaskHandle>>;

constexpr std::size_t log_lines_per_tick = 2000;

task_folder folder_of(const process_driver_state& st, const std::string& task_id) {
  return task_folder{st.opts.state_directory + "/tasks/" + task_id};
}

void answer(promises& waiting, const TaskHandle& handle) {
  for (auto& p : waiting)
    p.deliver(handle);
  waiting.clear();
}

void refuse(promises& waiting, const failure& f) {
  for (auto& p : waiting)
    p.deliver(to_error(f));
  waiting.clear();
}

auto tell(self_ptr self, process_news::what kind, std::string task_id) {
  return [weak = caf::actor_cast<caf::actor_addr>(process_driver_actor{self}), kind, task_id = std::move(task_id)](std::string text, int status) {
    if (auto strong = caf::actor_cast<caf::actor>(weak))
      caf::anon_send(strong, process_news{kind, task_id, std::move(text), status});
  };
}

// Nothing is left of an attempt to prepare it: a second one begins anew.
void give_up(process_driver_state& st, const std::string& task_id, const failure& f) {
  st.files->remove(task_id);
  const auto it = st.tasks.find(task_id);
  refuse(it->second.preparing, f);
  st.tasks.erase(it);
}

// posix_spawn with a session of its own: a signal to the daemon's group does not reach the task.
int spawn_process(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const auto& word : words)
    argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
  // The daemon's environment is nobody else's business: /proc shows it.
  char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  char* envp[] = {path, nullptr};
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, argv[0], &files, &attributes, argv.data(), envp);
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    errno = error;
    return -1;
  }
  return pid;
}

// -- prepare ------------------------------------------------------------------------------------------------------------

// A tar file is unpacked once per content (path, size and time of change) and shared by all tasks that name it.
std::string image_folder(const process_driver_state& st, const std::string& tar, const struct stat& info) {
  auto name = tar + '-' + std::to_string(info.st_size) + '-' + std::to_string(info.st_mtim.tv_sec) + '-' + std::to_string(info.st_mtim.tv_nsec);
  for (auto& c : name)
    if (c == '/')
      c = '_';
  return st.opts.state_directory + "/images/" + name;
}

void finish_prepare(self_ptr self, const std::string& task_id) {
  auto& st = self->state;
  auto& task = st.tasks[task_id];
  if (auto f = folder_of(st, task_id).create(task.launch); !f.ok())
    return give_up(st, task_id, f);
  task.handle.set_phase(TaskHandle::PHASE_CREATED);
  answer(task.preparing, task.handle);
}

void unpack(self_ptr self, const std::string& task_id, const std::string& tar, const std::string& into) {
  std::error_code ec;
  const auto temporary = into + ".new-" + task_id;
  std::filesystem::create_directories(temporary, ec);
  const int pid = spawn_process({"tar", "-xf", tar, "-C", temporary});
  if (pid < 0)
    return give_up(self->state, task_id, {errc::unavailable, std::string{"cannot run tar: "} + std::strerror(errno)});
  self->state.watch->on_exit(pid, [notify = tell(self, process_news::what::unpacked, task_id), temporary, into](int status) {
    std::error_code e;
    // Another task may have unpacked the same file meanwhile.
    if (status == 0 && !std::filesystem::exists(into, e))
      std::filesystem::rename(temporary, into, e);
    std::filesystem::remove_all(temporary, e);
    notify(into, status);
  });
}

bool choose_root(self_ptr self, const std::string& task_id, const launch_plan& plan, failure& problem) {
  auto& st = self->state;
  struct stat info{};
  if (plan.image_path.empty())
    return true;
  if (::stat(plan.image_path.c_str(), &info) != 0) {
    problem = {errc::no_such_image, "No such image: " + plan.launch.image() + ": " + std::strerror(errno)};
    return true;
  }
  auto& launch = st.tasks[task_id].launch;
  if (S_ISDIR(info.st_mode)) {
    launch.set_rootfs(plan.image_path);
    return true;
  }
  launch.set_rootfs(image_folder(st, plan.image_path, info));
  std::error_code ec;
  if (std::filesystem::exists(launch.rootfs(), ec))
    return true;
  std::filesystem::create_directories(st.opts.state_directory + "/images", ec);
  unpack(self, task_id, plan.image_path, launch.rootfs());
  return false;
}

caf::result<TaskHandle> prepare(self_ptr self, const TaskDescription& description) {
  auto& st = self->state;
  const auto& id = description.task_id();
  if (id.empty() || id.find('/') != std::string::npos)
    return to_error({errc::invalid_argument, "invalid task id: " + id});
  if (const auto known = st.tasks.find(id); known != st.tasks.end()) {
    if (known->second.preparing.empty())
      return known->second.handle; // adopted, or asked twice
    known->second.preparing.push_back(self->make_response_promise<TaskHandle>());
    return known->second.preparing.back();
  }
  const auto plan = plan_launch(description, {st.opts.state_directory + "/volumes", st.opts.files_directory});
  if (!plan.problem.ok())
    return to_error(plan.problem);
  if (description.secret_files_size() > 0)
    if (auto f = st.files->write(id, {description.secret_files().begin(), description.secret_files().end()}); !f.ok())
      return to_error(f);
  std::error_code ec;
  for (const auto& m : plan.launch.mounts())
    if (m.type() == MOUNT_TYPE_BIND && m.source().starts_with(st.opts.state_directory + "/volumes/"))
      std::filesystem::create_directories(m.source(), ec);
  auto promise = self->make_response_promise<TaskHandle>();
  auto& task = st.tasks[id];
  task.launch = plan.launch;
  task.handle.set_task_id(id);
  task.handle.mutable_container()->set_container_id(id);
  for (const auto& port : description.endpoint_spec().ports())
    if (port.publish_mode() == PUBLISH_MODE_HOST)
      *task.handle.add_ports() = port; // the command shares the host's network: it listens there by itself
  task.signal = signal_number(plan.launch.stop_signal());
  task.preparing.push_back(promise);
  failure problem;
  const bool ready = choose_root(self, id, plan, problem);
  if (!problem.ok())
    give_up(st, id, problem);
  else if (ready)
    finish_prepare(self, id);
  return promise;
}

// -- start, stop, end ---------------------------------------------------------------------------------------------------

void observe(self_ptr self, const TaskHandle& handle) {
  TaskObserved news;
  *news.mutable_handle() = handle;
  for (const auto& listener : self->state.listeners)
    self->send(listener, news);
}

// It never starts again: nobody needs its secrets any more.
void has_ended(self_ptr self, const std::string& task_id, task_entry& task) {
  task.handle.set_phase(TaskHandle::PHASE_EXITED);
  self->state.files->remove(task_id);
}

void read_end(self_ptr self, const std::string& task_id, task_entry& task) {
  const auto folder = folder_of(self->state, task_id);
  auto& handle = task.handle;
  has_ended(self, task_id, task);
  if (const auto exited = folder.exited()) {
    handle.mutable_container()->set_exit_code(exited->exit_code());
    handle.set_oom_killed(exited->oom_killed());
    handle.set_error(exited->error());
    handle.set_finished_at(exited->finished_at());
  } else {
    handle.mutable_container()->set_exit_code(137);
    handle.set_error("the task's shim ended without a record of the exit");
  }
}

void watch_shim(self_ptr self, const std::string& task_id, int pid) {
  self->state.watch->on_exit(pid, [notify = tell(self, process_news::what::shim_ended, task_id)](int status) { notify({}, status); });
}

caf::result<TaskHandle> start(self_ptr self, const std::string& task_id) {
  auto& st = self->state;
  const auto it = st.tasks.find(task_id);
  if (it == st.tasks.end())
    return to_error({errc::not_found, "No such container: " + task_id});
  auto& task = it->second;
  if (task.handle.phase() != TaskHandle::PHASE_CREATED)
    return task.handle;
  auto promise = self->make_response_promise<TaskHandle>();
  task.starting.push_back(promise);
  if (task.starting.size() > 1)
    return promise;
  int ends[2];
  if (::pipe(ends) != 0) {
    refuse(task.starting, {errc::unavailable, std::string{"cannot make a pipe: "} + std::strerror(errno)});
    return promise;
  }
  ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  const int pid = spawn_process({st.opts.shim, folder_of(st, task_id).path(), std::to_string(ends[1])});
  const int saved = errno;
  ::close(ends[1]);
  if (pid < 0) {
    ::close(ends[0]);
    refuse(task.starting, {errc::unavailable, "cannot run " + st.opts.shim + ": " + std::strerror(saved)});
    return promise;
  }
  st.watch->on_line(ends[0], [notify = tell(self, process_news::what::spoken, task_id)](std::string line) { notify(std::move(line), 0); });
  watch_shim(self, task_id, pid);
  return promise;
}

void take_line(self_ptr self, const std::string& task_id, task_entry& task, const std::string& line) {
  if (line != "started") {
    constexpr std::string_view prefix = "error ";
    const auto text = line.starts_with(prefix) ? line.substr(prefix.size()) : std::string{"the task's shim ended without a word"};
    has_ended(self, task_id, task);
    task.handle.set_error(text);
    task.handle.mutable_container()->set_exit_code(126);
    refuse(task.starting, {errc::invalid_argument, text});
    return;
  }
  if (const auto started = folder_of(self->state, task_id).started()) {
    task.handle.mutable_container()->set_pid(started->pid());
    task.handle.set_started_at(started->started_at());
  }
  if (task.handle.phase() == TaskHandle::PHASE_CREATED)
    task.handle.set_phase(TaskHandle::PHASE_RUNNING);
  answer(task.starting, task.handle);
}

void take_end(self_ptr self, const std::string& task_id, task_entry& task) {
  if (!task.starting.empty())
    return; // its line is still on the way and says more
  if (task.handle.phase() != TaskHandle::PHASE_EXITED)
    read_end(self, task_id, task);
  answer(task.stopping, task.handle);
  observe(self, task.handle);
}

// The task's init passes the signal on; killing the init ends the whole pid namespace.
void send_signal(self_ptr self, const std::string& task_id, int signal) {
  const auto folder = folder_of(self->state, task_id);
  const auto started = folder.started();
  if (started && started->init_pid() > 1 && folder.shim_alive())
    ::kill(static_cast<pid_t>(started->init_pid()), signal);
}

caf::result<TaskHandle> stop(self_ptr self, const StopTask& request) {
  auto& st = self->state;
  const auto it = st.tasks.find(request.task_id());
  if (it == st.tasks.end()) {
    TaskHandle absent;
    absent.set_task_id(request.task_id());
    return absent;
  }
  auto& task = it->second;
  if (task.handle.phase() != TaskHandle::PHASE_RUNNING && task.starting.empty()) {
    if (task.handle.phase() == TaskHandle::PHASE_CREATED)
      has_ended(self, request.task_id(), task);
    return task.handle;
  }
  auto promise = self->make_response_promise<TaskHandle>();
  task.stopping.push_back(promise);
  const int wanted = signal_number(request.signal());
  send_signal(self, request.task_id(), wanted != 0 ? wanted : task.signal != 0 ? task.signal : SIGTERM);
  self->delayed_send(self, std::chrono::nanoseconds{std::max<std::int64_t>(0, request.grace_period())}, stop_atom_v, request.task_id());
  return promise;
}

caf::result<TaskHandle> remove(self_ptr self, const std::string& task_id) {
  auto& st = self->state;
  TaskHandle absent;
  absent.set_task_id(task_id);
  const auto it = st.tasks.find(task_id);
  if (it != st.tasks.end() && it->second.handle.phase() == TaskHandle::PHASE_RUNNING)
    return to_error({errc::conflict, "task " + task_id + " is running: stop it first"});
  const auto folder = folder_of(st, task_id);
  if (folder.shim_alive())
    return to_error({errc::unavailable, "task " + task_id + " is still ending"});
  if (auto f = folder.remove(); !f.ok())
    return to_error(f);
  st.files->remove(task_id);
  st.tasks.erase(task_id);
  return absent;
}

// -- recovery, fingerprint ----------------------------------------------------------------------------------------------

RecoveredTasks recover(self_ptr self, const std::string& cluster_id) {
  auto& st = self->state;
  RecoveredTasks out;
  for (const auto& folder : list_task_folders(st.opts.state_directory + "/tasks")) {
    const auto launch = folder.launch();
    if (!launch || launch->cluster_id() != cluster_id)
      continue;
    auto& task = st.tasks[launch->task_id()];
    if (task.handle.task_id().empty()) {
      task.launch = *launch;
      task.signal = signal_number(launch->stop_signal());
      task.handle.set_task_id(launch->task_id());
      task.handle.mutable_container()->set_container_id(launch->task_id());
      const auto started = folder.started();
      if (started) {
        task.handle.mutable_container()->set_pid(started->pid());
        task.handle.set_started_at(started->started_at());
      }
      if (folder.shim_alive()) {
        task.handle.set_phase(TaskHandle::PHASE_RUNNING);
        if (started)
          watch_shim(self, launch->task_id(), static_cast<int>(started->shim_pid()));
      } else if (started || folder.exited()) {
        read_end(self, launch->task_id(), task);
      } else {
        task.handle.set_phase(TaskHandle::PHASE_CREATED);
      }
    }
    *out.add_tasks() = task.handle;
  }
  return out;
}

NodeFingerprint fingerprint(self_ptr self) {
  NodeFingerprint out;
  utsname host{};
  ::uname(&host);
  auto& d = *out.mutable_description();
  d.set_hostname(host.nodename);
  d.mutable_platform()->set_architecture(host.machine);
  d.mutable_platform()->set_os("linux");
  d.mutable_resources()->set_nano_cpus(static_cast<std::int64_t>(std::thread::hardware_concurrency()) * 1'000'000'000);
  struct sysinfo info{};
  ::sysinfo(&info);
  d.mutable_resources()->set_memory_bytes(static_cast<std::int64_t>(info.totalram) * info.mem_unit);
  d.mutable_engine()->set_engine_version("process");
  const auto plugin = [&](const char* type, const char* name) {
    auto& p = *d.mutable_engine()->add_plugins();
    p.set_type(type);
    p.set_name(name);
  };
  plugin("Log", "json-file");
  plugin("Log", "local");
  plugin("Log", "none");
  plugin("Network", "host");
  plugin("Volume", "local");
  const bool shim = ::access(self->state.opts.shim.c_str(), X_OK) == 0;
  const bool root = ::geteuid() == 0;
  out.set_healthy(shim && root);
  if (!shim)
    out.set_message("swarm-task-shim is missing: " + self->state.opts.shim);
  else if (!root)
    out.set_message("the process driver needs root for namespaces");
  return out;
}

// -- logs -----------------------------------------------------------------------------------------------------------------

bool still_writing(self_ptr self, const std::string& task_id) {
  const auto it = self->state.tasks.find(task_id);
  return it != self->state.tasks.end() && it->second.handle.phase() <= TaskHandle::PHASE_RUNNING;
}

// True when the stream is over.
bool pump_log(self_ptr self, process_driver_state::log_stream& stream) {
  // Asked before reading, so that a line written just before the end is still read.
  const bool writing = stream.follow && still_writing(self, stream.task_id);
  std::vector<LogLine> lines;
  LogLine line;
  bool dry = false;
  while (stream.window.wants_more() && lines.size() < log_lines_per_tick) {
    if (!stream.reader->next(line)) {
      dry = true;
      break;
    }
    lines.push_back(line);
  }
  stream.window.add(std::move(lines));
  if (dry && !writing)
    stream.window.end({});
  while (auto chunk = stream.window.next())
    self->send(stream.sink, *chunk);
  return stream.window.ended();
}

void pump_logs(self_ptr self) {
  auto& st = self->state;
  for (auto it = st.logs.begin(); it != st.logs.end();)
    it = pump_log(self, it->second) ? st.logs.erase(it) : std::next(it);
  if (!st.logs.empty() && !st.ticking) {
    st.ticking = true;
    self->delayed_send(self, st.opts.log_poll, tick_atom_v);
  }
}

void read_logs(self_ptr self, const ReadTaskLogs& request, const log_sink& sink) {
  auto& st = self->state;
  auto reader = std::make_unique<log_reader>(folder_of(st, request.task_id()).file("log"));
  reader->seek(request.tail(), request.since());
  process_driver_state::log_stream stream{sink, request.task_id(), request.follow(),
                                          driver::log_window{request.subscription(), request.task_id()}, std::move(reader)};
  st.logs.insert_or_assign(request.subscription(), std::move(stream));
  self->monitor(sink);
  pump_logs(self);
}

void take_news(self_ptr self, const process_news& news) {
  const auto it = self->state.tasks.find(news.task_id);
  if (it == self->state.tasks.end())
    return;
  auto& task = it->second;
  switch (news.kind) {
    case process_news::what::unpacked:
      if (news.status != 0)
        give_up(self->state, news.task_id, {errc::no_such_image, "cannot unpack image " + task.launch.image() + ": tar ended with " + std::to_string(news.status)});
      else
        finish_prepare(self, news.task_id);
      return;
    case process_news::what::spoken:
      take_line(self, news.task_id, task, news.text);
      if (!folder_of(self->state, news.task_id).shim_alive())
        take_end(self, news.task_id, task);
      return;
    case process_news::what::shim_ended: take_end(self, news.task_id, task); return;
  }
}

ActorStatus describe(self_ptr self, const ReadStatus& request) {
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  facts["tasks"] = std::to_string(self->state.tasks.size());
  facts["log_readers"] = std::to_string(self->state.logs.size());
  return status;
}

} // namespace

process_driver_actor::behavior_type process_driver(self_ptr self, process_driver_options opts) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.watch = std::make_unique<child_watch>();
  st.files = std::make_unique<driver::task_files>(st.opts.files_directory);
  self->set_label("driver/process");
  self->set_down_handler([self](caf::down_msg& down) {
    auto& s = self->state;
    std::erase_if(s.listeners, [&](const auto& l) { return l.address() == down.source; });
    std::erase_if(s.logs, [&](const auto& entry) { return entry.second.sink.address() == down.source; });
  });
  return {
    [self](const PrepareTask& r) { return prepare(self, r.task()); },
    [self](const StartTask& r) { return start(self, r.task_id()); },
    [self](const StopTask& r) { return stop(self, r); },
    [self](const RemoveTask& r) { return remove(self, r.task_id()); },
    [self](const InspectTask& r) -> caf::result<TaskHandle> {
      const auto it = self->state.tasks.find(r.task_id());
      if (it != self->state.tasks.end())
        return it->second.handle;
      TaskHandle absent;
      absent.set_task_id(r.task_id());
      return absent;
    },
    [self](const RecoverTasks& r) -> caf::result<RecoveredTasks> { return recover(self, r.cluster_id()); },
    [self](const FingerprintNode&) -> caf::result<NodeFingerprint> { return fingerprint(self); },
    [self](subscribe_atom, const driver_listener& listener) {
      self->monitor(listener);
      self->state.listeners.push_back(listener);
      DriverHealth health;
      const auto now = fingerprint(self);
      health.set_healthy(now.healthy());
      health.set_message(now.message());
      self->send(listener, health);
    },
    [self](const ReadTaskLogs& request, const log_sink& sink) { read_logs(self, request, sink); },
    [self](const LogCredit& credit) {
      if (const auto it = self->state.logs.find(credit.subscription()); it != self->state.logs.end())
        it->second.window.grant(credit.bytes());
      pump_logs(self);
    },
    [self](const CancelLogs& cancel) { self->state.logs.erase(cancel.subscription()); },
    [self](const ReadStatus& request) { return describe(self, request); },
    [self](const process_news& news) { take_news(self, news); },
    [self](tick_atom) {
      self->state.ticking = false;
      pump_logs(self);
    },
    [self](stop_atom, const std::string& task_id) {
      // The grace period is over.
      if (const auto it = self->state.tasks.find(task_id); it != self->state.tasks.end() && !it->second.stopping.empty())
        send_signal(self, task_id, SIGKILL);
    },
  };
}

} // namespace swarm::process
