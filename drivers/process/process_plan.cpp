// TaskDescription -> ProcessLaunch. Nothing is dropped silently: a field without meaning here is an error.
#include "drivers/process/process_plan.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "runtime/text.hpp"

namespace swarm::process {

namespace {

// In the order of linux/capability.h.
constexpr std::array<std::string_view, 41> capability_names{
  "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
  "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO",
  "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
  "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
  "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"};

// What Docker gives a container that asks for nothing.
constexpr std::array<std::string_view, 14> default_capabilities{
  "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
  "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"};

struct signal_name {
  std::string_view name;
  int number;
};
// Linux numbers on the architectures that Debian runs swarm-node on (x86-64, arm64).
constexpr std::array<signal_name, 30> signals{{
  {"HUP", 1}, {"INT", 2}, {"QUIT", 3}, {"ILL", 4}, {"TRAP", 5}, {"ABRT", 6}, {"BUS", 7}, {"FPE", 8}, {"KILL", 9}, {"USR1", 10},
  {"SEGV", 11}, {"USR2", 12}, {"PIPE", 13}, {"ALRM", 14}, {"TERM", 15}, {"STKFLT", 16}, {"CHLD", 17}, {"CONT", 18},
  {"STOP", 19}, {"TSTP", 20}, {"TTIN", 21}, {"TTOU", 22}, {"URG", 23}, {"XCPU", 24}, {"XFSZ", 25}, {"VTALRM", 26},
  {"PROF", 27}, {"WINCH", 28}, {"IO", 29}, {"PWR", 30}}};

constexpr std::int64_t default_log_bytes = 10 << 20;
constexpr std::uint32_t default_log_files = 2;

failure refused(const std::string& field, const std::string& why) {
  return {errc::invalid_argument, "the process driver does not support " + field + why};
}

std::optional<std::int64_t> parse_size(std::string_view s) {
  std::int64_t value = 0;
  const auto [rest, ec] = std::from_chars(s.data(), s.data() + s.size(), value);
  if (ec != std::errc{} || value <= 0)
    return std::nullopt;
  const auto unit = text::to_lower(s.substr(static_cast<std::size_t>(rest - s.data())));
  if (unit.empty() || unit == "b")
    return value;
  if (unit == "k" || unit == "kb")
    return value << 10;
  if (unit == "m" || unit == "mb")
    return value << 20;
  if (unit == "g" || unit == "gb")
    return value << 30;
  return std::nullopt;
}

// What the engine could do and a process cannot.
failure check_unsupported(const TaskDescription& task) {
  const auto& c = task.spec().container_spec();
  if (!c.healthcheck().test().empty() && c.healthcheck().test(0) != "NONE")
    return refused("health checks", "");
  if (c.privileges().has_credential_spec())
    return refused("CredentialSpec", " (Windows only)");
  if (c.privileges().has_selinux_context() && !c.privileges().selinux_context().disable())
    return refused("Privileges.SELinuxContext", "");
  if (c.privileges().seccomp().mode() == "custom")
    return refused("a custom seccomp profile", "");
  if (!c.isolation().empty() && c.isolation() != "default" && c.isolation() != "process")
    return refused("Isolation ", c.isolation());
  if (task.spec().resources().has_swap_bytes() || task.spec().resources().has_memory_swappiness())
    return refused("swap limits", "");
  if (!task.spec().runtime().empty() && task.spec().runtime() != "container")
    return refused("runtime ", task.spec().runtime());
  return {};
}

failure plan_mounts(const ContainerSpec& c, const host_paths& paths, ProcessLaunch& out) {
  for (const auto& m : c.mounts()) {
    if (!m.target().starts_with('/'))
      return {errc::invalid_argument, "invalid mount target, must be an absolute path: " + m.target()};
    auto& mount = *out.add_mounts();
    mount.set_target(m.target());
    mount.set_read_only(m.read_only());
    switch (m.type()) {
      case MOUNT_TYPE_BIND:
        if (!m.source().starts_with('/'))
          return {errc::invalid_argument, "invalid bind mount source, must be an absolute path: " + m.source()};
        mount.set_type(MOUNT_TYPE_BIND);
        mount.set_source(m.source());
        mount.set_recursive(!m.bind_options().non_recursive());
        mount.set_propagation(m.bind_options().propagation());
        break;
      case MOUNT_TYPE_UNSPECIFIED:
      case MOUNT_TYPE_VOLUME:
        if (m.source().starts_with('/'))
          return {errc::invalid_argument, "invalid volume mount source, must not be an absolute path: " + m.source()};
        if (m.source().find('/') != std::string::npos || m.source() == "." || m.source() == "..")
          return {errc::invalid_argument, "\"" + m.source() + "\" includes invalid characters for a local volume name"};
        if (!m.volume_options().driver_config().name().empty() && m.volume_options().driver_config().name() != "local")
          return refused("volume driver ", m.volume_options().driver_config().name());
        mount.set_type(MOUNT_TYPE_BIND);
        // A volume without a name lives and dies with the task.
        mount.set_source(m.source().empty() ? "" : paths.volumes + '/' + m.source());
        if (!m.volume_options().subpath().empty())
          return refused("VolumeOptions.Subpath", "");
        break;
      case MOUNT_TYPE_TMPFS:
        if (!m.source().empty())
          return {errc::invalid_argument, "invalid tmpfs source, source must be empty"};
        mount.set_type(MOUNT_TYPE_TMPFS);
        mount.set_tmpfs_bytes(m.tmpfs_options().size_bytes());
        mount.set_tmpfs_mode(m.tmpfs_options().mode());
        break;
      default: return refused("mounts of this type at ", m.target());
    }
  }
  return {};
}

failure plan_capabilities(const ContainerSpec& c, ProcessLaunch& out) {
  std::set<int> wanted;
  for (const auto name : default_capabilities)
    wanted.insert(capability_number(name));
  const auto all = [&] {
    for (int i = 0; i < static_cast<int>(capability_names.size()); ++i)
      wanted.insert(i);
  };
  const auto is_all = [](const std::string& s) { return text::iequals(s, "ALL") || text::iequals(s, "CAP_ALL"); };
  for (const auto& name : c.capability_drop())
    if (is_all(name))
      wanted.clear();
  for (const auto& name : c.capability_add()) {
    if (is_all(name)) {
      all();
    } else if (const int n = capability_number(name); n >= 0) {
      wanted.insert(n);
    } else {
      return {errc::invalid_argument, "invalid capability: unknown capability: \"" + name + '"'};
    }
  }
  for (const auto& name : c.capability_drop()) {
    if (is_all(name))
      continue;
    const int n = capability_number(name);
    if (n < 0)
      return {errc::invalid_argument, "invalid capability: unknown capability: \"" + name + '"'};
    wanted.erase(n);
  }
  for (const int n : wanted)
    out.add_capabilities(std::string{capability_names[static_cast<std::size_t>(n)]});
  return {};
}

failure plan_log(const Driver& driver, ProcessLaunch& out) {
  out.set_log_max_bytes(default_log_bytes);
  out.set_log_max_files(default_log_files);
  if (driver.name() == "none") {
    out.set_log_none(true);
    return {};
  }
  if (!driver.name().empty() && driver.name() != "json-file" && driver.name() != "local")
    return refused("log driver ", driver.name());
  for (const auto& [key, value] : std::set<std::pair<std::string, std::string>>(driver.options().begin(), driver.options().end())) {
    if (key == "max-size") {
      const auto size = parse_size(value);
      if (!size)
        return {errc::invalid_argument, "invalid value for log option max-size: " + value};
      out.set_log_max_bytes(*size);
    } else if (key == "max-file") {
      const auto count = parse_size(value);
      if (!count || *count > 100)
        return {errc::invalid_argument, "invalid value for log option max-file: " + value};
      out.set_log_max_files(static_cast<std::uint32_t>(*count));
    } else {
      return refused("log option ", key);
    }
  }
  return {};
}

bool namespaced_sysctl(const std::string& key) {
  return key.starts_with("kernel.msg") || key == "kernel.sem" || key.starts_with("kernel.shm") || key.starts_with("fs.mqueue.")
         || key == "kernel.domainname";
}

failure plan_sysctls(const ContainerSpec& c, ProcessLaunch& out) {
  for (const auto& [key, value] : std::set<std::pair<std::string, std::string>>(c.sysctls().begin(), c.sysctls().end())) {
    if (!namespaced_sysctl(key))
      return refused("sysctl ", key + " (tasks share the host's network namespace)");
    (*out.mutable_sysctls())[key] = value;
  }
  return {};
}

void plan_files(const TaskDescription& task, const host_paths& paths, ProcessLaunch& out) {
  for (int i = 0; i < task.secret_files_size(); ++i) {
    auto& mount = *out.add_mounts();
    mount.set_type(MOUNT_TYPE_BIND);
    mount.set_source(paths.files + '/' + task.task_id() + '/' + std::to_string(i));
    mount.set_target(task.secret_files(i).target());
    mount.set_read_only(true);
  }
}

void plan_names(const ContainerSpec& c, ProcessLaunch& out) {
  if (c.hosts_size() > 0) {
    std::string hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
    for (const auto& line : c.hosts())
      hosts += line + '\n';
    out.set_hosts(hosts);
  }
  const auto& dns = c.dns_config();
  if (dns.nameservers_size() + dns.search_size() + dns.options_size() > 0) {
    std::string conf;
    for (const auto& server : dns.nameservers())
      conf += "nameserver " + server + '\n';
    const auto line = [&](const char* word, const auto& values) {
      if (values.empty())
        return;
      conf += word;
      for (const auto& value : values)
        conf += ' ' + value;
      conf += '\n';
    };
    line("search", dns.search());
    line("options", dns.options());
    out.set_resolv_conf(conf);
  }
}

std::vector<std::string> environment_of(const TaskDescription& task) {
  std::vector<std::string> env;
  const auto& given = task.spec().container_spec().env();
  if (std::none_of(given.begin(), given.end(), [](const std::string& e) { return e.starts_with("PATH="); }))
    env.emplace_back("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  if (task.spec().container_spec().tty())
    env.emplace_back("TERM=xterm");
  env.insert(env.end(), given.begin(), given.end());
  std::map<std::string, std::string> resources;
  for (const auto& r : task.generic_resources()) {
    const bool named = r.has_named_resource_spec();
    auto& list = resources[named ? r.named_resource_spec().kind() : r.discrete_resource_spec().kind()];
    list += (list.empty() ? "" : ",") + (named ? r.named_resource_spec().value() : std::to_string(r.discrete_resource_spec().value()));
  }
  for (const auto& [kind, list] : resources) {
    auto upper = kind;
    std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char ch) { return static_cast<char>(std::toupper(ch)); });
    env.push_back("DOCKER_RESOURCE_" + upper + '=' + list);
  }
  return env;
}

} // namespace

int signal_number(std::string_view name) {
  int number = 0;
  const auto [rest, ec] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (ec == std::errc{} && rest == name.data() + name.size())
    return number >= 1 && number <= 64 ? number : 0;
  if (name.starts_with("SIG"))
    name.remove_prefix(3);
  for (const auto& s : signals)
    if (s.name == name)
      return s.number;
  return 0;
}

int capability_number(std::string_view name) {
  auto upper = std::string{name};
  std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char ch) { return static_cast<char>(std::toupper(ch)); });
  if (upper.starts_with("CAP_"))
    upper.erase(0, 4);
  const auto at = std::find(capability_names.begin(), capability_names.end(), upper);
  return at == capability_names.end() ? -1 : static_cast<int>(at - capability_names.begin());
}

launch_plan plan_launch(const TaskDescription& task, const host_paths& paths) {
  launch_plan plan;
  auto& out = plan.launch;
  const auto& c = task.spec().container_spec();
  out.set_task_id(task.task_id());
  out.set_task_name(task.task_name());
  out.set_cluster_id(task.cluster_id());
  out.set_image(c.image());
  for (const auto& word : c.command())
    out.add_argv(word);
  for (const auto& word : c.args())
    out.add_argv(word);
  if (out.argv_size() == 0)
    plan.problem = {errc::invalid_argument, "No command specified: the process driver cannot take one from image " + c.image()};
  if (constexpr std::string_view scheme = "file://"; c.image().starts_with(scheme)) {
    plan.image_path = c.image().substr(scheme.size());
    if (!plan.image_path.starts_with('/'))
      plan.problem = {errc::invalid_argument, "image " + c.image() + ": expected file:///ABSOLUTE/PATH of a folder or tar file"};
  }
  for (auto& e : environment_of(task))
    out.add_env(std::move(e));
  out.set_dir(c.dir().empty() ? "/" : c.dir());
  out.set_user(c.user());
  *out.mutable_groups() = c.groups();
  out.set_hostname(c.hostname());
  out.set_read_only(c.read_only());
  out.set_tty(c.tty());
  *out.mutable_ulimits() = c.ulimits();
  out.set_no_new_privileges(c.privileges().no_new_privileges());
  out.set_oom_score_adj(c.oom_score_adj());
  const auto& limits = task.spec().resources().limits();
  out.set_nano_cpus(limits.nano_cpus());
  out.set_memory_bytes(limits.memory_bytes());
  out.set_pids(limits.pids());
  out.set_stop_signal(c.stop_signal());
  if (!c.stop_signal().empty() && signal_number(c.stop_signal()) == 0 && plan.problem.ok())
    plan.problem = {errc::invalid_argument, "invalid signal: " + c.stop_signal()};
  for (auto* step : {+[](const TaskDescription& t, const host_paths&, ProcessLaunch&) { return check_unsupported(t); },
                     +[](const TaskDescription& t, const host_paths& p, ProcessLaunch& l) { return plan_mounts(t.spec().container_spec(), p, l); },
                     +[](const TaskDescription& t, const host_paths&, ProcessLaunch& l) { return plan_capabilities(t.spec().container_spec(), l); },
                     +[](const TaskDescription& t, const host_paths&, ProcessLaunch& l) { return plan_log(t.spec().log_driver(), l); },
                     +[](const TaskDescription& t, const host_paths&, ProcessLaunch& l) { return plan_sysctls(t.spec().container_spec(), l); }})
    if (plan.problem.ok())
      plan.problem = step(task, paths, out);
  plan_files(task, paths, out);
  plan_names(c, out);
  return plan;
}

} // namespace swarm::process
