"""The home of private nodes: one folder, one epmd, one process group, which end with their block."""

from __future__ import annotations

import random
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from support.rabbitmq.root import PATH, Root

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

__all__ = ["HOST", "Home", "speaks_amqp", "wait_until"]

HOST = "127.0.0.1"
_BOOT_SECONDS = 55.0  # shorter than the timeout of a test, or the node's own words would never be shown

# Outlives the process that started the nodes: once its pipe closes, this ends the processes and removes the folder.
_JANITOR = """
cat >/dev/null
kill -s KILL -- "-$1"
for pause in 0 0.1 0.2 0.5 1 2; do sleep "$pause"; rm -rf -- "$2" && break; done
"""


class Home:
    """What the nodes of one cluster share: a folder with their cookie, and a private epmd.

    At the end of the block no process, file or port is left, even if the process that opened it was killed.

    Args:
        host: the address of its nodes.
        peer: the home of other nodes of the same cluster, on another host.
        root: the root folder of RabbitMQ; by default the chosen one.
    """

    def __init__(self, host: str = HOST, *, peer: Home | None = None, root: Root | None = None) -> None:
        self.root = root or Root.chosen()
        self.host = host
        self._given: set[int] = set()
        self._cookie: str = peer._cookie if peer else secrets.token_hex(16)
        self._epmd_port: int = peer._epmd_port if peer else self.ports(1)[0]
        self._owned = ExitStack()

    def __enter__(self) -> Self:
        if missing := self.root.lacking():
            raise RuntimeError(missing)
        with self._owned:
            self.folder = Path(tempfile.mkdtemp(prefix="pulsekit-rabbitmq-", dir=self.root.temporary))
            self._owned.callback(shutil.rmtree, self.folder, ignore_errors=True)
            cookie = self.folder / ".erlang.cookie"
            cookie.touch(mode=0o600)
            cookie.write_text(self._cookie)
            log = self.folder / "epmd.log"
            # Process groups of their own: Ctrl-C at a terminal is for the tests alone.
            self._epmd = self._start(
                ("epmd", "-port", str(self._epmd_port), "-address", self.host), self.environment, self.folder, log, 0
            )
            self._owned.callback(self._epmd.wait)
            self._owned.callback(self._epmd.kill)
            janitor = subprocess.Popen(
                ("/bin/sh", "-c", _JANITOR, "janitor", str(self._epmd.pid), self.folder),
                stdin=subprocess.PIPE,
                process_group=0,
            )
            self._owned.callback(janitor.communicate)
            # Before a node looks for it: where Erlang finds no epmd, it leaves a daemon behind.
            wait_until(_listens, (self.host, self._epmd_port), self._epmd, log)
            self._owned = self._owned.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._owned.close()

    @property
    def pid(self) -> int:
        """The process of epmd, the leader of the process group."""
        return self._epmd.pid

    @property
    def environment(self) -> dict[str, str]:
        """The environment of all processes here, without that of the machine."""
        return {
            "PATH": PATH,
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_ADDRESS": self.host,
            "ERL_EPMD_PORT": str(self._epmd_port),
        }

    def ports(self, number: int) -> tuple[int, ...]:
        """Find free ports outside of the range for outgoing connections; none twice.

        A port that the system chooses (0) is in that range: while the node is down, another process could get it, or a
        client that reconnects could connect to itself.
        """
        free: list[int] = []
        with ExitStack() as held:
            for port in random.SystemRandom().sample(range(20_000, 32_000), 1_000):
                with suppress(OSError):
                    held.enter_context(socket.create_server((self.host, port)))
                    if port not in self._given:
                        free.append(port)
                if len(free) == number:
                    break
        self._given.update(free)
        return tuple(free)

    def spawn(
        self, command: tuple[str, ...], environment: Mapping[str, str], folder: Path, log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a process that ends with this home at the latest."""
        return self._start(command, environment, folder, log, self._epmd.pid)

    def _start(
        self, command: tuple[str, ...], environment: Mapping[str, str], folder: Path, log: Path, group: int
    ) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                self.root.command(*command),
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=group,
            )


def wait_until(
    answers: Callable[[tuple[str, int]], bool], address: tuple[str, int], process: subprocess.Popen[bytes], log: Path
) -> None:
    """Wait until a process listens.

    Raises:
        RuntimeError: Raised when it ended or did not listen in time. The message has the end of its log.
    """
    deadline = time.monotonic() + _BOOT_SECONDS
    while not answers(address):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended while it started\n{_end_of(log)}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} was not up after {_BOOT_SECONDS:.0f} s\n{_end_of(log)}")
        time.sleep(0.05)  # no event reports that a port opens


def speaks_amqp(address: tuple[str, int]) -> bool:
    """Send the AMQP 0-9-1 header and return whether a method frame, Connection.Start, is the answer (§4.2.2)."""
    with suppress(OSError), socket.create_connection(address, timeout=1) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        return connection.recv(1) == b"\x01"
    return False


def _listens(address: tuple[str, int]) -> bool:
    with suppress(OSError), socket.create_connection(address, timeout=1):
        return True
    return False


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-60:])
