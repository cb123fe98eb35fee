// What was created is removed before the row is returned.
#include "apps/swarm-bench/rows.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "apps/swarm-bench/api_client.hpp"
#include "apps/swarm-bench/load.hpp"
#include "apps/swarm-bench/process_stats.hpp"
#include "runtime/text.hpp"

namespace swarm::bench {

namespace {

using clock = std::chrono::steady_clock;

constexpr auto converge_limit = std::chrono::minutes{10};
constexpr auto poll_every = std::chrono::milliseconds{20};
constexpr std::size_t engine_clients = 8; // where an engine on two cores is fastest
constexpr std::size_t some_clients = 8;   // for what is not measured

double seconds_since(clock::time_point begin) { return std::chrono::duration<double>(clock::now() - begin).count(); }

// Unique among all runs against one server.
std::string fresh_name(const std::string& kind) {
  static std::atomic<std::uint64_t> next{0};
  return "bench-" + kind + "-" + std::to_string(::getpid()) + "-" + std::to_string(next++);
}

// `container` and `service` are more fields, each with a comma before it.
std::string service_spec(const std::string& name, const std::string& image, std::size_t replicas,
                         const std::string& container = {}, const std::string& service = {}) {
  return R"({"Name":")" + name + R"(","Labels":{},"TaskTemplate":{"ContainerSpec":{"Image":")" + image +
         R"(","Command":["sleep","100000"],"StopGracePeriod":1000000000,"Init":false)" + container + R"(},)"
         R"("RestartPolicy":{"Condition":"any","Delay":100000000},"Placement":{},"Resources":{}},)"
         R"("Mode":{"Replicated":{"Replicas":)" +
         std::to_string(replicas) + R"(}},"EndpointSpec":{"Mode":"dnsrr"})" + service + "}";
}

std::string secret_spec(const std::string& name) {
  return R"({"Name":")" + name + R"(","Data":")" + text::base64_encode(std::string(500, 's')) + R"("})";
}

struct engine_result {
  double wall_s = 0;
  std::string first_error;
};

// work(client, i) for `count` containers, by as many threads as an engine is fastest with.
engine_result on_the_engine(const std::string& engine, std::size_t count,
                            const std::function<void(api_client&, std::size_t)>& work) {
  engine_result out;
  std::mutex mutex;
  std::atomic<std::size_t> next{0};
  const auto begin = clock::now();
  std::vector<std::thread> threads;
  for (std::size_t c = 0; c < engine_clients; ++c)
    threads.emplace_back([&] {
      api_client client{engine};
      for (std::size_t i; (i = next++) < count;) {
        try {
          work(client, i);
        } catch (const std::exception& error) {
          const std::lock_guard lock{mutex};
          if (out.first_error.empty())
            out.first_error = error.what();
        }
      }
    });
  for (auto& thread : threads)
    thread.join();
  out.wall_s = seconds_since(begin);
  return out;
}

void remove_all(const std::string& api, const std::string& path, const std::vector<std::string>& ids) {
  const auto result = run_load(
    api, ids.size(), some_clients, [&](std::size_t i) { return load_request{"DELETE", path + ids[i], {}}; },
    [](std::size_t, const std::string&) {});
  if (result.errors != 0)
    throw api_error{std::to_string(result.errors) + " could not be removed: " + result.first_error};
}

load_result create_all(const target& t, write_kind kind, std::size_t n, std::size_t clients, std::vector<std::string>& ids) {
  ids.assign(n, {});
  return run_load(
    t.api, n, clients,
    [&](std::size_t) {
      return kind == write_kind::service
               ? load_request{"POST", "/services/create", service_spec(fresh_name("s"), t.image, 0)}
               : load_request{"POST", "/secrets/create", secret_spec(fresh_name("x"))};
    },
    [&](std::size_t i, const std::string& body) { ids[i] = text_of(body, "ID"); });
}

std::vector<std::string> create_services(const target& t, std::size_t n) {
  std::vector<std::string> ids;
  const auto result = create_all(t, write_kind::service, n, some_clients, ids);
  if (result.errors != 0)
    throw api_error{std::to_string(result.errors) + " services could not be created: " + result.first_error};
  return ids;
}

// `n` times the same GET, one after the other.
load_result read_all(const target& t, const std::string& path, std::size_t n) {
  return run_load(
    t.api, n, 1, [&](std::size_t) { return load_request{"GET", path, {}}; }, [](std::size_t, const std::string&) {});
}

void add_latency(row& out, const load_result& result) {
  out.metrics.push_back({"p50_ms", percentile(result.latency_ms, 50)});
  out.metrics.push_back({"p99_ms", percentile(result.latency_ms, 99)});
  if (result.errors != 0) {
    out.metrics.clear();
    out.error = std::to_string(result.errors) + " requests failed: " + result.first_error;
  }
}

std::string clients_text(std::size_t n) { return std::to_string(n) + (n == 1 ? " client" : " clients"); }

// A server that cannot be reached is a row with an error, not the end of the run.
row guarded(row out, const std::function<void(row&)>& measure) {
  try {
    measure(out);
  } catch (const std::exception& error) {
    out.metrics.clear();
    out.error = error.what();
  }
  return out;
}

// By its id, because Docker's own swarm asks a registry for anything else.
std::string image_id(const target& t) {
  api_client engine{t.engine};
  return text_of(engine.must("GET", "/images/" + t.image + "/json"), "Id");
}

void wait_running(api_client& api, const std::string& id, std::size_t count) {
  const auto end = clock::now() + converge_limit;
  const auto path = "/services?status=true&filters=%7B%22id%22%3A%5B%22" + id + "%22%5D%7D";
  while (number_of(api.must("GET", path), "RunningTasks") < static_cast<double>(count)) {
    if (clock::now() > end)
      throw api_error{"not all containers run after ten minutes"};
    std::this_thread::sleep_for(poll_every);
  }
}

// Killed at once, so that not the grace period is measured; `generation` is all that an update changes.
std::string updated_spec(const std::string& name, const std::string& image, std::size_t replicas, int generation) {
  return service_spec(name, image, replicas, R"(,"StopSignal":"SIGKILL","Env":["GENERATION=)" + std::to_string(generation) + R"("])",
                      R"(,"UpdateConfig":{"Parallelism":10,"Monitor":1000000,"Order":"stop-first"})");
}

// The update may not be visible yet when the request for it returns.
void wait_updated(api_client& api, const std::string& id) {
  const auto end = clock::now() + converge_limit;
  for (;;) {
    const auto service = api.must("GET", "/services/" + id);
    const auto status = service.find("\"UpdateStatus\"");
    const auto state = status == std::string::npos ? std::string{} : text_of(std::string_view{service}.substr(status), "State");
    if (state == "completed")
      return;
    if (state.find("pause") != std::string::npos || clock::now() > end)
      throw api_error{"the update is " + (state.empty() ? "not begun" : state)};
    std::this_thread::sleep_for(poll_every);
  }
}

void wait_removed(const target& t, const std::string& id) {
  api_client engine{t.engine};
  const auto end = clock::now() + converge_limit;
  const auto path = "/containers/json?all=1&filters=%7B%22label%22%3A%5B%22com.docker.swarm.service.id%3D" + id + "%22%5D%7D";
  while (engine.must("GET", path).find("\"Id\"") != std::string::npos && clock::now() < end)
    std::this_thread::sleep_for(poll_every * 5);
}

// The physical limit: the same containers without a swarm. Gives the seconds until all are started.
double raw_engine(const target& t, const std::string& image, std::size_t count) {
  std::vector<std::string> ids(count);
  const auto body = R"({"Image":")" + image + R"(","Cmd":["sleep","100000"],"HostConfig":{"NetworkMode":"default"}})";
  const auto result = on_the_engine(t.engine, count, [&](api_client& engine, std::size_t i) {
    ids[i] = text_of(engine.must("POST", "/containers/create", body), "Id");
    engine.must("POST", "/containers/" + ids[i] + "/start");
  });
  const auto removal = on_the_engine(t.engine, count, [&](api_client& engine, std::size_t i) {
    if (!ids[i].empty())
      engine.must("DELETE", "/containers/" + ids[i] + "?force=1&v=1");
  });
  for (const auto* error : {&result.first_error, &removal.first_error})
    if (!error->empty())
      throw api_error{"the engine itself failed: " + *error};
  return result.wall_s;
}

} // namespace

row measure_writes(const target& t, write_kind kind, std::size_t clients, std::size_t requests, int round) {
  const bool service = kind == write_kind::service;
  return guarded({service ? "write-service" : "write-secret", clients_text(clients), t.side, round, {}, {}}, [&](row& out) {
    std::vector<std::string> ids;
    const auto cpu = cpu_seconds(t.pid);
    const auto result = create_all(t, kind, requests, clients, ids);
    const auto used = cpu_seconds(t.pid) - cpu;
    std::erase(ids, std::string{});
    remove_all(t.api, service ? "/services/" : "/secrets/", ids);
    out.metrics.push_back({"per_s", static_cast<double>(result.latency_ms.size()) / result.wall_s, true});
    out.metrics.push_back({"cpu_ms_each", used * 1e3 / static_cast<double>(requests)});
    add_latency(out, result);
  });
}

row measure_read_one(const target& t, std::size_t requests, int round) {
  return guarded({"read-one", "1 client", t.side, round, {}, {}}, [&](row& out) {
    const auto ids = create_services(t, 1);
    const auto result = read_all(t, "/services/" + ids.front(), requests);
    remove_all(t.api, "/services/", ids);
    out.metrics.push_back({"per_s", static_cast<double>(result.latency_ms.size()) / result.wall_s, true});
    add_latency(out, result);
  });
}

row measure_read_list(const target& t, std::size_t services, std::size_t requests, int round) {
  return guarded({"read-list", std::to_string(services) + " services", t.side, round, {}, {}}, [&](row& out) {
    const auto ids = create_services(t, services);
    const auto result = read_all(t, "/services", requests);
    remove_all(t.api, "/services/", ids);
    add_latency(out, result);
  });
}

row measure_converge(const target& t, std::size_t count, int round) {
  const auto what = std::to_string(count) + (count == 1 ? " container" : " containers");
  return guarded({"converge", what, t.side, round, {}, {}}, [&](row& out) {
    const auto image = image_id(t);
    const auto raw = raw_engine(t, image, count);
    api_client api{t.api};
    const auto begin = clock::now();
    const auto id = text_of(api.must("POST", "/services/create", service_spec(fresh_name("c"), image, count)), "ID");
    wait_running(api, id, count);
    const auto wall = seconds_since(begin);
    const auto removing = clock::now();
    api.must("DELETE", "/services/" + id);
    wait_removed(t, id);
    out.metrics = {{"times_engine", wall / raw}, {"wall_s", wall}, {"engine_s", raw}, {"remove_s", seconds_since(removing)}};
  });
}

row measure_update(const target& t, std::size_t count, int round) {
  const auto what = std::to_string(count) + (count == 1 ? " replica" : " replicas");
  return guarded({"update", what, t.side, round, {}, {}}, [&](row& out) {
    const auto image = image_id(t);
    const auto raw = raw_engine(t, image, count);
    api_client api{t.api};
    const auto name = fresh_name("u");
    const auto id = text_of(api.must("POST", "/services/create", updated_spec(name, image, count, 1)), "ID");
    wait_running(api, id, count);
    const auto version = static_cast<std::uint64_t>(number_of(api.must("GET", "/services/" + id), "Index"));
    const auto cpu = cpu_seconds(t.pid);
    const auto begin = clock::now();
    api.must("POST", "/services/" + id + "/update?version=" + std::to_string(version), updated_spec(name, image, count, 2));
    wait_updated(api, id);
    wait_running(api, id, count);
    const auto wall = seconds_since(begin);
    const auto used = cpu_seconds(t.pid) - cpu;
    api.must("DELETE", "/services/" + id);
    wait_removed(t, id);
    out.metrics = {{"times_engine", wall / raw}, {"wall_s", wall}, {"engine_s", raw}, {"daemon_cpu_s", used}};
  });
}

row measure_idle(const target& t, int seconds, int round) {
  return guarded({"idle", "", t.side, round, {}, {}}, [&](row& out) {
    if (t.pid == 0)
      throw api_error{"its process is not known"};
    std::this_thread::sleep_for(std::chrono::seconds{5}); // what was measured before dies down
    const auto cpu = cpu_seconds(t.pid);
    std::this_thread::sleep_for(std::chrono::seconds{seconds});
    out.metrics = {{"cpu_percent", (cpu_seconds(t.pid) - cpu) * 100 / seconds}, {"rss_mb", rss_mb(t.pid)}};
  });
}

} // namespace swarm::bench
