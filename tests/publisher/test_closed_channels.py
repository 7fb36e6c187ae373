"""Publishing while the broker refuses single messages, closes channels and connections, or does not confirm."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiormq.exceptions import ChannelClosed
from support.proxy import Proxy

import pulsekit
from pulsekit import Draft, Outcome, Properties
from pulsekit._amqp import methods
from pulsekit._amqp.link import Link
from pulsekit.publisher.isolation import Isolation
from pulsekit.queues import delete_queue, queue_depth
from pulsekit.sandbox.protocol.publishing import ContentAssembler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.loopback import SandboxBroker
    from support.rabbitmq.broker import PulseUser, RabbitMQ

KEY = "k"
REFUSED = {  # the refused property, and the text of the broker
    "expiration": (Properties(expiration="1h"), "invalid expiration"),
    "user": (Properties(user_id="somebody"), "user_id property set to 'somebody'"),
}


async def confirmed(receipts: Any) -> list[pulsekit.Receipt]:
    return [receipt async for receipt in receipts]


@pytest.fixture
async def queue(pulse: pulsekit.Pulse, user: PulseUser, exchange: str) -> str:
    """A durable queue that is bound to the exchange."""
    await pulse.create_exchange(exchange)
    async with pulse.subscribe(exchange, queue=f"queue/{user.name}/q") as messages:
        return messages.queue


async def read(pulse: pulsekit.Pulse, queue: str) -> list[pulsekit.Message]:
    """Return all messages of a queue."""
    count = (await queue_depth(pulse, queue)).ready
    async with pulse.subscribe(queue=queue, prefetch=5000) as messages:
        return [await anext(messages) for _ in range(count)]


@pytest.mark.parametrize("bad", [{0}, {150}, {299}, {3, 4, 200}], ids=str)
@pytest.mark.parametrize("kind", REFUSED)
async def test_only_one_message_is_refused_and_the_others_arrive(
    pulse: pulsekit.Pulse, exchange: str, queue: str, kind: str, bad: set[int]
) -> None:
    properties, words = REFUSED[kind]
    drafts = [Draft({"n": n}, KEY, properties=properties if n in bad else Properties()) for n in range(300)]
    publisher = pulse.publisher(exchange, mandatory=True)
    receipts = await confirmed(publisher.publish_many(drafts))
    assert {receipt.index for receipt in receipts if receipt.outcome is Outcome.REFUSED} == bad
    assert all(words in receipts[n].detail and receipts[n].sent for n in bad)
    assert {receipt.outcome for receipt in receipts if receipt.index not in bad} == {Outcome.CONFIRMED}
    found = await read(pulse, queue)
    assert {message.payload["n"] for message in found} == set(range(300)) - bad
    ids = {message.payload["n"]: message.properties.message_id for message in found}
    assert all(ids[message.payload["n"]] == message.properties.message_id for message in found)
    assert all(ids[receipt.index] == receipt.message_id for receipt in receipts if receipt.index not in bad)
    assert (await publisher.publish({}, KEY)).outcome is Outcome.CONFIRMED


async def test_if_every_message_is_refused_each_has_its_receipt(
    pulse: pulsekit.Pulse, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    open_channel = Link.channel
    monkeypatch.setattr(Link, "channel", lambda link, **how: opened.append(how) or open_channel(link, **how))
    publisher = pulse.publisher(exchange)
    drafts = [Draft({}, KEY, properties=Properties(expiration="never")) for _ in range(30)]
    assert {receipt.outcome for receipt in await confirmed(publisher.publish_many(drafts))} == {Outcome.REFUSED}
    assert len(opened) <= 1 + 30 + 4  # one for each message, and more to find the first one
    with pytest.raises(pulsekit.MessageRefused, match=r"invalid expiration.*correct the message"):
        await publisher.publish({}, KEY, properties=Properties(expiration="never"))
    assert (await publisher.publish({}, KEY)).outcome is Outcome.CONFIRMED


@pytest.fixture
def small_messages(broker: RabbitMQ | SandboxBroker, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A broker whose max_message_size is 10,000 bytes for the channels that are opened within the test."""
    if broker.kind == "sandbox":
        monkeypatch.setattr(
            "pulsekit.sandbox.protocol.channels.ContentAssembler", lambda publish, _: ContentAssembler(publish, 10_000)
        )
        yield
        return
    before = broker.eval("persistent_term:get(max_message_size, none)")
    broker.eval("application:set_env(rabbit, max_message_size, 10000)", "persistent_term:put(max_message_size, 10000)")
    yield
    restore = (
        "persistent_term:erase(max_message_size)"
        if before == "none"
        else f"persistent_term:put(max_message_size, {before})"
    )
    broker.eval("application:unset_env(rabbit, max_message_size)", restore)


@pytest.mark.usefixtures("small_messages")
async def test_a_message_larger_than_the_broker_allows_is_the_only_one_refused(
    pulse: pulsekit.Pulse, exchange: str, queue: str
) -> None:
    publisher = pulse.publisher(exchange)
    drafts = [Draft(b"x" * (10_001 if n == 20 else 10_000), KEY) for n in range(40)]
    receipts = await confirmed(publisher.publish_many(drafts))
    assert [receipt.index for receipt in receipts if receipt.outcome is not Outcome.CONFIRMED] == [20]
    assert "message size 10001" in receipts[20].detail
    assert {len(message.body) for message in await read(pulse, queue)} == {10_000}


@pytest.fixture
def three_channels(limit_channels: Callable[[int], None]) -> None:
    """Let the broker allow three channels on the connections that are opened within the test."""
    limit_channels(3)


@pytest.mark.usefixtures("three_channels")
async def test_one_channel_too_many_fails_only_that_publisher(
    user: PulseUser, exchange: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with pulsekit.connect(user.url) as pulse:
        publishers = [pulse.publisher(exchange) for _ in range(3)]
        for publisher in publishers:
            await publisher.open()
        link = await pulse.link()
        with pytest.raises(pulsekit.ConfigurationError, match=r"3 channels.*channel_max.*close publishers"):
            await pulse.publisher(exchange).open()
        with pytest.raises(pulsekit.ConfigurationError, match="channel_max"):
            await pulse.exchange_exists(exchange)
        for publisher in publishers:
            assert (await publisher.publish({}, KEY)).outcome is Outcome.CONFIRMED
        await publishers.pop().close()
        assert await pulse.exchange_exists(exchange)
        assert await pulse.link() is link
        # Another client's mistake: the broker closes the connection (530). No publisher treats it as its own refusal.
        await pulse.publisher(exchange).open()
        link.channel_max = 9
        with pytest.raises(pulsekit.ConnectionLost, match="channel_max"):
            await link.channel(confirms=False)
        for publisher in publishers:
            assert (await publisher.publish({}, KEY)).outcome is Outcome.CONFIRMED
    assert "lost the connection" in caplog.text
    assert "530 NOT_ALLOWED" in caplog.text


async def test_a_lost_connection_does_not_stop_the_search_for_the_refused_message(
    user: PulseUser, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as pulse:
        split = Isolation.split

        def cut(isolation: Isolation[Any], messages: list[Any]) -> Any:
            asyncio.get_running_loop().call_soon(proxy.cut)  # before the broker answers this group
            monkeypatch.setattr(Isolation, "split", split)
            return split(isolation, messages)

        monkeypatch.setattr(Isolation, "split", cut)
        drafts = [Draft({}, KEY, properties=Properties(expiration="1h" if n == 77 else None)) for n in range(100)]
        receipts = await confirmed(pulse.publisher(exchange).publish_many(drafts))
    assert [receipt.index for receipt in receipts if receipt.outcome is Outcome.REFUSED] == [77]
    assert {receipt.outcome for receipt in receipts if receipt.index != 77} == {Outcome.CONFIRMED}


async def test_a_timeout_reports_whether_the_message_was_sent_and_why(user: PulseUser, exchange: str) -> None:
    async def timed_out(publisher: pulsekit.Publisher) -> tuple[bool, str]:
        with pytest.raises(pulsekit.PublishTimeout) as caught:
            await publisher.publish({}, KEY, timeout=0.05)
        assert caught.value.receipt.detail in str(caught.value)
        return caught.value.receipt.sent, caught.value.receipt.detail

    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as pulse:
        publisher = pulse.publisher(exchange)
        await publisher.open()
        proxy.hold_answers()
        assert await timed_out(publisher) == (True, "sent; the broker sent no confirm")
        proxy.refuse()
        proxy.cut()
        while pulse._out.state == "ready":
            await asyncio.sleep(0)
        assert await timed_out(publisher) == (False, "not sent; no connection to the broker")


async def test_a_timeout_names_the_reason_for_which_the_broker_blocks(
    pulse: pulsekit.Pulse, exchange: str, block: Callable[[], None]
) -> None:
    publisher = pulse.publisher(exchange)
    await publisher.open()
    await asyncio.to_thread(block)
    # The broker reports the alarm to those who publish. RabbitMQ does not read the first message, the sandbox does.
    first = asyncio.ensure_future(publisher.publish_many([({}, KEY)], timeout=0.5).__anext__())
    while pulse._out.state != "blocked":
        if first.done():  # before the alarm had an effect
            first = asyncio.ensure_future(publisher.publish_many([({}, KEY)], timeout=0.5).__anext__())
        await asyncio.sleep(0.01)
    waits = not first.done()
    with pytest.raises(pulsekit.PublishTimeout) as later:
        await publisher.publish({}, KEY, timeout=0.05)
    late, early = later.value.receipt, await first
    assert late.detail.startswith("not sent; the broker blocks publishers: ")
    assert (late.sent, early.sent) == (False, True)
    if early.outcome is Outcome.TIMEOUT and waits:  # otherwise, its time was up before the broker reported the alarm
        assert early.detail == "sent; the broker blocks publishers: low on memory"


async def test_publishing_stops_if_the_broker_does_not_answer(
    pulse: pulsekit.Pulse, exchange: str, block: Callable[[], None]
) -> None:
    publisher = pulse.publisher(exchange)
    receipts = await confirmed(publisher.publish_many([({}, KEY)] * 20, window=5, stop_when_silent=True))
    assert {receipt.outcome for receipt in receipts} == {Outcome.CONFIRMED}
    await asyncio.to_thread(block)
    while pulse._out.state != "blocked":  # until the alarm has an effect
        await confirmed(publisher.publish_many([({}, KEY)], timeout=0.1))
    given = iter([({}, KEY)] * 1000)
    late: list[Outcome] = []
    with pytest.raises(pulsekit.NetworkError, match=r"answered no message for 0\.5 s .*blocks publishers"):
        async for receipt in publisher.publish_many(given, window=5, timeout=0.5, stop_when_silent=True):
            late.append(receipt.outcome)
    assert set(late) <= {Outcome.TIMEOUT}
    assert len(late) <= 5
    assert len(list(given)) > 980
    # The last messages are tried, because stopping would save no further messages.
    last = await confirmed(publisher.publish_many([({}, KEY)] * 3, window=5, timeout=0.1, stop_when_silent=True))
    assert [receipt.outcome for receipt in last] == [Outcome.TIMEOUT] * 3


async def test_publishing_continues_if_single_messages_time_out(
    pulse: pulsekit.Pulse, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow message does not stop the publish if the broker answers other messages."""
    publisher = pulse.publisher(exchange)
    await publisher.open()
    answer = publisher._sender._on_outcome
    lost = iter([True])

    def forget_one(message: Any, outcome: Outcome, detail: str = "") -> None:
        if message.index == 2 and next(lost, False):
            message.deadline = 0.0  # the time of this message is up, and that of no other
            publisher._sender._deadlines.add(0.0)
            return
        answer(message, outcome, detail)

    assert publisher._sender._channel is not None
    monkeypatch.setattr(publisher._sender._channel, "_on_outcome", forget_one)
    receipts = await confirmed(publisher.publish_many([({}, KEY)] * 50, window=5, stop_when_silent=True))
    assert [receipt.index for receipt in receipts if receipt.outcome is Outcome.TIMEOUT] == [2]
    assert len(receipts) == 50


async def test_an_exchange_that_is_created_again_is_reported(
    user: PulseUser, exchange: str, pulse: pulsekit.Pulse, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as shaky:
        publisher = shaky.publisher(exchange, mandatory=True, on_recreated=seen.append)
        assert publisher.mandatory
        await publisher.open()
        for deleted in (False, True):
            proxy.refuse()
            proxy.cut()
            if deleted:
                await pulse.delete_exchange(exchange)
            proxy.accept()
            with pytest.raises(pulsekit.MessageReturned):
                await publisher.publish({}, KEY)
            assert (publisher.recreated, seen) == (int(deleted), [exchange] * deleted)
    assert ("created again without its bindings" in caplog.text) is True


async def test_an_exchange_recreated_with_another_type_is_refused(
    user: PulseUser, exchange: str, pulse: pulsekit.Pulse
) -> None:
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as shaky:
        publisher = shaky.publisher(exchange)
        await publisher.open()
        proxy.refuse()
        proxy.cut()
        await pulse.delete_exchange(exchange)
        channel = await (await pulse.link()).channel(confirms=False)
        await channel.exchange_declare(exchange=exchange, exchange_type="direct", durable=True)
        proxy.accept()
        with pytest.raises(pulsekit.PreconditionFailed, match="delete it and all its bindings"):
            await publisher.publish({}, KEY)


async def test_a_negative_confirm_is_a_refusal_only_for_a_full_queue(
    user: PulseUser, exchange: str, pulse: pulsekit.Pulse
) -> None:
    """The first copy fills the queue, its confirm is lost with the connection, and the second copy is rejected."""
    await pulse.create_exchange(exchange)
    full = pulsekit.Queue(f"queue/{user.name}/q", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    async with pulse.subscribe(exchange, queue=full):
        pass
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as shaky:
        publisher = shaky.publisher(exchange, overflow_rejects=True)
        await publisher.open()
        proxy.hold_answers()
        publishing = asyncio.ensure_future(publisher.publish({}, KEY))
        while not (await queue_depth(pulse, full.name)).ready:
            await asyncio.sleep(0.01)
        proxy.cut()
        proxy.release_answers()
        with pytest.raises(pulsekit.OutcomeUnknown, match="negative confirm of the second copy") as caught:
            await publishing
        assert caught.value.receipt.resent
        with pytest.raises(pulsekit.MessageRefused, match="publish it again later"):
            await publisher.publish({}, KEY)
        with pytest.raises(pulsekit.OutcomeUnknown, match=r"may or may not have arrived \(negative confirm; a queue"):
            await shaky.publisher(exchange).publish({}, KEY)
    assert (await queue_depth(pulse, full.name)).ready == 1


async def test_the_return_of_a_second_copy_says_that_the_first_may_have_arrived(
    user: PulseUser, exchange: str, pulse: pulsekit.Pulse
) -> None:
    await pulse.create_exchange(exchange)
    queue = f"queue/{user.name}/q"
    async with pulse.subscribe(exchange, queue=queue):
        pass
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as shaky:
        publisher = shaky.publisher(exchange, mandatory=True)
        await publisher.open()
        proxy.hold_answers()
        publishing = asyncio.ensure_future(publisher.publish({}, KEY))
        while not (await queue_depth(pulse, queue)).ready:
            await asyncio.sleep(0.01)
        await delete_queue(pulse, queue)
        proxy.cut()
        proxy.release_answers()
        with pytest.raises(pulsekit.MessageReturned, match="the first copy may have arrived") as caught:
            await publishing
        assert caught.value.receipt.resent
        with pytest.raises(pulsekit.MessageReturned) as caught:
            await publisher.publish({}, KEY)
        assert "copy" not in caught.value.receipt.detail


@pytest.mark.parametrize("what", ["publisher", "subscription"])
async def test_attempts_that_fail_temporarily_are_visible_and_can_be_cancelled(
    pulse: pulsekit.Pulse, exchange: str, what: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    attempts = 0
    repeated = asyncio.Event()

    async def fails(*_: object, **__: object) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 2:
            repeated.set()
        raise ChannelClosed(541, "INTERNAL_ERROR - a node is starting")

    await pulse.create_exchange(exchange)
    monkeypatch.setattr(methods, "declare_exchange" if what == "publisher" else "declare_queue", fails)
    one = pulse.publisher(exchange) if what == "publisher" else pulse.subscribe(exchange)
    opening = asyncio.create_task(one.open())
    await repeated.wait()
    assert "INTERNAL_ERROR - a node is starting; trying again" in caplog.text
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    monkeypatch.undo()
    await one.open()
    await one.close()
