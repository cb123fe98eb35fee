// Renewal decisions.
#include "actors/node/identity_core.hpp"

#include <algorithm>

namespace swarm::node {

namespace {
constexpr duration retry_min = seconds{1};
constexpr duration retry_max = minutes{5};
} // namespace

void identity_core::use(own_identity own) { own_ = std::move(own); }

std::optional<std::string> identity_core::orders(timestamp now, const NodeOrders& orders) {
  const bool news = orders.role() != role_;
  if (orders.role() != NODE_ROLE_UNSPECIFIED)
    role_ = orders.role();
  const bool roots = !orders.root_pem().empty() && orders.root_pem() != own_.roots_pem;
  if (news || roots) {
    not_before_ = now.now;
    failures_ = 0;
  }
  return roots ? std::optional{orders.root_pem()} : std::nullopt;
}

bool identity_core::is_wanted(timestamp now) const {
  return (role_ != NODE_ROLE_UNSPECIFIED && role_ != own_.role) || !own_.issued_by_last || now.wall >= own_.renew_at;
}

bool identity_core::begin_renewal(timestamp now) {
  if (asking_ || now.now < not_before_ || !is_wanted(now))
    return false;
  asking_ = true;
  return true;
}

void identity_core::failed(timestamp now) {
  asking_ = false;
  const auto whole = std::min<duration>(retry_max, retry_min * (1u << std::min(failures_++, 10u)));
  not_before_ = now.now + whole / 2 + duration{static_cast<duration::rep>(rng_.below(static_cast<std::uint64_t>(whole.count() / 2)))};
}

} // namespace swarm::node
