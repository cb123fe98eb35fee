// The filters of one read (behaviour §2.4): values of a key are alternatives, keys must all hold.
#pragma once

#include <string>
#include <string_view>

#include "messages/control.pb.h"

namespace swarm::store {

class filter_set {
public:
  explicit filter_set(const ReadObjects& request) : request_{request} {}

  /// The values of a key; nullptr when it is not given.
  [[nodiscard]] const google::protobuf::RepeatedPtrField<std::string>* values(std::string_view key) const {
    for (const auto& filter : request_.filters())
      if (filter.key() == key && filter.values_size() > 0)
        return &filter.values();
    return nullptr;
  }
  [[nodiscard]] bool prefix(std::string_view key, std::string_view text) const {
    return any(key, [&](const std::string& value) { return text.starts_with(value); });
  }
  [[nodiscard]] bool exact(std::string_view key, std::string_view text) const {
    return any(key, [&](const std::string& value) { return text == value; });
  }
  [[nodiscard]] bool part(std::string_view key, std::string_view text) const {
    return any(key, [&](const std::string& value) { return text.find(value) != std::string_view::npos; });
  }
  /// Unlike others, all values must hold, as SwarmKit has it: "k" or "k=v".
  [[nodiscard]] bool labels(std::string_view key, const google::protobuf::Map<std::string, std::string>& labels) const {
    const auto* wanted = values(key);
    if (wanted == nullptr)
      return true;
    for (const auto& value : *wanted) {
      const auto equals = value.find('=');
      const auto it = labels.find(value.substr(0, equals));
      if (it == labels.end())
        return false;
      if (equals != std::string::npos && equals + 1 < value.size() && it->second != value.substr(equals + 1))
        return false;
    }
    return true;
  }
  /// "true" or "1" among the values; false when the key is not given.
  [[nodiscard]] bool flag(std::string_view key) const {
    const auto* given = values(key);
    return given != nullptr && any(key, [](const std::string& v) { return v == "true" || v == "1"; });
  }

private:
  template <class Test>
  [[nodiscard]] bool any(std::string_view key, Test test) const {
    const auto* wanted = values(key);
    if (wanted == nullptr)
      return true;
    for (const auto& value : *wanted)
      if (test(value))
        return true;
    return false;
  }
  const ReadObjects& request_;
};

} // namespace swarm::store
