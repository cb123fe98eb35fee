// The address rules of Moby's cluster initialisation (behaviour §1.11, last rows) and its defaults.
#include "actors/node/init_plan.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace swarm::node {

namespace {

constexpr std::uint16_t default_port = 2377;
constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::int64_t cert_expiry_min = 3600 * ns_per_s;

bool is_ip(const std::string& text) {
  in6_addr buffer{};
  return inet_pton(AF_INET, text.c_str(), &buffer) == 1 || inet_pton(AF_INET6, text.c_str(), &buffer) == 1;
}

bool is_unspecified(const std::string& ip) { return ip == "0.0.0.0" || ip == "::"; }

struct host_port {
  std::string host;
  std::optional<std::uint16_t> port; // unset: not given
  bool ok = true;
};

host_port split_host_port(const std::string& text) {
  host_port out;
  std::string port;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string::npos)
      return {text, std::nullopt, false};
    out.host = text.substr(1, close - 1);
    if (close + 1 < text.size()) {
      if (text[close + 1] != ':')
        return {text, std::nullopt, false};
      port = text.substr(close + 2);
    }
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    const auto colon = text.find(':');
    out.host = text.substr(0, colon);
    port = text.substr(colon + 1);
  } else {
    out.host = text;
    return out;
  }
  std::uint16_t number = 0;
  const auto [rest, ec] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (!port.empty() && (ec != std::errc{} || rest != port.data() + port.size()))
    return {text, std::nullopt, false};
  if (!port.empty())
    out.port = number;
  return out;
}

// The one address of an interface, IPv4 before IPv6; an error when there are several.
struct interface_address {
  bool known = false;
  failure problem;
  std::string ip;
};

interface_address address_of_interface(const std::string& name, const std::vector<host_address>& addresses) {
  interface_address out;
  std::string first4, first6;
  for (const auto& a : addresses) {
    if (a.interface != name)
      continue;
    out.known = true;
    auto& slot = a.ipv6 ? first6 : first4;
    if (!slot.empty()) {
      out.problem = {errc::invalid_argument, "interface " + name + " has more than one IPv" + (a.ipv6 ? "6" : "4")
                                               + " address (" + slot + " and " + a.ip + ")"};
      return out;
    }
    slot = a.ip;
  }
  out.ip = first4.empty() ? first6 : first4;
  return out;
}

// The address that the rest of the world most likely knows this host by; refuses to guess between several.
resolved_address system_address(const std::vector<host_address>& addresses) {
  const host_address* found = nullptr;
  for (const bool ipv6 : {false, true}) {
    for (const auto& a : addresses) {
      if (a.loopback || a.ipv6 != ipv6)
        continue;
      if (found == nullptr) {
        found = &a;
      } else if (found->interface == a.interface) {
        return {{errc::invalid_argument, "could not choose an IP address to advertise since this system has multiple addresses"
                                         " on interface " + a.interface + " (" + found->ip + " and " + a.ip
                                           + ") - specify one with --advertise-addr"}, {}, 0};
      } else {
        return {{errc::invalid_argument, "could not choose an IP address to advertise since this system has multiple addresses"
                                         " on different interfaces (" + found->ip + " on " + found->interface + " and " + a.ip
                                           + " on " + a.interface + ") - specify one with --advertise-addr"}, {}, 0};
      }
    }
    if (found != nullptr)
      return {{}, found->ip, 0};
  }
  return {{errc::invalid_argument, "could not find the system's IP address - specify one with --advertise-addr"}, {}, 0};
}

failure check_spec(const ClusterSpec& given) {
  if (!given.name().empty() && given.name() != "default")
    return {errc::invalid_argument, "swarm spec must be named \"default\""};
  if (given.ca_config().node_cert_expiry() != 0 && given.ca_config().node_cert_expiry() < cert_expiry_min)
    return {errc::invalid_argument, "minimum certificate expiry time is: 1h0m0s"};
  if (given.dispatcher().heartbeat_period() < 0)
    return {errc::invalid_argument, "heartbeat time period cannot be a negative duration"};
  if (given.ca_config().external_cas_size() > 0)
    return {errc::unimplemented, "an external CA is not available in this version of swarm-node"};
  return {};
}

// Sizes and ports come as plain Go errors: status 500.
failure check_data_path(const InitSwarm& request, const init_plan& plan) {
  if (plan.subnet_size > 29)
    return {errc::internal, "subnet size is out of range: " + std::to_string(plan.subnet_size)};
  for (const auto& pool : request.default_addr_pool()) {
    const auto slash = pool.find('/');
    unsigned prefix = 0;
    const auto digits = slash == std::string::npos ? std::string{} : pool.substr(slash + 1);
    const auto [rest, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (ec != std::errc{} || rest != digits.data() + digits.size() || !is_ip(pool.substr(0, slash)))
      return {errc::internal, "invalid CIDR address: " + pool};
    if (prefix > plan.subnet_size)
      return {errc::internal, "invalid CIDR: \"" + pool + "\". Subnet size is too small for pool: " + std::to_string(plan.subnet_size)};
  }
  if (request.data_path_port() != 0 && (request.data_path_port() < 1024 || request.data_path_port() > 49151))
    return {errc::internal, "Datapath port number is not in valid range (1024-49151) : " + std::to_string(request.data_path_port())};
  return {};
}

} // namespace

std::string join_host_port(const std::string& ip, std::uint16_t port) {
  return (ip.find(':') == std::string::npos ? ip : '[' + ip + ']') + ':' + std::to_string(port);
}

std::string host_of(const std::string& address) { return split_host_port(address).host; }

ClusterSpec default_cluster_spec() {
  ClusterSpec spec;
  spec.set_name("default");
  spec.mutable_orchestration()->set_task_history_retention_limit(5);
  auto& raft = *spec.mutable_raft();
  raft.set_snapshot_interval(10'000);
  raft.set_keep_old_snapshots(0);
  raft.set_log_entries_for_slow_followers(500);
  raft.set_election_tick(10);
  raft.set_heartbeat_tick(1);
  spec.mutable_dispatcher()->set_heartbeat_period(5 * ns_per_s);
  spec.mutable_ca_config()->set_node_cert_expiry(90LL * 24 * 3600 * ns_per_s);
  return spec;
}

resolved_address resolve_listen(const std::string& text, const std::vector<host_address>& addresses) {
  const failure wrong{errc::invalid_argument, "listen address must be an IP address or network interface (with optional port number)"};
  const auto parts = split_host_port(text);
  if (!parts.ok || parts.host.empty())
    return {text.empty() ? failure{errc::invalid_argument, "invalid ListenAddr \"\": invalid empty address"} : wrong, {}, 0};
  const auto port = parts.port.value_or(default_port);
  if (is_ip(parts.host))
    return {{}, parts.host, port};
  const auto found = address_of_interface(parts.host, addresses);
  if (!found.known)
    return {wrong, {}, 0};
  return {found.problem, found.ip, port};
}

resolved_address resolve_advertise(const std::string& text, const resolved_address& listen,
                                   const std::vector<host_address>& addresses) {
  if (!text.empty()) {
    const failure wrong{errc::invalid_argument,
                        "advertise address must be a non-zero IP address or network interface (with optional port number)"};
    const auto parts = split_host_port(text);
    if (!parts.ok || parts.host.empty())
      return {wrong, {}, 0};
    const auto port = parts.port.value_or(listen.port);
    if (is_ip(parts.host))
      return is_unspecified(parts.host) ? resolved_address{wrong, {}, 0} : resolved_address{{}, parts.host, port};
    const auto found = address_of_interface(parts.host, addresses);
    if (!found.known)
      return {wrong, {}, 0};
    return {found.problem, found.ip, port};
  }
  if (!is_unspecified(listen.ip))
    return {{}, listen.ip, listen.port};
  auto found = system_address(addresses);
  found.port = listen.port;
  return found;
}

init_plan plan_init(const InitSwarm& request, const std::vector<host_address>& addresses,
                    const std::string& configured_listen, const std::string& configured_advertise) {
  init_plan plan;
  const auto listen = resolve_listen(request.listen_addr().empty() ? configured_listen : request.listen_addr(), addresses);
  if (!listen.problem.ok()) {
    plan.problem = listen.problem;
    return plan;
  }
  const auto advertise = resolve_advertise(request.advertise_addr().empty() ? configured_advertise : request.advertise_addr(),
                                           listen, addresses);
  if (!advertise.problem.ok()) {
    plan.problem = advertise.problem;
    return plan;
  }
  plan.listen_addr = join_host_port(listen.ip, listen.port);
  plan.advertise_addr = join_host_port(advertise.ip, advertise.port);
  if (!request.data_path_addr().empty()) {
    const auto data_path = resolve_advertise(request.data_path_addr(), listen, addresses);
    if (!data_path.problem.ok()) {
      plan.problem = {errc::invalid_argument, "data path address must be a non-zero IP address or network interface"};
      return plan;
    }
    plan.data_path_addr = data_path.ip;
  }
  plan.default_addr_pool.assign(request.default_addr_pool().begin(), request.default_addr_pool().end());
  if (plan.default_addr_pool.empty())
    plan.default_addr_pool = {"10.0.0.0/8"};
  plan.subnet_size = request.subnet_size() != 0 ? request.subnet_size() : 24;
  plan.data_path_port = request.data_path_port() != 0 ? request.data_path_port() : 4789;
  plan.problem = check_spec(request.spec());
  if (plan.problem.ok())
    plan.problem = check_data_path(request, plan);
  plan.spec = default_cluster_spec();
  plan.spec.MergeFrom(request.spec());
  if (request.auto_lock())
    plan.spec.mutable_encryption_config()->set_auto_lock_managers(true);
  return plan;
}

std::string leave_warning(unsigned managers, unsigned reachable, bool active) {
  std::string text = "You are attempting to leave the swarm on a node that is participating as a manager. ";
  if (active && managers <= 1)
    return text + "Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. ";
  if (!active)
    text += "Doing so may lose the consensus of your cluster. ";
  else if (reachable < 2 + (managers - reachable) + 1)
    text += "Removing this node leaves " + std::to_string(reachable - 1) + " managers out of " + std::to_string(managers)
            + ". Without a Raft quorum your swarm will be inaccessible. ";
  return text + "The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`."
                " Use `--force` to suppress this message.";
}

} // namespace swarm::node
