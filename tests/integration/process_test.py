#!/usr/bin/env python3
"""The same swarm without any engine: tasks are processes of this host, in namespaces and cgroups of their own."""
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Scenario, call, main, wait_until  # noqa: E402

QUICK = ["--stop-grace-period", "1s", "--restart-delay", "100ms"]


def pids(task):
    return task["Status"]["ContainerStatus"]["PID"]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(") ")[1][0] != "Z"
    except OSError:
        return False


class Process(Scenario):
    name = "proc"
    driver = "process"

    def test_010_init_and_first_service(self):
        n = self.node
        n.ok("swarm", "init", *self.advertise)
        n.ok("service", "create", "--name", "web", "--replicas", "3", "--update-monitor", "1s", *QUICK, "any/image:1", "sleep", "100000", timeout=60)
        self.assertEqual(n.ok("service", "ls", "--format", "{{.Replicas}} {{.Image}}").strip(), "3/3 any/image:1")
        self.assertTrue(all(alive(pids(t)) for t in n.wait_running("web", 3)))

    def test_020_scale_and_update(self):
        n = self.node
        n.ok("service", "scale", "web=5", timeout=60)
        n.ok("service", "scale", "--detach", "web=2")
        wait_until("two run", lambda: len(n.tasks("web")) >= 2 and len(n.running("web")) == 2)
        old = {pids(t) for t in n.running("web")}
        n.ok("service", "update", "--env-add", "COLOUR=green", "web", timeout=60)
        for task in n.wait_running("web", 2):
            with open(f"/proc/{pids(task)}/environ", "rb") as file:
                self.assertIn(b"COLOUR=green", file.read().split(b"\0"))
        wait_until("the old processes are gone", lambda: not any(alive(p) for p in old), 10)

    def test_030_tasks_have_namespaces_and_a_cgroup_of_their_own(self):
        task = self.node.wait_running("web", 2)[0]
        for kind in ("pid", "mnt"):
            self.assertNotEqual(os.readlink(f"/proc/{pids(task)}/ns/{kind}"), os.readlink(f"/proc/self/ns/{kind}"))
        with open(f"/proc/{pids(task)}/cgroup") as file:
            self.assertIn(task["ID"], file.read())

    def test_040_a_killed_task_is_replaced(self):
        n = self.node
        victim = n.wait_running("web", 2)[0]
        os.kill(pids(victim), signal.SIGKILL)
        wait_until("its slot has a new task", lambda: [t for t in n.running("web") if t["Slot"] == victim["Slot"] and t["ID"] != victim["ID"]], 20)
        old = next(t for t in n.tasks("web") if t["ID"] == victim["ID"])
        self.assertEqual((old["Status"]["State"], old["Status"]["Err"]), ("failed", "task: non-zero exit (137)"))

    def test_050_logs(self):
        n = self.node
        n.ok("service", "create", "--detach", "--name", "talk", *QUICK, "x", "sh", "-c", "echo out; echo err >&2; sleep 100000")
        n.wait_running("talk", 1)
        wait_until("both lines are there", lambda: n.docker("service", "logs", "--raw", "talk")[1:] == ("out\n", "err\n"))
        self.assertRegex(n.ok("service", "logs", "--timestamps", "talk"), r"\d\dZ talk\.1\.\w+@\S+ +\| out")
        for no in ("0", "no", "False", "none"):  # as Go and Python clients say it
            self.assertEqual(call(n.socket, "GET", f"/v1.50/services/talk/logs?stdout=1&timestamps={no}&details={no}")[2], b"\1\0\0\0\0\0\0\4out\n")
        n.ok("service", "rm", "talk")

    def test_060_a_killed_daemon_finds_its_tasks_again(self):
        n = self.node
        before = {t["ID"]: pids(t) for t in n.wait_running("web", 2)}
        n.stop(signal.SIGKILL)
        time.sleep(0.5)
        self.assertTrue(all(alive(p) for p in before.values()))
        n.start()
        time.sleep(2)
        self.assertEqual({t["ID"]: pids(t) for t in n.wait_running("web", 2, 20)}, before)
        self.assertTrue(all(alive(p) for p in before.values()))

    def test_070_what_ended_while_it_was_away_is_replaced(self):
        n = self.node
        victim = n.wait_running("web", 2)[0]
        n.stop(signal.SIGKILL)
        os.kill(pids(victim), signal.SIGKILL)
        n.start()
        wait_until("it is replaced", lambda: len(found := n.running("web")) == 2 and victim["ID"] not in {t["ID"] for t in found}, 30)

    def unlock(self, key):
        path = f"{self.host.dir}/typed"
        with open(path, "w", encoding="ascii") as file:
            file.write(key + "\n")
        with open(path, encoding="ascii") as typed:
            return self.node.docker("swarm", "unlock", stdin=typed)

    def test_075_a_locked_manager_wants_its_key_after_a_restart(self):
        n = self.node
        self.assertIn("SWMKEY-1-", n.ok("swarm", "update", "--autolock=true"))
        first = n.ok("swarm", "unlock-key", "-q").strip()
        key = n.ok("swarm", "unlock-key", "--rotate", "-q").strip()
        self.assertNotEqual(first, key)
        before = {pids(t) for t in n.wait_running("web", 2)}
        n.stop()
        n.start()
        self.assertEqual(n.ok("info", "--format", "{{.Swarm.LocalNodeState}}").strip(), "locked")
        self.assertIn("Swarm is encrypted and needs to be unlocked", n.refused("service", "ls"))
        self.assertIn("invalid key string", self.unlock("nonsense")[2])
        self.assertIn("invalid key provided", self.unlock(first)[2])
        self.assertTrue(all(alive(p) for p in before), "tasks of a locked node run on")
        self.assertEqual(self.unlock(key)[0], 0)
        self.assertEqual({pids(t) for t in n.wait_running("web", 2)}, before)
        n.ok("swarm", "update", "--autolock=false")
        n.stop()
        n.start()
        n.wait_running("web", 2)

    def test_080_a_root_file_system_as_image(self):
        n = self.node
        root = f"{self.host.dir}/root"
        self.host.engine_sh("image-root", root)
        n.ok("service", "create", "--detach", "--name", "jail", *QUICK, f"file://{root}", "sh", "-c", "ls / | tr '\\n' ' '; echo; sleep 100000")
        n.wait_running("jail", 1)
        wait_until("it sees only its own root", lambda: re.search(r"\bbin\b.*\bwww\b", n.ok("service", "logs", "--raw", "jail")))
        n.ok("service", "rm", "jail")

    def test_090_a_command_that_is_not_there_is_told(self):
        n = self.node
        n.ok("service", "create", "--detach", "--name", "nocmd", "--restart-condition", "none", "x", "/no/such/program")
        task = wait_until("it fails", lambda: [t for t in n.tasks("nocmd") if t["Status"]["State"] in ("failed", "rejected")])[0]
        self.assertIn("/no/such/program", task["Status"]["Err"])
        n.ok("service", "rm", "nocmd")

    def test_100_limits(self):
        n = self.node
        n.ok("service", "create", "--detach", "--name", "fat", "--limit-memory", "16m", "--restart-condition", "none", "x", "sh", "-c",
             "dd if=/dev/zero of=/dev/null bs=64M count=1; exit $?")
        task = wait_until("it ends", lambda: [t for t in n.tasks("fat") if t["Status"]["State"] in ("failed", "complete")], 20)[0]
        self.assertEqual(task["Status"]["State"], "failed", "dd could take 64 MB")
        n.ok("service", "rm", "fat")

    def test_110_containers_are_not_offered_without_an_engine(self):
        code, _, err = self.node.docker("run", "--rm", "busybox", "true", timeout=30)
        self.assertNotEqual(code, 0)
        self.assertIn("engine", err.lower())

    def test_900_leave_ends_every_task(self):
        n = self.node
        running = {pids(t) for t in n.wait_running("web", 2)}
        n.ok("swarm", "leave", "--force")
        wait_until("no process is left", lambda: not any(alive(p) for p in running), 20)
        self.assertEqual(n.ok("info", "--format", "{{.Swarm.LocalNodeState}}").strip(), "inactive")


if __name__ == "__main__":
    main(int(os.environ.get("SWARM_TEST_SECONDS", "300")), engine=False)
