#!/usr/bin/env python3
"""An engine that offers generic resources; and the security settings of containers, as the kernel applies them."""
import base64
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Scenario, main, wait_until  # noqa: E402

QUICK = ["--detach", "--stop-grace-period", "1s", "--restart-delay", "500ms"]
SLEEP = ["busybox", "sleep", "100000"]
EXHAUSTED = "no suitable node (insufficient resources on 1 node)"


class Resources(Scenario):
    name = "resources"
    engine_flags = tuple(f for r in ("gpu=UUID-a", "gpu=UUID-b", "ssd=3") for f in ("--node-generic-resource", r))

    def environment(self, container):
        return [e for e in self.node.inspect("container", container)["Config"]["Env"] if e.startswith("DOCKER_RESOURCE_")]

    def container_of(self, task):
        return task["Status"]["ContainerStatus"]["ContainerID"]

    def pending(self, service, count):
        """The errors of its tasks that wait, when there are as many as that."""
        waiting = [t for t in self.node.tasks(service, "running") if t["Status"]["State"] == "pending"]
        return [t["Status"].get("Err", "") for t in waiting] == [EXHAUSTED] * count

    # -- generic resources --------------------------------------------------------------------------------------------
    def test_010_the_node_shows_what_the_engine_offers(self):
        n = self.node
        n.ok("swarm", "init", *self.advertise)
        found = wait_until("the node has its description", lambda: n.inspect("node", "self")["Description"]["Resources"].get("GenericResources"))
        self.assertEqual(sorted(json.dumps(r, sort_keys=True) for r in found), sorted(json.dumps(r) for r in (
            {"NamedResourceSpec": {"Kind": "gpu", "Value": "UUID-a"}}, {"NamedResourceSpec": {"Kind": "gpu", "Value": "UUID-b"}},
            {"DiscreteResourceSpec": {"Kind": "ssd", "Value": 3}})))

    def test_020_each_task_gets_a_named_one_of_its_own(self):
        n = self.node
        n.ok("service", "create", "--name", "gpu", "--replicas", "2", "--generic-resource", "gpu=1", *QUICK, *SLEEP)
        tasks = n.wait_running("gpu", 2)
        self.assertEqual(sorted(self.environment(self.container_of(t))[0] for t in tasks), ["DOCKER_RESOURCE_GPU=UUID-a", "DOCKER_RESOURCE_GPU=UUID-b"])
        for task in tasks:
            given = task["GenericResources"][0]["NamedResourceSpec"]
            self.assertEqual(self.environment(self.container_of(task)), [f"DOCKER_RESOURCE_GPU={given['Value']}"])

    def test_030_when_there_is_none_left_the_next_one_says_so(self):
        n = self.node
        n.ok("service", "scale", "--detach", "gpu=3")
        wait_until("the third waits", lambda: self.pending("gpu", 1))
        self.assertIn(EXHAUSTED, n.ok("service", "ps", "--no-trunc", "--format", "{{.Error}}", "gpu"))

    def test_040_and_runs_when_one_is_given_back(self):
        n = self.node
        n.ok("rm", "-f", self.container_of(n.running("gpu")[0]))
        n.ok("service", "scale", "--detach", "gpu=2")
        n.wait_running("gpu", 2)
        n.ok("service", "rm", "gpu")
        n.ok("service", "create", "--name", "both", "--generic-resource", "gpu=2", *QUICK, *SLEEP)
        shown = self.environment(self.container_of(n.wait_running("both", 1)[0]))[0]
        self.assertEqual(sorted(shown.removeprefix("DOCKER_RESOURCE_GPU=").split(",")), ["UUID-a", "UUID-b"])
        n.ok("service", "rm", "both")

    def test_050_discrete_ones_are_counted(self):
        n = self.node
        n.ok("service", "create", "--name", "ssd", "--replicas", "2", "--generic-resource", "ssd=2", *QUICK, *SLEEP)
        task = n.wait_running("ssd", 1)[0]
        self.assertEqual(self.environment(self.container_of(task)), ["DOCKER_RESOURCE_SSD=2"])
        self.assertEqual(task["GenericResources"], [{"DiscreteResourceSpec": {"Kind": "ssd", "Value": 2}}])
        wait_until("the second waits", lambda: self.pending("ssd", 1))
        n.ok("service", "update", "--detach", "--generic-resource-add", "ssd=1", "ssd")
        wait_until("both run, with one each", lambda: sorted(self.environment(self.container_of(t))[0] for t in n.wait_running("ssd", 2))
                   == ["DOCKER_RESOURCE_SSD=1"] * 2, 60)
        n.ok("service", "rm", "ssd")

    def test_060_a_kind_that_no_node_has(self):
        n = self.node
        n.ok("service", "create", "--name", "fpga", "--generic-resource", "fpga=1", *QUICK, *SLEEP)
        wait_until("it waits", lambda: self.pending("fpga", 1))
        n.ok("service", "rm", "fpga")

    # -- privileges: the CLI has no flags for them ------------------------------------------------------------------------
    def create(self, name, privileges):
        status, answer = self.node.api("POST", "/v1.50/services/create", {
            "Name": name, "Mode": {"Replicated": {"Replicas": 1}}, "EndpointSpec": {"Mode": "dnsrr"},
            "TaskTemplate": {"ContainerSpec": {"Image": "busybox:latest", "Args": ["sleep", "100000"], "StopGracePeriod": 10 ** 9, "Privileges": privileges}}})
        self.assertEqual(status, 201, answer)
        return self.container_of(self.node.wait_running(name, 1)[0])

    def status_of(self, container, key):
        lines = self.node.ok("exec", container, "cat", "/proc/1/status").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith(f"{key}:"))

    def security(self, container):
        return self.node.inspect("container", container)["HostConfig"]["SecurityOpt"]

    def test_100_no_new_privileges(self):
        container = self.create("nnp", {"NoNewPrivileges": True})
        self.assertEqual(self.security(container), ["no-new-privileges=true"])
        self.assertEqual(self.status_of(container, "NoNewPrivs"), "1")

    def test_110_without_it(self):
        container = self.create("plain", {})
        self.assertEqual((self.security(container) or [], self.status_of(container, "NoNewPrivs")), ([], "0"))

    def test_120_seccomp_unconfined(self):
        container = self.create("unconfined", {"Seccomp": {"Mode": "unconfined"}})
        self.assertEqual((self.security(container), self.status_of(container, "Seccomp")), (["seccomp=unconfined"], "0"))

    def test_130_a_seccomp_profile_of_ones_own(self):
        if "name=seccomp" not in self.node.ok("info", "--format", "{{.SecurityOptions}}"):
            self.skipTest("this engine has no seccomp")
        profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}
        container = self.create("custom", {"Seccomp": {"Mode": "custom", "Profile": base64.b64encode(json.dumps(profile).encode()).decode()}})
        self.assertEqual(self.status_of(container, "Seccomp"), "2")
        self.assertIn("Operation not permitted", self.node.refused("exec", container, "mkdir", "/tmp/x"))
        self.assertEqual(self.node.ok("exec", self.container_of(self.node.running("plain")[0]), "mkdir", "/tmp/x"), "")

    def test_140_apparmor_disabled(self):
        container = self.create("disabled", {"AppArmor": {"Mode": "disabled"}})
        self.assertIn("apparmor=unconfined", self.security(container))  # whether or not this kernel has AppArmor

    def test_150_a_profile_that_is_none_is_told_by_the_engine(self):
        status, answer = self.node.api("POST", "/v1.50/services/create", {
            "Name": "broken", "TaskTemplate": {"ContainerSpec": {"Image": "busybox:latest", "Args": ["true"], "Privileges": {
                "Seccomp": {"Mode": "custom", "Profile": base64.b64encode(b"{}}").decode()}}}, "RestartPolicy": {"Condition": "none"}}})
        self.assertEqual(status, 201, answer)
        wait_until("the task says why", lambda: any("seccomp" in t["Status"].get("Err", "") for t in self.node.tasks("broken")), 20)

    def test_900_the_end(self):
        self.node.ok("service", "rm", "nnp", "plain", "unconfined", "disabled", "broken", *(["custom"] if self.node.tasks("custom") else []))
        wait_until("no task is left", lambda: not self.node.tasks(), 30)


if __name__ == "__main__":
    main(int(os.environ.get("SWARM_TEST_SECONDS", "120")))
