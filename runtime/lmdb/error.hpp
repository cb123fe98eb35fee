// The one exception of the storage layer: whatever LMDB or the disk refuses ends the node's use of it.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "messages/errors.hpp"

namespace swarm::lmdb {

/// Thrown by everything in runtime/lmdb and caught in the shells. There is no retry: after a failed write the kernel
/// may have dropped dirty pages ("Can applications recover from fsync failures?", ATC 2020), so the node stops,
/// reopens and verifies.
class storage_error : public std::runtime_error {
public:
  storage_error(int code, std::string text) : std::runtime_error{std::move(text)}, code_{code} {}
  /// MDB_* or errno; 0 when the finding is our own (a tag that does not fit, a gap in the log).
  [[nodiscard]] int code() const { return code_; }
  [[nodiscard]] failure as_failure() const { return {errc::storage_failed, what()}; }

private:
  int code_;
};

/// Throws when rc is not 0: "put in log: MDB_MAP_FULL: …".
void check(int rc, std::string_view what, std::string_view where);

} // namespace swarm::lmdb
