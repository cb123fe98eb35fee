"""API writes per second of three managers: swarm-node beside Docker Swarm, three hosts each, in turns.

The clients talk to the leader, or to a follower with --through follower. All six managers and the clients share this
machine's cores; the managers of the side that is not measured are idle.
"""
import subprocess

from harness import BIN, Failure
from sides import MANAGERS, Ours, Swarm


def add_arguments(made):
    made.add_argument("--through", choices=["leader", "follower"], default="leader")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--requests", type=int, default=600)
    made.add_argument("--clients", default="1,8,32")
    made.add_argument("--sides", choices=["both", "ours"], default="both")
    made.add_argument("--json", metavar="FILE", help="append a JSON line for each measurement")


def asked(side, through):
    leader = side.leader()
    return leader if through == "leader" else next(n for n in MANAGERS if n != leader)


def run_all(options):
    sides = [Ours(len(MANAGERS), **{"log-level": "warn"})] + ([Swarm(len(MANAGERS))] if options.sides == "both" else [])
    try:
        command = [f"{BIN}/swarm-bench", "--rows", "writes", "--rounds", str(options.rounds), "--requests", str(options.requests),
                   "--clients", options.clients]
        if options.json:
            command += ["--json", options.json]
        for side, flag in zip(sides, ("ours", "peer")):
            side.start()
            number = asked(side, options.through)
            command += [f"--{flag}", f"unix://{side.socket(number)}", f"--{flag}-pid", str(side.pid(number))]
        if subprocess.run(command, check=False).returncode != 0:
            raise Failure("a measurement failed")
    finally:
        for side in sides:
            side.clean()
