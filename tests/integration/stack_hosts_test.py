#!/usr/bin/env python3
"""The example stack on three hosts with engines, while a client polls: updated, rolled back, drained, scaled."""
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Failure, Host, Node, main, run, wait_until  # noqa: E402

SHOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/examples/shop")
NUMBERS = (1, 2, 3)


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


class Client:
    """Asks one host after the other for the page until one answers; counts the rounds in which none did."""

    def __init__(self, namespace, addresses):
        self.namespace, self.addresses = namespace, addresses
        self.rounds, self.failed, self.ended = 0, [], threading.Event()
        self.thread = threading.Thread(target=self.poll, daemon=True)
        self.thread.start()

    def ask(self, address):
        code, out, _ = run(["nsenter", f"--net=/run/netns/{self.namespace}", "curl", "-sS", "-m", "2", f"http://{address}:8080/"])
        return code == 0 and out == "hello from a config\n"

    def poll(self):
        began = time.monotonic()
        while not self.ended.is_set():
            self.rounds += 1
            if not any(self.ask(address) for address in self.addresses):
                self.failed.append(round(time.monotonic() - began, 1))
            time.sleep(0.05)

    def end(self):
        self.ended.set()
        self.thread.join()
        return self.rounds, self.failed


class StackHosts(unittest.TestCase):
    """Three managers, each with an engine of its own. Tests run in the order of their names."""

    @classmethod
    def setUpClass(cls):
        cls.hosts = {number: Host(f"s{number}") for number in NUMBERS}
        cls.switch = cls.hosts[1].name  # the bridge that joins them stands in the first one's namespace
        ip("-n", cls.switch, "link", "add", "switch", "type", "bridge")
        ip("-n", cls.switch, "link", "set", "switch", "up")
        cls.nodes = {}
        for number, host in cls.hosts.items():
            ip("link", "add", "up0", "netns", host.name, "type", "veth", "peer", "name", f"p{number}", "netns", cls.switch)
            ip("-n", cls.switch, "link", "set", f"p{number}", "master", "switch", "up")
            ip("-n", host.name, "addr", "add", f"{cls.address(number)}/24", "dev", "up0")
            ip("-n", host.name, "link", "set", "up0", "up")
            host.start_engine()
            # A bridge on which packets meet Docker's filter would drop those between hosts.
            run(["nsenter", f"--net=/run/netns/{host.name}", "iptables", "-P", "FORWARD", "ACCEPT"])
            cls.nodes[number] = Node(host, "docker", host.engine_socket, **{"advertise-addr": cls.address(number), "node-name": f"host{number}"})
            cls.nodes[number].start()

    @classmethod
    def tearDownClass(cls):
        for node in cls.nodes.values():
            if node.process and node.process.poll() is None:
                node.docker("swarm", "leave", "--force")
                node.stop()
        for host in cls.hosts.values():
            host.clean()
        left = "".join(host.leftovers() for host in cls.hosts.values())
        if left:
            raise Failure(f"left behind:\n{left}")

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for number, node in self.nodes.items():
                print(f"--- {self.id()}: end of the log of host{number}{node.log_tail(12)}\n---", file=sys.stderr, flush=True)

    @staticmethod
    def address(number):
        return f"10.99.8.1{number}"

    @property
    def node(self):
        return self.nodes[1]

    def hosts_of(self, service):
        names = {line.split()[0]: line.split()[1] for line in self.node.ok("node", "ls", "--format", "{{.ID}} {{.Hostname}}").splitlines()}
        return sorted(names[t["NodeID"]] for t in self.node.running(service))

    def update_state(self, service):
        return self.node.inspect("service", service).get("UpdateStatus", {}).get("State")

    def settled(self, edges=2):
        counts = {"shop_edge": edges, "shop_web": 2, "shop_api": 2, "shop_db": 1, "shop_worker": 1, "shop_agent": 3}
        wait_until("all of it runs", lambda: {s: len(self.node.running(s)) for s in counts} == counts, 90)

    def never_unanswered(self, action):
        """Runs `action` while a client polls, and some rounds after it."""
        client = Client(self.hosts[2].name, [self.address(number) for number in NUMBERS])
        try:
            action()
            enough = client.rounds + 5
            wait_until("some rounds more are over", lambda: client.rounds >= enough)
        finally:
            rounds, failed = client.end()
        self.assertEqual(failed, [], f"nobody answered in {len(failed)} of {rounds} rounds, at these seconds")

    def test_010_three_managers(self):
        n = self.node
        n.ok("swarm", "init", "--advertise-addr", self.address(1))
        token = n.ok("swarm", "join-token", "-q", "manager").strip()
        for number in (2, 3):
            self.nodes[number].ok("swarm", "join", "--token", token, f"{self.address(1)}:2377")
        wait_until("all are ready", lambda: n.ok("node", "ls", "--format", "{{.Status}}").split() == ["Ready"] * 3, 30)
        n.ok("node", "update", "--label-add", "data=no", "host3")

    def test_020_deploy(self):
        files = [f for name in ("compose.yml", "three-hosts.yml") for f in ("-c", f"{SHOP}/{name}")]
        self.node.ok("stack", "deploy", "--detach=true", "--resolve-image", "never", *files, "shop", timeout=120)
        self.settled()
        self.assertEqual(len(set(self.hosts_of("shop_edge"))), 2)
        self.assertEqual(self.hosts_of("shop_agent"), ["host1", "host2", "host3"])
        self.assertNotIn("host3", self.hosts_of("shop_db"))
        self.assertEqual(self.nodes[3].ok("stack", "ls", "--format", "{{.Name}} {{.Services}}").strip(), "shop 7")

    def test_030_updated_and_rolled_back_under_a_polling_client(self):
        def update():
            self.node.ok("service", "update", "--env-add", "COLOUR=blue", "shop_edge", timeout=120)
            wait_until("it is completed", lambda: self.update_state("shop_edge") == "completed", 60)
            self.nodes[2].ok("service", "rollback", "shop_edge", timeout=120)
            wait_until("it is rolled back", lambda: self.update_state("shop_edge") == "rollback_completed", 60)
        self.never_unanswered(update)
        self.settled()

    def test_040_drained_under_a_polling_client(self):
        drained = self.hosts_of("shop_edge")[0]

        def drain():
            self.node.ok("node", "update", "--availability", "drain", drained)
            wait_until("nothing of the stack is left there", lambda: drained not in sum((self.hosts_of(f"shop_{s}") for s in ("edge", "web", "api", "db", "worker", "agent")), []), 90)
        self.never_unanswered(drain)
        self.assertEqual(len(self.node.running("shop_edge")), 2)
        self.node.ok("node", "update", "--availability", "active", drained)
        self.settled()

    def test_050_scaled_under_a_polling_client(self):
        def scale():
            self.node.ok("service", "scale", "shop_edge=3", timeout=120)
            self.settled(3)
            self.node.ok("service", "scale", "shop_edge=2", timeout=120)
            self.settled(2)
        self.never_unanswered(scale)
        self.node.ok("service", "scale", "--detach", "shop_edge=4")
        wait_until("the fourth says why", lambda: "host-mode port already in use on 3 nodes" in self.node.ok("service", "ps", "--no-trunc", "shop_edge"))
        self.node.ok("service", "scale", "--detach", "shop_edge=2")
        self.settled(2)

    def test_060_an_update_goes_on_under_a_new_leader(self):
        n = self.node
        leader = next(int(line.split()[0][-1]) for line in n.ok("node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}").splitlines() if "Leader" in line)
        other = self.nodes[2 if leader != 2 else 3]
        other.ok("service", "update", "--detach", "--update-parallelism", "1", "--update-delay", "3s", "--env-add", "ROUND=2", "shop_web")
        wait_until("it is under way", lambda: (other.inspect("service", "shop_web").get("UpdateStatus") or {}).get("State") == "updating")
        other.ok("node", "demote", f"host{leader}")
        wait_until("it is completed", lambda: other.inspect("service", "shop_web")["UpdateStatus"]["State"] == "completed", 90)
        other.ok("node", "promote", f"host{leader}")
        wait_until("all are managers", lambda: other.ok("node", "ls", "--format", "{{.ManagerStatus}}").split().count("Reachable") == 2, 60)
        wait_until("it answers", lambda: self.node.docker("node", "ls")[0] == 0, 30)

    def files_on(self, number):
        """Target names of the secrets and configs that a host keeps, for each of its tasks."""
        folder = f"{self.hosts[number].dir}/files"
        return {task: sorted(os.listdir(f"{folder}/{task}")) for task in os.listdir(folder)}

    def hosts_with(self, text):
        """Where a file in memory holds that text."""
        found = []
        for number, host in self.hosts.items():
            for folder, _, names in os.walk(f"{host.dir}/files"):
                for name in names:
                    with open(f"{folder}/{name}", "rb") as file:
                        if text.encode() in file.read():
                            found.append(number)
        return found

    def test_065_secrets_are_only_where_a_task_uses_them_and_go_with_it(self):
        n = self.node
        payload = "a payload that is nowhere else"
        with open(f"{self.hosts[1].dir}/payload", "w", encoding="utf-8") as file:
            file.write(payload)
        n.ok("secret", "create", "key", f"{self.hosts[1].dir}/payload")
        n.ok("config", "create", "conf", f"{self.hosts[1].dir}/payload")
        os.remove(f"{self.hosts[1].dir}/payload")
        self.assertEqual(self.hosts_with(payload), [])
        n.ok("service", "create", "--detach", "--name", "keeper", "--secret", "key", "--config", "conf", "--constraint", "node.hostname == host2",
             "--stop-grace-period", "1s", "--restart-delay", "100ms", "busybox", "sleep", "100000")
        task = n.wait_running("keeper", 1)[0]
        self.assertEqual(self.hosts_with(payload), [2, 2])
        self.assertIn(task["ID"], self.files_on(2))
        # An ended task's container stays in the history; its files do not, also when its end is found only after a restart.
        old = task["Status"]["ContainerStatus"]["ContainerID"]
        self.hosts[2].engine_call("kill", old)
        task = wait_until("another one runs", lambda: [t for t in n.running("keeper") if t["ID"] != task["ID"]], 30)[0]
        wait_until("only the running one has files", lambda: self.hosts_with(payload) == [2, 2] and task["ID"] in self.files_on(2), 5)
        self.assertIn(old, self.hosts[2].engine_call("ps", "-aq", "--no-trunc")[1])
        self.nodes[2].stop(signal.SIGKILL)
        old = task["Status"]["ContainerStatus"]["ContainerID"]
        self.hosts[2].engine_call("kill", old)
        self.nodes[2].start()
        task = wait_until("a third one runs", lambda: [t for t in n.running("keeper") if t["ID"] != task["ID"]], 60)[0]
        wait_until("only it has files", lambda: self.hosts_with(payload) == [2, 2] and task["ID"] in self.files_on(2), 5)
        self.assertIn(old, self.hosts[2].engine_call("ps", "-aq", "--no-trunc")[1])
        n.ok("service", "scale", "--detach", "keeper=0")
        wait_until("it is gone with the task", lambda: self.hosts_with(payload) == [], 30)
        n.ok("service", "rm", "keeper")
        n.ok("secret", "rm", "key")
        n.ok("config", "rm", "conf")

    def test_070_logs_of_all_hosts_and_what_is_missing_is_said(self):
        n = self.node
        n.ok("service", "create", "--detach", "--name", "talk", "--mode", "global", "--stop-grace-period", "1s", "busybox", "sh", "-c", "echo said; sleep 100000")
        wait_until("all three speak", lambda: n.ok("service", "logs", "--raw", "talk").count("said") == 3, 60)
        self.hosts[3].engine_sh("pause", self.hosts[3].name, self.hosts[3].engine_dir)
        try:
            began = time.monotonic()
            code, out, err = n.docker("service", "logs", "--raw", "talk", timeout=60)
            self.assertLess(time.monotonic() - began, 45)
            self.assertEqual(out.count("said"), 2, out + err)
            self.assertIn("incomplete log stream", err)
            self.assertNotEqual(code, 0)
        finally:
            self.hosts[3].engine_sh("resume", self.hosts[3].name, self.hosts[3].engine_dir)
        n.ok("service", "rm", "talk")

    def test_080_a_host_that_lost_its_data_comes_back_under_its_name(self):
        n, lost = self.node, 3
        old = n.inspect("node", "host3")["ID"]
        n.ok("service", "create", "--detach", "--name", "kept", "--replicas", "6", "--stop-grace-period", "1s", "busybox", "sleep", "100000")
        before = {t["ID"] for t in n.wait_running("kept", 6) if t["NodeID"] == old}
        self.assertTrue(before)
        self.nodes[lost].stop(signal.SIGKILL)
        shutil.rmtree(self.nodes[lost].data_root)
        wait_until("its work runs elsewhere", lambda: len([t for t in n.running("kept") if t["NodeID"] != old]) == 6, 60)
        self.nodes[lost].start()
        # Its engine was paused by the test before; until it answers, `docker info` knows nothing at all.
        wait_until("it knows nothing of the swarm",
                   lambda: self.nodes[lost].ok("info", "--format", "{{.Swarm.LocalNodeState}}").strip() == "inactive", 30)
        token = n.ok("swarm", "join-token", "-q", "manager").strip()
        self.nodes[lost].ok("swarm", "join", "--token", token, f"{self.address(1)}:2377")

        def members():
            return sorted(n.ok("node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}").splitlines())
        wait_until("there are two of the name, one of them down",
                   lambda: members()[2:] == ["host3 Down Unreachable", "host3 Ready Reachable"], 60)
        self.assertIn("ambiguous", n.refused("node", "rm", "host3"))
        engine = f"unix://{self.hosts[lost].engine_socket}"

        def containers():
            found = run(["docker", "-H", engine, "ps", "-a", "--no-trunc", "--format", "{{.Names}}"])[1].split()
            return [name for name in found if name.rsplit(".", 1)[-1] in before]
        wait_until("nobody's containers are gone", lambda: containers() == [], 60)
        n.ok("node", "demote", old)
        n.ok("node", "rm", "--force", old)
        self.assertEqual([line.split()[:2] for line in members()], [[f"host{number}", "Ready"] for number in NUMBERS])
        n.ok("service", "update", "--detach", "--force", "kept")
        new = n.inspect("node", "host3")["ID"]
        wait_until("it works again", lambda: any(t["NodeID"] == new for t in n.running("kept")) and len(n.running("kept")) == 6, 60)
        n.ok("service", "rm", "kept")

    def test_090_removed(self):
        n = self.node
        n.ok("stack", "rm", "shop", timeout=120)
        wait_until("no container is left anywhere", lambda: not any(node.ok("ps", "-aq").split() for node in self.nodes.values()), 60)


if __name__ == "__main__":
    main(int(os.environ.get("SWARM_TEST_SECONDS", "400")))
