// What this host remembers of its membership between starts: <data-root>/swarm.
//   certificates/   swarm-node.crt, swarm-node.key, swarm-root-ca.crt       raft/   LMDB: log and state
//   addresses.pb    LocalAddresses                                          agent/  assignments of this node
//   managers.pb     LocalManagers: whom to ask                              unfinished  while init or join is under way
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "actors/node/init_plan.hpp"
#include "actors/storage/log_tables.hpp"
#include "messages/ca.pb.h"
#include "messages/control.pb.h"
#include "messages/errors.hpp"

namespace swarm::node {

class local_state {
public:
  explicit local_state(const std::string& data_root) : root_{std::filesystem::path{data_root} / "swarm"} {}

  [[nodiscard]] const std::filesystem::path& root() const { return root_; }
  [[nodiscard]] std::filesystem::path certificates() const { return root_ / "certificates"; }
  [[nodiscard]] std::filesystem::path raft() const { return root_ / "raft"; }
  [[nodiscard]] std::filesystem::path data_key() const { return raft() / storage::file::data_key; }

  /// Until finish(), what is made here is a beginning only: the next start takes it away.
  [[nodiscard]] failure begin() const;
  [[nodiscard]] failure finish() const;
  [[nodiscard]] bool unfinished() const;
  [[nodiscard]] failure save_addresses(const LocalAddresses& addresses) const;
  [[nodiscard]] std::optional<LocalAddresses> addresses() const;
  [[nodiscard]] failure save_managers(const LocalManagers& managers) const;
  [[nodiscard]] LocalManagers managers() const; ///< empty when there are none
  /// A new manager's folder; a worker's has none.
  [[nodiscard]] failure make_raft() const;
  [[nodiscard]] failure remove_raft() const;
  [[nodiscard]] bool has_database() const;
  /// Everything below, on leaving. What cannot be removed is named.
  [[nodiscard]] failure remove() const;

private:
  std::filesystem::path root_;
};

/// Addresses of this host's interfaces that are up.
[[nodiscard]] std::vector<host_address> read_host_addresses();

/// This host's IP address on the way to `addr` (IP:PORT); "" when there is none. Sends nothing.
[[nodiscard]] std::string local_address_towards(const std::string& addr);

/// GET /info of a host without an engine, as a JSON object without the Swarm member.
[[nodiscard]] std::string host_info_json(const std::string& driver, const std::string& version);

} // namespace swarm::node
