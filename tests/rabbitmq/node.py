"""A private RabbitMQ for tests and benchmarks: on loopback, on free ports, all its files in one temporary folder."""

from __future__ import annotations

import os
import random
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rabbitmq.broker import RabbitMQ, SharedBroker, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

__all__ = ["PrivateNode", "lacking", "running"]

_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # not the wrapper in /usr/sbin, which insists on user rabbitmq
_PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HOST = "127.0.0.1"
_NODE = "pulsekit@localhost"
_ON_LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"
_BOOT_SECONDS = 55.0  # shorter than the timeout of a test, or the node's own words would never be shown
_END_SECONDS = 30.0

# Outlives whoever started the node, however that ended: once the pipe closes, the processes and the folder go.
_JANITOR = """
cat >/dev/null
kill -s KILL -- "-$1"
for pause in 0 0.1 0.2 0.5 1 2; do sleep "$pause"; rm -rf -- "$2" && break; done
"""


class PrivateNode(RabbitMQ):
    """A RabbitMQ of one's own, up within its `with` block.

    When the block ends, for whatever reason, nothing stays behind: no process, no file, no port. That holds as well
    when the process that started it is killed.
    """

    def __init__(self) -> None:
        port, self._dist_port, self._epmd_port = _free_ports(3)
        super().__init__(_HOST, port, "guest", "guest")
        self._owned = ExitStack()
        self._node: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._owned:
            self.folder = Path(tempfile.mkdtemp(prefix="pulsekit-rabbitmq-"))
            self._owned.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self._log = self.folder / "node.log"
            self._furnish()
            # Process groups of their own: Ctrl-C at a terminal is for the tests alone.
            self._epmd = self._spawn("epmd", "-port", str(self._epmd_port), "-address", _HOST, group=0)
            self._owned.callback(self._epmd.wait)
            self._owned.callback(self._epmd.kill)
            janitor = subprocess.Popen(
                ("/bin/sh", "-c", _JANITOR, "janitor", str(self._epmd.pid), self.folder),
                stdin=subprocess.PIPE,
                process_group=0,
            )
            self._owned.callback(janitor.communicate)
            self._owned.callback(self.kill)
            # Before the node looks for it: where Erlang finds no epmd, it leaves a daemon behind.
            self._wait_until(_listens, self._epmd_port, self._epmd)
            self.start()
            self.prepare()
            self._owned = self._owned.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._owned.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes of the node that are there: epmd, and unless it is down the node itself."""
        return (self._epmd.pid, *((self._node.pid,) if self._node else ()))

    @property
    def ctl_command(self) -> tuple[str, ...]:
        """The command that is this node's `rabbitmqctl`, from wherever it is run."""
        settings = (f"{name}={value}" for name, value in self._environment().items())
        return ("/usr/bin/env", "-i", *settings, str(_SERVER.with_name("rabbitmqctl")))

    def launch(self) -> None:
        """Start the node and return at once."""
        if self._node:
            raise RuntimeError("the node is up: stop or kill it first")
        self._node = self._spawn(str(_SERVER), "-noinput", group=self._epmd.pid)

    def start(self) -> None:
        """Start the node, again after `stop` or `kill`, on the same port and with what it had kept on disk.

        Raises:
            RuntimeError: it did not come up; with the end of its log.
        """
        self.launch()
        assert self._node
        self._wait_until(_speaks_amqp, self.port, self._node)

    def stop(self) -> None:
        """Ask the node to shut down, as an administrator would, and wait until it has."""
        if self._node:
            self._node.terminate()
            self._reap()

    def kill(self) -> None:
        """End the node without a warning, as a power cut would."""
        if self._node:
            self._node.kill()
            self._reap()

    def restart(self) -> None:
        """Stop the node and start it again."""
        self.stop()
        self.start()

    def eval(self, *expressions: str) -> str:
        # A hundred times faster than rabbitmqctl, which starts a virtual machine of its own.
        erlang = ", ".join(expressions)
        answer = run(("erl_call", "-n", _NODE, "-e"), env=self._environment(), given=f"{erlang}.\n")
        if not answer.startswith("{ok, "):
            raise RuntimeError(f"{answer}\nto: {erlang}")
        return answer.removeprefix("{ok, ").removesuffix("}")

    def ctl(self, *args: str) -> str:
        return run((*self.ctl_command, "-q", *args))

    def _furnish(self) -> None:
        cookie = self.folder / ".erlang.cookie"
        cookie.touch(mode=0o600)
        cookie.write_text(secrets.token_hex(16))
        (self.folder / "rabbitmq.conf").write_text("disk_free_limit.absolute = 1MB\n")
        (self.folder / "enabled_plugins").write_text("[].\n")

    def _environment(self) -> dict[str, str]:
        """Build the whole environment of the node and its tools: nothing of the machine's configuration counts."""
        return {
            "PATH": _PATH,
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_ADDRESS": _HOST,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_ALLOW_INPUT": "1",  # the shell script then becomes the node, so that the node can be killed
            "RABBITMQ_NODENAME": _NODE,
            "RABBITMQ_NODE_IP_ADDRESS": _HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ON_LOOPBACK,
            "RABBITMQ_CTL_ERL_ARGS": _ON_LOOPBACK,
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOGS": "-",  # to stdout, which is node.log: there a failed boot is told as well
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_CONFIG_FILES": str(self.folder / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
        }

    def _spawn(self, *command: str, group: int) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=group,
            )

    def _wait_until(self, answers: Callable[[int], bool], port: int, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _BOOT_SECONDS
        while not answers(port):
            if process.poll() is not None:
                raise RuntimeError(f"{process.args!r} ended while it started\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r} was not up after {_BOOT_SECONDS:.0f} s\n{self._log_tail()}")
            time.sleep(0.05)  # between two looks: a port that opens tells nobody

    def _reap(self) -> None:
        if self._node:
            self._node.wait(_END_SECONDS)
            self._node = None

    def _log_tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-60:])


def lacking() -> str | None:
    """Say in one line what `running` would need, or return None."""
    if os.environ.get("PULSEKIT_TEST_RABBITMQ"):
        return None
    if _SERVER.exists() and all(shutil.which(tool, path=_PATH) for tool in ("epmd", "erl_call")):
        return None
    return "RabbitMQ is not installed: apt-get install rabbitmq-server (or set PULSEKIT_TEST_RABBITMQ)"


@contextmanager
def running() -> Iterator[RabbitMQ]:
    """Give a private node, or the broker that the environment names.

    `PULSEKIT_TEST_RABBITMQ` is the URL of an administrator, and `PULSEKIT_TEST_RABBITMQCTL` the command that is its
    `rabbitmqctl`, such as `docker exec my-rabbit rabbitmqctl`. Use one that may be thrown away: what tests make stays.
    """
    url = os.environ.get("PULSEKIT_TEST_RABBITMQ")
    if url:
        shared = SharedBroker(url, shlex.split(os.environ.get("PULSEKIT_TEST_RABBITMQCTL", "rabbitmqctl")))
        shared.prepare()
        yield shared
    else:
        with PrivateNode() as node:
            yield node


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((_HOST, port), timeout=1):
        return True
    return False


def _speaks_amqp(port: int) -> bool:
    """Offer AMQP 0-9-1 and tell whether a method frame, Connection.Start, comes back (§4.2.2)."""
    with suppress(OSError), socket.create_connection((_HOST, port), timeout=1) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        return connection.recv(1) == b"\x01"
    return False


def _free_ports(number: int) -> tuple[int, ...]:
    """Find ports nobody listens on, below those that the system hands out to outgoing connections.

    A port from 0 would be one of the latter: while the node is down somebody else could get it, or a client that tries
    to reconnect could even reach itself.
    """
    free: list[int] = []
    with ExitStack() as held:
        for port in random.SystemRandom().sample(range(20_000, 32_000), 1_000):
            with suppress(OSError):
                held.enter_context(socket.create_server((_HOST, port)))
                free.append(port)
            if len(free) == number:
                break
    return tuple(free)
