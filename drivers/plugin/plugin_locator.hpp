// Where a plugin of this host listens: the names and folders that Docker looks at, and what stands in their files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "messages/errors.hpp"

namespace swarm::plugin {

/// Of a plugin: one of the two.
struct address {
  std::string socket_path;
  std::string tcp_host;
  std::uint16_t tcp_port = 0;
  bool operator==(const address&) const = default;
};

/// May a file be called so? No slash, no leading dot, nothing that is not printed.
[[nodiscard]] bool is_file_name(std::string_view name);
/// May the engine be asked for it? "vault", "example/vault:1.0".
[[nodiscard]] bool is_reference(std::string_view name);

struct candidate {
  enum class kind : std::uint8_t { socket, spec, json };
  kind what = kind::socket;
  std::string path;
  bool operator==(const candidate&) const = default;
};

/// In Docker's order: the first that exists is the plugin. Empty when no file may be called so.
[[nodiscard]] std::vector<candidate> candidates(const std::string& name, const std::string& socket_dir,
                                                const std::vector<std::string>& spec_dirs);

/// What a NAME.spec says: one address. Fails with errc::failed_precondition.
[[nodiscard]] failure read_spec(std::string_view text, address& out);
/// What a NAME.json says. Addresses with TLS are refused.
[[nodiscard]] failure read_json_spec(std::string_view text, address& out);

/// The engine's answer about a plugin that it runs: not_found when it does not know it.
[[nodiscard]] failure read_managed(int status, std::string_view body, const std::string& socket_dir, address& out);

} // namespace swarm::plugin
