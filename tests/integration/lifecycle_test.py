#!/usr/bin/env python3
"""The daemon is killed, stopped and reloaded; the engine restarts, hangs and talks garbage: no task is lost or doubled."""
import collections
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BIN, EngineProxy, Node, Scenario, main, run, wait_until  # noqa: E402

SERVICE = ["--stop-grace-period", "1s", "--restart-delay", "200ms", "busybox", "sleep", "100000"]


class Lifecycle(Scenario):
    name = "life"

    @classmethod
    def make_node(cls):
        cls.proxy = EngineProxy(f"{cls.host.dir}/proxy.sock", cls.host.engine_socket)
        return Node(cls.host, "docker", cls.proxy.path)

    def engine_containers(self):
        """Task ids of the service's containers, asked of the engine itself."""
        code, out, err = run(["docker", "-H", f"unix://{self.host.engine_socket}", "ps", "-a", "--no-trunc", "--format",
                              '{{.ID}} {{.State}} {{.Label "com.docker.swarm.task.id"}}', "--filter", "label=com.docker.swarm.service.name=web"])
        self.assertEqual(code, 0, err)
        return [line.split(" ") for line in out.splitlines()]

    def running_containers(self):
        return {container for container, state, _ in self.engine_containers() if state == "running"}

    def expect_nothing_twice(self):
        tasks = collections.Counter(task for _, _, task in self.engine_containers())
        self.assertFalse([t for t, n in tasks.items() if n > 1], "a task has two containers")

    def test_010_start(self):
        n = self.node
        n.ok("swarm", "init", *self.advertise)
        n.ok("service", "create", "--detach", "--name", "web", "--replicas", "3", *SERVICE)
        n.wait_running("web", 3)

    def test_020_a_killed_daemon_finds_its_tasks_again(self):
        n = self.node
        for _ in range(3):
            before, tasks = self.running_containers(), {t["ID"] for t in n.running("web")}
            swarm = n.api("GET", "/v1.50/swarm")[1]["ID"]
            n.stop(signal.SIGKILL)
            time.sleep(0.5)
            self.assertEqual(self.running_containers(), before)
            n.start()
            n.wait_running("web", 3, 20)
            time.sleep(3)  # whatever it might wrongly start, it would start now
            self.assertEqual(self.running_containers(), before)
            self.assertEqual({t["ID"] for t in n.running("web")}, tasks)
            self.assertEqual(n.api("GET", "/v1.50/swarm")[1]["ID"], swarm)

    def test_030_what_happened_while_it_was_away_is_noticed(self):
        n = self.node
        victims = sorted(self.running_containers())
        n.stop(signal.SIGKILL)
        for command in (["kill", victims[0]], ["rm", "-f", victims[1]]):
            self.assertEqual(run(["docker", "-H", f"unix://{self.host.engine_socket}", *command])[0], 0)
        n.start()
        wait_until("both are replaced", lambda: len(now := self.running_containers()) == 3 and victims[2] in now and not {victims[0], victims[1]} & now, 30)
        n.wait_running("web", 3)
        self.expect_nothing_twice()

    def test_040_killed_in_the_middle_of_work(self):
        n = self.node
        for wanted, pause in ((8, 0.15), (3, 0.1), (9, 0.4), (3, 0.3)):
            n.ok("service", "scale", "--detach", f"web={wanted}")
            time.sleep(pause)
            n.stop(signal.SIGKILL)
            n.start()
            n.wait_running("web", wanted, 90)
            wait_until("no container too many", lambda: len(self.running_containers()) == wanted, 60)
            self.expect_nothing_twice()

    def test_050_acknowledged_writes_survive_kill(self):
        n = self.node
        for i in range(20):
            status, _ = n.api("POST", "/v1.50/services/create", {"Name": f"w{i}", "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}},
                                                               "Mode": {"Replicated": {"Replicas": 0}}})
            self.assertEqual(status, 201)
        n.stop(signal.SIGKILL)
        n.start()
        names = set(wait_until("services can be listed", lambda: n.ok("service", "ls", "--format", "{{.Name}}").split(), 20))
        self.assertEqual(names, {"web"} | {f"w{i}" for i in range(20)})
        n.ok("service", "rm", *sorted(names - {"web"}))

    def test_060_sigterm_is_graceful_and_leaves_the_tasks(self):
        n = self.node
        before = self.running_containers()
        self.assertTrue(os.path.exists(n.pidfile))
        self.assertEqual(n.stop(signal.SIGTERM, 15), 0)
        self.assertFalse(os.path.exists(n.pidfile))
        self.assertEqual(self.running_containers(), before)
        n.start()
        n.wait_running("web", 3, 20)
        self.assertEqual(self.running_containers(), before)

    def test_070_sighup_reloads_and_sigusr1_dumps(self):
        n = self.node
        config = f"{self.host.dir}/config.toml"
        n.stop()
        n.flags["config"] = config
        with open(config, "w") as file:
            file.write('log-level = "info"\n')
        n.start()
        with open(config, "w") as file:
            file.write('log-level = "debug"\ndata-root = "/elsewhere"\n')
        n.process.send_signal(signal.SIGHUP)

        def said(*parts):
            with open(n.log) as file:
                text = file.read()
            return all(p in text for p in parts)
        wait_until("the reload is in the log", lambda: said("log-level", " debug "), 10)
        with open(config, "w") as file:
            file.write('log-level = "loud"\n')
        n.process.send_signal(signal.SIGHUP)
        wait_until("a wrong file is told and does no harm", lambda: said(f"{config}:1"), 10)
        self.assertEqual(n.api("GET", "/_ping")[0], 200)
        n.process.send_signal(signal.SIGUSR1)
        wait_until("a dump of all actors is written", lambda: said("dump"), 10)
        n.stop()
        n.flags["config"] = "/dev/null"
        n.start()
        n.wait_running("web", 3, 20)

    def test_080_the_console_shows_the_tree(self):
        for path in ("raft", "store", "orchestrator", "scheduler", "dispatcher", "agent", "gateway"):
            code, out, err = run([f"{BIN}/swarm-console", "--once", "--socket", self.node.control])
            self.assertEqual(code, 0, err)
            self.assertIn(path, out)

    # -- the engine misbehaves ---------------------------------------------------------------------------------
    def test_100_the_engine_hangs(self):
        n = self.node
        before = self.running_containers()
        self.proxy.set("hang")
        n.ok("service", "scale", "--detach", "web=4", timeout=10)
        began = time.monotonic()
        self.assertIn("web", n.ok("service", "ls", timeout=10))
        self.assertLess(time.monotonic() - began, 5, "the swarm's own answers do not wait for the engine")
        time.sleep(12)
        self.proxy.set("pass")
        n.wait_running("web", 4, 60)
        self.assertTrue(before <= self.running_containers(), "what ran goes on running")
        self.assertEqual(len(self.running_containers()), 4)
        self.expect_nothing_twice()

    def test_110_the_engine_talks_garbage(self):
        n = self.node
        before = self.running_containers()
        self.proxy.set("garbage")
        n.ok("service", "scale", "--detach", "web=5", timeout=10)
        code, _, err = n.docker("ps", timeout=30)
        self.assertNotEqual(code, 0)
        self.assertIn("engine", err.lower())
        time.sleep(5)
        self.proxy.set("pass")
        n.wait_running("web", 5, 60)
        self.assertTrue(before <= self.running_containers())
        self.expect_nothing_twice()

    def test_120_the_engine_restarts(self):
        n = self.node
        self.proxy.set("pass")
        pid = int(pathlib.Path(self.host.engine_dir, "docker.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        wait_until("the engine has ended", lambda: not os.path.exists(f"/proc/{pid}"), 60)
        self.assertIn("web", n.ok("service", "ls", timeout=20))
        self.host.start_engine()
        n.wait_running("web", 5, 90)
        wait_until("five containers", lambda: len(self.running_containers()) == 5, 30)
        self.expect_nothing_twice()

    def test_130_the_engine_is_killed(self):
        self.host.engine_sh("kill", self.host.name, self.host.engine_dir)
        time.sleep(1)
        self.host.start_engine()
        self.node.wait_running("web", 5, 120)
        wait_until("five containers", lambda: len(self.running_containers()) == 5, 60)
        self.expect_nothing_twice()

    def test_140_the_daemon_starts_before_its_engine(self):
        n = self.node
        n.stop()
        self.proxy.set("garbage")
        n.start()
        self.assertIn("web", wait_until("it serves without an engine", lambda: n.ok("service", "ls", timeout=10), 20))
        self.proxy.set("pass")
        n.wait_running("web", 5, 60)
        self.expect_nothing_twice()

    # -- wrong starts --------------------------------------------------------------------------------------------
    def test_200_exit_codes(self):
        program = f"{BIN}/swarm-node"
        self.assertEqual(run([program, "--version"])[0], 0)
        self.assertEqual(run([program, "--frobnicate"])[0], 2)
        code, _, err = run([program, "--config", "/nowhere.toml"])
        self.assertEqual((code, "/nowhere.toml" in err), (78, True), err)
        code, out, _ = run([program, "--config", "/dev/null", "--print-config", "--log-level", "debug"])
        self.assertEqual(code, 0)
        self.assertIn('log-level = "debug"', out)
        self.assertIn("# flag --log-level", out)
        code, _, err = run([program, "--config", "/dev/null", "--data-root", "/proc/nope", "--host", f"unix://{self.host.dir}/x.sock",
                            "--control-socket", f"{self.host.dir}/y.sock"], 30)
        self.assertEqual(code, 1, err)

    def test_210_a_second_daemon_on_the_same_data_is_refused(self):
        other = Node(self.host, "docker", self.proxy.path, pidfile=f"{self.host.dir}/other.pid",
                     **{"control-socket": f"{self.host.dir}/other-control.sock", "listen-addr": "127.0.0.1:23777"})
        other.flags["host"] = f"unix://{self.host.dir}/other.sock"
        done = subprocess.run(["nsenter", f"--net=/run/netns/{self.host.name}", *other.command()], capture_output=True, timeout=30)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(b"node", done.stderr)
        self.assertEqual(self.node.api("GET", "/_ping")[0], 200)


if __name__ == "__main__":
    main(int(os.environ.get("SWARM_TEST_SECONDS", "800")))
