"""Follow a subscription: choose messages, record them, show them, and acknowledge them once they are recorded or shown.

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
    from pulsekit.recordings.writer import RecordingWriter
    from pulsekit.records.selection import SelectedMessage, Selection

__all__ = ["Follower", "Until", "Viewer"]

_LOOK = 0.1  # seconds between two checks whether the first attempt to subscribe has failed
_BATCH = 256  # messages recorded and shown together when they come faster than that
_BATCH_BYTES = 4 * 1024 * 1024  # of their bodies, since their records are in memory at the same time


@dataclass(frozen=True, slots=True)
class Until:
    """Say when to stop: at the first of these.

    Attributes:
        count: after N chosen messages.
        idle: after N seconds without a chosen message.
        duration: after N seconds.
    """

    count: int | None = None
    idle: float | None = None
    duration: float | None = None


class Viewer(Protocol):
    """Something that shows messages beside the event loop, however slowly it is read.

    Attributes:
        due: when to call `settle` at the latest, by the clock of the loop.
    """

    due: float

    async def show(self, seen: Sequence[SelectedMessage]) -> None:
        """Show messages, and before them the gaps that were in front of them."""

    def gap(self, gap: Gap, *, at_once: bool) -> None:
        """Show a gap: at once, or before the first message of its epoch."""

    async def settle(self) -> None:
        """Do what is due."""

    async def close(self) -> None:
        """Show what is left."""


class Follower:
    """Follow one subscription.

    Args:
        selection: which messages are chosen. The others are acknowledged without a trace.
        writer: records the chosen messages; without it, a message is acknowledged once it is shown.
        viewer: makes what shows them, once the recording is open.
        until: when to stop; by default never.

    Attributes:
        received: messages that came.
        chosen: those of them that were chosen.
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
        self._last = 0.0  # when the last chosen message came

    @property
    def prefetch(self) -> int:
        """How many messages the broker should send ahead."""
        return PREFETCH if self._writer is None else self._writer.prefetch

    def on_gap(self, gap: Gap) -> None:
        """Record and show a gap; for `on_gap` of `Pulse.subscribe`."""
        if self._writer is not None:
            self._writer.gaps.append(gap)
        if self._viewer is not None and self._consumer is not None:
            self._viewer.gap(gap, at_once=not self.busy and not self._consumer.waiting)

    async def connect(self, consumer: Consumer) -> bool:
        """Open the consumer, and count the duration from now on instead of from `run` on.

        Duration and idle time end this too, while attempts to subscribe fail or an exchange is waited for. The first
        attempt is not interrupted: it has a deadline, and its error is more useful.

        Returns:
            Whether the consumer is open. If not, it still waited for an exchange when it was time to stop.

        Raises:
            ConnectTimeout: Raised when it was time to stop before the consumer was open, for another reason.
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
        """Begin the recording, and make the viewer.

        Raises:
            OSError: Raised when the recording cannot be written.
        """
        self._consumer = consumer
        if self._writer is not None:
            await self._writer.open()
        self._viewer = self._make_viewer()

    async def run(self, consumer: Consumer) -> None:
        """Follow until it is time to stop, then close recording and viewer.

        If `connect` returned False, this only writes the recording without messages.

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
            if self._writer is not None:
                await self._writer.write([one.message for one in chosen], batch)
            self.chosen += len(chosen)
            left -= len(chosen)
            if self._viewer is not None:
                if chosen:
                    await self._viewer.show(chosen)
                await self._viewer.settle()
            if self._writer is None:
                for message in batch:
                    await message.ack()

    async def _next(self, consumer: Consumer, most: float) -> list[Message]:
        """Wait for messages, and meanwhile do what is due; return none after the idle time."""
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
