"""Several private nodes that form one RabbitMQ cluster."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from support.rabbitmq.home import Home
from support.rabbitmq.node import PrivateNode

if TYPE_CHECKING:
    from typing import Self

    from support.rabbitmq.broker import PulseUser

__all__ = ["Cluster"]


class Cluster:
    """A private cluster that runs within its `with` block and leaves nothing behind.

    Attributes:
        nodes: its members, each in a folder of its own.
    """

    def __init__(self, size: int = 3) -> None:
        self._home = Home()
        first = PrivateNode(self._home, name="pulsekit1")
        others = [PrivateNode(self._home, name=f"pulsekit{number}", joins=first) for number in range(2, size + 1)]
        self.nodes = (first, *others)
        self._owned = ExitStack()

    def __enter__(self) -> Self:
        with self._owned:
            self._owned.enter_context(self._home)
            first, *others = self.nodes
            self._owned.enter_context(first)
            with ThreadPoolExecutor() as pool:
                for node in pool.map(PrivateNode.__enter__, others):
                    self._owned.push(node)
            self._owned = self._owned.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._owned.close()

    def user(self) -> PulseUser:
        """Create a user on all nodes."""
        return self.nodes[0].user()

    def url(self, user: PulseUser, *nodes: PrivateNode) -> str:
        """Return the URL of some nodes for the user, in this order; by default of all."""
        parts = urlsplit(user.url)
        login = parts.netloc.rpartition("@")[0]
        hosts = ",".join(f"{node.host}:{node.port}" for node in nodes or self.nodes)
        return urlunsplit(parts._replace(netloc=f"{login}@{hosts}"))

    def leader_of(self, queue: str, asked: PrivateNode | None = None) -> PrivateNode:
        """Return the node of a quorum queue's leader, from a node; by default the first one that is up.

        Raises:
            RuntimeError: the queue has no leader at the moment.
        """
        asked = asked or next(node for node in self.nodes if node.is_up)
        name = asked.eval(
            f'{{ok, Queue}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>))',
            "[{leader, Leader}] = rabbit_amqqueue:info(Queue, [leader])",
            "Leader",
        ).strip("'")
        for node in self.nodes:
            if node.name == name:
                return node
        raise RuntimeError(f"{queue} has no leader: {name!r}")
