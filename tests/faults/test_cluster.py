"""A cluster of three nodes, one of which is killed while messages flow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

import pytest

import pulsekit
from faults.account import Account
from faults.stage import Fault, Stage, consume, publish, publish_and_consume, receive
from pulsekit import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.rabbitmq.cluster import Cluster

    from faults.stage import Watch

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300), pytest.mark.usefixtures("nothing_left")]

QUORUM = {"x-queue-type": "quorum"}


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
        pulse.subscribe(queue=pulsekit.Queue(stage.queue, type="quorum"), on_gap=account.gap) as messages,
    ):
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        await publish_and_consume(publisher, messages, account, lambda: account.sent >= 20_000, at={7_000: fault})
        assert messages.gaps == (not beside)
    await fault.over()
    stage.drain(account)
    totals = account.close()
    assert totals.timeout == 0
    if beside:
        assert watch.count("publisher", State.READY) == 1
        assert totals.unknown == totals.refused == 0
        figures(totals)
    else:
        # What reaches a new channel before there is a new leader, RabbitMQ answers with basic.nack at once.
        assert totals.confirmed + totals.returned + totals.unknown == totals.sent
        figures(totals, watch.seconds(fault.since, "publisher"))


async def test_a_negative_confirm_of_a_killed_node_leaves_the_outcome_unknown(cluster: Cluster) -> None:
    """RabbitMQ sends basic.nack for all messages at the dead node, even if the node has stored them."""
    home, *others = cluster.nodes
    stage, account = Stage(home), Account(routed=True)
    fault = Fault(home.kill, then=home.start)
    async with pulsekit.connect(cluster.url(stage.user, *others)) as pulse:
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        drafts = (account.draft(number) for number in range(12_000))
        async for receipt in publisher.publish_many(drafts, window=4000):
            account.settle(receipt)
            if receipt.index == 4000:
                fault()
    await fault.over()
    stage.drain(account)
    totals = account.close()  # which fails if a message is found that was refused
    assert totals.unknown
    assert totals.confirmed + totals.returned + totals.unknown == totals.sent


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
async def test_the_node_of_a_consumer_and_its_queue_is_killed(
    cluster: Cluster, watch: Watch, queue_type: Literal["classic", "quorum"]
) -> None:
    home, *others = cluster.nodes
    arguments, gaps = {"x-queue-type": queue_type}, asyncio.Queue[pulsekit.Gap]()
    stage, account = Stage(home, arguments=arguments), Account()
    async with (
        pulsekit.connect(cluster.url(stage.user, *others)) as pulse,
        pulsekit.connect(cluster.url(stage.user, home, *others), on_state=watch) as near,
        near.subscribe(queue=pulsekit.Queue(stage.queue, type=queue_type), on_gap=gaps.put_nowait) as messages,
    ):
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        await publish(publisher, account, 100)
        fault = Fault(home.kill)
        fault()
        await watch.until("consumer", State.READY, 2)  # on another node, while the node of the queue is down
        await publish(publisher, account, 100)
        starting = asyncio.ensure_future(asyncio.to_thread(home.start))
        gap = await gaps.get()
        account.gap(gap)
        await starting
        await publish_and_consume(publisher, messages, account, lambda: True)
    await fault.over()
    stage.drain(account)
    totals = account.close()
    assert gap.lossy == (queue_type == "classic")
    if gap.lossy:  # a tenth is returned in any case; RabbitMQ 4 sends a negative confirm for the others
        assert totals.returned + totals.unknown > 20 + 50
    else:
        assert totals.returned <= 20 + 50


async def test_the_node_of_a_classic_queue_is_killed_and_restarted(
    cluster: Cluster, watch: Watch, figures: Callable[..., None]
) -> None:
    home, *others = cluster.nodes
    stage, account, gaps = Stage(home), Account(), asyncio.Queue[pulsekit.Gap]()
    async with (
        pulsekit.connect(cluster.url(stage.user, *others), on_state=watch) as pulse,
        pulse.subscribe(queue=stage.queue, on_gap=gaps.put_nowait, prefetch=10) as messages,
    ):
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        await publish(publisher, account, 1000)
        for _ in range(300):
            await (await receive(messages, account)).ack()
        fault = Fault(home.kill)
        fault()
        await publish(publisher, account, 200)  # no queue is bound meanwhile
        starting = asyncio.ensure_future(asyncio.to_thread(home.start))
        await consume(messages, account, lambda: not account.awaited)
        seconds = asyncio.get_running_loop().time() - fault.since
        gap = await gaps.get()
        account.gap(gap)
        assert gap.lossy
        await starting
        await publish_and_consume(publisher, messages, account, lambda: True)
    assert watch.count("consumer", State.READY) == 1
    stage.drain(account)
    figures(account.close(), seconds)
