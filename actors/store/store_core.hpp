// The replicated state machine: applies Commands in log order, answers reads, says what changed. Pure and
// deterministic: the same Commands at the same indexes give the same state on every manager.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "messages/control.pb.h"
#include "messages/errors.hpp"
#include "messages/storage.pb.h"
#include "messages/store.pb.h"

namespace swarm::store {

/// The newest Command.machine_version that this program can apply. A Command of a later version must never be
/// proposed while a member of this version exists: applying it differently would split the state.
inline constexpr std::uint32_t machine_version = 1;

using table_writes = google::protobuf::RepeatedPtrField<TableWrite>;

/// What one Command did. A refused one has a code and text in `result`, no events and no writes.
struct applied {
  CommandResult result;
  EventBatch events;
  table_writes writes;
};

struct tables;

/// All objects of the cluster.
///
/// Checks that depend on the state live here and nowhere else, because only here they cannot race. A Command is applied
/// whole or refused whole. Within one Command the changes of objects happen first, in their order, then those of
/// tasks in theirs; rules of each action are in messages/store.proto.
///
/// Users' versions (Meta.version of services and nodes) move only when a user changes something: an update that was
/// prepared against what `inspect` showed is not refused because an update status or heartbeat came between.
class core {
public:
  core();
  ~core();
  core(core&&) noexcept;
  core& operator=(core&&) noexcept;

  /// Recovery: every row of the state tables in any order, then loaded(). A row that cannot be understood is refused,
  /// and the core must not be used then.
  [[nodiscard]] failure load(TableWrite::Table table, std::string_view key, std::string_view value);
  [[nodiscard]] failure loaded(std::uint64_t applied_index);

  /// Precondition: log_index is above applied_index(). Never fails, whatever the log holds.
  [[nodiscard]] applied apply(std::uint64_t log_index, Command command);
  /// An entry that is no Command (a leader's no-op, a membership change) or cannot be read as one.
  void skip(std::uint64_t log_index);
  [[nodiscard]] std::uint64_t applied_index() const;

  [[nodiscard]] StoreSnapshot snapshot() const;
  /// What a subscriber of this state must hear to know `next`: a snapshot that skips the entries between.
  [[nodiscard]] EventBatch changes_to(const core& next) const;
  /// The same as rows of the state tables.
  [[nodiscard]] table_writes rows() const;

  /// Lists, or finds one by key. Lookup: id, exact name, unique id prefix (behaviour §2.3); filters: §2.4.
  /// Secrets come without data, services without registry credentials.
  [[nodiscard]] failure read(const ReadObjects& request, ObjectsRead& out) const;

  /// Aborts when indexes, references and counters do not agree. Costs a pass over everything.
  void check_invariants() const;
  /// One line per object, tasks counted per service.
  [[nodiscard]] std::string dump() const;
  /// Equal for equal states, however they came about.
  [[nodiscard]] std::uint64_t digest() const;

  struct counts {
    std::size_t services = 0, tasks = 0, nodes = 0, secrets = 0, configs = 0, networks = 0, templates = 0;
    std::size_t task_bytes = 0; ///< rows, their indexes and interned texts
  };
  [[nodiscard]] counts count() const;

private:
  std::unique_ptr<tables> tables_;
};

} // namespace swarm::store
