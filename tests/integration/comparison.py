#!/usr/bin/env python3
"""Runs comparison.txt against Docker's own swarm and against swarm-node, and shows where their answers differ.

Usage: comparison.py [--all] [FIRST LINE]     --all prints every command with both answers
Both sides have an engine in a network namespace of its own and speak API 1.41, the newest that Debian's engine has.
Exit code 1 when there are differences that docs/compatibility.md does not explain (lines marked with ~ in the list).
"""
import difflib
import os
import re
import shlex
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import ADDRESS, Host, Node, run  # noqa: E402

# What differs between any two swarms, or between two runs: ids, tokens, times, what the machine is busy with.
NORMAL = [
    (r"SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}", "TOKEN"),
    (r"SWMKEY-1-[A-Za-z0-9+/]{43}", "KEY"),
    (r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", "CERTIFICATE"),
    (r"\b[0-9a-f]{64}\b", "HASH"),
    (r"\b[0-9a-z]{25}\b", "ID"),
    (r"\b(?=[a-z]*[0-9])[0-9a-z]{12}\b", "ID12"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( \+0000 UTC|Z)", "TIME"),
    (r"(Less than a second|About a minute|About an hour|\d+ (second|minute|hour)s?) ago", "AGO"),
    (r'"(TrustRoot|CertIssuerSubject|CertIssuerPublicKey)": "[^"]+"', r'"\1": "DATA"'),
    (r'"(Index|Version|PID)": \d+', r'"\1": N'),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \+0000 utc", "TIME"),
    (r"Issuer Public Key:\t\S+", "Issuer Public Key: DATA"),
    (r"[ \t]+(?=\n)", ""),
    (r"\n{2,}", "\n"),
]


def normal(text):
    for pattern, replacement in NORMAL:
        text = re.sub(pattern, replacement, text, flags=re.S)
    # How often the progress display was redrawn says how fast it went, not what was done.
    lines = [line for line in text.splitlines() if not re.match(r"\s*(overall progress|job progress|active tasks|\d+/\d+|verify|ID12):", line)]
    return re.sub(r" {2,}", "  ", "\n".join(lines)).strip()


class Side:
    def __init__(self, name):
        self.host = Host(name)
        self.host.start_engine()
        self.files = f"{self.host.dir}/files"
        os.makedirs(self.files, exist_ok=True)

    def docker(self, command, seconds=60):
        environment = {**os.environ, "DOCKER_HOST": f"unix://{self.socket}", "DOCKER_CONFIG": f"{self.host.dir}/cli",
                       "DOCKER_API_VERSION": "1.41", "A": ADDRESS}
        return run(["sh", "-c", command], seconds, env=environment, cwd=self.files)


class Peer(Side):
    @property
    def socket(self):
        return self.host.engine_socket


class Ours(Side):
    def __init__(self, name):
        super().__init__(name)
        self.node = Node(self.host, "docker", self.host.engine_socket)
        self.node.start()

    @property
    def socket(self):
        return self.node.socket


def settle(side, seconds=20):
    """Until the services' counts have not changed for a second."""
    last, since, end = None, time.monotonic(), time.monotonic() + seconds
    while time.monotonic() < end:
        now = side.docker("docker service ls --format '{{.Name}} {{.Replicas}}'; docker service ps -f desired-state=running"
                          " --format '{{.Name}} {{.CurrentState}}' $(docker service ls -q) 2>/dev/null | sed 's/ [0-9A-Z].*//'")[1]
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > 1:
            return
        time.sleep(0.2)


def main():
    arguments = sys.argv[1:]
    everything = "--all" in arguments
    first = next((int(a) for a in arguments if a.isdigit()), 1)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "comparison.txt"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    sides = []
    commands = differ = explained = 0
    try:
        sides = [Peer("cmp-peer"), Ours("cmp-ours")]
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            known = line.startswith("~")
            command = line.lstrip("~ ")
            if command == "settle":
                for side in sides:
                    settle(side)
                continue
            if number < first and " inspect" in command:
                continue
            answers = []
            for side in sides:
                code, out, err = side.docker(command)
                answers.append(normal(f"[{code}]\n{out}{err}"))
            commands += 1
            if answers[0] == answers[1] and not everything:
                continue
            if answers[0] != answers[1]:
                differ += not known
                explained += known
                if known and not everything:
                    continue
            print(f"\n=== {number}: {command}")
            if answers[0] == answers[1]:
                print(answers[0])
            else:
                print("\n".join(difflib.unified_diff(*(a.splitlines() for a in answers), "docker", "swarm-node", lineterm="", n=1)))
            sys.stdout.flush()
    finally:
        for side in sides:
            if isinstance(side, Ours):
                side.docker("docker swarm leave --force")
                side.node.stop()
            side.host.clean()
    print(f"\n{commands} commands: {commands - differ - explained} answered alike, {explained} differ as explained, {differ} differ")
    return 1 if differ else 0


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("this starts network namespaces and engines: run it as root")
    sys.exit(main())
