"""Follow a subscription: select messages, record and show them, and acknowledge them afterwards.

writer = RecordingWriter(Recorder("jobs.ndjson.gz"))
follower = Follower(Selection([binding], filter=Filter("payload.tier == `1`")), writer, until=Until(count=100))
async with pulse.subscribe(binding, prefetch=follower.prefetch, on_gap=follower.on_gap) as consumer:
await follower.run(consumer)
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Protocol

from pulsekit.consumer.consumer import PREFETCH
from pulsekit.errors import ConnectTimeout, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pulsekit.consumer.consumer import Consumer
    from pulsekit.messages import Gap, Message
    from pulsekit.recordings.acknowledging import RecordingWriter
    from pulsekit.records.selection import SelectedMessage, Selection

__all__ = ["Follower", "Until", "Viewer"]

_LOOK = 0.1  # seconds between two checks whether the first attempt to subscribe has failed
_BATCH = 256  # messages that are recorded and shown together, if they arrive faster
_BATCH_BYTES = 4 * 1024 * 1024  # bytes of their bodies, because their records are in memory at the same time


@dataclass(frozen=True, slots=True)
class Until:
    """The conditions to stop. Following stops when one of them is met.

    Attributes:
        count: after N selected messages.
        idle: after N seconds without a selected message.
        duration: after N seconds.
    """

    count: int | None = None
    idle: float | None = None
    duration: float | None = None


class Viewer(Protocol):
    """A viewer that shows messages without blocking the event loop, even if its reader is slow.

    Attributes:
        due: the latest time to call `settle`, on the clock of the event loop.
    """

    due: float

    async def show(self, seen: Sequence[SelectedMessage]) -> None:
        """Show messages. Gaps that precede them are shown before."""

    def gap(self, gap: Gap, *, at_once: bool) -> None:
        """Show a gap, either at once, or before the first message of its epoch."""

    async def settle(self) -> None:
        """Do the work that is due."""

    async def close(self) -> None:
        """Show the remaining messages and gaps."""


class Follower:
    """A follower of one subscription.

    Args:
        selection: selects messages. Other messages are acknowledged and not shown.
        writer: records the selected messages. Without a writer, a message is acknowledged once it has been shown.
        viewer: creates the viewer, once the recording is open.
        until: when to stop. The default is never.

    Attributes:
        received: the number of messages.
        chosen: the number of selected messages.
        busy: whether messages are being recorded or shown.
    """

    def __init__(
        self,
        selection: Selection,
        writer: RecordingWriter | None = None,
        viewer: Callable[[], Viewer | None] = lambda: None,
        *,
        until: Until = Until(),
    ) -> None:
        self.received: int = 0
        self.chosen: int = 0
        self.busy: bool = False
        self._selection = selection
        self._writer = writer
        self._make_viewer = viewer
        self._viewer: Viewer | None = None
        self._until = until
        self._consumer: Consumer | None = None
        self._began: float | None = None  # when `connect` was called
        self._connected = True  # unless `connect` returned False
        self._last = 0.0  # the time of the last selected message

    @property
    def prefetch(self) -> int:
        """The prefetch count for the subscription."""
        return PREFETCH if self._writer is None else self._writer.prefetch

    def on_gap(self, gap: Gap) -> None:
        """Record and show a gap. This is a callback for `on_gap` of `Pulse.subscribe`."""
        if self._writer is not None:
            self._writer.gaps.append(gap)
        if self._viewer is not None and self._consumer is not None:
            self._viewer.gap(gap, at_once=not self.busy and not self._consumer.waiting)

    async def connect(self, consumer: Consumer) -> bool:
        """Open the consumer. The duration then starts with this call, instead of with `run`.

        The duration and the idle time also limit attempts to subscribe, and the wait for an exchange. The first attempt
        is not interrupted: it has a deadline, and its error is more useful than a timeout.

        Returns:
            Whether the consumer is open. If not, a condition of `until` was met before the exchange existed.

        Raises:
            ConnectTimeout: Raised when a condition of `until` was met before the consumer was open for another reason.
            PulsekitError: Raised when the consumer cannot be opened.
        """
        time = asyncio.get_running_loop().time
        self._began = time()
        end = self._began + min(inf if limit is None else limit for limit in (self._until.duration, self._until.idle))
        while True:
            try:
                async with asyncio.timeout_at(None if end == inf else end) as timeout:
                    await consumer.open()
            except TimeoutError:
                if not timeout.expired():
                    raise
            else:
                return True
            if (problem := consumer.problem) is None:
                end = time() + _LOOK
                continue
            await consumer.close()
            if isinstance(problem, NotFound):
                self._connected = False
                return False
            raise ConnectTimeout(f"no subscription within {time() - self._began:.3g} s: {problem}") from problem

    async def open(self, consumer: Consumer) -> None:
        """Open the recording, and create the viewer.

        Raises:
            OSError: Raised when the recording cannot be written.
        """
        self._consumer = consumer
        if self._writer is not None:
            await self._writer.open()
        self._viewer = self._make_viewer()

    async def run(self, consumer: Consumer) -> None:
        """Follow until a condition of `until` is met, then close the recording and the viewer.

        If `connect` returned False, write a recording without messages.

        Raises:
            PulsekitError: Raised when the subscription failed.
            OSError: Raised when messages cannot be recorded or shown.
        """
        if self._consumer is None:
            await self.open(consumer)
        if self._began is None:
            self._began = asyncio.get_running_loop().time()
        duration = self._until.duration
        try:
            async with asyncio.timeout_at(None if duration is None else self._began + duration) as limit:
                if self._connected:
                    await self._follow(consumer)
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            await self._close()

    async def _follow(self, consumer: Consumer) -> None:
        left = inf if self._until.count is None else self._until.count
        self._last = asyncio.get_running_loop().time()
        while left > 0:
            self.busy = False
            batch = await self._next(consumer, min(_BATCH, left))
            if not batch:
                return
            self.busy = True
            self.received += len(batch)
            chosen = self._selection.choose(batch)
            if chosen:
                self._last = asyncio.get_running_loop().time()
            self.chosen += len(chosen)
            left -= len(chosen)
            if self._writer is not None:
                await self._writer.write([one.message for one in chosen], batch)
            if self._viewer is not None:
                if chosen:
                    await self._viewer.show(chosen)
                await self._viewer.settle()
            if self._writer is None:
                for message in batch:
                    await message.ack()

    async def _next(self, consumer: Consumer, most: float) -> list[Message]:
        """Wait for messages, and call `settle` when it is due. Return an empty list after the idle time."""
        loop = asyncio.get_running_loop()
        end = inf if self._until.idle is None else self._last + self._until.idle
        parts = [part for part in (self._writer, self._viewer) if part is not None]
        while True:
            due = min([end, *(part.due for part in parts)])
            try:
                async with asyncio.timeout_at(None if due == inf else due):
                    batch = [await anext(consumer)]
            except TimeoutError:
                if loop.time() >= end:
                    return []
                for part in parts:
                    if loop.time() >= part.due:
                        await part.settle()
                continue
            size = len(batch[0].body)
            while len(batch) < most and size < _BATCH_BYTES and (more := consumer.take()) is not None:
                batch.append(more)
                size += len(more.body)
            return batch

    async def _close(self) -> None:
        try:
            if self._writer is not None:
                await self._writer.close()
        finally:
            if self._viewer is not None:
                await self._viewer.close()
