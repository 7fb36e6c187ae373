"""The sources of the page's messages: a subscription, whose bindings may change, or a recording."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pulsekit.errors import BrokerRefused, NetworkError, NotOpen, PulsekitError, SubscriptionLost
from pulsekit.inspector.ring import Ring
from pulsekit.messages import Gap, Message
from pulsekit.recordings.reader import read_recording

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from pulsekit.bindings.registration import Binding
    from pulsekit.consumer.consumer import Consumer
    from pulsekit.pulse import Pulse
    from pulsekit.records.record import Record

__all__ = ["LiveSource", "RecordedSource", "Source"]

_PREFETCH = 2000  # messages; on a busy machine, there are few acknowledgements per second
_CHUNK = 500  # entries of a recording that are read together
_RECORDED = (10_000_000, 1024 * 1024 * 1024)  # entries and bytes of a recording in memory


class Source:
    """A source of messages, which fills a ring while it is open.

    Attributes:
        name: the name in the title of the page.
        live: whether the bindings can be changed.
        ring: the last messages and gaps.
        bindings: the problem of each binding, empty if the queue has the binding.
        problem: the reason why no more messages arrive, or empty.
    """

    live: bool = False

    def __init__(self, name: str, ring: Ring) -> None:
        self.name: str = name
        self.ring: Ring = ring
        self.bindings: dict[Binding, str] = {}
        self.problem: str = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        """The state of the source: `listening`, `reconnecting`, `idle`, `reading` or `read`."""
        return "read" if self._task is None or self._task.done() else "reading"

    async def __aenter__(self) -> Self:
        await self._open()
        self._task = asyncio.create_task(self._run(), name=f"read {self.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._close()

    async def add(self, binding: Binding) -> None:
        """Bind the queue while messages arrive. For a recording, this has no effect.

        Raises:
            BrokerRefused: Raised when the broker refuses the binding. It stays in `bindings` with the reason.
        """

    async def remove(self, binding: Binding) -> None:
        """Remove a binding. For a recording, this has no effect.

        Raises:
            NetworkError: Raised when the connection is lost.
        """

    def _report(self, problem: str) -> None:
        self.problem = problem

    async def _open(self) -> None: ...

    async def _run(self) -> None: ...

    async def _close(self) -> None: ...


class LiveSource(Source):
    """A subscription with a private queue. A message is acknowledged when it is in the ring.

    Entering the block subscribes, and raises the exceptions of `Consumer.open`. Without bindings, it subscribes with
    the first one.
    """

    live: bool = True

    def __init__(self, pulse: Pulse, bindings: Iterable[Binding] = (), ring: Ring | None = None) -> None:
        super().__init__(pulse.user, Ring() if ring is None else ring)
        self.bindings.update(dict.fromkeys(bindings, ""))
        self._pulse = pulse
        self._consumer: Consumer | None = None
        self._opened = asyncio.Event()
        self._changing = asyncio.Lock()  # allows one change of the bindings at a time
        self._retries: set[asyncio.Task[None]] = set()  # a gap can follow before the bindings of the last one are added

    @property
    def state(self) -> str:  # noqa: D102 - see Source
        if self._consumer is None:
            return "idle"
        return "listening" if self._consumer.subscribed else "reconnecting"

    async def add(self, binding: Binding) -> None:  # noqa: D102 - see Source
        async with self._changing:
            if self.bindings.get(binding) == "" and self._consumer is not None:
                return
            self.bindings[binding] = ""
            try:
                if self._consumer is None:
                    await self._open()
                else:
                    await self._consumer.bind(binding)
            except NetworkError as error:
                self.bindings[binding] = f"{error}; it is bound after the reconnect"
            except PulsekitError as error:
                self.bindings[binding] = str(error)
                raise

    async def remove(self, binding: Binding) -> None:  # noqa: D102 - see Source
        async with self._changing:
            if self._consumer is not None and self.bindings.get(binding) == "":
                await self._consumer.unbind(binding)
            self.bindings.pop(binding, None)

    async def _open(self) -> None:
        wanted = [binding for binding, problem in self.bindings.items() if not problem]
        if not wanted:
            return
        consumer = self._pulse.subscribe(*wanted, prefetch=_PREFETCH, on_gap=self._on_gap, on_refused=self._on_refused)
        try:
            await consumer.open()
        except BaseException:
            await consumer.close()
            raise
        self._consumer = consumer
        self._report("")
        self._opened.set()

    async def _run(self) -> None:
        while True:
            await self._opened.wait()
            self._opened.clear()
            consumer = self._consumer
            assert consumer is not None
            last = datetime.now(UTC)
            try:
                async for message in consumer:
                    self.ring.add(message)
                    message.ack()
                    last = message.received
            except NotOpen:  # closed with the connection
                return
            except PulsekitError as error:
                async with self._changing:
                    self._consumer = None
                    await consumer.close()
                    await self._end(error, last)

    async def _end(self, error: PulsekitError, last: datetime) -> None:
        """Subscribe again if the queue was deleted, for example by PulseGuardian. Report other errors."""
        problem = f"{error}; add a binding to subscribe again"
        if isinstance(error, SubscriptionLost):
            try:
                await self._open()
            except PulsekitError as again:
                problem = f"{again}; add a binding to subscribe again"
            else:
                self.ring.add(Gap(last, datetime.now(UTC), 0, lossy=True))
                problem = f"{error}; the page uses a new queue"
        self._report(problem)

    async def _close(self) -> None:
        for retry in self._retries:
            retry.cancel()
        if self._retries:
            await asyncio.wait(set(self._retries))
        if self._consumer is not None:
            await self._consumer.close()

    def _on_gap(self, gap: Gap) -> None:
        self.ring.add(gap)
        if waiting := [binding for binding, problem in self.bindings.items() if problem]:
            retry = asyncio.create_task(self._add_again(waiting), name="bind again")
            self._retries.add(retry)
            retry.add_done_callback(self._retries.discard)

    async def _add_again(self, waiting: Iterable[Binding]) -> None:
        for binding in waiting:
            with suppress(PulsekitError):  # the page shows it
                await self.add(binding)

    def _on_refused(self, binding: Binding, error: BrokerRefused) -> None:
        self.bindings[binding] = str(error)


class RecordedSource(Source):
    """A recording, which is read once, in the order of the file. If it is damaged, `problem` has the position."""

    def __init__(self, path: str | Path, ring: Ring | None = None) -> None:
        super().__init__(str(path), Ring(*_RECORDED) if ring is None else ring)

    async def _open(self) -> None:
        Path(self.name).open("rb").close()  # fails early if the file is missing  # noqa: ASYNC230

    async def _run(self) -> None:
        entries = read_recording(self.name)
        while self.problem == "" and (chunk := await asyncio.to_thread(self._read, entries)):
            for entry in chunk:
                self.ring.add(entry)

    def _read(self, entries: Iterator[Record | Gap]) -> list[Message | Gap]:
        """Return the next entries, including all entries before a damaged line."""
        chunk: list[Message | Gap] = []
        try:
            for entry in islice(entries, _CHUNK):
                chunk.append(entry if isinstance(entry, Gap) else entry.message())  # noqa: PERF401 - keeps the entries
        except (PulsekitError, OSError) as error:
            text = str(error)  # an error of `read_recording` names the file, an error of `message` does not
            shown = self.ring.messages + sum(isinstance(one, Message) for one in chunk)
            self._report(text if text.startswith(self.name) else f"{self.name}: message {shown + 1:,}: {text}")
        return chunk
