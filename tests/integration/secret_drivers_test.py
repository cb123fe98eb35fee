#!/usr/bin/env python3
"""Secrets that a plugin keeps, from `docker secret create --driver` to the file in the container; configs for the runtime."""
import base64
import http.server
import json
import os
import shutil
import signal
import socketserver
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster  # noqa: E402
from harness import BIN, Node, Scenario, main, run, wait_until  # noqa: E402

QUICK = ["--detach", "--stop-grace-period", "1s", "--restart-delay", "500ms", "--label", "swarm.restart.backoff=off"]
SLEEP = ["busybox", "sleep", "100000"]
MARK = "v4lu3-of-a-plugin"  # in every value, and nowhere else
PREFIX = "rpc error: code = InvalidArgument desc = "


class Plugin(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A secret provider behind a unix socket; `answer` makes the answer to GetSecret of what was asked for."""
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, directory, name, answer):
        self.path = f"{directory}/{name}.sock"
        self.answer = answer
        self.requests = []
        super().__init__(self.path, Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, *_):
        pass  # who asked has gone

    def end(self):
        self.shutdown()
        self.server_close()
        os.unlink(self.path)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/Plugin.Activate":
            return self.say({"Implements": ["secretprovider"]})
        if self.path != "/SecretProvider.GetSecret":
            return self.say({"Err": "no such call"}, 404)
        asked = json.loads(body)
        self.server.requests.append(asked)
        return self.say(self.server.answer(asked))

    def say(self, answer, status=200):
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.2+json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def value(text, **more):
    return {"Value": base64.b64encode(f"{MARK} {text}".encode()).decode(), **more}


class SecretDrivers(Scenario):
    name = "secrets"

    @classmethod
    def make_node(cls):
        # Where this engine, too, puts the sockets of its plugins: it has a /run/docker of its own. By a short name, as paths of
        # sockets have 107 bytes at most.
        cls.plugin_dir = f"{cls.host.dir}/p"
        os.makedirs(f"{cls.host.engine_dir}/run-docker/plugins", exist_ok=True)
        os.symlink(f"{cls.host.engine_dir}/run-docker/plugins", cls.plugin_dir)
        cls.plugins = {}
        return Node(cls.host, cls.driver, cls.host.engine_socket, **{"plugin-dir": cls.plugin_dir})

    @classmethod
    def tearDownClass(cls):
        for plugin in cls.plugins.values():
            plugin.end()
        super().tearDownClass()

    def serve(self, name, answer):
        self.plugins[name] = Plugin(self.plugin_dir, name, answer)
        return self.plugins[name]

    def create(self, name, secret, *flags, replicas=1):
        self.node.ok("service", "create", "--name", name, "--replicas", str(replicas), "--secret", secret, *flags, *QUICK, *SLEEP)

    def container_of(self, task):
        return task["Status"]["ContainerStatus"]["ContainerID"]

    def shown(self, service, count=1, file="pw", seconds=60):
        """What the tasks of a service find in their file, sorted."""
        tasks = self.node.wait_running(service, count, seconds)
        return sorted(self.node.ok("exec", self.container_of(t), "cat", f"/run/secrets/{file}") for t in tasks)

    def errors(self, service):
        return self.node.ok("service", "ps", "--no-trunc", "--format", "{{.CurrentState}}|{{.Error}}", service)

    def wait_error(self, service, text, seconds=30):
        wait_until(f"a task of {service} is rejected: {text}",
                   lambda: any(line.startswith("Rejected") and f'"{text}"' in line for line in self.errors(service).splitlines()), seconds)

    # -- secrets with a driver ------------------------------------------------------------------------------------
    def test_010_a_secret_with_a_driver_has_no_data(self):
        n = self.node
        n.ok("swarm", "init", *self.advertise)
        n.ok("secret", "create", "--driver", "vault", "--label", "team=red", "pw")
        spec = n.inspect("secret", "pw")["Spec"]
        self.assertEqual(spec, {"Name": "pw", "Labels": {"team": "red"}, "Driver": {"Name": "vault"}})
        self.assertEqual(n.ok("secret", "ls", "--format", "{{.Name}} {{.Driver}}"), "pw vault\n")
        self.assertEqual(n.api("POST", "/v1.50/secrets/create", {"Name": "x", "Driver": {}}),
                         (400, {"message": PREFIX + "secret driver must have a name"}))
        status, answer = n.api("POST", "/v1.50/secrets/create", {"Name": "x", "Driver": {"Name": "vault"}, "Data": "eA=="})
        self.assertEqual((status, answer), (400, {"message": PREFIX + "secret data must be empty when a driver is given"}))

    def test_020_without_its_plugin_tasks_are_rejected_with_the_reason(self):
        status, answer = self.node.api("GET", "/v1.50/secrets")
        self.assertEqual((status, len(answer)), (200, 1))
        reference = "source=pw,target=pw,uid=1000,gid=1001,mode=0440"
        code, _, err = self.node.docker("service", "create", "--name", "web", "--secret", reference,
                                        "--hostname", "host-of-web", "--label", "tier=front", *QUICK, *SLEEP)
        self.assertEqual((code, "secret" in err), (0, False), err)  # drivers are asked: nothing to warn of
        self.wait_error("web", "secret pw: driver vault: plugin not found")

    def test_030_and_when_it_is_there_the_service_heals_by_itself(self):
        vault = self.serve("vault", lambda asked: value("one"))
        n = self.node
        self.assertEqual(self.shown("web"), [f"{MARK} one"])
        container = self.container_of(n.running("web")[0])
        self.assertEqual(n.ok("exec", container, "stat", "-c", "%u %g %a", "/run/secrets/pw"), "1000 1001 440\n")
        self.assertIn("tmpfs", n.ok("exec", container, "grep", "/run/secrets/pw", "/proc/mounts"))
        asked, task = vault.requests[0], n.running("web")[0]
        self.assertEqual((asked["SecretName"], asked["SecretLabels"]), ("pw", {"team": "red"}))
        self.assertEqual((asked["ServiceName"], asked["ServiceHostname"]), ("web", "host-of-web"))
        self.assertEqual((asked["ServiceID"], asked["NodeID"]), (task["ServiceID"], task["NodeID"]))
        self.assertEqual(asked["TaskName"], f"web.1.{asked['TaskID']}")
        self.assertEqual(asked["ServiceLabels"]["tier"], "front")
        self.assertEqual(asked["NodeHostname"], n.inspect("node", "self")["Description"]["Hostname"])
        self.assertTrue(asked["TaskImage"].startswith("busybox"))

    def test_040_the_value_is_one_for_all_tasks_of_the_node_while_one_lives(self):
        vault, n = self.plugins["vault"], self.node
        count = len(vault.requests)
        vault.answer = lambda asked: value("two")
        n.ok("service", "scale", "--detach", "web=3")
        self.assertEqual(self.shown("web", 3), [f"{MARK} one"] * 3)
        self.assertEqual(len(vault.requests), count, "nobody had to be asked")

    def test_050_and_fetched_anew_after_the_last(self):
        n = self.node
        n.ok("service", "scale", "--detach", "web=0")
        wait_until("none is left", lambda: not n.containers("web"), 30)
        wait_until("and all have ended", lambda: all(t["Status"]["State"] not in ("running", "starting") for t in n.tasks("web")), 30)
        n.ok("service", "scale", "--detach", "web=2")
        self.assertEqual(self.shown("web", 2), [f"{MARK} two"] * 2)

    def test_060_a_driver_may_give_each_task_its_own(self):
        count = iter(range(1, 1000))
        self.serve("each", lambda asked: value(f"number {next(count)} for {asked['TaskID']}", DoNotReuse=True))
        self.node.ok("secret", "create", "-d", "each", "own")
        self.create("each", "own", replicas=3)
        found = self.shown("each", 3, "own")
        self.assertEqual(len(set(found)), 3, found)
        tasks = self.node.running("each")
        for task in tasks:
            self.assertTrue(self.node.ok("exec", self.container_of(task), "cat", "/run/secrets/own").endswith(f"for {task['ID']}"))

    def test_070_what_the_plugin_says_is_the_tasks_error(self):
        plugin = self.serve("sealed", lambda asked: {"Err": "the vault is sealed"})
        self.node.ok("secret", "create", "-d", "sealed", "closed")
        self.create("sealed", "closed")
        self.wait_error("sealed", "secret closed: driver sealed: the vault is sealed")
        plugin.answer = lambda asked: {"Value": ""}
        self.wait_error("sealed", "secret closed: driver sealed: secret data must be larger than 0 and less than 512000 bytes")
        plugin.answer = lambda asked: {"Value": f"*{MARK}"}
        self.wait_error("sealed", "secret closed: driver sealed: plugin's value is not base64")
        plugin.answer = lambda asked: value("open")
        self.assertEqual(self.shown("sealed", 1, "closed"), [f"{MARK} open"])
        self.node.ok("service", "rm", "sealed")

    def test_080_a_plugin_that_hangs_holds_up_nobody_else(self):
        n, free = self.node, threading.Event()
        self.addCleanup(free.set)
        plugin = self.serve("slow", lambda asked: free.wait(60) and value("at last"))
        n.ok("secret", "create", "-d", "slow", "late")
        self.create("slow", "late")
        wait_until("the plugin is asked", lambda: plugin.requests)
        begin = time.monotonic()
        self.create("quick", "pw")
        self.assertEqual(self.shown("quick"), [f"{MARK} two"], "it shares the node's value")
        n.ok("service", "create", "--name", "plain", *QUICK, *SLEEP)
        n.wait_running("plain", 1)
        self.assertLess(time.monotonic() - begin, 8)
        self.assertEqual(len(n.running("slow")), 0)
        self.wait_error("slow", "secret late: driver slow: plugin did not answer within 10 s")
        free.set()
        self.assertEqual(self.shown("slow", 1, "late"), [f"{MARK} at last"])
        n.ok("service", "rm", "slow", "quick", "plain")

    def test_090_a_service_that_is_removed_while_its_plugin_hangs_goes_at_once(self):
        n, free = self.node, threading.Event()
        self.addCleanup(free.set)
        self.plugins["slow"].answer = lambda asked: free.wait(60) and value("too late")
        count = len(self.plugins["slow"].requests)
        kept = {n.inspect("service", name)["ID"] for name in ("web", "each")}
        wait_until("no task lives that has a value", lambda: {t["ServiceID"] for t in n.tasks()} == kept and not n.containers("slow"), 30)
        self.create("slow", "late")
        wait_until("the plugin is asked", lambda: len(self.plugins["slow"].requests) > count)
        begin = time.monotonic()
        n.ok("service", "rm", "slow")
        wait_until("its tasks are gone", lambda: {t["ServiceID"] for t in n.tasks()} == kept, 8)
        self.assertLess(time.monotonic() - begin, 8)

    def test_100_values_go_through_templates(self):
        self.plugins["vault"].answer = lambda asked: value("for {{.Service.Name}}" if asked["SecretName"] == "made" else "three")
        self.node.ok("secret", "create", "-d", "vault", "--template-driver", "golang", "made")
        self.create("templated", "made")
        self.assertEqual(self.shown("templated", 1, "made"), [f"{MARK} for templated"])
        self.node.ok("service", "rm", "templated")

    def test_110_tasks_outlive_a_crash_of_the_daemon(self):
        n = self.node
        before = sorted(n.containers("web"))
        count = len(self.plugins["vault"].requests)
        n.stop(signal.SIGKILL)
        n.start()
        wait_until("the node is ready", lambda: n.ok("node", "ls", "--format", "{{.Status}}").strip() == "Ready", 30)
        wait_until("both run", lambda: len(n.running("web")) == 2, 30)
        time.sleep(1)
        self.assertEqual(sorted(n.containers("web")), before)
        self.assertEqual(len(self.plugins["vault"].requests), count, "what runs needs no value")
        n.ok("service", "scale", "--detach", "web=3")
        self.assertEqual(self.shown("web", 3), [f"{MARK} three", f"{MARK} two", f"{MARK} two"])

    # -- plugins that the engine runs -----------------------------------------------------------------------------
    def make_plugin(self, name, types):
        """A static program that answers every request with the same value, as a plugin of the engine."""
        folder = f"{self.host.dir}/{name}"
        os.makedirs(f"{folder}/rootfs/run/docker/plugins")
        body = json.dumps(value("of an engine's plugin"))
        with open(f"{folder}.c", "w", encoding="utf-8") as file:
            file.write(PROGRAM.replace("BODY", json.dumps(body)).replace("LENGTH", str(len(body))))
        code, out, err = run(["cc", "-static", "-o", f"{folder}/rootfs/plugin", f"{folder}.c"])
        self.assertEqual(code, 0, out + err)
        with open(f"{folder}/config.json", "w", encoding="utf-8") as file:
            json.dump({"description": "a test", "entrypoint": ["/plugin"], "workdir": "/", "network": {"type": "none"},
                       "interface": {"types": types, "socket": "p.sock"}, "linux": {"capabilities": []}}, file)
        code, out, err = self.host.engine_call("plugin", "create", name, folder, timeout=30)
        self.assertEqual(code, 0, out + err)

    def test_200_plugins_of_the_engine(self):
        if not shutil.which("cc"):
            self.skipTest("no C compiler to make a plugin with")
        n = self.node
        self.make_plugin("example/managed:1", ["docker.secretprovider/1.0"])
        n.ok("secret", "create", "-d", "example/managed:1", "managed")
        self.create("managed", "managed")
        self.wait_error("managed", "secret managed: driver example/managed:1: plugin found but disabled")
        code, out, err = self.host.engine_call("plugin", "enable", "example/managed:1", timeout=30)
        self.assertEqual(code, 0, out + err)
        self.assertEqual(self.shown("managed", 1, "managed"), [f"{MARK} of an engine's plugin"])
        n.ok("service", "rm", "managed")

    def test_210_a_plugin_for_something_else(self):
        if not shutil.which("cc"):
            self.skipTest("no C compiler to make a plugin with")
        n = self.node
        self.make_plugin("logger", ["docker.logdriver/1.0"])
        code, out, err = self.host.engine_call("plugin", "enable", "logger", timeout=30)
        self.assertEqual(code, 0, out + err)
        n.ok("secret", "create", "-d", "logger", "logged")
        self.create("logged", "logged")
        self.wait_error("logged", "secret logged: driver logger: plugin provides no secrets")
        n.ok("service", "rm", "logged")
        for plugin in ("example/managed:1", "logger"):
            wait_until(f"{plugin} goes", lambda: self.host.engine_call("plugin", "rm", "-f", plugin, timeout=20)[0] == 0, 60)

    # -- configs for the runtime ----------------------------------------------------------------------------------
    def test_300_a_config_for_the_runtime_is_kept_and_is_no_file(self):
        n = self.node
        status, answer = n.api("POST", "/v1.50/configs/create", {"Name": "spec", "Data": base64.b64encode(b"for the runtime").decode()})
        self.assertEqual(status, 201, answer)
        reference = {"Runtime": {}, "ConfigID": answer["ID"], "ConfigName": "spec"}
        service = {"Name": "runtime", "Mode": {"Replicated": {"Replicas": 1}},
                   "TaskTemplate": {"ContainerSpec": {"Image": "busybox:latest", "Args": ["sleep", "100000"], "Configs": [reference]}}}
        status, answer = n.api("POST", "/v1.50/services/create", service)
        self.assertEqual(status, 201, answer)
        self.assertEqual(answer["Warnings"], [
            "ContainerSpec.Configs[Runtime] is stored but has no effect yet: only credential specs, "
            "which are for Windows, use a config for the runtime, as in Docker Swarm"])
        self.assertEqual(n.inspect("service", "runtime")["Spec"]["TaskTemplate"]["ContainerSpec"]["Configs"], [reference])
        container = self.container_of(n.wait_running("runtime", 1)[0])
        self.assertEqual([m for m in n.inspect("container", container)["Mounts"]], [])
        self.assertNotIn("spec", n.ok("exec", container, "ls", "/").split())
        neither = {"ConfigID": reference["ConfigID"], "ConfigName": "spec"}
        both = {**reference, "File": {"Name": "x", "UID": "0", "GID": "0", "Mode": 292}}
        for wrong, text in ((neither, "either File or Runtime should be set"), (both, "cannot specify both File and Runtime")):
            service["TaskTemplate"]["ContainerSpec"]["Configs"] = [wrong]
            status, answer = n.api("POST", "/v1.50/services/create", {**service, "Name": "wrong"})
            self.assertEqual((status, answer), (400, {"message": f"invalid Config: {text}"}))
        self.assertIn("is in use by the following service: runtime", n.refused("config", "rm", "spec"))
        n.ok("service", "rm", "runtime")

    def files_with(self, where, *texts):
        return run(["grep", "-rlaF", *[argument for text in texts for argument in ("-e", text)], where])[1]

    # -- and nothing of a value stays -----------------------------------------------------------------------------
    def test_900_no_value_is_on_disk_or_in_the_log(self):
        n = self.node
        shown = run([f"{BIN}/swarm-console", "--once", "--socket", n.control, "node/" + n.inspect("node", "self")["Description"]["Hostname"]])
        self.assertEqual(shown[0], 0, shown)
        self.assertIn("secrets_awaited", shown[1])
        provider = run([f"{BIN}/swarm-console", "--once", "--socket", n.control, "secrets"])
        self.assertIn("fetched", provider[1])
        os.kill(n.pid, signal.SIGUSR1)
        wait_until("the tree is in the log", lambda: "event=dump" in n.log_tail(2000) or " dump " in n.log_tail(2000), 10)
        values = [MARK, base64.b64encode(MARK.encode()).decode()[:-4]]
        for where in (n.data_root, n.log):
            self.assertEqual(self.files_with(where, *values), "")
        # What the agent keeps there can be read, so a value would be found; the database is sealed.
        self.assertIn("/agent/", self.files_with(n.data_root, "host-of-web"))
        self.assertNotEqual(self.files_with(f"{self.host.dir}/files", MARK), "", "those of the containers that run")
        for text in shown[1] + provider[1], n.ok("secret", "inspect", "pw"), n.ok("service", "inspect", "web", "each"):
            self.assertNotIn(MARK, text)
        n.ok("service", "rm", "web", "each")
        wait_until("no task is left", lambda: not n.tasks(), 30)
        wait_until("their files are gone", lambda: not self.files_with(f"{self.host.dir}/files", MARK), 30)


class SecretHosts(unittest.TestCase):
    """Three managers and a worker, without engines: the plugin of the host that leads is asked, whoever leads."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(4)
        cls.plugins = []
        for number, node in cls.cluster.nodes.items():
            node.flags["plugin-dir"] = f"{cls.cluster.hosts[number].dir}/plugins"
            os.makedirs(node.flags["plugin-dir"])
        cls.cluster.start()
        cls.cluster.init(managers=3)

    @classmethod
    def tearDownClass(cls):
        for plugin in cls.plugins:
            plugin.end()
        cls.cluster.leave()
        cls.cluster.clean()

    def serve(self, number):
        answer = value(f"from host {number}")
        self.plugins.append(Plugin(self.cluster.nodes[number].flags["plugin-dir"], "vault", lambda asked: answer))
        return self.plugins[-1]

    def said(self, through, text):
        return self.cluster.nodes[through].ok("service", "logs", "--raw", "web").count(f"{MARK} {text}")

    def test_010_a_worker_gets_the_value_from_the_leaders_host(self):
        leader = self.cluster.leader(1)
        n = self.cluster.nodes[leader]
        plugin = self.serve(leader)
        n.ok("secret", "create", "-d", "vault", "pw")
        n.ok("service", "create", "--name", "web", "--replicas", "2", "--secret", "pw", "--constraint", "node.role==worker", *QUICK,
             "any/image:1", "sh", "-c", "cat /run/secrets/pw; echo; sleep 100000")
        n.wait_running("web", 2)
        wait_until("both have it", lambda: self.said(leader, f"from host {leader}") == 2, 20)
        self.assertEqual([(r["NodeHostname"], r["SecretName"]) for r in plugin.requests], [("host4", "pw")])

    def test_020_a_new_leader_asks_on_its_own_host_and_what_runs_goes_on(self):
        old = self.cluster.leader(1)
        through = 1 if old != 1 else 2
        n = self.cluster.nodes[through]
        before = {t["ID"] for t in n.running("web")}
        self.cluster.nodes[old].stop(signal.SIGKILL)
        new = wait_until("another one leads", lambda: (found := self.cluster.leader(through)) != old and found, 20)
        wait_until("it takes writes", lambda: n.docker("service", "scale", "--detach", "web=3")[0] == 0, 20)

        def rejected():
            return any('"secret pw: driver vault: plugin not found"' in line for line in n.ok("service", "ps", "--no-trunc", "--format", "{{.Error}}", "web").splitlines())
        wait_until("it has no such plugin", rejected, 30)
        plugin = self.serve(new)
        wait_until("the third runs", lambda: len(n.running("web")) == 3, 30)
        wait_until("with the new leader's value", lambda: self.said(through, f"from host {new}") == 1, 20)
        self.assertEqual(self.said(through, f"from host {old}"), 2)
        self.assertLess(before, {t["ID"] for t in n.running("web")})
        self.assertEqual(len(plugin.requests), 1)
        self.cluster.nodes[old].start()
        n.ok("service", "rm", "web")


PROGRAM = r"""
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(void) {
  struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "/run/docker/plugins/p.sock"};
  static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: LENGTH\r\n\r\n" BODY;
  char in[65536];
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  unlink(at.sun_path);
  if (bind(listener, (struct sockaddr*) &at, sizeof at) != 0 || listen(listener, 16) != 0)
    return 1;
  for (;;) {
    int one = accept(listener, 0, 0);
    size_t have = 0;
    ssize_t n;
    while (have < sizeof in - 1 && (n = read(one, in + have, sizeof in - 1 - have)) > 0) {
      have += n;
      in[have] = 0;
      if (strstr(in, "\r\n\r\n"))
        break;
    }
    if (write(one, answer, sizeof answer - 1) < 0)
      return 2;
    shutdown(one, SHUT_WR);
    while (read(one, in, sizeof in) > 0)
      ;
    close(one);
  }
}
"""


if __name__ == "__main__":
    main(int(os.environ.get("SWARM_TEST_SECONDS", "300")))
