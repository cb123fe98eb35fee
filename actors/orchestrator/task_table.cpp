// Rows in a pool, one linked list per slot.
#include "actors/orchestrator/task_table.hpp"

#include <tuple>

#include "runtime/check.hpp"

namespace swarm::orchestrator {

task_row& task_table::insert(const slot_key& slot, const task_row& row) {
  SWARM_CHECK(rows_.size() < no_row);
  auto index = static_cast<row_index>(rows_.size());
  if (free_.empty()) {
    rows_.push_back(row);
  } else {
    index = free_.back();
    free_.pop_back();
    rows_[index] = row;
  }
  auto* link = &slots_[slot].newest;
  const auto is_newer = [](const task_row& a, const task_row& b) {
    return std::tie(a.created_at, a.id) > std::tie(b.created_at, b.id);
  };
  while (*link != no_row && is_newer(rows_[*link], row))
    link = &rows_[*link].older;
  rows_[index].older = *link;
  *link = index;
  ++size_;
  return rows_[index];
}

task_row* task_table::find(const slot_key& slot, const task_id& id) {
  const auto it = slots_.find(slot);
  if (it == slots_.end())
    return nullptr;
  for (auto i = it->second.newest; i != no_row; i = rows_[i].older)
    if (rows_[i].id == id)
      return &rows_[i];
  return nullptr;
}

bool task_table::erase(const slot_key& slot, const task_id& id) {
  const auto it = slots_.find(slot);
  if (it == slots_.end())
    return false;
  for (auto* link = &it->second.newest; *link != no_row; link = &rows_[*link].older) {
    const auto index = *link;
    if (rows_[index].id != id)
      continue;
    *link = rows_[index].older;
    rows_[index] = task_row{};
    free_.push_back(index);
    --size_;
    return true;
  }
  return false;
}

void task_table::drop_if_empty(const slot_key& slot) {
  if (const auto it = slots_.find(slot); it != slots_.end() && it->second.newest == no_row)
    slots_.erase(it);
}

slot_state* task_table::slot(const slot_key& key) {
  const auto it = slots_.find(key);
  return it == slots_.end() ? nullptr : &it->second;
}

std::vector<task_row*> task_table::rows(const slot_state& slot) {
  std::vector<task_row*> out;
  for (auto i = slot.newest; i != no_row; i = rows_[i].older)
    out.push_back(&rows_[i]);
  return out;
}

} // namespace swarm::orchestrator
