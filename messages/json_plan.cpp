// Descriptors and options turned into plans.
#include "messages/json_plan.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <map>
#include <mutex>
#include <stdexcept>

#include "messages/json_scalar.hpp"
#include "messages/options.pb.h"
#include "messages/render.hpp"

namespace swarm::json_plan {

namespace {

namespace pb = google::protobuf;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string to_lower(std::string_view s) {
  std::string out{s};
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

bool same_in_any_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

// target_port -> TargetPort
std::string pascal_case(std::string_view name) {
  std::string out;
  bool up = true;
  for (const char c : name) {
    if (c == '_') {
      up = true;
      continue;
    }
    out += up ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    up = false;
  }
  return out;
}

element element_of(const pb::FieldDescriptor& field, bool time) {
  using F = pb::FieldDescriptor;
  switch (field.cpp_type()) {
  case F::CPPTYPE_BOOL: return element::boolean;
  case F::CPPTYPE_INT32: return element::int32;
  case F::CPPTYPE_INT64: return time ? element::time : element::int64;
  case F::CPPTYPE_UINT32: return element::uint32;
  case F::CPPTYPE_UINT64: return element::uint64;
  case F::CPPTYPE_FLOAT: return element::float32;
  case F::CPPTYPE_DOUBLE: return element::float64;
  case F::CPPTYPE_STRING: return field.type() == F::TYPE_BYTES ? element::bytes : element::string;
  case F::CPPTYPE_ENUM: return element::enumeration;
  case F::CPPTYPE_MESSAGE: return element::message;
  }
  throw std::logic_error{"unknown field type of " + field.full_name()};
}

// Types that Docker's API package calls otherwise than our messages, for errors: of a field, and of a message or enum.
constexpr std::pair<std::string_view, std::string_view> go_types_of_fields[]{
    {"BindOptions.propagation", "mount.Propagation"},
    {"CAConfig.node_cert_expiry", "time.Duration"},
    {"ConfigReference.file", "swarm.ConfigReferenceFileTarget"},
    {"ContainerSpec.isolation", "container.Isolation"},
    {"ContainerSpec.stop_grace_period", "time.Duration"},
    {"DispatcherConfig.heartbeat_period", "time.Duration"},
    {"FileTarget.mode", "fs.FileMode"},
    {"HealthConfig.interval", "time.Duration"},
    {"HealthConfig.retries", "int"},
    {"HealthConfig.start_interval", "time.Duration"},
    {"HealthConfig.start_period", "time.Duration"},
    {"HealthConfig.timeout", "time.Duration"},
    {"Mount.consistency", "mount.Consistency"},
    {"RestartPolicy.delay", "time.Duration"},
    {"RestartPolicy.window", "time.Duration"},
    {"SecretReference.file", "swarm.SecretReferenceFileTarget"},
    {"TaskSpec.runtime", "swarm.RuntimeType"},
    {"TmpfsOptions.mode", "fs.FileMode"},
    {"UpdateConfig.delay", "time.Duration"},
    {"UpdateConfig.monitor", "time.Duration"},
    {"VolumeOptions.driver_config", "mount.Driver"},
};
constexpr std::pair<std::string_view, std::string_view> go_types[]{
    {"BindOptions", "mount.BindOptions"},
    {"ClusterSpec", "swarm.Spec"},
    {"ConfigReference", "*swarm.ConfigReference"},
    {"EndpointMode", "swarm.ResolutionMode"},
    {"FailureAction", "string"},
    {"HealthConfig", "container.HealthConfig"},
    {"Mount", "mount.Mount"},
    {"MountType", "mount.Type"},
    {"Orchestration", "swarm.OrchestrationConfig"},
    {"PortProtocol", "swarm.PortConfigProtocol"},
    {"PublishMode", "swarm.PortConfigPublishMode"},
    {"RestartCondition", "swarm.RestartPolicyCondition"},
    {"SecretReference", "*swarm.SecretReference"},
    {"TmpfsOptions", "mount.TmpfsOptions"},
    {"Ulimit", "*units.Ulimit"},
    {"UpdateOrder", "string"},
    {"VolumeOptions", "mount.VolumeOptions"},
};

template <std::size_t N>
std::string_view look_up(const std::pair<std::string_view, std::string_view> (&table)[N], std::string_view key) {
  const auto at = std::find_if(std::begin(table), std::end(table), [&](const auto& row) { return row.first == key; });
  return at == std::end(table) ? std::string_view{} : at->second;
}

std::string go_type_of_message(const std::string& name) {
  const auto known = look_up(go_types, name);
  return known.empty() ? "swarm." + name : std::string{known};
}

std::string go_type_of(const pb::FieldDescriptor& field, const field_plan& plan) {
  if (const auto known = look_up(go_types_of_fields, field.containing_type()->name() + "." + field.name()); !known.empty())
    return std::string{known};
  switch (plan.of) {
  case element::boolean: return "bool";
  case element::int32: return "int32";
  case element::int64: return "int64";
  case element::uint32: return "uint32";
  case element::uint64: return "uint64";
  case element::float32: return "float32";
  case element::float64: return "float64";
  case element::time: return "time.Time";
  case element::bytes: return "[]uint8";
  case element::enumeration: return go_type_of_message(plan.texts->type);
  case element::message: return plan.child->go_type;
  case element::string: break;
  }
  return "string";
}

// All plans, for ever: descriptors of compiled .proto files never go away.
class plans {
public:
  const message_plan& of(const pb::Descriptor& type) {
    const std::lock_guard guard{mutex_};
    return message(type);
  }

private:
  const message_plan& message(const pb::Descriptor& type) {
    auto& slot = messages_[&type];
    if (slot)
      return *slot;
    slot = std::make_unique<message_plan>();
    auto& plan = *slot; // the slot's reference may move while children are added, the plan does not
    plan.type = type.name();
    plan.go_type = go_type_of_message(plan.type);
    plan.go_struct = plan.go_type.substr(plan.go_type.find('.') + 1);
    std::vector<const pb::FieldDescriptor*> fields;
    for (int i = 0; i < type.field_count(); ++i)
      if (!type.field(i)->options().GetExtension(json).internal())
        fields.push_back(type.field(i));
    std::sort(fields.begin(), fields.end(), [](const auto* a, const auto* b) { return a->number() < b->number(); });
    plan.fields.reserve(fields.size()); // keys point into it
    for (const auto* field : fields)
      add_keys(plan, plan.fields.emplace_back(this->field(*field)));
    return plan;
  }

  field_plan field(const pb::FieldDescriptor& field) {
    const auto& options = field.options().GetExtension(json);
    field_plan plan;
    plan.field = &field;
    plan.name = field.has_json_name() ? field.json_name() : pascal_case(field.name());
    plan.raw_key = "\"" + plan.name + "\":";
    plan.has_presence = field.has_presence();
    plan.null_when_empty = options.null_when_empty();
    plan.always = options.always() || options.null_when_empty();
    plan.empty_object = options.empty_object();
    plan.write_only = options.write_only();
    plan.since_minor = options.since_minor();
    plan.until_minor = options.until_minor();
    const auto* leaf = &field;
    if (field.is_map()) {
      if (field.message_type()->map_key()->cpp_type() != pb::FieldDescriptor::CPPTYPE_STRING)
        throw std::logic_error{"JSON objects have text keys: " + field.full_name()};
      plan.form = shape::map;
      plan.value = leaf = field.message_type()->map_value();
    } else if (options.list_of_lists()) {
      plan.form = shape::list_of_lists;
      plan.value = leaf = field.message_type()->field(0);
      if (field.message_type()->field_count() != 1 || !leaf->is_repeated())
        throw std::logic_error{"list_of_lists needs a message of one list: " + field.full_name()};
    } else if (field.is_repeated()) {
      plan.form = shape::list;
    } else if (field.cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) {
      plan.form = options.inlined() ? shape::inlined : shape::message;
    }
    plan.of = element_of(*leaf, options.time());
    if (plan.form == shape::map && plan.of != element::string && plan.of != element::message)
      throw std::logic_error{"maps hold text or messages: " + field.full_name()};
    if (plan.of == element::message)
      plan.child = &message(*leaf->message_type());
    if (plan.of == element::enumeration)
      plan.texts = &enumeration(*leaf->enum_type());
    plan.go_type = go_type_of(field, plan);
    plan.go_struct = plan.go_type.substr(plan.go_type.find('.') + 1);
    return plan;
  }

  static void add_keys(message_plan& plan, const field_plan& field) {
    const auto add = [&](key_plan key) {
      if (!plan.keys.emplace(to_lower(key.field->name), key).second)
        throw std::logic_error{"two fields are named " + key.field->name + " in " + plan.type};
    };
    if (field.form != shape::inlined)
      return add({{}, &field});
    for (const auto& [name, key] : field.child->keys) {
      auto through = key.through;
      through.insert(through.begin(), field.field);
      add({std::move(through), key.field});
    }
  }

  const enum_plan& enumeration(const pb::EnumDescriptor& type) {
    auto& slot = enums_[&type];
    if (slot)
      return *slot;
    slot = std::make_unique<enum_plan>();
    slot->type = type.name();
    // Docker compares these texts themselves, all others with Swarm's names in capital letters.
    slot->exact = slot->type == "RestartCondition" || slot->type == "FailureAction" || slot->type == "UpdateOrder";
    slot->invalid = type.options().GetExtension(api_invalid);
    if (slot->invalid.empty())
      slot->invalid = "invalid " + type.name() + ": \"%s\"";
    for (int i = 0; i < type.value_count(); ++i) {
      const auto& options = type.value(i)->options();
      slot->values.push_back({type.value(i)->number(), options.HasExtension(api_text) ? options.GetExtension(api_text)
                                                                                      : short_name(*type.value(i))});
    }
    return *slot;
  }

  std::mutex mutex_;
  std::map<const pb::Descriptor*, std::unique_ptr<message_plan>> messages_;
  std::map<const pb::EnumDescriptor*, std::unique_ptr<enum_plan>> enums_;
};

} // namespace

const std::string* enum_plan::text_of(int number) const {
  const auto at = std::find_if(values.begin(), values.end(), [&](const value& v) { return v.number == number; });
  return at == values.end() ? nullptr : &at->text;
}

int enum_plan::number_of(std::string_view text) const {
  const auto at =
      std::find_if(values.begin(), values.end(), [&](const value& v) { return exact ? v.text == text : same_in_any_case(v.text, text); });
  return at == values.end() ? -1 : at->number;
}

std::string enum_plan::unknown(std::string_view text) const {
  const auto at = invalid.find("%s");
  if (at == std::string::npos)
    return invalid;
  auto out = invalid.substr(0, at);
  const bool in_quotes = out.ends_with('"');
  const auto shown = scalar::quoted(text.substr(0, 200));
  out += in_quotes ? shown.substr(1, shown.size() - 2) : std::string{text.substr(0, 200)};
  return out += invalid.substr(at + 2);
}

const key_plan* message_plan::find(std::string_view key) const {
  const auto at = keys.find(to_lower(key));
  return at == keys.end() ? nullptr : &at->second;
}

const message_plan& plan_of(const google::protobuf::Descriptor& type) {
  static plans all;
  return all.of(type);
}

} // namespace swarm::json_plan
