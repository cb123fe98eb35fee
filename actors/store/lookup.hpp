// Lookups that reads of all kinds share.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "actors/store/filters.hpp"
#include "actors/store/tables.hpp"
#include "messages/errors.hpp"

namespace swarm::store {

[[nodiscard]] inline failure not_found(std::string_view kind, std::string_view key) {
  return {errc::not_found, std::string{kind} + " " + std::string{key} + " not found"};
}
[[nodiscard]] inline failure ambiguous(std::string_view kind, std::string_view key, std::size_t matches) {
  return {errc::invalid_argument,
          std::string{kind} + " " + std::string{key} + " is ambiguous (" + std::to_string(matches) + " matches found)"};
}

/// Id, then exact name, then unique prefix of ids.
template <class T, class Name>
[[nodiscard]] failure find_one(const object_table<T>& table, std::string_view key, std::string_view kind, Name name,
                 std::shared_ptr<const T>& out) {
  if ((out = table.find(key)) || key.empty())
    return out ? failure{} : not_found(kind, key);
  std::size_t matches = 0;
  for (const auto& [id, object] : table.all())
    if (name(*object) == key) {
      out = object;
      ++matches;
    }
  if (matches == 0)
    for (auto it = table.all().lower_bound(key); it != table.all().end() && it->first.starts_with(key); ++it) {
      out = it->second;
      ++matches;
    }
  if (matches > 1)
    return ambiguous(kind, key, matches);
  return matches == 1 ? failure{} : not_found(kind, key);
}

[[nodiscard]] inline const std::string& hostname(const Node& node) { return node.description().hostname(); }

template <class T>
[[nodiscard]] failure find_named(const named_table<T>& table, std::string_view key, std::string_view kind, std::shared_ptr<const T>& out) {
  if ((out = table.find(key)) || (out = table.find_by_name(key)))
    return {};
  return find_one(table, key, kind, [](const T&) { return std::string_view{}; }, out);
}

[[nodiscard]] inline std::string_view runtime_of(const TaskSpec& spec) {
  return spec.runtime().empty() ? std::string_view{"container"} : std::string_view{spec.runtime()};
}

[[nodiscard]] inline bool runtime_matches(const filter_set& filters, const TaskSpec& spec) {
  return filters.values("runtime") == nullptr ? runtime_of(spec) == "container" : filters.exact("runtime", runtime_of(spec));
}


/// Part of read_objects().
[[nodiscard]] failure read_tasks(const tables& state, const ReadObjects& request, ObjectsRead& out);

} // namespace swarm::store
