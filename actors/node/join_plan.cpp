// The address rules of Moby's Join.
#include "actors/node/join_plan.hpp"

#include "runtime/text.hpp"

namespace swarm::node {

namespace {

join_plan refuse(errc code, std::string text) {
  join_plan out;
  out.problem = {code, std::move(text)};
  return out;
}

// The port that managers listen on, unless one is given.
std::string with_port(const std::string& addr) {
  const bool bare_v6 = !addr.starts_with('[') && addr.find(':') != addr.rfind(':');
  if (bare_v6)
    return '[' + addr + "]:2377";
  const auto after_host = addr.starts_with('[') ? addr.find(']') : 0;
  return after_host == std::string::npos || addr.find(':', after_host) != std::string::npos ? addr : addr + ":2377";
}

} // namespace

join_plan plan_join(const JoinSwarm& request, const std::vector<host_address>& addresses, const std::string& configured_listen,
                    const std::string& configured_advertise) {
  join_plan out;
  const auto& listen_text = request.listen_addr().empty() ? configured_listen : request.listen_addr();
  if (listen_text.empty())
    return refuse(errc::invalid_argument, "invalid ListenAddr \"\": invalid empty address");
  const auto listen = resolve_listen(listen_text, addresses);
  if (!listen.problem.ok())
    return refuse(listen.problem.code, listen.problem.message);
  if (request.remote_addrs().empty())
    return refuse(errc::invalid_argument, "at least 1 RemoteAddr is required to join");
  for (const auto& addr : request.remote_addrs()) {
    if (text::trim(addr).empty())
      return refuse(errc::invalid_argument, "invalid RemoteAddr \"\": invalid empty address");
    out.remote_addrs.push_back(with_port(std::string{text::trim(addr)}));
  }
  // One that cannot be told is found by asking the way to the manager, as in Swarm.
  const auto& advertise_text = request.advertise_addr().empty() ? configured_advertise : request.advertise_addr();
  if (!advertise_text.empty() || (listen.ip != "0.0.0.0" && listen.ip != "::")) {
    const auto advertise = resolve_advertise(advertise_text, listen, addresses);
    if (!advertise.problem.ok())
      return refuse(advertise.problem.code, advertise.problem.message);
    out.advertise_addr = join_host_port(advertise.ip, advertise.port);
  }
  if (!request.data_path_addr().empty()) {
    const auto data_path = resolve_advertise(request.data_path_addr(), listen, addresses);
    if (!data_path.problem.ok())
      return refuse(errc::invalid_argument, "data path address must be a non-zero IP address or network interface");
    out.data_path_addr = data_path.ip;
  }
  out.listen_addr = join_host_port(listen.ip, listen.port);
  out.listen_port = listen.port;
  auto token = ca::parse_join_token(request.join_token());
  if (!token)
    return refuse(errc::internal, "invalid join token");
  if (token->fips)
    return refuse(errc::internal, "node is not FIPS-enabled but cluster requires FIPS");
  out.token = std::move(*token);
  return out;
}

} // namespace swarm::node
