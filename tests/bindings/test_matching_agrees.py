"""The matcher, compared with the topic exchanges of RabbitMQ, which Pulse uses."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING

import aio_pika
import pytest

from pulsekit.bindings.matching import topic_matches
from pulsekit.bindings.table import BindingTable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aio_pika.abc import AbstractIncomingMessage
    from support.rabbitmq.broker import PulseUser

# Few words, so that many pairs match. In a key `*` and `#` are words like any other.
TEXTS = sorted(
    {".".join(text) for size in range(6) for text in itertools.product(("", "a", "b", "*", "#"), repeat=size)}
)
ODD_ONES = ["", ".", "..", "#", "*", "#.#", "#.", ".#", "*.#", "#.*", "#.a.#", "*.*", "a", "a.#", "#.a"]


@pytest.mark.parametrize(
    ("pattern_count", "key_count"),
    [(60, 50), pytest.param(250, 120, marks=(pytest.mark.slow, pytest.mark.timeout(300)))],
)
async def test_the_matcher_agrees_with_rabbitmq_on_every_pair(
    pulse_user: PulseUser, pattern_count: int, key_count: int
) -> None:
    chance = random.Random("topics")
    others = sorted(set(TEXTS).difference(ODD_ONES))
    patterns = ODD_ONES + chance.sample(others, pattern_count - len(ODD_ONES))
    keys = ODD_ONES + chance.sample(others, key_count - len(ODD_ONES))

    taken = await routed_by_rabbitmq(pulse_user, patterns, keys)

    table: BindingTable[str] = BindingTable()
    for pattern in patterns:
        table.add(pattern, pattern)
    found = {key: set(table.matches(key)) for key in keys}
    pairs = list(itertools.product(patterns, keys))
    assert len(pairs) == pattern_count * key_count
    assert len(taken) > len(pairs) / 20, "too few pairs match to tell anything"
    assert [pair for pair in pairs if topic_matches(*pair) != (pair in taken)] == []
    assert [(pattern, key) for pattern, key in pairs if (pattern in found[key]) != ((pattern, key) in taken)] == []


async def routed_by_rabbitmq(user: PulseUser, patterns: list[str], keys: list[str]) -> set[tuple[str, str]]:
    """Bind a queue with every pattern, publish every key, and return the pairs that matched."""
    taken: list[tuple[str, str]] = []
    unfinished = set(patterns)
    finished = asyncio.Event()
    async with await aio_pika.connect(user.url, timeout=10) as connection:
        channel = await connection.channel()
        topic, end = [
            await channel.declare_exchange(f"exchange/{user.name}/{kind}", kind, auto_delete=True)
            for kind in (aio_pika.ExchangeType.TOPIC, aio_pika.ExchangeType.FANOUT)
        ]

        def receiver(pattern: str) -> Callable[[AbstractIncomingMessage], Awaitable[None]]:
            async def receive(message: AbstractIncomingMessage) -> None:
                if message.exchange == topic.name:
                    taken.append((pattern, message.routing_key or ""))
                    return
                unfinished.remove(pattern)
                if not unfinished:
                    finished.set()

            return receive

        for number, pattern in enumerate(patterns):
            queue = await channel.declare_queue(f"queue/{user.name}/{number}", exclusive=True)
            await queue.bind(topic, pattern)
            await queue.bind(end)
            await queue.consume(receiver(pattern), no_ack=True)
        for key in keys:
            await topic.publish(aio_pika.Message(b""), key, mandatory=False)
        # One channel keeps the order, so this is the last message of every queue.
        await end.publish(aio_pika.Message(b""), "")
        async with asyncio.timeout(30):
            await finished.wait()
    assert len(taken) == len(set(taken)), "a queue gets a message once, whatever its bindings"
    return set(taken)
