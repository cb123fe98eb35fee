// Everything STORE holds, and how it is indexed. Only the files of this folder see it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "actors/store/port_book.hpp"
#include "actors/store/task_table.hpp"
#include "messages/objects.pb.h"
#include "runtime/text.hpp"

namespace swarm::store {

/// Objects of one kind by id, in the order of ids. An object is never changed, only replaced.
template <class T>
class object_table {
public:
  using pointer = std::shared_ptr<const T>;
  using map = std::map<std::string, pointer, std::less<>>;

  [[nodiscard]] pointer find(std::string_view id) const {
    const auto it = by_id_.find(id);
    return it == by_id_.end() ? nullptr : it->second;
  }
  /// Puts, replaces, or (null) removes; returns what was there.
  pointer exchange(const std::string& id, pointer object) {
    const auto it = by_id_.lower_bound(id);
    if (it == by_id_.end() || it->first != id) {
      if (object != nullptr)
        by_id_.emplace_hint(it, id, std::move(object));
      return nullptr;
    }
    if (object != nullptr)
      return std::exchange(it->second, std::move(object));
    auto old = std::move(it->second);
    by_id_.erase(it);
    return old;
  }
  [[nodiscard]] const map& all() const { return by_id_; }
  [[nodiscard]] std::size_t size() const { return by_id_.size(); }

private:
  map by_id_;
};

/// The same with a name that only one of them has, whatever its capital letters (as in Swarm).
template <class T>
class named_table : public object_table<T> {
public:
  using typename object_table<T>::pointer;

  pointer exchange(const std::string& id, pointer object) {
    auto fresh = object;
    auto old = object_table<T>::exchange(id, std::move(object));
    if (old && (!fresh || fresh->spec().name() != old->spec().name()))
      by_name_.erase(text::to_lower(old->spec().name()));
    if (fresh)
      by_name_.insert_or_assign(text::to_lower(fresh->spec().name()), id);
    return old;
  }
  /// With exactly this name.
  [[nodiscard]] pointer find_by_name(std::string_view name) const {
    const auto it = by_name_.find(text::to_lower(name));
    const auto object = it == by_name_.end() ? nullptr : this->find(it->second);
    return object && object->spec().name() == name ? object : nullptr;
  }
  [[nodiscard]] bool is_taken(std::string_view name) const { return by_name_.contains(text::to_lower(name)); }
  [[nodiscard]] std::size_t names() const { return by_name_.size(); }

private:
  std::unordered_map<std::string, std::string> by_name_; // in small letters
};

/// Service id and spec version.
struct template_key {
  std::string service_id;
  std::uint64_t spec_version = 0;
  auto operator<=>(const template_key&) const = default;
};

struct tables {
  named_table<Service> services;
  object_table<Node> nodes;
  named_table<Secret> secrets;
  named_table<Config> configs;
  named_table<Network> networks;
  std::shared_ptr<const Cluster> cluster;
  /// What tasks are made of: a service as it was with that version, of which only template_of() counts. Kept while the service (now or one update ago) or any task names it; outlives the service.
  std::map<template_key, std::shared_ptr<const Service>> templates;
  task_table tasks;
  port_book ports;
  std::uint64_t applied_index = 0;
};

[[nodiscard]] inline TaskTemplate template_of(const Service& service) {
  TaskTemplate out;
  out.set_service_id(service.id());
  out.set_spec_version(service.spec_version());
  *out.mutable_spec() = service.spec().task_template();
  *out.mutable_endpoint_spec() = service.spec().endpoint_spec();
  return out;
}

/// Whether the service itself still needs that version of its template.
[[nodiscard]] inline bool names_version(const Service* service, std::uint64_t spec_version) {
  return service != nullptr && (service->spec_version() == spec_version
                                || (service->has_previous_spec() && service->previous_spec_version() == spec_version));
}

/// Bytes that are equal when the messages are (maps sorted).
[[nodiscard]] std::string stable_bytes(const google::protobuf::Message& message);

} // namespace swarm::store
