"""Publishing as a user does it, on every broker."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import traceback
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support.proxy import Proxy
from support.samples import JOBS

import pulsekit
from pulsekit import Draft, Outcome, Properties
from pulsekit._amqp import publishing
from pulsekit.instrumentation import Logging

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from support.rabbitmq.broker import PulseUser, RabbitMQ

KEY = "treeherder.autoland._"


async def listen(pulse: pulsekit.Pulse, exchange: str, pattern: str = "#") -> pulsekit.Consumer:
    """Subscribe to an exchange, which is created first."""
    await pulse.create_exchange(exchange)
    messages = pulse.subscribe(f"{exchange}:{pattern}")
    await messages.open()
    return messages


@asynccontextmanager
async def asking(proxy: Proxy) -> AsyncIterator[None]:
    """Leave the block after a part of the messages was sent."""
    before = proxy.carried
    yield
    while proxy.carried == before:
        await asyncio.sleep(0)


async def test_a_message_arrives_unchanged(pulse: pulsekit.Pulse, exchange: str) -> None:
    messages = await listen(pulse, exchange)
    payload = {"text": "é 日本 🦊", "number": 1.5, "deep": [None, True, {"": -0.0}]}
    receipt = await pulse.publisher(exchange).publish(payload, KEY)
    message = await anext(messages)
    assert receipt.outcome is Outcome.CONFIRMED
    assert not receipt.resent
    assert (message.exchange, message.routing_key, message.payload) == (exchange, KEY, payload)
    assert message.properties.content_type == "application/json"
    assert message.properties.delivery_mode == 2
    assert message.properties.message_id == receipt.message_id
    assert message.body.decode() == '{"text":"é 日本 🦊","number":1.5,"deep":[null,true,{"":-0.0}]}'


async def test_the_exchange_is_declared_durable_and_topic(
    pulse: pulsekit.Pulse, exchange: str, broker: RabbitMQ
) -> None:
    await pulse.publisher(exchange).open()
    import aio_pika

    async with await aio_pika.connect(broker.admin_url) as connection, connection.channel() as channel:
        # Declaring with the same properties is accepted, with others it is a 406.
        await channel.declare_exchange(exchange, "topic", durable=True)
        with pytest.raises(aio_pika.exceptions.ChannelPreconditionFailed):
            await channel.declare_exchange(exchange, "direct", durable=True)


async def test_headers_properties_and_cc_arrive(pulse: pulsekit.Pulse, exchange: str) -> None:
    messages = await listen(pulse, exchange, "second.#")
    draft = Draft(
        {},
        "first",
        cc=["second.key"],
        headers={"n": 2**40, "list": ["a", True, None], "float": 0.1, "bytes": b"\xff", "table": {"deep": [-1]}},
        properties=Properties(message_id="mine", app_id="ci", correlation_id="c", type="t"),
    )
    receipts = [receipt async for receipt in pulse.publisher(exchange).publish_many([draft])]
    message = await anext(messages)
    assert receipts[0].message_id == "mine"
    assert message.routing_key == "first"
    assert message.cc == ("second.key",)
    assert message.headers == {**draft.headers, "CC": ["second.key"]}
    assert (message.properties.app_id, message.properties.correlation_id, message.properties.type) == ("ci", "c", "t")


async def test_an_unbound_key_is_an_error_only_with_mandatory(pulse: pulsekit.Pulse, exchange: str) -> None:
    publisher = pulse.publisher(exchange)
    assert (await publisher.publish({}, "nobody")).outcome is Outcome.CONFIRMED
    with pytest.raises(pulsekit.MessageReturned, match="no queue is bound") as caught:
        await publisher.publish({}, "nobody", mandatory=True)
    assert caught.value.receipt.outcome is Outcome.RETURNED


async def test_an_invalid_job_raises_and_is_not_sent(pulse: pulsekit.Pulse, exchange: str) -> None:
    messages = await listen(pulse, exchange)
    publisher = pulse.publisher(exchange, schema="pulse-job")
    broken = JOBS[0] | {"state": "done"}
    with pytest.raises(pulsekit.InvalidPayload, match="/state") as caught:
        await publisher.publish(broken, KEY)
    assert caught.value.problems[0].pointer == "/state"
    await publisher.publish(JOBS[0], KEY)
    assert (await anext(messages)).payload == JOBS[0]


async def test_bytes_are_sent_unchanged_but_validated(pulse: pulsekit.Pulse, exchange: str) -> None:
    messages = await listen(pulse, exchange)
    await pulse.publisher(exchange).publish(b'{ "a" : 1.0 }', KEY)
    assert (await anext(messages)).body == b'{ "a" : 1.0 }'
    with pytest.raises(pulsekit.InvalidPayload):
        await pulse.publisher(exchange, schema="pulse-job").publish(b'{ "a" : 1.0 }', KEY)
    with pytest.raises(pulsekit.DocumentError):
        await pulse.publisher(exchange, schema="pulse-job").publish(b"not json", KEY)


async def test_many_messages_get_their_receipts_in_order_each_with_its_own_outcome(
    pulse: pulsekit.Pulse, exchange: str
) -> None:
    messages = await listen(pulse, exchange, "bound.#")
    publisher = pulse.publisher(exchange, schema="pulse-job")

    def pairs() -> Iterator[tuple[Any, str]]:
        for number in range(300):
            job = JOBS[0] | {"retryId": number}
            if number % 7 == 3:
                yield job | {"surprise": 1}, "bound.x"
            elif number % 5 == 2:
                yield job, "nobody"
            else:
                yield job, "bound.x"

    receipts = [receipt async for receipt in publisher.publish_many(pairs(), mandatory=True)]
    assert [receipt.index for receipt in receipts] == list(range(300))
    for number, receipt in enumerate(receipts):
        expected = Outcome.INVALID if number % 7 == 3 else Outcome.RETURNED if number % 5 == 2 else Outcome.CONFIRMED
        assert receipt.outcome is expected
        assert bool(receipt.problems) == (expected is Outcome.INVALID)
    confirmed = [receipt for receipt in receipts if receipt.outcome is Outcome.CONFIRMED]
    for receipt in confirmed:
        message = await anext(messages)
        assert message.payload["retryId"] == receipt.index
        assert message.properties.message_id == receipt.message_id
        await message.ack()


@pytest.mark.parametrize("number", [0, 1, 4])
async def test_publish_many_ends_if_outcomes_precede_the_end_of_the_source(
    pulse: pulsekit.Pulse, exchange: str, number: int
) -> None:
    source = [({}, KEY)] * number
    async with asyncio.timeout(30):
        receipts = [receipt async for receipt in pulse.publisher(exchange).publish_many(source, window=1)]
    assert [receipt.index for receipt in receipts] == list(range(number))


async def test_invalid_messages_do_not_block_the_event_loop(pulse: pulsekit.Pulse, exchange: str) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    source = (({}, KEY) for _ in range(2000))
    async for receipt in pulse.publisher(exchange, schema="pulse-job").publish_many(source, window=10):
        assert receipt.outcome is Outcome.INVALID
    task.cancel()
    assert turns >= 100


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_large_messages_are_prepared_up_to_a_number_of_bytes(
    user: PulseUser, exchange: str, monkeypatch: pytest.MonkeyPatch, *, asynchronous: bool
) -> None:
    monkeypatch.setattr("pulsekit.publisher.window.MAX_BYTES", 1 << 20)
    read = 0

    def pairs() -> Iterator[tuple[bytes, str]]:
        nonlocal read
        for _ in range(40):
            read += 1
            yield bytes(200_000), KEY

    async def slow_pairs() -> AsyncIterator[tuple[bytes, str]]:
        for pair in pairs():
            yield pair

    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as pulse:
        publisher = pulse.publisher(exchange)
        await publisher.open()
        proxy.hold_answers()
        receipts = publisher.publish_many(slow_pairs() if asynchronous else pairs())
        first = asyncio.ensure_future(anext(receipts))
        while read < 6:
            await asyncio.sleep(0)
        carried = proxy.carried
        probe = asyncio.ensure_future(publisher.publish({}, KEY))
        while proxy.carried == carried:
            await asyncio.sleep(0)
        assert read == 6
        proxy.release_answers()
        await probe
        assert [(await first).index, *[receipt.index async for receipt in receipts]] == list(range(40))


async def test_large_messages_are_sent_as_fast_as_the_broker_reads(user: PulseUser, exchange: str) -> None:
    """The transport would copy all that is written, and the receipts would say that all was sent."""
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as pulse:
        publisher = pulse.publisher(exchange)
        await publisher.open()
        proxy.hold_requests()
        bodies = [(bytes(4_000_000), KEY)] * 10
        late = [receipt async for receipt in publisher.publish_many(bodies, timeout=0.5)]
        assert {receipt.outcome for receipt in late} == {Outcome.TIMEOUT}
        assert late[0].sent
        assert sum(receipt.sent for receipt in late) <= 5
        assert "not sent; the broker does not read from the connection" in late[-1].detail
        proxy.release_requests()
        receipts = [receipt async for receipt in publisher.publish_many(bodies)]
        assert [(receipt.index, receipt.outcome) for receipt in receipts] == [
            (number, Outcome.CONFIRMED) for number in range(10)
        ]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_source_is_read_one_window_ahead_and_no_further(
    user: PulseUser, exchange: str, *, asynchronous: bool
) -> None:
    read = 0

    def pairs() -> Iterator[tuple[Any, str]]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield {}, KEY

    async def slow_pairs() -> AsyncIterator[tuple[Any, str]]:
        for pair in pairs():
            await asyncio.sleep(0)
            yield pair

    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as pulse:
        publisher = pulse.publisher(exchange)
        await publisher.open()
        proxy.hold_answers()
        receipts = publisher.publish_many(slow_pairs() if asynchronous else pairs(), window=8)
        first = asyncio.ensure_future(anext(receipts))
        while read < 16:
            await asyncio.sleep(0)
        carried = proxy.carried
        probe = asyncio.ensure_future(publisher.publish({}, KEY))
        while proxy.carried == carried:
            await asyncio.sleep(0)
        assert (read, publisher.in_flight) == (16, 9)
        proxy.release_answers()
        await first
        await probe
        assert 1 + sum([1 async for _ in receipts]) == 100


async def test_prepared_messages_are_not_sent_after_the_iteration_stops(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str
) -> None:
    messages = await listen(pulse, exchange)
    given: list[int] = []

    def pairs() -> Iterator[tuple[Any, str]]:
        for number in range(100):
            given.append(number)
            yield number, KEY

    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as other:
        publisher = other.publisher(exchange)
        await publisher.open()
        proxy.hold_answers()
        first = asyncio.ensure_future(anext(publisher.publish_many(pairs(), window=2)))
        while len(given) < 4:
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        proxy.release_answers()
        await publisher.publish("last", KEY)
    assert [(await anext(messages)).payload for _ in range(3)] == [0, 1, "last"]


async def test_an_asynchronous_source_yields_receipts_while_it_waits(pulse: pulsekit.Pulse, exchange: str) -> None:
    confirmed = asyncio.Event()

    async def pairs() -> AsyncIterator[tuple[Any, str]]:
        yield {"first": 1}, KEY
        await confirmed.wait()  # the second payload is read only after the receipt of the first
        yield {"second": 2}, KEY

    indices = []
    async for receipt in pulse.publisher(exchange).publish_many(pairs()):
        indices.append(receipt.index)
        confirmed.set()
    assert indices == [0, 1]


async def test_an_exception_of_the_source_is_raised_after_its_receipts(pulse: pulsekit.Pulse, exchange: str) -> None:
    def pairs() -> Iterator[tuple[Any, str]]:
        yield {}, KEY
        yield {}, KEY
        raise pulsekit.DocumentError("bad line", source="x", line=3)

    receipts = []
    with pytest.raises(pulsekit.DocumentError, match="x:3"):
        async for receipt in pulse.publisher(exchange).publish_many(pairs()):
            receipts.append(receipt.outcome)
    assert receipts == [Outcome.CONFIRMED, Outcome.CONFIRMED]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_source_that_is_cancelled_ends_after_its_receipts(
    pulse: pulsekit.Pulse, exchange: str, *, asynchronous: bool
) -> None:
    download = asyncio.get_running_loop().create_future()
    download.cancel()

    def pairs() -> Iterator[tuple[Any, str]]:
        yield {}, KEY
        download.result()

    async def slow_pairs() -> AsyncIterator[tuple[Any, str]]:
        yield {}, KEY
        await download

    receipts = []
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(30):
            async for receipt in pulse.publisher(exchange).publish_many(slow_pairs() if asynchronous else pairs()):
                receipts.append(receipt.outcome)
    assert receipts == [Outcome.CONFIRMED]


async def test_two_messages_with_one_id_keep_their_own_outcomes(pulse: pulsekit.Pulse, exchange: str) -> None:
    messages = await listen(pulse, exchange, "bound")
    drafts = [
        Draft({"n": number}, "bound" if number % 2 else "nobody", properties=Properties(message_id="same"))
        for number in range(10)
    ]
    publisher = pulse.publisher(exchange, mandatory=True)
    outcomes = [receipt.outcome async for receipt in publisher.publish_many(drafts)]
    assert outcomes == [Outcome.RETURNED, Outcome.CONFIRMED] * 5
    assert [(await anext(messages)).payload["n"] for _ in range(5)] == [1, 3, 5, 7, 9]


async def test_two_messages_that_differ_in_cc_keep_their_own_outcomes(pulse: pulsekit.Pulse, exchange: str) -> None:
    messages = await listen(pulse, exchange, "bound")
    keys = [("bound",), (), ("other",), ("other", "bound"), ("bound",)]
    drafts = [Draft({}, "nobody", cc=cc) for cc in keys]
    drafts += [Draft({}, "nobody", headers={"CC": cc}) for cc in (["x", "bound"], ["x"], ("y",))]
    publisher = pulse.publisher(exchange, mandatory=True, message_ids="content")
    receipts = [receipt async for receipt in publisher.publish_many(drafts)]
    assert len({receipt.message_id for receipt in receipts}) == 1
    routed = [any("bound" in key for key in (*draft.cc, *draft.headers.get("CC", ()))) for draft in drafts]
    assert [receipt.outcome for receipt in receipts] == [
        Outcome.CONFIRMED if reached else Outcome.RETURNED for reached in routed
    ]
    assert [(await anext(messages)).cc for _ in range(4)] == [keys[0], keys[3], keys[4], ("x", "bound")]


@pytest.mark.parametrize(
    "draft",
    [
        Draft({}, "k" * 256),
        Draft({}, "é" * 128),
        Draft({}, "\ud800"),
        Draft({}, KEY, headers={"big": "x" * 200_000}),
        Draft({}, KEY, headers={"odd": object()}),
        Draft({}, KEY, headers={"n": 2**70}),
        Draft({}, KEY, headers={"nan": math.nan}),
        Draft({}, KEY, headers={"infinite": {"n": [-math.inf]}}),
        Draft({}, KEY, properties=Properties(message_id="m" * 300)),
        Draft({}, KEY, cc=["c" * 140_000]),
    ],
    ids=lambda draft: draft.routing_key[:3] + str(list(draft.headers)),
)
async def test_a_message_that_amqp_cannot_encode_does_not_end_the_connection(
    pulse: pulsekit.Pulse, exchange: str, draft: Draft
) -> None:
    publisher = pulse.publisher(exchange)
    receipts = [receipt.outcome async for receipt in publisher.publish_many([({}, KEY), draft, ({}, KEY)])]
    assert receipts == [Outcome.CONFIRMED, Outcome.INVALID, Outcome.CONFIRMED]
    with pytest.raises(pulsekit.InvalidMessage):
        await publisher.publish({}, draft.routing_key, cc=draft.cc, headers=draft.headers, properties=draft.properties)


async def test_a_key_of_255_bytes_and_a_body_of_several_frames_work(pulse: pulsekit.Pulse, exchange: str) -> None:
    messages = await listen(pulse, exchange)
    key, payload = "é" * 127 + "x", {"big": "x" * 1_000_000}
    await pulse.publisher(exchange).publish(payload, key)
    message = await anext(messages)
    assert message.routing_key == key
    assert message.payload == payload


async def test_an_exchange_of_another_user_is_never_created(pulse: pulsekit.Pulse, broker: RabbitMQ) -> None:
    foreign = f"exchange/{broker.user().name}/v1/jobs"
    with pytest.raises(pulsekit.NotFound, match=foreign):
        await pulse.publisher(foreign).publish({}, KEY)
    assert not await pulse.exchange_exists(foreign)


async def test_publishing_to_an_exchange_of_another_user_is_refused(pulse: pulsekit.Pulse, broker: RabbitMQ) -> None:
    other = broker.user()
    foreign = f"exchange/{other.name}/v1/jobs"
    async with pulsekit.connect(other.url) as their_pulse:
        await their_pulse.create_exchange(foreign)
    with pytest.raises(pulsekit.AccessRefused, match="ACCESS_REFUSED"):
        await pulse.publisher(foreign).publish({}, KEY)
    with pytest.raises(pulsekit.AccessRefused):
        _ = [receipt async for receipt in pulse.publisher(foreign).publish_many([({}, KEY)])]


async def test_an_exchange_deleted_during_a_publish_ends_it_with_an_error(pulse: pulsekit.Pulse, exchange: str) -> None:
    publisher = pulse.publisher(exchange)
    await publisher.publish({}, KEY)
    await pulse.delete_exchange(exchange)
    with pytest.raises(pulsekit.NotFound, match=exchange):
        await publisher.publish({}, KEY)
    with pytest.raises(pulsekit.NotFound):
        await publisher.publish({}, KEY)


async def test_after_a_lost_connection_unconfirmed_messages_keep_their_ids(
    user: PulseUser, exchange: str, pulse: pulsekit.Pulse
) -> None:
    messages = await listen(pulse, exchange)
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as shaky:
        publisher = shaky.publisher(exchange)
        await publisher.publish({"n": -1}, KEY)
        proxy.hold_answers()
        pending = [asyncio.ensure_future(publisher.publish({"n": n}, KEY)) for n in range(20)]
        got = [(await anext(messages)).payload["n"] for _ in range(21)]
        assert got == list(range(-1, 20))
        proxy.cut()
        proxy.release_answers()
        receipts = await asyncio.gather(*pending)
        assert all(receipt.outcome is Outcome.CONFIRMED and receipt.resent for receipt in receipts)
        again = [await anext(messages) for _ in range(20)]
        assert [message.payload["n"] for message in again] == list(range(20))
        assert [message.properties.message_id for message in again] == [receipt.message_id for receipt in receipts]
        assert proxy.accepted >= 2


async def test_a_message_published_during_an_outage_is_sent_after_it(user: PulseUser, exchange: str) -> None:
    states: list[str] = []
    away = asyncio.Event()

    def on_state(_: str, state: pulsekit.State) -> None:
        states.append(state)
        if state is pulsekit.State.BACKING_OFF:
            away.set()

    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url, on_state=on_state) as pulse:
        publisher = pulse.publisher(exchange)
        await publisher.publish({}, KEY)
        proxy.refuse()
        proxy.cut()
        await away.wait()
        pending = asyncio.ensure_future(publisher.publish({}, KEY))
        proxy.accept()
        receipt = await pending
        assert not receipt.resent
    assert states[:3] == ["connecting", "ready", "backing off"]
    assert states[-1] == "closed"


async def test_a_missing_confirm_is_a_timeout_and_a_lost_one_unknown(user: PulseUser, exchange: str) -> None:
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as pulse:
        publisher = pulse.publisher(exchange)
        await publisher.open()
        proxy.hold_answers()
        with pytest.raises(pulsekit.PublishTimeout):
            await publisher.publish({}, KEY, timeout=0.05)
        late = asyncio.ensure_future(publisher.publish({}, KEY, timeout=1))
        while publisher.in_flight != 1:
            await asyncio.sleep(0)
        proxy.refuse()
        proxy.cut()
        with pytest.raises(pulsekit.OutcomeUnknown, match="may or may not"):
            await late


@pytest.mark.parametrize("fault", [Proxy.hold_requests, Proxy.hold_answers])
async def test_timed_out_messages_are_not_kept_by_an_unresponsive_broker(
    user: PulseUser, exchange: str, fault: Callable[[Proxy], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_MAX_LATE", 20)
    drafts = (Draft(b"x" * 100_000, KEY) for _ in range(100))
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as pulse:
        publisher = pulse.publisher(exchange, mandatory=True)
        await publisher.open()
        fault(proxy)
        flow = publisher.publish_many(drafts, window=10, timeout=0.05)
        assert [receipt.outcome async for receipt in flow] == [Outcome.TIMEOUT] * 100
        gc.collect()
        kept = [thing for thing in gc.get_objects() if isinstance(thing, publishing.OutgoingMessage)]
        assert len(kept) <= 30
        assert sum(len(message.body) for message in kept) <= 1_000_000
        proxy.release_requests()
        proxy.release_answers()
        with pytest.raises(pulsekit.MessageReturned):  # late answers are not attributed to it
            await publisher.publish({}, KEY)


async def test_a_late_confirm_is_not_attributed_to_another_message(user: PulseUser, exchange: str) -> None:
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as pulse:
        publisher = pulse.publisher(exchange, mandatory=True)
        await pulse.create_exchange(exchange)
        async with pulse.subscribe(f"{exchange}:bound"):
            await publisher.open()
            proxy.hold_answers()
            with pytest.raises(pulsekit.PublishTimeout):
                await publisher.publish({}, "bound", timeout=0.05)
            pending = asyncio.ensure_future(publisher.publish({}, "nobody"))
            await asyncio.sleep(0)
            proxy.release_answers()
            with pytest.raises(pulsekit.MessageReturned):
                await pending


async def test_cancelling_the_wait_for_a_receipt_does_not_cancel_the_message(
    pulse: pulsekit.Pulse, exchange: str
) -> None:
    messages = await listen(pulse, exchange)
    publisher = pulse.publisher(exchange)
    await publisher.open()
    waiting = asyncio.ensure_future(publisher.publish({"n": 1}, KEY))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await anext(messages)).payload == {"n": 1}
    await publisher.publish({"n": 2}, KEY)
    assert (await anext(messages)).payload == {"n": 2}


async def test_leaving_the_block_waits_for_confirms(user: PulseUser, exchange: str) -> None:
    async with pulsekit.connect(user.url) as pulse:
        publisher = pulse.publisher(exchange)
        pending = [asyncio.ensure_future(publisher.publish({}, KEY)) for _ in range(50)]
        await asyncio.sleep(0)
    receipts = await asyncio.gather(*pending)
    assert all(receipt.outcome is Outcome.CONFIRMED for receipt in receipts)


async def test_leaving_the_block_by_an_exception_does_not_wait(user: PulseUser, exchange: str) -> None:
    async with Proxy(user.url) as proxy:
        with pytest.raises(ZeroDivisionError):
            async with pulsekit.connect(proxy.url) as pulse:
                publisher = pulse.publisher(exchange)
                await publisher.open()
                proxy.hold_answers()
                pending = asyncio.ensure_future(publisher.publish({}, KEY))
                while publisher.in_flight != 1:
                    await asyncio.sleep(0)
                raise ZeroDivisionError
        with pytest.raises(pulsekit.OutcomeUnknown):
            await pending


@pytest.mark.parametrize("endless", [False, True])
async def test_leaving_the_block_ends_the_source_of_an_unfinished_iteration(
    user: PulseUser, exchange: str, *, endless: bool
) -> None:
    async def source() -> AsyncIterator[tuple[Any, str]]:
        yield {}, KEY
        while endless:
            yield {}, KEY
        await asyncio.Event().wait()

    async with asyncio.timeout(30):
        async with pulsekit.connect(user.url) as pulse:
            receipts = pulse.publisher(exchange).publish_many(source())  # a name that outlives the block
            await anext(receipts)
        with pytest.raises(pulsekit.NotOpen):
            _ = [receipt async for receipt in receipts]


@pytest.mark.parametrize("endless", [True, False])
async def test_leaving_the_block_ends_the_iteration_of_another_task(
    user: PulseUser, exchange: str, endless: bool
) -> None:
    outcomes = set()
    begun = asyncio.Event()

    async def waiting() -> AsyncIterator[tuple[Any, str]]:
        yield {}, KEY
        await asyncio.Event().wait()

    async def iterate(publisher: pulsekit.Publisher) -> None:
        source = (({}, KEY) for _ in iter(int, 1)) if endless else waiting()
        async for receipt in publisher.publish_many(source):
            outcomes.add(receipt.outcome)
            begun.set()

    async with asyncio.timeout(30):
        async with pulsekit.connect(user.url) as pulse:
            iterating = asyncio.ensure_future(iterate(pulse.publisher(exchange)))
            await begun.wait()
        with pytest.raises(pulsekit.NotOpen):
            await iterating
    assert outcomes == {Outcome.CONFIRMED}


async def test_a_source_can_close_its_publisher(pulse: pulsekit.Pulse, exchange: str) -> None:
    publisher = pulse.publisher(exchange)

    async def source() -> AsyncIterator[tuple[Any, str]]:
        yield {}, KEY
        await publisher.close()

    async with asyncio.timeout(30):
        assert [receipt.outcome async for receipt in publisher.publish_many(source())] == [Outcome.CONFIRMED]


async def test_closing_returns_messages_without_an_outcome(user: PulseUser, exchange: str) -> None:
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as pulse:
        publisher = pulse.publisher(exchange)
        await publisher.open()
        proxy.hold_answers()
        async with asking(proxy):
            sent = [asyncio.ensure_future(publisher.publish({"n": n}, KEY)) for n in range(3)]
        receipts = await publisher.close(timeout=0.05)
        assert [receipt.outcome for receipt in receipts] == [Outcome.UNKNOWN] * 3
        ended = await asyncio.gather(*sent, return_exceptions=True)
        assert [error.receipt for error in ended if isinstance(error, pulsekit.OutcomeUnknown)] == list(receipts)
        assert await publisher.close() == ()
        proxy.release_answers()


async def test_closing_distinguishes_sent_messages_from_unsent_ones(user: PulseUser, exchange: str) -> None:
    away = asyncio.Event()

    def on_state(_: str, state: pulsekit.State) -> None:
        if state is pulsekit.State.BACKING_OFF:
            away.set()

    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url, on_state=on_state) as pulse:
        publisher = pulse.publisher(exchange)
        await publisher.open()
        proxy.hold_answers()
        async with asking(proxy):
            waiting = [asyncio.ensure_future(publisher.publish({"n": 1}, KEY))]
        proxy.refuse()
        proxy.cut()
        await away.wait()
        waiting.append(asyncio.ensure_future(publisher.publish({"n": 2}, KEY)))
        while publisher.in_flight != 2:
            await asyncio.sleep(0)
        receipts = await publisher.close(timeout=0.05)
        assert [receipt.outcome for receipt in receipts] == [Outcome.UNKNOWN, Outcome.TIMEOUT]
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(error) for error in ended] == [pulsekit.OutcomeUnknown, pulsekit.PublishTimeout]


async def test_an_exchange_deleted_during_an_outage_is_created_again(
    user: PulseUser, exchange: str, pulse: pulsekit.Pulse
) -> None:
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as shaky:
        publisher = shaky.publisher(exchange)
        await publisher.open()
        proxy.refuse()
        proxy.cut()
        await pulse.delete_exchange(exchange)  # like a broker that stored nothing on disk
        proxy.accept()
        assert (await publisher.publish({}, KEY)).outcome is Outcome.CONFIRMED
        assert await pulse.exchange_exists(exchange)


async def test_an_exchange_of_another_type_fails_only_its_publisher(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser
) -> None:
    other = pulse.publisher(exchange)
    await other.open()
    odd, link = f"exchange/{user.name}/odd", await pulse.link()
    channel = await link.channel(confirms=False)
    await channel.exchange_declare(exchange=odd, exchange_type="direct", durable=True)
    with pytest.raises(pulsekit.PreconditionFailed, match=odd):
        await pulse.publisher(odd).publish({}, KEY)
    assert (await other.publish({}, KEY)).outcome is Outcome.CONFIRMED
    assert await pulse.link() is link


async def test_an_unanswered_request_is_sent_again(
    user: PulseUser, exchange: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A request of aiormq that times out closes its channel, and must not close another one."""
    caplog.set_level(logging.DEBUG, "pulsekit")
    monkeypatch.setattr("pulsekit._amqp.link.OPERATION_TIMEOUT", 0.1)
    monkeypatch.setattr("pulsekit._amqp.methods.OPERATION_TIMEOUT", 0.1)
    monkeypatch.setattr("pulsekit._amqp.link.CLOSE_TIMEOUT", 0.1)
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as pulse:
        publisher, other = pulse.publisher(exchange), pulse.publisher(exchange)
        await publisher.open()
        link = await pulse.link()
        proxy.hold_answers()
        opening = asyncio.ensure_future(other.open())
        while caplog.text.count("did not answer in time") < 2:
            await asyncio.sleep(0.01)
        proxy.release_answers()
        await opening
        for one in (publisher, other):
            assert (await one.publish({}, KEY)).outcome is Outcome.CONFIRMED
        assert await pulse.link() is link


async def test_cancelling_the_opening_of_a_publisher_affects_no_other(user: PulseUser, exchange: str) -> None:
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as pulse:
        publisher, other = pulse.publisher(exchange), pulse.publisher(exchange)
        await other.open()
        link = await pulse.link()
        proxy.hold_answers()
        async with asking(proxy):
            opening = asyncio.ensure_future(publisher.open())
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        proxy.release_answers()
        await publisher.open()
        for one in (publisher, other):
            assert (await one.publish({}, KEY)).outcome is Outcome.CONFIRMED
        assert await pulse.link() is link


@pytest.fixture(params=[0, 4096, 8192])
def frame_max(request: pytest.FixtureRequest, rabbitmq: RabbitMQ) -> Iterator[int]:
    """Let RabbitMQ negotiate this frame size with new connections. 0 means no limit."""
    before = rabbitmq.eval("{ok, Size} = application:get_env(rabbit, frame_max)", "Size")
    rabbitmq.eval(f"application:set_env(rabbit, frame_max, {request.param})")
    yield request.param
    rabbitmq.eval(f"application:set_env(rabbit, frame_max, {before})")


async def test_a_small_frame_limit_splits_bodies_and_refuses_large_headers(rabbitmq: RabbitMQ, frame_max: int) -> None:
    user = rabbitmq.user()
    exchange = f"exchange/{user.name}/x"
    async with pulsekit.connect(user.url) as pulse:
        messages = await listen(pulse, exchange)
        publisher = pulse.publisher(exchange)
        payload = {"big": "x" * 300_000}
        large = Draft({}, KEY, headers={"big": "x" * 9000})
        receipts = [receipt async for receipt in publisher.publish_many([(payload, KEY), large, ({}, KEY)])]
        assert (await anext(messages)).payload == payload
        refused = Outcome.INVALID if frame_max else Outcome.CONFIRMED
        assert [receipt.outcome for receipt in receipts] == [Outcome.CONFIRMED, refused, Outcome.CONFIRMED]
        assert not any(receipt.resent for receipt in receipts)
        if frame_max:
            with pytest.raises(pulsekit.InvalidMessage, match=f"this broker allows {frame_max}"):
                receipts[1].check()
            with pytest.raises(pulsekit.InvalidMessage):
                await publisher.publish({}, KEY, headers=large.headers)


async def test_a_closed_publisher_is_an_error(user: PulseUser, exchange: str) -> None:
    async with pulsekit.connect(user.url) as pulse:
        publisher = pulse.publisher(exchange)
        await publisher.publish({}, KEY)
        await publisher.close()
        await publisher.close()
        with pytest.raises(pulsekit.NotOpen):
            await publisher.publish({}, KEY)
    with pytest.raises(pulsekit.NotOpen):
        pulse.publisher(exchange)


async def test_a_failed_publisher_raises_another_exception_each_time(pulse: pulsekit.Pulse, broker: RabbitMQ) -> None:
    publisher = pulse.publisher(f"exchange/{broker.user().name}/not/there")
    errors = []
    for _ in range(2_000):
        with pytest.raises(pulsekit.NotFound) as caught:
            await publisher.publish({}, KEY)
        errors.append(caught.value)
    assert len(set(map(id, errors))) == 2_000
    assert len(set(map(str, errors))) == 1
    assert {error.code for error in errors} == {404}
    assert max(len(traceback.extract_tb(error.__traceback__)) for error in errors) < 10


async def test_each_message_that_waits_for_a_failed_publisher_gets_an_exception(
    pulse: pulsekit.Pulse, broker: RabbitMQ
) -> None:
    publisher = pulse.publisher(f"exchange/{broker.user().name}/not/there")
    waits = [publisher.open(), publisher.open(), publisher.publish({}, KEY), publisher.publish({}, KEY)]
    errors = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(error) for error in errors] == [pulsekit.NotFound] * 4
    assert len(set(map(id, errors))) == 4
    assert len(set(map(str, errors))) == 1


@pytest.mark.parametrize("timeout", ["5", float("nan")])
async def test_a_timeout_that_is_no_number_affects_no_other_message(
    pulse: pulsekit.Pulse, exchange: str, timeout: Any
) -> None:
    publisher = pulse.publisher(exchange)
    with pytest.raises(TypeError, match="timeout is a number"):
        await publisher.publish({}, KEY, timeout=timeout)
    assert publisher.in_flight == 0
    (await publisher.publish({}, KEY)).check()


async def test_a_publisher_needs_a_timeout(pulse: pulsekit.Pulse, exchange: str) -> None:
    with pytest.raises(TypeError, match="timeout is a number, not None"):
        pulse.publisher(exchange, timeout=None)  # type: ignore[arg-type] # that is the test


@pytest.mark.parametrize("instrumentation", [None, Logging()])
@pytest.mark.parametrize("item", [{"a": 1}, {"a": 1, "b": 2}, "ab", ({}, KEY, ()), None])
async def test_a_message_that_is_no_pair_is_refused(
    user: PulseUser, exchange: str, item: Any, instrumentation: Logging | None
) -> None:
    async with pulsekit.connect(user.url, instrumentation=instrumentation) as pulse:
        with pytest.raises(TypeError, match=r"a message is a pair \(payload, routing key\) or a Draft"):
            _ = [receipt async for receipt in pulse.publisher(exchange).publish_many([item])]


SWAPPED = r"routing key is a str, not dict; the payload comes first: publish\(payload, 'treeherder.autoland._'\)"


@pytest.mark.parametrize("schema", [None, "pulse-job"])
@pytest.mark.parametrize(
    ("arguments", "options", "right"),
    [
        (({}, KEY), {"cc": "route.x"}, r"cc=\['route.x'\]"),
        (({}, KEY), {"cc": [1]}, r"cc=\['a.b'\]"),
        (({}, KEY), {"cc": 1}, r"cc=\['a.b'\]"),
        ((KEY, JOBS[0]), {}, SWAPPED),
        (({}, None), {}, "routing key is a str, not NoneType"),
        (({}, KEY), {"properties": {"app_id": "ci"}}, r"properties=Properties\("),
        (({}, KEY), {"properties": {}}, r"properties=Properties\("),
        (({}, KEY), {"headers": [("n", 1)]}, "headers is a mapping"),
        (({}, KEY), {"headers": ""}, "headers is a mapping"),
        (({}, KEY), {"properties": Properties(message_id=5)}, "message id is a str, not 5"),  # type: ignore[arg-type]
        ((json.dumps(JOBS[0]), KEY), {}, "pass the object instead"),
        ((" [1]\n", KEY), {}, "pass the object instead"),
        ((bytearray(b"{}"), KEY), {}, r"a bytearray: pass bytes\(payload\)"),
        ((memoryview(b"{}"), KEY), {}, r"a memoryview: pass bytes\(payload\)"),
    ],
)
async def test_arguments_of_a_wrong_type_are_refused_with_the_right_form(
    pulse: pulsekit.Pulse, exchange: str, schema: str | None, arguments: Any, options: Any, right: str
) -> None:
    publisher = pulse.publisher(exchange, schema=schema)
    with pytest.raises(TypeError, match=right):
        await publisher.publish(*arguments, **options)
    draft = Draft(*arguments, **options)
    for item in [draft] if options else [draft, arguments]:
        with pytest.raises(TypeError, match=right):
            await anext(publisher.publish_many([item]))
    assert publisher.in_flight == 0
    assert not await pulse.exchange_exists(exchange)  # the publisher never connected


@pytest.mark.parametrize("text", ["", "plain", "1", "[brackets] first", "{", "[" * 200_000])
async def test_a_string_that_is_not_a_json_object_or_list_is_sent(
    pulse: pulsekit.Pulse, exchange: str, text: str
) -> None:
    messages = await listen(pulse, exchange)
    await pulse.publisher(exchange).publish(text, KEY)
    assert (await anext(messages)).payload == text


async def test_a_recorded_body_that_is_json_text_is_published_again(pulse: pulsekit.Pulse, exchange: str) -> None:
    messages = await listen(pulse, exchange)
    record = pulsekit.Record(exchange, KEY, (), '{"twice": "encoded"}', Properties(), {})
    await anext(pulse.publisher(exchange).publish_many([Draft.from_record(record)]))
    assert (await anext(messages)).body == b'"{\\"twice\\": \\"encoded\\"}"'
