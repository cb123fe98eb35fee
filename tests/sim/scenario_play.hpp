// One run of a scenario: steps one after another, a change of leaders at the moment that the seed has chosen, and checks.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "messages/control.pb.h"
#include "runtime/random.hpp"
#include "tests/sim/cluster_knobs.hpp"
#include "tests/sim/cluster_script.hpp"
#include "tests/sim/raft_host.hpp"
#include "tests/sim/scenario_watch.hpp"

namespace swarm::sim {

class scenario_play;

struct scenario {
  const char* name;
  const char* what; ///< one sentence
  unsigned workers = 3;
  unsigned late_workers = 0; ///< of these: not there in the beginning
  std::int64_t history = 2;
  void (*write)(scenario_play&);
};
[[nodiscard]] const std::vector<scenario>& scenarios();
/// What surrounds it: calm, of a pace that the seed decides.
[[nodiscard]] cluster_knobs knobs_of(const scenario& which, std::uint64_t seed);

/// The leader changes at one moment, in one way; neighbouring seeds go through all pairs of both. When the last step is
/// over, a second leader takes over in peace, and for a while nothing may happen any more.
class scenario_play : public cluster_script {
public:
  using condition = std::function<bool()>;
  using verdict = std::function<std::string()>;                   ///< "" = fine, else what is not
  using request = std::function<std::optional<ControlRequest>()>; ///< nothing: it is as wanted
  using fate_function = std::function<std::optional<fate>(const watched_task&)>;

  scenario_play(const scenario& which, std::uint64_t seed);

  // -- for who writes a scenario ------------------------------------------------------------------------------------------
  const scenario_watch& seen() const { return watch_; }
  random_source& rng() { return rng_; }
  [[nodiscard]] std::uint64_t now() const;
  [[nodiscard]] std::string node(unsigned worker) const;
  void start_worker(unsigned worker);
  /// Asks until it is as wanted, then waits until the verdict is fine.
  void step(std::string name, request ask, verdict until);
  /// The leader may change when this first holds.
  void moment(std::string name, condition when);
  void always(verdict check) { always_.push_back(std::move(check)); } ///< once the first step is over
  void at_last(verdict check) { at_last_.push_back(std::move(check)); }
  void fates(fate_function of) { fates_ = std::move(of); }
  void unsteady() { steady_ = false; } ///< not everything runs in the end, and that is as it should be
  void restless() { quiet_ = false; }  ///< tasks come and go for ever

  [[nodiscard]] request create(ServiceSpec spec) const;
  /// `edit` twice must be the same as once.
  [[nodiscard]] request change(std::function<void(ServiceSpec&)> edit) const;
  [[nodiscard]] request change_image(const std::string& image) const;
  [[nodiscard]] request roll_back(const std::string& to_image) const;
  [[nodiscard]] request availability(unsigned worker, NodeAvailability wanted) const;
  [[nodiscard]] request create_secret(const std::string& name, const std::string& data) const;
  [[nodiscard]] request create_driven_secret(const std::string& name, const std::string& driver) const;
  [[nodiscard]] request remove_secret(const std::string& name) const;
  [[nodiscard]] verdict lasts(std::uint64_t us) const; ///< so long since the step has begun

  // -- cluster_script -----------------------------------------------------------------------------------------------------
  void begin(cluster_world& world) override;
  void committed(const EventBatch& events) override;
  void described(const TaskDescription& task) override { watch_.described(task); }
  void container_started(const std::string& task) override;
  void container_ended(const std::string& task, std::int64_t exit_code) override;
  [[nodiscard]] std::optional<fate> fate_of(const std::string& task) override;
  [[nodiscard]] bool done() const override { return done_; }
  [[nodiscard]] bool is_steady() const override { return steady_; }
  /// Which moment, which way.
  [[nodiscard]] std::string variant() const;
  [[nodiscard]] std::uint64_t leaders() const { return leaders_; } ///< so many times has the leader been changed

private:
  enum class way : std::uint8_t { crash, stop, cut_off, freeze, twice };
  static constexpr std::uint64_t ways = 5;
  struct one_step {
    std::string name;
    request ask;
    verdict until;
  };
  struct one_moment {
    std::string name;
    condition when;
  };
  void tick();
  void advance();
  void look();
  void change_leader(way how);
  void crash(raft::raft_id id);
  void finish();

  const scenario& which_;
  random_source rng_;
  cluster_world* world_ = nullptr;
  scenario_watch watch_;
  std::vector<one_step> steps_;
  std::vector<one_moment> moments_;
  std::vector<verdict> always_, at_last_;
  fate_function fates_;
  bool steady_ = true;
  bool quiet_ = true;
  std::size_t moment_ = 0;
  way way_ = way::crash;
  std::uint64_t any_time_ = 0;

  std::size_t step_ = 0;
  std::uint64_t step_began_ = 0;
  std::uint64_t asked_at_ = 0; ///< 0 = no request is under way
  std::string why_;            ///< the step is not over
  bool changing_ = false;      ///< the moment has come
  std::uint64_t changed_at_ = 0;
  std::uint64_t leaders_ = 0;
  std::uint64_t ended_at_ = 0; ///< the last step; 0 = it has not
  std::size_t tasks_then_ = 0;
  bool done_ = false;
};

} // namespace swarm::sim
