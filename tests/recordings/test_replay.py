from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Any

import pytest

import pulsekit
from pulsekit import Gap, Properties, Record, Replay
from pulsekit._amqp.outcome import Outcome
from pulsekit.errors import ConfigurationError
from pulsekit.publisher.receipts import Receipt
from pulsekit.recordings.replay import KeyMap, schedule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from support.rabbitmq.broker import RabbitMQ

    from pulsekit.publisher.encoder import Draft

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def record(after: float | None, key: str = "k", content: Any = b"{}", **more: Any) -> Record:
    """Return the record of a message that arrived at seconds after noon."""
    received = None if after is None else NOON + timedelta(seconds=after)
    known: dict[str, Any] = {"cc": (), "properties": Properties(), "headers": {}}
    return Record("exchange/other/x", key, content=content, received=received, **(known | more))


def due(*entries: Record | Gap, **how: float) -> list[float]:
    return [round(seconds, 6) for seconds, _ in schedule(entries, **how)]


def test_messages_are_due_at_their_recorded_intervals() -> None:
    assert due(record(7), record(7.25), record(10), record(10)) == [0, 0.25, 3, 3]


def test_a_higher_speed_shortens_the_intervals() -> None:
    entries = record(0), record(3), record(4)
    assert due(*entries, speed=2) == [0, 1.5, 2]
    assert due(*entries, speed=0.5) == [0, 6, 8]
    assert due(*entries, speed=inf) == [0, 0, 0]


def test_no_interval_exceeds_the_maximum_gap() -> None:
    assert due(record(0), record(100), record(101), record(1000), max_gap=5) == [0, 5, 6, 11]
    assert due(record(0), record(100), max_gap=5, speed=50) == [0, 2]


def test_messages_can_be_due_at_a_constant_interval() -> None:
    assert due(record(0), record(3600), record(None), record(3601), pace=0.5) == [0, 0.5, 1, 1.5]


def test_a_clock_set_back_delays_nothing() -> None:
    assert due(record(0), record(10), record(5), record(6)) == [0, 10, 10, 11]


def test_a_message_without_a_time_follows_at_once() -> None:
    assert due(record(None), record(0), record(None), record(2)) == [0, 0, 0, 2]


def test_a_gap_keeps_its_duration() -> None:
    gap = Gap(NOON, NOON + timedelta(seconds=9), 2, lossy=True)
    assert due(record(0), gap, record(9)) == [0, 9]


class Clock:
    """A clock that advances only when the replay sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Publisher:
    """Confirm messages, and record when they were published; some publishes need time."""

    def __init__(self, clock: Clock | None = None, takes: Iterable[float] = ()) -> None:
        self.clock = clock or Clock()
        self.sent: list[tuple[float, Draft]] = []
        self._takes = iter(takes)

    async def publish_many(self, messages: Any, *, window: int, stop_when_silent: bool) -> AsyncIterator[Receipt]:
        assert stop_when_silent
        items = messages if hasattr(messages, "__aiter__") else each(messages)
        async for draft in items:
            self.sent.append((self.clock.now - 1000, draft))
            self.clock.now += next(self._takes, 0)
            yield Receipt(len(self.sent) - 1, "", "e", draft.routing_key, Outcome.CONFIRMED)

    @property
    def times(self) -> list[float]:
        return [round(when, 6) for when, _ in self.sent]


async def each(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def replayed(entries: Iterable[Record | Gap], publisher: Publisher, **how: Any) -> Replay:
    replay = Replay(entries, clock=publisher.clock.time, sleep=publisher.clock.sleep, **how)
    async for receipt in replay.send(publisher):
        assert receipt.index == replay.count - 1
    return replay


async def test_each_message_is_sent_when_it_is_due() -> None:
    publisher = Publisher()
    replay = await replayed([record(5), record(5.5), record(8)], publisher)
    assert publisher.times == [0, 0.5, 3]
    assert (replay.count, replay.planned, replay.late, replay.latest) == (3, 3, 0, 0)


async def test_a_late_message_is_reported_and_delays_no_other() -> None:
    publisher = Publisher(takes=[2.5])
    replay = await replayed([record(0), record(1), record(2), record(3), record(4)], publisher)
    assert publisher.times == [0, 2.5, 2.5, 3, 4]
    assert replay.latest == pytest.approx(1.5)
    assert replay.late == 0


async def test_a_sleep_that_ends_early_sends_nothing_early() -> None:
    class Impatient(Clock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(min(seconds, 0.4))

    publisher = Publisher(Impatient())
    await replayed([record(0), record(1)], publisher)
    assert publisher.times == [0, 1]


async def test_an_infinite_speed_waits_for_nothing() -> None:
    publisher = Publisher(takes=[10])
    replay = await replayed([record(0), record(100)], publisher, speed=inf)
    assert publisher.clock.slept == []
    assert (replay.count, replay.latest) == (2, 0)


async def test_the_recorded_message_is_sent() -> None:
    headers = {"CC": ["treeherder.x", "other"], "BCC": ["treeherder.y"], "h": b"\xff"}
    own = Properties(message_id="m", user_id="somebody", priority=3)
    entry = record(0, "treeherder.a", b'{"a":  1}', cc=("treeherder.x", "other"), headers=headers, properties=own)
    publisher = Publisher()
    keys = KeyMap(["treeherder=staging.me"])
    await replayed([entry, record(0, "b", {"a": 1})], publisher, rekey=keys, keep=("cc", "bcc"))
    (_, first), (_, second) = publisher.sent
    assert first.payload == b'{"a":  1}'
    assert (first.routing_key, tuple(first.cc)) == ("staging.me.a", ("staging.me.x", "other"))
    assert first.headers == {"CC": headers["CC"], "BCC": ["staging.me.y"], "h": b"\xff"}
    assert first.properties == Properties(message_id="m", priority=3)
    assert (second.payload, second.routing_key) == ({"a": 1}, "b")
    await replayed([entry], publisher := Publisher())
    _, last = publisher.sent[-1]
    assert (last.cc, last.headers) == ((), {"h": b"\xff"})
    with pytest.raises(ConfigurationError, match="user_id"):
        await replayed([entry], Publisher(), keep=["user_id"])


async def test_damage_is_reported_after_the_messages_before_it() -> None:
    def entries() -> Iterator[Record]:
        yield record(0)
        raise pulsekit.DamagedRecording("cut", source="f", line=2, count=1)

    for speed in (1, inf):
        publisher = Publisher()
        with pytest.raises(pulsekit.DamagedRecording):
            await replayed(entries(), publisher, speed=speed)
        assert len(publisher.sent) == 1


@pytest.mark.parametrize("speed", [0, -1, float("nan"), "max", None])
def test_a_speed_must_be_positive(speed: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"math\.inf removes them"):
        Replay([], speed=speed)


@pytest.mark.parametrize("times", [{"max_gap": -1}, {"pace": -1}, {"pace": "5"}, {"max_gap": None}])
def test_a_time_between_two_messages_must_not_be_negative(times: Any) -> None:
    with pytest.raises((ConfigurationError, TypeError), match=f"{next(iter(times))} .*"):
        Replay([], **times)


@pytest.mark.parametrize(
    ("changes", "key", "becomes"),
    [
        (["a=b"], "a", "b"),
        (["a=b"], "a.c", "b.c"),
        (["a=b"], "ab.c", "ab.c"),
        (["a=b"], "c.a", "c.a"),
        (["a=b", "a.c=d"], "a.c.e", "d.e"),
        (["a.c=d", "a=b"], "a.e", "b.e"),
        (["a=x.y"], "a.b", "x.y.b"),
        (["a="], "a.b", "b"),
        (["a="], "a", ""),
        (["a=b=c"], "a", "b=c"),
        ([], "a", "a"),
        (["a=b"], "", ""),
        (["a=b"], ".a", ".a"),
    ],
)
def test_the_first_words_of_keys_are_replaced(changes: list[str], key: str, becomes: str) -> None:
    assert KeyMap(changes)(key) == becomes


def test_an_unused_change_of_keys_is_reported() -> None:
    rekey = KeyMap(["a=b", "c=d"])
    rekey("a.x")
    assert rekey.unused == ("c",)


@pytest.mark.parametrize("changes", [["a"], ["=b"], [""], ["a=b", "a=c"]])
def test_an_invalid_change_of_keys_is_refused(changes: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        KeyMap(changes)


async def test_a_recording_goes_through_a_broker_unchanged(broker: RabbitMQ) -> None:
    user = broker.user()
    exchange = f"exchange/{user.name}/x"
    bodies = [b'{"a":  1.50}', b"\xff", b"", "é".encode()]
    async with pulsekit.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)
        async with pulse.subscribe(exchange) as messages:
            entries = [record(number / 1000, f"k.{number}", body) for number, body in enumerate(bodies)]
            publisher = pulse.publisher(exchange)
            for speed in (1, inf):
                replay = Replay(entries, speed=speed)
                outcomes = [receipt.outcome async for receipt in replay.send(publisher)]
                assert outcomes == [Outcome.CONFIRMED] * 4
                got = [await anext(messages) for _ in bodies]
                assert [message.body for message in got] == bodies
                assert [message.routing_key for message in got] == ["k.0", "k.1", "k.2", "k.3"]
