// Transactions on the tables of log_tables.hpp, and reading them back with every tag checked.
#include "actors/storage/disk.hpp"

#include <algorithm>
#include <utility>

#include "runtime/check.hpp"
#include "runtime/crypto/atomic_file.hpp"

namespace swarm::storage {

namespace {

constexpr std::size_t listed_damages = 100;

[[noreturn]] void damaged(const std::string& what) { throw lmdb::storage_error{0, what}; }

std::string place(std::string_view table, std::string_view key) {
  std::string out{table};
  out += '/';
  // The log's keys are binary, the others are texts or ids; hex shows any of them.
  return out + (table == "meta" ? std::string{key} : crypto::hex(key));
}

void check_format(const lmdb::read_txn& txn, const lmdb::table& meta) {
  const auto format = txn.get(meta, key::format);
  if (!format)
    damaged("the database has no format record");
  if (*format != format_text) {
    const bool ours = format->starts_with("swarm-storage ") && format->size() < 32;
    damaged(ours ? "the database has format \"" + std::string{*format} + "\", this program reads \"" +
                       std::string{format_text} + '"'
                 : std::string{"the format record of the database is damaged"});
  }
}

// Why an append cannot follow what is there; null: it can.
const char* misfit(const positions& at, const Append& request) {
  if (request.has_hard_state()) {
    const auto& hard = request.hard_state();
    if (hard.term() < at.hard.term())
      return "the term never falls";
    if (hard.term() == at.hard.term() && at.hard.voted_for() != 0 && hard.voted_for() != at.hard.voted_for())
      return "one vote per term";
  }
  auto index = at.last.log_index();
  auto term = at.last.term();
  for (const auto& entry : request.entries()) {
    if (entry.log_index() != ++index)
      return "the log has no gap";
    if (entry.log_index() <= at.applied.log_index())
      return "an applied entry is never replaced";
    if (entry.term() < term)
      return "terms never fall along the log";
    term = entry.term();
  }
  return nullptr;
}

// Where the log stands after an append that goes on at its end.
void go_on(positions& next, const Append& request) {
  if (const auto* const why = misfit(next, request))
    SWARM_CHECK(why == nullptr, why);
  if (request.has_hard_state())
    next.hard = request.hard_state();
  if (request.entries().empty())
    return;
  next.last.set_log_index(request.entries().rbegin()->log_index());
  next.last.set_term(request.entries().rbegin()->term());
}

StorageIdentity read_identity(const lmdb::environment& env, const lmdb::table& meta, const crypto::sealer& key) {
  const lmdb::read_txn txn{env};
  check_format(txn, meta);
  const auto sealed = txn.get(meta, key::identity);
  if (!sealed)
    damaged("the database has no identity record");
  std::string plain;
  switch (key.open(meta.name, key::identity, *sealed, plain)) {
  case crypto::open_result::ok: break;
  case crypto::open_result::other_key: damaged("the data key is not the one that this database was written with");
  case crypto::open_result::damaged: damaged("meta/identity is damaged");
  }
  StorageIdentity out;
  if (!out.ParseFromString(plain))
    damaged("meta/identity cannot be read");
  return out;
}

} // namespace

disk::disk(lmdb::environment env, const crypto::sealer& key, std::filesystem::path directory)
    : env_{std::move(env)}, tables_{env_.open_tables(table_names())}, identity_{read_identity(env_, tables_[meta_table],
                                                                                              key)},
      sealer_{key.with_domain(identity_.environment_id())}, directory_{std::move(directory)} {
  load_positions();
  in_tables_ = at_;
}

// -- values ---------------------------------------------------------------------------------------------------------

void disk::open_value(const lmdb::table& where, std::string_view key, std::string_view sealed,
                      std::string& plain) const {
  switch (sealer_.open(where.name, key, sealed, plain)) {
  case crypto::open_result::ok: return;
  case crypto::open_result::other_key: damaged(place(where.name, key) + " is sealed with another key");
  case crypto::open_result::damaged: damaged(place(where.name, key) + " is damaged");
  }
}

bool disk::read(const lmdb::transaction& txn, std::string_view key, google::protobuf::MessageLite& out) const {
  const auto sealed = txn.get(meta(), key);
  if (!sealed)
    return false;
  std::string plain;
  open_value(meta(), key, *sealed, plain);
  if (!out.ParseFromString(plain))
    damaged(place("meta", key) + " cannot be read");
  return true;
}

void disk::write(lmdb::write_txn& txn, const lmdb::table& where, std::string_view key, std::string_view plain,
                 bool append) {
  sealer_.seal(where.name, key, plain, txn.reserve(where, key, crypto::sealer::sealed_size(plain.size()), append));
}

void disk::write(lmdb::write_txn& txn, std::string_view key, const google::protobuf::MessageLite& record) {
  scratch_.clear();
  record.AppendToString(&scratch_);
  write(txn, meta(), key, scratch_);
}

// -- writing --------------------------------------------------------------------------------------------------------

void disk::open_journal(std::size_t bytes) {
  journal_ = std::make_unique<append_journal>(directory_ / file::journal, bytes, sealer_);
  auto next = at_;
  for (const auto& record : journal_->read(epoch_)) {
    auto& request = journaled_.emplace_back();
    const auto* const why = request.ParseFromString(record) ? misfit(next, request) : "it cannot be read";
    if (why != nullptr)
      damaged(std::string{file::journal} + ": record " + std::to_string(journaled_.size() - 1) +
              " does not follow the database: " + why);
    go_on(next, request);
  }
  if (has_journaled())
    commit({});
}

bool disk::journal(Append& request) {
  if (!journal_ || (!request.entries().empty() && request.entries(0).log_index() != at_.last.log_index() + 1))
    return false;
  scratch_.clear();
  request.AppendToString(&scratch_);
  if (!journal_->has_room(scratch_.size()))
    return false;
  auto next = at_;
  go_on(next, request);
  journal_->write(epoch_, scratch_);
  at_ = next;
  journaled_.push_back(std::move(request));
  return true;
}

void disk::take_journaled(lmdb::write_txn& txn, positions& next, commit_report& report) {
  for (const auto& request : journaled_)
    append(txn, next, request, report);
  if (has_journaled())
    write(txn, meta(), key::journal, lmdb::u64_key{epoch_ + 1});
}

commit_report disk::commit(std::span<const operation> operations) {
  commit_report report;
  auto next = in_tables_;
  row_writes rows;
  lmdb::write_txn txn{env_};
  take_journaled(txn, next, report);
  for (const auto& each : operations) {
    if (const auto* const request = std::get_if<const Append*>(&each))
      append(txn, next, **request, report);
    else
      save(txn, next, *std::get<const SaveState*>(each), rows);
  }
  // One write for many requests: the last one counts.
  write_rows(txn, rows, report);
  if (next.hard.SerializeAsString() != in_tables_.hard.SerializeAsString())
    write(txn, key::hard, next.hard);
  if (next.applied.log_index() != in_tables_.applied.log_index())
    write(txn, key::applied, next.applied);
  compact(txn, next, report);
  txn.commit();
  at_ = in_tables_ = next;
  if (has_journaled()) {
    ++epoch_;
    journaled_.clear();
    journal_->restart();
  }
  return report;
}

void disk::append(lmdb::write_txn& txn, positions& next, const Append& request, commit_report& report) {
  truncate_before_ = std::max(truncate_before_, request.truncate_before());
  const auto first = request.entries().empty() ? 0 : request.entries(0).log_index();
  if (first > next.compacted.log_index() && first <= next.last.log_index()) {
    SWARM_CHECK(first > next.applied.log_index(), "an applied entry is never replaced");
    next.last.set_term(term_at(txn, next, first - 1));
    next.last.set_log_index(first - 1);
    lmdb::cursor at{txn, log()};
    for (bool found = at.seek(lmdb::u64_key{first}); found; found = at.next())
      at.erase();
  }
  go_on(next, request);
  for (const auto& entry : request.entries()) {
    scratch_.clear();
    entry.AppendToString(&scratch_);
    write(txn, log(), lmdb::u64_key{entry.log_index()}, scratch_, true);
    report.bytes += scratch_.size();
    ++report.entries;
  }
}

void disk::save(lmdb::write_txn& txn, positions& next, const SaveState& request, row_writes& rows) {
  SWARM_CHECK(request.applied_index() >= next.applied.log_index(), "applied never goes back");
  SWARM_CHECK(request.applied_index() <= next.last.log_index(), "applied is in the log");
  SWARM_CHECK(request.applied_term() >= next.applied.term(), "terms never fall along the log");
  for (const auto& row : request.writes()) {
    SWARM_CHECK(TableWrite::Table_IsValid(row.table()), "a table of the format");
    rows[{row.table(), row.key()}] = &row;
  }
  next.applied.set_log_index(request.applied_index());
  next.applied.set_term(request.applied_term());
  if (request.has_membership())
    write(txn, key::membership, request.membership());
}

void disk::write_rows(lmdb::write_txn& txn, const row_writes& rows, commit_report& report) {
  for (const auto& [place, row] : rows) {
    const auto& table = object(generation_, static_cast<std::size_t>(row->table()));
    if (row->value().empty())
      txn.erase(table, row->key());
    else
      write(txn, table, row->key(), row->value());
    report.bytes += row->value().size();
    ++report.rows;
  }
}

void disk::compact(lmdb::write_txn& txn, positions& next, commit_report& report) {
  // Never beyond what the state tables already hold: until then the log is the only copy.
  const auto end = std::min(truncate_before_, next.applied.log_index() + 1);
  if (end <= next.compacted.log_index() + 1)
    return;
  const auto stop = std::min<std::uint64_t>(end, next.compacted.log_index() + 1 + compaction_slice);
  next.compacted.set_term(term_at(txn, next, stop - 1));
  lmdb::cursor at{txn, log()};
  for (bool found = at.first(); found && lmdb::u64_key::parse(at.key()).value_or(stop) < stop; found = at.next()) {
    at.erase();
    ++report.removed;
  }
  next.compacted.set_log_index(stop - 1);
  write(txn, key::compacted, next.compacted);
  report.compaction_left = stop < end;
}

std::uint64_t disk::term_at(const lmdb::transaction& txn, const positions& where, std::uint64_t index) const {
  if (index == where.compacted.log_index())
    return where.compacted.term();
  if (index == where.last.log_index())
    return where.last.term();
  const lmdb::u64_key key{index};
  const auto sealed = txn.get(log(), key);
  if (!sealed)
    damaged(place("log", key) + " is missing");
  std::string plain;
  open_value(log(), key, *sealed, plain);
  Entry entry;
  if (!entry.ParseFromString(plain))
    damaged(place("log", key) + " cannot be read");
  return entry.term();
}

std::uint64_t disk::count_boot(lmdb::write_txn& txn) {
  BootRecord boot;
  static_cast<void>(read(txn, key::boot, boot));
  boot.set_counter(boot.counter() + 1);
  write(txn, key::boot, boot);
  return boot.counter();
}

std::uint64_t disk::bump_boot_counter() {
  lmdb::write_txn txn{env_};
  const auto counter = count_boot(txn);
  txn.commit();
  return counter;
}

void disk::rehearse_boot() {
  lmdb::write_txn txn{env_};
  count_boot(txn);
}

void disk::mark_clean() {
  if (const auto error = crypto::replace_file(directory_ / file::clean, "stopped in order\n", 0600); !error.ok())
    throw lmdb::storage_error{0, error.message};
}

// -- reading --------------------------------------------------------------------------------------------------------

void disk::load_positions() {
  const lmdb::read_txn txn{env_};
  static_cast<void>(read(txn, key::hard, at_.hard));
  static_cast<void>(read(txn, key::applied, at_.applied));
  static_cast<void>(read(txn, key::compacted, at_.compacted));
  StateGeneration generation;
  static_cast<void>(read(txn, key::generation, generation));
  if (generation.number() >= generations)
    damaged("meta/generation names no state tables");
  generation_ = generation.number();
  if (const auto epoch = txn.get(meta(), key::journal)) {
    std::string plain;
    open_value(meta(), key::journal, *epoch, plain);
    const auto number = lmdb::u64_key::parse(plain);
    if (!number)
      damaged("meta/journal is not a number");
    epoch_ = *number;
  }
  at_.last = at_.compacted;
  lmdb::cursor end{txn, log()};
  if (!end.last())
    return;
  const auto index = lmdb::u64_key::parse(end.key());
  if (!index)
    damaged(place("log", end.key()) + " is not an index");
  std::string plain;
  open_value(log(), end.key(), end.value(), plain);
  Entry entry;
  if (!entry.ParseFromString(plain))
    damaged(place("log", end.key()) + " cannot be read");
  at_.last.set_log_index(*index);
  at_.last.set_term(entry.term());
}

std::vector<Entry> disk::read_log() const {
  const lmdb::read_txn txn{env_};
  std::vector<Entry> out;
  auto previous = at_.compacted;
  std::string plain;
  lmdb::cursor at{txn, log()};
  for (bool found = at.first(); found; found = at.next()) {
    open_value(log(), at.key(), at.value(), plain);
    Entry entry;
    if (!entry.ParseFromString(plain))
      damaged(place("log", at.key()) + " cannot be read");
    if (lmdb::u64_key::parse(at.key()) != entry.log_index() || entry.log_index() != previous.log_index() + 1)
      damaged("the log has a gap: after " + std::to_string(previous.log_index()) + " comes " + place("log", at.key()));
    if (entry.term() < previous.term() || entry.term() > at_.hard.term())
      damaged("the log's terms are wrong: " + place("log", at.key()) + " has term " + std::to_string(entry.term()));
    previous.set_log_index(entry.log_index());
    previous.set_term(entry.term());
    out.push_back(std::move(entry));
  }
  const auto applied = at_.applied.log_index();
  if (applied > previous.log_index() || applied < at_.compacted.log_index())
    damaged("applied is " + std::to_string(applied) + " but the log holds " +
            std::to_string(at_.compacted.log_index() + 1) + " to " + std::to_string(previous.log_index()));
  return out;
}

void disk::visit_rows(const std::function<void(TableWrite::Table, std::string_view, std::string_view)>& each) const {
  const lmdb::read_txn txn{env_};
  std::string plain;
  for (std::size_t i = 0; i < object_tables; ++i) {
    const auto& table = object(generation_, i);
    lmdb::cursor at{txn, table};
    for (bool found = at.first(); found; found = at.next()) {
      open_value(table, at.key(), at.value(), plain);
      each(static_cast<TableWrite::Table>(i), at.key(), plain);
    }
  }
}

Membership disk::membership() const {
  const lmdb::read_txn txn{env_};
  Membership out;
  static_cast<void>(read(txn, key::membership, out));
  return out;
}

scrub_report disk::scrub(scrub_position& from, std::uint64_t budget) const {
  scrub_report report;
  const lmdb::read_txn txn{env_};
  std::string plain;
  for (; from.table < tables_.size(); ++from.table, from.last_key.clear()) {
    const auto& table = tables_[from.table];
    lmdb::cursor at{txn, table};
    bool found = from.last_key.empty() ? at.first() : at.seek(from.last_key);
    if (found && !from.last_key.empty() && at.key() == from.last_key)
      found = at.next();
    for (; found; found = at.next()) {
      if (report.bytes >= budget)
        return report;
      const bool plain_record = from.table == meta_table && at.key() == key::format;
      const bool outside = from.table == meta_table && at.key() == key::identity;
      const bool good =
          plain_record ? at.value() == format_text
          : outside ? sealer_.with_domain({}).open(table.name, at.key(), at.value(), plain) == crypto::open_result::ok
                    : sealer_.open(table.name, at.key(), at.value(), plain) == crypto::open_result::ok;
      if (!good && ++report.damaged_count <= listed_damages)
        report.damaged.push_back(place(table.name, at.key()));
      ++report.values;
      report.bytes += at.value().size();
      from.last_key = at.key();
    }
  }
  from = {};
  report.finished = true;
  return report;
}

void disk::verify() const {
  scrub_position from;
  const auto report = scrub(from, UINT64_MAX);
  if (report.damaged_count > 0)
    damaged(std::to_string(report.damaged_count) + " of " + std::to_string(report.values) +
            " values are damaged, first " + report.damaged.front());
  static_cast<void>(read_log());
}

lmdb::usage disk::usage() const {
  const lmdb::read_txn txn{env_};
  return env_.measure(txn, tables_);
}

} // namespace swarm::storage
