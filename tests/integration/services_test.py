#!/usr/bin/env python3
"""The docker CLI drives services on a real engine through swarm-node: a sitting from swarm init to leave."""
import json
import os
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import ADDRESS, Scenario, main, wait_until  # noqa: E402

SLEEP = ["busybox", "sleep", "100000"]
QUICK = ["--stop-grace-period", "1s", "--restart-delay", "100ms"]
PREFIX = "rpc error: code = {} desc = "


class Services(Scenario):
    name = "services"

    # -- before and at swarm init -------------------------------------------------------------------------
    def test_010_an_inactive_node_says_so(self):
        n = self.node
        self.assertEqual(n.ok("info", "--format", "{{.Swarm.LocalNodeState}}").strip(), "inactive")
        self.assertIn("1.50", n.ok("version", "--format", "{{.Server.APIVersion}}") + n.ok("version"))
        self.assertIn('This node is not a swarm manager. Use "docker swarm init"', n.refused("service", "ls"))
        self.assertIn("This node is not part of a swarm", n.refused("swarm", "leave"))

    def test_020_swarm_init(self):
        n = self.node
        out = n.ok("swarm", "init", *self.advertise)
        self.assertRegex(out, r"Swarm initialized: current node \([0-9a-z]{25}\) is now a manager\.")
        self.assertRegex(out, r"docker swarm join --token SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25} " + re.escape(ADDRESS) + ":2377")
        self.assertIn("This node is already part of a swarm.", n.refused("swarm", "init", *self.advertise))
        info = json.loads(n.ok("info", "--format", "{{json .Swarm}}"))
        self.assertEqual((info["LocalNodeState"], info["ControlAvailable"], info["Nodes"], info["Managers"], info["NodeAddr"]),
                         ("active", True, 1, 1, ADDRESS))
        status, swarm = n.api("GET", "/v1.50/swarm")
        self.assertEqual(status, 200)
        self.assertEqual(swarm["Spec"]["Orchestration"]["TaskHistoryRetentionLimit"], 5)
        self.assertTrue(swarm["JoinTokens"]["Worker"].startswith("SWMTKN-1-"))

    def test_030_node(self):
        n = self.node
        self.assertEqual(n.ok("node", "ls", "--format", "{{.Status}} {{.Availability}} {{.ManagerStatus}}").strip(), "Ready Active Leader")
        n.ok("node", "update", "--label-add", "zone=a", self.node_id())
        self.assertEqual(n.inspect("node", "self")["Spec"]["Labels"], {"zone": "a"})
        self.assertIn("Hostname", n.ok("node", "inspect", "--pretty", "self"))
        self.assertIn("attempting to demote the last manager of the swarm", n.refused("node", "demote", self.node_id()))

    def node_id(self):
        return self.node.ok("node", "ls", "-q").strip()

    def test_040_swarm_update(self):
        self.node.ok("swarm", "update", "--task-history-limit", "2")
        self.assertEqual(self.node.api("GET", "/v1.50/swarm")[1]["Spec"]["Orchestration"]["TaskHistoryRetentionLimit"], 2)

    # -- a service's life ------------------------------------------------------------------------------------
    def test_100_create_converges_and_ends_by_itself(self):
        out = self.node.ok("service", "create", "--name", "web", "--replicas", "2", "--update-monitor", "1s", *QUICK, *SLEEP, timeout=90)
        self.assertRegex(out, r"Service [0-9a-z]{25} converged")
        self.assertEqual(self.node.ok("service", "ls", "--format", "{{.Name}} {{.Mode}} {{.Replicas}} {{.Image}}").strip(),
                         "web replicated 2/2 busybox:latest")

    def test_110_containers_carry_swarms_names_and_labels(self):
        n = self.node
        for task in n.wait_running("web", 2):
            container = n.inspect("container", task["Status"]["ContainerStatus"]["ContainerID"])
            self.assertEqual(container["Name"], f"/web.{task['Slot']}.{task['ID']}")
            labels = container["Config"]["Labels"]
            self.assertEqual({k: v for k, v in labels.items() if k.startswith("com.docker.swarm.")}, {
                "com.docker.swarm.task": "", "com.docker.swarm.task.id": task["ID"],
                "com.docker.swarm.task.name": f"web.{task['Slot']}.{task['ID']}", "com.docker.swarm.node.id": task["NodeID"],
                "com.docker.swarm.service.id": task["ServiceID"], "com.docker.swarm.service.name": "web"})
            self.assertEqual(container["HostConfig"]["RestartPolicy"]["Name"] or "no", "no")

    def test_120_inspect_and_ps(self):
        n = self.node
        self.assertEqual(n.inspect("service", "web")["Spec"]["Mode"], {"Replicated": {"Replicas": 2}})
        pretty = n.ok("service", "inspect", "--pretty", "web")
        for line in ("Name:\t\tweb", "Service Mode:\tReplicated", " Replicas:\t2", "busybox:latest"):
            self.assertIn(line, pretty)
        rows = n.ok("service", "ps", "web", "--format", "{{.Name}} {{.DesiredState}} {{.CurrentState}} {{.Error}}").splitlines()
        self.assertEqual([r.split()[:3] for r in rows], [["web.1", "Running", "Running"], ["web.2", "Running", "Running"]])

    def test_130_scale_uses_the_lowest_free_slots(self):
        n = self.node
        n.ok("service", "scale", "web=4", timeout=90)
        self.assertEqual(sorted(t["Slot"] for t in n.wait_running("web", 4)), [1, 2, 3, 4])
        n.ok("service", "scale", "--detach", "web=2")
        wait_until("two containers stay", lambda: len(n.containers("web", True)) == 2, 40)
        self.assertEqual(sorted(t["Slot"] for t in n.wait_running("web", 2)), [1, 2])

    def test_140_update_replaces_the_tasks_and_rollback_brings_them_back(self):
        n = self.node
        before = {t["ID"] for t in n.wait_running("web", 2)}
        n.ok("service", "update", "--env-add", "A=1", "web", timeout=120)
        after = n.wait_running("web", 2)
        self.assertFalse(before & {t["ID"] for t in after})
        for task in after:
            self.assertIn("A=1", n.inspect("container", task["Status"]["ContainerStatus"]["ContainerID"])["Config"]["Env"])
        wait_until("the update is completed", lambda: n.inspect("service", "web")["UpdateStatus"]["State"] == "completed")
        n.ok("service", "rollback", "web", timeout=120)
        self.assertNotIn("Env", n.inspect("service", "web")["Spec"]["TaskTemplate"]["ContainerSpec"])
        wait_until("the rollback is completed", lambda: n.inspect("service", "web")["UpdateStatus"]["State"] == "rollback_completed")

    def test_150_a_bad_update_is_paused_or_rolled_back(self):
        n = self.node
        n.ok("service", "create", "--detach", "--name", "upd", "--replicas", "2", "--update-monitor", "2s", *QUICK, *SLEEP)
        n.wait_running("upd", 2)
        code, out, err = n.docker("service", "update", "--args", "false", "upd", timeout=120)
        self.assertIn("update paused due to failure or early termination of task", out + err)
        self.assertNotEqual(code, 0)
        self.assertEqual(n.inspect("service", "upd")["UpdateStatus"]["State"], "paused")
        n.ok("service", "update", "--detach", "--args", "sleep 100000", "upd")
        wait_until("it is repaired", lambda: n.inspect("service", "upd")["UpdateStatus"]["State"] == "completed", 60)
        n.docker("service", "update", "--args", "false", "--update-failure-action", "rollback", "upd", timeout=120)
        wait_until("it is rolled back", lambda: n.inspect("service", "upd")["UpdateStatus"]["State"] == "rollback_completed", 60)
        n.wait_running("upd", 2)
        n.ok("service", "rm", "upd")

    def test_160_force_replaces_every_task(self):
        n = self.node
        before = {t["ID"] for t in n.wait_running("web", 2)}
        n.ok("service", "update", "--force", "web", timeout=120)
        self.assertFalse(before & {t["ID"] for t in n.wait_running("web", 2)})

    # -- desired state is kept --------------------------------------------------------------------------------
    def gone(self, end):
        """Ends the container of slot 1 by `end` and waits for its successor in the same slot."""
        n = self.node
        task = next(t for t in n.wait_running("web", 2) if t["Slot"] == 1)
        container = task["Status"]["ContainerStatus"]["ContainerID"]
        end(container, task)

        def replaced():
            found = [t for t in n.running("web") if t["Slot"] == 1 and t["ID"] != task["ID"]]
            return found and len(n.containers("web")) == 2 and found[0]
        wait_until("slot 1 has a new task", replaced, 30)
        old = next(t for t in n.tasks("web") if t["ID"] == task["ID"])
        return old

    def test_200_a_removed_container_is_replaced(self):
        old = self.gone(lambda c, t: self.node.ok("rm", "-f", c))
        self.assertEqual(old["Status"]["State"], "failed")

    def test_210_a_killed_container_is_replaced_and_its_exit_code_is_told(self):
        old = self.gone(lambda c, t: self.node.ok("kill", c))
        self.assertEqual((old["Status"]["State"], old["Status"]["Err"]), ("failed", "task: non-zero exit (137)"))
        self.assertEqual(old["Status"]["ContainerStatus"]["ExitCode"], 137)

    def test_220_history_is_kept_and_reaped(self):
        for _ in range(3):
            self.gone(lambda c, t: self.node.ok("kill", c))
        wait_until("slot 1 keeps two tasks", lambda: len([t for t in self.node.tasks("web") if t["Slot"] == 1]) == 2, 20)

    def test_230_restart_conditions(self):
        n = self.node
        n.ok("service", "create", "--detach", "--name", "once", "--restart-condition", "none", "busybox", "true")
        n.ok("service", "create", "--detach", "--name", "fails", "--restart-condition", "on-failure", "--restart-max-attempts", "2",
             "--restart-delay", "100ms", "busybox", "sh", "-c", "exit 3")
        wait_until("once is complete", lambda: [t["Status"]["State"] for t in n.tasks("once")] == ["complete"])
        wait_until("fails is tried three times", lambda: [t["Status"].get("Err") for t in n.tasks("fails")] == ["task: non-zero exit (3)"] * 3, 40)
        time.sleep(2)
        self.assertEqual((len(n.tasks("once")), len(n.tasks("fails"))), (1, 3))
        n.ok("service", "rm", "once", "fails")

    def test_240_an_image_that_cannot_be_had_is_told(self):
        n = self.node
        n.ok("service", "create", "--detach", "--name", "noimage", "--restart-delay", "1s", "localhost:1/never/there")
        task = wait_until("a task is rejected", lambda: [t for t in n.tasks("noimage") if t["Status"]["State"] == "rejected"], 60)[0]
        self.assertIn("localhost:1/never/there", task["Status"]["Err"])
        n.ok("service", "rm", "noimage")

    def test_250_a_pending_task_says_why(self):
        n = self.node
        n.ok("service", "create", "--detach", "--name", "pend", "--constraint", "node.labels.zone==b", *SLEEP)
        wait_until("the reason is shown", lambda: "no suitable node (scheduling constraints not satisfied on 1 node)" in n.ok("service", "ps", "--no-trunc", "pend"))
        n.ok("node", "update", "--label-add", "zone=b", self.node_id())
        n.wait_running("pend", 1)
        n.ok("service", "rm", "pend")

    def test_260_global_service_and_drain(self):
        n = self.node
        n.ok("service", "create", "--name", "glob", "--mode", "global", "--update-monitor", "1s", *QUICK, *SLEEP, timeout=90)
        self.assertIn("global 1/1", n.ok("service", "ls", "--filter", "name=glob", "--format", "{{.Mode}} {{.Replicas}}"))
        n.ok("node", "update", "--availability", "drain", self.node_id())
        wait_until("no container is left", lambda: not n.containers("glob") and not n.containers("web"), 40)
        n.ok("node", "update", "--availability", "active", self.node_id())
        n.wait_running("glob", 1)
        n.wait_running("web", 2)
        n.ok("node", "update", "--availability", "pause", self.node_id())
        n.ok("service", "scale", "--detach", "web=3")
        wait_until("nothing new on a paused node", lambda: "1 node not available for new tasks" in n.ok("service", "ps", "--no-trunc", "web"))
        self.assertEqual(len(n.running("web")), 2)
        n.ok("node", "update", "--availability", "active", self.node_id())
        n.wait_running("web", 3)
        n.ok("service", "scale", "--detach", "web=2")
        n.ok("service", "rm", "glob")

    def test_270_unhealthy_tasks_are_replaced_and_health_gates_running(self):
        n = self.node
        n.ok("service", "create", "--detach", "--name", "health", *QUICK, "--health-cmd", "test -e /tmp/ok", "--health-interval", "500ms",
             "--health-start-period", "4s", "--health-retries", "2", "busybox", "sh", "-c", "sleep 2; touch /tmp/ok; sleep 6; rm /tmp/ok; sleep 1000")
        first = wait_until("it starts", lambda: n.tasks("health"))[0]
        wait_until("its container runs", lambda: n.containers("health"))
        self.assertEqual(n.running("health"), [], "not RUNNING before it is healthy")
        n.wait_running("health", 1)
        failed = wait_until("the unhealthy task fails", lambda: [t for t in n.tasks("health") if t["ID"] == first["ID"] and t["Status"]["State"] == "failed"], 40)
        self.assertIn("unhealthy container", failed[0]["Status"]["Err"])
        n.ok("service", "rm", "health")

    # -- logs ---------------------------------------------------------------------------------------------------
    def test_300_logs(self):
        n = self.node
        n.ok("service", "create", "--detach", "--name", "talk", "--replicas", "2", *QUICK, "busybox", "sh", "-c",
             "for i in 1 2 3; do echo line $i; echo err $i >&2; done; sleep 100000")
        n.wait_running("talk", 2)
        wait_until("all lines are there", lambda: [len(text.splitlines()) for text in n.docker("service", "logs", "--raw", "talk")[1:]] == [6, 6])
        out = n.ok("service", "logs", "talk")
        self.assertEqual(len(re.findall(r"^talk\.[12]\.[0-9a-z]{12}@\S+ +\| line [123]$", out, re.M)), 6, out)
        code, last, errors = n.docker("service", "logs", "--raw", "--tail", "1", "talk")
        self.assertRegex(last + errors, r"\A((line|err) 3\n){2}\Z")
        self.assertRegex(n.ok("service", "logs", "--raw", "--timestamps", "talk"), r"(?m)^\d{4}-\d\d-\d\dT[\d:]+\.\d{9}Z line 1$")
        self.assertIn("com.docker.swarm.task.id=", n.api("GET", "/v1.50/services/talk/logs?stdout=1&details=1")[1].decode("utf-8", "replace"))
        self.assertEqual(n.ok("service", "logs", "--raw", "--since", str(int(time.time()) + 60), "talk"), "")
        task = n.running("talk")[0]["ID"]
        self.assertEqual(len(n.ok("service", "logs", "--raw", task).splitlines()), 3)
        self.assertIn("no such task or service", n.refused("service", "logs", "nothere"))

    def test_310_logs_follow_new_tasks(self):
        n = self.node
        env = {**os.environ, "DOCKER_HOST": f"unix://{n.socket}"}
        follow = subprocess.Popen(["docker", "service", "logs", "-f", "--raw", "talk"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            time.sleep(1)
            n.ok("service", "scale", "--detach", "talk=3")
            n.wait_running("talk", 3)
            seen = []
            reader = threading.Thread(target=lambda: seen.extend(iter(follow.stdout.readline, b"")), daemon=True)
            reader.start()
            wait_until("the new task's lines arrive", lambda: seen.count(b"line 3\n") == 3)
            self.assertIsNone(follow.poll())
        finally:
            follow.kill()
            follow.wait()
        n.ok("service", "rm", "talk")

    # -- specs come back as they were sent ------------------------------------------------------------------------
    def test_400_every_flag_of_the_cli_comes_back_in_inspect(self):
        n = self.node
        code, out, err = n.docker(
            "service", "create", "--detach", "--name", "flg", "--replicas", "2", "--replicas-max-per-node", "3", "--constraint", "node.labels.never==1",
            "-l", "l=1", "--container-label", "c=2", "--entrypoint", "/bin/sh -c", "--hostname", "n-{{.Task.Slot}}", "-e", "A=1", "-w", "/w", "-u", "1:1",
            "--group", "12", "--init", "--stop-signal", "SIGTERM", "-t", "--read-only", "--mount", "type=volume,source=v1,target=/d,volume-label=a=b",
            "--mount", "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770", "--mount", "type=bind,source=/tmp,target=/b,readonly,bind-propagation=rslave",
            "--stop-grace-period", "3s", "--health-cmd", "true", "--health-interval", "2s", "--health-timeout", "1s", "--health-start-period", "1s",
            "--health-retries", "2", "--host", "h.example:1.2.3.4", "--dns", "1.1.1.1", "--dns-search", "ex.com", "--dns-option", "ndots:1",
            "--sysctl", "net.core.somaxconn=128", "--cap-add", "NET_ADMIN", "--cap-drop", "CHOWN", "--ulimit", "nofile=100:200", "--oom-score-adj", "5",
            "--limit-cpu", "0.5", "--limit-memory", "64m", "--limit-pids", "50", "--reserve-cpu", "0.1", "--reserve-memory", "8m",
            "--generic-resource", "gpu=1", "--restart-condition", "on-failure", "--restart-delay", "3s", "--restart-max-attempts", "4",
            "--restart-window", "1m", "--placement-pref", "spread=node.labels.z", "--log-driver", "json-file", "--log-opt", "max-size=1m",
            "--update-parallelism", "2", "--update-delay", "1s", "--update-failure-action", "rollback", "--update-monitor", "7s",
            "--update-max-failure-ratio", "0.2", "--update-order", "start-first", "--rollback-order", "start-first", "--endpoint-mode", "vip",
            "busybox:latest", "sleep 1000")
        self.assertEqual(code, 0, err)
        status, service = n.api("GET", "/v1.50/services/flg")
        self.assertEqual(status, 200)
        spec = service["Spec"]
        task = spec["TaskTemplate"]
        container = {k: v for k, v in task["ContainerSpec"].items() if k != "Isolation"}
        self.assertEqual(container, {
            "Image": container["Image"], "Labels": {"c": "2"}, "Command": ["/bin/sh", "-c"], "Args": ["sleep 1000"], "Hostname": "n-{{.Task.Slot}}",
            "Env": ["A=1"], "Dir": "/w", "User": "1:1", "Groups": ["12"], "Init": True, "StopSignal": "SIGTERM", "TTY": True, "ReadOnly": True,
            "Mounts": [{"Type": "volume", "Source": "v1", "Target": "/d", "VolumeOptions": {"Labels": {"a": "b"}, "DriverConfig": {}}},
                       {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1048576, "Mode": 0o1770}},
                       {"Type": "bind", "Source": "/tmp", "Target": "/b", "ReadOnly": True, "BindOptions": {"Propagation": "rslave"}}],
            "StopGracePeriod": 3000000000,
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 2000000000, "Timeout": 1000000000, "StartPeriod": 1000000000, "Retries": 2},
            "Hosts": ["1.2.3.4 h.example"], "DNSConfig": {"Nameservers": ["1.1.1.1"], "Search": ["ex.com"], "Options": ["ndots:1"]},
            "Sysctls": {"net.core.somaxconn": "128"}, "CapabilityAdd": ["CAP_NET_ADMIN"], "CapabilityDrop": ["CAP_CHOWN"],
            "Ulimits": [{"Name": "nofile", "Hard": 200, "Soft": 100}], "OomScoreAdj": 5})
        self.assertEqual(task["Resources"], {
            "Limits": {"NanoCPUs": 500000000, "MemoryBytes": 67108864, "Pids": 50},
            "Reservations": {"NanoCPUs": 100000000, "MemoryBytes": 8388608, "GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}]}})
        self.assertEqual(task["RestartPolicy"], {"Condition": "on-failure", "Delay": 3000000000, "MaxAttempts": 4, "Window": 60000000000})
        self.assertEqual({k: v for k, v in task["Placement"].items() if k != "Platforms"}, {
            "Constraints": ["node.labels.never==1"], "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.z"}}], "MaxReplicas": 3})
        self.assertEqual(task["LogDriver"], {"Name": "json-file", "Options": {"max-size": "1m"}})
        self.assertEqual(spec["Labels"], {"l": "1"})
        self.assertEqual(spec["UpdateConfig"], {"Parallelism": 2, "Delay": 1000000000, "FailureAction": "rollback", "Monitor": 7000000000,
                                                "MaxFailureRatio": 0.2, "Order": "start-first"})
        self.assertEqual(spec["RollbackConfig"]["Order"], "start-first")
        self.assertEqual(spec["EndpointSpec"], {"Mode": "vip"})
        n.ok("service", "rm", "flg")

    def test_410_a_stored_field_that_is_not_acted_on_is_named_in_the_warnings(self):
        code, out, err = self.node.docker("service", "create", "--detach", "--name", "warned", "--constraint", "node.labels.never==1",
                                          "--publish", "8099:80", *SLEEP)
        self.assertEqual(code, 0, err)
        if "Ports" not in self.node.inspect("service", "warned")["Endpoint"]:
            self.assertRegex(err, "(?i)port")
        self.node.ok("service", "rm", "warned")

    def test_420_api_1_41_works_too(self):
        out = self.node.ok("service", "ls", "--format", "{{.Name}}", env={"DOCKER_API_VERSION": "1.41"})
        self.assertIn("web", out.split())
        self.assertIn("client version 1.99 is too new", self.node.refused("service", "ls", env={"DOCKER_API_VERSION": "1.99"}))

    # -- refusals ---------------------------------------------------------------------------------------------------
    def spec(self, name="bad", image="busybox", **changes):
        spec = {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": image}}, "Mode": {"Replicated": {"Replicas": 0}}}
        for path, value in changes.items():
            at = spec
            *parents, last = path.split("__")
            for key in parents:
                at = at.setdefault(key, {})
            at[last] = value
        return spec

    def expect(self, status, text, spec):
        got, body = self.node.api("POST", "/v1.50/services/create", spec)
        self.assertEqual((got, body.get("message")), (status, text), spec)

    def test_500_service_create_refusals(self):
        invalid = PREFIX.format("InvalidArgument")
        self.expect(400, invalid + "ContainerSpec: image reference must be provided", self.spec(image=""))
        self.expect(400, invalid + 'ContainerSpec: "A B" is not a valid repository/tag', self.spec(image="A B"))
        self.expect(400, invalid + "name must be valid as a DNS name component", self.spec(name="a..b"))
        self.expect(400, invalid + "name must be 63 characters or fewer", self.spec(name="a" * 64))
        self.expect(409, PREFIX.format("AlreadyExists") + "name conflicts with an existing object: service web already exists", self.spec(name="web"))
        status, body = self.node.api("POST", "/v1.50/services/create", self.spec(TaskTemplate__RestartPolicy={"Condition": "x"}))
        self.assertEqual(status, 400)
        self.assertIn('invalid RestartCondition: "x"', body["message"])
        self.expect(400, invalid + "TaskSpec: restart-delay cannot be negative", self.spec(TaskTemplate__RestartPolicy={"Delay": -1}))
        self.expect(400, invalid + "invalid cpu value 1e-09: Must be at least 0.001", self.spec(TaskTemplate__Resources={"Limits": {"NanoCPUs": 1}}))
        self.expect(400, invalid + "invalid memory value 1: Must be at least 4MiB", self.spec(TaskTemplate__Resources={"Limits": {"MemoryBytes": 1}}))
        self.expect(400, invalid + "TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1", self.spec(UpdateConfig={"MaxFailureRatio": 2}))
        self.expect(400, invalid + "EndpointSpec: duplicate published ports provided", self.spec(EndpointSpec={"Ports": [
            {"TargetPort": 80, "PublishedPort": 80}, {"TargetPort": 81, "PublishedPort": 80}]}))
        self.expect(400, invalid + "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
                    self.spec(EndpointSpec={"Mode": "dnsrr", "Ports": [{"TargetPort": 80, "PublishedPort": 80}]}))
        self.expect(400, invalid + "ContainerSpec: duplicate mount point: /x", self.spec(TaskTemplate__ContainerSpec={"Image": "busybox", "Mounts": [
            {"Type": "tmpfs", "Target": "/x"}, {"Type": "tmpfs", "Target": "/x"}]}))
        self.expect(500, PREFIX.format("Unknown") + "constraint expected one operator from ==, !=", self.spec(TaskTemplate__Placement={"Constraints": ["nonsense"]}))

    def test_510_service_update_refusals(self):
        n = self.node
        web = n.api("GET", "/v1.50/services/web")[1]
        target = f"/v1.50/services/{web['ID']}/update?version="
        status, body = n.api("POST", target + str(web["Version"]["Index"] - 1), web["Spec"])
        self.assertEqual((status, body["message"]), (500, PREFIX.format("Unknown") + "update out of sequence"))
        status, body = n.api("POST", target + str(web["Version"]["Index"]), {**web["Spec"], "Name": "renamed"})
        self.assertEqual((status, body["message"]), (501, PREFIX.format("Unimplemented") + "renaming services is not supported"))
        status, body = n.api("POST", target + str(web["Version"]["Index"]), {**web["Spec"], "Mode": {"Global": {}}})
        self.assertEqual((status, body["message"]), (501, PREFIX.format("Unimplemented") + "service mode change is not allowed"))
        self.assertIn("no such service: nothere", n.refused("service", "inspect", "nothere").lower())
        self.assertEqual(n.api("GET", "/v1.50/services/nothere"), (404, {"message": "service nothere not found"}))

    def test_520_a_service_without_history_cannot_be_rolled_back(self):
        n = self.node
        n.ok("service", "create", "--detach", "--name", "fresh", "--replicas", "0", *SLEEP)
        self.assertIn("does not have a previous spec", n.refused("service", "rollback", "fresh"))
        n.ok("service", "rm", "fresh")

    def test_530_malformed_requests_harm_nobody(self):
        n = self.node
        for body, part in ((b"", "got EOF while reading request body"), (b"{", None), (b"[]", None), (b'{"Name":3}', None), (b'{"Name":"a"}{}', "unexpected content after JSON"),
                           (b"[" * 100000, None)):
            status, answer = n.api("POST", "/v1.50/services/create", body)
            self.assertEqual(status, 400, body[:20])
            self.assertIn(part or "", answer["message"])
        status, answer = n.api("POST", "/v1.50/services/create", b'{"Name":"' + b"x" * (8 << 20) + b'"}')
        self.assertIn(status, (400, 413))
        self.assertEqual(n.api("GET", "/_ping")[0], 200)
        self.assertEqual(len(n.running("web")), 2)

    def test_560_of_twenty_that_update_the_same_version_exactly_one_wins(self):
        n = self.node
        for attempt in range(5):
            service = n.inspect("service", "web")
            answers, gate = {}, threading.Barrier(20)

            def update(client):
                spec = json.loads(json.dumps(service["Spec"]))
                spec["Labels"] = {"winner": f"{attempt}-{client}"}
                gate.wait()
                answers[client] = n.api("POST", f"/v1.50/services/{service['ID']}/update?version={service['Version']['Index']}", spec)
            clients = [threading.Thread(target=update, args=(client,)) for client in range(20)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            won = [client for client, answer in answers.items() if answer[0] == 200]
            self.assertEqual(len(won), 1)
            self.assertEqual(n.inspect("service", "web")["Spec"]["Labels"], {"winner": f"{attempt}-{won[0]}"})
            lost = [answer for client, answer in answers.items() if client != won[0]]
            self.assertEqual(lost, [(500, {"message": PREFIX.format("Unknown") + "update out of sequence"})] * 19)

    # -- the end -----------------------------------------------------------------------------------------------------
    def test_900_rm_removes_the_containers(self):
        n = self.node
        n.ok("service", "rm", "web")
        self.assertEqual(n.ok("service", "ls", "-q"), "")
        wait_until("no container is left", lambda: not n.containers("web", True), 30)
        wait_until("no task is left", lambda: not n.tasks(), 30)

    def test_910_leave(self):
        n = self.node
        n.ok("service", "create", "--detach", "--name", "last", *QUICK, *SLEEP)
        n.wait_running("last", 1)
        self.assertIn("You are attempting to leave the swarm on a node that is participating as a manager. Removing the last manager erases all "
                      "current state of the swarm. Use `--force` to ignore this message.", n.refused("swarm", "leave"))
        self.assertIn("Node left the swarm.", n.ok("swarm", "leave", "--force"))
        self.assertEqual(n.ok("info", "--format", "{{.Swarm.LocalNodeState}}").strip(), "inactive")
        wait_until("its containers are gone", lambda: not n.containers("last", True), 30)
        n.ok("swarm", "init", *self.advertise)
        self.assertEqual(n.ok("service", "ls", "-q"), "")


if __name__ == "__main__":
    main(int(os.environ.get("SWARM_TEST_SECONDS", "840")))
