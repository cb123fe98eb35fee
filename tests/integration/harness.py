"""Real processes for the acceptance tests: a network namespace, a Docker Engine in it, swarm-node, the docker CLI."""
import atexit
import glob
import http.client
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
import zlib
from urllib.parse import quote

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.environ.get("SWARM_BIN", os.path.join(HERE, "../../build/release/bin"))
ADDRESS = "10.99.7.1"
SKIPPED = 77


class Failure(AssertionError):
    pass


def wait_until(what, condition, seconds=30.0, every=0.1):
    """Calls `condition` until it gives something true, which is returned; its last exception is part of the failure."""
    end, last = time.monotonic() + seconds, None
    while True:
        try:
            value = condition()
            if value:
                return value
        except (Failure, OSError, ValueError, KeyError, IndexError, http.client.HTTPException) as error:
            last = error
        if time.monotonic() > end:
            raise Failure(f"not within {seconds:g} s: {what}" + (f" ({last!r})" if last else ""))
        time.sleep(every)


def run(arguments, timeout=60, **options):
    """Returns (exit code, stdout, stderr); a command that hangs is a failure."""
    try:
        done = subprocess.run(arguments, stdin=options.pop("stdin", subprocess.DEVNULL), capture_output=True, timeout=timeout, **options)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"hangs for {timeout} s: {' '.join(arguments)}: {error.stdout!r} {error.stderr!r}") from None
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def call(path, method, target, body=None, timeout=30, headers=None):
    """One request on a unix socket: (status, headers, parsed JSON or bytes)."""
    connection = UnixConnection(path, timeout)
    try:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, target, data, {"Content-Type": "application/json", **(headers or {})} if data is not None else headers or {})
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was sent: the answer is there all the same
        response = connection.getresponse()
        raw = response.read()
        try:
            parsed = json.loads(raw)
        except ValueError:
            parsed = raw
        return response.status, dict(response.getheaders()), parsed
    finally:
        connection.close()


class Host:
    """A host of this test's own: everything that it starts is named after it, so that what is left can be found.

    `switch` (cluster.py) connects it to other hosts. `home` is the folder of a lab: its hosts outlive the program that made
    them, and `found=True` looks at one that is there already."""

    def __init__(self, name, switch=None, home=None, found=False):
        self.name = f"{own_prefix(home)}-{name}"
        self.home = home
        self.dir = f"{home}/{name}" if home else f"/tmp/{self.name}"
        self.engine_dir = f"{self.dir}/engine"
        self.node_process = None
        self.has_engine = False
        self.task_ids = set()  # of tasks that clean() ended
        self.has_engine = False
        if found:
            return
        self.clean()  # what a run that was killed left behind
        self.cgroups_before = task_cgroups()
        os.makedirs(self.dir)
        if not home:
            atexit.register(self.clean)
        self.engine_sh("netns-add", self.name)
        if switch:
            switch.connect(self)
            return
        for arguments in (["link", "add", "eth0", "type", "veth", "peer", "name", "wire"], ["link", "set", "wire", "up"], ["addr", "add", f"{ADDRESS}/24", "dev", "eth0"], ["link", "set", "eth0", "up"]):
            subprocess.run(["ip", "-n", self.name, *arguments], check=True)

    def engine_sh(self, *arguments, check=True):
        code, out, err = run([f"{HERE}/engine.sh", *arguments], 180)
        if check and code != 0:
            raise Failure(f"engine.sh {' '.join(arguments)}: {out}{err}")
        return code, out + err

    def start_engine(self, *flags):
        self.has_engine = True
        # The node's secrets: on tmpfs before the engine starts, which has a mount namespace of its own.
        os.makedirs(f"{self.dir}/files", exist_ok=True)
        if not os.path.ismount(f"{self.dir}/files"):
            subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid,nodev,noexec,mode=0700", "tmpfs", f"{self.dir}/files"], check=True)
        self.engine_sh("start", self.name, self.engine_dir, self.name, *flags)
        self.engine_sh("image", self.engine_dir)

    def engine_call(self, *arguments, timeout=10):
        """The docker CLI straight at the engine: (exit code, stdout, stderr)."""
        return run(["timeout", str(timeout), "docker", "-H", f"unix://{self.engine_socket}", *arguments], timeout + 5)

    @property
    def engine_socket(self):
        return f"{self.engine_dir}/docker.sock"

    def clean(self):
        if self.node_process and self.node_process.poll() is None:
            self.node_process.kill()
            self.node_process.wait()
        if not os.path.exists(self.dir) and not os.path.exists(f"/run/netns/{self.name}"):
            return
        end_stray_nodes(self.dir)
        self.engine_sh("stop", self.name, self.engine_dir, check=False)
        for mount in sorted((line.split()[1] for line in mounts() if f" {self.dir}/" in line), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        self.task_ids = set(re.findall(r"/tasks/([0-9a-z]{25})\b", "\n".join(command for _, command in processes_naming(self.dir))))
        self.task_ids |= {os.path.basename(path) for path in glob.glob(f"{self.dir}/node/**/tasks/*", recursive=True)}
        end_stray_tasks(self.dir)
        self.engine_sh("netns-del", self.name, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
        if self.home:  # a lab is taken down with its tasks running; a test must have ended them
            remove_cgroups(self.task_ids)

    def leftovers(self):
        """Text about everything that is still there after clean(); empty when nothing is."""
        code, text = self.engine_sh("check", self.name, self.engine_dir, self.name, check=False)
        left = text if code else ""
        left += "".join(f"process {pid} {command}\n" for pid, command in processes_naming(self.dir))
        left += "".join(line for line in mounts() if self.dir in line)
        if not self.has_engine:  # with one, tasks are its containers; these are somebody else's
            left += "".join(f"cgroup {path}\n" for path in sorted(self.stray_cgroups()))
        return left

    def stray_cgroups(self):
        if self.has_engine:  # its tasks are containers: these are somebody else's
            return set()
        if self.home:
            return {path for path in task_cgroups() if os.path.basename(path.rstrip("/")) in self.task_ids}
        return task_cgroups() - self.cgroups_before


def own_prefix(home=None):
    """What the names of namespaces and cgroups begin with: one for each checkout's tests, one for each lab."""
    return f"swlab-{zlib.crc32(home.encode()):08x}" if home else f"swit-{zlib.crc32(f'{HERE} {os.path.abspath(BIN)}'.encode()):08x}"


def mounts():
    with open("/proc/mounts", encoding="utf-8") as table:
        return table.readlines()


def task_cgroups():
    """The process driver's cgroups, one per task and controller."""
    return set(glob.glob("/sys/fs/cgroup/swarm-node/*/")) | set(glob.glob("/sys/fs/cgroup/*/swarm-node/*/"))


def remove_cgroups(task_ids):
    def gone():
        for path in [p for p in task_cgroups() if os.path.basename(p.rstrip("/")) in task_ids]:
            os.rmdir(path)
        return True
    if task_ids:
        wait_until("the control groups of the tasks are empty", gone, 5)


def processes_naming(text):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                command = file.read().replace(b"\0", b" ").decode("utf-8", "replace")
            with open(f"/proc/{pid}/environ", "rb") as file:
                environment = file.read().decode("utf-8", "replace")
        except OSError:
            continue
        if int(pid) != os.getpid() and text in command + environment:
            found.append((int(pid), command))
    return found


def process_state(pid, name):
    """The state letter of that process (T: stopped, Z: ended), "" when there is none of that name."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            before, after = file.read().rsplit(") ", 1)
    except OSError:
        return ""
    return after[0] if before.split(" (", 1)[1] == name[:15] else ""


def end_stray_nodes(directory):
    for pid, command in processes_naming(directory):
        if command.split(" ")[0].endswith("/swarm-node"):
            os.kill(pid, signal.SIGKILL)


def end_stray_tasks(directory):
    """Tasks of the process driver survive their daemon, as they should; a test that is over ends them."""
    for pid, command in processes_naming(directory):
        if "dockerd" not in command and "containerd" not in command:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


class Node:
    """swarm-node in a host's network namespace, and the docker CLI that talks to it."""

    def __init__(self, host, driver, engine=None, **flags):
        self.host, self.driver, self.engine = host, driver, engine
        self.socket = f"{host.dir}/docker.sock"
        self.control = f"{host.dir}/control.sock"
        self.data_root = f"{host.dir}/node"
        self.log = f"{host.dir}/node.log"
        self.pidfile = f"{host.dir}/node.pid"
        self.flags = flags
        self.process = None

    @property
    def pid(self):
        """Of the daemon, whoever started it; None when it does not run."""
        if self.process:
            return self.process.pid if self.process.poll() is None else None
        try:
            with open(self.pidfile, encoding="utf-8") as file:
                pid = int(file.read())
        except (OSError, ValueError):
            return None
        return pid if process_state(pid, "swarm-node") not in ("", "Z") else None

    def command(self):
        flags = {"host": f"unix://{self.socket}", "control-socket": self.control, "data-root": self.data_root, "pidfile": self.pidfile,
                 "driver": self.driver, "advertise-addr": ADDRESS, "config": "/dev/null", **self.flags}
        if self.engine:
            flags["engine"] = f"unix://{self.engine}"
        return [f"{BIN}/swarm-node"] + [f"--{key}={value}" for key, value in flags.items()]

    def start(self, seconds=20):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.host.name}", *self.command()],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.host.node_process = self.process

        def answers():
            if self.process.poll() is not None:
                raise RuntimeError(f"swarm-node ended with {self.process.returncode}: {self.log_tail()}")
            return call(self.socket, "GET", "/_ping", timeout=5)[0] == 200
        wait_until("swarm-node answers /_ping", answers, seconds)

    def stop(self, number=signal.SIGTERM, seconds=15):
        """Returns the exit code (negative: the signal), or None when another program had started it."""
        if not self.process:
            os.kill(self.pid, number)
            wait_until("swarm-node ends", lambda: not self.pid, seconds)
            return None
        self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"swarm-node runs on {seconds} s after signal {number}: {self.log_tail()}") from None

    def log_tail(self, lines=25):
        with open(self.log, "rb") as file:
            return "\n" + "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])

    def api(self, method, target, body=None, timeout=30):
        status, _, parsed = call(self.socket, method, target, body, timeout)
        return status, parsed

    def docker(self, *arguments, timeout=60, env=None, stdin=subprocess.DEVNULL, **options):
        environment = {**os.environ, "DOCKER_HOST": f"unix://{self.socket}", "DOCKER_CONFIG": f"{self.host.dir}/cli", "DOCKER_BUILDKIT": "0", **(env or {})}
        for name in ("DOCKER_CONTEXT", "DOCKER_API_VERSION"):
            if name not in (env or {}):
                environment.pop(name, None)
        return run(["docker", *arguments], timeout, env=environment, stdin=stdin, **options)

    def ok(self, *arguments, **options):
        """stdout of a docker command that must succeed."""
        code, out, err = self.docker(*arguments, **options)
        if code != 0:
            raise Failure(f"docker {' '.join(arguments)} -> {code}: {out}{err}")
        return out

    def refused(self, *arguments, **options):
        """stderr of a docker command that must fail."""
        code, out, err = self.docker(*arguments, **options)
        if code == 0:
            raise Failure(f"docker {' '.join(arguments)} was accepted: {out}{err}")
        return err

    def inspect(self, kind, name):
        return json.loads(self.ok(kind, "inspect", name))[0]

    def tasks(self, service=None, desired=None):
        filters = {key: [value] for key, value in (("service", service), ("desired-state", desired)) if value}
        status, listed = self.api("GET", "/v1.50/tasks?filters=" + quote(json.dumps(filters)))
        if status != 200:
            raise Failure(f"GET /tasks -> {status} {listed}")
        return listed

    def running(self, service):
        return [t for t in self.tasks(service, "running") if t["Status"]["State"] == "running"]

    def wait_running(self, service, count, seconds=60):
        return wait_until(f"{count} tasks of {service} run", lambda: len(found := self.running(service)) == count and found, seconds)

    def containers(self, service, everything=False):
        """Container ids of a service as the engine lists them."""
        flags = ["-a"] if everything else []
        return self.ok("ps", "-q", "--no-trunc", *flags, "--filter", f"label=com.docker.swarm.service.name={service}").split()

    def terminal(self, *arguments, type_in=b"", until=b"", seconds=30):
        """Runs a docker command on a terminal, types, and returns (exit code, what was shown)."""
        environment = {**os.environ, "DOCKER_HOST": f"unix://{self.socket}", "DOCKER_CONFIG": f"{self.host.dir}/cli"}
        pid, fd = pty.fork()
        if pid == 0:
            os.execvpe("docker", ["docker", *arguments], environment)
        shown, end, typed = b"", time.monotonic() + seconds, False
        try:
            while time.monotonic() < end:
                if select.select([fd], [], [], 0.1)[0]:
                    try:
                        block = os.read(fd, 4096)
                    except OSError:  # the other side is closed
                        break
                    if not block:
                        break
                    shown += block
                if not typed and until in shown and shown:
                    os.write(fd, type_in)
                    typed = True
            else:
                os.kill(pid, signal.SIGKILL)
                raise Failure(f"hangs for {seconds} s: docker {' '.join(arguments)}: {shown!r}")
        finally:
            os.close(fd)
            _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), shown.decode("utf-8", "replace")


class EngineProxy:
    """A socket in front of the engine that can be made to hang, to refuse and to talk garbage."""

    def __init__(self, path, target):
        self.path, self.target, self.mode = path, target, "pass"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(128)
        self.open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, mode):
        """pass | hang | garbage | refuse; open connections are cut, as when an engine goes away."""
        self.mode = mode
        if mode != "hang":
            for one in list(self.open):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        self.open.add(client)
        try:
            if self.mode == "garbage":
                client.recv(65536)
                client.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n{]" * 3)
            elif self.mode == "pass":
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as engine:
                    engine.connect(self.target)
                    self.open.add(engine)
                    back = threading.Thread(target=self._pump, args=(engine, client), daemon=True)
                    back.start()
                    self._pump(client, engine)
                    back.join()
                    self.open.discard(engine)
            elif self.mode == "hang":
                while self.mode == "hang":
                    time.sleep(0.1)
        except OSError:
            pass
        finally:
            self.open.discard(client)
            client.close()

    def _pump(self, source, sink):
        try:
            while block := source.recv(65536):
                while self.mode == "hang":
                    time.sleep(0.1)
                sink.sendall(block)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Scenario(unittest.TestCase):
    """One host for all tests of a class, which run in the order of their names. A failure shows the node's log."""
    name = ""
    driver = "docker"
    engine_flags = ()
    advertise = ("--advertise-addr", ADDRESS)

    @classmethod
    def setUpClass(cls):
        cls.host = Host(cls.name)
        if cls.driver == "docker":
            cls.host.start_engine(*cls.engine_flags)
        cls.node = cls.make_node()
        cls.node.start()

    @classmethod
    def make_node(cls):
        return Node(cls.host, cls.driver, cls.host.engine_socket if cls.driver == "docker" else None)

    @classmethod
    def tearDownClass(cls):
        if cls.node.process and cls.node.process.poll() is None:
            cls.node.docker("swarm", "leave", "--force")
            cls.node.stop()
        cls.host.clean()
        left = cls.host.leftovers()
        if left:
            raise Failure(f"left behind:\n{left}")

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before and os.path.exists(self.node.log):
            print(f"--- {self.id()}: end of the node's log{self.node.log_tail()}\n---", file=sys.stderr, flush=True)


def main(seconds, engine=True):
    """Runs the calling file's tests; ends in time to clean up before ctest's own limit."""
    if os.geteuid() != 0:
        sys.exit("these tests start network namespaces, cgroups and engines: run them as root")
    if engine and os.environ.get("SWARM_SKIP_DOCKER") == "1":
        print("skipped: SWARM_SKIP_DOCKER=1")
        sys.exit(SKIPPED)

    def too_late(*_):
        signal.alarm(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not end the cleaning up
        raise KeyboardInterrupt(f"not ready in {seconds} s")
    signal.signal(signal.SIGALRM, too_late)
    signal.signal(signal.SIGTERM, too_late)
    signal.alarm(seconds)
    unittest.main(module="__main__", verbosity=2, failfast=False)
