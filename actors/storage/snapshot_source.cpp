// Walks the state tables within one read transaction.
#include "actors/storage/snapshot_source.hpp"

namespace swarm::storage {

snapshot_source::snapshot_source(std::shared_ptr<const disk> from, std::uint64_t id, std::size_t bytes_per_chunk)
    : disk_{std::move(from)}, sealer_{disk_->sealer_.with_domain(disk_->identity_.environment_id())}, txn_{disk_->env_}, id_{id},
      chunk_bytes_{bytes_per_chunk} {
  LogPosition applied;
  StateGeneration generation;
  static_cast<void>(disk_->read(txn_, key::applied, applied));
  static_cast<void>(disk_->read(txn_, key::generation, generation));
  static_cast<void>(disk_->read(txn_, key::membership, *meta_.mutable_membership()));
  meta_.set_last_included_index(applied.log_index());
  meta_.set_last_included_term(applied.term());
  generation_ = generation.number();
}

std::optional<InstallSnapshot> snapshot_source::read(std::uint64_t chunk) {
  if (last_ && last_->chunk() == chunk)
    return last_;
  if (chunk == 0)
    rewind();
  else if (!last_ || chunk != last_->chunk() + 1 || last_->last())
    return std::nullopt;
  last_ = next_chunk();
  return last_;
}

void snapshot_source::rewind() {
  last_.reset();
  table_ = 0;
  at_.emplace(txn_, disk_->object(generation_, table_));
  more_ = at_->first() || advance();
}

// To the next row, of this table or a later one.
bool snapshot_source::advance() {
  if (at_->next())
    return true;
  while (++table_ < object_tables) {
    at_.reset();
    at_.emplace(txn_, disk_->object(generation_, table_));
    if (at_->first())
      return true;
  }
  return false;
}

InstallSnapshot snapshot_source::next_chunk() {
  SnapshotRows rows;
  std::size_t bytes = 0;
  std::string plain;
  while (more_ && (rows.rows_size() == 0 || bytes + at_->value().size() <= chunk_bytes_)) {
    const auto& table = disk_->object(generation_, table_);
    if (sealer_.open(table.name, at_->key(), at_->value(), plain) != crypto::open_result::ok)
      throw lmdb::storage_error{0, table.name + '/' + crypto::hex(at_->key()) + " is damaged"};
    auto& row = *rows.add_rows();
    row.set_table(static_cast<TableWrite::Table>(table_));
    row.set_key(std::string{at_->key()});
    row.set_value(plain);
    bytes += at_->value().size() + at_->key().size();
    more_ = advance();
  }
  InstallSnapshot out;
  *out.mutable_meta() = meta_;
  out.set_snapshot_id(id_);
  out.set_chunk(last_ ? last_->chunk() + 1 : 0);
  out.set_last(!more_);
  out.set_data(rows.SerializeAsString());
  out.set_chain_sha256(chunk_chain(last_ ? last_->chain_sha256() : chunk_chain_start(meta_), out.data()));
  return out;
}

} // namespace swarm::storage
