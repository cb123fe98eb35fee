// The file that holds a manager's data key, in clear or wrapped by the cluster's unlock key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "messages/errors.hpp"
#include "runtime/crypto/sealer.hpp"

namespace swarm::crypto {

/// "SWMKEY-1-" and the 32 bytes in unpadded standard base64, as Swarm prints it.
[[nodiscard]] std::string format_unlock_key(const secret_key& key);
/// Exactly what format_unlock_key writes, nothing else.
[[nodiscard]] std::optional<secret_key> parse_unlock_key(std::string_view text);

enum class key_file_status : std::uint8_t {
  ok,
  missing,
  locked,           ///< wrapped, and no unlock key was given
  wrong_unlock_key, ///< wrapped, and the tag does not fit
  unsafe,           ///< readable by others, someone else's, or a symbolic link
  damaged,
  failed, ///< the system could not read it
};

struct key_file_content {
  key_file_status status = key_file_status::ok;
  std::optional<data_key> key; ///< set when ok
  bool wrapped = false;        ///< known unless missing, unsafe, damaged or failed
  std::string message;         ///< what is wrong, without any key material
};

/// Text of four lines: "swarm data key 1", "id <8 hex>", "plain <base64>" or "wrapped <base64 of a sealed value>",
/// "sum <hex SHA-256 of the lines above>". The sum tells damage from a wrong unlock key.
[[nodiscard]] key_file_content load_data_key(const std::filesystem::path& path, const secret_key* unlock_key);

/// Replaces the file atomically, mode 0600. Changing the unlock key = load with the old one, save with the new one.
[[nodiscard]] failure save_data_key(const std::filesystem::path& path, const data_key& key,
                                    const secret_key* unlock_key);

} // namespace swarm::crypto
