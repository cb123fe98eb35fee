"""What failover.py measures, behind one set of verbs: swarm-node, Docker's own swarm and etcd, each on hosts of a switch."""
import ctypes
import http.client
import json
import os
import signal
import subprocess
import tempfile
import threading
import time

from cluster import Cluster, ClusterHost, Switch
from harness import Failure, UnixConnection, call, own_prefix, process_state, wait_until

MANAGERS = (1, 2, 3)
WORKERS = (4, 5)
REPLICAS = 10
TIMEOUT = 1  # of one write: its client gives up, and later ones go on trying
CLONE_NEWNET = 0x40000000


class Docker:
    """What both swarms share: their HTTP API on a unix socket of each host."""

    def socket(self, number):
        raise NotImplementedError

    def get(self, number, target, timeout=5):
        status, _, found = call(self.socket(number), "GET", "/v1.41" + target, timeout=timeout)
        if status != 200:
            raise Failure(f"GET {target} on host {number}: {status} {found!r}")
        return found

    def post(self, number, target, body, timeout=20):
        status, _, found = call(self.socket(number), "POST", "/v1.41" + target, body, timeout)
        if status not in (200, 201):
            raise Failure(f"POST {target} on host {number}: {status} {found!r}")
        return found

    def writer(self, number):
        """A function that makes one write over a connection of its own; true when it was acknowledged."""
        connection = UnixConnection(self.socket(number), TIMEOUT)

        def write(name):
            body = json.dumps({"Name": name, "Labels": {}, "Data": "eA=="})
            try:
                connection.request("POST", "/v1.41/configs/create", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                return response.status == 201
            except (OSError, http.client.HTTPException):
                connection.close()
                return False
        return write

    def nodes(self, through):
        return self.get(through, "/nodes")

    def leader(self, through=None):
        """Whom a majority holds to lead: one that was cut off may still hold itself to."""
        def leads():
            for number in [through] if through else MANAGERS:
                try:
                    listed = self.nodes(number)
                except (Failure, OSError, http.client.HTTPException):
                    continue
                found = [n for n in listed if n.get("ManagerStatus", {}).get("Leader")]
                if found:
                    return int(found[0]["ManagerStatus"]["Addr"].split(":")[0].split(".")[-1]) - 10
            return None
        return wait_until("somebody leads", leads, 60)

    def wait_whole(self, seconds=120):
        def whole():
            for number in MANAGERS:
                listed = self.nodes(number)
                if len([n for n in listed if n.get("ManagerStatus", {}).get("Reachability") == "reachable"]) != len(MANAGERS):
                    return False
                if len([n for n in listed if n["Status"]["State"] == "ready"]) != len(self.all_hosts):
                    return False
            return True
        wait_until("all are ready and reachable", whole, seconds, 0.2)

    def set_role(self, number, role):
        through = next(n for n in MANAGERS if n != number)

        def done():
            node = next(n for n in self.nodes(through) if n["Status"].get("Addr", "").endswith(f".{10 + number}") or
                        n.get("ManagerStatus", {}).get("Addr", "").startswith(f"{self.address(number)}:"))
            self.post(through, f"/nodes/{node['ID']}/update?version={node['Version']['Index']}", {**node["Spec"], "Role": role})
            return True
        wait_until(f"host {number} becomes a {role}", done, 30)

    def start_workload(self):
        """Ten tasks on the workers."""
        template = {"ContainerSpec": {"Image": "busybox:latest", "Command": ["sleep"], "Args": ["100000"], "StopGracePeriod": 1_000_000_000},
                    "RestartPolicy": {"Delay": 100_000_000}, "Placement": {"Constraints": ["node.role==worker"]}}
        self.post(1, "/services/create", {"Name": "work", "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": REPLICAS}}})
        wait_until("the tasks run", lambda: len(self.running()) == REPLICAS, 120)

    def spread_workload(self):
        """Half of the tasks on each worker again: by a forced update."""
        service = self.get(1, "/services/work")
        spec = service["Spec"]
        spec["TaskTemplate"]["ForceUpdate"] = spec["TaskTemplate"].get("ForceUpdate", 0) + 1
        spec["UpdateConfig"] = {"Parallelism": 0, "Monitor": 100_000_000, "Order": "stop-first"}
        self.post(1, f"/services/{service['ID']}/update?version={service['Version']['Index']}", spec)
        begun = time.monotonic()

        def even():
            hosts = [n for n, _ in self.running()]
            if time.monotonic() - begun > 60:
                raise Failure(f"the tasks stay on hosts {sorted(hosts)}")
            return len(hosts) == REPLICAS and len(set(hosts)) == len(WORKERS)
        wait_until("the tasks are spread", even, 120, 0.2)

    def running(self):
        """(node id, task id) of all that are to run and do."""
        listed = self.get(1, "/tasks?filters=%7B%22service%22%3A%5B%22work%22%5D%2C%22desired-state%22%3A%5B%22running%22%5D%7D")
        return [(t["NodeID"], t["ID"]) for t in listed if t["Status"]["State"] == "running"]

    def node_id(self, number):
        return call(self.socket(number), "GET", "/v1.41/info", timeout=10)[2]["Swarm"]["NodeID"]


class Ours(Docker):
    name = "swarm-node"

    def __init__(self, hosts=5, **flags):
        self.home = tempfile.mkdtemp(prefix="swfail-")
        self.cluster = Cluster(hosts, "process", self.home, **flags)
        self.all_hosts = list(self.cluster.hosts)
        self.cut, self.heal, self.kill = self.cluster.cut, self.cluster.heal, self.cluster.kill

    def start(self):
        self.cluster.start()
        self.cluster.init(len(MANAGERS))

    def socket(self, number):
        return self.cluster.nodes[number].socket

    def address(self, number):
        return self.cluster.address(number)

    def pid(self, number):
        return self.cluster.nodes[number].pid

    def terminate(self, number):
        os.kill(self.cluster.nodes[number].pid, signal.SIGTERM)

    def restore(self):
        for number, node in self.cluster.nodes.items():
            if node.process and node.process.poll() is None and self.stopping(number):
                node.process.wait(30)
        self.cluster.restore()

    def stopping(self, number):
        """SIGTERM was sent, and it has not ended yet: it answers no more."""
        try:
            return call(self.socket(number), "GET", "/_ping", timeout=5)[0] != 200
        except OSError:
            return True

    def clean(self):
        self.cluster.clean()
        os.rmdir(self.home)


class Hosts:
    """Hosts on a switch, without swarm-node."""

    def __init__(self, numbers):
        self.all_hosts = list(numbers)
        name = f"{own_prefix()}-sw"
        self.switch = Switch(name, f"/tmp/{name}.json")
        self.hosts = {number: ClusterHost(number, self.switch, None, False) for number in numbers}

    def address(self, number):
        return self.hosts[number].address

    def cut(self, number):
        self.switch.set_faults(self.hosts[number], **{"in": True, "out": True})

    def heal(self, number):
        self.switch.set_faults(self.hosts[number])

    def clean(self):
        for host in self.hosts.values():
            host.clean()
        self.switch.clean()


class Swarm(Docker, Hosts):
    name = "Docker Swarm"

    def __init__(self, hosts=5):
        Hosts.__init__(self, range(1, hosts + 1))

    def start(self):
        for host in self.hosts.values():
            host.start_engine()
        self.post(1, "/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": self.address(1)})
        tokens = self.get(1, "/swarm")["JoinTokens"]
        for number in self.all_hosts[1:]:
            self.post(number, "/swarm/join", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": self.address(number), "RemoteAddrs": [f"{self.address(1)}:2377"],
                                              "JoinToken": tokens["Manager" if number in MANAGERS else "Worker"]}, timeout=60)
        self.wait_whole()

    def socket(self, number):
        return self.hosts[number].engine_socket

    def pid(self, number):
        try:
            with open(f"{self.hosts[number].engine_dir}/docker.pid", encoding="utf-8") as file:
                pid = int(file.read())
        except (OSError, ValueError):
            return None
        return pid if process_state(pid, "dockerd") not in ("", "Z") else None

    def kill(self, number):
        os.kill(self.pid(number), signal.SIGKILL)

    def terminate(self, number):
        os.kill(self.pid(number), signal.SIGTERM)

    def restore(self):
        for number in self.hosts:
            self.heal(number)
            if self.pid(number) and not self._answers(number):
                wait_until("dockerd ends", lambda n=number: not self.pid(n) or self._answers(n), 60)
            self.hosts[number].start_engine()

    def _answers(self, number):
        try:
            return call(self.socket(number), "GET", "/_ping", timeout=5)[0] == 200
        except OSError:
            return False


class Etcd(Hosts):
    name = "etcd"

    def __init__(self):
        super().__init__(MANAGERS)
        self.processes = {}

    def start(self):
        for number in self.all_hosts:
            self._begin(number, "new")
        self.wait_whole()

    def _begin(self, number, state):
        url = f"http://{self.address(number)}"
        members = ",".join(f"m{n}=http://{self.address(n)}:2380" for n in self.all_hosts)
        with open(f"{self.hosts[number].dir}/etcd.log", "ab") as log:
            self.processes[number] = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self.hosts[number].name}", "etcd", "--name", f"m{number}", "--data-dir", f"{self.hosts[number].dir}/etcd",
                 "--listen-peer-urls", f"{url}:2380", "--initial-advertise-peer-urls", f"{url}:2380", "--listen-client-urls", f"{url}:2379",
                 "--advertise-client-urls", f"{url}:2379", "--initial-cluster", members, "--initial-cluster-state", state],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def _post(self, through, target, body, connection=None):
        """Sockets belong to the namespace they were made in: this thread goes where the host is."""
        enter(self.hosts[through].name)
        fresh = connection or http.client.HTTPConnection(self.address(through), 2379, timeout=5)
        fresh.request("POST", "/v3" + target, json.dumps(body), {"Content-Type": "application/json"})
        response = fresh.getresponse()
        return response.status, json.loads(response.read() or b"{}")

    def writer(self, number):
        connection = http.client.HTTPConnection(self.address(number), 2379, timeout=TIMEOUT)

        def write(_):
            try:
                return self._post(number, "/kv/put", {"key": "a2V5", "value": "eA=="}, connection)[0] == 200
            except (OSError, ValueError, http.client.HTTPException):
                connection.close()
                return False
        return write

    def _status(self, number):
        return in_thread(lambda: self._post(number, "/maintenance/status", {})[1])

    def leader(self, through=None):
        def leads():
            for number in [through] if through else self.all_hosts:
                try:
                    told = self._status(number)
                    if told.get("leader", "0") != "0":
                        ids = {self._status(n)["header"]["member_id"]: n for n in self.all_hosts}
                        return ids.get(told["leader"])
                except (OSError, KeyError, http.client.HTTPException):
                    continue
            return None
        return wait_until("somebody leads", leads, 30)

    def wait_whole(self, seconds=60):
        def whole():
            told = [self._status(number) for number in self.all_hosts]
            return len({t.get("leader") for t in told}) == 1 and "leader" in told[0]
        wait_until("all follow one leader", whole, seconds)

    def kill(self, number):
        self.processes[number].kill()
        self.processes[number].wait()

    def terminate(self, number):
        self.processes[number].terminate()

    def restore(self):
        for number, process in list(self.processes.items()):
            self.heal(number)
            try:
                process.wait(0 if process.poll() is not None or self._lives(number) else 20)
            except subprocess.TimeoutExpired:
                continue
            self._begin(number, "existing")

    def _lives(self, number):
        try:
            return bool(self._status(number))
        except (OSError, ValueError, http.client.HTTPException):
            return False

    def clean(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        super().clean()


LIBC = ctypes.CDLL(None, use_errno=True)


def enter(netns):
    """Takes the calling thread into a network namespace."""
    with open(f"/run/netns/{netns}", "rb") as file:
        if LIBC.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {netns}")


def in_thread(action):
    """The result of `action`, called by a thread that may change its namespace."""
    result = []

    def body():
        try:
            result.append((action(), None))
        except Exception as error:  # handed on to the caller
            result.append((None, error))
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    value, error = result[0]
    if error:
        raise error
    return value
