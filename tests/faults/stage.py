"""The stage of a fault: an exchange with a durable queue, a second client that inspects it, and measurements."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pika

from faults.account import Finding
from pulsekit import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from pika.adapters.blocking_connection import BlockingChannel
    from support.rabbitmq.broker import PulseUser, RabbitMQ

    from faults.account import Account
    from pulsekit import Consumer, Message, Publisher

__all__ = [
    "PATIENCE",
    "Fault",
    "Left",
    "Stage",
    "Watch",
    "consume",
    "open_files",
    "publish",
    "publish_and_consume",
    "receive",
    "resident",
    "steady",
]


PATIENCE = 240.0  # seconds for a message: on a busy machine a node may take more than the usual 60 to come back

_COUNT_CLASSIC = "[{messages, One}] = rabbit_amqqueue:info(Queue, [messages]), One"
# Without this setting, the answers would have figures that are some seconds old.
_COUNT_QUORUM = (
    "{ok, {_, All}, _} = ra:leader_query(amqqueue:get_pid(Queue), fun rabbit_fifo:query_messages_total/1), All"
)


class Stage:
    """An exchange and a durable queue for the messages of an account, inspected without pulsekit.

    Attributes:
        broker: the broker.
        user: the owner; by default a new user.
        exchange: a durable topic exchange.
        queue: a queue bound with `bound.#`.
    """

    def __init__(
        self,
        broker: RabbitMQ,
        *,
        user: PulseUser | None = None,
        name: str = "jobs",
        arguments: Mapping[str, object] | None = None,
    ) -> None:
        self.broker = broker
        self.user = user or broker.user()
        self.exchange = f"exchange/{self.user.name}/v1/{name}"
        self.queue = f"queue/{self.user.name}/{name}"
        with self.channel() as channel:
            channel.exchange_declare(self.exchange, "topic", durable=True)
            channel.queue_declare(self.queue, durable=True, arguments=dict(arguments or {}))
            channel.queue_bind(self.queue, self.exchange, "bound.#")

    @contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        """Open a connection of pika without any proxy."""
        connection = pika.BlockingConnection(pika.URLParameters(self.user.url))
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()

    def drain(self, account: Account) -> None:
        """Empty the queue and record its messages, including those of closed connections."""
        with self.channel() as channel:
            while self._held():
                ready = channel.queue_declare(self.queue, passive=True).method.message_count
                if not ready:
                    continue  # the messages of a lost connection are not requeued yet
                for method, properties, body in channel.consume(self.queue, auto_ack=True):
                    account.find(
                        Finding(
                            properties.message_id,
                            method.routing_key,
                            body,
                            properties.delivery_mode,
                            method.redelivered,
                        )
                    )
                    ready -= 1
                    if not ready:
                        break
                channel.cancel()

    def _held(self) -> int:
        """Count the messages of the queue, ready and unacknowledged."""
        return int(
            self.broker.eval(
                f'{{ok, Queue}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{self.queue}">>))',
                "Quorum = amqqueue:get_type(Queue) =:= rabbit_quorum_queue",
                f"if Quorum -> {_COUNT_QUORUM}; true -> {_COUNT_CLASSIC} end",
            )
        )


class Fault:
    """A fault that is caused once in the middle of the work, and then continues in a thread.

    Args:
        blow: called at once, in the event loop.
        then: called in a thread afterwards.

    Attributes:
        since: the start, on the clock of the event loop.
    """

    def __init__(self, blow: Callable[[], object] = lambda: None, *, then: Callable[[], object] = lambda: None) -> None:
        self._blow = blow
        self._then = then
        self._task: asyncio.Task[object] | None = None
        self.since = 0.0

    def __call__(self) -> None:
        assert self._task is None
        self.since = asyncio.get_running_loop().time()
        self._blow()
        self._task = asyncio.create_task(asyncio.to_thread(self._then))

    async def over(self) -> None:
        """Wait until the fault is over."""
        assert self._task is not None
        await self._task


class Watch:
    """A record of the states of connections, as an `on_state`, with waits."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, State]] = Counter()
        self._changed = asyncio.Event()
        self.trace: list[tuple[float, str, State]] = []

    def __call__(self, name: str, state: State) -> None:
        self._seen[name, state] += 1
        self.trace.append((time.monotonic(), name, state))  # the clock of the loop, too
        self._changed.set()

    def count(self, name: str, state: State) -> int:
        return self._seen[name, state]

    def epochs(self, number: int) -> bool:
        """Return whether both connections have begun a number of epochs."""
        return all(self._seen[name, State.READY] >= number for name in ("publisher", "consumer"))

    async def until(self, name: str, state: State, times: int = 1) -> None:
        """Wait until a connection was in a state a number of times."""
        while self._seen[name, state] < times:
            self._changed.clear()
            await self._changed.wait()

    def longest(self, name: str) -> float:
        """Return the longest time for which a connection was lost."""
        lost_at, most = None, 0.0
        for when, who, what in self.trace:
            if who == name and what is State.BACKING_OFF and lost_at is None:
                lost_at = when
            elif who == name and what is State.READY and lost_at is not None:
                most, lost_at = max(most, when - lost_at), None
        return most

    def seconds(self, since: float, name: str, state: State = State.READY) -> float:
        """Return the time from a moment until a connection first had a state."""
        return next(when - since for when, who, what in self.trace if (who, what) == (name, state) and when >= since)


async def publish(
    publisher: Publisher,
    account: Account,
    count: int,
    *,
    at: Mapping[int, Callable[[], object]] | None = None,
    timeout: float = PATIENCE,
    window: int = 256,
) -> None:
    """Publish a number of further messages, record them, and cause the fault at a given message."""
    at = at or {}
    first = account.sent

    def letters() -> Iterator[object]:
        for number in range(first, first + count):
            if number in at:
                at[number]()
            yield account.draft(number)

    if at:
        await publisher.open()  # numbers are read ahead of the window, so the fault comes while messages are in flight
    receipts = publisher.publish_many(letters(), window=window, timeout=timeout)  # type: ignore[arg-type]  # they are
    async for receipt in receipts:
        account.settle(receipt, first + receipt.index)


async def receive(messages: Consumer, account: Account) -> Message:
    """Receive and record the next message."""
    message = await anext(messages)
    account.find(Finding.of(message))
    return message


async def consume(
    messages: Consumer,
    account: Account,
    until: Callable[[], bool],
    *,
    at: Mapping[int, Callable[[], object]] | None = None,
) -> int:
    """Receive, record and acknowledge messages, and cause the fault after a number of them; return their number."""
    at = at or {}
    received = 0
    while not until():
        await (await receive(messages, account)).ack()
        received += 1
        if received in at:
            at[received]()
    return received


async def publish_and_consume(
    publisher: Publisher,
    messages: Consumer,
    account: Account,
    until: Callable[[], bool],
    *,
    at: Mapping[int, Callable[[], object]] | None = None,
    batch: int = 500,
) -> None:
    """Publish and receive at the same time, until a condition is met and all confirmed messages were received."""
    published = False

    async def feed() -> None:
        nonlocal published
        while not until():
            await publish(publisher, account, batch, at=at)
        published = True
        await publish(publisher, account, 2)  # one of the two is routed, so the waiting task continues

    async with asyncio.TaskGroup() as group:
        group.create_task(feed())
        group.create_task(consume(messages, account, lambda: published and not account.awaited))


def open_files() -> int:
    """Count the open files of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def resident() -> int:
    """Return the bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Left:
    """The growth between two measurements.

    Attributes:
        memory: the bytes of the process.
        files: the number of open files.
    """

    memory: int = 0
    files: int = 0


@asynccontextmanager
async def steady(*, growth: int = 48_000_000) -> AsyncIterator[Left]:
    """Check that no file and no task is left, and that memory grew by less than a limit."""
    gc.collect()
    files, tasks, memory, more = open_files(), asyncio.all_tasks(), resident(), Left()
    yield more
    late = asyncio.all_tasks() - tasks - {asyncio.current_task()}
    if late:
        await asyncio.wait(late, timeout=30)
    gc.collect()
    left = [task for task in asyncio.all_tasks() - tasks - {asyncio.current_task()} if not task.done()]
    assert left == []
    more.files, more.memory = open_files() - files, resident() - memory
    assert more.files == 0
    assert more.memory < growth
