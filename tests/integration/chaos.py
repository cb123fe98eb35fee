#!/usr/bin/env python3
"""Five hosts (three managers) under load, some of which are killed, paused and cut off at random, while a checker watches.

Checked: no acknowledged write is lost and no read is stale (history.py; and `swarm-sim check-history`, where it is there);
each time everything is left in peace, every service is back at its replica count; no slot has two live tasks then, and at no
time two on hosts that nothing is done to; no task ever runs twice. The seed decides what is done to whom and when."""
import argparse
import http.client
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster  # noqa: E402
from harness import BIN, Failure, call, run, wait_until  # noqa: E402
from history import Register, write_histories  # noqa: E402

HOSTS, MANAGERS = 5, 3
CLIENTS = 8
REGISTERS = 4            # that are in use at a time
OPERATIONS = 250         # of one register, then a new one takes its place
DEADLINE = 5             # seconds for every request
PEACE = 60               # seconds within which everything must be well again
SERVICES = {"web": 6, "api": 4, "db": 2}
FAULTS = ["kill", "kill", "pause", "cut", "cut", "cut-in", "cut-out", "lossy", "stop", "flap"]
BOTH_HEALTHY = 5.0       # seconds for which a slot may have two live tasks on healthy hosts: one is being stopped
API = "/v1.41"


class Refused(Exception):
    """Nothing has happened."""


class Unknown(Exception):
    """It may have happened, or may happen yet."""


class Watch:
    """What went wrong, with the time; thread-safe."""

    def __init__(self, path):
        self.began, self.lock, self.problems = time.monotonic(), threading.Lock(), []
        self.file = open(path, "w", encoding="utf-8")

    def note(self, what, **facts):
        with self.lock:
            line = {"at": round(time.monotonic() - self.began, 3), "what": what, **facts}
            print(json.dumps(line), file=self.file, flush=True)
            return line

    def problem(self, text):
        self.note("problem", text=text)
        print(f"PROBLEM after {time.monotonic() - self.began:.1f} s: {text}", flush=True)
        with self.lock:
            self.problems.append(text)


class Clients:
    """Threads that read and write registers through whatever manager chance names."""

    def __init__(self, nodes, seed, watch):
        self.nodes, self.watch = nodes, watch
        self.over, self.lock = threading.Event(), threading.Lock()
        self.closed, self.open = [], []
        self.counts = {"ok": 0, "fail": 0, "info": 0}
        self.created = set()
        for _ in range(REGISTERS):
            self._open_register()
        self.threads = [threading.Thread(target=self._run, args=(random.Random(f"{seed}/{n}"),), daemon=True) for n in range(CLIENTS)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(DEADLINE + 30)

    def registers(self):
        return self.closed + self.open

    def _open_register(self):
        register = Register(f"reg-{len(self.closed) + len(self.open)}")
        register.ready = False
        self.open.append(register)

    def _pick(self, rng):
        with self.lock:
            at = rng.randrange(len(self.open))
            register = self.open[at]
            if len(register.operations) >= OPERATIONS:
                self.closed.append(self.open.pop(at))
                self._open_register()
                register = self.open[-1]
            create = not register.ready
            register.ready = True
            return register, create

    def _run(self, rng):
        ids = {}
        while not self.over.is_set():
            node = self.nodes[rng.randint(1, MANAGERS)]
            register, create = self._pick(rng)
            if register.name not in ids:
                ids[register.name] = register.new_client()
            if create:
                self._create(register, node, ids)
            elif self._read(register, node, ids) and rng.random() < 0.6:
                self._replace(register, self.nodes[rng.randint(1, MANAGERS)] if rng.random() < 0.5 else node, ids)
            time.sleep(rng.uniform(0.005, 0.06))

    def _finish(self, register, operation, ids, how, value=None):
        register.end(operation, how, value)
        with self.lock:
            self.counts[how] += 1
        if how == "info":
            ids[register.name] = register.new_client()

    def _create(self, register, node, ids):
        operation = register.begin(ids[register.name], "write", 0)
        try:
            status, found = request(node, "POST", "/configs/create", {"Name": register.name, "Labels": {"v": "0"}, "Data": "eA=="})
            if status != 201:
                raise Unknown(f"{status} {found}")
            with self.lock:
                self.created.add(register.name)
            self._finish(register, operation, ids, "ok")
        except Refused:
            register.drop(operation)
            register.ready = False
        except Unknown as error:
            self._finish(register, operation, ids, "info", str(error))

    def _read(self, register, node, ids):
        operation = register.begin(ids[register.name], "read")
        try:
            status, found = request(node, "GET", f"/configs/{register.name}")
            if status not in (200, 404):
                raise Unknown(f"{status} {found}")
        except (Refused, Unknown) as error:
            self._finish(register, operation, ids, "fail", str(error))
            return False
        value = int(found["Spec"]["Labels"]["v"]) if status == 200 else None
        self._finish(register, operation, ids, "ok", value)
        if value is None:
            return False
        self.versions(register, value, found)
        ids["last", register.name] = (found["ID"], found["Version"]["Index"], found["Spec"], value)
        return True

    def versions(self, register, value, found):
        """One version has one value, for everybody and for ever."""
        with register.lock:
            known = register.seen.setdefault(value, found["Version"]["Index"])
        if known != found["Version"]["Index"]:
            self.watch.problem(f"{register.name}: the value {value} has the versions {known} and {found['Version']['Index']}")

    def _replace(self, register, node, ids):
        key, version, spec, old = ids["last", register.name]
        new = register.new_value()
        operation = register.begin(ids[register.name], "cas", [old, new])
        try:
            status, found = request(node, "POST", f"/configs/{key}/update?version={version}", {**spec, "Labels": {"v": str(new)}})
            if status == 200:
                self._finish(register, operation, ids, "ok")
            elif "out of sequence" in str(found):
                self._finish(register, operation, ids, "fail")
            else:
                raise Unknown(f"{status} {found}")
        except Refused:
            register.drop(operation)
        except Unknown as error:
            self._finish(register, operation, ids, "info", str(error))


def request(node, method, target, body=None):
    try:
        status, _, found = call(node.socket, method, API + target, body, DEADLINE)
        return status, found
    except (ConnectionRefusedError, FileNotFoundError) as error:
        raise Refused(repr(error)) from None
    except (OSError, http.client.HTTPException) as error:
        raise Unknown(repr(error)) from None


# -- what really runs -----------------------------------------------------------------------------------------------------

def live_tasks(label):
    """[(service.slot, task id, host name)] of every process that a task of ours is, whoever believes in it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if file.read() != b"sleep\x00100000\x00":
                    continue
            with open(f"/proc/{pid}/environ", "rb") as file:
                settings = dict(one.split("=", 1) for one in file.read().decode().split("\0") if "=" in one)
        except OSError:
            continue
        if settings.get("CHAOS") == label:
            found.append((settings["SLOT"], settings["TASK"], settings["HOST"]))
    return found


class Inventory(threading.Thread):
    """Looks at what runs the whole time: a task is never there twice, a slot not on two healthy hosts for long."""

    def __init__(self, label, watch):
        super().__init__(daemon=True)
        self.label, self.watch, self.over = label, watch, threading.Event()
        self.troubled = {}  # host name -> until when it is excused
        self.since = {}

    def run(self):
        while not self.over.wait(0.3):
            running = live_tasks(self.label)
            for task in {t for _, t, _ in running if [x[1] for x in running].count(t) > 1}:
                self.watch.problem(f"task {task} runs twice: {[x for x in running if x[1] == task]}")
            self._slots(running, time.monotonic())

    def _slots(self, running, now):
        healthy = [x for x in running if self.troubled.get(x[2], 0) < now]
        twice = {s for s, _, _ in healthy if [x[0] for x in healthy].count(s) > 1}
        self.since = {s: self.since.get(s, now) for s in twice}
        for slot, begun in self.since.items():
            if now - begun > BOTH_HEALTHY:
                self.watch.problem(f"slot {slot} has had two live tasks on healthy hosts for {BOTH_HEALTHY} s: {[x for x in healthy if x[0] == slot]}")
                self.since[slot] = now


# -- the run --------------------------------------------------------------------------------------------------------------

class Chaos:
    def __init__(self, options, home, out):
        self.options, self.out = options, out
        self.rng = random.Random(options.seed)
        self.label = os.path.basename(home)
        self.cluster = Cluster(HOSTS, options.driver, home, **{"log-level": options.log_level})
        self.watch = Watch(f"{out}/events.jsonl")
        self.replicas = dict(SERVICES)
        self.recoveries, self.episodes = [], 0

    def begin(self):
        self.cluster.start()
        self.cluster.init(MANAGERS)
        image = "busybox" if self.options.driver == "docker" else "any/image:1"
        for name, replicas in SERVICES.items():
            self.cluster.nodes[1].ok("service", "create", "--detach", "--name", name, "--replicas", str(replicas), "--stop-grace-period", "1s",
                                     "--restart-delay", "100ms", "--env", f"CHAOS={self.label}", "--env", "SLOT={{.Service.Name}}.{{.Task.Slot}}",
                                     "--env", "TASK={{.Task.ID}}", "--env", "HOST={{.Node.Hostname}}", image, "sleep", "100000")
        self.clients = Clients(self.cluster.nodes, self.options.seed, self.watch)
        self.inventory = Inventory(self.label, self.watch)
        self.peace("begin")
        self.clients.start()
        self.inventory.start()

    def well(self):
        """Everything is as it should be; the text of what is not."""
        for number in range(1, MANAGERS + 1):
            members = self.cluster.members(number)
            if len(members) != HOSTS or any(what[0] != "Ready" for what in members.values()):
                raise Failure(f"host{number} says {members}")
            if sorted(what[2] for what in members.values() if what[2:]) != ["Leader"] + ["Reachable"] * (MANAGERS - 1):
                raise Failure(f"host{number} says {members}")
        shown = dict(line.split() for line in self.cluster.nodes[1].ok("service", "ls", "--format", "{{.Name}} {{.Replicas}}").splitlines())
        wanted = {name: f"{count}/{count}" for name, count in self.replicas.items()}
        if shown != wanted:
            raise Failure(f"services are {shown}, not {wanted}")
        running = [slot for slot, _, _ in live_tasks(self.label)]
        for name, count in self.replicas.items():  # which slots stay when a service is scaled down is the orchestrator's choice
            slots = sorted(slot for slot in running if slot.startswith(f"{name}."))
            if len(slots) != count or len(set(slots)) != count:
                raise Failure(f"what runs of {name} is {slots}, not {count} slots, each once")
        return True

    def peace(self, after):
        began = time.monotonic()
        try:
            wait_until("all is well", self.well, PEACE, 0.3)
        except Failure as error:
            self.watch.problem(f"not well {PEACE} s after {after}: {error}")
            return
        took = time.monotonic() - began
        self.recoveries.append(took)
        self.watch.note("well", after=after, seconds=round(took, 2))

    def episode(self):
        """Something is done to at most one manager and some workers, for a while; then all is left in peace."""
        rng = self.rng
        victims = rng.sample(range(MANAGERS + 1, HOSTS + 1), rng.choice([0, 0, 1, 1, 2]))
        if not victims or rng.random() < 0.7:
            victims.append(self.cluster.leader(1) if rng.random() < 0.5 else rng.randint(1, MANAGERS))
        seconds = rng.uniform(18, 26) if rng.random() < self.options.long else rng.uniform(0.5, 8)
        done = {number: rng.choice(FAULTS) for number in victims}
        self.episodes += 1
        self.watch.note("fault", hosts=done, seconds=round(seconds, 1))
        print(f"{time.monotonic() - self.watch.began:6.1f} s  {', '.join(f'host{n} {what}' for n, what in done.items())} for {seconds:.1f} s", flush=True)
        for number in done:
            self.inventory.troubled[f"host{number}"] = float("inf")
        for number, what in done.items():
            self.harm(number, what)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for number in [n for n, what in done.items() if what == "flap"]:
                self.cluster.heal(number) if rng.random() < 0.5 else self.cluster.cut(number)
            time.sleep(0.3)
        self.cluster.restore()
        for number in done:
            self.inventory.troubled[f"host{number}"] = time.monotonic() + 30
        self.watch.note("healed")
        self.peace(", ".join(f"host{n} {what}" for n, what in done.items()))
        for number in done:
            self.inventory.troubled[f"host{number}"] = 0

    def harm(self, number, what):
        cluster = self.cluster
        {"kill": lambda: cluster.kill(number, self.options.driver == "docker" and self.rng.random() < 0.3),
         "pause": lambda: cluster.pause(number), "cut": lambda: cluster.cut(number), "flap": lambda: cluster.cut(number),
         "cut-in": lambda: cluster.cut(number, outward=False), "cut-out": lambda: cluster.cut(number, inward=False),
         "lossy": lambda: cluster.slow(number, loss=self.rng.randint(10, 40)),
         "stop": lambda: cluster.nodes[number].stop(signal.SIGTERM)}[what]()

    def scale(self):
        """In peace, by an acknowledged write."""
        name = self.rng.choice(list(self.replicas))
        count = self.rng.randint(1, 7)
        self.cluster.nodes[self.rng.randint(1, MANAGERS)].ok("service", "scale", "--detach", f"{name}={count}")
        self.replicas[name] = count
        self.peace(f"{name} was scaled to {count}")

    def run(self):
        end = time.monotonic() + self.options.minutes * 60
        while time.monotonic() < end and len(self.watch.problems) < 20:
            self.episode()
            if self.rng.random() < 0.5:
                self.scale()
        self.clients.end()
        self.inventory.over.set()
        self.inventory.join()

    def judge(self):
        registers = self.clients.registers()
        path = f"{self.out}/history.json"
        last_client = {r.name: r.new_client() for r in registers}
        for number in range(1, MANAGERS + 1):  # each manager's own word, at the end
            listed = {c["Spec"]["Name"] for c in request(self.cluster.nodes[number], "GET", "/configs")[1]}
            lost = self.clients.created - listed
            if lost:
                self.watch.problem(f"host{number} does not have {sorted(lost)}, whose creation was acknowledged")
            for register in registers:
                self.clients._read(register, self.cluster.nodes[number], {register.name: last_client[register.name]})
        write_histories(path, registers)
        for register in registers:
            for text in register.problems():
                self.watch.problem(text)
        verdict = check_file(path)
        if verdict == "no":
            self.watch.problem(f"swarm-sim check-history {path} says no")
        counts, operations = self.clients.counts, sum(len(r.operations) for r in registers)
        recoveries = sorted(self.recoveries) or [float("nan")]
        print(f"\nseed {self.options.seed}, {self.options.driver}: {self.episodes} episodes, {operations} operations on {len(registers)} registers "
              f"({counts['ok']} acknowledged, {counts['fail']} refused, {counts['info']} without an answer)\n"
              f"well again after {recoveries[len(recoveries) // 2]:.1f} s (median), {recoveries[-1]:.1f} s (worst)\n"
              f"history: {path}; linearizable by swarm-sim: {verdict}\n"
              f"problems: {len(self.watch.problems)}")
        return not self.watch.problems


def check_file(path):
    """The verdict of swarm-sim, which searches: yes, no, undecided, or why it could not be asked."""
    program = f"{BIN}/swarm-sim"
    if not os.path.exists(program):
        return f"not asked, there is no {program}"
    code, out, err = run([program, "check-history", path], 600)
    if code not in (0, 1, 3):
        raise Failure(f"swarm-sim check-history {path}: {err}")
    if code == 1:
        print(out)
    return {0: "yes", 1: "no", 3: "undecided"}[code]


def add_arguments(made):
    made.add_argument("--minutes", type=float, default=10)
    made.add_argument("--seed", type=int, default=None, help="repeats the faults of a run; its timing cannot be repeated")
    made.add_argument("--driver", choices=["docker", "process"], default="process")
    made.add_argument("--long", type=float, default=0.15, help="share of episodes that last longer than a lost node is waited for")
    made.add_argument("--log-level", choices=["debug", "info", "warn", "error"], default="debug")
    made.add_argument("--out", default=None, help="folder for history, events and, after problems, the hosts' logs (default build/chaos)")


def run_all(options):
    """True when nothing was found."""
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 31)
    if options.minutes <= 0 or not 0 <= options.long <= 1:
        raise Failure("minutes are more than 0, a share is between 0 and 1")
    print(f"seed {options.seed}", flush=True)
    out = os.path.abspath(options.out or "build/chaos")
    os.makedirs(out, exist_ok=True)
    home = tempfile.mkdtemp(prefix="swchaos-")
    chaos = None
    fine = False
    try:
        chaos = Chaos(options, home, out)
        chaos.begin()
        chaos.run()
        fine = chaos.judge()
    finally:
        if chaos:
            for number, node in chaos.cluster.nodes.items():
                if not fine and os.path.exists(node.log):
                    shutil.copyfile(node.log, f"{out}/host{number}.log")
            chaos.cluster.clean()
        shutil.rmtree(home, ignore_errors=True)
    if not fine:
        print(f"what happened when: {out}/events.jsonl; the hosts' logs are beside it")
    return fine


def main():
    parser = argparse.ArgumentParser(prog="chaos.py", description=__doc__.split("\n\n", maxsplit=1)[0])
    add_arguments(parser)
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, lambda *_: sys.exit("ended before it was ready"))
    signal.alarm(int(os.environ.get("SWARM_TEST_SECONDS", "0")))
    try:
        sys.exit(0 if run_all(parser.parse_args()) else 1)
    except Failure as error:
        sys.exit(f"chaos: {error}")


if __name__ == "__main__":
    main()
