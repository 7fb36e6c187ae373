"""The channels below aiormq: exact outcomes, complete deliveries, few writes. The test is the broker, with pamqp."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pamqp.body
import pamqp.frame
import pamqp.header
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from pulsekit._amqp.consuming import ConsumeChannel
from pulsekit._amqp.frame_router import FrameRouter
from pulsekit._amqp.frames import PublishHeader, encode_id
from pulsekit._amqp.outcome import Outcome
from pulsekit._amqp.properties import read_properties
from pulsekit._amqp.publishing import OutgoingMessage, PublishChannel
from pulsekit._amqp.types import Properties, Settlement
from pulsekit.errors import ConnectionLost

if TYPE_CHECKING:
    from pulsekit._amqp.types import Delivery

CHANNEL, FRAME_MAX = 5, 4096


class Transport(asyncio.Transport):
    """Store the written bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def frames(self) -> list[Any]:
        data, found = b"".join(self.writes), []
        self.writes.clear()
        while data:
            size, channel, frame = pamqp.frame.unmarshal(data)
            assert channel == CHANNEL
            found.append(frame)
            data = data[size:]
        return found


@dataclass
class Channel:
    number: int = CHANNEL


class Link:
    is_lost = False
    frame_max = FRAME_MAX

    def __init__(self) -> None:
        self.transport = Transport()
        self.router = FrameRouter(asyncio.StreamReader())
        self.router.connection_made(self.transport)

    def receive(self, *frames: Any) -> None:
        self.router.data_received(b"".join(pamqp.frame.marshal(frame, CHANNEL) for frame in frames))


class Sent(OutgoingMessage):
    """A message of the test, with its outcome."""

    def __init__(self, key: str = "k", message_id: str = "", *, mandatory: bool = True) -> None:
        header = PublishHeader("x", key, mandatory=mandatory, properties=Properties(), headers={})
        super().__init__(header, encode_id(message_id), b"{}")
        self.outcomes: list[tuple[Outcome, str]] = []


@dataclass
class Publishing:
    link: Link = field(default_factory=Link)
    resumed: int = 0

    def __post_init__(self) -> None:
        self.channel = PublishChannel[Sent](self.link, Channel(), self.on_outcome, self.resume)  # type: ignore[arg-type]  # played
        self.link.router.connect(CHANNEL, self.channel)

    def on_outcome(self, message: Sent, outcome: Outcome, detail: str = "") -> None:
        message.outcomes.append((outcome, detail))

    def resume(self) -> None:
        self.resumed += 1

    def send(self, *messages: Sent) -> None:
        self.channel.send(messages)


def returned(message: Sent, message_id: str) -> tuple[Any, ...]:
    header = pamqp.header.ContentHeader(properties=commands.Basic.Properties(message_id=message_id), body_size=2)
    method = commands.Basic.Return(312, "NO_ROUTE", "x", message.header.routing_key)
    return method, header, pamqp.body.ContentBody(b"{}")


async def test_a_batch_is_one_write_in_order() -> None:
    publishing = Publishing()
    publishing.send(*(Sent(f"key{number}") for number in range(100)))
    assert len(publishing.link.transport.writes) == 1
    methods = [frame for frame in publishing.link.transport.frames() if isinstance(frame, commands.Basic.Publish)]
    assert [method.routing_key for method in methods] == [f"key{number}" for number in range(100)]


async def test_a_multiple_confirm_settles_all_earlier_messages_once() -> None:
    publishing = Publishing()
    messages = [Sent() for _ in range(10)]
    publishing.send(*messages)
    publishing.link.receive(commands.Basic.Ack(3), commands.Basic.Ack(3), commands.Basic.Ack(99))
    assert [len(message.outcomes) for message in messages] == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    publishing.link.receive(commands.Basic.Ack(5, multiple=True), commands.Basic.Nack(7))
    assert [len(message.outcomes) for message in messages] == [1, 1, 1, 1, 1, 0, 1, 0, 0, 0]
    publishing.link.receive(commands.Basic.Ack(2, multiple=True), commands.Basic.Ack(0, multiple=True))
    assert [message.outcomes for message in messages] == [
        [(Outcome.REFUSED if number == 6 else Outcome.CONFIRMED, "")] for number in range(10)
    ]
    later = Sent()
    publishing.send(later)
    publishing.link.receive(commands.Basic.Ack(11, multiple=True))
    assert later.outcomes == [(Outcome.CONFIRMED, "")]


async def test_channel_flow_is_answered_and_stops_publishing() -> None:
    publishing = Publishing()
    publishing.link.receive(commands.Channel.Flow(active=False))
    assert not publishing.channel.writable
    assert publishing.resumed == 0
    publishing.link.receive(commands.Channel.Flow(active=True))
    assert publishing.channel.writable
    assert publishing.resumed == 1
    answers = publishing.link.transport.frames()
    assert [(type(answer), answer.active) for answer in answers] == [
        (commands.Channel.FlowOk, False),
        (commands.Channel.FlowOk, True),
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["", "1", "2"]), st.booleans(), st.booleans()), max_size=12
    ),
    st.randoms(use_true_random=False),
)
def test_each_message_gets_its_outcome_for_answers_in_any_order(
    plan: list[tuple[str, str, bool, bool]], chance: Any
) -> None:
    """Each message is routed or not, and accepted or not. Equal keys and ids make returns hard to attribute."""

    async def play() -> None:
        publishing = Publishing()
        messages = [Sent(key, message_id) for key, message_id, _, _ in plan]
        publishing.send(*messages)
        # RabbitMQ returns in the order of publishing, each before its confirm; confirms come in any order.
        for message, (_, message_id, routed, _) in zip(messages, plan, strict=True):
            if not routed:
                publishing.link.receive(*returned(message, message_id))
        for number in chance.sample(range(len(plan)), len(plan)):
            answer = commands.Basic.Ack if plan[number][3] else commands.Basic.Nack
            publishing.link.receive(answer(number + 1))
        for message, (_, _, _, taken) in zip(messages, plan, strict=True):
            assert len(message.outcomes) == 1
            assert (message.outcomes[0][0] is Outcome.REFUSED) == (not taken)
        # Of messages with equal keys and ids, the oldest are reported as returned. Their number is that of unrouted
        # messages.
        for same in {(key, message_id) for key, message_id, _, _ in plan}:
            sent = [entry for entry in plan if entry[:2] == same]
            back = sum(not routed for _, _, routed, _ in sent)
            found = [message for message, entry in zip(messages, plan, strict=True) if entry[:2] == same]
            expected = [
                Outcome.REFUSED if not entry[3] else Outcome.RETURNED if place < back else Outcome.CONFIRMED
                for place, entry in enumerate(sent)
            ]
            assert [message.outcomes[0][0] for message in found] == expected

    asyncio.run(play())


async def test_the_text_of_a_return_reaches_the_returned_message() -> None:
    publishing = Publishing()
    first, other = Sent("k", "1", mandatory=False), Sent("k", "1")
    publishing.send(first, other)
    publishing.link.receive(*returned(other, "1"), commands.Basic.Ack(2, multiple=True))
    assert first.outcomes == [(Outcome.CONFIRMED, "")]
    assert other.outcomes == [(Outcome.RETURNED, "NO_ROUTE")]


async def test_pausing_and_resuming_the_transport_changes_writable() -> None:
    publishing = Publishing()
    assert publishing.channel.writable
    publishing.link.router.pause_writing()
    assert not publishing.channel.writable
    publishing.link.router.resume_writing()
    assert publishing.channel.writable
    assert publishing.resumed == 1


def delivery(number: int, body: bytes, *, key: str = "a.b", redelivered: bool = False) -> list[Any]:
    header = pamqp.header.ContentHeader(
        properties=commands.Basic.Properties(headers={"n": number}, message_id=str(number)), body_size=len(body)
    )
    method = commands.Basic.Deliver("tag", number, redelivered, "exchange/x", key)
    parts = [body[at : at + FRAME_MAX - 8] for at in range(0, len(body), FRAME_MAX - 8)]
    return [method, header, *map(pamqp.body.ContentBody, parts)]


@dataclass
class Consuming:
    prefetch: int = 250
    link: Link = field(default_factory=Link)
    got: list[Delivery] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.channel = ConsumeChannel(self.link, Channel(), "q", self.prefetch, self.got.append)  # type: ignore[arg-type]  # played
        self.link.router.connect(CHANNEL, self.channel)

    def deliver(self, count: int) -> None:
        for number in range(1, count + 1):
            self.link.receive(*delivery(number, b"{}"))

    def settled(self, outstanding: set[int]) -> dict[int, str]:
        """Read the new frames as a broker does, and compare them with the outstanding messages."""
        found: dict[int, str] = {}
        for frame in self.link.transport.frames():
            tags = {frame.delivery_tag}
            if getattr(frame, "multiple", False):
                tags = {tag for tag in outstanding if tag <= frame.delivery_tag}
            assert tags <= outstanding, "this costs the channel (406)"
            outstanding -= tags
            found |= dict.fromkeys(tags, frame.name)
        return found


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 60, FRAME_MAX - 8, FRAME_MAX - 7, 3 * FRAME_MAX]), st.booleans(), st.booleans()
        ),
        max_size=6,
    ),
    st.lists(st.integers(1, 9000), min_size=1, max_size=6),
)
def test_deliveries_are_complete_for_any_division_of_the_stream(
    plan: list[tuple[int, bool, bool]], cuts: list[int]
) -> None:
    async def play() -> list[Delivery]:
        consuming = Consuming()
        stream = b""
        for number, (size, redelivered, interrupted) in enumerate(plan, 1):
            for frame in delivery(number, b"x" * size, key=f"k{size}", redelivered=redelivered):
                # Frames of other channels may come in between (AMQP 0-9-1 §4.2.6).
                stream += pamqp.frame.marshal(commands.Basic.Ack(1), CHANNEL + 1) if interrupted else b""
                stream += pamqp.frame.marshal(frame, CHANNEL)
        at = turn = 0
        while at < len(stream):
            size = cuts[turn % len(cuts)]
            consuming.link.router.data_received(stream[at : at + size])
            at, turn = at + size, turn + 1
        return consuming.got

    got = asyncio.run(play())
    assert [(one.exchange, one.routing_key, one.body, one.redelivered, one.delivery_tag) for one in got] == [
        ("exchange/x", f"k{size}", b"x" * size, redelivered, number)
        for number, (size, redelivered, _) in enumerate(plan, 1)
    ]
    for number, one in enumerate(got, 1):
        properties, headers = read_properties(one.header)
        assert (properties.message_id, headers) == (str(number), {"n": number})


async def test_acks_in_order_are_one_frame_per_iteration() -> None:
    consuming = Consuming()
    consuming.deliver(100)
    for one in consuming.got:
        consuming.channel.settle(one.delivery_tag, Settlement.ACK)
    assert consuming.link.transport.writes == []
    await asyncio.sleep(0)
    (ack,) = consuming.link.transport.frames()
    assert (ack.name, ack.delivery_tag, ack.multiple) == ("Basic.Ack", 100, True)


async def test_acks_are_flushed_when_half_the_prefetch_is_collected() -> None:
    consuming = Consuming(prefetch=10)
    consuming.deliver(10)
    for one in consuming.got[:5]:
        consuming.channel.settle(one.delivery_tag, Settlement.ACK)
    assert [frame.delivery_tag for frame in consuming.link.transport.frames()] == [5]


@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from(list(Settlement)), st.booleans()), max_size=30))
def test_each_delivery_is_settled_once_and_as_requested(plan: list[tuple[int, Settlement, bool]]) -> None:
    names = {Settlement.ACK: "Basic.Ack", Settlement.REQUEUE: "Basic.Nack", Settlement.REJECT: "Basic.Reject"}

    async def play() -> None:
        consuming = Consuming()
        consuming.deliver(12)
        outstanding, found, expected = set(range(1, 13)), {}, {}
        for tag, settlement, turn in plan:
            consuming.channel.settle(tag, settlement)
            expected.setdefault(tag, names[settlement])
            if turn:
                await asyncio.sleep(0)
                found |= consuming.settled(outstanding)
        await asyncio.sleep(0)
        assert found | consuming.settled(outstanding) == expected

    asyncio.run(play())


async def test_an_ack_after_the_connection_was_lost_is_an_error() -> None:
    consuming = Consuming()
    consuming.deliver(1)
    consuming.link.is_lost = True
    with pytest.raises(ConnectionLost):
        consuming.channel.settle(1, Settlement.ACK)
    assert consuming.link.transport.writes == []
