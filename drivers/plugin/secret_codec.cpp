// JSON of Docker's secret provider plugins, see the header.
#include "drivers/plugin/secret_codec.hpp"

#include <algorithm>
#include <map>

#include "messages/json_scalar.hpp"
#include "messages/json_value.hpp"

namespace swarm::plugin {

namespace {

constexpr std::size_t value_bytes_end = 500 * 1024; // as of secrets that the swarm keeps itself
constexpr std::size_t error_bytes_max = 300;
constexpr json_limits bounds{16, 10'000};

// Everything in a request has Go's omitempty.
class members {
public:
  explicit members(json_writer& out) : out_{out} {}
  void text(std::string_view name, const std::string& value) {
    if (!value.empty())
      out_.member(name, value);
  }
  void number(std::string_view name, std::int64_t value) {
    if (value != 0)
      out_.member(name, value);
  }
  void labels(std::string_view name, const google::protobuf::Map<std::string, std::string>& value) {
    if (value.empty())
      return;
    out_.key(name);
    out_.begin_object();
    for (const auto& [key, one] : std::map<std::string, std::string>{value.begin(), value.end()})
      out_.member(key, one);
    out_.end_object();
  }

private:
  json_writer& out_;
};

// The numbers of SwarmKit's enums, whose defaults are 0.
void write_endpoint(json_writer& out, const EndpointSpec& spec) {
  members m{out};
  out.begin_object();
  m.number("Mode", spec.mode() == ENDPOINT_MODE_DNSRR ? 1 : 0);
  if (!spec.ports().empty()) {
    out.key("Ports");
    out.begin_array();
    for (const auto& port : spec.ports()) {
      out.begin_object();
      m.text("Name", port.name());
      m.number("Protocol", std::max(0, static_cast<int>(port.protocol()) - static_cast<int>(PORT_PROTOCOL_TCP)));
      m.number("TargetPort", port.target_port());
      m.number("PublishedPort", port.published_port());
      m.number("PublishMode", port.publish_mode() == PUBLISH_MODE_HOST ? 1 : 0);
      out.end_object();
    }
    out.end_array();
  }
  out.end_object();
}

// A plugin's own words: one line, of bounded length.
std::string said(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto length = std::max<std::size_t>(1, scalar::utf8_length(text.substr(at)));
    if (out.size() + length > error_bytes_max)
      return out + "…";
    out += static_cast<unsigned char>(text[at]) < 0x20 || text[at] == 0x7f ? std::string{' '}
                                                                           : std::string{text.substr(at, length)};
    at += length;
  }
  return out;
}

failure garbage() { return {errc::unavailable, "plugin's answer cannot be read"}; }

// Swarm takes an error's words from {"Err": …}; whatever else stands there is not shown.
failure read_json(int status, std::string_view body, json_value& out) {
  const bool readable = json_value::parse(body, out, bounds).ok() && out.is_object();
  if (status == 200)
    return readable ? failure{} : garbage();
  const auto* err = readable ? out.find("Err") : nullptr;
  const auto words = err == nullptr ? std::string{} : said(err->as_string());
  return {errc::unavailable,
          "plugin answered with status " + std::to_string(status) + (words.empty() ? "" : ": " + words)};
}

} // namespace

std::string request_body(const FetchSecret& request) {
  std::string text;
  json_writer out{text};
  members m{out};
  out.begin_object();
  m.text("SecretName", request.secret_name());
  m.labels("SecretLabels", request.secret_labels());
  m.text("ServiceHostname", request.service_hostname());
  m.text("ServiceID", request.service_id());
  m.text("ServiceName", request.service_name());
  m.labels("ServiceLabels", request.service_labels());
  m.text("TaskID", request.task_id());
  m.text("TaskName", request.task_name());
  m.text("TaskImage", request.task_image());
  if (request.has_endpoint_spec()) {
    out.key("ServiceEndpointSpec");
    write_endpoint(out, request.endpoint_spec());
  }
  m.text("NodeID", request.node_id());
  m.text("NodeHostname", request.node_hostname());
  m.labels("NodeLabels", request.node_labels());
  out.end_object();
  return text;
}

failure read_activation(int status, std::string_view body) {
  json_value json;
  if (auto bad = read_json(status, body, json); !bad.ok())
    return bad;
  const auto* names = json.find("Implements");
  const bool can = names != nullptr && std::any_of(names->items().begin(), names->items().end(), [](const auto& name) {
                     return name.as_string() == "secretprovider";
                   });
  return can ? failure{} : failure{errc::failed_precondition, "plugin provides no secrets"};
}

failure read_secret(int status, std::string_view body, SecretFetched& out) {
  out.Clear();
  json_value json;
  if (auto bad = read_json(status, body, json); !bad.ok())
    return bad;
  if (const auto* err = json.find("Err"); err != nullptr && !err->is_null()) {
    if (err->kind() != json_kind::string)
      return garbage();
    if (!err->as_string().empty())
      return {errc::unavailable, said(err->as_string())};
  }
  if (const auto* flag = json.find("DoNotReuse"); flag != nullptr && !flag->is_null()) {
    if (flag->kind() != json_kind::boolean)
      return garbage();
    out.set_do_not_reuse(flag->as_bool());
  }
  const auto* value = json.find("Value");
  if (value != nullptr && !value->is_null() && value->kind() != json_kind::string)
    return garbage();
  std::size_t bad_at = 0;
  auto bytes = scalar::decode_base64(value == nullptr ? std::string_view{} : value->as_string(), bad_at);
  if (!bytes)
    return {errc::unavailable, "plugin's value is not base64"};
  if (bytes->empty() || bytes->size() >= value_bytes_end)
    return {errc::failed_precondition, "secret data must be larger than 0 and less than 512000 bytes"};
  out.set_value(std::move(*bytes));
  return {};
}

} // namespace swarm::plugin
