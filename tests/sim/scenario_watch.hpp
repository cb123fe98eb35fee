// What a scenario knows of its cluster: the committed rows of its one service, and the containers that really ran.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "messages/driver.pb.h"
#include "messages/store.pb.h"

namespace swarm::sim {

struct watched_task {
  Task row; ///< as committed last
  std::string image;
  std::string files; ///< contents of its secrets and configs, as its agent has them
  bool removed = false;
  std::uint64_t created_us = 0;
  std::uint64_t started_us = 0; ///< its container; 0 = never
  std::uint64_t ended_us = 0;   ///< 0 = has not
  std::int64_t exit_code = 0;

  [[nodiscard]] bool runs() const { return started_us != 0 && ended_us == 0; }
  [[nodiscard]] bool wanted() const { return !removed && row.desired_state() <= TASK_STATE_COMPLETE; }
};

class scenario_watch {
public:
  using tasks = std::vector<const watched_task*>; ///< in the order of their creation

  void committed(std::uint64_t now_us, const EventBatch& events);
  void described(const TaskDescription& task);
  void container_started(std::uint64_t now_us, const std::string& task);
  void container_ended(std::uint64_t now_us, const std::string& task, std::int64_t exit_code);

  /// Null: there is none.
  [[nodiscard]] const Service* service() const { return has_service_ ? &service_ : nullptr; }
  [[nodiscard]] UpdateState update_state() const { return service_.update_status().state(); }
  [[nodiscard]] const std::string& image() const { return service_.spec().task_template().container_spec().image(); }
  [[nodiscard]] std::string secret(const std::string& name) const; ///< its id; "" = there is none
  [[nodiscard]] const Node* node(const std::string& id) const;
  /// All that ever were.
  [[nodiscard]] tasks all() const;
  /// The same by slot; by node when the service is global.
  [[nodiscard]] std::map<std::string, tasks> slots() const;
  [[nodiscard]] const watched_task* find(const std::string& task) const;

  template <class Which>
  [[nodiscard]] std::size_t count(Which which) const {
    std::size_t out = 0;
    for (const auto& [id, task] : tasks_)
      out += which(task) ? 1 : 0;
    return out;
  }
  [[nodiscard]] std::size_t running() const;
  [[nodiscard]] std::size_t running(const std::string& image) const;
  [[nodiscard]] std::size_t created(const std::string& image) const;
  [[nodiscard]] std::size_t failed() const;    ///< containers, that ended by themselves with a code that is not 0
  [[nodiscard]] std::size_t completed() const; ///< ... with code 0
  /// For the report of a failure: every task that ever was.
  [[nodiscard]] std::string render() const;

private:
  Service service_;
  bool has_service_ = false;
  std::map<std::uint64_t, std::string> images_; ///< by spec version
  std::map<std::string, Node> nodes_;
  std::map<std::string, std::string> secrets_; ///< name -> id
  std::map<std::string, watched_task> tasks_;
  std::vector<std::string> order_;
};

} // namespace swarm::sim
