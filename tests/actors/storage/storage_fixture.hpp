// What the storage tests share: small storages, entries and requests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "actors/storage/open_storage.hpp"
#include "tests/support/temp_dir.hpp"

namespace swarm::storage {

inline open_options small_options() {
  open_options opts;
  opts.cluster_id = "cluster";
  opts.node_id = "node";
  opts.raft_id = 7;
  opts.map_bytes = 256u << 20;
  opts.ballast_bytes = 0;
  return opts;
}

inline Entry entry(std::uint64_t index, std::uint64_t term, std::string data = "data") {
  Entry out;
  out.set_log_index(index);
  out.set_term(term);
  out.set_data(std::move(data));
  return out;
}

/// Entries first..last of one term, with the hard state of that term.
inline Append append(std::uint64_t first, std::uint64_t last, std::uint64_t term, const std::string& data = "data") {
  Append out;
  for (auto i = first; i <= last; ++i)
    *out.add_entries() = entry(i, term, data + std::to_string(i));
  out.mutable_hard_state()->set_term(term);
  return out;
}

inline SaveState save(std::uint64_t applied, std::uint64_t term,
                      const std::vector<std::pair<std::string, std::string>>& tasks) {
  SaveState out;
  out.set_applied_index(applied);
  out.set_applied_term(term);
  for (const auto& [key, value] : tasks) {
    auto& row = *out.add_writes();
    row.set_table(TableWrite::TABLE_TASK);
    row.set_key(key);
    row.set_value(value);
  }
  return out;
}

inline commit_report commit(disk& storage, const Append& request) {
  const operation one[] = {&request};
  return storage.commit(one);
}
inline commit_report commit(disk& storage, const SaveState& request) {
  const operation one[] = {&request};
  return storage.commit(one);
}

/// All task rows as "key=value" texts.
inline std::vector<std::string> rows(const disk& storage) {
  std::vector<std::string> out;
  storage.visit_rows([&](TableWrite::Table table, std::string_view key, std::string_view value) {
    out.push_back((table == TableWrite::TABLE_TASK ? "" : TableWrite::Table_Name(table) + "/") + std::string{key} +
                  '=' + std::string{value});
  });
  return out;
}

/// "index@term data" of every entry.
inline std::vector<std::string> log_texts(const std::vector<Entry>& entries) {
  std::vector<std::string> out;
  for (const auto& each : entries)
    out.push_back(std::to_string(each.log_index()) + '@' + std::to_string(each.term()) + ' ' + each.data());
  return out;
}

} // namespace swarm::storage
