// The order of things within one Command, and taking them back.
#include "actors/store/apply.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

namespace swarm::store {

std::string stable_bytes(const google::protobuf::Message& message) {
  std::string out;
  google::protobuf::io::StringOutputStream stream{&out};
  google::protobuf::io::CodedOutputStream coded{&stream};
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return out;
}

std::string row_key(std::int64_t first_written, std::string_view id) {
  std::string key;
  key.reserve(8 + id.size());
  for (int shift = 56; shift >= 0; shift -= 8)
    key.push_back(static_cast<char>(static_cast<std::uint64_t>(first_written) >> shift & 0xff));
  return key.append(id);
}

std::string row_key(const TaskTemplate& row) {
  return row_key(static_cast<std::int64_t>(row.spec_version()), row.service_id());
}

applier::applier(tables& state, std::uint64_t log_index, Command& command)
    : state_{state}, index_{log_index}, command_{command} {}

applied applier::run() {
  out_.result.set_log_index(index_);
  for (auto& action : *command_.mutable_actions())
    if (const auto refused = change_objects(action); !refused.ok()) {
      undo();
      out_.events.Clear();
      out_.writes.Clear();
      out_.result.set_code(static_cast<std::uint32_t>(refused.code));
      out_.result.set_message(refused.message);
      return std::move(out_);
    }
  for (const auto& id : removed_nodes_)
    orphan_tasks_of(id);
  for (auto& action : *command_.mutable_actions())
    change_tasks(action);
  settle_templates();
  out_.events.set_log_index(index_);
  out_.events.set_wall(command_.proposed_at());
  return std::move(out_);
}

failure applier::change_objects(StoreAction& action) {
  switch (action.action_case()) {
    case StoreAction::kPutService: return put_service(*action.mutable_put_service());
    case StoreAction::kRemoveService: return remove_service(action.remove_service().id());
    case StoreAction::kUpdateServiceState: return update_service_state(*action.mutable_update_service_state());
    case StoreAction::kPutNode: return put_node(*action.mutable_put_node());
    case StoreAction::kRemoveNode: return remove_node(action.remove_node());
    case StoreAction::kPutSecret: return put_secret(*action.mutable_put_secret());
    case StoreAction::kRemoveSecret: return remove_secret(action.remove_secret().id());
    case StoreAction::kPutConfig: return put_config(*action.mutable_put_config());
    case StoreAction::kRemoveConfig: return remove_config(action.remove_config().id());
    case StoreAction::kPutNetwork: return put_network(*action.mutable_put_network());
    case StoreAction::kRemoveNetwork: return remove_network(action.remove_network().id());
    case StoreAction::kPutCluster: return put_cluster(*action.mutable_put_cluster());
    case StoreAction::kCreateTasks:
    case StoreAction::kUpdateTasks:
    case StoreAction::kRemoveTasks: return {};
    case StoreAction::ACTION_NOT_SET: break;
  }
  return refuse(errc::invalid_argument, "unknown action in a command");
}

void applier::change_tasks(StoreAction& action) {
  switch (action.action_case()) {
    case StoreAction::kCreateTasks: return create_tasks(*action.mutable_create_tasks());
    case StoreAction::kUpdateTasks: return update_tasks(*action.mutable_update_tasks());
    case StoreAction::kRemoveTasks: return remove_tasks(action.remove_tasks());
    default: return;
  }
}

void applier::undo() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it)
    (*it)();
}

void applier::created(Meta& meta) const {
  meta.mutable_version()->set_index(index_);
  meta.set_created_at(command_.proposed_at());
  meta.set_updated_at(command_.proposed_at());
}

void applier::updated(Meta& meta) const {
  meta.mutable_version()->set_index(index_);
  meta.set_updated_at(command_.proposed_at());
}

void applier::write(TableWrite::Table table, std::string key, const google::protobuf::Message* value) {
  auto& row = *out_.writes.Add();
  row.set_table(table);
  row.set_key(std::move(key));
  if (value == nullptr)
    return;
  // Tasks have no maps, and there are many of them.
  if (table == TableWrite::TABLE_TASK)
    value->SerializeToString(row.mutable_value());
  else
    row.set_value(stable_bytes(*value));
}

} // namespace swarm::store
