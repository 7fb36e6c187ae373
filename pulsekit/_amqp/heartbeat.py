"""Close a connection on which no data arrive, before aiormq does.

Plan: within two heartbeat intervals, `LivenessCheck` looks four times whether data have arrived since the last look. If
no look found data, the connection is aborted (AMQP 0-9-1 §4.2.7). The looks are counted, not the seconds: if the
program blocks its event loop for a minute, data arrive but are not read.

If a consumer accepts no more data, the socket is not read. Every look then counts as successful, and aiormq receives a
heartbeat. A loss is found when a heartbeat is sent.

Example: with a heartbeat of 20 s, the looks are every 10 s. The broker dies at 12:00:01, after the look at 12:00:00.
The look at 12:00:10 finds the data of 12:00:01, and those at :20, :30, :40 and :50 find none.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulsekit._amqp.frame_router import FrameRouter

__all__ = ["LivenessCheck"]

log = logging.getLogger("pulsekit")

_CHECKS = 4  # checks for received data in two heartbeat intervals


class LivenessCheck:
    """A repeated check whether data arrive on a connection, which aborts a dead connection.

    Args:
        router: the frame router of the connection.
        heartbeat: the negotiated heartbeat interval in seconds.

    Attributes:
        alive_at: a recent time, by the clock of the event loop. Data have arrived after it.
    """

    def __init__(self, router: FrameRouter, heartbeat: int) -> None:
        self._router = router
        self._heartbeat = heartbeat
        self._silent = 0  # consecutive checks that found no received data
        self._loop = asyncio.get_running_loop()
        self.alive_at = self._checked_at = self._loop.time()
        self._next = self._schedule()

    def stop(self) -> None:
        """Check no more."""
        self._next.cancel()

    def _schedule(self) -> asyncio.TimerHandle:
        return self._loop.call_later(2 * self._heartbeat / _CHECKS, self._check)

    def _check(self) -> None:
        router = self._router
        if not router.reading:
            router.keep_alive()
            router.received_data = True
        elif router.received_data:
            self.alive_at = self._checked_at
        self._checked_at = self._loop.time()
        self._silent = 0 if router.received_data else self._silent + 1
        router.received_data = False
        if self._silent >= _CHECKS:
            log.warning("no data from the broker for %d s: closing the connection", 2 * self._heartbeat)
            router.abort()
        else:
            self._next = self._schedule()
