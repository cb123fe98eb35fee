// Rows, their links, and the way to and from Task messages.
#include "actors/store/task_table.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "runtime/check.hpp"

namespace swarm::store {

namespace {

std::string_view rare_bytes(const task_row& row) {
  if (!row.rare)
    return {};
  std::uint32_t size = 0;
  std::memcpy(&size, row.rare.get(), sizeof size);
  return {row.rare.get() + sizeof size, size};
}

std::unique_ptr<char[]> pack(std::string_view bytes) {
  if (bytes.empty())
    return nullptr;
  const auto size = static_cast<std::uint32_t>(bytes.size());
  auto out = std::make_unique_for_overwrite<char[]>(sizeof size + size);
  std::memcpy(out.get(), &size, sizeof size);
  std::memcpy(out.get() + sizeof size, bytes.data(), size);
  return out;
}

bool beyond_status(const Task& task) {
  return task.networks_size() > 0 || task.assigned_generic_resources_size() > 0 || task.has_job_iteration() || !task.held().empty();
}

/// A Task that holds only what task_row has no column for. `kept` gives what does not come with a status.
std::string rare_of(const Task& kept, const TaskStatus& status) {
  const bool has_status = status.has_container_status() || status.port_status().ports_size() > 0;
  if (!has_status && !beyond_status(kept))
    return {};
  Task rare;
  *rare.mutable_networks() = kept.networks();
  *rare.mutable_assigned_generic_resources() = kept.assigned_generic_resources();
  if (kept.has_job_iteration())
    rare.set_job_iteration(kept.job_iteration());
  rare.set_held(kept.held());
  if (status.has_container_status())
    *rare.mutable_status()->mutable_container_status() = status.container_status();
  if (status.port_status().ports_size() > 0)
    *rare.mutable_status()->mutable_port_status() = status.port_status();
  return rare.SerializeAsString();
}

Task unpack(const task_row& row) {
  Task rare;
  const auto bytes = rare_bytes(row);
  SWARM_CHECK(rare.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  return rare;
}

void replace(text_pool& pool, symbol& target, std::string_view text) {
  if (pool.text(target) == text)
    return;
  const auto fresh = pool.acquire(text); // before the release: the text may be the same
  pool.release(target);
  target = fresh;
}

} // namespace

task_table::task_table() : index_(0, by_id{this}, by_id{this}) {}

row_index task_table::take_row() {
  if (!free_.empty()) {
    const auto row = free_.back();
    free_.pop_back();
    return row;
  }
  SWARM_CHECK(limit_ != no_row);
  if (limit_ / slab_rows == slabs_.size())
    slabs_.push_back(std::make_unique<task_row[]>(slab_rows));
  return limit_++;
}

row_index task_table::insert(const Task& task) {
  const auto index = take_row();
  auto& row = row_at(index);
  row.id = id128::parse(task.id());
  SWARM_CHECK(row.id);
  row.created_at = task.meta().created_at();
  row.updated_at = task.meta().updated_at();
  row.version = task.meta().version().index();
  row.spec_version = task.spec_version();
  row.slot = task.slot();
  row.status_at = task.status().timestamp();
  row.state = static_cast<std::uint16_t>(task.status().state());
  row.desired_state = static_cast<std::uint16_t>(task.desired_state());
  row.service = services_.acquire(task.service_id());
  row.node = nodes_.acquire(task.node_id());
  row.message = texts_.acquire(task.status().message());
  row.err = texts_.acquire(task.status().err());
  row.rare = pack(rare_of(task, task.status()));
  row.rare_beyond_status = beyond_status(task);
  link_service(index);
  link_node(index);
  SWARM_CHECK(index_.insert(index).second);
  return index;
}

void task_table::erase(row_index index) {
  auto& row = row_at(index);
  index_.erase(index);
  unlink_service(index);
  unlink_node(index);
  services_.release(row.service);
  nodes_.release(row.node);
  texts_.release(row.message);
  texts_.release(row.err);
  row = {};
  free_.push_back(index);
}

row_index task_table::find(const id128& id) const {
  const auto it = index_.find(id);
  return it == index_.end() ? no_row : *it;
}

bool task_table::set_status(row_index index, const TaskStatus& status) {
  auto& row = row_at(index);
  const auto state = static_cast<std::uint16_t>(status.state());
  if (state < row.state)
    return false;
  std::string rare;
  if (row.rare || status.has_container_status() || status.has_port_status())
    rare = rare_of(row.rare_beyond_status ? unpack(row) : Task{}, status);
  const bool rare_differs = rare != rare_bytes(row);
  if (state == row.state && status.timestamp() == row.status_at && status.message() == texts_.text(row.message)
      && status.err() == texts_.text(row.err) && !rare_differs)
    return false;
  row.state = state;
  row.status_at = status.timestamp();
  replace(texts_, row.message, status.message());
  replace(texts_, row.err, status.err());
  if (rare_differs)
    row.rare = pack(rare);
  return true;
}

bool task_table::raise_desired(row_index index, TaskState desired) {
  auto& row = row_at(index);
  if (static_cast<std::uint16_t>(desired) <= row.desired_state)
    return false;
  row.desired_state = static_cast<std::uint16_t>(desired);
  if (!row.rare_beyond_status || desired <= TASK_STATE_READY)
    return true;
  if (auto kept = unpack(row); !kept.held().empty()) {
    kept.clear_held();
    row.rare = pack(rare_of(kept, TaskStatus{kept.status()}));
    row.rare_beyond_status = beyond_status(kept);
  }
  return true;
}

void task_table::assign(row_index index, std::string_view node_id,
                        const google::protobuf::RepeatedPtrField<GenericResource>& resources) {
  auto& row = row_at(index);
  SWARM_CHECK(row.node == 0);
  row.node = nodes_.acquire(node_id);
  link_node(index);
  if (resources.empty())
    return;
  auto kept = unpack(row);
  *kept.mutable_assigned_generic_resources() = resources;
  row.rare = pack(rare_of(kept, TaskStatus{kept.status()}));
  row.rare_beyond_status = true;
}

bool task_table::set_networks(row_index index, const google::protobuf::RepeatedPtrField<TaskNetwork>& networks) {
  auto& row = row_at(index);
  auto kept = unpack(row);
  *kept.mutable_networks() = networks;
  auto rare = rare_of(kept, TaskStatus{kept.status()});
  if (rare == rare_bytes(row))
    return false;
  row.rare = pack(rare);
  row.rare_beyond_status = beyond_status(kept);
  return true;
}

void task_table::touch(row_index index, std::uint64_t version, std::int64_t wall) {
  auto& row = row_at(index);
  row.version = version;
  row.updated_at = wall;
}

void task_table::to_proto(row_index index, Task& out) const {
  const auto& row = at(index);
  const auto rare = rare_bytes(row);
  if (!rare.empty())
    SWARM_CHECK(out.ParseFromArray(rare.data(), static_cast<int>(rare.size())));
  out.set_id(row.id.str());
  auto& status = *out.mutable_status();
  status.set_timestamp(row.status_at);
  status.set_state(static_cast<TaskState>(row.state));
  status.set_message(texts_.text(row.message));
  status.set_err(texts_.text(row.err));
  columns_to_proto(row, out);
}

void task_table::complete_proto(row_index index, Task& out) const {
  const auto& row = at(index);
  if (row.rare_beyond_status) {
    auto rare = unpack(row);
    out.mutable_networks()->Swap(rare.mutable_networks());
    out.mutable_assigned_generic_resources()->Swap(rare.mutable_assigned_generic_resources());
    if (rare.has_job_iteration())
      out.set_job_iteration(rare.job_iteration());
    out.set_held(rare.held());
  }
  columns_to_proto(row, out);
}

void task_table::columns_to_proto(const task_row& row, Task& out) const {
  auto& meta = *out.mutable_meta();
  meta.mutable_version()->set_index(row.version);
  meta.set_created_at(row.created_at);
  meta.set_updated_at(row.updated_at);
  out.set_service_id(services_.text(row.service));
  out.set_spec_version(row.spec_version);
  out.set_slot(row.slot);
  out.set_node_id(nodes_.text(row.node));
  out.set_desired_state(static_cast<TaskState>(row.desired_state));
}

// -- groups ----------------------------------------------------------------------------------------------------------------

task_table::group& task_table::group_of(std::vector<group>& groups, symbol s) {
  if (groups.size() <= s)
    groups.resize(s + 1);
  return groups[s];
}

void task_table::link_service(row_index index) {
  auto& row = row_at(index);
  auto& g = group_of(by_service_, row.service);
  row.service_previous = g.tail;
  row.service_next = no_row;
  (g.tail == no_row ? g.head : row_at(g.tail).service_next) = index;
  g.tail = index;
  const auto it = std::find_if(g.versions.begin(), g.versions.end(),
                               [&](const version_count& v) { return v.spec_version == row.spec_version; });
  if (it == g.versions.end())
    g.versions.push_back({row.spec_version, 1});
  else
    ++it->tasks;
}

void task_table::unlink_service(row_index index) {
  auto& row = row_at(index);
  auto& g = by_service_[row.service];
  (row.service_previous == no_row ? g.head : row_at(row.service_previous).service_next) = row.service_next;
  (row.service_next == no_row ? g.tail : row_at(row.service_next).service_previous) = row.service_previous;
  const auto it = std::find_if(g.versions.begin(), g.versions.end(),
                               [&](const version_count& v) { return v.spec_version == row.spec_version; });
  SWARM_CHECK(it != g.versions.end() && it->tasks > 0);
  if (--it->tasks == 0)
    g.versions.erase(it);
}

void task_table::link_node(row_index index) {
  auto& row = row_at(index);
  if (row.node == 0)
    return;
  auto& g = group_of(by_node_, row.node);
  row.node_previous = g.tail;
  row.node_next = no_row;
  (g.tail == no_row ? g.head : row_at(g.tail).node_next) = index;
  g.tail = index;
}

void task_table::unlink_node(row_index index) {
  auto& row = row_at(index);
  if (row.node == 0)
    return;
  auto& g = by_node_[row.node];
  (row.node_previous == no_row ? g.head : row_at(row.node_previous).node_next) = row.node_next;
  (row.node_next == no_row ? g.tail : row_at(row.node_next).node_previous) = row.node_previous;
}

row_index task_table::first_of_service(std::string_view id) const {
  const auto s = services_.find(id);
  return s == 0 ? no_row : by_service_[s].head;
}

row_index task_table::first_of_node(std::string_view id) const {
  const auto s = nodes_.find(id);
  return s == 0 ? no_row : by_node_[s].head;
}

std::size_t task_table::count_of_version(std::string_view service_id, std::uint64_t spec_version) const {
  const auto s = services_.find(service_id);
  if (s == 0)
    return 0;
  for (const auto& v : by_service_[s].versions)
    if (v.spec_version == spec_version)
      return v.tasks;
  return 0;
}

std::vector<std::string_view> task_table::services_with_tasks() const {
  std::vector<std::string_view> out;
  for (symbol s = 1; s < by_service_.size(); ++s)
    if (by_service_[s].head != no_row)
      out.push_back(services_.text(s));
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<row_index> task_table::sorted() const {
  std::vector<row_index> out;
  out.reserve(size());
  for (row_index row = 0; row < limit_; ++row)
    if (at(row).id)
      out.push_back(row);
  std::sort(out.begin(), out.end(), [this](row_index a, row_index b) { return at(a).id < at(b).id; });
  return out;
}

std::size_t task_table::bytes() const {
  std::size_t sum = slabs_.size() * slab_rows * sizeof(task_row) + free_.capacity() * sizeof(row_index)
                    + index_.bucket_count() * (sizeof(row_index) + 1) + services_.bytes() + nodes_.bytes() + texts_.bytes()
                    + (by_service_.capacity() + by_node_.capacity()) * sizeof(group);
  for (row_index row = 0; row < limit_; ++row)
    if (at(row).rare)
      sum += (rare_bytes(at(row)).size() + 4 + 8 + 15) / 16 * 16; // as malloc rounds it
  return sum;
}

void task_table::check_invariants() const {
  std::size_t live = 0;
  std::size_t on_nodes = 0;
  for (row_index row = 0; row < limit_; ++row) {
    if (!at(row).id)
      continue;
    ++live;
    on_nodes += at(row).node != 0 ? 1 : 0;
    SWARM_CHECK(find(at(row).id) == row);
    SWARM_CHECK(at(row).service != 0);
  }
  SWARM_CHECK(live == index_.size());
  SWARM_CHECK(live + free_.size() == limit_);
  const auto walk = [this](const std::vector<group>& groups, symbol task_row::*key, row_index task_row::*next,
                           row_index task_row::*previous) {
    std::size_t seen = 0;
    for (symbol s = 0; s < groups.size(); ++s) {
      row_index last = no_row;
      for (auto row = groups[s].head; row != no_row; row = at(row).*next) {
        SWARM_CHECK(at(row).*key == s && at(row).*previous == last);
        last = row;
        ++seen;
      }
      SWARM_CHECK(groups[s].tail == last);
    }
    return seen;
  };
  SWARM_CHECK(walk(by_service_, &task_row::service, &task_row::service_next, &task_row::service_previous) == live);
  SWARM_CHECK(walk(by_node_, &task_row::node, &task_row::node_next, &task_row::node_previous) == on_nodes);
  for (const auto& g : by_service_) {
    std::size_t counted = 0;
    std::size_t linked = 0;
    for (const auto& v : g.versions)
      counted += v.tasks;
    for (auto row = g.head; row != no_row; row = at(row).service_next)
      ++linked;
    SWARM_CHECK(counted == linked);
  }
}

} // namespace swarm::store
