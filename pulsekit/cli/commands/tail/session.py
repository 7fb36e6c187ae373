"""What `tail` does with messages: choose, record, show, and acknowledge what was recorded, or else what was shown."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from pulsekit._documents.suggestions import counted
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.output.output import note, warn
from pulsekit.cli.output.rows import gap_words
from pulsekit.cli.output.streams import Worker
from pulsekit.consumer.depth import Limits
from pulsekit.errors import PulsekitError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from pulsekit.bindings.registration import Binding
    from pulsekit.cli.commands.tail.recording import RecordingWriter
    from pulsekit.cli.output.screens import Screen
    from pulsekit.consumer.consumer import Consumer
    from pulsekit.errors import BrokerRefused
    from pulsekit.messages import Gap, Message
    from pulsekit.pulse import Pulse
    from pulsekit.records.selection import Selection

__all__ = ["Session", "Span", "Store"]

_BATCH = 256  # messages written at once when they come faster than they are shown
_LOOK = 2.0  # seconds between two looks at how far behind it is
_BEHIND = 1000  # messages from which that is worth a word


@dataclass(frozen=True, slots=True)
class Span:
    """Say when to end.

    Attributes:
        count: after so many messages that are shown.
        idle: when none came for so many seconds.
        duration: after so many seconds.
        expected: how many should have come by then.
    """

    count: int | None = None
    idle: float | None = None
    duration: float | None = None
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """Name a queue that outlives `tail`.

    Attributes:
        queue: its name.
        keep: for how many seconds after it was last used; None for a queue that is there, and is taken as it is.
    """

    queue: str
    keep: float | None = None


class Session:
    """Follow bindings until it is time to end."""

    def __init__(
        self,
        pulse: Pulse,
        bindings: Sequence[Binding],
        view: Selection,
        screen: Callable[[], Screen | None],
        saving: RecordingWriter | None,
        span: Span,
        store: Store | None,
    ) -> None:
        self._pulse = pulse
        self._bindings = bindings
        self._view = view
        self._make_screen = screen
        self._saving = saving
        self._span = span
        self._store = store
        self._screen: Screen | None = None
        self._messages: Consumer | None = None
        self._refused: list[Binding] = []
        self._taken = 0  # messages that came
        self._count = 0  # of which so many were wanted
        self._busy = False
        self._last = 0.0  # when the last of them came
        self._talker = Worker("write standard error")
        self._talk: asyncio.Future[object] | None = None

    async def run(self, *, wait: bool) -> int:
        """Listen, and return the exit status.

        Args:
            wait: for exchanges that do not exist yet.

        Raises:
            PulsekitError: nothing can be listened to, or not any more.
            OSError: what came cannot be recorded or shown.
        """
        from pulsekit.consumer.consumer import PREFETCH
        from pulsekit.consumer.queue import Queue

        store = self._store
        async with (
            self._pulse as pulse,
            pulse.subscribe(
                *self._bindings,
                queue=Queue(store.queue, expires=store.keep, existing=store.keep is None) if store else None,
                prefetch=PREFETCH if self._saving is None else self._saving.ahead,
                wait=wait,
                on_gap=self._on_gap,
                on_refused=self._on_refused,
            ) as messages,
        ):
            self._messages = messages
            if self._saving is not None:
                await self._saving.open()
            self._screen = self._make_screen()
            standing = [binding for binding in self._bindings if binding not in self._refused]
            if standing:
                note(f"listening on {', '.join(map(str, standing))}")
            else:
                note(f"taking messages out of {messages.queue}: its other consumers do not get them")
            if store is not None and store.keep and (kept := await messages.depth()).total:
                note(f"{store.queue} kept {counted(kept.total, 'message', ',')}")
            began = time.monotonic()
            try:
                async with asyncio.timeout(self._span.duration) as limit, self._watched(messages):
                    await self._follow(messages)
            except TimeoutError:
                if not limit.expired():
                    raise
            finally:
                try:
                    await self._close()
                finally:
                    self._sum_up(time.monotonic() - began)
        return self._status()

    async def _follow(self, messages: Consumer) -> None:
        left = inf if self._span.count is None else self._span.count
        self._last = asyncio.get_running_loop().time()
        while left > 0:
            self._busy = False
            batch = await self._next(messages, min(_BATCH, left))
            if not batch:
                return
            self._busy = True
            self._taken += len(batch)
            seen = self._view.choose(batch)
            if seen:
                self._last = asyncio.get_running_loop().time()
            if self._saving is not None:
                await self._saving.write([one.message for one in seen], batch)
            self._count += len(seen)
            left -= len(seen)
            if self._screen is not None:
                if seen:
                    await self._screen.show(seen)
                await self._screen.settle()
            if self._saving is None:
                for message in batch:
                    await message.ack()

    async def _next(self, messages: Consumer, most: float) -> list[Message]:
        """Wait for messages, and meanwhile do what is due; none when they are too long in coming."""
        loop = asyncio.get_running_loop()
        end = inf if self._span.idle is None else self._last + self._span.idle
        parts = [part for part in (self._saving, self._screen) if part is not None]
        while True:
            due = min([end, *(part.due for part in parts)])
            try:
                async with asyncio.timeout_at(None if due == inf else due):
                    batch = [await anext(messages)]
            except TimeoutError:
                if loop.time() >= end:
                    return []
                for part in parts:
                    if loop.time() >= part.due:
                        await part.settle()
                continue
            while len(batch) < most and (more := messages.take()) is not None:
                batch.append(more)
            return batch

    async def _close(self) -> None:
        try:
            if self._saving is not None:
                await self._saving.close()
        finally:
            if self._screen is not None:
                await self._screen.close()
            if self._talk is not None:
                await self._talk

    def _status(self) -> int:
        expected = self._span.expected
        if expected is not None and self._count < expected:
            warn(f"{self._count:,} came, {expected:,} were expected")
            return ExitCode.NEGATIVE
        return ExitCode.PARTLY if self._refused else ExitCode.DONE

    def _sum_up(self, seconds: float) -> None:
        words = []
        if self._screen is not None:
            shown = self._screen.count
            of = f" of {self._taken:,}" if self._view.chooses else ""
            words.append(f"{shown:,}{of} message{'' if (of or shown) == 1 else 's'} in {seconds:.1f} s")
        if self._saving is not None:
            words.append(f"{self._saving.count} recorded in {self._saving.path}")
        if words:
            note(", ".join(words))
        if self._store is not None and self._store.keep:
            span = _span_words(self._store.keep)
            note(f"{self._store.queue} stays for {span}: begin again by then, and nothing is lost")
        for name, expression in self._view.expressions:
            if expression.failures:
                many = counted(expression.failures, "message", ",")
                warn(f"{name} has no value for {many}, left out; the first time: {expression.failure}")

    def _on_refused(self, binding: Binding, error: BrokerRefused) -> None:
        self._refused.append(binding)
        self._say(warn, f"{binding} is left out: {error}")

    def _on_gap(self, gap: Gap) -> None:
        if self._screen is None or not self._screen.tells:
            self._say(warn, gap_words(gap))
        if self._saving is not None:
            self._saving.gaps.append(gap)
        if self._screen is not None and self._messages is not None:
            self._screen.gap(gap, at_once=not self._busy and not self._messages.waiting)

    @asynccontextmanager
    async def _watched(self, messages: Consumer) -> AsyncIterator[None]:
        """Have an eye on how far behind it is, meanwhile."""
        stopped = asyncio.Event()
        task = asyncio.create_task(self._watch(messages, stopped), name="how far behind")
        try:
            yield
        finally:
            # Not cancelled at once: to cancel a question closes the channel it was asked on, with acks on their way.
            stopped.set()
            await asyncio.wait([task], timeout=_LOOK)
            task.cancel()

    async def _watch(self, messages: Consumer, stopped: asyncio.Event) -> None:
        said = 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await stopped.wait()
                    return
            behind = 0
            if self._busy or messages.waiting:  # else it has shown all that came
                with suppress(PulsekitError):  # the connection is away, which is told elsewhere
                    behind = (await messages.depth()).ready + messages.waiting
            if behind > max(_BEHIND, 2 * said):
                said = behind
                self._say(warn, _behind_words(behind, Limits()))
            elif said and not behind:
                said = 0
                self._say(note, "no longer behind")

    def _say(self, say: Callable[[str], None], words: str) -> None:
        """Say something while messages are shown.

        That may have to wait for the same terminal, which may be stopped; the connection must not wait for it.
        """
        if self._messages is None:
            say(words)
        else:
            self._talk = self._talker.submit(lambda: say(words))


def _behind_words(behind: int, limits: Limits) -> str:
    words = f"{behind:,} messages behind: they come faster than they are read here"
    return f"{words}; over {limits.delete:,}, PulseGuardian may delete the queue" if behind > limits.warn else words


def _span_words(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"
