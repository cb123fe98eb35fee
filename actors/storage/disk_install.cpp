// A snapshot of another manager: into the tables that are not in force, chunk by chunk, then one switch.
#include <algorithm>

#include "actors/storage/disk.hpp"
#include "runtime/check.hpp"

namespace swarm::storage {

namespace {

constexpr std::size_t key_bytes_max = 511; // LMDB's bound

failure refused(std::string why) { return {errc::invalid_argument, "snapshot: " + std::move(why)}; }

} // namespace

std::string chunk_chain(std::string_view before, std::string_view data) {
  std::string all;
  all.reserve(before.size() + data.size());
  all.append(before).append(data);
  return crypto::sha256(all);
}

std::string chunk_chain_start(const SnapshotMeta& meta) {
  return "swarm snapshot " + std::to_string(meta.last_included_index()) + '@' + std::to_string(meta.last_included_term());
}

failure disk::check_chunk(const InstallSnapshot& chunk, SnapshotRows& rows) const {
  const auto& meta = chunk.meta();
  if (chunk.snapshot_id() == 0 || meta.last_included_index() <= at_.applied.log_index()
      || meta.last_included_term() > at_.hard.term() || meta.last_included_term() < at_.applied.term())
    return refused("its position " + std::to_string(meta.last_included_index()) + '@' + std::to_string(meta.last_included_term())
                   + " does not fit");
  const bool first = chunk.chunk() == 0;
  if (!first && (chunk.snapshot_id() != incoming_.id || chunk.chunk() != incoming_.next_chunk
                 || meta.SerializeAsString() != incoming_.meta))
    return refused("chunk " + std::to_string(chunk.chunk()) + " is not the next one");
  if (chunk_chain(first ? chunk_chain_start(meta) : incoming_.chain, chunk.data()) != chunk.chain_sha256())
    return refused("the digest of chunk " + std::to_string(chunk.chunk()) + " is wrong");
  if (!rows.ParseFromString(chunk.data()))
    return refused("chunk " + std::to_string(chunk.chunk()) + " cannot be read");
  for (const auto& row : rows.rows())
    if (!TableWrite::Table_IsValid(row.table()) || row.key().empty() || row.key().size() > key_bytes_max || row.value().empty())
      return refused("chunk " + std::to_string(chunk.chunk()) + " has a row that cannot be stored");
  return {};
}

failure disk::install(const InstallSnapshot& chunk) {
  SnapshotRows rows;
  if (auto bad = check_chunk(chunk, rows); !bad.ok()) {
    incoming_ = {};
    return bad;
  }
  const auto target = 1 - generation_;
  SWARM_CHECK(!has_journaled(), "commit() comes first");
  auto next = in_tables_;
  {
    lmdb::write_txn txn{env_};
    if (chunk.chunk() == 0) // debris of a transfer that was given up
      for (std::size_t i = 0; i < object_tables; ++i)
        txn.clear(object(target, i));
    for (const auto& row : rows.rows())
      write(txn, object(target, static_cast<std::size_t>(row.table())), row.key(), row.value());
    if (chunk.last())
      switch_over(txn, next, chunk.meta());
    txn.commit();
  }
  if (!chunk.last()) {
    incoming_ = {chunk.snapshot_id(), chunk.chunk() + 1, chunk.chain_sha256(), chunk.meta().SerializeAsString()};
    return {};
  }
  incoming_ = {};
  generation_ = target;
  truncate_before_ = 0;
  at_ = in_tables_ = next;
  return {};
}

void disk::switch_over(lmdb::write_txn& txn, positions& next, const SnapshotMeta& meta) {
  StateGeneration generation;
  generation.set_number(static_cast<std::uint32_t>(1 - generation_));
  write(txn, key::generation, generation);
  txn.clear(log());
  for (std::size_t i = 0; i < object_tables; ++i)
    txn.clear(object(generation_, i));
  next.applied.set_log_index(meta.last_included_index());
  next.applied.set_term(meta.last_included_term());
  next.compacted = next.last = next.applied;
  next.hard.set_commit_index(std::max(next.hard.commit_index(), meta.last_included_index()));
  write(txn, key::applied, next.applied);
  write(txn, key::compacted, next.compacted);
  write(txn, key::hard, next.hard);
  write(txn, key::membership, meta.membership());
}

} // namespace swarm::storage
