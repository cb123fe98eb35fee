#!/usr/bin/env python3
"""A swarm of several hosts on this machine, to play with and to measure: `./dev lab` calls this. Needs root.

Each host is a network namespace with an address on a common switch, a Docker Engine of its own (--driver docker) and
swarm-node. Everything stands below one folder (SWARM_LAB_STATE), and `down` ends all of it and nothing else."""
import argparse
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chaos  # noqa: E402
import failover  # noqa: E402
import group_writes  # noqa: E402
from cluster import MOST_HOSTS, Cluster, port_of  # noqa: E402
from harness import BIN, Failure, mounts, own_prefix  # noqa: E402

STATE = os.path.abspath(os.environ.get("SWARM_LAB_STATE", "/var/lib/swarm-node-lab"))
PLAN = f"{STATE}/lab.json"
LONGEST_STATE = 60  # a unix socket of the engine's containerd stands below it and has 107 characters
COMMAND = "./dev lab"


def fail(text):
    print(f"lab: {text}", file=sys.stderr)
    sys.exit(1)


def plan():
    """What was built: {"hosts", "driver", "managers"}; None when there is no lab."""
    try:
        with open(PLAN, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None
    except ValueError:
        fail(f"{PLAN} is damaged; {COMMAND} down takes away what is there")


def found_lab():
    built = plan()
    if not built:
        fail(f"no lab is up; {COMMAND} up 5 makes one")
    return Cluster(built["hosts"], built["driver"], STATE, found=True), built


@contextlib.contextmanager
def alone():
    """One of us at a time changes what is there."""
    os.makedirs(STATE, exist_ok=True)
    with open(f"{STATE}.lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            fail(f"another {COMMAND} is at work with {STATE}")
        yield


def host_number(cluster, text):
    digits = text.removeprefix("host").removeprefix("h")
    if not digits.isdigit() or int(digits) not in cluster.hosts:
        fail(f"no such host: {text} (there are 1 to {len(cluster.hosts)})")
    return int(digits)


# -- up and down ------------------------------------------------------------------------------------------------------

def check_up(options):
    if not 1 <= options.hosts <= MOST_HOSTS:
        fail(f"1 to {MOST_HOSTS} hosts, not {options.hosts}")
    if not 1 <= options.managers:
        fail("at least one manager")
    if len(STATE) > LONGEST_STATE:
        fail(f"the path of the state, {STATE}, is longer than {LONGEST_STATE} characters: sockets below it would have no valid name")
    if plan():
        fail(f"a lab is up already in {STATE}; look: {COMMAND} status, end it: {COMMAND} down")


def up(options):
    check_up(options)
    managers = min(options.managers, options.hosts)
    with alone():
        with open(PLAN, "w", encoding="utf-8") as file:
            json.dump({"hosts": options.hosts, "driver": options.driver, "managers": managers}, file)
        began = time.monotonic()
        print(f"{options.hosts} hosts below {STATE}, {'each with a Docker Engine of its own' if options.driver == 'docker' else 'tasks are processes'} …", flush=True)
        cluster = None
        try:
            cluster = Cluster(options.hosts, options.driver, STATE, **{"log-level": options.log_level})
            cluster.start()
            print(f"swarm init, {managers - 1} more manager(s) and {options.hosts - managers} worker(s) join …", flush=True)
            cluster.init(managers)
        except BaseException as error:
            if cluster:
                print(cluster.log_tails(), file=sys.stderr)
            take_down(options.hosts)
            fail(f"could not be brought up, and was taken down again: {error}")
    print(f"up after {time.monotonic() - began:.1f} s\n")
    show(cluster, {"managers": managers, "driver": options.driver})
    run_one = "--replicas 6 busybox sleep 100000" if options.driver == "docker" else "--replicas 6 any/image:1 sleep 100000"
    print(f"""
Try:
  {COMMAND} d 1 service create --name web {run_one}
  {COMMAND} d 2 service ps web
  {COMMAND} kill 1; {COMMAND} d 2 node ls; {COMMAND} start 1
  {COMMAND} cut 5 --in; {COMMAND} heal 5

The docker CLI on a host:   export DOCKER_HOST=unix://{cluster.nodes[1].socket}
A shell in its network:     nsenter --net=/run/netns/{cluster.hosts[1].name}
Its actors:                 {BIN}/swarm-console --once --socket {cluster.nodes[1].control}
The end:                    {COMMAND} down""")


def take_down(hosts):
    # Hosts that a damaged plan would not name are found by their folders.
    known = [int(name[1:]) for name in os.listdir(STATE) if name[:1] == "h" and name[1:].isdigit()]
    Cluster(max([hosts, *known]), "process", STATE, found=True).clean()
    held = [line.split()[1] for line in mounts() if f" {STATE}/" in line]
    if held:
        raise Failure(f"still mounted: {' '.join(held)}; unmount it, then {COMMAND} down again")
    shutil.rmtree(STATE)
    os.remove(f"{STATE}.lock")


def down(_):
    if not os.path.isdir(STATE) and not os.path.exists(f"/run/netns/{own_prefix(STATE)}-sw"):
        print("No lab is up.")
        return
    with alone():
        try:
            with open(PLAN, encoding="utf-8") as file:
                hosts = json.load(file)["hosts"]
        except (OSError, ValueError, KeyError):
            hosts = 1
        take_down(hosts)
    print("Everything of the lab has ended.")


# -- looking ------------------------------------------------------------------------------------------------------------

def link_text(fault):
    told = [f"cut {'both ways' if fault.get('in') and fault.get('out') else 'in' if fault.get('in') else 'out'}"] if fault.get("in") or fault.get("out") else []
    told += [f"loss {fault['loss']}%"] if fault.get("loss") else []
    told += [f"delay {fault['delay']:g}ms"] if fault.get("delay") else []
    return ", ".join(told) or "ok"


def engine_text(cluster, number):
    if cluster.driver != "docker":
        return "-"
    code, _, _ = cluster.hosts[number].engine_call("version")
    return "answers" if code == 0 else "silent"


def show(cluster, built):
    faults = cluster.switch.faults()
    print(f"{'HOST':8}{'ADDRESS':14}{'SWARM-NODE':12}{'ENGINE':10}{'LINK':18}SOCKET")
    for number, host in cluster.hosts.items():
        print(f"{f'host{number}':8}{host.address:14}{cluster.state(number):12}{engine_text(cluster, number):10}"
              f"{link_text(faults.get(port_of(host), {})):18}{cluster.nodes[number].socket}")
    for number in [n for n in cluster.hosts if cluster.state(n) == "running"]:
        with contextlib.suppress(Failure):  # one that hangs
            print(f"\nnode ls, on host{number}:\n{cluster.nodes[number].ok('node', 'ls', timeout=5)}", end="")
            break
    else:
        print(f"\nNo host answers node ls ({built['managers']} managers were made).")


def status(_):
    show(*found_lab())


def docker(options):
    cluster, _ = found_lab()
    node = cluster.nodes[host_number(cluster, options.host)]
    os.makedirs(f"{node.host.dir}/cli", exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if key not in ("DOCKER_CONTEXT", "DOCKER_API_VERSION", "DOCKER_TLS_VERIFY")}
    environment |= {"DOCKER_HOST": f"unix://{node.socket}", "DOCKER_CONFIG": f"{node.host.dir}/cli"}
    os.execvpe("docker", ["docker", *options.arguments], environment)


def logs(options):
    cluster, _ = found_lab()
    node = cluster.nodes[host_number(cluster, options.host)]
    if not os.path.exists(node.log):
        fail(f"{options.host} has written no log")
    os.execvp("tail", ["tail", "-n", str(options.lines), *(["-f"] if options.follow else []), node.log])


# -- faults -------------------------------------------------------------------------------------------------------------

def on_hosts(options, action):
    """All hosts are looked up before the first is touched."""
    cluster, _ = found_lab()
    numbers = [host_number(cluster, text) for text in options.host]
    with alone():
        for number in numbers:
            action(cluster, number)


def cut(options):
    both = options.inward == options.outward
    on_hosts(options, lambda cluster, number: cluster.cut(number, options.inward or both, options.outward or both))


def slow(options):
    if not options.delay and not options.loss:
        fail("slow wants --delay MS or --loss PERCENT")
    if options.delay < 0 or not 0 <= options.loss <= 100:
        fail("a delay is 0 or more milliseconds, a loss 0 to 100 percent")
    on_hosts(options, lambda cluster, number: cluster.slow(number, options.delay, options.loss))


def start(options):
    def one(cluster, number):
        if cluster.nodes[number].pid and (cluster.driver != "docker" or engine_text(cluster, number) == "answers"):
            fail(f"host{number} runs already")
        cluster.begin(number)
    on_hosts(options, one)


def kill(options):
    cluster, _ = found_lab()
    if options.engine and cluster.driver != "docker":
        fail("the hosts of this lab have no engine")
    on_hosts(options, lambda cluster, number: cluster.kill(number, options.engine))


# -- runs with hosts of their own -------------------------------------------------------------------------------------

def run_chaos(options):
    if not chaos.run_all(options):
        sys.exit(1)


def run_failover(options):
    failover.run_all(options)


def run_writes(options):
    group_writes.run_all(options)


# -- the command line ---------------------------------------------------------------------------------------------------

def parser():
    top = argparse.ArgumentParser(prog=COMMAND, description=__doc__.split("\n\n", maxsplit=1)[0])
    top.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # dev asks before it builds
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name, action, help_text, hosts=False):
        made = verbs.add_parser(name, help=help_text, description=help_text)
        made.set_defaults(action=action)
        if hosts:
            made.add_argument("host", nargs="+", help="1, host1 or h1")
        return made

    made = verb("up", up, "hosts with a swarm on them")
    made.add_argument("hosts", nargs="?", type=int, default=5)
    made.add_argument("--driver", choices=["docker", "process"], default="docker")
    made.add_argument("--managers", type=int, default=3)
    made.add_argument("--log-level", choices=["debug", "info", "warn", "error"], default="info")
    verb("down", down, "end everything that up made")
    verb("status", status, "the hosts, what was done to them, and node ls")
    made = verb("d", docker, "the docker CLI on a host")
    made.add_argument("host")
    made.add_argument("arguments", nargs=argparse.REMAINDER)
    made = verb("logs", logs, "the log of a host's swarm-node")
    made.add_argument("host")
    made.add_argument("-n", "--lines", type=int, default=50)
    made.add_argument("-f", "--follow", action="store_true")
    made = verb("cut", cut, "the switch carries nothing for the host, and nobody is told", hosts=True)
    made.add_argument("--in", dest="inward", action="store_true", help="only what goes to the host")
    made.add_argument("--out", dest="outward", action="store_true", help="only what comes from it")
    verb("heal", lambda o: on_hosts(o, Cluster.heal), "end cut and slow", hosts=True)
    made = verb("slow", slow, "delay or lose what goes to and from the host", hosts=True)
    made.add_argument("--delay", type=float, default=0, metavar="MS", help="there and back; needs sch_netem in the kernel")
    made.add_argument("--loss", type=int, default=0, metavar="PERCENT", help="each way")
    made = verb("kill", kill, "kill -9 of the daemon", hosts=True)
    made.add_argument("--engine", action="store_true", help="and of the host's Docker Engine")
    verb("start", start, "start a killed host again", hosts=True)
    chaos.add_arguments(verb("chaos", run_chaos, chaos.__doc__.split("\n\n", maxsplit=1)[0]))
    failover.add_arguments(verb("failover", run_failover, failover.__doc__.split("\n\n", maxsplit=1)[0]))
    group_writes.add_arguments(verb("writes", run_writes, group_writes.__doc__.split("\n\n", maxsplit=1)[0]))
    verb("pause", lambda o: on_hosts(o, Cluster.pause), "SIGSTOP for the daemon", hosts=True)
    verb("resume", lambda o: on_hosts(o, Cluster.resume), "SIGCONT", hosts=True)
    return top


def check(options):
    """Before anything is built: is it worth the wait?"""
    if options.verb == "up":
        check_up(options)
    elif options.verb == "failover":
        failover.check(options)


def main():
    options = parser().parse_args()
    if os.geteuid() != 0:
        fail("network namespaces and engines need root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    try:
        if options.check:
            check(options)
        else:
            options.action(options)
    except Failure as error:
        fail(str(error))


if __name__ == "__main__":
    main()
