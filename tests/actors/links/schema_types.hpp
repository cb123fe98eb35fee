// Every message type of the schema, for tests that must leave none out.
#pragma once

#include <google/protobuf/dynamic_message.h>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "messages/ca.pb.h"
#include "messages/control.pb.h"
#include "messages/dispatcher.pb.h"
#include "messages/driver.pb.h"
#include "messages/introspect.pb.h"
#include "messages/link.pb.h"
#include "messages/logs.pb.h"
#include "messages/raft.pb.h"
#include "messages/storage.pb.h"
#include "messages/store.pb.h"

namespace swarm::links::test {

using google::protobuf::Descriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::Message;

// Every top-level message of the schema: all files that ours import, found from a few of them.
inline std::map<std::string, const Descriptor*> all_types() {
  std::map<std::string, const Descriptor*> out;
  std::set<const FileDescriptor*> seen;
  std::vector<const FileDescriptor*> files{Command::descriptor()->file(),      RaftMessage::descriptor()->file(),
                                           Append::descriptor()->file(),       ControlRequest::descriptor()->file(),
                                           Assignments::descriptor()->file(),  PrepareTask::descriptor()->file(),
                                           LinkHello::descriptor()->file(),    IssueNodeCertificate::descriptor()->file(),
                                           SubscribeLogs::descriptor()->file(), ActorStatus::descriptor()->file()};
  while (!files.empty()) {
    const auto* const f = files.back();
    files.pop_back();
    if (!seen.insert(f).second || f->package() != "swarm")
      continue;
    for (int i = 0; i < f->message_type_count(); ++i)
      out.emplace(f->message_type(i)->name(), f->message_type(i));
    for (int i = 0; i < f->dependency_count(); ++i)
      files.push_back(f->dependency(i));
  }
  return out;
}

inline std::unique_ptr<Message> make(const Descriptor& type, const std::string& node_id) {
  std::unique_ptr<Message> out{google::protobuf::MessageFactory::generated_factory()->GetPrototype(&type)->New()};
  if (const auto* const field = type.FindFieldByName("node_id"))
    out->GetReflection()->SetString(out.get(), field, node_id);
  return out;
}

} // namespace swarm::links::test
