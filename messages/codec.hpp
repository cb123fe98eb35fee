// Gives every generated protobuf class to CAF: found by argument-dependent lookup through the base class Message.
#pragma once

#include <google/protobuf/message.h>

#include <caf/detail/stringification_inspector.hpp>
#include <caf/error.hpp>
#include <caf/meta/load_callback.hpp>
#include <caf/meta/type_name.hpp>
#include <caf/sec.hpp>
#include <concepts>
#include <string>
#include <type_traits>

namespace google::protobuf {

/// Local messages are never serialized by CAF (links carry envelopes, see messages/envelope.proto); this exists for
/// CAF's own type checks and for printing. Printing names the type only: fields are printed by messages/render,
/// which knows which of them are secret.
template <class Inspector, std::derived_from<Message> T>
typename Inspector::result_type inspect(Inspector& f, T& x) {
  if constexpr (std::is_same_v<Inspector, caf::detail::stringification_inspector>) {
    return f(caf::meta::type_name(T::descriptor()->name().c_str()));
  } else if constexpr (Inspector::reads_state) {
    auto bytes = x.SerializeAsString();
    return f(bytes);
  } else {
    std::string bytes;
    auto load = [&]() -> caf::error {
      if (x.ParseFromString(bytes))
        return caf::none;
      return caf::make_error(caf::sec::invalid_argument, "malformed message");
    };
    return f(bytes, caf::meta::load_callback(load));
  }
}

} // namespace google::protobuf
