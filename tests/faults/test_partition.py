"""A cluster whose network is cut between one node and the others while messages flow on both sides, and then healed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import astuple
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support.rabbitmq.divided import DividedCluster, lacking
from support.rabbitmq.node import PrivateNode

import pulsekit
from faults.account import Account, Totals
from faults.stage import Stage, publish_and_consume
from pulsekit._amqp.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from support.rabbitmq.broker import RabbitMQ

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400), pytest.mark.usefixtures("nothing_left")]

_NODE_SECONDS = 60.0  # after a partition, a node is usually back within ten seconds


@pytest.fixture(params=["pause_minority", "autoheal"])
def divided(rabbitmq: RabbitMQ, request: pytest.FixtureRequest) -> Iterator[DividedCluster]:
    """A cluster that can be divided."""
    if not isinstance(rabbitmq, PrivateNode):
        pytest.skip("PULSEKIT_TEST_RABBITMQ names a broker that is not ours to stop")
    if missing := lacking():
        pytest.skip(missing)
    with DividedCluster(request.param) as cluster:
        yield cluster


class Side:
    """The clients of some nodes: a publisher and a consumer of a quorum queue, whose leader is on `home`."""

    def __init__(self, cluster: DividedCluster, name: str, nodes: Sequence[PrivateNode], home: PrivateNode) -> None:
        self.stage = Stage(home, name=name, arguments={"x-queue-type": "quorum"})
        self.account = Account()
        self._url = cluster.url(self.stage.user, *nodes)
        self._enough = False

    async def run(self) -> None:
        queue = pulsekit.Queue(self.stage.queue, type="quorum")
        async with (
            pulsekit.connect(self._url, insecure=True) as pulse,
            pulse.subscribe(queue=queue, on_gap=self.account.gap) as messages,
        ):
            publisher = pulse.publisher(self.stage.exchange, mandatory=True)
            await publish_and_consume(publisher, messages, self.account, lambda: self._enough)

    async def publishes_more(self, count: int = 2_000) -> None:
        """Wait until further messages are sent: more than a window, so that the broker has answered some of them."""
        await until(lambda goal=self.account.sent + count: self.account.sent >= goal)

    def stop(self) -> None:
        self._enough = True


async def test_the_network_between_nodes_is_cut_and_healed(
    divided: DividedCluster, monkeypatch: pytest.MonkeyPatch, figures: Callable[..., None]
) -> None:
    # The pauses of users, up to a minute, would add a hundred thousand messages of the other side.
    monkeypatch.setattr("pulsekit._amqp.connection.Backoff", partial(Backoff, most=2.0))
    with divided.hub.entered():
        alone, *others = divided.nodes
        minority, majority = Side(divided, "alone", [alone], alone), Side(divided, "others", others, alone)
        async with asyncio.TaskGroup() as group:
            for side in (minority, majority):
                group.create_task(side.run())
                await side.publishes_more()
            divided.cut(alone)
            await until(lambda: alone.eval("nodes()") == "[]")
            # Then what only the former leader has stored, without a confirm, is lost.
            await until(lambda: has_leader(divided, minority.stage.queue, others))
            await majority.publishes_more()
            divided.heal()
            await continued(divided, minority, majority)
            for side in (minority, majority):
                side.stop()
        both = []
        for side in (majority, minority):
            side.stage.drain(side.account)
            totals = side.account.close()
            assert totals.timeout == 0
            assert totals.confirmed + totals.returned + totals.unknown == totals.sent
            both.append(astuple(totals))
        figures(Totals(*map(sum, zip(*both, strict=True))))


async def continued(cluster: DividedCluster, *sides: Side) -> None:
    """Wait until both sides publish again. If a node does not start again by itself, restart it."""
    try:
        async with asyncio.timeout(_NODE_SECONDS):
            for side in sides:
                await side.publishes_more()
    except TimeoutError:
        await asyncio.to_thread(cluster.restart_silent)
        for side in sides:
            await side.publishes_more()


def has_leader(cluster: DividedCluster, queue: str, nodes: Sequence[PrivateNode]) -> bool:
    """Return whether some nodes have elected a leader of a queue among themselves."""
    with suppress(RuntimeError):  # there is none at the moment
        return cluster.leader_of(queue, nodes[0]) in nodes
    return False


async def until(met: Callable[[], bool]) -> None:
    """Wait until a condition is met; the timeout of the test is the deadline."""
    while not await asyncio.to_thread(met):
        await asyncio.sleep(0.1)  # a node reports no event, and neither does an account
