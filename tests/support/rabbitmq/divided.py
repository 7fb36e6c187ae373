"""A cluster whose nodes are in network namespaces, so that a test can cut the network between them."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from support.rabbitmq.cluster import Cluster
from support.rabbitmq.home import Home
from support.rabbitmq.node import PrivateNode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

__all__ = ["DividedCluster", "Namespace", "lacking"]

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of sched.h; `os.unshare` and `os.setns` exist since Python 3.12
_LIBC = ctypes.CDLL(None, use_errno=True)
_TICK_SECONDS = 5  # without an answer for about this time, a node counts another one as down (60 by default)


class Namespace:
    """A network namespace without a name: it ends with its file descriptor and the processes in it."""

    def __init__(self) -> None:
        made: list[int] = []
        thread = Thread(target=lambda: made.append(_new_network()))
        thread.start()
        thread.join()
        if not made:
            raise OSError("no new network namespace")
        (self._descriptor,) = made
        with self.entered():
            _ip("link set lo up")

    @property
    def path(self) -> str:
        """A path by which other processes find it."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Enter it with this thread: new sockets, child processes and new threads are inside."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _check(_LIBC.setns(self._descriptor, _NEW_NETWORK))
            try:
                yield
            finally:
                _check(_LIBC.setns(before, _NEW_NETWORK))
        finally:
            os.close(before)

    def close(self) -> None:
        os.close(self._descriptor)


class DividedCluster(Cluster):
    """A private cluster, each of whose nodes has a network namespace.

    All nodes are connected to a hub, from which clients reach each of them. A partition stops the hub from forwarding
    packets between nodes, in both directions and without an answer, and clients still reach all nodes.

    Args:
        policy: `cluster_partition_handling` of all nodes.

    Attributes:
        hub: the namespace of the clients.
    """

    def __init__(self, policy: str, size: int = 3) -> None:
        self._policy = policy
        self._size = size
        super().__init__(0)

    def __enter__(self) -> Self:
        with self._owned:
            self.hub = self._namespace()
            self._inner = inner = [self._namespace() for _ in range(self._size)]
            with self.hub.entered():
                for number, namespace in enumerate(inner, 1):
                    self._wire(number, namespace)
                Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            settings = (f"cluster_partition_handling = {self._policy}", f"net_ticktime = {_TICK_SECONDS}")
            home, first = None, None
            nodes = []
            for number, namespace in enumerate(inner, 1):
                with namespace.entered():
                    home = Home(f"10.99.{number}.2", peer=home)
                    self._owned.enter_context(home)
                    node = PrivateNode(home, name=f"pulsekit{number}", joins=first, settings=settings)
                first = first or node
                nodes.append(node)
            self.nodes = tuple(nodes)
            self._start(nodes[0], inner[0])
            with ThreadPoolExecutor() as pool:
                list(pool.map(self._start, nodes[1:], inner[1:]))
            self._owned = self._owned.pop_all()
        return self

    def cut(self, node: PrivateNode) -> None:
        """Cut the network between a node and all others."""
        alone = self.nodes.index(node) + 1
        with self.hub.entered():
            for other in range(1, len(self.nodes) + 1):
                if other != alone:
                    _ip(f"rule add iif hub{alone} to 10.99.{other}.0/24 blackhole")
                    _ip(f"rule add iif hub{other} to 10.99.{alone}.0/24 blackhole")

    def heal(self) -> None:
        """End all partitions."""
        with self.hub.entered():
            for rule in _ip("rule show").splitlines():
                if "blackhole" in rule:
                    _ip(f"rule del pref {rule.partition(':')[0]}")

    def restart_silent(self) -> None:
        """Kill and start each node that does not listen, as an administrator would.

        After a partition, a node that RabbitMQ has paused or stopped sometimes waits for ever for another node, in
        Erlang's `global`. RabbitMQ then logs "Faking nodedown/nodeup", but the node does not continue.
        """
        for node, namespace in zip(self.nodes, self._inner, strict=True):
            with namespace.entered():
                if not _listens(node):
                    node.kill()
                    node.start()

    def _namespace(self) -> Namespace:
        made = Namespace()
        self._owned.callback(made.close)
        return made

    def _wire(self, number: int, namespace: Namespace) -> None:
        """Connect the hub, in which this thread is, with a namespace."""
        _ip(f"link add hub{number} type veth peer name eth0 netns {namespace.path}")
        _ip(f"addr add 10.99.{number}.1/24 dev hub{number}")
        _ip(f"link set hub{number} up")
        with namespace.entered():
            _ip(f"addr add 10.99.{number}.2/24 dev eth0")
            _ip("link set eth0 up")
            _ip(f"route add default via 10.99.{number}.1")

    def _start(self, node: PrivateNode, namespace: Namespace) -> None:
        with namespace.entered():
            self._owned.push(node.__enter__())


def lacking() -> str | None:
    """Return in one line why network namespaces cannot be made here, or None."""
    if os.geteuid() != 0:
        return "only root can cut the network between nodes: it needs network namespaces"
    try:
        Namespace().close()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"this machine makes no network namespaces: {error}"
    return None


def _listens(node: PrivateNode) -> bool:
    try:
        socket.create_connection((node.host, node.port), timeout=_TICK_SECONDS).close()
    except OSError:
        return False
    return True


def _new_network() -> int:
    _check(_LIBC.unshare(_NEW_NETWORK))
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _ip(command: str) -> str:
    return subprocess.run(("ip", *command.split()), capture_output=True, text=True, check=True, timeout=10).stdout
