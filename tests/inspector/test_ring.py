from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from pulsekit.inspector.ring import Ring
from pulsekit.messages import Gap, Message

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def message(size: int = 0) -> Message:
    return Message(exchange="exchange/me/x", routing_key="k", body=b"x" * size, received=NOW)


@pytest.mark.parametrize(("count", "size"), [(3, 1 << 30), (1000, 3500)])
def test_the_oldest_messages_are_dropped_and_counted_at_each_limit(count: int, size: int) -> None:
    ring = Ring(count, size)
    for _ in range(10):
        ring.add(message())
    assert (ring.first, ring.last, ring.messages, ring.dropped) == (8, 10, 10, 7)
    assert [entry.number for entry in ring.after(0, 10)] == [8, 9, 10]
    assert [entry.number for entry in ring.after(8, 1)] == [9]
    assert ring.get(7) is None
    assert ring.size <= size


def test_only_messages_over_the_limit_count_as_dropped() -> None:
    ring = Ring(10, 2000)
    ring.add(Gap(NOW, NOW, 2, lossy=True))
    ring.add(message(5000))
    assert (ring.first, ring.last, ring.messages, ring.dropped) == (2, 2, 1, 0)


def test_clearing_counts_nothing_as_dropped_and_numbers_continue() -> None:
    ring = Ring()
    ring.add(message())
    ring.clear()
    assert (ring.size, ring.dropped, ring.after(0, 10)) == (0, 0, [])
    ring.add(message())
    assert [entry.number for entry in ring.after(0, 10)] == [2]


async def test_every_reader_that_waits_is_woken_by_one_message() -> None:
    ring = Ring()
    readers = [asyncio.create_task(ring.wait(60)) for _ in range(3)]
    await asyncio.sleep(0)
    ring.add(message())
    async with asyncio.timeout(10):
        await asyncio.gather(*readers)
