"""docs/migrating/publishers.md: which of 300 messages are lost with kombu, and that pulsekit loses none."""

from __future__ import annotations

import asyncio
import http.client
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.proxy import Proxy

from migrating.pages import figures
from migrating.programs import Place
from pulsekit.queues import queue_depth

if TYPE_CHECKING:
    from pathlib import Path

    from support.rabbitmq.broker import PulseUser

    import pulsekit

BOTH = pytest.mark.parametrize(
    ("broker", "form"),
    [
        ("sandbox", "before"),
        pytest.param("rabbitmq", "before", marks=(pytest.mark.rabbitmq, pytest.mark.slow)),
        ("sandbox", "after"),
        pytest.param("rabbitmq", "after", marks=pytest.mark.rabbitmq),
    ],
    indirect=["broker"],
)


class Bound:
    """An exchange of the user, and a queue that is bound to it."""

    def __init__(self, pulse: pulsekit.Pulse, name: str) -> None:
        self.pulse = pulse
        self.exchange = f"exchange/{pulse.user}/{name}"
        self.queue = f"queue/{pulse.user}/{name}"

    async def bind(self) -> None:
        async with self.pulse.subscribe(self.exchange, queue=self.queue):
            pass

    async def account(self, name: str) -> None:
        """Compare the messages in the queue with the table of the page."""
        found = Counter[int]()
        count = (await queue_depth(self.pulse, self.queue)).ready
        async with self.pulse.subscribe(queue=self.queue) as messages:
            for _ in range(count):
                message = await anext(messages)
                payload = message.payload["payload"]
                found[int(payload.get("push_id") or payload["release"])] += 1
                message.ack()
        assert found.keys() <= {*range(1, 301)}
        assert (300 - len(found), found.total() - len(found)) == figures(name)


@BOTH
async def test_a_push_counts_as_notified_after_its_confirm(
    pulse: pulsekit.Pulse, user: PulseUser, tmp_path: Path, form: str
) -> None:
    place, bound = Place(tmp_path, user), Bound(pulse, "pushes")
    await pulse.create_exchange(bound.exchange)
    await bound.bind()
    with closing(sqlite3.connect(tmp_path / "pushes.sqlite")) as database:
        database.execute("PRAGMA journal_mode = WAL")  # one fsync for each commit of the program, not three
        database.execute("CREATE TABLE pushes (id INTEGER PRIMARY KEY, notified INTEGER DEFAULT 0)")

        def land(count: int) -> None:
            with database:
                database.executemany("INSERT INTO pushes (notified) VALUES (?)", [(0,)] * count)

        async def notified(count: int) -> None:
            while database.execute("SELECT sum(notified) FROM pushes").fetchone()[0] < count:
                await asyncio.sleep(0.01)  # between two looks: nothing announces a row

        land(100)
        async with Proxy(user.url) as proxy:
            with place.start(f"notify_{form}", proxy.url) as process:
                await notified(100)
                proxy.black_hole()
                carried = proxy.carried
                land(100)
                if form == "before":
                    await notified(200)
                while proxy.carried == carried:
                    await asyncio.sleep(0.01)  # between two looks: nothing announces a message that vanished
                process.kill()
            land(100)
            with place.start(f"notify_{form}", proxy.url) as process:
                await notified(300)
                process.send_signal(signal.SIGTERM)
    await bound.account(f"notify_{form}")


def post(port: int, releases: range | list[int]) -> list[int]:
    """Sign off releases, and return those whose request failed."""
    failed, left = [], list(releases)
    while left:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request("POST", f"/{left[0]}")
            try:
                status = connection.getresponse().status
            except http.client.RemoteDisconnected:
                continue  # kombu did not connect within 5 s, which a busy broker can need
            if status != http.HTTPStatus.OK:
                failed.append(left[0])
            del left[0]
    return failed


@BOTH
async def test_a_request_succeeds_after_a_queue_has_the_message(
    pulse: pulsekit.Pulse, user: PulseUser, tmp_path: Path, form: str
) -> None:
    place, bound = Place(tmp_path, user), Bound(pulse, "releases")
    await pulse.create_exchange(bound.exchange)
    with place.start(f"phases_{form}") as process:
        port = int(process.stdout.readline())
        failed = await asyncio.to_thread(post, port, range(1, 101))
        assert failed == ([] if form == "before" else [*range(1, 101)])
        await bound.bind()
        assert not await asyncio.to_thread(post, port, [*failed, *range(101, 201)])
        process.kill()
    with place.start(f"phases_{form}") as process:
        port = int(process.stdout.readline())
        assert not await asyncio.to_thread(post, port, range(201, 301))
        process.send_signal(signal.SIGTERM)
    await bound.account(f"phases_{form}")
