"""The broker runs out of memory, or an administrator deletes a queue, or changes a password or a limit."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest
from pika.exceptions import ChannelClosedByBroker

import pulsekit
from faults.account import Account
from faults.stage import Stage, consume, publish, publish_and_consume, receive
from pulsekit import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.rabbitmq.broker import RabbitMQ

    from faults.stage import Watch

pytestmark = pytest.mark.usefixtures("nothing_left")

LONG = (pytest.mark.faults, pytest.mark.timeout(120))
_ENOUGH, _NOTHING = "0.4", "0.0000001"  # of the machine's memory; the first is RabbitMQ's default


@pytest.fixture
def set_memory(rabbitmq: RabbitMQ) -> Iterator[Callable[[str], object]]:
    yield partial(rabbitmq.ctl, "set_vm_memory_high_watermark")
    rabbitmq.ctl("set_vm_memory_high_watermark", _ENOUGH)


# With short heartbeats, a machine that stalls loses the connection. They matter only if the alarm lasts.
@pytest.mark.parametrize(
    ("seconds", "heartbeat"), [pytest.param(1, 20, id="1"), pytest.param(20, 3, marks=LONG, id="20")]
)
async def test_a_memory_alarm_blocks_publishers_and_no_consumer(
    set_memory: Callable[[str], object],
    stage: Stage,
    watch: Watch,
    figures: Callable[..., None],
    seconds: int,
    heartbeat: int,
) -> None:
    account, window, time = Account(), 100, asyncio.get_running_loop().time
    async with (
        pulsekit.connect(f"{stage.user.url}?heartbeat={heartbeat}", on_state=watch) as pulse,
        pulse.subscribe(queue=stage.queue, on_gap=account.gap, prefetch=10) as messages,
    ):
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        await publish(publisher, account, 500)
        await asyncio.to_thread(set_memory, _NOTHING)
        publishing = asyncio.ensure_future(publish(publisher, account, 1000, window=window))
        await watch.until("publisher", State.BLOCKED)
        await consume(messages, account, lambda: not account.awaited)  # on a connection of its own
        await asyncio.sleep(seconds)  # the fault is that it lasts
        assert not publishing.done()
        assert publisher.in_flight == window
        await asyncio.to_thread(set_memory, _ENOUGH)
        since = time()
        await publishing
        took = time() - since
        await consume(messages, account, lambda: not account.awaited)
    for name in ("publisher", "consumer"):
        assert not watch.count(name, State.BACKING_OFF)
    stage.drain(account)
    totals = account.close()
    assert (totals.sent, totals.returned, totals.duplicates) == (1500, 150, 0)
    figures(totals, took)


async def test_a_queue_is_deleted_while_it_is_consumed(stage: Stage, figures: Callable[..., None]) -> None:
    account = Account()
    async with pulsekit.connect(stage.user.url) as pulse:
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        await publish(publisher, account, 1000)
        async with pulse.subscribe(queue=stage.queue, prefetch=10) as messages:
            for _ in range(300):
                await (await receive(messages, account)).ack()
            with stage.channel() as channel:
                account.lose(channel.queue_delete(stage.queue).method.message_count)
            with pytest.raises(pulsekit.SubscriptionLost, match=stage.queue):
                await consume(messages, account, lambda: False)
        await publish(publisher, account, 100)
    with stage.channel() as channel, pytest.raises(ChannelClosedByBroker, match="NOT_FOUND"):
        channel.queue_declare(stage.queue, passive=True)  # it was not created again
    totals = account.close()
    assert (totals.returned, totals.confirmed) == (200, 900)
    assert totals.confirmed == totals.received + totals.deleted
    assert totals.deleted
    figures(totals)


async def test_an_exchange_is_deleted_during_a_publish(
    rabbitmq: RabbitMQ, stage: Stage, figures: Callable[..., None]
) -> None:
    beside = Stage(rabbitmq, user=stage.user, name="others")
    account, others = Account("jobs"), Account("others")

    def delete() -> None:
        with stage.channel() as channel:
            channel.exchange_delete(stage.exchange)

    async with pulsekit.connect(stage.user.url) as pulse:
        publisher, other = [pulse.publisher(name, mandatory=True) for name in (stage.exchange, beside.exchange)]
        flow = asyncio.ensure_future(publish(other, others, 2000))
        with pytest.raises(pulsekit.NotFound, match=stage.exchange):
            await publish(publisher, account, 2000, at={700: delete})
        account.never_sent(account.unanswered)
        await flow  # they have different channels
        with pytest.raises(pulsekit.NotFound, match=stage.exchange):
            await publisher.publish({}, "k")
    stage.drain(account)
    beside.drain(others)
    totals, fine = account.close(), others.close()
    assert (fine.confirmed, fine.returned) == (1800, 200)
    assert totals.confirmed + totals.returned + totals.unknown + totals.unsent == totals.sent < 2000
    assert totals.confirmed
    figures(totals)


async def test_a_full_queue_rejects_messages(rabbitmq: RabbitMQ, figures: Callable[..., None]) -> None:
    stage = Stage(rabbitmq, arguments={"x-max-length": 100, "x-overflow": "reject-publish"})
    account = Account()
    async with pulsekit.connect(stage.user.url) as pulse:
        await publish(pulse.publisher(stage.exchange, mandatory=True, overflow_rejects=True), account, 1000)
    stage.drain(account)
    totals = account.close()
    assert totals.confirmed == totals.received == 1000 - totals.refused - totals.returned
    assert totals.returned == 100
    assert totals.refused
    figures(totals)


@pytest.fixture
def secret(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Store the password of the user in a file, as its owner would."""
    path = tmp_path / "secret"
    path.write_text(stage.user.password)
    (tmp_path / "pulsekit").mkdir()
    lines = (
        f"url: amqp://{stage.broker.host}:{stage.broker.port}/",
        f"user: {stage.user.name}",
        f"password_file: {path}",
    )
    (tmp_path / "pulsekit" / "config.yml").write_text("\n".join(lines))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return path


async def change_password(stage: Stage, watch: Watch, secret: Path | None) -> None:
    """Change the password as PulseGuardian does: delete the user and create it again. The file changes later."""
    name, password = stage.user.name, "an0ther:/@"
    stage.broker.eval(f'ok = rabbit_auth_backend_internal:delete_user(<<"{name}">>, <<"{name}">>)')
    await watch.until("publisher", State.BACKING_OFF, 2)
    stage.user = stage.broker.add_pulse_user(name, password)
    if secret is not None:
        await watch.until("publisher", State.BACKING_OFF, 3)
        secret.write_text(password)


async def test_a_changed_password_is_read_again(
    stage: Stage, watch: Watch, secret: Path, figures: Callable[..., None]
) -> None:
    account, changing, time = Account(), [], asyncio.get_running_loop().time

    def change() -> None:
        changing.append((time(), asyncio.ensure_future(change_password(stage, watch, secret))))

    async with pulsekit.connect(on_state=watch) as pulse:
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        async with pulse.subscribe(queue=stage.queue, on_gap=account.gap) as messages:
            await publish_and_consume(publisher, messages, account, lambda: watch.epochs(2), at={700: change})
            assert messages.gaps == 1
    ((since, done),) = changing
    await done
    stage.drain(account)
    totals = account.close()
    assert totals.unknown == totals.timeout == totals.refused == 0
    figures(totals, watch.seconds(since, "publisher"))


async def test_a_password_that_stays_wrong_ends_with_an_error(
    stage: Stage, watch: Watch, figures: Callable[..., None]
) -> None:
    account, changing = Account(), []

    def change() -> None:
        changing.append(asyncio.ensure_future(change_password(stage, watch, None)))

    async with pulsekit.connect(stage.user.url, on_state=watch) as pulse:
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        async with pulse.subscribe(queue=stage.queue, on_gap=account.gap) as messages:
            with pytest.raises(pulsekit.LoginRefused, match=stage.user.name):
                await publish(publisher, account, 2000, at={700: change})
            account.never_sent(account.unanswered)
            with pytest.raises(pulsekit.LoginRefused, match=stage.user.name):
                await consume(messages, account, lambda: False)
    await asyncio.gather(*changing)
    stage.drain(account)
    totals = account.close()
    assert totals.confirmed + totals.returned + totals.unknown + totals.unsent == totals.sent
    assert totals.confirmed
    figures(totals)
