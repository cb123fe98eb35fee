// Files that are replaced whole or not at all, also across a power cut.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "messages/errors.hpp"

namespace swarm::crypto {

/// Temporary file beside it, write, fsync, rename, fsync of the directory.
[[nodiscard]] failure replace_file(const std::filesystem::path& path, std::string_view bytes, unsigned mode);
/// The first half of replace_file: `path`.new is complete and synced; the old file stands.
[[nodiscard]] failure stage_file(const std::filesystem::path& path, std::string_view bytes, unsigned mode);
/// The second half: `path`.new takes the name `path`.
[[nodiscard]] failure publish_file(const std::filesystem::path& path);
[[nodiscard]] std::filesystem::path staged_name(const std::filesystem::path& path);

[[nodiscard]] failure sync_directory(const std::filesystem::path& directory);

enum class read_status : std::uint8_t { ok, missing, unsafe, failed };
struct file_content {
  read_status status = read_status::ok;
  std::string bytes;
  std::string message; ///< when status is not ok
};
/// At most 1 MiB; more is `failed`. With `secret`, the file must belong to this user (or root) and be closed to group
/// and others, and must not be a symbolic link: otherwise `unsafe`, and nothing is read.
[[nodiscard]] file_content read_file(const std::filesystem::path& path, bool secret);

} // namespace swarm::crypto
