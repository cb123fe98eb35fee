// Values of secrets that a driver keeps, as one node's tasks need them: what was fetched, for whom, and what is to be asked.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/ids.hpp"

namespace swarm::dispatcher {

/// One value serves every task of the node that needs the secret, as long as a living task uses it; a value that its driver
/// gives for one task alone goes as soon as that task has its container. Tasks of one kind (service and spec version) wait
/// for one answer together and fail together; those of another kind are asked for separately, so that a driver may refuse
/// one service without harm to the next. Once a driver has answered for one task alone, each gets a question of its own.
///
/// Nothing is asked twice: a task that has failed stays so, and is replaced by the restart policy. Every order must be
/// answered once; an answer that nobody waits for any more changes nothing.
class secret_fetches {
public:
  struct order {
    std::uint64_t number = 0;
    std::string secret_id;
    task_id task;
  };
  /// What a driver said.
  struct answer {
    std::string problem; ///< "" = there is a value
    std::string value;
    bool do_not_reuse = false;
  };
  struct value {
    std::uint64_t number = 0; ///< of the order that it answers: two values of one secret never have the same
    std::string bytes;
  };

  /// The task cannot start without these (none twice). Once per task, until release().
  void need(const task_id& task, const std::string& kind, const std::vector<std::string>& secrets);
  /// It has its container, or will never have one.
  void release(const task_id& task);
  /// No living task uses it: the next one gets a fresh value.
  void forget(const std::string& secret_id);

  /// What is to be asked now: of tasks that need it still.
  [[nodiscard]] std::vector<order> take_orders();
  /// What an order that has no answer yet is about; "" = there is none of that number.
  [[nodiscard]] std::string secret_of(std::uint64_t number) const;
  /// Tasks that will never get what they need, because of this answer.
  [[nodiscard]] std::vector<task_id> answered(std::uint64_t number, answer what);

  /// Why the task gets no value; "" = nothing is wrong (yet).
  [[nodiscard]] const std::string& problem_of(const task_id& task) const;
  /// f(secret, nullptr or the one task that it is for, value)
  template <class F>
  void each_value(F f) const {
    for (const auto& [id, s] : secrets_) {
      if (s.shared)
        f(id, nullptr, *s.shared);
      for (const auto& [task, one] : s.own)
        f(id, &task, one);
    }
  }
  [[nodiscard]] std::size_t waiting() const; ///< tasks, counted once for each secret
  [[nodiscard]] std::uint64_t failures() const { return failures_; }
  void check_invariants() const;

private:
  struct lane {                      ///< the tasks of one kind
    std::map<task_id, bool> waiting; ///< asked for by itself?
    std::size_t asked = 0;           ///< orders without answer
  };
  struct secret {
    std::optional<value> shared;
    std::map<task_id, value> own;
    std::map<std::string, lane> lanes;
    bool one_each = false;
  };
  struct task_row {
    std::string kind;
    std::vector<std::string> secrets;
    std::string problem;
  };
  struct question {
    std::string secret_id;
    std::string kind;
    task_id task;
  };
  void ask(const std::string& secret_id, const std::string& kind, secret& s, std::vector<order>& out);
  void leave_lanes(const task_id& task, const task_row& row);
  void fail(const task_id& task, const std::string& problem, std::vector<task_id>& failed);

  std::map<std::string, secret> secrets_;
  std::map<task_id, task_row> tasks_;
  std::map<std::uint64_t, question> questions_; ///< asked, not answered
  bool look_ = false;                           ///< somebody may have a question
  std::uint64_t last_number_ = 0;
  std::uint64_t failures_ = 0;
};

} // namespace swarm::dispatcher
