// Gathering, bounding and acknowledging of task statuses.
#include "actors/dispatcher/status_intake.hpp"

#include <algorithm>

#include "runtime/check.hpp"

namespace swarm::dispatcher {

namespace {

constexpr std::size_t command_changes_max = 10'000;
constexpr std::size_t command_bytes_max = 1'300'000;
constexpr std::size_t ports_max = 1'000;
constexpr duration retry_first = milliseconds{100};
constexpr duration retry_max = seconds{5};

bool is_agents(TaskState state) { return state >= TASK_STATE_ACCEPTED && state <= TASK_STATE_REJECTED; }

void cut(std::string& text) {
  if (text.size() <= status_text_max)
    return;
  auto end = status_text_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
    --end; // not inside a UTF-8 sequence
  text.resize(end);
}

} // namespace

void status_intake::append(batch& to, const std::string& node, const UpdateTaskStatus::Update& update) {
  const task_id id{update.task_id()};
  const auto [it, fresh] = to.position.try_emplace(id, to.update.changes_size());
  auto& change = fresh ? *to.update.add_changes() : *to.update.mutable_changes(it->second);
  if (!fresh) {
    if (change.reporter_node_id() != node || change.status().state() > update.status().state())
      return;
    to.bytes -= std::min(to.bytes, change.ByteSizeLong());
    --waiting_;
  }
  change.set_task_id(update.task_id());
  change.set_reporter_node_id(node);
  auto& status = *change.mutable_status();
  status = update.status();
  cut(*status.mutable_message());
  cut(*status.mutable_err());
  cut(*status.mutable_container_status()->mutable_container_id());
  if (!update.status().has_container_status())
    status.clear_container_status();
  if (status.port_status().ports_size() > static_cast<int>(ports_max))
    status.clear_port_status();
  to.bytes += change.ByteSizeLong() + 4;
  ++waiting_;
}

bool status_intake::add(const UpdateTaskStatus& report) {
  const auto count = static_cast<std::size_t>(report.updates_size());
  if (count > report_updates_max || waiting_ + count > waiting_updates_max)
    return false;
  const auto open = [&]() -> batch& {
    const bool closed = batches_.empty() || (in_flight_ && batches_.size() == 1);
    if (closed || batches_.back().position.size() >= command_changes_max || batches_.back().bytes >= command_bytes_max)
      batches_.emplace_back();
    return batches_.back();
  };
  for (const auto& update : report.updates())
    if (is_agents(update.status().state()) && task_id{update.task_id()})
      append(open(), report.node_id(), update);
  auto& done = open().reports[report.node_id()];
  done.set_session_id(report.session_id());
  done.set_sequence(report.sequence());
  return true;
}

std::optional<Command> status_intake::next_command(timestamp now) {
  if (in_flight_ || batches_.empty() || (retry_at_ && now.now < *retry_at_))
    return std::nullopt;
  retry_at_.reset();
  Command out;
  out.set_machine_version(1);
  out.set_proposed_at(now.wall);
  *out.add_actions()->mutable_update_tasks() = batches_.front().update;
  in_flight_ = true;
  return out;
}

std::vector<accepted> status_intake::committed(timestamp now, const failure& outcome) {
  SWARM_CHECK(in_flight_ && !batches_.empty());
  in_flight_ = false;
  std::vector<accepted> out;
  if (outcome.ok()) {
    refusals_ = 0;
    for (auto& [node, message] : batches_.front().reports)
      out.push_back({node, std::move(message)});
    waiting_ -= batches_.front().position.size();
    batches_.pop_front();
    return out;
  }
  auto pause = retry_first;
  for (unsigned i = 0; i < refusals_ && pause < retry_max; ++i)
    pause *= 2;
  ++refusals_;
  retry_at_ = now.now + std::min(pause, retry_max);
  return out;
}

} // namespace swarm::dispatcher
