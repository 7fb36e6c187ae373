"""Three nodes with a quorum queue, as users outgrow one machine: its leader is killed while all is busy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rabbitmq.cluster import Cluster
from rabbitmq.node import PrivateNode

import pulsekit
from faults.account import Account
from faults.stage import Fault, Stage, publish_and_consume, steady
from pulsekit import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from rabbitmq.broker import RabbitMQ

    from faults.stage import Watch

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300), pytest.mark.usefixtures("_nothing_left_on_the_cluster")]

QUORUM = {"x-queue-type": "quorum"}


@pytest.fixture(scope="module")
def cluster(rabbitmq: RabbitMQ) -> Iterator[Cluster]:
    if not isinstance(rabbitmq, PrivateNode):
        pytest.skip("PULSEKIT_TEST_RABBITMQ names a broker that is not ours to stop")
    with Cluster() as running:
        yield running


@pytest.fixture
async def _nothing_left_on_the_cluster(cluster: Cluster) -> AsyncIterator[None]:
    async with steady():
        yield


@pytest.mark.parametrize("beside", [True, False], ids=["beside the leader", "on the leader"])
async def test_the_leader_of_a_quorum_queue_is_killed(
    cluster: Cluster, watch: Watch, figures: Callable[..., None], beside: bool
) -> None:
    stage, account = Stage(cluster.nodes[0], arguments=QUORUM), Account()
    leader = cluster.leader_of(stage.queue)
    others = [node for node in cluster.nodes if node is not leader]
    url = cluster.url(stage.user, *(others if beside else (leader, *others)))
    fault = Fault(leader.kill, then=leader.start)
    async with (
        pulsekit.connect(url, on_state=watch) as pulse,
        pulse.subscribe(queue=stage.queue, queue_type="quorum", on_gap=account.gap) as messages,
    ):
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        await publish_and_consume(publisher, messages, account, lambda: account.sent >= 20_000, at={7_000: fault})
        assert messages.gaps == (not beside)
    await fault.over()
    stage.drain(account)
    totals = account.close()
    assert totals.unknown == totals.timeout == totals.refused == 0
    if beside:
        assert watch.count("publisher", State.READY) == 1
        figures(totals)
    else:
        figures(totals, watch.seconds(fault.since, "publisher"))
