// The rules for nodes, secrets, configs, networks and the cluster.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

#include "actors/control/validate.hpp"

namespace swarm::control {

namespace {

constexpr std::size_t file_name_chars_max = 64;
constexpr std::size_t secret_bytes_end = 500 * 1024;
constexpr std::size_t config_bytes_end = 1000 * 1024;
constexpr std::int64_t cert_expiry_min = 3'600'000'000'000; // one hour

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

refusal check_file_name(const std::string& name) {
  if (name.empty())
    return invalid("name must be provided");
  const bool valid = name.size() <= file_name_chars_max && is_alnum(name.front()) && is_alnum(name.back())
                     && std::all_of(name.begin(), name.end(),
                                    [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
  if (!valid)
    return invalid("invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be "
                   "[a-zA-Z0-9]");
  return {};
}

refusal check_payload(const std::string& data, std::size_t end, const char* kind) {
  if (data.empty() || data.size() >= end)
    return invalid(std::string{kind} + " data must be larger than 0 and less than " + std::to_string(end) + " bytes");
  return {};
}

// -- addresses -------------------------------------------------------------------------------------------------------------

struct address {
  int family = 0;
  std::array<unsigned char, 16> bytes{};
};

std::optional<address> parse_address(const std::string& text) {
  address out;
  for (const int family : {AF_INET, AF_INET6}) {
    out.family = family;
    if (inet_pton(family, text.c_str(), out.bytes.data()) == 1)
      return out;
  }
  return std::nullopt;
}

struct subnet {
  address base;
  unsigned prefix = 0;
  [[nodiscard]] bool contains(const address& a) const {
    if (a.family != base.family)
      return false;
    for (unsigned bit = 0; bit < prefix; ++bit)
      if (((a.bytes[bit / 8] ^ base.bytes[bit / 8]) >> (7 - bit % 8) & 1) != 0)
        return false;
    return true;
  }
};

std::optional<subnet> parse_subnet(const std::string& text) {
  const auto slash = text.find('/');
  if (slash == std::string::npos)
    return std::nullopt;
  subnet out;
  const auto base = parse_address(text.substr(0, slash));
  const auto* const end = text.data() + text.size();
  const auto [rest, bad] = std::from_chars(text.data() + slash + 1, end, out.prefix);
  if (!base || bad != std::errc{} || rest != end || out.prefix > (base->family == AF_INET ? 32u : 128u))
    return std::nullopt;
  out.base = *base;
  return out;
}

refusal check_ipam(const IPAMConfig& ipam) {
  const auto net = parse_subnet(ipam.subnet());
  if (!net)
    return invalid("ipam configuration: invalid subnet " + ipam.subnet());
  if (!ipam.ip_range().empty()) {
    const auto range = parse_subnet(ipam.ip_range());
    if (!range)
      return invalid("ipam configuration: invalid range " + ipam.ip_range());
    if (!net->contains(range->base))
      return invalid("ipam configuration: subnet " + ipam.subnet() + " does not contain range " + ipam.ip_range());
  }
  if (!ipam.gateway().empty()) {
    const auto gateway = parse_address(ipam.gateway());
    if (!gateway)
      return invalid("ipam configuration: invalid gateway " + ipam.gateway());
    if (!net->contains(*gateway))
      return invalid("ipam configuration: subnet " + ipam.subnet() + " does not contain gateway " + ipam.gateway());
  }
  return {};
}

} // namespace

refusal check_node(const NodeSpec& spec) {
  if (spec.role() == NODE_ROLE_UNSPECIFIED)
    return plain_refusal(errc::invalid_argument, "invalid Role: \"\"");
  if (spec.availability() == NODE_AVAILABILITY_UNSPECIFIED)
    return plain_refusal(errc::invalid_argument, "invalid Availability: \"\"");
  return {};
}

refusal check_secret(const SecretSpec& spec) {
  if (auto bad = check_file_name(spec.name()); !bad.ok())
    return bad;
  if (!spec.has_driver())
    return check_payload(spec.data(), secret_bytes_end, "secret");
  if (spec.driver().name().empty())
    return invalid("secret driver must have a name");
  return spec.data().empty() ? refusal{} : invalid("secret data must be empty when a driver is given");
}

refusal check_config(const ConfigSpec& spec) {
  if (auto bad = check_file_name(spec.name()); !bad.ok())
    return bad;
  return check_payload(spec.data(), config_bytes_end, "config");
}

refusal check_network(const NetworkSpec& spec) {
  if (spec.name() == "host" || spec.name() == "bridge" || spec.name() == "none" || spec.name() == "default")
    return plain_refusal(errc::permission_denied, "operation is not permitted on predefined " + spec.name() + " network "); // the blank is Docker's
  if (auto bad = check_dns_name(spec.name()); !bad.ok())
    return bad;
  if (spec.ingress() && spec.attachable())
    return invalid("ingress network cannot be attachable");
  for (const auto& ipam : spec.ipam().config())
    if (auto bad = check_ipam(ipam); !bad.ok())
      return bad;
  return {};
}

refusal check_cluster(const ClusterSpec& spec) {
  if (spec.name() != "default")
    return plain_refusal(errc::invalid_argument, "swarm spec must be named \"default\"");
  if (spec.ca_config().node_cert_expiry() != 0 && spec.ca_config().node_cert_expiry() < cert_expiry_min)
    return invalid("minimum certificate expiry time is: 1h0m0s");
  if (spec.dispatcher().heartbeat_period() < 0)
    return invalid("heartbeat time period cannot be a negative duration");
  return {};
}

} // namespace swarm::control
