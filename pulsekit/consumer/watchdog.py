"""Warnings about handlers that block the event loop, or run for a long time.

Plan: while messages are handled, a timer fires sixteen times in a heartbeat interval. If it fires late, the event loop
was blocked for at least that time. If a handler ran since the timer last fired, a warning names it. If the timer fires
twice while the same message is handled, the call may be long. Of several concurrent calls, only the last message is
known. The cost does not depend on the number of messages.

Each call of `handle` has a timer. The timers of one consumer share what they found: a message that one timer has seen
is not new to the others, and a block is reported once.

Example: with a heartbeat interval of 60 s, a handler sleeps for 20 s without `await`. The timer, due every 3.75 s,
fires at least 16.25 s late. The limit is 11.25 s: a quarter of the heartbeat interval, minus one period of the timer.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pulsekit.messages import Message

__all__ = ["Watchdog"]

log = logging.getLogger("pulsekit")

_TICKS = 16  # timer events in one heartbeat interval
_LONG = 900.0  # seconds of one call: half of RabbitMQ's default consumer_timeout
_LIMIT = 0.25  # the part of a heartbeat interval for which a handler may block the event loop


class Watchdog:
    """A watchdog for the handlers of one consumer.

    Attributes:
        message: the last message that was passed to a handler.
        running: how many calls of a handler are running.
    """

    def __init__(self, heartbeat: Callable[[], float]) -> None:
        self.message: Message | None = None
        self.running = 0
        self._heartbeat = heartbeat
        self._fired = 0.0  # when a timer last fired
        self._seen: Message | None = None  # `message` at that time
        self._since = 0.0  # when a timer first saw this message
        self._warned: Message | None = None

    @contextmanager
    def watch(self, handler: object) -> Iterator[None]:
        """Within the block, warn if this handler blocks the event loop, or if one of its calls runs for long."""
        name = getattr(handler, "__qualname__", type(handler).__name__)
        loop = asyncio.get_running_loop()
        due = loop.time()
        timer: asyncio.TimerHandle

        def check() -> None:
            nonlocal due, timer
            heartbeat, now = self._heartbeat(), loop.time()
            period, late = heartbeat / _TICKS, now - max(due, self._fired)
            active = self.running or self.message is not self._seen
            if active and late >= heartbeat * _LIMIT - period:
                log.warning(
                    "the handler %s blocked the event loop for %.1f s, at or before %s; the connection is lost if no "
                    "heartbeat is sent for %d s: run blocking code in a thread (await asyncio.to_thread(function))",
                    name,
                    late,
                    self.message,
                    2 * heartbeat,
                )
            if self.message is not self._seen:
                self._since = now
            elif self.running and self.message is not self._warned and now - self._since >= _LONG:
                self._warned = self.message
                log.warning(
                    "the handler %s has been running for %d s with %s; the broker closes the channel if a message is "
                    "not settled within its consumer_timeout, 30 minutes by default, and delivers the message again",
                    name,
                    now - self._since,
                    self.message,
                )
            self._fired, self._seen, due = now, self.message, now + period
            timer = loop.call_at(due, check)

        timer = loop.call_at(due, check)
        try:
            yield
        finally:
            check()
            timer.cancel()
            if not self.running:  # in another call of `handle`
                self.message = self._seen = None
