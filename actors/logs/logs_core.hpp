// Decides whose log lines a reader gets, how its credit is shared out, and when its stream ends.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "messages/driver.pb.h"
#include "messages/logs.pb.h"
#include "messages/store.pb.h"
#include "runtime/ids.hpp"
#include "runtime/time.hpp"

namespace swarm::logs {

/// What must be known of a task to read its log.
struct task_place {
  std::string service_id;
  std::string node_id;   ///< "" = not scheduled
  TaskState state = TASK_STATE_NEW;
};

/// Every task of the cluster, small: a manager has many, and nobody reads most of their logs.
class task_places {
public:
  void put(const Task& task);
  void erase(const std::string& id);
  /// The tasks that `request` may want: all of its services, and those that it names.
  [[nodiscard]] std::map<std::string, task_place> candidates(const SubscribeLogs& request) const;
  [[nodiscard]] std::size_t size() const { return rows_.size(); }

private:
  struct row {
    swarm::service_id service;
    swarm::node_id node;
    TaskState state = TASK_STATE_NEW;
  };
  boost::unordered_flat_map<swarm::task_id, row, id_hash> rows_;
};

// -- what the shell must do, in this order -------------------------------------------------------------------------------
struct open_stream { std::string node_id; ReadTaskLogs request; };   ///< ask that node's agent
struct grant { std::string node_id; LogCredit credit; };
struct cancel { std::string node_id; CancelLogs request; };
struct deliver { LogChunk chunk; };                                  ///< to the reader
using effect = std::variant<open_stream, grant, cancel, deliver>;
using effects = std::vector<effect>;

/// One reader's subscription. Streams of tasks have numbers of their own: the caller hands out `first_stream` and up.
///
/// Without follow: tasks that have started are read to their end, those without a node and those on nodes that are away
/// are named in the last chunk (behaviour §2.8). With follow: tasks are added as they start, and it never ends by itself.
/// A node that stays silent for the deadline is given up and named, so that one dead host does not hold up the rest.
class reader {
public:
  reader(SubscribeLogs request, std::uint64_t first_stream) : request_{std::move(request)}, next_stream_{first_stream} {}

  [[nodiscard]] effects begin(instant now, const std::map<std::string, task_place>& tasks, const std::set<std::string>& nodes);
  /// A task of the cluster has changed.
  [[nodiscard]] effects task_changed(instant now, const std::string& task_id, const task_place& task, const std::set<std::string>& nodes);
  /// From an agent, for one of our streams.
  [[nodiscard]] effects chunk(instant now, const LogChunk& chunk);
  /// The reader has consumed so many bytes (or, first, gives its window).
  [[nodiscard]] effects credit(std::uint32_t bytes);
  [[nodiscard]] effects tick(instant now);
  [[nodiscard]] effects stop();

  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] bool owns(std::uint64_t stream) const { return streams_.count(stream) > 0; }
  [[nodiscard]] std::uint64_t next_stream() const { return next_stream_; }

private:
  struct stream {
    std::string task_id, node_id;
    std::int64_t owed = 0;   ///< bytes that may be granted to it: its share of the window that it has used up
    bool spoke = false;
    bool ended = false;
    instant opened;
  };
  [[nodiscard]] bool wants(const std::string& task_id, const task_place& task) const;
  void open(instant now, const std::string& task_id, const task_place& task, effects& out);
  void share(effects& out);
  void finish_if_done(effects& out);

  SubscribeLogs request_;
  std::uint64_t next_stream_;
  std::map<std::uint64_t, stream> streams_;
  std::set<std::string> seen_tasks_;
  std::vector<std::string> missing_;
  std::int64_t window_ = 0;  ///< credit of the reader that no stream holds
  bool ended_ = false;
};

} // namespace swarm::logs
