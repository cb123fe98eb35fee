// Mounts, identity and limits of a task (runs as root inside fresh mount, pid, uts and ipc namespaces).
#include "drivers/process/sandbox.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "drivers/process/process_plan.hpp"

namespace swarm::process {

namespace {

namespace fs = std::filesystem;

std::string because(const std::string& what) { return what + ": " + std::strerror(errno); }

bool fail(std::string& error, std::string text) {
  error = std::move(text);
  return false;
}

// The mount point must exist: a folder for a folder, an empty file for a file.
bool make_mount_point(const std::string& target, bool folder, std::string& error) {
  std::error_code ec;
  if (fs::exists(target, ec))
    return true;
  fs::create_directories(folder ? fs::path{target} : fs::path{target}.parent_path(), ec);
  if (!folder) {
    const int fd = ::open(target.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
      return fail(error, because("cannot make mount point " + target));
    ::close(fd);
  } else if (ec) {
    return fail(error, "cannot make mount point " + target + ": " + ec.message());
  }
  return true;
}

bool bind_mount(const std::string& source, const std::string& target, bool recursive, bool read_only, std::string& error) {
  std::error_code ec;
  if (!make_mount_point(target, fs::is_directory(source, ec), error))
    return false;
  if (::mount(source.c_str(), target.c_str(), nullptr, MS_BIND | (recursive ? MS_REC : 0), nullptr) != 0)
    return fail(error, because("cannot mount " + source + " at " + target));
  if (read_only && ::mount(nullptr, target.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0)
    return fail(error, because("cannot make " + target + " read-only"));
  return true;
}

bool make_root(const ProcessLaunch& launch, const std::string& folder, std::string& root, std::string& error) {
  // Nothing that is mounted from here on may reach the host.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return fail(error, because("cannot make mounts private"));
  root = folder + "/merged";
  std::error_code ec;
  for (const auto* part : {"/merged", "/upper", "/work"})
    fs::create_directories(folder + part, ec);
  if (launch.rootfs().empty()) {
    if (::mount("/", root.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
      return fail(error, because("cannot take the host's file system"));
    return true;
  }
  const auto options = "lowerdir=" + launch.rootfs() + ",upperdir=" + folder + "/upper,workdir=" + folder + "/work";
  if (::mount("overlay", root.c_str(), "overlay", 0, options.c_str()) != 0)
    return fail(error, because("cannot lay a private layer over " + launch.rootfs()));
  return true;
}

bool mount_system(const ProcessLaunch& launch, const std::string& root, std::string& error) {
  std::error_code ec;
  fs::create_directories(root + "/proc", ec);
  if (::mount("proc", (root + "/proc").c_str(), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
    return fail(error, because("cannot mount /proc"));
  if (launch.rootfs().empty())
    return true;
  fs::create_directories(root + "/dev", ec);
  if (::mount("tmpfs", (root + "/dev").c_str(), "tmpfs", MS_NOSUID, "mode=755,size=64k") != 0)
    return fail(error, because("cannot mount /dev"));
  for (const auto* device : {"null", "zero", "full", "random", "urandom", "tty"})
    if (!bind_mount(std::string{"/dev/"} + device, root + "/dev/" + device, false, false, error))
      return false;
  for (const auto& [name, target] : std::map<std::string, std::string>{
         {"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"}})
    fs::create_symlink(target, root + "/dev/" + name, ec);
  fs::create_directories(root + "/dev/shm", ec);
  if (::mount("tmpfs", (root + "/dev/shm").c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=64m") != 0)
    return fail(error, because("cannot mount /dev/shm"));
  fs::create_directories(root + "/sys", ec);
  if (::mount("/sys", (root + "/sys").c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0)
    ::mount(nullptr, (root + "/sys").c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr);
  return true;
}

unsigned long propagation_flag(const std::string& name) {
  const bool recursive = name.starts_with('r');
  const auto base = recursive ? name.substr(1) : name;
  const unsigned long flag = base == "shared" ? MS_SHARED : base == "slave" ? MS_SLAVE : MS_PRIVATE;
  return flag | (recursive ? MS_REC : 0);
}

bool mount_given(const ProcessLaunch& launch, const std::string& folder, const std::string& root, std::string& error) {
  int anonymous = 0;
  std::error_code ec;
  for (const auto& m : launch.mounts()) {
    const auto target = root + m.target();
    if (m.type() == MOUNT_TYPE_TMPFS) {
      char mode[32];
      std::snprintf(mode, sizeof mode, "mode=%o", m.tmpfs_mode() == 0 ? 01777u : m.tmpfs_mode());
      const auto options = std::string{mode} + (m.tmpfs_bytes() > 0 ? ",size=" + std::to_string(m.tmpfs_bytes()) : "");
      if (!make_mount_point(target, true, error))
        return false;
      if (::mount("tmpfs", target.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | (m.read_only() ? MS_RDONLY : 0), options.c_str()) != 0)
        return fail(error, because("cannot mount tmpfs at " + m.target()));
      continue;
    }
    auto source = m.source();
    if (source.empty()) {
      source = folder + "/volumes/" + std::to_string(anonymous++);
      fs::create_directories(source, ec);
    }
    if (!fs::exists(source, ec))
      return fail(error, "invalid mount config for type \"bind\": bind source path does not exist: " + source);
    if (!bind_mount(source, target, m.recursive(), m.read_only(), error))
      return false;
    if (!m.propagation().empty() && ::mount(nullptr, target.c_str(), nullptr, propagation_flag(m.propagation()), nullptr) != 0)
      return fail(error, because("cannot set propagation " + m.propagation() + " at " + m.target()));
  }
  return true;
}

// /etc/hosts and /etc/resolv.conf of the task alone.
bool mount_text(const std::string& text, const char* name, const std::string& folder, const std::string& root, std::string& error) {
  if (text.empty())
    return true;
  const auto source = folder + '/' + name;
  std::ofstream{source} << text;
  return bind_mount(source, root + "/etc/" + name, false, false, error);
}

bool enter_root(const ProcessLaunch& launch, const std::string& root, std::string& error) {
  if (launch.read_only() && ::mount(nullptr, root.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0
      && ::mount(nullptr, root.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0)
    return fail(error, because("cannot make the root file system read-only"));
  if (::chdir(root.c_str()) != 0)
    return fail(error, because("cannot enter the root file system"));
  // pivot_root(".", "."): the old root lands on top of the new one and is taken away (pivot_root(2), NOTES).
  if (::syscall(SYS_pivot_root, ".", ".") != 0)
    return fail(error, because("cannot change the root"));
  if (::umount2(".", MNT_DETACH) != 0)
    return fail(error, because("cannot leave the old root"));
  return ::chdir("/") == 0 || fail(error, because("cannot enter /"));
}

bool set_kernel(const ProcessLaunch& launch, std::string& error) {
  if (!launch.hostname().empty() && ::sethostname(launch.hostname().data(), launch.hostname().size()) != 0)
    return fail(error, because("cannot set hostname " + launch.hostname()));
  for (const auto& [key, value] : launch.sysctls()) {
    auto path = "/proc/sys/" + key;
    for (auto i = path.size() - key.size(); i < path.size(); ++i)
      if (path[i] == '.')
        path[i] = '/';
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    const bool ok = fd >= 0 && ::write(fd, value.data(), value.size()) == static_cast<ssize_t>(value.size());
    if (fd >= 0)
      ::close(fd);
    if (!ok)
      return fail(error, because("cannot set sysctl " + key));
  }
  return true;
}

bool set_limits(const ProcessLaunch& launch, std::string& error) {
  const std::map<std::string, int> known{
    {"as", RLIMIT_AS}, {"core", RLIMIT_CORE}, {"cpu", RLIMIT_CPU}, {"data", RLIMIT_DATA}, {"fsize", RLIMIT_FSIZE},
    {"locks", RLIMIT_LOCKS}, {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
    {"nofile", RLIMIT_NOFILE}, {"nproc", RLIMIT_NPROC}, {"rss", RLIMIT_RSS}, {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME}, {"sigpending", RLIMIT_SIGPENDING}, {"stack", RLIMIT_STACK}};
  for (const auto& u : launch.ulimits()) {
    const auto it = known.find(u.name());
    if (it == known.end())
      return fail(error, "invalid ulimit type: " + u.name());
    const auto value = [](std::int64_t v) { return v < 0 ? RLIM_INFINITY : static_cast<rlim_t>(v); };
    const rlimit limit{value(u.soft()), value(u.hard())};
    if (::setrlimit(static_cast<__rlimit_resource>(it->second), &limit) != 0)
      return fail(error, because("cannot set ulimit " + u.name()));
  }
  if (launch.oom_score_adj() != 0) {
    std::ofstream out{"/proc/self/oom_score_adj"};
    out << launch.oom_score_adj();
    out.flush();
    if (!out)
      return fail(error, "cannot set oom_score_adj " + std::to_string(launch.oom_score_adj()));
  }
  return true;
}

struct identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string home = "/root";
};

std::optional<unsigned> parse_number(const std::string& text) {
  unsigned value = 0;
  const auto [rest, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || rest != text.data() + text.size() || text.empty())
    return std::nullopt;
  return value;
}

template <class Entry, class Read>
std::optional<Entry> find_in_file(const char* path, Read read, const std::function<bool(const Entry&)>& matches) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file{std::fopen(path, "re"), std::fclose};
  if (!file)
    return std::nullopt;
  while (Entry* entry = read(file.get()))
    if (matches(*entry))
      return *entry;
  return std::nullopt;
}

bool find_group(const std::string& text, gid_t& gid, std::string& error) {
  if (const auto number = parse_number(text)) {
    gid = *number;
    return true;
  }
  const auto entry = find_in_file<group>("/etc/group", ::fgetgrent, [&](const group& g) { return text == g.gr_name; });
  if (!entry)
    return fail(error, "unable to find group " + text + ": no matching entries in group file");
  gid = entry->gr_gid;
  return true;
}

// Names are those of the task's own file system, as Docker has it.
bool find_identity(const ProcessLaunch& launch, identity& out, std::string& error) {
  const auto colon = launch.user().find(':');
  const auto user = launch.user().substr(0, colon);
  if (!user.empty()) {
    const auto number = parse_number(user);
    const auto entry = find_in_file<passwd>("/etc/passwd", ::fgetpwent, [&](const passwd& p) {
      return number ? p.pw_uid == *number : user == p.pw_name;
    });
    if (!entry && !number)
      return fail(error, "unable to find user " + user + ": no matching entries in passwd file");
    out.uid = entry ? entry->pw_uid : *number;
    out.gid = entry ? entry->pw_gid : 0;
    out.home = entry ? entry->pw_dir : "/";
  }
  return colon == std::string::npos || find_group(launch.user().substr(colon + 1), out.gid, error);
}

std::uint64_t capability_mask(const ProcessLaunch& launch) {
  std::uint64_t mask = 0;
  for (const auto& name : launch.capabilities())
    mask |= 1ull << capability_number(name);
  return mask;
}

bool drop_bounding_set(const ProcessLaunch& launch, std::string& error) {
  const auto mask = capability_mask(launch);
  for (int cap = 0; cap < 64; ++cap)
    if ((mask & (1ull << cap)) == 0 && ::prctl(PR_CAPBSET_READ, cap) == 1 && ::prctl(PR_CAPBSET_DROP, cap) != 0)
      return fail(error, because("cannot drop capability " + std::to_string(cap)));
  return true;
}

bool limit_root(const ProcessLaunch& launch, std::string& error) {
  const auto mask = capability_mask(launch);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  for (int i = 0; i < 2; ++i)
    data[i].effective = data[i].permitted = static_cast<std::uint32_t>(mask >> (32 * i));
  if (::syscall(SYS_capset, &header, data) != 0)
    return fail(error, because("cannot set capabilities"));
  return true;
}

bool become(const ProcessLaunch& launch, const identity& who, std::string& error) {
  std::vector<gid_t> groups;
  for (const auto& name : launch.groups()) {
    gid_t gid = 0;
    if (!find_group(name, gid, error))
      return false;
    groups.push_back(gid);
  }
  if (::setgroups(groups.size(), groups.data()) != 0 || ::setgid(who.gid) != 0)
    return fail(error, because("cannot set groups"));
  if (who.uid != 0 && ::setuid(who.uid) != 0)
    return fail(error, because("cannot become user " + std::to_string(who.uid)));
  return true;
}

} // namespace

bool enter_sandbox(const ProcessLaunch& launch, const std::string& folder, std::string& error) {
  std::string root;
  return make_root(launch, folder, root, error) && mount_system(launch, root, error) && mount_given(launch, folder, root, error)
         && mount_text(launch.hosts(), "hosts", folder, root, error)
         && mount_text(launch.resolv_conf(), "resolv.conf", folder, root, error) && enter_root(launch, root, error)
         && set_kernel(launch, error) && set_limits(launch, error);
}

std::string execute(const ProcessLaunch& launch) {
  std::string error;
  identity who;
  if (!find_identity(launch, who, error))
    return error;
  std::error_code ec;
  fs::create_directories(launch.dir(), ec);
  if (::chdir(launch.dir().c_str()) != 0)
    return because("cannot enter working directory " + launch.dir());
  // The bounding set can only be dropped by root; leaving root then clears what is effective.
  if (!drop_bounding_set(launch, error) || !become(launch, who, error) || (who.uid == 0 && !limit_root(launch, error)))
    return error;
  if (launch.no_new_privileges() && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return because("cannot set no_new_privs");
  std::vector<char*> argv, envp;
  for (const auto& word : launch.argv())
    argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  auto home = "HOME=" + who.home;
  bool has_home = false;
  for (const auto& e : launch.env()) {
    envp.push_back(const_cast<char*>(e.c_str()));
    has_home = has_home || e.starts_with("HOME=");
    if (e.starts_with("PATH="))
      ::setenv("PATH", e.c_str() + 5, 1);
  }
  if (!has_home)
    envp.push_back(home.data());
  envp.push_back(nullptr);
  ::execvpe(argv[0], argv.data(), envp.data());
  return "exec: " + launch.argv(0) + ": " + std::strerror(errno);
}

} // namespace swarm::process
