#!/usr/bin/env python3
"""Images from a registry that wants a password: digest pinning, stored credentials and their absence, with a real engine."""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import HERE, Failure, Scenario, call, main, run, wait_until  # noqa: E402

PORT = 5000
IMAGE = f"127.0.0.1:{PORT}/shop/app"
USER, PASSWORD = "hanna", "a pass-word/for:the+registry"
QUICK = ["--stop-grace-period", "1s", "--restart-delay", "500ms", "--update-monitor", "1s"]
SLEEP = ["sleep", "100000"]


class Registry(Scenario):
    name = "registry"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root = f"{cls.host.dir}/image"
        cls.host.engine_sh("image-root", cls.root)
        cls.asked = f"{cls.host.dir}/registry.log"
        with open(cls.asked, "wb") as log:
            cls.registry = subprocess.Popen(  # on the loopback that the engine has: its own namespace's
                ["nsenter", f"--net=/run/netns/{cls.host.name}", sys.executable, "-B", f"{HERE}/registry.py", str(PORT), USER, PASSWORD, cls.root, "shop/app", "1", "2", "3"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until("the registry listens", lambda: run(["nsenter", f"--net=/run/netns/{cls.host.name}", "curl", "-s", f"http://127.0.0.1:{PORT}/v2/"])[0] == 0)
        cls.node.ok("swarm", "init", *cls.advertise)

    @classmethod
    def tearDownClass(cls):
        cls.registry.kill()
        cls.registry.wait()
        super().tearDownClass()

    def image_of(self, service):
        return self.node.inspect("service", service)["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]

    def tag_inside(self, service):
        task = self.node.wait_running(service, 1)[0]
        return self.node.ok("exec", task["Status"]["ContainerStatus"]["ContainerID"], "cat", "/etc/tag")

    def says(self, service, text):
        try:
            wait_until("a task says why", lambda: any(text in t["Status"].get("Err", "") for t in self.node.tasks(service)), 20)
        except Failure:
            self.fail(f"{text} is not in {[t['Status'] for t in self.node.tasks(service)]}")

    def forget_images(self):
        """So that the next task must ask the registry."""
        wait_until("no container is left", lambda: not self.node.ok("ps", "-aq"), 30)
        ids = set(self.host.engine_call("images", "-q", IMAGE)[1].split())
        for image in ids:
            self.host.engine_call("rmi", "-f", image)
        self.assertEqual(self.host.engine_call("images", "-q", IMAGE)[1], "")

    def lines(self, status, user):
        with open(self.asked, encoding="utf-8") as log:
            return [line for line in log if line.startswith(f"{status} {user} ")]

    # -- without a password -------------------------------------------------------------------------------------------
    def test_100_without_a_password_it_is_not_pinned_and_the_task_says_why(self):
        n = self.node
        code, out, err = n.docker("service", "create", "--detach", "--name", "locked", "--restart-max-attempts", "1", *QUICK, f"{IMAGE}:1", *SLEEP)
        self.assertEqual(code, 0, err)
        self.assertIn("could not be accessed on a registry to record", out + err)
        self.assertEqual(self.image_of("locked"), f"{IMAGE}:1")
        self.says("locked", "no basic auth credentials")
        refused = {t["Status"]["State"] for t in n.tasks("locked") if "no basic auth credentials" in t["Status"].get("Err", "")}
        self.assertEqual(refused, {"rejected"})  # those that wait for their turn have a reason of another kind
        self.assertIn("no basic auth credentials", n.ok("service", "ps", "--no-trunc", "--format", "{{.Error}}", "locked"))
        n.ok("service", "rm", "locked")

    def test_110_login_with_a_wrong_password_is_refused(self):
        refused = self.node.refused("login", "-u", USER, "-p", "wrong", f"127.0.0.1:{PORT}")
        self.assertIn("401 Unauthorized", refused)

    def test_120_login(self):
        self.assertIn("Login Succeeded", self.node.ok("login", "-u", USER, "-p", PASSWORD, f"127.0.0.1:{PORT}"))

    # -- with one -----------------------------------------------------------------------------------------------------
    def test_200_create_is_pinned_by_digest_and_runs(self):
        n = self.node
        n.ok("service", "create", "--name", "web", "--with-registry-auth", *QUICK, f"{IMAGE}:1", *SLEEP, timeout=60)
        self.assertRegex(self.image_of("web"), re.escape(f"{IMAGE}:1@sha256:") + "[0-9a-f]{64}$")
        self.assertEqual(self.tag_inside("web"), "1")
        self.assertTrue(self.lines(200, USER))
        container = n.inspect("container", n.containers("web")[0])
        self.assertEqual(container["Config"]["Image"], self.image_of("web"))
        self.assertEqual(n.ok("service", "ls", "--filter", "name=web", "--format", "{{.Image}}").strip(), f"{IMAGE}:1")

    def test_210_the_platforms_of_the_image_are_in_the_spec(self):
        platforms = self.node.inspect("service", "web")["Spec"]["TaskTemplate"]["Placement"]["Platforms"]
        self.assertEqual([p["OS"] for p in platforms], ["linux"])

    def test_220_the_password_is_nowhere_to_be_read(self):
        n = self.node
        shown = n.ok("service", "inspect", "web") + json.dumps(n.tasks("web")) + n.ok("inspect", n.containers("web")[0])
        with open(n.log, encoding="utf-8", errors="replace") as log:
            shown += log.read()
        for secret in (PASSWORD, "RegistryAuth", "PullOptions", "registry_auth"):
            self.assertNotIn(secret, shown)

    def test_230_an_update_to_the_next_tag_is_pinned(self):
        n = self.node
        before = self.image_of("web")
        n.ok("service", "update", "--with-registry-auth", "--image", f"{IMAGE}:2", "web", timeout=60)
        self.assertRegex(self.image_of("web"), re.escape(f"{IMAGE}:2@sha256:") + "[0-9a-f]{64}$")
        self.assertNotEqual(before.split("@")[1], self.image_of("web").split("@")[1])
        self.assertEqual(self.tag_inside("web"), "2")

    def test_240_rollback_goes_back_to_the_digest(self):
        self.node.ok("service", "rollback", "web", timeout=60)
        self.assertRegex(self.image_of("web"), re.escape(f"{IMAGE}:1@sha256:"))
        self.assertEqual(self.tag_inside("web"), "1")

    def test_245_without_the_flag_the_cli_cannot_pin_but_nodes_have_the_stored_password(self):
        n = self.node
        n.ok("service", "update", "--image", f"{IMAGE}:3", "web", timeout=60)
        self.assertEqual(self.image_of("web"), f"{IMAGE}:3")
        self.assertEqual(self.tag_inside("web"), "3")
        n.ok("service", "update", "--with-registry-auth", "--image", f"{IMAGE}:1", "web", timeout=60)

    def test_250_the_stored_password_is_used_when_a_node_needs_the_image_again(self):
        n = self.node
        n.ok("service", "scale", "--detach", "web=0")
        self.forget_images()
        n.ok("logout", f"127.0.0.1:{PORT}")
        before = len(self.lines(200, USER))
        n.ok("service", "scale", "web=1", timeout=60)
        self.assertEqual(self.tag_inside("web"), "1")
        self.assertGreater(len(self.lines(200, USER)), before)
        n.ok("service", "rm", "web")

    def test_260_resolve_image_never_leaves_the_tag_as_it_is(self):
        n = self.node
        self.test_120_login()
        n.ok("service", "create", "--name", "tagged", "--no-resolve-image", "--with-registry-auth", *QUICK, f"{IMAGE}:2", *SLEEP, timeout=60)
        self.assertEqual(self.image_of("tagged"), f"{IMAGE}:2")
        self.assertEqual(self.tag_inside("tagged"), "2")
        n.ok("service", "rm", "tagged")

    def test_270_a_tag_that_is_not_there(self):
        n = self.node
        code, out, err = n.docker("service", "create", "--detach", "--name", "none", "--with-registry-auth", "--restart-condition", "none", *QUICK, f"{IMAGE}:9", *SLEEP)
        self.assertEqual(code, 0, out + err)
        self.says("none", "manifest unknown")
        n.ok("service", "rm", "none")

    def test_280_the_distribution_of_an_image_is_the_engines_answer(self):
        status, _, answer = call(self.node.socket, "GET", f"/v1.50/distribution/{IMAGE}:1/json")
        self.assertEqual((status, answer), call(self.host.engine_socket, "GET", f"/distribution/{IMAGE}:1/json")[::2])
        self.assertIn("no basic auth credentials", answer["message"])

    # -- stacks ---------------------------------------------------------------------------------------------------------
    def deploy(self, *flags, tag="1"):
        path = f"{self.host.dir}/stack.yaml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'services:\n  app:\n    image: {IMAGE}:{tag}\n    command: sleep 100000\n    stop_grace_period: 1s\n'
                       '    networks: [host]\n    secrets: [mine]\n    configs: [mine]\nnetworks:\n  host: {external: true, name: host}\n'
                       'secrets:\n  mine: {external: true, name: outer}\nconfigs:\n  mine: {external: true, name: outer}\n')
        return self.node.ok("stack", "deploy", "--detach=true", *flags, "-c", path, "st")

    def test_300_stack_deploy_with_registry_auth(self):
        n = self.node
        self.forget_images()
        for kind in ("secret", "config"):  # the stack's objects are all somebody else's
            n.ok(kind, "create", "outer", f"{self.root}/www/index.html")
        self.deploy("--with-registry-auth")
        self.assertEqual(self.tag_inside("st_app"), "1")
        self.assertRegex(self.image_of("st_app"), re.escape(f"{IMAGE}:1@sha256:"))
        self.assertNotIn(PASSWORD, n.ok("service", "inspect", "st_app"))
        container = n.containers("st_app")[0]
        self.assertEqual([n.ok("exec", container, "cat", path) for path in ("/run/secrets/mine", "/mine")], ["made by swarm-node\n"] * 2)

    def test_310_and_again_with_resolve_image_never(self):
        self.deploy("--with-registry-auth", "--resolve-image", "never", tag="2")
        wait_until("the image is the tag", lambda: self.image_of("st_app") == f"{IMAGE}:2")
        wait_until("the new one runs", lambda: self.tag_inside("st_app") == "2", 30)
        self.node.ok("stack", "rm", "st")
        wait_until("no task is left", lambda: not self.node.tasks(), 90)
        for kind in ("secret", "config"):
            self.assertEqual(self.node.ok(kind, "rm", "outer").strip(), "outer")  # a stack takes nobody else's along


if __name__ == "__main__":
    main(int(os.environ.get("SWARM_TEST_SECONDS", "120")))
