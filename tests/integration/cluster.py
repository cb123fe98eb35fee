"""Several hosts on one switch, each with an engine (or none) and swarm-node, and what can be done to them: cut, kill, pause."""
import atexit
import concurrent.futures
import json
import os
import signal

from harness import Failure, Host, Node, own_prefix, process_state, run, wait_until

SUBNET = "10.99.9"
MOST_HOSTS = 64
TABLE = "lab"


def ip(*arguments):
    code, out, err = run(["ip", *arguments])
    if code != 0:
        raise Failure(f"ip {' '.join(arguments)}: {out}{err}")
    return out


class Switch:
    """A namespace with a bridge. What a port does not carry is dropped by nftables here, so that the hosts see no sign of it:
    the carrier stays, nothing is refused. The faults are kept in a file, for programs that come later."""

    def __init__(self, name, faults_file, found=False, outlived=True):
        self.name, self.file = name, faults_file
        if found:
            return
        self.clean()
        if outlived:
            atexit.register(self.clean)
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "add", "br0", "type", "bridge")
        ip("-n", self.name, "link", "set", "br0", "up")

    def clean(self):
        if os.path.exists(f"/run/netns/{self.name}"):
            ip("netns", "del", self.name)
        if os.path.exists(self.file):
            os.remove(self.file)

    def connect(self, host):
        port = port_of(host)
        ip("link", "add", "eth0", "netns", host.name, "type", "veth", "peer", "name", port, "netns", self.name)
        ip("-n", self.name, "link", "set", port, "master", "br0", "up")
        ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
        ip("-n", host.name, "link", "set", "eth0", "up")

    def faults(self):
        """{port: {"in": bool, "out": bool, "loss": percent, "delay": text}} of the ports that have any."""
        try:
            with open(self.file, encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return {}

    def set_faults(self, host, **changed):
        """`in` and `out` as seen from the host; None heals everything of that host."""
        now, port = self.faults(), port_of(host)
        before = now.pop(port, {})
        fault = {key: value for key, value in {**before, **changed}.items() if value} if changed else {}
        self._delay(host, fault.get("delay"))
        if fault:
            now[port] = fault
        rules = [line for name, one in sorted(now.items()) for line in rules_of(name, one)]
        text = "\n".join([f"table bridge {TABLE}", f"delete table bridge {TABLE}", f"table bridge {TABLE} {{ chain forward {{",
                          "type filter hook forward priority 0;", *rules, "}", "}", ""])
        code, out, err = run(["nsenter", f"--net=/run/netns/{self.name}", "nft", "-f", "-"], stdin=None, input=text.encode())
        if code != 0:
            raise Failure(f"nft: {out}{err}")
        with open(self.file + ".new", "w", encoding="utf-8") as file:
            json.dump(now, file)
        os.replace(self.file + ".new", self.file)

    def _delay(self, host, delay):
        """Half on the way to the host, half on the way from it."""
        had = self.faults().get(port_of(host), {}).get("delay")
        if had == delay:
            return
        for netns, device in ((self.name, port_of(host)), (host.name, "eth0")):
            if had:
                run(["tc", "-n", netns, "qdisc", "del", "dev", device, "root"])
            if delay:
                code, out, err = run(["tc", "-n", netns, "qdisc", "add", "dev", device, "root", "netem", "delay", f"{delay / 2:g}ms"])
                if code != 0:
                    why = "this kernel has no sch_netem, so nothing can be delayed here (--loss works)" if "unknown" in out + err else out + err
                    raise Failure(f"host {host.number} was not slowed down: {why}")


def port_of(host):
    return f"p{host.number}"


def rules_of(port, fault):
    if fault.get("out"):
        yield f'iifname "{port}" drop'
    if fault.get("in"):
        yield f'oifname "{port}" drop'
    if fault.get("loss"):
        yield f'iifname "{port}" numgen random mod 100 < {fault["loss"]} drop'
        yield f'oifname "{port}" numgen random mod 100 < {fault["loss"]} drop'


class ClusterHost(Host):
    def __init__(self, number, switch, home, found):
        self.number, self.address = number, f"{SUBNET}.{10 + number}"
        super().__init__(f"h{number}", switch, home, found)


class Cluster:
    """`home` (a folder) makes a lab of it, which outlives this program; a later one finds it with found=True."""

    def __init__(self, size, driver="process", home=None, found=False, **flags):
        if not 1 <= size <= MOST_HOSTS:
            raise Failure(f"1 to {MOST_HOSTS} hosts, not {size}")
        self.driver, self.home = driver, home
        self.hosts, self.nodes = {}, {}
        name = f"{own_prefix(home)}-sw"
        self.switch = Switch(name, f"{home or '/tmp'}/{name}.json", found, not home)
        for number in range(1, size + 1):
            host = ClusterHost(number, self.switch, home, found)
            self.hosts[number] = host
            self.nodes[number] = Node(host, driver, host.engine_socket if driver == "docker" else None,
                                      **{"advertise-addr": host.address, "node-name": f"host{number}", **flags})

    def address(self, number):
        return self.hosts[number].address

    def each(self, action, numbers=None):
        """Calls `action(number)` for all at the same time; the first failure counts."""
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return list(pool.map(action, numbers or self.hosts))

    def start(self):
        if self.driver == "docker":
            self.each(lambda number: self.hosts[number].start_engine())
        self.each(lambda number: self.nodes[number].start(60))

    def init(self, managers=3):
        """One swarm of all: the first is initialised, the next are managers, the others workers."""
        self.nodes[1].ok("swarm", "init", "--advertise-addr", self.address(1))
        for number in list(self.hosts)[1:]:
            self.join(number, "manager" if number <= managers else "worker")
        self.wait_ready(managers)

    def join(self, number, role, through=1):
        token = self.nodes[through].ok("swarm", "join-token", "-q", role).strip()
        return self.nodes[number].ok("swarm", "join", "--token", token, f"{self.address(through)}:2377")

    def wait_ready(self, managers, through=1, seconds=60):
        def ready():
            listed = self.members(through)
            told = [what for what in listed.values() if what[0] == "Ready"]
            return len(told) == len(self.hosts) and len([w for w in told if w[2:] in (["Leader"], ["Reachable"])]) == managers
        wait_until("all hosts are ready and all managers reachable", ready, seconds, 0.2)

    def members(self, through):
        """{host name: [status, availability, manager status]} as `node ls` shows them."""
        listed = self.nodes[through].ok("node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.Availability}} {{.ManagerStatus}}", timeout=15)
        return {line.split()[0]: line.split()[1:] for line in listed.splitlines()}

    def leader(self, through, seconds=15):
        def leads():
            return next((int(name[4:]) for name, what in self.members(through).items() if "Leader" in what), None)
        return wait_until("somebody leads", leads, seconds)

    # -- faults: each is over with the method in brackets ------------------------------------------------------------

    def cut(self, number, inward=True, outward=True):
        """Nothing reaches the host, or leaves it (heal)."""
        self.switch.set_faults(self.hosts[number], **({"in": True} if inward else {}), **({"out": True} if outward else {}))

    def slow(self, number, delay=0, loss=0):
        """`delay` milliseconds there and back, `loss` percent each way (heal)."""
        self.switch.set_faults(self.hosts[number], delay=delay, loss=loss)

    def heal(self, number):
        self.switch.set_faults(self.hosts[number])

    def kill(self, number, engine=False):
        """kill -9 of swarm-node, with `engine` of dockerd too; the containers go on (begin)."""
        if self.nodes[number].pid:
            self.nodes[number].stop(signal.SIGKILL)
        elif not engine:
            raise Failure(f"host {number}: swarm-node does not run")
        if engine:
            self.hosts[number].engine_sh("kill", self.hosts[number].name, self.hosts[number].engine_dir)

    def begin(self, number, seconds=30):
        """Starts what was killed."""
        if self.driver == "docker":
            self.hosts[number].start_engine()
        self.nodes[number].start(seconds)

    def pause(self, number):
        """swarm-node stands still (resume)."""
        self._signal(number, signal.SIGSTOP)

    def resume(self, number):
        self._signal(number, signal.SIGCONT)

    def _signal(self, number, what):
        pid = self.nodes[number].pid
        if not pid:
            raise Failure(f"host {number}: swarm-node does not run")
        os.kill(pid, what)

    def state(self, number):
        """running, paused or ended: the daemon."""
        pid = self.nodes[number].pid
        return "ended" if not pid else "paused" if process_state(pid, "swarm-node") == "T" else "running"

    def restore(self):
        """Ends every fault."""
        for number in self.hosts:
            if port_of(self.hosts[number]) in self.switch.faults():
                self.heal(number)
            if self.state(number) == "paused":
                self.resume(number)
            elif self.state(number) == "ended":
                self.begin(number)

    # -- the end -----------------------------------------------------------------------------------------------------

    def leave(self):
        """In order: every host leaves its swarm, with its tasks, and stops."""
        for node in self.nodes.values():
            if node.pid:
                node.docker("swarm", "leave", "--force")
                node.stop()

    def clean(self):
        """Ends everything at once. What then is still there is the failure."""
        self.each(lambda number: self.hosts[number].clean())
        self.switch.clean()
        left = "".join(host.leftovers() for host in self.hosts.values())
        if os.path.exists(f"/run/netns/{self.switch.name}"):
            left += f"network namespace {self.switch.name}\n"
        if left:
            raise Failure(f"left behind:\n{left}")

    def log_tails(self, lines=12):
        return "".join(f"--- end of the log of host{number}{node.log_tail(lines)}\n" for number, node in self.nodes.items()
                       if os.path.exists(node.log))
