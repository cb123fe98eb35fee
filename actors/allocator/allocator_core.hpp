// Finds services that still need ports or addresses and tasks that need addresses, and says when to propose what.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actors/allocator/address_book.hpp"
#include "messages/store.pb.h"
#include "runtime/random.hpp"
#include "runtime/time.hpp"

namespace swarm::allocator {

struct options {
  duration retry_min = milliseconds{500};
  duration retry_max = minutes{5}; ///< Swarm's own period for what could not be allocated
  std::size_t batch_max = 500;     ///< services in one Command
  std::size_t tasks_max = 10'000;  ///< tasks in one Command
  std::size_t bytes_max = 1 << 20; ///< of one Command, about
};

/// Ports and subnets are given by STORE in the very entry that creates or changes a service or network, so that a refusal
/// reaches the user. What is left is here: the service for which no port was free, the virtual addresses of services, the
/// addresses of tasks, which are NEW until they have them, and the networks that every swarm has from the start.
///
/// Whatever cannot be had is asked for again as soon as something is given back, else with growing pauses; the task says in
/// its status what it waits for.
///
/// Only the leader allocates, and a new leader begins with what the state says, so two never give the same address.
class core {
public:
  core(options opts, random_source rng) : opts_{opts}, rng_{rng} {}

  void reset(instant now, const StoreSnapshot& snapshot);
  void observe(instant now, const EventBatch& batch);

  /// The Command to propose now, if any. While one is on its way there is no other: answer it with settled().
  [[nodiscard]] std::optional<Command> propose(instant now, wall_ns wall);
  /// The proposal was applied, refused or lost. Whoever still waits has its next turn after a pause.
  void settled();

  /// When propose() may have something; nullopt while nothing waits.
  [[nodiscard]] std::optional<instant> next_due() const;
  [[nodiscard]] std::size_t behind() const { return behind_.size(); }
  [[nodiscard]] std::size_t new_tasks() const { return new_tasks_.size(); }
  void check_invariants() const;
  [[nodiscard]] std::string dump() const;

private:
  struct waiting {
    EndpointSpec wanted;
    Endpoint last;
    std::vector<std::string> networks; ///< on which it shall have a virtual address, in the order of the spec
    bool ports_missing = false;
    std::uint64_t spec_version = 0;
    instant due;
    duration pause{};
  };
  struct waiting_task {
    std::string service_id;
    std::uint64_t spec_version = 0;
    std::string told; ///< why it waits, as its status says
  };
  using attachments = google::protobuf::RepeatedPtrField<NetworkAttachmentConfig>;

  void judge(instant now, const Service& service);
  void judge(instant now, const Task& task, bool removed);
  void learn(const Network& network, bool removed);
  void learn(const TaskTemplate& definition, bool removed);
  void something_was_freed(instant now);
  void want_first_networks(const Cluster& cluster, instant now);
  void propose_first_networks(instant now, Command& command);
  void propose_services(instant now, Command& command);
  bool propose_addresses(const std::string& service_id, const waiting& entry, Endpoint& endpoint);
  void propose_tasks(instant now, wall_ns wall, Command& command);
  /// Fills in the task's networks; "" or why it must wait.
  [[nodiscard]] std::string attach(const std::string& task_id, const waiting_task& task, TaskChange& change);

  options opts_;
  random_source rng_;
  address_book book_;
  std::map<std::string, waiting> behind_;                             // by service id
  std::map<std::string, waiting_task> new_tasks_;                     // by task id
  std::map<std::pair<std::string, std::uint64_t>, attachments> networks_of_; // of templates that name some
  std::vector<Network> first_networks_;                               // until they are there
  instant first_due_;
  duration first_pause_{};
  instant tasks_due_;
  duration tasks_pause_{};
  bool in_flight_ = false;
};

/// Whether the endpoint's ports are not those of the spec.
[[nodiscard]] bool is_behind(const Service& service);

} // namespace swarm::allocator
