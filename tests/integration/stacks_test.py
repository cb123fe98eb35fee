#!/usr/bin/env python3
"""Networks of swarm scope and docker stack deploy on one host, with the docker CLI and a real engine."""
import json
import os
import re
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import ADDRESS, Failure, Scenario, call, main, run, wait_until  # noqa: E402

SLEEP = ["busybox", "sleep", "100000"]
QUICK = ["--stop-grace-period", "1s", "--restart-delay", "100ms"]

SHOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/examples/shop")
SERVICES = ["agent", "api", "db", "edge", "migrate", "web", "worker"]


class Stacks(Scenario):
    name = "stacks"

    def exec(self, container, *command):
        code, out, err = self.node.docker("exec", container, *command, timeout=30)
        return out + err if code == 0 else f"exit {code}: {out}{err}"

    def container(self, service, slot=None):
        for task in self.node.running(service):
            if slot is None or task["Slot"] == slot:
                return task["Status"]["ContainerStatus"]["ContainerID"]
        return None

    def fetch(self, container, name, rest):
        """What a service answers under its name. Without -T: the alarm that it sets crashes a static busybox."""
        return self.exec(container, "wget", "-q", "-O", "-", f"http://{name}{rest}")

    def resolved(self, container, name):
        """Addresses that a container finds for a name."""
        out = self.exec(container, "nslookup", name)
        return sorted(set(re.findall(r"(?m)^Address(?: \d+)?: (\d+\.\d+\.\d+\.\d+)", out.split("Name:", 1)[-1])) if "Name:" in out else [])

    def engine_networks(self):
        status, _, listed = call(self.host.engine_socket, "GET", "/networks")
        self.assertEqual(status, 200)
        return {n["Name"]: n for n in listed if n["Name"] not in ("bridge", "host", "none")}

    def no_bridge_is_left(self):
        """The engine drops a network from its list before it deletes the bridge."""
        wait_until("no network of ours is left", lambda: not self.engine_networks(), 60)
        bridges = lambda: re.findall(r"sw-\d+", run(["ip", "-n", self.host.name, "-o", "link", "show", "type", "bridge"])[1])  # noqa: E731
        try:
            wait_until("no bridge of ours is left", lambda: not bridges(), 10)
        except Failure:
            with open(f"{self.host.engine_dir}/engine.log", encoding="utf-8", errors="replace") as log:
                self.fail(f"{bridges()} stay behind; the end of the engine's log:\n{''.join(log.readlines()[-15:])}")

    def task_addresses(self, service):
        return sorted(a.split("/")[0] for t in self.node.running(service) for n in t["NetworksAttachments"] for a in n["Addresses"])

    # -- networks ---------------------------------------------------------------------------------------------
    def test_010_without_a_swarm_there_is_no_overlay(self):
        n = self.node
        self.assertIn("This node is not a swarm manager", n.refused("network", "create", "-d", "overlay", "nowhere"))
        self.assertIn("cannot create a swarm scoped network when swarm is not active", n.refused("network", "create", "--scope", "swarm", "nowhere"))
        n.ok("network", "create", "plain")
        self.assertEqual(n.inspect("network", "plain")["Driver"], "bridge")
        n.ok("network", "rm", "plain")
        n.ok("swarm", "init", *self.advertise)

    def test_020_a_swarm_begins_with_its_ingress_network(self):
        n = self.node
        wait_until("ingress is there", lambda: "ingress" in n.ok("network", "ls", "--format", "{{.Name}}").split())
        ingress = n.inspect("network", "ingress")
        self.assertEqual((ingress["Scope"], ingress["Driver"], ingress["Ingress"], ingress["IPAM"]["Config"]),
                         ("swarm", "overlay", True, [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1"}]))
        self.assertEqual(sorted(n.ok("network", "ls", "--format", "{{.Name}}:{{.Scope}}").split()),
                         ["bridge:local", "host:local", "ingress:swarm", "none:local"])
        self.assertEqual(json.loads(n.ok("network", "inspect", "host"))[0]["Scope"], "local")
        self.assertEqual(n.api("GET", "/v1.50/networks/host?scope=swarm")[1]["Scope"], "swarm")

    def test_030_create_inspect_list_remove(self):
        n = self.node
        created = n.ok("network", "create", "-d", "overlay", "--attachable", "--label", "a=b", "-o", "com.docker.network.driver.mtu=1300", "ov1").split()[0]
        self.assertRegex(created, r"^[0-9a-z]{25}$")
        ov = n.inspect("network", "ov1")
        self.assertEqual((ov["Id"], ov["Name"], ov["Scope"], ov["Driver"], ov["Attachable"], ov["Internal"], ov["Labels"], ov["Containers"]),
                         (created, "ov1", "swarm", "overlay", True, False, {"a": "b"}, None))
        self.assertEqual(ov["IPAM"], {"Driver": "default", "Options": None, "Config": [{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}]})
        self.assertEqual(ov["Options"], {"com.docker.network.driver.mtu": "1300", "com.docker.network.driver.overlay.vxlanid_list": "4097"})
        given = ["--subnet", "192.168.50.0/24", "--gateway", "192.168.50.254", "--ip-range", "192.168.50.128/25", "--internal"]
        n.ok("network", "create", "-d", "overlay", *given, "ov2")
        self.assertEqual(n.inspect("network", "ov2")["IPAM"]["Config"],
                         [{"Subnet": "192.168.50.0/24", "IPRange": "192.168.50.128/25", "Gateway": "192.168.50.254"}])
        for filters, expected in ((["name=ov"], "ov1 ov2"), (["driver=overlay"], "ingress ov1 ov2"), (["scope=swarm", "label=a=b"], "ov1"),
                                  ([f"id={created}"], "ov1"), (["type=builtin"], "bridge host none"), (["scope=local"], "bridge host none")):
            flags = [f for one in filters for f in ("--filter", one)]
            self.assertEqual(" ".join(sorted(n.ok("network", "ls", "--format", "{{.Name}}", *flags).split())), expected, filters)
        self.assertIn("invalid filter 'bogus'", n.refused("network", "ls", "--filter", "bogus=1").lower())
        self.assertEqual(n.ok("network", "inspect", "--format", "{{.Name}}", created[:8]).strip(), "ov1")
        self.assertEqual(n.ok("network", "rm", created[:8]).strip(), created[:8])
        self.assertIn("network ov1 not found", n.refused("network", "inspect", "ov1").lower().replace("no such network: ov1", "network ov1 not found"))

    def test_040_refusals_in_swarms_words(self):
        n = self.node
        status, answer = n.api("POST", "/v1.50/networks/create", {"Name": "ov2", "Driver": "overlay", "CheckDuplicate": True})
        self.assertEqual((status, answer["message"]), (409, "network with name ov2 already exists"))
        self.assertIn("network with name ov2 already exists", n.refused("network", "create", "ov2"))
        n.ok("network", "create", "local1")
        self.assertIn("network with name local1 already exists", n.refused("network", "create", "-d", "overlay", "local1"))
        self.assertIn("Pool overlaps", n.refused("network", "create", "-d", "overlay", "--subnet", "192.168.50.0/25", "ov3"))
        self.assertIn("name must be valid as a DNS name component", n.refused("network", "create", "-d", "overlay", "a b"))
        self.assertIn("is already present", n.refused("network", "create", "-d", "overlay", "--ingress", "ov3"))
        self.assertIn("encrypted", n.refused("network", "create", "-d", "overlay", "--opt", "encrypted", "ov3"))
        self.assertIn("pre-defined network and cannot be removed", n.refused("network", "rm", "host"))
        self.assertIn("network nothere not found", n.refused("network", "rm", "nothere").lower().replace("no such network: nothere", "network nothere not found"))
        self.assertIn("not manually attachable", n.refused("network", "connect", "ov2", "somebody"))
        self.assertIn("network local1 not found", n.refused("service", "create", "--detach", "--network", "local1", *SLEEP).lower())
        spec = {"Name": "x", "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}, "Networks": [{"Target": "local1"}]}}
        status, answer = n.api("POST", "/v1.50/services/create", spec)
        self.assertEqual((status, answer["message"]), (403, "The network local1 cannot be used with services. Only networks scoped to the swarm "
                                                            "can be used, such as those created with the overlay driver."))
        self.assertIn("network nothere not found", n.refused("service", "create", "--detach", "--network", "nothere", *SLEEP).lower())
        n.ok("network", "rm", "local1")

    def test_050_tasks_have_addresses_names_and_a_network_while_they_live(self):
        n = self.node
        n.ok("service", "create", "--detach", "--name", "a", "--replicas", "2", "--init", "--network", "ov2", *QUICK, *SLEEP)
        n.ok("service", "create", "--detach", "--name", "b", "--endpoint-mode", "dnsrr", "--init", "--network", "name=ov2,alias=bee", *QUICK, *SLEEP)
        n.wait_running("a", 2)
        n.wait_running("b", 1)
        vip = n.inspect("service", "a")["Endpoint"]["VirtualIPs"]
        self.assertEqual([(v["Addr"]) for v in vip], ["192.168.50.128/24"])
        self.assertNotIn("VirtualIPs", n.inspect("service", "b")["Endpoint"])
        self.assertEqual(len(set(self.task_addresses("a") + self.task_addresses("b"))), 3)
        for service in ("a", "b"):
            for task in n.running(service):
                settings = n.inspect("container", task["Status"]["ContainerStatus"]["ContainerID"])["NetworkSettings"]["Networks"]
                self.assertEqual([e["IPAddress"] + "/24" for e in settings.values()], task["NetworksAttachments"][0]["Addresses"])
                self.assertEqual(task["NetworksAttachments"][0]["Network"]["Spec"]["Name"], "ov2")
        a = self.container("a", 1)
        self.assertEqual(self.resolved(a, "b"), self.task_addresses("b"))
        self.assertEqual(self.resolved(a, "bee"), self.task_addresses("b"))
        self.assertEqual(self.resolved(self.container("b"), "a"), self.task_addresses("a"))
        self.assertEqual(self.resolved(self.container("b"), "tasks.a"), self.task_addresses("a"))
        self.assertIn("0% packet loss", self.exec(a, "ping", "-c", "1", "-W", "3", "b"))

    def test_060_the_bridge_is_not_seen_and_the_network_shows_its_containers(self):
        n = self.node
        carriers = self.engine_networks()
        self.assertEqual(list(carriers), ["ov2"])
        self.assertTrue(carriers["ov2"]["Internal"])
        self.assertEqual(sorted(n.ok("network", "ls", "--format", "{{.Name}}").split()), ["bridge", "host", "ingress", "none", "ov2"])
        shown = n.inspect("network", "ov2")
        self.assertEqual(shown["Scope"], "swarm")
        self.assertEqual(sorted(c["IPv4Address"].split("/")[0] for c in shown["Containers"].values()),
                         sorted(self.task_addresses("a") + self.task_addresses("b")))
        verbose = json.loads(n.ok("network", "inspect", "--verbose", "ov2"))[0]["Services"]
        self.assertEqual(sorted(verbose), ["a", "b"])
        self.assertEqual(sorted(t["EndpointIP"] for t in verbose["a"]["Tasks"]), self.task_addresses("a"))
        self.assertEqual(verbose["a"]["VIP"], "192.168.50.128")
        carrier = carriers["ov2"]["Id"]
        self.assertEqual(n.api("GET", f"/v1.50/networks/{carrier}")[0], 404)
        self.assertEqual(n.api("DELETE", f"/v1.50/networks/{carrier}")[0], 404)
        code, out, err = n.docker("run", "--rm", "--network", "ov2", "busybox", "true")
        self.assertNotEqual(code, 0, "no address but those of tasks is given on it")
        self.assertIn("no available IPv4 addresses", out + err)

    def test_070_a_network_in_use_stays(self):
        n = self.node
        network, service = n.inspect("network", "ov2")["Id"], n.inspect("service", "a")["ID"]
        text = n.refused("network", "rm", "ov2")
        self.assertRegex(text, rf"rpc error: code = FailedPrecondition desc = network {network} is in use by service")
        n.ok("network", "create", "-d", "overlay", "idle")
        self.assertEqual(n.ok("network", "prune", "-f").split(), ["Deleted", "Networks:", "idle"])
        self.assertEqual(len(n.running("a")), 2, service)

    def test_080_update_moves_a_service_between_networks(self):
        n = self.node
        n.ok("network", "create", "-d", "overlay", "ov4")
        n.ok("service", "update", "--network-add", "ov4", "--network-rm", "ov2", "--update-monitor", "1s", "a", timeout=120)
        n.wait_running("a", 2)
        self.assertEqual({t["NetworksAttachments"][0]["Network"]["Spec"]["Name"] for t in n.running("a")}, {"ov4"})
        self.assertEqual([v["Addr"] for v in n.inspect("service", "a")["Endpoint"]["VirtualIPs"]], ["10.0.1.2/24"])
        self.assertEqual(self.resolved(self.container("b"), "a"), [])
        n.ok("service", "update", "--network-add", "ov2", "--update-monitor", "1s", "a", timeout=120)
        wait_until("a is on both", lambda: all(len(t["NetworksAttachments"]) == 2 for t in n.wait_running("a", 2)))
        settings = n.inspect("container", self.container("a"))["NetworkSettings"]["Networks"]
        self.assertEqual(sorted(settings), ["ov2", "ov4"])
        self.assertTrue(all(e["IPAddress"] for e in settings.values()))
        self.assertEqual(self.resolved(self.container("b"), "a"), sorted(x for x in self.task_addresses("a") if x.startswith("192.168.50.")))

    def test_090_a_full_network_gives_its_tasks_a_reason(self):
        n = self.node
        n.ok("network", "create", "-d", "overlay", "--subnet", "10.99.99.0/29", "tiny")
        n.ok("service", "create", "--detach", "--name", "crowd", "--replicas", "5", "--network", "tiny", *QUICK, *SLEEP)
        n.wait_running("crowd", 4)
        wait_until("the fifth says why", lambda: "no free address in network tiny (10.99.99.0/29)" in n.ok("service", "ps", "--no-trunc", "crowd"))
        self.assertEqual(sorted(t["Status"]["State"] for t in n.tasks("crowd")), ["new"] + ["running"] * 4)
        n.ok("service", "scale", "--detach", "crowd=4")
        n.ok("service", "scale", "--detach", "crowd=3")
        n.wait_running("crowd", 3)
        n.ok("service", "rm", "crowd")
        n.ok("network", "rm", "tiny")

    def test_100_a_restart_of_the_node_keeps_tasks_addresses_and_networks(self):
        n = self.node
        wait_until("what is left is settled", lambda: sorted(self.engine_networks()) == ["ov2", "ov4"])
        before = {t["ID"]: t["NetworksAttachments"][0]["Addresses"] for t in n.running("a")}
        n.stop()
        n.start()
        wait_until("the swarm is back", lambda: n.docker("node", "ls")[0] == 0)
        self.assertEqual({t["ID"]: t["NetworksAttachments"][0]["Addresses"] for t in n.wait_running("a", 2)}, before)
        n.ok("service", "scale", "--detach", "a=3")
        n.wait_running("a", 3)
        self.assertEqual(len(set(self.task_addresses("a"))), 6, "nobody got an address that was taken")
        wait_until("only what tasks use is left", lambda: sorted(self.engine_networks()) == ["ov2", "ov4"], 45)

    def test_110_the_last_task_takes_the_bridge_along(self):
        n = self.node
        n.ok("service", "rm", "a", "b")
        self.no_bridge_is_left()
        n.ok("network", "rm", "ov2", "ov4")
        self.assertEqual(sorted(n.ok("network", "ls", "--format", "{{.Name}}").split()), ["bridge", "host", "ingress", "none"])

    def test_120_services_on_the_hosts_network(self):
        n = self.node
        n.ok("service", "create", "--detach", "--name", "onhost", "--network", "host", *QUICK, *SLEEP)
        n.wait_running("onhost", 1)
        self.assertEqual(n.inspect("container", self.container("onhost"))["HostConfig"]["NetworkMode"], "host")
        self.assertNotIn("VirtualIPs", n.inspect("service", "onhost")["Endpoint"])
        n.ok("service", "rm", "onhost")

    # -- stacks ------------------------------------------------------------------------------------------------
    def compose(self, *changes):
        """The example's compose file; each change is (text, what stands there instead)."""
        folder = f"{self.host.dir}/shop"
        shutil.copytree(SHOP, folder, dirs_exist_ok=True)
        with open(f"{SHOP}/compose.yml", encoding="utf-8") as file:
            text = file.read()
        for before, after in changes:
            self.assertIn(before, text)
            text = text.replace(before, after)
        with open(f"{folder}/compose.yml", "w", encoding="utf-8") as file:
            file.write(text)
        return f"{folder}/compose.yml"

    def deploy(self, *changes, flags=("--detach=true",), resolve="never"):
        return self.node.ok("stack", "deploy", *flags, "--resolve-image", resolve, "-c", self.compose(*changes), "st", timeout=240)

    def versions(self):
        return {s["Spec"]["Name"]: (s["ID"], s["Version"]["Index"]) for s in self.node.api("GET", "/v1.50/services")[1]}

    def running_ids(self):
        return sorted(t["ID"] for t in self.node.tasks(desired="running") if t["Status"]["State"] == "running")

    def running_by_service(self):
        return {s: sorted(t["ID"] for t in self.node.running(f"st_{s}")) for s in SERVICES}

    def settled(self, count):
        wait_until(f"{count} tasks run", lambda: len(self.running_ids()) == count, 120)

    def update_state(self, service):
        return self.node.inspect("service", service).get("UpdateStatus", {}).get("State")

    def test_200_deploy(self):
        n = self.node
        self.assertIn("services:", n.ok("stack", "config", "-c", self.compose()))
        out = self.deploy()
        for line in ["Creating network st_front", "Creating network st_back", "Creating network st_default", "Creating secret st_password",
                     "Creating config st_page", "Creating config st_ask"] + [f"Creating service st_{s}" for s in SERVICES]:
            self.assertIn(line, out)
        self.settled(8)
        rows = dict(row.split(" ", 1) for row in n.ok("stack", "services", "--format", "{{.Name}} {{.Replicas}}", "st").splitlines())
        self.assertEqual({k: v for k, v in rows.items() if k != "st_migrate"},
                         {"st_agent": "1/1", "st_api": "2/2", "st_db": "1/1", "st_edge": "1/1", "st_web": "2/2", "st_worker": "1/1"})
        wait_until("the job is done", lambda: "(1/1 completed)" in n.ok("service", "ls", "--filter", "name=st_migrate", "--format", "{{.Replicas}}"))
        self.assertEqual(n.ok("service", "logs", "--raw", "st_migrate").strip(), "migrated")
        self.assertEqual(n.ok("stack", "ls", "--format", "{{.Name}} {{.Services}}").strip(), "st 7")
        self.assertEqual(len(n.ok("stack", "ps", "-q", "--filter", "desired-state=running", "st").split()), 8)

    def test_210_what_was_deployed_works(self):
        n = self.node
        db, edge, worker = self.container("st_db"), self.container("st_edge"), self.container("st_worker")
        self.assertEqual(self.exec(db, "cat", "/run/secrets/password", "/data/last"), "hunter2" * 2)
        self.assertEqual(self.exec(db, "stat", "-c", "%a %u", "/run/secrets/password").strip(), "400 0")
        self.assertEqual(self.exec(worker, "sh", "-c", "echo $ROLE").strip(), "worker")
        self.assertEqual(n.inspect("container", worker)["HostConfig"]["Ulimits"], [{"Name": "nofile", "Hard": 1024, "Soft": 512}])
        # Names of one network: short, with the stack's prefix, and the alias.
        web_front = sorted(a.split("/")[0] for t in n.running("st_web") for x in t["NetworksAttachments"]
                           for a in x["Addresses"] if x["Network"]["Spec"]["Name"] == "st_front")
        for name in ("web", "st_web", "tasks.web"):
            self.assertEqual(self.resolved(edge, name), web_front, name)
        self.assertEqual(self.resolved(worker, "backend"), self.task_addresses("st_api"))
        self.assertEqual(self.resolved(self.container("st_web"), "api"), [], "it is on another network")
        self.assertEqual(self.fetch(edge, "web", "/"), "hello from a config\n")
        self.assertEqual(self.fetch(worker, "backend", ":8080/"), "made by swarm-node\n")
        self.assertEqual(self.exec(worker, "cat", "/sys/class/net/eth0/mtu").strip(), "1400")
        self.assertEqual(self.exec(self.container("st_web", 2), "hostname").strip(), "web-2")
        self.assertTrue(self.engine_networks()["st_back"]["Internal"])
        self.assertIn("st_data", n.ok("volume", "ls", "-q").split())
        self.assertEqual(n.inspect("service", "st_web")["Spec"]["Labels"]["com.docker.stack.namespace"], "st")
        agent = n.inspect("container", self.container("st_agent"))
        self.assertEqual((agent["HostConfig"]["ReadonlyRootfs"], agent["HostConfig"]["CapDrop"], agent["Config"]["User"]), (True, ["ALL"], "1000:1000"))

    def test_215_the_published_port_leads_through_the_edge_to_its_neighbours(self):
        self.assertEqual(self.page("/"), "hello from a config\n")
        self.assertEqual(self.page("/cgi-bin/ask"), "hello from a config\nmade by swarm-node\n")

    def page(self, path):
        code, out, err = run(["nsenter", f"--net=/run/netns/{self.host.name}", "curl", "-sS", "-m", "10", f"http://{ADDRESS}:8080{path}"])
        return out if code == 0 else err

    def test_220_deploying_the_same_again_changes_nothing(self):
        before, ids = self.versions(), self.running_ids()
        self.assertNotIn("Creating", self.deploy())
        time.sleep(3)
        self.assertEqual(self.running_ids(), ids, "no task was replaced")
        self.assertEqual({k: v[0] for k, v in self.versions().items()}, {k: v[0] for k, v in before.items()})

    def test_230_resolving_images_without_a_registry_goes_on(self):
        n = self.node
        ids = self.running_ids()
        code, out, err = n.docker("stack", "deploy", "--detach=true", "--resolve-image", "always", "-c", self.compose(), "st", timeout=300)
        self.assertEqual(code, 0, out + err)
        self.assertIn("could not be accessed on a registry to record", out + err)
        self.settled(8)
        self.assertEqual(self.running_ids(), ids)

    def test_240_a_change_replaces_only_what_it_concerns_and_rolls_back(self):
        n = self.node
        before = self.running_by_service()
        self.deploy(('VERSION: "1"', 'VERSION: "2"'), flags=("--detach=false",))
        self.settled(8)
        after = self.running_by_service()
        self.assertEqual([s for s in SERVICES if before[s] != after[s]], ["api"])
        version = ["sh", "-c", "echo $VERSION"]
        self.assertEqual({self.exec(self.container("st_api", slot), *version).strip() for slot in (1, 2)}, {"2"})
        n.ok("service", "rollback", "st_api", timeout=120)
        wait_until("it is rolled back", lambda: self.update_state("st_api") == "rollback_completed")
        self.settled(8)
        self.assertEqual({self.exec(self.container("st_api", slot), *version).strip() for slot in (1, 2)}, {"1"})

    def test_245_what_does_not_work_is_rolled_back_by_itself(self):
        before = self.running_by_service()
        host = 'hostname: "web-{{.Task.Slot}}"'
        self.deploy((host, host + '\n    entrypoint: ["false"]'))
        wait_until("it is rolled back", lambda: self.update_state("st_web") == "rollback_completed", 60)
        self.settled(8)
        self.assertEqual(before, self.running_by_service(), "start-first: what is healthy goes only when the new one is")

    def test_246_scaling_lasts_until_the_next_deployment(self):
        n = self.node
        n.ok("service", "scale", "st_web=4", timeout=120)
        self.settled(10)
        self.deploy()
        self.settled(8)
        self.assertEqual(n.inspect("service", "st_web")["Spec"]["Mode"], {"Replicated": {"Replicas": 2}})

    def test_248_mistakes_are_refused_and_half_apply_nothing(self):
        n = self.node
        before = self.running_by_service()
        for changes, text in ((("order: stop-first", "order: sideways"), "order"), (("mode: 0400", "mode: x"), "mode"),
                              (('"node.platform.os == linux"', '"nonsense"'), "constraint expected one operator from ==, !="),
                              (("source: ask", "source: nosuch"), "undefined config")):
            code, out, err = n.docker("stack", "deploy", "--detach=true", "--resolve-image", "never", "-c", self.compose(changes), "st", timeout=120)
            self.assertNotEqual(code, 0, changes)
            self.assertIn(text, out + err)
        file = self.compose()
        with open(os.path.dirname(file) + "/files/password", "w", encoding="utf-8") as secret:
            secret.write("another")
        self.assertIn("only updates to Labels are allowed", n.refused("stack", "deploy", "--detach=true", "--resolve-image", "never", "-c", file, "st", timeout=120))
        self.deploy()
        self.settled(8)
        self.assertEqual(before, self.running_by_service())

    def test_250_prune_removes_services_that_are_no_longer_in_the_file(self):
        n = self.node
        with open(self.compose(), encoding="utf-8") as file:
            text = file.read()
        agent = text[text.index("  agent:"):text.index("  migrate:")]
        self.deploy((agent, ""), flags=("--detach=true", "--prune"))
        self.assertNotIn("st_agent", n.ok("service", "ls", "--format", "{{.Name}}").split())
        wait_until("its tasks are gone", lambda: not n.containers("st_agent", True), 60)

    def test_260_a_killed_container_comes_back_under_the_same_name(self):
        n = self.node
        n.wait_running("st_api", 2)
        n.ok("kill", self.container("st_api", 1))
        wait_until("its successor answers to the name", lambda: len(n.running("st_api")) == 2
                   and self.resolved(self.container("st_worker"), "backend") == self.task_addresses("st_api"), 60)

    def test_270_remove(self):
        n = self.node
        out = n.ok("stack", "rm", "st", timeout=120)
        for thing in ("service st_web", "secret st_password", "config st_page", "network st_front", "network st_back", "network st_default"):
            self.assertIn(f"Removing {thing}", out)
        wait_until("no container is left", lambda: not n.ok("ps", "-aq").split(), 60)
        self.no_bridge_is_left()
        self.assertEqual(n.ok("stack", "ls", "--format", "{{.Name}}").strip(), "")
        self.assertEqual(sorted(n.ok("network", "ls", "--format", "{{.Name}}").split()), ["bridge", "host", "ingress", "none"])

    def test_280_a_stack_can_follow_itself_at_once(self):
        self.deploy()
        self.settled(8)
        self.node.ok("stack", "rm", "st", timeout=120)
        self.deploy()
        self.settled(8)
        self.assertEqual(self.fetch(self.container("st_edge"), "web", "/"), "hello from a config\n")

    def test_290_leaving_takes_everything_along(self):
        n = self.node
        n.ok("swarm", "leave", "--force", timeout=120)
        self.no_bridge_is_left()


if __name__ == "__main__":
    main(int(os.environ.get("SWARM_TEST_SECONDS", "840")))
