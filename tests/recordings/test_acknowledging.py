from __future__ import annotations

import asyncio
import errno
import gc
import os
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import pulsekit
from pulsekit._amqp.types import Settlement
from pulsekit.messages import Gap, Message
from pulsekit.recordings import RecordingWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Broker:
    """Record the acknowledgements instead of a consumer."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []

    def settle(self, message: Message, settlement: Settlement) -> None:
        assert settlement is Settlement.ACK
        self.acknowledged.append(message.delivery_tag)

    def message(self, number: int, epoch: int = 1) -> Message:
        return Message(
            exchange="e",
            routing_key="k",
            body=str(number).encode(),
            received=NOON,
            delivery_tag=number,
            epoch=epoch,
            settler=self,
        )


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[RecordingWriter]:
    writer = RecordingWriter(pulsekit.Recorder(tmp_path / "jobs.ndjson"))
    await writer.open()
    yield writer
    await writer.close()


async def test_a_closed_recording_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    writer = RecordingWriter(pulsekit.Recorder(tmp_path / "jobs.ndjson"))
    await writer.open()
    await writer.write([Broker().message(1)])
    await writer.close()
    (thread,) = set(threading.enumerate()) - before
    del writer
    gc.collect()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


async def test_a_message_is_acknowledged_after_it_is_on_disk(
    writer: RecordingWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker()
    synced: list[list[bytes]] = []

    def fsync(file: Any) -> None:
        assert broker.acknowledged == []
        synced.append(writer.path.read_bytes().splitlines()[1:])

    monkeypatch.setattr(os, "fsync", fsync)
    await writer.write([broker.message(1), broker.message(2)])
    assert broker.acknowledged == []
    assert writer.due < asyncio.get_running_loop().time() + 1
    await writer.settle()
    assert len(synced[0]) == 2
    assert broker.acknowledged == [1, 2]
    monkeypatch.undo()


async def test_many_unacknowledged_messages_are_synced_before_the_timer(writer: RecordingWriter) -> None:
    broker = Broker()
    await writer.write([broker.message(number) for number in range(500)])
    assert len(broker.acknowledged) == 500


async def test_a_message_that_was_not_stored_is_never_acknowledged(
    writer: RecordingWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker()
    await writer.write([broker.message(1)])
    await writer.settle()
    await writer.write([broker.message(2)])

    def fsync(file: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output"):
        await writer.settle()
    await writer.close()
    assert broker.acknowledged == [1]


async def test_a_slow_disk_delays_acknowledgements_and_not_the_event_loop(
    writer: RecordingWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, synced, asked = Broker(), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def fsync(file: Any) -> None:
        loop.call_soon_threadsafe(asked.set)
        synced.wait()

    monkeypatch.setattr(os, "fsync", fsync)
    await writer.write([broker.message(1)])
    settling = asyncio.ensure_future(writer.settle())
    await asked.wait()  # the event loop runs while the disk is busy
    assert broker.acknowledged == []
    synced.set()
    await settling
    assert broker.acknowledged == [1]
    monkeypatch.undo()


async def test_a_gap_precedes_the_first_message_after_it(
    writer: RecordingWriter,
) -> None:
    broker = Broker()
    writer.gaps += [Gap(NOON, NOON, 2, lossy=True), Gap(NOON, NOON, 3, lossy=True)]
    await writer.write([broker.message(1), broker.message(2, epoch=2)])
    await writer.close()
    kinds = [type(entry).__name__ for entry in pulsekit.read_recording(writer.path)]
    assert kinds == ["Record", "Gap", "Record", "Gap"]
    assert broker.acknowledged == [1, 2]
