// Names, folders and files of plugins, see the header.
#include "drivers/plugin/plugin_locator.hpp"

#include <algorithm>
#include <charconv>

#include "messages/json_value.hpp"
#include "runtime/text.hpp"

namespace swarm::plugin {

namespace {

constexpr std::size_t name_bytes_max = 255;
constexpr std::string_view capability = "secretprovider";

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

failure bad_address(const std::string& text) {
  return {errc::failed_precondition, "plugin address " + text::quoted(text.substr(0, name_bytes_max)) +
                                         " is neither unix:///PATH nor tcp://HOST:PORT"};
}

failure read_address(const std::string& text, address& out) {
  constexpr std::string_view unix_scheme = "unix://";
  constexpr std::string_view tcp_scheme = "tcp://";
  if (text.starts_with(unix_scheme)) {
    out.socket_path = text.substr(unix_scheme.size());
    return out.socket_path.starts_with('/') ? failure{} : bad_address(text);
  }
  if (!text.starts_with(tcp_scheme))
    return bad_address(text);
  auto rest = text.substr(tcp_scheme.size());
  while (rest.ends_with('/'))
    rest.pop_back();
  const auto colon = rest.rfind(':');
  if (colon == std::string::npos)
    return bad_address(text);
  const auto* end = rest.data() + rest.size();
  const auto [stop, ec] = std::from_chars(rest.data() + colon + 1, end, out.tcp_port);
  out.tcp_host = rest.substr(0, colon);
  if (out.tcp_host.starts_with('[') && out.tcp_host.ends_with(']'))
    out.tcp_host = out.tcp_host.substr(1, out.tcp_host.size() - 2);
  const auto plain = [](char c) {
    return is_letter_or_digit(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '%';
  };
  const bool good = ec == std::errc{} && stop == end && out.tcp_port != 0 && !out.tcp_host.empty() &&
                    std::all_of(out.tcp_host.begin(), out.tcp_host.end(), plain);
  return good ? failure{} : bad_address(text);
}

// "docker.secretprovider/1.0", or the same in three members, as some engines have it.
bool is_secret_provider(const json_value& type) {
  if (const auto* member = type.find("Capability"))
    return member->as_string() == capability;
  const auto text = type.as_string();
  const auto dot = text.find('.');
  return dot != std::string_view::npos && text.substr(dot + 1).starts_with(capability) &&
         text.substr(dot + 1 + capability.size()).starts_with('/');
}

std::string_view text_at(const json_value* value) { return value == nullptr ? std::string_view{} : value->as_string(); }

} // namespace

bool is_file_name(std::string_view name) {
  const auto fine = [](char c) {
    return is_letter_or_digit(c) || std::string_view{"._-:@+"}.find(c) != std::string_view::npos;
  };
  return !name.empty() && name.size() <= name_bytes_max && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), fine);
}

bool is_reference(std::string_view name) {
  if (name.size() > name_bytes_max)
    return false;
  const auto parts = text::split(name, '/');
  return std::all_of(parts.begin(), parts.end(), is_file_name);
}

std::vector<candidate> candidates(const std::string& name, const std::string& socket_dir,
                                  const std::vector<std::string>& spec_dirs) {
  std::vector<candidate> out;
  if (!is_file_name(name))
    return out;
  const auto add = [&](candidate::kind what, const std::string& dir, const char* ending) {
    out.push_back({what, dir + "/" + name + ending});
    out.push_back({what, dir + "/" + name + "/" + name + ending});
  };
  add(candidate::kind::socket, socket_dir, ".sock");
  for (const auto& dir : spec_dirs) {
    add(candidate::kind::spec, dir, ".spec");
    add(candidate::kind::json, dir, ".json");
  }
  return out;
}

failure read_spec(std::string_view text, address& out) { return read_address(std::string{text::trim(text)}, out); }

failure read_json_spec(std::string_view text, address& out) {
  json_value json;
  if (!json_value::parse(text, json).ok() || !json.is_object())
    return {errc::failed_precondition, "the plugin's JSON file cannot be read"};
  if (const auto* tls = json.find("TLSConfig"); tls != nullptr && !tls->is_null())
    return {errc::failed_precondition, "plugins behind TLS are not supported; let it listen on a unix socket"};
  return read_address(std::string{text_at(json.find("Addr"))}, out);
}

failure read_managed(int status, std::string_view body, const std::string& socket_dir, address& out) {
  if (status == 404)
    return {errc::not_found, "plugin not found"};
  json_value json;
  const bool readable = status == 200 && json_value::parse(body, json).ok();
  const auto* config = json.find("Config");
  const auto* interface = config == nullptr ? nullptr : config->find("Interface");
  const auto id = text_at(json.find("Id"));
  if (!readable || interface == nullptr || !is_file_name(id))
    return {errc::unavailable,
            "the engine's answer about the plugin cannot be read (status " + std::to_string(status) + ")"};
  if (const auto* enabled = json.find("Enabled"); enabled == nullptr || !enabled->as_bool())
    return {errc::failed_precondition, "plugin found but disabled"};
  const auto* types = interface->find("Types");
  if (types == nullptr || std::none_of(types->items().begin(), types->items().end(), is_secret_provider))
    return {errc::failed_precondition, "plugin provides no secrets"};
  const auto scheme = text_at(interface->find("ProtocolScheme"));
  const auto socket = text_at(interface->find("Socket"));
  if ((!scheme.empty() && scheme != "moby.plugins.http/v1") || !is_file_name(socket))
    return {errc::failed_precondition, "plugin speaks a protocol that is not known here"};
  out = {socket_dir + "/" + std::string{id} + "/" + std::string{socket}, {}, 0};
  return {};
}

} // namespace swarm::plugin
