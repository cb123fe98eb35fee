// Messages as one line of text and back; secrets in no text at all.
#include <gtest/gtest.h>

#include <google/protobuf/util/message_differencer.h>

#include <set>

#include "messages/api.pb.h"
#include "messages/control.pb.h"
#include "messages/dispatcher.pb.h"
#include "messages/docker_json.hpp"
#include "messages/driver.pb.h"
#include "messages/introspect.pb.h"
#include "messages/json_scalar.hpp"
#include "messages/objects.pb.h"
#include "messages/render.hpp"
#include "messages/storage.pb.h"
#include "tests/messages/json_support.hpp"

namespace swarm {
namespace {

namespace pb = google::protobuf;

TEST(render, shows_what_is_set_in_one_line) {
  Task task;
  EXPECT_EQ(render(task), "Task{}");
  task.set_id("9f2c");
  task.mutable_meta()->mutable_version()->set_index(7);
  task.mutable_meta()->set_created_at(1795335968595645196);
  task.mutable_status()->set_state(TASK_STATE_RUNNING);
  task.mutable_status()->set_message("pulled \"x\"\nand started");
  task.set_job_iteration(0);
  task.add_networks()->add_addresses("10.0.0.3/24");
  task.mutable_networks(0)->add_addresses("");
  EXPECT_EQ(render(task), "Task{id=9f2c meta{version{index=7} created_at=2026-11-22T08:26:08.595645196Z} "
                          "status{state=running message=\"pulled \\\"x\\\"\\nand started\"} "
                          "networks=[{addresses=[10.0.0.3/24 \"\"]}] job_iteration=0}");
  ServiceSpec spec;
  (*spec.mutable_labels())["b c"] = "2";
  (*spec.mutable_labels())["a"] = "x:1";
  spec.mutable_update_config()->set_max_failure_ratio(0.2f);
  spec.mutable_update_config()->set_order(UPDATE_ORDER_START_FIRST);
  EXPECT_EQ(render(spec),
            "ServiceSpec{labels=[\"b c\":2 a:\"x:1\"] update_config{max_failure_ratio=0.2 order=start_first}}");
}

TEST(render, bytes_show_their_size_and_secrets_nothing) {
  ConfigSpec config;
  config.set_data("hello");
  EXPECT_EQ(render(config), "ConfigSpec{data=<5 bytes>}");
  SecretSpec secret;
  secret.set_data("hello");
  EXPECT_EQ(render(secret), "SecretSpec{data=***}");
  CreateService create;
  create.set_registry_auth("e30=");
  EXPECT_EQ(render(create), "CreateService{registry_auth=***}");
  UpdateCluster update;
  update.set_rotate_unlock_key(true);
  EXPECT_EQ(render(update), "UpdateCluster{rotate_unlock_key=true}") << "a flag about a key is no key";
}

TEST(render, cuts_long_texts_at_a_character) {
  ServiceSpec spec;
  spec.set_name("äöü");
  EXPECT_EQ(render(spec, 19), "ServiceSpec{name=\"…");
  EXPECT_EQ(render(spec, 20), "ServiceSpec{name=\"ä…");
  EXPECT_EQ(render(spec, 100), "ServiceSpec{name=\"äöü\"}") << "quotes because it is no plain ASCII word";
  for (int i = 0; i < 100'000; ++i)
    spec.mutable_task_template()->mutable_container_spec()->add_args("argument");
  EXPECT_LT(render(spec, 1000).size(), 1010u);
}

TEST(render, every_enum_of_the_api_has_short_names) {
  EXPECT_EQ(short_name(*TaskState_descriptor()->FindValueByNumber(TASK_STATE_RUNNING)), "running");
  EXPECT_EQ(short_name(*UpdateState_descriptor()->FindValueByNumber(UPDATE_STATE_ROLLBACK_PAUSED)), "rollback_paused");
  EXPECT_EQ(short_name(*TaskHandle::Phase_descriptor()->FindValueByNumber(TaskHandle::PHASE_EXITED)), "exited");
  EXPECT_EQ(short_name(*RaftRole_descriptor()->FindValueByNumber(RAFT_ROLE_PRE_CANDIDATE)), "pre_candidate");
}

template <class Message>
std::string parsed(std::string_view text) {
  Message out;
  const auto error = parse_rendered(text, out);
  return error.ok() ? render(out) : "<" + error.message + ">";
}

TEST(parse_rendered, reads_what_a_person_types) {
  const auto* want = "ServiceSpec{name=web labels=[a:b] mode{replicated{replicas=5}}}";
  EXPECT_EQ(parsed<ServiceSpec>("ServiceSpec{name=web labels=[a:b] mode{replicated{replicas=5}}}"), want);
  EXPECT_EQ(parsed<ServiceSpec>("{name: web, labels: {a: b}, mode: {replicated: {replicas: 5}}}"), want);
  EXPECT_EQ(parsed<ServiceSpec>("  name=\"web\"  labels={\"a\"=\"b\"} mode = {replicated {replicas = 5,},} "), want);
  EXPECT_EQ(parsed<ServiceSpec>(""), "ServiceSpec{}");
  EXPECT_EQ(parsed<ServiceSpec>("ServiceSpec"), "ServiceSpec{}");
  EXPECT_EQ(parsed<ServiceSpec>("swarm.ServiceSpec {}"), "ServiceSpec{}");
  EXPECT_EQ(parsed<ContainerSpec>("env=[A=1 B=http://x:80/] args=one args=[\"t w o\"] init=false"),
            "ContainerSpec{args=[one \"t w o\"] env=[\"A=1\" \"B=http://x:80/\"] init=false}");
  EXPECT_EQ(parsed<TaskStatus>("state=RUNNING timestamp=2026-11-22T08:26:08Z"),
            "TaskStatus{timestamp=2026-11-22T08:26:08Z state=running}");
  EXPECT_EQ(parsed<TaskStatus>("state=TASK_STATE_FAILED timestamp=5 message=\"\\u00e4\\x41\\n\""),
            "TaskStatus{timestamp=1970-01-01T00:00:00.000000005Z state=failed message=\"\u00e4A\\n\"}");
  EXPECT_EQ(parsed<ConfigSpec>("data=hello"), "ConfigSpec{data=<5 bytes>}");
}

TEST(parse_rendered, says_where_and_what_is_wrong) {
  EXPECT_EQ(parsed<ServiceSpec>("nam=x"), "<at 1: \"nam\" is no field of ServiceSpec>");
  EXPECT_EQ(parsed<ServiceSpec>("{mode{replicated{replicas=x}}}"), "<at 27: no uint64 for replicas>");
  EXPECT_EQ(parsed<TaskStatus>("state=sleeping"), "<at 7: no TaskState for state>");
  EXPECT_EQ(parsed<ServiceSpec>("Task{}"), "<at 1: this is a Task, wanted is a ServiceSpec>");
  EXPECT_EQ(parsed<ServiceSpec>("{name=x"), "<at 8: '}' is missing at the end>");
  EXPECT_EQ(parsed<ServiceSpec>("{name=x} y"), "<at 10: nothing may follow the closing '}'>");
  EXPECT_EQ(parsed<ServiceSpec>("name x"), "<at 6: '=' and a value must follow \"name\">");
  EXPECT_EQ(parsed<ServiceSpec>("name="), "<at 6: a value is expected>");
  EXPECT_EQ(parsed<ServiceSpec>("name=\"x"), "<at 8: a closing '\"' is missing>");
  EXPECT_EQ(parsed<ServiceSpec>("name=\"\\xff\""), "<at 12: text must be valid UTF-8>");
  EXPECT_EQ(parsed<ServiceSpec>("mode=x"), "<at 6: '{' must open mode>");
  EXPECT_EQ(parsed<SecretSpec>("data=***"), "<at 9: *** and <N bytes> stand for values that were not shown>");
  EXPECT_EQ(parsed<ConfigSpec>("data=<5 bytes>"), "<at 8: *** and <N bytes> stand for values that were not shown>");
  EXPECT_EQ(parsed<ContainerSpec>("args=[a"), "<at 8: ']' is missing at the end>");
  EXPECT_EQ(parsed<ServiceSpec>("labels=[a:b"), "<at 12: ']' is missing at the end>");
}

// Bytes show only their size: taken out before a round trip.
void drop_unreadable(pb::Message& msg) {
  const auto& reflection = *msg.GetReflection();
  std::vector<const pb::FieldDescriptor*> set;
  reflection.ListFields(msg, &set);
  for (const auto* field : set) {
    if (is_redacted(*field) || field->type() == pb::FieldDescriptor::TYPE_BYTES)
      reflection.ClearField(&msg, field);
    else if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map() && field->is_repeated())
      for (int i = 0; i < reflection.FieldSize(msg, field); ++i)
        drop_unreadable(*reflection.MutableRepeatedMessage(&msg, field, i));
    else if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map())
      drop_unreadable(*reflection.MutableMessage(&msg, field));
  }
}

TEST(parse_rendered, random_messages_survive_rendering_and_parsing) {
  const auto seed = test::fresh_seed();
  for (std::uint64_t i = 0; i < 200; ++i) {
    Service before, after;
    test::random_filler{seed + i}.fill(before);
    drop_unreadable(before);
    const auto text = render(before);
    const auto error = parse_rendered(text, after);
    ASSERT_TRUE(error.ok()) << "seed " << seed + i << ": " << error.message << "\n" << text;
    ASSERT_TRUE(pb::util::MessageDifferencer::Equals(before, after)) << "seed " << seed + i << "\n"
                                                                     << text << "\n"
                                                                     << render(after);
  }
}

TEST(parse_rendered, mutated_texts_never_crash) {
  std::mt19937_64 random{3};
  for (std::uint64_t i = 0; i < 3000; ++i) {
    Service message;
    test::random_filler{i % 50}.fill(message);
    auto text = render(message);
    const auto at = random() % text.size();
    if (i % 3 == 0)
      text.resize(at);
    else
      text[at] = "{}[]=:\"\\ \xff"[random() % 10];
    (void)parse_rendered(text, message);
  }
  Service message;
  std::string deep;
  for (int i = 0; i < 100'000; ++i)
    deep += "spec{";
  EXPECT_FALSE(parse_rendered(deep, message).ok());
}

// -- secrets in no text --------------------------------------------------------------------------------------------------

constexpr const char* marker = "S3CR3T-MARKER";

// Fills every text of a message and of all it holds: with the marker where `is_secret`.
template <class Predicate>
void fill_with_markers(pb::Message& msg, const Predicate& is_secret, bool within, int depth = 0) {
  if (depth > 8)
    return;
  const auto& reflection = *msg.GetReflection();
  for (int i = 0; i < msg.GetDescriptor()->field_count(); ++i) {
    const auto& field = *msg.GetDescriptor()->field(i);
    const bool secret = within || is_secret(field);
    const std::string text = secret ? marker : "x";
    switch (field.cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_STRING:
      field.is_repeated() ? reflection.AddString(&msg, &field, text) : reflection.SetString(&msg, &field, text);
      break;
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
      fill_with_markers(field.is_repeated() ? *reflection.AddMessage(&msg, &field)
                                            : *reflection.MutableMessage(&msg, &field),
                        is_secret, secret, depth + 1);
      break;
    default: break;
    }
  }
}

std::vector<const pb::FileDescriptor*> our_files() {
  std::vector<const pb::FileDescriptor*> out;
  for (const auto* type :
       {TaskState_descriptor()->file(), ServiceSpec::descriptor()->file(), Service::descriptor()->file(),
        SwarmInfo::descriptor()->file(), InitSwarm::descriptor()->file(), RegisterNode::descriptor()->file(),
        TaskHandle::descriptor()->file(), ActorStatus::descriptor()->file(), Append::descriptor()->file(),
        Command::descriptor()->file(), Entry::descriptor()->file()})
    out.push_back(type);
  return out;
}

std::unique_ptr<pb::Message> make(const pb::Descriptor& type) {
  return std::unique_ptr<pb::Message>{pb::MessageFactory::generated_factory()->GetPrototype(&type)->New()};
}

TEST(secrets, are_in_no_rendered_text_of_any_message) {
  int messages = 0;
  std::set<std::string> redacted_fields;
  for (const auto* file : our_files()) {
    for (int i = 0; i < file->message_type_count(); ++i) {
      auto msg = make(*file->message_type(i));
      fill_with_markers(
          *msg, [](const pb::FieldDescriptor& f) { return is_redacted(f); }, false);
      EXPECT_EQ(render(*msg).find("S3CR3T"), std::string::npos) << render(*msg).substr(0, 2000);
      ++messages;
      for (int k = 0; k < file->message_type(i)->field_count(); ++k)
        if (is_redacted(*file->message_type(i)->field(k)))
          redacted_fields.insert(file->message_type(i)->field(k)->full_name());
    }
  }
  std::printf("%d message types, %zu redacted fields\n", messages, redacted_fields.size());
  for (const auto* must :
       {"swarm.SecretSpec.data", "swarm.ContainerSpec.registry_auth", "swarm.CreateService.registry_auth",
        "swarm.UpdateService.registry_auth", "swarm.JoinSwarm.join_token", "swarm.SwarmJoinRequest.join_token",
        "swarm.CAConfig.signing_ca_key", "swarm.RootCA.private_key_pem", "swarm.Cluster.unlock_key",
        "swarm.JoinTokens.worker", "swarm.JoinTokens.manager", "swarm.UnlockRequest.unlock_key"})
    EXPECT_TRUE(redacted_fields.contains(must)) << must;
}

TEST(secrets, and_internal_fields_are_in_no_json_of_the_api) {
  const auto hidden = [](const pb::FieldDescriptor& f) {
    const auto& rule = f.options().GetExtension(json);
    return rule.internal() || rule.write_only();
  };
  std::string base64;
  scalar::append_base64(base64, marker);
  for (const auto* file : {TaskState_descriptor()->file(), ServiceSpec::descriptor()->file(),
                           Service::descriptor()->file(), SwarmInfo::descriptor()->file()}) {
    for (int i = 0; i < file->message_type_count(); ++i) {
      auto msg = make(*file->message_type(i));
      fill_with_markers(*msg, hidden, false);
      const auto text = to_json(*msg, {60});
      EXPECT_EQ(text.find(marker), std::string::npos) << text.substr(0, 2000);
      EXPECT_EQ(text.find(base64), std::string::npos) << text.substr(0, 2000);
    }
  }
}

TEST(secrets, and_internal_fields_cannot_be_set_from_json) {
  ServiceSpec spec;
  ASSERT_TRUE(
      from_json(R"({"TaskTemplate":{"ContainerSpec":{"RegistryAuth":"x","registry_auth":"x"}}})", spec, {}).ok());
  EXPECT_EQ(spec.task_template().container_spec().registry_auth(), "");
  Node node;
  ASSERT_TRUE(from_json(R"({"RaftId":7,"RaftID":7,"CertificateRole":"manager"})", node, {}).ok());
  EXPECT_EQ(node.raft_id(), 0u);
}

} // namespace
} // namespace swarm
