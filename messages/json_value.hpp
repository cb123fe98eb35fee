// A small JSON tree, for documents that are looked into or spliced rather than mapped to a message.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "messages/errors.hpp"
#include "messages/json_reader.hpp"
#include "messages/json_writer.hpp"

namespace swarm {

/// Numbers keep the digits they came with and members their order, so that what is read can be written back unchanged.
class json_value {
public:
  struct number {
    std::string digits;
  };
  using member = std::pair<std::string, json_value>;

  json_value() = default;
  explicit json_value(bool value) : value_{value} {}
  explicit json_value(std::string value) : value_{std::move(value)} {}
  explicit json_value(const char* value) : value_{std::string{value}} {}
  explicit json_value(std::int64_t value) : value_{number{std::to_string(value)}} {}
  explicit json_value(number value) : value_{std::move(value)} {}
  [[nodiscard]] static json_value array() { return json_value{std::vector<json_value>{}, 0}; }
  [[nodiscard]] static json_value object() { return json_value{std::vector<member>{}, 0}; }

  /// Fails with errc::invalid_argument and Go's text; `out` is then null.
  [[nodiscard]] static failure parse(std::string_view text, json_value& out, json_limits limits = {});

  [[nodiscard]] json_kind kind() const { return static_cast<json_kind>(value_.index()); }
  [[nodiscard]] bool is_object() const { return kind() == json_kind::object; }
  [[nodiscard]] bool is_array() const { return kind() == json_kind::array; }
  [[nodiscard]] bool is_null() const { return kind() == json_kind::null; }

  /// The last member of that name (exact spelling first, else any case, as Go); nullptr when there is none or when
  /// this is no object.
  [[nodiscard]] const json_value* find(std::string_view key) const;
  /// Empty/false/nullopt when the value is of another kind or does not fit.
  [[nodiscard]] std::string_view as_string() const;
  [[nodiscard]] bool as_bool() const;
  [[nodiscard]] std::optional<std::int64_t> as_integer() const;
  [[nodiscard]] const std::vector<json_value>& items() const;
  [[nodiscard]] const std::vector<member>& members() const;

  /// Replaces or adds a member and returns *this; a value that is no object becomes one.
  json_value& set(std::string_view key, json_value value);
  /// Appends; a value that is no array becomes one.
  void push_back(json_value value);
  /// Removes every member of exactly this name.
  void erase(std::string_view key);

  void write(json_writer& out) const;
  [[nodiscard]] std::string dump() const;

private:
  json_value(std::vector<json_value> items, int) : value_{std::move(items)} {}
  json_value(std::vector<member> members, int) : value_{std::move(members)} {}
  static json_value read(json_reader& in);

  // In the order of json_kind.
  std::variant<std::monostate, bool, number, std::string, std::vector<json_value>, std::vector<member>> value_;
};

/// The `filters` query parameter in both encodings, {"name":{"web":true}} and {"name":["web"]}; "" means no filter.
/// Values come out sorted and once. A value mapped to false is not given. Anything else: errc::invalid_argument.
[[nodiscard]] failure parse_filters(std::string_view text, std::map<std::string, std::vector<std::string>>& out);

} // namespace swarm
