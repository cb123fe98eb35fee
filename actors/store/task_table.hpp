// All tasks in about 200 bytes each, with indexes by id, by service and by node.
#pragma once

#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "actors/store/text_pool.hpp"
#include "messages/objects.pb.h"
#include "runtime/ids.hpp"

namespace swarm::store {

using row_index = std::uint32_t;
inline constexpr row_index no_row = ~row_index{0};

/// A task as it is kept. What most tasks do not have (networks, generic resources, a container, ports, a job iteration)
/// is in `rare`: a Task that holds nothing else, serialized, after its length in 4 bytes.
struct task_row {
  id128 id; // none: the row is free
  std::int64_t created_at = 0;
  std::int64_t updated_at = 0;
  std::int64_t status_at = 0;
  std::uint64_t version = 0;
  std::uint64_t spec_version = 0;
  std::uint64_t slot = 0;
  std::unique_ptr<char[]> rare;
  symbol service = 0;
  symbol node = 0;
  symbol message = 0;
  symbol err = 0;
  row_index service_next = no_row;
  row_index service_previous = no_row;
  row_index node_next = no_row;
  row_index node_previous = no_row;
  std::uint16_t state = 0;
  std::uint16_t desired_state = 0;
  bool rare_beyond_status = false; ///< `rare` holds more than what came with the status
};

/// Rows in slabs that never move, linked per service and per node in the order in which they came.
class task_table {
public:
  task_table();
  task_table(const task_table&) = delete;
  task_table& operator=(const task_table&) = delete;

  /// Precondition: the id is valid and not in the table.
  row_index insert(const Task& task);
  void erase(row_index row);
  [[nodiscard]] row_index find(const id128& id) const;
  [[nodiscard]] const task_row& at(row_index row) const { return slabs_[row / slab_rows][row % slab_rows]; }

  /// Replaces the status when its state is not lower; false when nothing changed.
  bool set_status(row_index row, const TaskStatus& status);
  /// False when it would not rise.
  bool raise_desired(row_index row, TaskState desired);
  /// Precondition: the task has no node.
  void assign(row_index row, std::string_view node_id, const google::protobuf::RepeatedPtrField<GenericResource>& resources);
  /// False when they are what it has.
  bool set_networks(row_index row, const google::protobuf::RepeatedPtrField<TaskNetwork>& networks);
  void touch(row_index row, std::uint64_t version, std::int64_t wall);

  /// Precondition: `out` is empty.
  void to_proto(row_index row, Task& out) const;
  /// The same for the row whose id and status, exactly as the row has them, `out` holds already: saves most of the work.
  void complete_proto(row_index row, Task& out) const;
  [[nodiscard]] const std::string& service_of(row_index row) const { return services_.text(at(row).service); }
  [[nodiscard]] const std::string& node_of(row_index row) const { return nodes_.text(at(row).node); }

  /// Tasks of one service or node: row = first_of_…(id); row != no_row; row = at(row).…_next.
  [[nodiscard]] row_index first_of_service(std::string_view id) const;
  [[nodiscard]] row_index first_of_node(std::string_view id) const;
  /// How many tasks of the service are of that spec version.
  [[nodiscard]] std::size_t count_of_version(std::string_view service_id, std::uint64_t spec_version) const;
  /// Ids of all services that have tasks, sorted; their own objects may be gone.
  [[nodiscard]] std::vector<std::string_view> services_with_tasks() const;

  [[nodiscard]] std::size_t size() const { return index_.size(); }
  /// Rows below it may be free.
  [[nodiscard]] row_index limit() const { return limit_; }
  /// All rows, by task id.
  [[nodiscard]] std::vector<row_index> sorted() const;
  [[nodiscard]] std::size_t bytes() const;
  void check_invariants() const;

private:
  static constexpr std::size_t slab_rows = 1024;
  struct version_count {
    std::uint64_t spec_version = 0;
    std::uint32_t tasks = 0;
  };
  struct group { // of one service or node, by its symbol
    row_index head = no_row;
    row_index tail = no_row;
    std::vector<version_count> versions; // services only; few at a time
  };
  struct by_id {
    using is_transparent = void;
    const task_table* table;
    std::size_t operator()(const id128& id) const { return id_hash{}(id); }
    std::size_t operator()(row_index row) const { return id_hash{}(table->at(row).id); }
    bool operator()(row_index a, row_index b) const { return a == b; }
    bool operator()(row_index a, const id128& b) const { return table->at(a).id == b; }
    bool operator()(const id128& a, row_index b) const { return table->at(b).id == a; }
  };

  void columns_to_proto(const task_row& row, Task& out) const;
  task_row& row_at(row_index row) { return slabs_[row / slab_rows][row % slab_rows]; }
  row_index take_row();
  void link_service(row_index row);
  void unlink_service(row_index row);
  void link_node(row_index row);
  void unlink_node(row_index row);
  static group& group_of(std::vector<group>& groups, symbol s);

  std::vector<std::unique_ptr<task_row[]>> slabs_;
  std::vector<row_index> free_;
  row_index limit_ = 0;
  text_pool services_;
  text_pool nodes_;
  text_pool texts_;
  std::vector<group> by_service_;
  std::vector<group> by_node_;
  boost::unordered_flat_set<row_index, by_id, by_id> index_;
};

} // namespace swarm::store
