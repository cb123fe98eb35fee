// Refusals in Swarm's words; retries with back-off.
#include "actors/node/join_steps.hpp"

#include <algorithm>

#include "runtime/check.hpp"
#include "runtime/crypto/bytes.hpp"
#include "runtime/text.hpp"

namespace swarm::node {

namespace {

// Swarm's daemon passes the manager's gRPC text on.
std::string as_rpc(const failure& f, const std::string& addr) {
  switch (f.code) {
    case errc::invalid_argument: return "rpc error: code = InvalidArgument desc = " + f.message;
    case errc::permission_denied: return "rpc error: code = PermissionDenied desc = " + f.message;
    case errc::failed_precondition: return "rpc error: code = FailedPrecondition desc = " + f.message;
    case errc::resource_exhausted: return "rpc error: code = ResourceExhausted desc = " + f.message;
    case errc::deadline_exceeded: return "rpc error: code = DeadlineExceeded desc = " + f.message;
    default:
      return "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp " + addr
             + ": " + f.message + "\"";
  }
}

bool is_final(errc code) {
  switch (code) {
    case errc::invalid_argument: case errc::permission_denied: case errc::failed_precondition: case errc::unimplemented: return true;
    default: return false;
  }
}

} // namespace

join_steps::join_steps(std::vector<std::string> addrs, ca::parsed_token token, instant now, std::uint64_t seed)
  : addrs_{std::move(addrs)}, token_{std::move(token)}, give_up_{now + patience}, rng_{seed} {
  SWARM_CHECK(!addrs_.empty());
}

join_steps::effect join_steps::later(instant now, const failure& problem) {
  last_ = {problem.code == errc::deadline_exceeded ? errc::unavailable : problem.code, as_rpc(problem, addrs_[at_])};
  if (is_final(problem.code))
    return refused{last_};
  at_ = (at_ + 1) % addrs_.size();
  waiting_ = true;
  again_ = now;
  if (at_ == 0) {
    const auto whole = std::min<duration>(retry_max, retry_min * (1u << std::min(rounds_++, 8u)));
    again_ += whole / 2 + duration{static_cast<duration::rep>(rng_.below(static_cast<std::uint64_t>(whole.count() / 2)))};
  }
  return tick(now);
}

join_steps::effect join_steps::root_read(instant now, const failure& problem, const std::string& root_pem) {
  if (!problem.ok())
    return later(now, problem);
  if (!ca::token_fits_root(token_, root_pem))
    return refused{{errc::internal, "remote CA does not match fingerprint. Expected: " + crypto::hex(token_.root_digest)}};
  root_pem_ = root_pem;
  return ask_certificate{addrs_[at_], root_pem_};
}

join_steps::effect join_steps::issued(instant now, const failure& problem, const NodeCertificateIssued& answer) {
  if (!problem.ok())
    return later(now, problem);
  return accepted{addrs_[at_], answer};
}

join_steps::effect join_steps::tick(instant now) {
  if (!waiting_)
    return nothing{};
  if (now >= give_up_)
    return refused{last_};
  if (now < again_)
    return nothing{};
  waiting_ = false;
  return ask_root{addrs_[at_]};
}

} // namespace swarm::node
