// swarm-console: looks into the running actors of this host. `--once` prints the tree and ends.
#include <CLI/CLI.hpp>
#include <future>
#include <iostream>

#include "runtime/http/client.hpp"
#include "runtime/io.hpp"

namespace {

constexpr int exit_unreachable = 3; // the same number for "cannot reach the node" in every tool
constexpr swarm::seconds answer_deadline{5};

struct outcome {
  swarm::http::client_error error;
  swarm::http::response reply;
};

outcome fetch(const std::string& socket, const std::string& target) {
  swarm::io_threads io;
  io.start();
  swarm::http::client_options options;
  options.socket_path = socket;
  swarm::http::client client{io, options};
  std::promise<outcome> done;
  swarm::http::client_request request;
  request.target = target;
  client.call(std::move(request), answer_deadline, [&](swarm::http::client_error e, swarm::http::response&& reply) {
    done.set_value({std::move(e), std::move(reply)});
  });
  auto result = done.get_future().get();
  client.stop();
  return result;
}

} // namespace

int main(int argc, char** argv) {
  std::string socket = "/run/swarm-node/control.sock";
  std::string under;
  bool once = false, json = false;
  CLI::App app{"Looks into the actors of the swarm-node daemon on this host."};
  app.add_option("--socket", socket, "control socket of the daemon")->envname("SWARM_NODE_CONTROL_SOCKET")->capture_default_str();
  app.add_option("label", under, "show only actors below this label, each with its state and last messages");
  app.add_flag("--once", once, "print the tree and end (the only mode of this version)");
  app.add_flag("--json", json, "print JSON instead of text");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  if (!once) {
    std::cerr << "swarm-console: this version has no live view: use --once\n";
    return 2;
  }
  if (socket.starts_with("unix://"))
    socket.erase(0, 7);
  const auto result = fetch(socket, "/v1/tree?under=" + swarm::http::percent_encode(under) + (json ? "" : "&format=text"));
  if (!result.error.ok()) {
    std::cerr << "swarm-console: " << result.error.text << "\nIs swarm-node running? Another control socket: --socket PATH\n";
    return exit_unreachable;
  }
  if (result.reply.status != 200) {
    std::cerr << "swarm-console: " << result.reply.body;
    return 1;
  }
  std::cout << result.reply.body;
  return 0;
}
