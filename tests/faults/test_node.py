"""The node is killed, stopped, or closes connections while messages flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import pulsekit
from faults.account import Account
from faults.stage import Fault, Stage, consume, publish, publish_and_consume

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.rabbitmq.broker import RabbitMQ
    from support.rabbitmq.node import PrivateNode

    from faults.stage import Watch

pytestmark = pytest.mark.usefixtures("nothing_left")

LONG = (pytest.mark.faults, pytest.mark.timeout(300))
MANY = pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=LONG)])


@MANY
async def test_a_node_is_killed_during_publishes(
    node: PrivateNode, watch: Watch, figures: Callable[..., None], count: int
) -> None:
    stage, account, fault = Stage(node), Account(), Fault(node.kill, then=node.start)
    async with pulsekit.connect(stage.user.url, on_state=watch) as pulse:
        await publish(pulse.publisher(stage.exchange, mandatory=True), account, count, at={count // 2: fault})
    await fault.over()
    stage.drain(account)
    totals = account.close()
    assert totals.confirmed + totals.returned == count
    assert account.resent
    figures(totals, watch.seconds(fault.since, "publisher"))


@MANY
async def test_a_node_is_killed_during_deliveries(
    node: PrivateNode, watch: Watch, figures: Callable[..., None], count: int
) -> None:
    stage, account, fault = Stage(node), Account(routed=True), Fault(node.kill, then=node.start)
    async with pulsekit.connect(stage.user.url, on_state=watch) as pulse:
        await publish(pulse.publisher(stage.exchange), account, count)
        async with pulse.subscribe(queue=stage.queue, on_gap=account.gap) as messages:
            await consume(messages, account, lambda: not account.awaited, at={count // 2: fault})
            assert messages.gaps == 1
    await fault.over()
    stage.drain(account)
    totals = account.close()
    assert totals.confirmed == totals.distinct == count
    figures(totals, watch.seconds(fault.since, "consumer"))


async def test_an_administrator_closes_all_connections(
    rabbitmq: RabbitMQ, stage: Stage, watch: Watch, figures: Callable[..., None]
) -> None:
    account, fault = Account(), Fault(then=lambda: rabbitmq.ctl("close_all_connections", "maintenance"))
    async with pulsekit.connect(stage.user.url, on_state=watch) as pulse:
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        async with pulse.subscribe(queue=stage.queue, on_gap=account.gap) as messages:
            await publish_and_consume(publisher, messages, account, lambda: watch.epochs(2), at={500: fault})
            await fault.over()
            assert messages.gaps == 1
    stage.drain(account)
    totals = account.close()
    assert totals.unknown == totals.timeout == totals.refused == 0
    figures(totals, watch.seconds(fault.since, "publisher"))


async def test_the_broker_application_is_stopped_and_started(
    node: PrivateNode, watch: Watch, figures: Callable[..., None]
) -> None:
    def restart() -> None:
        node.ctl("stop_app")
        node.ctl("start_app")

    stage, account, fault = Stage(node), Account(), Fault(then=restart)
    async with pulsekit.connect(stage.user.url, on_state=watch) as pulse:
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        async with pulse.subscribe(queue=stage.queue, on_gap=account.gap) as messages:
            await publish_and_consume(publisher, messages, account, lambda: watch.epochs(2), at={500: fault})
            await fault.over()
            assert messages.gaps == 1
    stage.drain(account)
    totals = account.close()
    assert totals.unknown == totals.timeout == totals.refused == 0
    figures(totals, watch.seconds(fault.since, "publisher"))


async def test_a_node_is_in_maintenance_for_a_moment(node: PrivateNode, watch: Watch) -> None:
    """`rabbitmq-upgrade drain` closes all connections and accepts no new ones, and `revive` accepts them again."""

    def maintain() -> None:
        node.eval("rabbit_maintenance:drain()")
        node.eval("rabbit_maintenance:revive()")

    stage, account, fault = Stage(node), Account(), Fault(then=maintain)
    async with pulsekit.connect(stage.user.url, on_state=watch) as pulse:
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        async with pulse.subscribe(queue=stage.queue, on_gap=account.gap) as messages:
            await publish_and_consume(publisher, messages, account, lambda: watch.epochs(2), at={500: fault})
            await fault.over()
            assert messages.gaps >= 1
    stage.drain(account)
    totals = account.close()
    assert totals.unknown == totals.timeout == totals.refused == 0
