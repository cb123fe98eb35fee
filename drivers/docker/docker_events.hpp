// What may happen to the docker driver and what it wants done: the words that its core and its shell share.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "messages/driver.pb.h"
#include "messages/errors.hpp"
#include "runtime/time.hpp"

namespace swarm::docker {

using operation_id = std::uint64_t;
using call_id = std::uint64_t;

// -- what may happen -----------------------------------------------------------------------------------------------

using request = std::variant<PrepareTask, StartTask, StopTask, RemoveTask, InspectTask, RecoverTasks, FingerprintNode>;

struct operation {
  operation_id id = 0;
  docker::request request;
};

/// How far a call came. `nothing`: the engine cannot have acted on it. `unknown`: it may have.
enum class outcome : std::uint8_t { answered, nothing, unknown };

struct answer {
  outcome how = outcome::answered;
  int status = 0;
  std::string body;
  std::string text;         ///< of the client, when there is no answer
  std::string api_version;  ///< the Api-Version header, "" when absent
};

struct call_ended {
  call_id call = 0;
  docker::answer answer;
};
struct pull_printed {
  call_id call = 0;
  std::string line;
};
struct pull_ended {
  call_id call = 0;
  docker::answer answer;
};
struct files_written {
  std::string task_id;
  failure error;
};
struct events_opened {};
struct event_printed {
  std::string line;
};
struct events_closed {
  std::string text;
};
/// Another swarm-node holds this engine's lock: refuse everything (non-empty), or no longer.
struct engine_claimed {
  std::string by;
};
struct ticked {};

using driver_event = std::variant<operation, call_ended, pull_printed, pull_ended, files_written, events_opened,
                                  event_printed, events_closed, engine_claimed, ticked>;

// -- what the shell must do, in this order --------------------------------------------------------------------------

struct make_call {
  call_id id = 0;
  std::string method;
  std::string target;
  std::string body;
  duration deadline{};
};
struct start_pull {
  call_id id = 0;
  std::string target;
  std::string auth;
  duration head_deadline{}; ///< the registry must have answered by then; after it only silence ends a pull
};
struct cancel_pull {
  call_id id = 0;
};
/// Answered by events_opened, lines, and one events_closed.
struct open_events {
  std::string target;
};
/// Answered by files_written at once.
struct write_files {
  std::string task_id;
  std::vector<SecretFile> files;
};
struct remove_files {
  std::string task_id;
};
using result = std::variant<TaskHandle, RecoveredTasks, NodeFingerprint, failure>;
struct deliver {
  operation_id id = 0;
  docker::result result;
};
struct observe {
  TaskHandle handle;
};
struct report_health {
  bool healthy = false;
  std::string message;
};

using effect = std::variant<make_call, start_pull, cancel_pull, open_events, write_files, remove_files, deliver,
                            observe, report_health>;
using effects = std::vector<effect>;

/// An answer that is no success as an error: nothing → unavailable, unknown → deadline_exceeded, 400 invalid_argument,
/// 404 not_found, 409 conflict, 503 and other 5xx by what the text says. `what` stands before the engine's own text.
[[nodiscard]] failure to_failure(const answer& from, std::string_view what = {});

/// The host itself is in need (disk, descriptors, memory): no task is to blame.
[[nodiscard]] bool is_host_trouble(std::string_view message);

} // namespace swarm::docker
