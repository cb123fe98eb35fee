// A disk between the program and the kernel: records what is written and synced under one folder, fails calls on
// demand, and builds the folder as a power cut could have left it.
#pragma once

#include <cstdint>
#include <filesystem>

#include "runtime/random.hpp"

namespace swarm::storage::disk_model {

/// Starts recording calls on files below `folder` (not LMDB's reader tables, which mean nothing after a restart).
void start(const std::filesystem::path& folder);
void stop();

/// Notes that everything up to here was acknowledged with this number.
void acknowledge(std::uint64_t number);

[[nodiscard]] std::size_t events();

/// What of the not yet synced writes reached the platter.
enum class loss : std::uint8_t { all, none, random_pages, random_sectors };

struct image {
  std::uint64_t acknowledged = 0; ///< the last number before the cut
  bool any = false;               ///< whether anything had been acknowledged at all
};
/// Writes into `target` what is left when the power fails after the first `count` events. Renames and new names that
/// were not followed by a sync of the folder are there or not, by chance.
image cut(std::size_t count, loss how, random_source& rng, const std::filesystem::path& target);

/// The nth call (from 1) that writes or syncs fails with `error`; 0 = none fails.
void fail_nth(std::uint64_t nth, int error);
/// Whether the planned failure has happened.
[[nodiscard]] bool failed();

} // namespace swarm::storage::disk_model
