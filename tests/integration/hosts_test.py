#!/usr/bin/env python3
"""Four hosts without engines, joined to one swarm: joining, failover, loss of a worker, promotion, demotion, removal."""
import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster  # noqa: E402
from harness import main, wait_until  # noqa: E402

QUICK = ["--stop-grace-period", "1s", "--restart-delay", "100ms"]


class Hosts(unittest.TestCase):
    """Hosts 1 to 3 are managers in the end, 4 is a worker. Tests run in the order of their names."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(4)
        cls.nodes = cls.cluster.nodes
        cls.address, cls.members, cls.leader = cls.cluster.address, cls.cluster.members, cls.cluster.leader
        cls.cluster.start()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.leave()
        cls.cluster.clean()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"--- {self.id()}\n{self.cluster.log_tails()}---", file=sys.stderr, flush=True)

    def join(self, number, role, through=1):
        self.assertIn(f"This node joined a swarm as a {role}.", self.cluster.join(number, role, through))

    def test_010_init_and_join(self):
        self.nodes[1].ok("swarm", "init", "--advertise-addr", self.address(1))
        self.join(2, "manager")
        self.join(3, "manager", through=2)
        self.join(4, "worker", through=3)
        wait_until("all are ready", lambda: len([1 for what in self.members(3).values() if what[0] == "Ready"]) == 4, 20)
        self.assertEqual(self.members(2)["host4"], ["Ready", "Active"])
        wait_until("all managers are reachable", lambda: sorted(w[2] for h, w in self.members(2).items() if h != "host4") == ["Leader", "Reachable", "Reachable"], 15)
        self.assertIn("This node is already part of a swarm", self.nodes[4].refused("swarm", "join", "--token", "x", "10.99.9.11:2377"))
        self.assertIn("not a swarm manager", self.nodes[4].refused("node", "ls"))

    def test_020_wrong_tokens_are_refused(self):
        token = self.nodes[1].ok("swarm", "join-token", "-q", "worker").strip()
        self.nodes[1].ok("swarm", "join-token", "--rotate", "-q", "worker")
        extra = self.nodes[4]
        extra.ok("swarm", "leave")
        wait_until("it counts as down", lambda: self.members(1)["host4"][0] == "Down", 60)
        self.nodes[1].ok("node", "rm", "host4")  # or there would be two of that name
        self.assertIn("A valid join token is necessary to join this cluster", extra.refused("swarm", "join", "--token", token, f"{self.address(1)}:2377"))
        self.assertIn("invalid join token", extra.refused("swarm", "join", "--token", "nonsense", f"{self.address(1)}:2377"))
        self.join(4, "worker", through=1)

    def test_030_services_spread_over_all_hosts_from_any_manager(self):
        n = self.nodes[3]
        n.ok("service", "create", "--name", "web", "--replicas", "8", *QUICK, "any/image:1", "sleep", "100000", timeout=60)
        where = {t["NodeID"] for t in n.wait_running("web", 8)}
        self.assertEqual(len(where), 4)
        self.assertEqual(self.nodes[2].ok("service", "ls", "--format", "{{.Name}} {{.Replicas}}").strip(), "web 8/8")
        n.ok("service", "create", "--detach", "--name", "talk", "--mode", "global", *QUICK, "any/image:1", "sh", "-c", "echo said; sleep 100000")
        wait_until("all speak, whoever is asked", lambda: self.nodes[2].ok("service", "logs", "--raw", "talk").count("said") == 4, 20)

    def test_040_the_leader_dies_and_nobody_waits_long(self):
        old = self.leader(2)
        through = 1 if old != 1 else 2
        for number in range(20):
            self.nodes[through].ok("config", "create", f"before-{number}", "/etc/hostname")
        self.nodes[old].stop(signal.SIGKILL)
        began = time.monotonic()
        wait_until("a write is accepted", lambda: self.nodes[through].docker("config", "create", "after", "/etc/hostname")[0] == 0, 20)
        print(f"leader killed; next acknowledged write after {time.monotonic() - began:.2f} s", file=sys.stderr)
        kept = set(self.nodes[through].ok("config", "ls", "--format", "{{.Name}}").split())
        self.assertLessEqual({f"before-{number}" for number in range(20)} | {"after"}, kept)
        self.nodes[old].start()
        wait_until("it is back", lambda: self.members(through)[f"host{old}"][0] == "Ready", 30)
        self.assertEqual(set(self.nodes[old].ok("config", "ls", "--format", "{{.Name}}").split()), kept)

    def test_050_work_of_a_lost_worker_runs_elsewhere(self):
        n = self.nodes[1]
        lost = n.inspect("node", "host4")["ID"]
        self.nodes[4].stop(signal.SIGKILL)
        wait_until("it counts as down", lambda: self.members(1)["host4"][0] == "Down", 60)
        wait_until("its work runs elsewhere", lambda: len(now := n.running("web")) == 8 and lost not in {t["NodeID"] for t in now}, 30)
        self.nodes[4].start()
        wait_until("it is back", lambda: self.members(1)["host4"][0] == "Ready", 30)

    def test_055_a_silent_worker_is_missed_as_soon_as_the_heartbeat_says(self):
        n = self.nodes[1]
        lost = n.inspect("node", "host4")["ID"]
        n.ok("swarm", "update", "--dispatcher-heartbeat", "300ms")

        def sessions():
            with open(self.nodes[4].log, encoding="utf-8", errors="replace") as file:
                return file.read().count("session_begins")
        before = sessions()
        self.nodes[4].stop()  # it learns of the period when it registers, else with its next heartbeat
        self.nodes[4].start()
        wait_until("it has registered again", lambda: sessions() > before, 30)  # "Ready" may be from before
        wait_until("it is back", lambda: self.members(1)["host4"][0] == "Ready", 30)
        self.cluster.cut(4)
        began = time.monotonic()
        wait_until("it counts as down", lambda: self.members(1)["host4"][0] == "Down", 10)
        print(f"worker cut off; down after {time.monotonic() - began:.2f} s", file=sys.stderr)
        wait_until("its work runs elsewhere", lambda: len(now := n.running("web")) == 8 and lost not in {t["NodeID"] for t in now}, 30)
        self.cluster.heal(4)
        n.ok("swarm", "update", "--dispatcher-heartbeat", "5s")
        wait_until("it is back", lambda: self.members(1)["host4"][0] == "Ready", 30)

    def test_060_promote_and_demote(self):
        n = self.nodes[1]
        n.ok("node", "promote", "host4")
        wait_until("it is a manager", lambda: self.members(1)["host4"][2:] == ["Reachable"], 30)
        wait_until("it answers as one", lambda: self.nodes[4].docker("node", "ls")[0] == 0, 30)
        n.ok("node", "demote", "host4")
        wait_until("it is none", lambda: self.members(1)["host4"][2:] == [], 30)
        wait_until("and knows it", lambda: self.nodes[4].docker("node", "ls")[0] != 0, 30)

    def test_065_a_drained_leader_hands_over(self):
        old = self.leader(1)
        n = self.nodes[1 if old != 1 else 2]
        n.ok("node", "update", "--availability", "drain", f"host{old}")
        wait_until("another one leads", lambda: self.members(2)[f"host{old}"] == ["Ready", "Drain", "Reachable"], 15, 0.1)
        for number in range(20):  # while leadership moves and after it, nobody is refused
            n.ok("config", "create", f"drained-{number}", "/etc/hostname")
        n.ok("node", "update", "--availability", "active", f"host{old}")

    def test_070_drain_leave_and_remove(self):
        n = self.nodes[1]
        n.ok("node", "update", "--availability", "drain", "host4")
        lost = n.inspect("node", "host4")["ID"]
        wait_until("it is empty", lambda: len(now := n.running("web")) == 8 and lost not in {t["NodeID"] for t in now}, 30)
        self.nodes[4].ok("swarm", "leave")
        wait_until("it is down", lambda: self.members(1)["host4"][0] == "Down", 60)
        n.ok("node", "rm", "host4")
        self.assertNotIn("host4", self.members(1))


if __name__ == "__main__":
    main(int(os.environ.get("SWARM_TEST_SECONDS", "300")), engine=False)
