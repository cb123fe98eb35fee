// The requests of one task, step by step; see the diagram in docker_core.hpp.
#include <algorithm>

#include "drivers/docker/docker_core.hpp"
#include "runtime/check.hpp"
#include "runtime/overload.hpp"
#include "runtime/text.hpp"

namespace swarm::docker {
namespace {

// To the engine, starting what has ended means to run it once more.
bool has_started(const TaskHandle& known) { return known.phase() > TaskHandle::PHASE_CREATED; }

bool is_success(const answer& from) {
  return from.how == outcome::answered && (from.status < 300 || from.status == 304) && from.status >= 200;
}

bool is_missing(const answer& from) {
  return from.how == outcome::answered && from.status == 404;
}

bool is_reference(const std::string& image) {
  return !image.empty() && std::all_of(image.begin(), image.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view{"._:/@-"}.find(c) != std::string_view::npos;
  });
}

// Container names and ids stand in a path: nothing else may.
bool is_container_name(const std::string& name) {
  return is_reference(name) && name.find_first_of("/:@") == std::string::npos;
}

std::string task_of(const request& request) {
  return std::visit(overload{
    [](const PrepareTask& r) { return r.task().task_id(); },
    [](const RecoverTasks&) { return std::string{}; },
    [](const FingerprintNode&) { return std::string{}; },
    [](const auto& r) { return r.task_id(); },
  }, request);
}

/// It was there a moment ago: whoever asks again makes it anew.
failure missing_network(const std::vector<attachment>& attachments) {
  for (const auto& attached : attachments)
    if (attached.engine_network.empty())
      return {errc::unavailable, "network " + attached.on->network_id() + " is not on this engine any more"};
  return {};
}

bool ends_a_task(const request& request) {
  return std::holds_alternative<StopTask>(request) || std::holds_alternative<RemoveTask>(request);
}

} // namespace

void core::enqueue(const operation& op) {
  const auto task_id = task_of(op.request);
  if (!is_container_name(task_id)) {
    out_.push_back(deliver{op.id, failure{errc::invalid_argument, "a task needs an id"}});
    return;
  }
  auto& l = lanes_[task_id];
  if (l.waiting.size() >= opts_.lane_requests_max) {
    out_.push_back(deliver{op.id, failure{errc::resource_exhausted, "more than " + std::to_string(opts_.lane_requests_max)
                                                                      + " requests wait for task " + task_id}});
    return;
  }
  l.waiting.push_back(op);
  if (l.current && ends_a_task(op.request))
    cancel_unsent(task_id, l);
  advance(task_id);
}

void core::cancel_unsent(const std::string& task_id, lane& l) {
  if (ends_a_task(l.current->request))
    return;
  const auto at = l.current->at;
  if (at != stage::image && at != stage::networks && at != stage::gate)
    return;
  if (at == stage::image)
    images_.leave(task_id, out_);
  if (at == stage::networks)
    networks_.stop_waiting(task_id);
  starting_.leave(task_id);
  finish(task_id, l, failure{errc::unavailable, "cancelled: the task is being stopped"});
}

void core::advance(const std::string& task_id) {
  // A request may be over at once, and then the next one begins; each pass takes one off a bounded queue.
  for (;;) {
    const auto it = lanes_.find(task_id);
    if (it == lanes_.end() || it->second.current)
      return;
    auto& l = it->second;
    if (l.waiting.empty()) {
      if (l.known.phase() == TaskHandle::PHASE_ABSENT && l.name.empty())
        lanes_.erase(it);
      return;
    }
    l.current = running{l.waiting.front().id, std::move(l.waiting.front().request)};
    l.waiting.pop_front();
    begin(task_id, l);
  }
}

void core::begin(const std::string& task_id, lane& l) {
  if (std::holds_alternative<PrepareTask>(l.current->request))
    return begin_prepare(task_id, l);
  // By name only to look: what is stopped, started or removed must be known to be the task's own.
  const auto looks_only = std::holds_alternative<InspectTask>(l.current->request) && !l.name.empty();
  if (l.known.container().container_id().empty() && !looks_only) {
    l.current->at = stage::lookup;
    const auto filter = label_filter({{"label", {std::string{driver::label_task_id} + "=" + task_id}}});
    l.current->call = call({purpose::lane, task_id, 0}, "GET", "/containers/json?all=1&filters=" + filter, opts_.call_deadline);
    return;
  }
  std::visit(overload{
    [&](const StartTask&) { has_started(l.known) ? call_container(task_id, l, stage::inspect) : enter_gate(task_id, l, false); },
    [&](const RemoveTask&) { enter_gate(task_id, l, true); },
    [&](const StopTask&) { call_container(task_id, l, stage::stop); },
    [&](const auto&) { call_container(task_id, l, stage::inspect); },
  }, l.current->request);
}

void core::begin_prepare(const std::string& task_id, lane& l) {
  const auto& task = std::get<PrepareTask>(l.current->request).task();
  if (l.known.phase() == TaskHandle::PHASE_ABSENT)
    l.may_have_files = !task.secret_files().empty();
  if (const auto error = driver::mount_error(task.spec()); !error.empty())
    return finish(task_id, l, failure{errc::invalid_argument, error});
  const auto& image = task.spec().container_spec().image();
  if (!is_reference(image) || !is_container_name(task.task_name()))
    return finish(task_id, l, failure{errc::invalid_argument, image.empty() ? "dockerexec: image required" : "invalid reference format"});
  l.name = task.task_name();
  if (cluster_id_.empty())
    cluster_id_ = task.cluster_id();
  // Made earlier: look at it again. Not on all of its networks, perhaps, before it was started: then as with a new one.
  const bool made = l.known.phase() != TaskHandle::PHASE_ABSENT;
  if (made && l.known.phase() == TaskHandle::PHASE_CREATED && task.network_definitions_size() > 0)
    return want_networks(task_id, l);
  if (made)
    return call_container(task_id, l, stage::inspect);
  if (task.secret_files().empty())
    return want_image(task_id, l);
  l.current->at = stage::files;
  out_.push_back(write_files{task_id, {task.secret_files().begin(), task.secret_files().end()}});
}

void core::want_image(const std::string& task_id, lane& l) {
  const auto& task = std::get<PrepareTask>(l.current->request).task();
  l.current->at = stage::image;
  const auto verdict = images_.want(now_, task.spec().container_spec().image(), registry_auth(task), task_id, next_call_, out_);
  if (verdict == image_core::verdict::ready)
    want_networks(task_id, l);
}

void core::want_networks(const std::string& task_id, lane& l) {
  l.current->at = stage::networks;
  if (networks_.want(std::get<PrepareTask>(l.current->request).task(), next_call_, out_) == network_core::verdict::ready)
    enter_gate(task_id, l, false);
}

void core::settle_networks() {
  for (const auto& [task_id, error] : networks_.settled()) {
    const auto it = lanes_.find(task_id);
    if (it == lanes_.end() || !it->second.current)
      continue;
    const auto at = it->second.current->at;
    if (at == stage::leave)
      finish_absent(task_id, it->second);
    else if (at == stage::networks && error.ok())
      enter_gate(task_id, it->second, false);
    else if (at == stage::networks)
      finish(task_id, it->second, error);
    advance(task_id);
  }
}

std::vector<attachment> core::attachments_of(const TaskDescription& task) const {
  std::vector<attachment> out;
  for (const auto& network : task.networks())
    if (network.predefined_name().empty())
      out.push_back({networks_.engine_id(network.network_id()), &network});
  return out;
}

void core::settle_images() {
  for (const auto& [task_id, error] : images_.settled()) {
    const auto it = lanes_.find(task_id);
    if (it == lanes_.end() || !it->second.current || it->second.current->at != stage::image)
      continue;
    if (error.ok())
      want_networks(task_id, it->second);
    else
      finish(task_id, it->second, error);
    advance(task_id);
  }
}

void core::enter_gate(const std::string& task_id, lane& l, bool removing) {
  l.current->at = stage::gate;
  l.current->removing = removing;
  auto& door = removing ? removing_ : starting_;
  const auto urgent = std::holds_alternative<StartTask>(l.current->request);
  switch (door.enter(now_, task_id, urgent)) {
    case gate::admission::now: return go(task_id, l);
    case gate::admission::later: return;
    case gate::admission::full:
      return finish(task_id, l, failure{errc::resource_exhausted, std::to_string(door.waiting()) + " tasks wait for the engine already"});
  }
}

void core::admit() {
  for (auto* door : {&starting_, &removing_})
    while (const auto task_id = door->next(now_)) {
      const auto it = lanes_.find(*task_id);
      if (it == lanes_.end() || !it->second.current || it->second.current->at != stage::gate) {
        door->leave(*task_id);
        continue;
      }
      go(*task_id, it->second);
    }
}

void core::go(const std::string& task_id, lane& l) {
  if (const auto* prepare = std::get_if<PrepareTask>(&l.current->request)) {
    l.current->at = stage::create;
    const auto attachments = attachments_of(prepare->task());
    if (const auto error = missing_network(attachments); !error.ok()) {
      starting_.leave(task_id);
      finish(task_id, l, error);
      return;
    }
    l.current->call = call({purpose::lane, task_id, 0}, "POST", "/containers/create?name=" + l.name, opts_.work_deadline,
                           create_body(prepare->task(), opts_.files_directory + "/" + task_id,
                                       attachments.empty() ? nullptr : attachments.data()));
    return;
  }
  if (!l.current->removing && has_started(l.known)) { // seen while it waited: an earlier start that was given up has worked
    starting_.leave(task_id);
    return call_container(task_id, l, stage::inspect);
  }
  call_container(task_id, l, l.current->removing ? stage::remove : stage::start);
}

void core::call_container(const std::string& task_id, lane& l, stage at) {
  l.current->at = at;
  const auto path = "/containers/" + container_of(task_id);
  const pending p{purpose::lane, task_id, 0};
  switch (at) {
    case stage::start:
      l.current->call = call(p, "POST", path + "/start", opts_.work_deadline);
      return;
    case stage::stop: {
      const auto& stop = std::get<StopTask>(l.current->request);
      const auto grace = std::clamp<std::int64_t>(stop.grace_period(), 0, duration{hours{24}}.count());
      auto target = path + "/stop?t=" + std::to_string(grace / duration{seconds{1}}.count());
      if (!stop.signal().empty() && api_minor_ >= 42 && is_container_name(stop.signal()))
        target += "&signal=" + stop.signal();
      l.current->call = call(p, "POST", target, duration{grace} + opts_.stop_margin);
      return;
    }
    case stage::remove:
      l.current->call = call(p, "DELETE", path + "?force=1&v=1", opts_.work_deadline);
      return;
    default:
      l.current->call = call(p, "GET", path + "/json", opts_.call_deadline);
      return;
  }
}

void core::lane_answer(const std::string& task_id, const answer& from) {
  auto& l = lanes_.at(task_id);
  const auto at = l.current->at;
  if (at == stage::create || at == stage::start)
    note_trouble(from);
  switch (at) {
    case stage::lookup: looked_up(task_id, l, from); break;
    case stage::create: created(task_id, l, from); break;
    case stage::connect: connected(task_id, l, from); break;
    case stage::adopt: adopted(task_id, l, from); break;
    case stage::start:
      starting_.leave(task_id);
      if (is_success(from))
        call_container(task_id, l, stage::inspect);
      else
        start_failed(task_id, l, from);
      break;
    case stage::stop:
      if (is_success(from))
        call_container(task_id, l, stage::inspect);
      else if (is_missing(from))
        finish_absent(task_id, l);
      else
        finish(task_id, l, to_failure(from, "stopping container failed"));
      break;
    case stage::remove: {
      removing_.leave(task_id);
      if (is_success(from) || is_missing(from)) {
        finish_absent(task_id, l);
        break;
      }
      auto error = to_failure(from, "removing container failed");
      if (from.how == outcome::answered) // in progress already, device busy: it goes with time
        error.code = errc::unavailable;
      finish(task_id, l, std::move(error));
      break;
    }
    default: inspected_after(task_id, l, from); break;
  }
  advance(task_id);
}

void core::created(const std::string& task_id, lane& l, const answer& from) {
  const auto message = from.how == outcome::answered ? read_message(from.body) : std::string{};
  if (from.how == outcome::answered && from.status == 409)
    return call_container(task_id, l, stage::adopt);
  starting_.leave(task_id);
  if (is_success(from)) {
    const auto id = read_created_id(from.body);
    if (!is_container_name(id))
      return finish(task_id, l, failure{errc::deadline_exceeded, "the engine's answer to create has no container id"});
    TaskHandle handle;
    handle.set_phase(TaskHandle::PHASE_CREATED);
    handle.set_task_id(task_id);
    handle.mutable_container()->set_container_id(id);
    driver::merge_handle(l.known, handle);
    const bool on_first = !on_engine_network(std::get<PrepareTask>(l.current->request).task());
    l.current->connected = on_first ? 1 : 0;
    return connect_next(task_id, l);
  }
  if (is_missing(from) && message.find("No such image") != std::string::npos) {
    const auto& image = std::get<PrepareTask>(l.current->request).task().spec().container_spec().image();
    images_.forget(image);
    if (l.current->image_retried || parse_image(image).is_id)
      return finish(task_id, l, failure{errc::no_such_image, message});
    l.current->image_retried = true;
    return want_image(task_id, l);
  }
  auto error = to_failure(from);
  if (error.code == errc::not_found) { // a network or runtime that is not there
    networks_.forget();
    error.code = errc::invalid_argument;
  }
  finish(task_id, l, std::move(error));
}

/// Puts a container that has not been started on each network that it was not created on; answers Prepare when done.
void core::connect_next(const std::string& task_id, lane& l) {
  const auto& task = std::get<PrepareTask>(l.current->request).task();
  const auto attachments = attachments_of(task);
  if (l.current->connected >= attachments.size() || l.known.phase() != TaskHandle::PHASE_CREATED)
    return finish(task_id, l, l.known);
  if (const auto error = missing_network(attachments); !error.ok())
    return finish(task_id, l, error);
  const auto& next = attachments[l.current->connected];
  l.current->at = stage::connect;
  l.current->call = call({purpose::lane, task_id, 0}, "POST", "/networks/" + next.engine_network + "/connect", opts_.work_deadline,
                         connect_body(task, container_of(task_id), next));
}

void core::connected(const std::string& task_id, lane& l, const answer& from) {
  const auto is_there = from.how == outcome::answered && from.status == 403
                        && read_message(from.body).find("already exists in network") != std::string::npos;
  if (!is_success(from) && !is_there) {
    if (is_missing(from))
      networks_.forget();
    return finish(task_id, l, to_failure(from, "connecting to a network failed"));
  }
  ++l.current->connected;
  connect_next(task_id, l);
}

void core::start_failed(const std::string& task_id, lane& l, const answer& from) {
  auto error = to_failure(from, "starting container failed");
  if (is_missing(from) && error.message.find("network") != std::string::npos)
    networks_.forget(); // somebody has removed it; the next task makes it anew
  finish(task_id, l, std::move(error));
}

void core::adopted(const std::string& task_id, lane& l, const answer& from) {
  starting_.leave(task_id);
  if (is_missing(from)) // the name is taken by a create that has not come to its end
    return finish(task_id, l, failure{errc::unavailable, "the engine is still creating " + l.name});
  if (!is_success(from))
    return finish(task_id, l, to_failure(from));
  inspected found;
  if (const auto error = read_inspect(from.body, found); !error.ok())
    return finish(task_id, l, error);
  const auto& task = std::get<PrepareTask>(l.current->request).task();
  if (found.handle.task_id() != task_id || found.cluster_id != task.cluster_id())
    return finish(task_id, l, failure{errc::conflict, "the container name \"" + l.name + "\" is already in use by container "
                                                        + found.handle.container().container_id()});
  learn(task_id, found.handle);
  connect_next(task_id, l); // it may have been made without all of its networks
}

void core::inspected_after(const std::string& task_id, lane& l, const answer& from) {
  if (is_missing(from))
    return finish_absent(task_id, l);
  if (!is_success(from))
    return finish(task_id, l, to_failure(from));
  inspected found;
  if (const auto error = read_inspect(from.body, found); !error.ok())
    return finish(task_id, l, error);
  if (found.handle.task_id() != task_id) // asked by name, and the name is someone else's
    return finish_absent(task_id, l);
  learn(task_id, found.handle);
  finish(task_id, l, l.known);
}

void core::looked_up(const std::string& task_id, lane& l, const answer& from) {
  std::vector<listed> rows;
  auto error = is_success(from) ? read_list(from.body, rows) : to_failure(from);
  if (!error.ok())
    return finish(task_id, l, std::move(error));
  std::erase_if(rows, [&](const listed& row) {
    return row.task_id != task_id || row.cluster_id.empty() || !is_container_name(row.container_id);
  });
  if (rows.empty()) {
    if (std::holds_alternative<StartTask>(l.current->request))
      return finish(task_id, l, failure{errc::not_found, "starting container failed: No such container: " + task_id});
    return finish_absent(task_id, l);
  }
  l.known.set_task_id(task_id);
  l.known.set_phase(TaskHandle::PHASE_CREATED); // at least; what it really is, the next inspect says
  l.known.mutable_container()->set_container_id(rows.front().container_id);
  begin(task_id, l);
}

void core::finish_absent(const std::string& task_id, lane& l) {
  const auto removed = std::holds_alternative<RemoveTask>(l.current->request);
  if (removed && l.current->at != stage::leave) {
    l.current->at = stage::leave;
    if (networks_.release(task_id, next_call_, out_) == network_core::verdict::wait)
      return; // settle_networks() comes back here
  }
  TaskHandle handle;
  handle.set_task_id(task_id);
  l.known = handle;
  l.may_have_files = l.may_have_files || removed; // an end that nobody saw here: looked for once more
  drop_files(task_id, l);
  if (removed)
    l.name.clear(); // the lane goes when its queue is empty
  finish(task_id, l, std::move(handle));
}

void core::finish(const std::string& task_id, lane& l, docker::result result) {
  SWARM_CHECK(l.current, task_id);
  const auto* error = std::get_if<failure>(&result);
  const auto begins = !ends_a_task(l.current->request) && !std::holds_alternative<InspectTask>(l.current->request);
  const auto refused = begins && error != nullptr && classify(error->code) == error_class::refused;
  const auto stopped = std::holds_alternative<StopTask>(l.current->request) && error == nullptr;
  // What was refused is not asked for again, and what was stopped before it began never begins.
  if ((stopped || refused) && l.known.phase() != TaskHandle::PHASE_RUNNING)
    drop_files(task_id, l);
  out_.push_back(deliver{l.current->id, std::move(result)});
  l.current.reset();
}

void core::drop_files(const std::string& task_id, lane& l) {
  if (std::exchange(l.may_have_files, false))
    out_.push_back(remove_files{task_id});
}

std::string core::container_of(const std::string& task_id) const {
  const auto it = lanes_.find(task_id);
  if (it == lanes_.end())
    return {};
  const auto& id = it->second.known.container().container_id();
  return id.empty() ? it->second.name : id;
}

} // namespace swarm::docker
