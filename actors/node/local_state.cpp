// Files and facts of this host.
#include "actors/node/local_state.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <thread>

#include "messages/json_writer.hpp"
#include "runtime/crypto/atomic_file.hpp"

namespace swarm::node {

namespace {
constexpr const char* unfinished_mark = "unfinished";
}

failure local_state::begin() const {
  std::error_code ec;
  for (const auto& folder : {root_, certificates()}) {
    std::filesystem::create_directories(folder, ec);
    if (ec)
      return {errc::internal, "cannot make " + folder.string() + ": " + ec.message()};
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, ec);
  }
  return crypto::replace_file(root_ / unfinished_mark, "", 0600);
}

failure local_state::finish() const {
  std::error_code ec;
  std::filesystem::remove(root_ / unfinished_mark, ec);
  if (ec)
    return {errc::internal, "cannot remove " + (root_ / unfinished_mark).string() + ": " + ec.message()};
  return crypto::sync_directory(root_);
}

bool local_state::unfinished() const {
  std::error_code ec;
  return std::filesystem::exists(root_ / unfinished_mark, ec);
}

failure local_state::save_addresses(const LocalAddresses& addresses) const {
  return crypto::replace_file(root_ / "addresses.pb", addresses.SerializeAsString(), 0600);
}

std::optional<LocalAddresses> local_state::addresses() const {
  const auto content = crypto::read_file(root_ / "addresses.pb", false);
  LocalAddresses addresses;
  if (content.status != crypto::read_status::ok || !addresses.ParseFromString(content.bytes))
    return std::nullopt;
  return addresses;
}

failure local_state::save_managers(const LocalManagers& managers) const {
  return crypto::replace_file(root_ / "managers.pb", managers.SerializeAsString(), 0600);
}

LocalManagers local_state::managers() const {
  const auto content = crypto::read_file(root_ / "managers.pb", false);
  LocalManagers managers;
  if (content.status != crypto::read_status::ok || !managers.ParseFromString(content.bytes))
    managers.Clear();
  return managers;
}

failure local_state::make_raft() const {
  std::error_code ec;
  std::filesystem::create_directories(raft(), ec);
  if (!ec)
    std::filesystem::permissions(raft(), std::filesystem::perms::owner_all, ec);
  return ec ? failure{errc::internal, "cannot make " + raft().string() + ": " + ec.message()} : failure{};
}

failure local_state::remove_raft() const {
  std::error_code ec;
  std::filesystem::remove_all(raft(), ec);
  return ec ? failure{errc::internal, "cannot remove " + raft().string() + ": " + ec.message()} : failure{};
}

bool local_state::has_database() const {
  std::error_code ec;
  return std::filesystem::exists(raft() / storage::file::database, ec);
}

// Under another name first: who still writes here, such as the agent's journal, finds nothing to write to.
failure local_state::remove() const {
  auto going = root_;
  going += ".removed";
  std::error_code ec;
  std::filesystem::remove_all(going, ec);
  if (!ec && std::filesystem::exists(root_, ec))
    std::filesystem::rename(root_, going, ec);
  if (!ec)
    std::filesystem::remove_all(going, ec);
  if (ec)
    return {errc::internal, "cannot remove " + root_.string() + ": " + ec.message()};
  return {};
}

std::vector<host_address> read_host_addresses() {
  std::vector<host_address> out;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0)
    return out;
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner{list, ::freeifaddrs};
  for (const auto* a = list; a != nullptr; a = a->ifa_next) {
    if (a->ifa_addr == nullptr || (a->ifa_flags & IFF_UP) == 0)
      continue;
    std::array<char, INET6_ADDRSTRLEN> text{};
    const auto family = a->ifa_addr->sa_family;
    if (family == AF_INET) {
      ::inet_ntop(family, &reinterpret_cast<const sockaddr_in*>(a->ifa_addr)->sin_addr, text.data(), text.size());
    } else if (family == AF_INET6) {
      const auto& address = reinterpret_cast<const sockaddr_in6*>(a->ifa_addr)->sin6_addr;
      if (IN6_IS_ADDR_LINKLOCAL(&address))
        continue; // useless without a scope
      ::inet_ntop(family, &address, text.data(), text.size());
    } else {
      continue;
    }
    // Bridges and tunnels that engines make are not how others know this host.
    const std::string name = a->ifa_name;
    if (name.starts_with("docker") || name.starts_with("br-") || name.starts_with("veth"))
      continue;
    out.push_back({name, text.data(), (a->ifa_flags & IFF_LOOPBACK) != 0, family == AF_INET6});
  }
  return out;
}

std::string local_address_towards(const std::string& addr) {
  const auto colon = addr.rfind(':');
  if (colon == std::string::npos)
    return {};
  auto host = addr.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), addr.substr(colon + 1).c_str(), &hints, &found) != 0)
    return {};
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner{found, ::freeaddrinfo};
  const int fd = ::socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_storage local{};
  socklen_t size = sizeof local;
  std::array<char, NI_MAXHOST> text{};
  const bool known = fd >= 0 && ::connect(fd, found->ai_addr, found->ai_addrlen) == 0
                     && ::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) == 0
                     && ::getnameinfo(reinterpret_cast<sockaddr*>(&local), size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0;
  if (fd >= 0)
    ::close(fd);
  return known ? text.data() : std::string{};
}

std::string host_info_json(const std::string& driver, const std::string& version) {
  utsname host{};
  ::uname(&host);
  struct sysinfo memory{};
  ::sysinfo(&memory);
  std::string text;
  json_writer out{text};
  out.begin_object();
  out.member("ID", std::string_view{host.nodename});
  out.member("Name", std::string_view{host.nodename});
  out.member("ServerVersion", std::string_view{version});
  out.member("Driver", std::string_view{driver});
  out.member("OSType", "linux");
  out.member("OperatingSystem", std::string_view{host.sysname});
  out.member("Architecture", std::string_view{host.machine});
  out.member("KernelVersion", std::string_view{host.release});
  out.member("NCPU", static_cast<std::int64_t>(std::thread::hardware_concurrency()));
  out.member("MemTotal", static_cast<std::int64_t>(memory.totalram) * static_cast<std::int64_t>(memory.mem_unit));
  for (const auto* count : {"Containers", "ContainersRunning", "ContainersPaused", "ContainersStopped", "Images"})
    out.member(count, std::int64_t{0});
  out.key("Plugins");
  out.raw(R"({"Volume":["local"],"Network":["host"],"Authorization":null,"Log":["json-file","local","none"]})");
  out.key("Warnings");
  out.null();
  out.end_object();
  return text;
}

} // namespace swarm::node
