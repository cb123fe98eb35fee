// The docker driver's decisions: one lane of calls per task, the engine's health, and what is found after a gap.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "drivers/docker/docker_events.hpp"
#include "drivers/docker/engine_map.hpp"
#include "drivers/docker/gate.hpp"
#include "drivers/docker/image_core.hpp"
#include "drivers/docker/network_core.hpp"
#include "drivers/driver_core.hpp"
#include "runtime/random.hpp"

namespace swarm::docker {

struct core_options {
  image_options images;
  network_options networks;
  std::string files_directory;                 ///< tmpfs folder of secrets and configs; one folder per task below it
  gate::options starting{8, 20'000, seconds{10}};  ///< create and start
  gate::options removing{8, 20'000, seconds{10}};
  duration call_deadline = seconds{10};        ///< inspect, list, info
  duration work_deadline = seconds{60};        ///< create, start, remove
  duration stop_margin = seconds{30};          ///< beyond the grace period
  duration ping_period = seconds{5};
  duration ping_deadline = seconds{5};
  driver::backoff_options reconnect{milliseconds{100}, seconds{2}};
  duration trouble_rest = seconds{15};         ///< after "no space left on device" and the like
  std::size_t lane_requests_max = 16;
};

/// One lane per task: its requests run one after the other, those of different tasks never wait for each other except
/// at the gates. Stop and Remove cancel a Prepare or Start that has not reached the engine yet.
///
///   Prepare   files ─► image ─► networks ─► gate ─► create ──201──► connect (each further network) ─► CREATED
///                                                     └──409──► inspect: ours → adopt, else conflict
///   Start     gate ─► start ─► inspect        Stop   stop ─► inspect
///   Remove    gate ─► remove ─► networks without tasks gone ─► files gone
///
/// Files go as soon as nothing can start with them any more: the container has ended (told by an event, an inspect or a
/// relist, also after a restart), is gone, was stopped before it began, or was refused. Only Prepare writes them again.
///
/// A lost answer is the caller's to clear up (errc::deadline_exceeded): the container's name is the task's, so that a
/// second Prepare finds what the first one made.
class core {
public:
  core(core_options opts, std::uint64_t seed);

  [[nodiscard]] effects step(instant now, const driver_event& ev);
  void check_invariants() const;
  [[nodiscard]] std::string dump() const;

  [[nodiscard]] bool healthy() const { return healthy_.value_or(false); }
  [[nodiscard]] std::size_t lanes() const { return lanes_.size(); }
  /// How logs and others reach the container of a task; "" when there is none.
  [[nodiscard]] std::string container_of(const std::string& task_id) const;
  /// "/v1.41": what stands before every target.
  [[nodiscard]] std::string prefix() const { return "/v1." + std::to_string(api_minor_); }

private:
  enum class stage : std::uint8_t { lookup, files, image, networks, gate, create, connect, adopt, start, inspect, stop, remove, leave };
  struct running {
    operation_id id = 0;
    docker::request request;
    stage at = stage::inspect;
    call_id call = 0;
    bool image_retried = false;
    bool removing = false;    // at the gate of removals
    std::size_t connected = 0; // networks that the container is on
  };
  enum class health_news : std::uint8_t { none, healthy, unhealthy };
  struct lane {
    std::string name;          // the container's, known from Prepare
    TaskHandle known;          // all news merged; container_id "" until known
    health_news health = health_news::none; // heard before the container was seen running
    std::optional<running> current;
    std::deque<operation> waiting;
    bool listed = false;       // during a relist
    bool may_have_files = true; // until it is known that there are none: an earlier daemon may have written them
  };
  enum class purpose : std::uint8_t { lane, ping, info, version, recover_list, recover_inspect, relist, refresh };
  struct pending {
    purpose what = purpose::lane;
    std::string task_id;
    operation_id id = 0;
  };
  struct recovery {
    RecoveredTasks found;
    std::size_t left = 0;
  };
  struct description {
    std::string info;
    std::string version;
  };

  // -- lanes (docker_lane.cpp)
  void enqueue(const operation& op);
  void advance(const std::string& task_id);
  void begin(const std::string& task_id, lane& l);
  void begin_prepare(const std::string& task_id, lane& l);
  void want_image(const std::string& task_id, lane& l);
  void want_networks(const std::string& task_id, lane& l);
  [[nodiscard]] std::vector<attachment> attachments_of(const TaskDescription& task) const;
  void connect_next(const std::string& task_id, lane& l);
  void connected(const std::string& task_id, lane& l, const answer& from);
  void enter_gate(const std::string& task_id, lane& l, bool removing);
  void go(const std::string& task_id, lane& l);
  void call_container(const std::string& task_id, lane& l, stage at);
  void lane_answer(const std::string& task_id, const answer& from);
  void created(const std::string& task_id, lane& l, const answer& from);
  void start_failed(const std::string& task_id, lane& l, const answer& from);
  void adopted(const std::string& task_id, lane& l, const answer& from);
  void inspected_after(const std::string& task_id, lane& l, const answer& from);
  void looked_up(const std::string& task_id, lane& l, const answer& from);
  void finish(const std::string& task_id, lane& l, docker::result result);
  void finish_absent(const std::string& task_id, lane& l);
  void drop_files(const std::string& task_id, lane& l);
  void cancel_unsent(const std::string& task_id, lane& l);
  void admit();
  void settle_images();
  void settle_networks();
  // -- the engine as a whole (docker_watch.cpp)
  void on_operation(const operation& op);
  void on_call_ended(const call_ended& ev);
  void on_ping(const answer& from);
  void on_event(const event& ev);
  void on_tick();
  void set_health(bool healthy, std::string message);
  void note_trouble(const answer& from);
  void recover(const operation& op);
  void recovered(const pending& p, const answer& from);
  void recovery_step(operation_id id);
  void relist();
  void relisted(const answer& from);
  void refreshed(const std::string& task_id, const answer& from);
  void fingerprint(operation_id id);
  void described(const pending& p, const answer& from);
  void learn(const std::string& task_id, const TaskHandle& news);
  void tell(const lane& l);

  call_id call(pending p, std::string method, std::string target, duration deadline, std::string body = {});
  [[nodiscard]] std::string our_filter() const;

  core_options opts_;
  random_source rng_;
  instant now_{};
  effects out_;
  image_core images_;
  network_core networks_;
  gate starting_;
  gate removing_;
  std::map<std::string, lane> lanes_;
  std::map<call_id, pending> calls_;
  std::map<operation_id, recovery> recoveries_;
  std::map<operation_id, description> descriptions_;
  std::deque<operation> early_;        // until the first answer to a ping tells how to speak to this engine
  std::string cluster_id_;
  std::string claimed_by_;
  std::string trouble_;
  instant trouble_until_{};
  std::optional<bool> healthy_;
  std::string health_message_;
  bool pinging_ = false;
  instant ping_at_{};
  bool ping_answers_ = false;
  enum class watch : std::uint8_t { closed, opening, open };
  watch watch_ = watch::closed;
  instant watch_at_{};
  driver::backoff watch_backoff_;
  driver::backoff ping_backoff_;
  bool relist_due_ = false;
  bool relisting_ = false;
  std::uint32_t api_minor_ = 41;
  call_id next_call_ = 1;
};

} // namespace swarm::docker
