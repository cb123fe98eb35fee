// swarm-bench: measures a server that speaks the Docker API beside another one, in turns, and prints ratios.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <thread>

#include "apps/swarm-bench/bench_cluster.hpp"
#include "apps/swarm-bench/report.hpp"
#include "apps/swarm-bench/rows.hpp"

namespace {

using namespace swarm::bench;

struct settings {
  std::vector<target> targets;  // in the order of a round
  std::vector<std::string> rows{"writes", "reads", "converge", "update", "idle"};
  std::vector<std::size_t> clients{1, 8, 32};
  std::vector<std::size_t> containers{1, 10, 50, 100};
  std::vector<std::size_t> replicas{50};
  std::size_t requests = 600;
  std::size_t services = 1000;
  std::vector<simulated_size> simulated;
  int rounds = 3;
  int idle_seconds = 15;
  std::string json_file;
};

/// Prints each row as it comes and keeps it for the table.
class collector {
public:
  explicit collector(const std::string& json_file) {
    if (!json_file.empty())
      file_.open(json_file, std::ios::app);
  }

  void take(row r) {
    const auto line = to_json(r);
    std::cout << line << std::endl;
    if (file_.is_open())
      file_ << line << std::endl;
    failed_ = failed_ || !r.error.empty();
    rows_.push_back(std::move(r));
  }

  [[nodiscard]] const std::vector<row>& rows() const { return rows_; }
  [[nodiscard]] bool failed() const { return failed_; }

private:
  std::ofstream file_;
  std::vector<row> rows_;
  bool failed_ = false;
};

using measurement = std::function<row(const target&, int round)>;

// Every measurement of one group of rows.
std::vector<measurement> measurements(const std::string& group, const settings& s) {
  std::vector<measurement> out;
  if (group == "writes")
    for (const auto kind : {write_kind::service, write_kind::secret})
      for (const auto clients : s.clients) {
        const auto requests = clients == 1 ? std::max<std::size_t>(s.requests / 3, 1) : s.requests;
        out.emplace_back([=](const target& t, int round) { return measure_writes(t, kind, clients, requests, round); });
      }
  if (group == "reads") {
    out.emplace_back([&s](const target& t, int round) { return measure_read_one(t, s.requests, round); });
    out.emplace_back([&s](const target& t, int round) { return measure_read_list(t, s.services, 20, round); });
  }
  if (group == "converge")
    for (const auto count : s.containers)
      out.emplace_back([=](const target& t, int round) { return measure_converge(t, count, round); });
  if (group == "update")
    for (const auto count : s.replicas)
      out.emplace_back([=](const target& t, int round) { return measure_update(t, count, round); });
  if (group == "idle")
    out.emplace_back([&s](const target& t, int round) { return measure_idle(t, s.idle_seconds, round); });
  return out;
}

// Both sides meet the same noise: each measurement is made on one, then on the other, before the next.
void run(const settings& s, collector& results) {
  for (int round = 1; round <= s.rounds; ++round)
    for (const auto& size : s.simulated)
      results.take(size.tasks == 0 ? measure_heartbeats(make_cluster, size.nodes, s.idle_seconds, round)
                                   : measure_simulated(make_cluster, size, round));
  for (int round = 1; round <= s.rounds; ++round)
    for (const auto& group : s.rows)
      for (const auto& measure : measurements(group, s))
        for (const auto& t : s.targets)
          results.take(measure(t, round));
}

} // namespace

int main(int argc, char** argv) {
  settings s;
  target ours{"ours", {}, {}, 0}, peer{"peer", {}, {}, 0};
  CLI::App app{"Measures swarm-node, beside another server of the Docker API when --peer names one."};
  std::vector<std::string> simulated;
  app.add_option("--ours", ours.api, "socket of swarm-node: unix:///PATH");
  app.add_option("--ours-engine", ours.engine, "socket of the engine that runs its containers");
  app.add_option("--simulated", simulated, "clusters inside this program, NODESxTASKS, e.g. 100x10000,1000x100000; 5000x0: heartbeats only")->delimiter(',');
  app.add_option("--ours-pid", ours.pid, "its process id");
  app.add_option("--peer", peer.api, "socket of the other server, e.g. dockerd in swarm mode");
  app.add_option("--peer-pid", peer.pid, "its process id");
  app.add_option("--rows", s.rows, "writes, reads, converge, update, idle")
      ->delimiter(',')
      ->check(CLI::IsMember({"writes", "reads", "converge", "update", "idle"}))
      ->capture_default_str();
  app.add_option("--rounds", s.rounds, "how often; the table shows medians")->check(CLI::Range(1, 100))->capture_default_str();
  app.add_option("--clients", s.clients, "concurrent clients of the write rows")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--containers", s.containers, "sizes of the converge rows")->delimiter(',')->check(CLI::Range(1, 10'000))->capture_default_str();
  app.add_option("--replicas", s.replicas, "sizes of the update rows")->delimiter(',')->check(CLI::Range(1, 10'000))->capture_default_str();
  app.add_option("--requests", s.requests, "requests of each write row")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  app.add_option("--services", s.services, "services in the list row")->check(CLI::Range(1, 100'000))->capture_default_str();
  app.add_option("--idle-seconds", s.idle_seconds, "length of the idle row and of heartbeats")->check(CLI::Range(1, 3600))->capture_default_str();
  app.add_option("--json", s.json_file, "append the JSON lines to this file, too");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  for (const auto& text : simulated) {
    simulated_size size;
    if (std::sscanf(text.c_str(), "%zux%zu", &size.nodes, &size.tasks) != 2 || size.nodes == 0) {
      std::cerr << "swarm-bench: --simulated " << text << ": expected NODESxTASKS, e.g. 100x10000\n";
      return 2;
    }
    s.simulated.push_back(size);
  }
  if (ours.api.empty() && s.simulated.empty()) {
    std::cerr << "swarm-bench: nothing to measure: give --ours and --ours-engine, or --simulated\n";
    return 2;
  }
  if (!peer.api.empty()) {
    peer.engine = peer.api;
    s.targets.push_back(peer);
  }
  if (!ours.api.empty())
    s.targets.push_back(ours);
  collector results{s.json_file};
  run(s, results);
  std::cout << "\n" << table(results.rows());
  return results.failed() ? 1 : 0;
}
