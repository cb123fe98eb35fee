#!/usr/bin/env python3
"""Four hosts without engines: a manager that comes back far behind, a new root certificate, and a swarm that has lost its majority."""
import base64
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster  # noqa: E402
from harness import call, main, wait_until  # noqa: E402

CONFIGS = 110
DATA = base64.b64encode(bytes(range(250)) * 2800).decode()  # of one config: together more than a leader keeps for its followers
TASKS = 6


class Recovery(unittest.TestCase):
    """Hosts 1 to 3 are managers, 4 is a worker. Tests run in the order of their names."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(4)
        cls.nodes = cls.cluster.nodes
        cls.cluster.start()
        cls.cluster.init(3)
        cls.nodes[1].ok("service", "create", "--name", "web", "--replicas", str(TASKS), "--stop-grace-period", "1s", "any/image:1", "sleep", "100000",
                        timeout=60)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.leave()
        cls.cluster.clean()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"--- {self.id()}\n{self.cluster.log_tails()}---", file=sys.stderr, flush=True)

    def log_of(self, number):
        with open(self.nodes[number].log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def post(self, number, target, body):
        status, _, found = call(self.nodes[number].socket, "POST", f"/v1.41{target}", body, timeout=20)
        self.assertEqual(status, 201, found)
        return found

    def configs_on(self, number):
        return len(self.nodes[number].ok("config", "ls", "-q", timeout=60).split())

    def test_010_a_manager_that_is_far_behind_gets_a_snapshot(self):
        away = next(n for n in (3, 2) if n != self.cluster.leader(1))
        self.nodes[away].stop(signal.SIGKILL)
        through = 1
        for number in range(CONFIGS):
            self.post(through, "/configs/create", {"Name": f"c{number}", "Labels": {}, "Data": DATA})
        self.nodes[away].start()
        wait_until("it has installed a snapshot", lambda: "snapshot_installed" in self.log_of(away), 60)
        wait_until("it has all", lambda: self.configs_on(away) == CONFIGS, 60)

    def test_020_the_root_certificate_is_replaced_while_everything_runs(self):
        n = self.nodes[1]
        before = {t["ID"] for t in n.wait_running("web", TASKS)}
        old = n.ok("swarm", "ca")
        n.ok("swarm", "ca", "--rotate", "--quiet", timeout=120)
        new = n.ok("swarm", "ca")
        self.assertNotEqual(old.strip(), new.strip())
        wait_until("all are ready", lambda: len([w for w in self.cluster.members(2).values() if w[0] == "Ready"]) == 4, 60)
        roots = {n.ok("node", "inspect", f"host{number}", "--format", "{{.Description.TLSInfo.TrustRoot}}").strip() for number in self.nodes}
        self.assertEqual(roots, {new.strip()})
        self.assertEqual({t["ID"] for t in n.wait_running("web", TASKS)}, before)
        self.nodes[4].stop()
        self.nodes[4].start()
        wait_until("the worker comes back with its new certificate", lambda: self.cluster.members(1)["host4"][0] == "Ready", 60)

    def test_030_one_manager_of_three_begins_a_new_group(self):
        n = self.nodes[1]
        for number in (2, 3):
            self.nodes[number].stop(signal.SIGKILL)
        wait_until("it knows that there is no leader", lambda: "does not have a leader" in n.refused("config", "create", "lost", "/etc/hostname", timeout=60), 60)
        n.ok("swarm", "init", "--force-new-cluster", "--advertise-addr", self.cluster.address(1), timeout=60)
        wait_until("it leads", lambda: self.cluster.members(1)["host1"][2:] == ["Leader"], 30)
        self.assertIn(self.configs_on(1), (CONFIGS, CONFIGS + 1))  # nobody knew what would become of "lost": it may count now
        n.ok("config", "create", "after", "/etc/hostname")
        self.assertEqual(n.ok("service", "ls", "--format", "{{.Name}}").strip(), "web")
        wait_until("the worker follows", lambda: self.cluster.members(1)["host4"][0] == "Ready", 60)
        wait_until("the work of the lost ones runs again", lambda: len(n.running("web")) == TASKS, 90)
        for number in (2, 3):
            n.ok("node", "rm", "--force", f"host{number}")
        self.assertEqual(sorted(self.cluster.members(1)), ["host1", "host4"])
        for number in (2, 3):  # together the majority of before: what they agree on is none of the new group's business
            self.nodes[number].start()
        wait_until("the old two have a leader", lambda: "Leader" in str(self.cluster.members(2)), 60)
        n.ok("config", "create", "alone", "/etc/hostname")
        self.assertEqual(sorted(self.cluster.members(1)), ["host1", "host4"])
        self.assertNotIn("alone", self.nodes[2].ok("config", "ls", "--format", "{{.Name}}"))
        self.assertEqual(len(n.wait_running("web", TASKS)), TASKS)


if __name__ == "__main__":
    main(int(os.environ.get("SWARM_TEST_SECONDS", "300")), engine=False)
