#!/usr/bin/env python3
"""Everything outside the swarm API goes through to the engine, streams that are hijacked included."""
import os
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Scenario, main, wait_until  # noqa: E402


class PassThrough(Scenario):
    name = "pass"

    def environment(self):
        return {**os.environ, "DOCKER_HOST": f"unix://{self.node.socket}", "DOCKER_CONFIG": f"{self.host.dir}/cli", "DOCKER_BUILDKIT": "0"}

    def popen(self, *arguments, **options):
        return subprocess.Popen(["docker", *arguments], env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)

    def test_010_run_gives_output_and_exit_code(self):
        self.assertEqual(self.node.ok("run", "--rm", "busybox", "echo", "hello"), "hello\n")
        code, out, err = self.node.docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 42")
        self.assertEqual((code, out, err), (42, "out\n", "err\n"))

    def test_020_stdin_is_half_closed(self):
        data = os.urandom(3 << 20)
        done = subprocess.run(["docker", "run", "-i", "--rm", "busybox", "cat"], env=self.environment(), input=data, capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout == data, done.stderr), (0, True, b""))
        done = subprocess.run(["docker", "run", "-i", "--rm", "busybox", "wc", "-c"], env=self.environment(), input=b"", capture_output=True, timeout=60)
        self.assertEqual(done.stdout, b"0\n")

    def test_030_a_terminal_in_run_and_exec(self):
        n = self.node
        code, shown = n.terminal("run", "-it", "--rm", "busybox", "sh", type_in=b"tty; stty size; exit 7\n", until=b"#")
        self.assertEqual(code, 7, shown)
        self.assertIn("/dev/pts/", shown)
        n.ok("run", "-d", "--name", "box", "busybox", "sh", "-c", "i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.2; done")
        code, shown = n.terminal("exec", "-it", "box", "sh", type_in=b"echo $((40+2)); exit 3\n", until=b"#")
        self.assertEqual((code, "42" in shown), (3, True), shown)
        self.assertEqual(n.ok("exec", "box", "echo", "plain"), "plain\n")

    def test_040_logs_follow_and_attach(self):
        for arguments in (("logs", "-f", "box"), ("attach", "--no-stdin", "--sig-proxy=false", "box")):
            stream = self.popen(*arguments)
            try:
                first = [stream.stdout.readline() for _ in range(3)]
                self.assertTrue(all(line.startswith(b"tick ") for line in first), (arguments, first))
                self.assertIsNone(stream.poll())
            finally:
                stream.kill()
                stream.communicate()

    def test_050_cp_both_ways(self):
        n = self.node
        source, back = f"{self.host.dir}/there", f"{self.host.dir}/back"
        with open(source, "wb") as file:
            file.write(os.urandom(1 << 20))
        n.ok("cp", source, "box:/tmp/there")
        n.ok("cp", "box:/tmp/there", back)
        with open(source, "rb") as a, open(back, "rb") as b:
            self.assertTrue(a.read() == b.read())

    def test_060_stats_top_inspect_images_volumes_networks(self):
        n = self.node
        self.assertRegex(n.ok("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "box"), r"^box \d+")
        self.assertIn("sleep", n.ok("top", "box"))
        self.assertIn("busybox", n.ok("images"))
        n.ok("volume", "create", "vol")
        n.ok("network", "create", "net")
        self.assertIn("vol", n.ok("volume", "ls", "-q"))
        self.assertIn("net", n.ok("network", "ls", "--format", "{{.Name}}").split())
        n.ok("network", "rm", "net")
        n.ok("volume", "rm", "vol")

    def test_070_events_stream(self):
        n = self.node
        seen = []
        stream = self.popen("events", "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}")
        threading.Thread(target=lambda: seen.extend(line.decode().strip() for line in iter(stream.stdout.readline, b"")), daemon=True).start()
        try:
            time.sleep(1)
            n.ok("run", "--rm", "--name", "shortlived", "busybox", "true")
            wait_until("the engine's events arrive", lambda: {"container start shortlived", "container die shortlived"} <= set(seen), 15)
            n.ok("swarm", "init", *self.advertise)
            n.ok("service", "create", "--detach", "--name", "evented", "--replicas", "0", "busybox")
            n.ok("service", "scale", "--detach", "evented=1")
            n.ok("service", "rm", "evented")
            wait_until("and the swarm's", lambda: {"service create evented", "service update evented", "service remove evented"} <= set(seen), 15)
        finally:
            stream.kill()
            stream.communicate()
        time.sleep(1.1)  # the CLI gives whole seconds: what happened in this one would be left out
        past = n.ok("events", "--since", "1m", "--until", "0s", "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}")
        self.assertIn("container die shortlived", past)

    def test_080_build(self):
        folder = f"{self.host.dir}/build"
        os.makedirs(folder)
        with open(f"{folder}/Dockerfile", "w") as file:
            file.write("FROM busybox\nCOPY data /data\nRUN wc -c /data > /size\n")
        with open(f"{folder}/data", "wb") as file:
            file.write(b"x" * (5 << 20))
        self.node.ok("build", "-t", "built", folder, timeout=120)
        self.assertIn("5242880", self.node.ok("run", "--rm", "built", "cat", "/size"))

    def test_090_save_and_load(self):
        n = self.node
        archive = f"{self.host.dir}/image.tar"
        n.ok("save", "-o", archive, "built", timeout=120)
        n.ok("rmi", "built")
        self.assertRegex(n.ok("load", "-i", archive, timeout=120), "Loaded image: built")

    def test_100_engine_errors_come_through_unchanged(self):
        err = self.node.refused("inspect", "--type", "container", "nothere")
        self.assertIn("No such container: nothere", err)
        self.assertEqual(self.node.api("GET", "/v1.41/no/such/route")[0], 404)

    def test_110_wait_returns_when_the_container_ends(self):
        n = self.node
        waiting = self.popen("wait", "box")
        time.sleep(0.5)
        self.assertIsNone(waiting.poll())
        n.ok("kill", "box")
        self.assertEqual(waiting.communicate(timeout=20)[0].strip(), b"137")
        n.ok("rm", "box")

    def test_120_a_client_that_goes_away_leaves_nothing_open(self):
        n = self.node
        n.ok("run", "-d", "--name", "quiet", "busybox", "sleep", "1000")
        before = len(os.listdir(f"/proc/{self.daemon_pid()}/fd"))
        for _ in range(20):
            stream = self.popen("logs", "-f", "quiet")
            time.sleep(0.15)
            stream.kill()
            stream.communicate()
        wait_until("its descriptors are closed", lambda: len(os.listdir(f"/proc/{self.daemon_pid()}/fd")) <= before + 4, 15)
        n.ok("rm", "-f", "quiet")

    def daemon_pid(self):
        with open(self.node.pidfile) as file:
            return int(re.match(r"\d+", file.read())[0])


if __name__ == "__main__":
    main(int(os.environ.get("SWARM_TEST_SECONDS", "400")))
