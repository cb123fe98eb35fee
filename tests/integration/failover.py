#!/usr/bin/env python3
"""How long nobody is served when a leader dies, is cut off or stops, and when a worker dies: here, Docker Swarm, etcd.

Five hosts (three managers, two workers) on one switch; etcd has the three. Clients write through the two managers that stay,
a new write every 10 ms whatever became of those before. Figures are what these clients saw, in milliseconds."""
import argparse
import json
import os
import random
import signal
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Failure, wait_until  # noqa: E402
from sides import MANAGERS, REPLICAS, WORKERS, Etcd, Ours, Swarm  # noqa: E402

EVERY = 0.010
CLIENTS_EACH = 60
BEFORE = 0.4
GAP_ROWS = ("leader-stopped", "leader-demoted", "nothing")
SETTLE = (0.5, 1.5)
ROWS = {
    "leader-killed": "leader killed (-9) -> next acknowledged write",
    "leader-cut": "leader's host silently gone -> next acknowledged write",
    "leader-stopped": "leader stopped (SIGTERM): longest time without an acknowledgement",
    "leader-demoted": "leader demoted: longest time without an acknowledgement",
    "nothing": "nothing happens (control): longest time without an acknowledgement in 2 s",
    "worker-killed": "worker killed (-9) -> all its tasks RUNNING elsewhere",
}


class Clients:
    """Writes at a fixed pace through some hosts; a slow answer holds up none of the next ones."""

    def __init__(self, side, numbers, label):
        self.records, self.lock, self.over, self.label = [], threading.Lock(), threading.Event(), label
        self.idle = {number: [] for number in numbers}
        self.wake, self.skipped = {}, 0
        for number in numbers:
            for at in range(CLIENTS_EACH):
                threading.Thread(target=self._client, args=(number, at, side.writer(number)), daemon=True).start()
        self.pacer = threading.Thread(target=self._pace, args=(list(numbers),), daemon=True)
        self.pacer.start()

    def _client(self, number, at, write):
        wake, me = threading.Semaphore(0), (number, at)
        self.wake[me] = wake
        count = 0
        while not self.over.is_set():
            self.idle[number].append(me)
            wake.acquire()
            if self.over.is_set():
                return
            count += 1
            begun = time.monotonic()
            ok = write(f"{self.label}-{number}-{at}-{count}")
            with self.lock:
                self.records.append((begun, time.monotonic(), ok))

    def _pace(self, numbers):
        due, turn = time.monotonic(), 0
        while not self.over.is_set():
            number, turn = numbers[turn % len(numbers)], turn + 1
            if self.idle[number]:
                self.wake[self.idle[number].pop(0)].release()
            else:
                self.skipped += 1
            due += EVERY
            time.sleep(max(0.0, due - time.monotonic()))

    def acknowledged_after(self, moment):
        with self.lock:
            return [r for r in self.records if r[2] and r[0] >= moment]

    def end(self):
        self.over.set()
        self.pacer.join()
        for wake in list(self.wake.values()):
            wake.release()
        with self.lock:
            return sorted(self.records, key=lambda r: r[1])


def longest_gap(records, begin, end):
    """The longest time within [begin, end] in which no write was acknowledged."""
    moments = [begin, *sorted(r[1] for r in records if r[2] and begin < r[1] < end), end]
    return max(later - earlier for earlier, later in zip(moments, moments[1:]))


def leader_round(side, row, label):
    leader = side.leader()
    others = [n for n in MANAGERS if n != leader]
    clients = Clients(side, others, label)
    time.sleep(BEFORE)
    if not clients.acknowledged_after(0):
        wait_until("the first write is acknowledged", lambda: clients.acknowledged_after(0), 30)
    act = {"leader-killed": side.kill, "leader-cut": side.cut, "leader-stopped": side.terminate, "nothing": lambda _: None,
           "leader-demoted": lambda n: side.set_role(n, "worker")}[row]
    moment = time.monotonic()
    act(leader)
    if row == "leader-cut":
        moment = time.monotonic()  # the rule is in force when the command has returned
    first = wait_until("a write is acknowledged", lambda: clients.acknowledged_after(moment), 120, 0.02)
    time.sleep(2.0 if row in GAP_ROWS else 0.3)
    # The old leader may acknowledge some more before it is gone: the gap has an end when others do.
    wait_until("writes are acknowledged again", lambda: clients.acknowledged_after(time.monotonic() - 0.2), 120, 0.02)
    end = time.monotonic()
    records = clients.end()
    refused = len([r for r in records if not r[2] and r[1] < end])
    took = min(r[1] for r in first) - moment
    if row in GAP_ROWS:
        took = longest_gap(records, moment, end)
    side.restore()
    if row == "leader-demoted":
        side.set_role(leader, "manager")
    return {"ms": round(1000 * took, 1), "refused": refused, "leader": leader}


def worker_round(side, _, __):
    side.spread_workload()
    victim = random.choice(WORKERS)
    lost = side.node_id(victim)
    moment = time.monotonic()
    side.kill(victim)

    def elsewhere():
        running = side.running()
        return len(running) == REPLICAS and lost not in {node for node, _ in running}
    wait_until("its tasks run elsewhere", elsewhere, 120, 0.02)
    took = time.monotonic() - moment
    side.restore()
    return {"ms": round(1000 * took, 1), "victim": victim}


def measure(side, rows, rounds, out):
    side.start()
    if "worker-killed" in rows:
        side.start_workload()
    for row in rows:
        for number in range(rounds):
            side.wait_whole(300)
            time.sleep(random.uniform(*SETTLE))
            try:
                one = (worker_round if row == "worker-killed" else leader_round)(side, row, f"{row}-{number}")
            except Failure as error:
                one = {"ms": None, "failed": str(error)}
                side.restore()
            one = {"side": side.name, "row": row, "round": number, **one, "load": float(open("/proc/loadavg", encoding="utf-8").read().split()[0])}
            print(json.dumps(one), file=out, flush=True)
            told = one.get("failed") or f"{one['ms']:9.1f} ms  refused {one.get('refused', 0)}"
            print(f"{side.name:13} {row:15} round {number + 1:2}: {told}", flush=True)


def table(lines):
    """A table of medians and worst for docs/benchmarks.md."""
    found = {}
    for one in lines:
        found.setdefault((one["row"], one["side"]), []).append(one["ms"])
    told = ["| event | swarm-node: median / worst ms (rounds) | Docker Swarm | etcd | ratio of medians: Swarm, etcd |", "|---|---|---|---|---|"]

    def cell(values):
        good = [v for v in values if v is not None]
        lost = f", {len(values) - len(good)} failed" if len(good) < len(values) else ""
        return f"{statistics.median(good):,.0f} / {max(good):,.0f} ({len(good)}{lost})" if good else "-"

    def median(values):
        return statistics.median([v for v in values if v is not None] or [0])
    for row, text in ROWS.items():
        ours, swarm, etcd = (found.get((row, name), []) for name in (Ours.name, Swarm.name, Etcd.name))
        ratios = [f"{median(peer) / median(ours):.1f}x" if median(peer) and median(ours) else "-" for peer in (swarm, etcd)]
        if ours or swarm or etcd:
            told.append(f"| {text} | {cell(ours)} | {cell(swarm)} | {cell(etcd)} | {', '.join(ratios)} |")
    return "\n".join(told)


def add_arguments(made):
    made.add_argument("--rounds", type=int, default=30)
    made.add_argument("--peer-rounds", type=int, default=10, help="a round of Docker Swarm takes half a minute")
    made.add_argument("--rows", default=",".join(ROWS), help="some of them")
    made.add_argument("--sides", default="ours,swarm,etcd", help="some of them")
    made.add_argument("--log-level", choices=["debug", "info", "warn", "error"], default="warn")
    made.add_argument("--keep-logs", metavar="DIR", help="where our hosts' logs are copied to at the end")
    made.add_argument("--out", default="build/failover.jsonl", help="a JSON line per round; what is there already counts in the table")


def check(options):
    rows, sides = options.rows.split(","), options.sides.split(",")
    unknown = [r for r in rows if r not in ROWS] + [s for s in sides if s not in ("ours", "swarm", "etcd")]
    if unknown:
        raise Failure(f"unknown: {', '.join(unknown)}; rows are {', '.join(ROWS)}, sides ours, swarm and etcd")
    if options.rounds < 1 or options.peer_rounds < 1:
        raise Failure("at least one round")
    return rows, sides


def run_all(options):
    rows, sides = check(options)
    os.makedirs(os.path.dirname(os.path.abspath(options.out)), exist_ok=True)
    for name in sides:
        mine = [r for r in rows if name != "etcd" or r not in ("leader-demoted", "worker-killed")]
        if not mine:
            continue
        side = Ours(**{"log-level": options.log_level}) if name == "ours" else Swarm() if name == "swarm" else Etcd()
        try:
            with open(options.out, "a", encoding="utf-8") as out:
                measure(side, mine, options.rounds if name == "ours" else options.peer_rounds, out)
        finally:
            if name == "ours" and options.keep_logs:
                keep_logs(side, options.keep_logs)
            side.clean()
    with open(options.out, encoding="utf-8") as file:
        print("\n" + table([json.loads(line) for line in file]))


def keep_logs(side, folder):
    os.makedirs(folder, exist_ok=True)
    for number, node in side.cluster.nodes.items():
        if os.path.exists(node.log):
            with open(node.log, "rb") as source, open(f"{folder}/host{number}.log", "wb") as target:
                target.write(source.read())


def main():
    parser = argparse.ArgumentParser(prog="failover.py", description=__doc__.split("\n\n", maxsplit=1)[0])
    add_arguments(parser)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    try:
        run_all(parser.parse_args())
    except Failure as error:
        sys.exit(f"failover: {error}")


if __name__ == "__main__":
    main()
