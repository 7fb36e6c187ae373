"""Publish recorded messages again: with the recorded intervals, faster, or as fast as possible.

replay = Replay(read_recording("jobs.ndjson.gz"), speed=2)
async for receipt in replay.send(publisher):
    ...
replay.latest                                      # the largest delay of a message, in seconds
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from pulsekit._amqp.callbacks import check_number
from pulsekit.errors import ConfigurationError
from pulsekit.publisher.encoder import Draft
from pulsekit.publisher.publisher import WINDOW
from pulsekit.records.record import Record

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator

    from pulsekit.messages import Gap
    from pulsekit.publisher.publisher import Publisher
    from pulsekit.publisher.receipts import Receipt

__all__ = ["KeyMap", "Replay", "schedule"]


def schedule(
    entries: Iterable[Record | Gap], *, speed: float = 1.0, max_gap: float = inf, pace: float | None = None
) -> Iterator[tuple[float, Record]]:
    """Yield each message with the time at which it is due, in seconds after the first message.

    No message is due before the previous one, even if the clock was set back during the recording. Gaps keep their
    duration. See `Replay` for the arguments.
    """
    due, last = 0.0, None
    for number, entry in enumerate(entry for entry in entries if isinstance(entry, Record)):
        if pace is not None:
            due = number * pace
        elif entry.received is not None:
            if last is not None:
                due += min(max(0.0, (entry.received - last).total_seconds()) / speed, max_gap)
            last = entry.received
        yield due, entry


def _check_speed(speed: object) -> None:
    if not isinstance(speed, int | float) or not speed > 0:
        right = "1 keeps the recorded intervals, 2 halves them, math.inf removes them"
        raise ConfigurationError(f"speed must be a number above zero ({right}), not {speed!r}")


class KeyMap:
    """A mapping that replaces the first words of routing keys.

    If several changes match a key, the change with the most words is used. Other keys are not changed.
    """

    def __init__(self, changes: Iterable[str]) -> None:
        """Parse changes, each `OLD=NEW`: complete words with dots between them. Without NEW, OLD is removed.

        Raises:
            ConfigurationError: Raised when a change has another form, or two changes have the same OLD.
        """
        self._changes: dict[str, str] = {}
        self._used: set[str] = set()
        for change in changes:
            old, sign, new = change.partition("=")
            if not (old and sign):
                raise ConfigurationError(f"{change!r} is not OLD=NEW, as in treeherder=treeherder-staging")
            if self._changes.setdefault(old, new) != new:
                raise ConfigurationError(f"{old!r} cannot become both {self._changes[old]!r} and {new!r}")

    @property
    def unused(self) -> tuple[str, ...]:
        """Each OLD that was not the beginning of any key so far."""
        return tuple(old for old in self._changes if old not in self._used)

    def __call__(self, key: str) -> str:
        """Return the changed key."""
        words = key.split(".")
        for size in range(len(words), 0, -1):
            old = ".".join(words[:size])
            if old in self._changes:
                self._used.add(old)
                new = self._changes[old]
                return ".".join([new, *words[size:]] if new else words[size:])
        return key


def mapped(draft: Draft, rekey: Callable[[str], str]) -> Draft:
    """Return a message with other routing keys, including CC and BCC keys."""
    headers = draft.headers
    if isinstance(hidden := headers.get("BCC"), list):
        headers = {**headers, "BCC": [rekey(key) if isinstance(key, str) else key for key in hidden]}
    return replace(draft, routing_key=rekey(draft.routing_key), cc=tuple(map(rekey, draft.cc)), headers=headers)


class Replay:
    """A replay, which publishes each message of a recording when it is due.

    A message is never published early. If the machine or the broker is too slow, a message is late, and the next
    messages follow as fast as possible until they are in time again. Bodies, keys, headers and properties are those of
    the recording, including message ids. `user_id` is removed, because the broker refuses that of another user (406).
    CC and BCC keys, expiration and `reply_to` are removed unless `keep` names them, see `Draft.from_record`.

    Attributes:
        count: the number of messages that were passed to the publisher.
        planned: the time at which the last of these messages was due, in seconds after the first message.
        late: the delay of the last message in seconds.
        latest: the largest delay of a message in seconds.
    """

    def __init__(
        self,
        entries: Iterable[Record | Gap],
        *,
        speed: float = 1.0,
        max_gap: float = inf,
        pace: float | None = None,
        rekey: Callable[[str], str] | None = None,
        keep: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Create a replay. `send` reads the entries.

        Args:
            entries: the entries of a recording, as from `read_recording`.
            speed: the divisor of the intervals. With `inf`, the replay does not wait, and no message is late.
            max_gap: the maximum number of seconds between two messages, after the division by `speed`.
            pace: seconds between any two messages, instead of the recorded times.
            rekey: returns the routing key to publish for a recorded key, such as a `KeyMap`. It also changes the CC and
                BCC keys that are sent.
            keep: the fields of the records that are sent, although they lead to other queues: `cc`, `bcc`,
                `expiration`, `reply_to`.
            clock: returns the time in seconds.
            sleep: waits for a number of seconds.

        Raises:
            ConfigurationError: Raised when the speed is not a number above zero, or another time is negative.
            TypeError: Raised when a time is not a number.
        """
        _check_speed(speed)
        check_number("max_gap", max_gap)
        check_number("pace", pace, optional=True)
        if max_gap < 0 or (pace or 0) < 0:
            raise ConfigurationError("max_gap and pace are 0 seconds or more")
        self.count: int = 0
        self.planned: float = 0.0
        self.late: float = 0.0
        self.latest: float = 0.0
        self._waits = speed != inf
        self._schedule = schedule(entries, speed=speed, max_gap=max_gap, pace=pace)
        self._rekey = rekey
        self._keep = keep
        self._clock = clock
        self._sleep = sleep

    async def send(self, publisher: Publisher, *, window: int = WINDOW) -> AsyncGenerator[Receipt, None]:
        """Publish all messages, and yield the receipts in order, each when it is known. Call this once.

        Raises:
            Exception: Raised when reading the entries fails, once the receipts of the previous messages were yielded.
            BrokerRefused: Raised when the exchange, the login or the virtual host was refused.
            NetworkError: Raised when the first connection fails, or when the broker has answered no message during the
                timeout of a message.
        """
        source = self._in_time() if self._waits else self._at_once()
        async with aclosing(publisher.publish_many(source, window=window, stop_when_silent=True)) as receipts:
            async for receipt in receipts:
                yield receipt

    def _at_once(self) -> Iterator[Draft]:
        for _, record in self._schedule:
            self.count += 1
            yield self._draft(record)

    async def _in_time(self) -> AsyncIterator[Draft]:
        began: float | None = None
        for due, record in self._schedule:
            draft = self._draft(record)
            now = self._clock()
            began = now if began is None else began
            while began + due > now:
                await self._sleep(began + due - now)
                now = self._clock()
            self.count += 1
            self.planned, self.late = due, now - began - due
            self.latest = max(self.latest, self.late)
            yield draft

    def _draft(self, record: Record) -> Draft:
        draft = Draft.from_record(record, keep=self._keep)
        return draft if self._rekey is None else mapped(draft, self._rekey)
