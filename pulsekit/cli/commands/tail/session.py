"""The session of `tail`: subscribe, follow the messages, and print warnings and a summary on stderr."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pulsekit._documents.suggestions import counted
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.output.output import note, warn
from pulsekit.cli.output.rows import gap_words
from pulsekit.consumer.guardian_limits import Limits
from pulsekit.errors import ConfigurationError, NetworkError, NotFound, PulsekitError
from pulsekit.recordings.follow import Follower
from pulsekit.recordings.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from pulsekit.bindings.registration import Binding
    from pulsekit.cli.output.screens import Screen
    from pulsekit.consumer.consumer import Consumer
    from pulsekit.consumer.guardian_limits import QueueDepth
    from pulsekit.consumer.queue_options import Queue
    from pulsekit.errors import BrokerRefused
    from pulsekit.messages import Gap
    from pulsekit.pulse import Pulse
    from pulsekit.recordings.acknowledging import RecordingWriter
    from pulsekit.recordings.follow import Until
    from pulsekit.records.selection import Selection

__all__ = ["Session", "Store"]

_LOOK = 2.0  # seconds between two checks of the backlog
_BEHIND = 1000  # messages in the backlog above which a warning is printed
_MARK = {"x-max-length": 10_000_000}  # messages; PulseGuardian deletes a queue long before it reaches this length


@dataclass(frozen=True, slots=True)
class Store:
    """A queue that remains after `tail` stops, and with which a later `tail` continues.

    RabbitMQ refuses a declaration whose arguments differ from those of the queue (406). Every queue that tail declares
    has the argument in `_MARK`, and queues of other programs do not. So tail uses only queues that tail has created.

    Attributes:
        queue: the name of the queue.
        keep: seconds without use after which the broker deletes the queue.
        type: "classic" or "quorum", or None for the default of the broker.
        resume: whether the queue must exist.
    """

    queue: str
    keep: float
    type: Literal["classic", "quorum"] | None = None
    resume: bool = False

    def declaration(self) -> Queue:
        """Return the queue as tail declares it."""
        from pulsekit.consumer.queue_options import Queue

        return Queue(self.queue, type=self.type, expires=self.keep, arguments=_MARK)


@dataclass
class Session:
    """A subscription that shows and records messages until a limit is reached.

    Attributes:
        pulse: the connection.
        bindings: the bindings of the subscription.
        selection: the selection of messages to show and record.
        make_screen: creates the viewer, or returns None if messages are not shown.
        recording: the writer of the recording, or None.
        until: the limits at which the session stops.
        store: the queue that remains after the end, or None.
        expected: the expected number of messages, or None.
    """

    pulse: Pulse
    bindings: Sequence[Binding]
    selection: Selection
    make_screen: Callable[[], Screen | None]
    recording: RecordingWriter | None
    until: Until
    store: Store | None
    expected: int | None = None

    def __post_init__(self) -> None:
        self._follower = Follower(self.selection, self.recording, self._open_screen, until=self.until)
        self._screen: Screen | None = None
        self._messages: Consumer | None = None
        self._refused: list[Binding] = []
        self._first_gap: Gap | None = None  # a gap that was reported before the viewer exists
        self._consumers = 1
        self._talker = Worker("write standard error")
        self._talk: asyncio.Future[object] | None = None

    async def run(self, *, wait: bool) -> int:
        """Subscribe, follow the messages, and return the exit code.

        Args:
            wait: wait for exchanges that do not exist yet.

        Raises:
            PulsekitError: Raised when the subscription fails, or ends with an error.
            OSError: Raised when messages cannot be recorded or shown.
        """
        store, follower = self.store, self._follower
        async with self.pulse as pulse:
            if store is not None and store.resume:
                await _check_exists(pulse, store.queue)
            messages = pulse.subscribe(
                *self.bindings,
                queue=None if store is None else store.declaration(),
                prefetch=follower.prefetch,
                wait=wait,
                on_gap=self._on_gap,
                on_refused=self._on_refused,
                on_depth=self._on_depth,
            )
            began = time.monotonic()
            if await follower.connect(messages):
                async with messages:
                    await self._follow(messages)
            else:
                await follower.run(messages)
                self._sum_up(time.monotonic() - began)
        return self._status()

    async def _follow(self, messages: Consumer) -> None:
        """Follow the messages of an open consumer, and print a summary."""
        store, follower = self.store, self._follower
        self._messages = messages
        await follower.open(messages)
        if self._first_gap is not None:
            self._on_gap(self._first_gap)
        accepted = [binding for binding in self.bindings if binding not in self._refused]
        note(f"listening on {', '.join(map(str, accepted))}")
        if store is not None:
            try:
                kept = await messages.depth()
            except (ConfigurationError, NetworkError) as error:  # too few channels, or the connection is lost
                warn(f"the messages in {store.queue} are not counted: {error}")
            else:
                if kept.total:
                    note(f"{store.queue} already has {counted(kept.total, 'message')}")
                self._on_depth(kept)
        began = time.monotonic()
        try:
            async with self._watched(messages):
                await follower.run(messages)
        finally:
            if self._talk is not None:
                await self._talk
            self._sum_up(time.monotonic() - began)

    def _open_screen(self) -> Screen | None:
        self._screen = self.make_screen()
        return self._screen

    def _status(self) -> int:
        chosen, expected = self._follower.chosen, self.expected
        if expected is not None and chosen < expected:
            warn(f"{counted(chosen, 'message')} arrived, {expected:,} expected")
            return ExitCode.NEGATIVE
        return ExitCode.PARTLY if self._refused else ExitCode.DONE

    def _sum_up(self, seconds: float) -> None:
        words = []
        if self._screen is not None:
            shown = self._screen.count
            of = f" of {self._follower.received:,}" if self.selection.chooses else ""
            words.append(f"{shown:,}{of} message{'' if (of or shown) == 1 else 's'} in {seconds:.1f} s")
        if self.recording is not None and not self.recording.lost:
            words.append(f"{self.recording.count:,} recorded in {self.recording.path}")
        if words:
            note(", ".join(words))
        if self.store is not None:
            span = _span_words(self.store.keep)
            note(f"{self.store.queue} stays for {span}: to continue where tail stopped, run it again within this time")
        for name, expression in self.selection.expressions:
            if expression.failures:
                failures = counted(expression.failures, "message")
                warn(f"{name} failed for {failures}, which were skipped; the first error: {expression.failure}")
            if self._follower.received and (expression is self.selection.query or not self._follower.chosen):
                for field in expression.missing_fields:
                    warn(f"{name}: no message had the field {field}")

    def _on_refused(self, binding: Binding, error: BrokerRefused) -> None:
        self._refused.append(binding)
        self._say(warn, f"{binding} is skipped: {error}")

    def _on_depth(self, depth: QueueDepth) -> None:
        consumers = depth.consumers or 1
        if consumers > self._consumers:
            self._say(warn, f"{depth.queue} has {consumers} consumers: each message is delivered to one of them")
        self._consumers = consumers

    def _on_gap(self, gap: Gap) -> None:
        if self._messages is None:
            self._first_gap = gap
            return
        if self._screen is None or not self._screen.shows_gaps:
            self._say(warn, gap_words(gap))
        self._follower.on_gap(gap)

    @asynccontextmanager
    async def _watched(self, messages: Consumer) -> AsyncIterator[None]:
        """Check the backlog repeatedly while the block runs."""
        stopped = asyncio.Event()
        task = asyncio.create_task(self._watch(messages, stopped), name="how far behind")
        try:
            yield
        finally:
            # Wait before cancelling: the cancellation of a request closes its channel, and loses acks in flight.
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
            if messages.paused:  # the messages before the answer would need more memory
                continue
            behind = 0
            if self._follower.busy or messages.waiting:  # otherwise, all messages are shown
                with suppress(PulsekitError):  # the connection is lost, which `_on_gap` reports
                    behind = (await messages.depth()).ready + messages.waiting
            if behind > max(_BEHIND, 2 * said):
                said = behind
                self._say(warn, _behind_words(behind, Limits()))
            elif said and not behind:
                said = 0
                self._say(note, "no longer behind")

    def _say(self, say: Callable[[str], None], words: str) -> None:
        """Print a message on stderr. Once the subscription has begun, print in a thread.

        If the terminal is stopped, the write blocks. This must not delay the connection.
        """
        if self._messages is None:
            say(words)
        else:
            self._talk = self._talker.submit(lambda: say(words))


async def _check_exists(pulse: Pulse, queue: str) -> None:
    """Check that a queue exists.

    Raises:
        NotFound: Raised when the queue does not exist.
    """
    from pulsekit.queues.operations import queue_depth

    try:
        await queue_depth(pulse, queue)
    except NotFound as error:
        raise NotFound(
            f"there is no queue {queue}: it expired, or its owner or PulseGuardian deleted it, with its messages. To "
            "create it, run tail without --resume",
            code=error.code,
            text=error.text,
        ) from error


def _behind_words(behind: int, limits: Limits) -> str:
    words = f"{behind:,} messages behind: they arrive faster than this output is read"
    return f"{words}; over {limits.delete:,}, PulseGuardian may delete the queue" if behind > limits.warn else words


def _span_words(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"
