from __future__ import annotations

import asyncio
import threading

import pytest

from pulsekit.cli.output.output import note
from pulsekit.cli.output.streams import Outlet


class Sink:
    """A sink that accepts data when the test permits it."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.may = threading.Semaphore(0)
        self.error: OSError | None = None

    def write(self, data: bytes) -> None:
        self.may.acquire()
        if self.error is not None:
            raise self.error
        self.writes.append(data)


@pytest.fixture
def sink() -> Sink:
    return Sink()


async def test_a_line_is_written_at_once_and_waiting_lines_together(sink: Sink) -> None:
    outlet = Outlet(sink.write)
    for line in (b"1\n", b"2\n", b"3\n"):
        outlet.put(line)
    sink.may.release(2)
    await outlet.drain()
    assert sink.writes == [b"1\n", b"2\n3\n"]
    outlet.put(b"4\n")
    sink.may.release()
    await outlet.drain()
    assert sink.writes[2:] == [b"4\n"]


async def test_a_fast_writer_waits_for_a_slow_reader(sink: Sink) -> None:
    outlet = Outlet(sink.write)
    outlet.put(b"first")
    assert not outlet.full
    outlet.put(b"x" * 1_000_000)
    assert outlet.full
    waiting = asyncio.create_task(outlet.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    sink.may.release()
    await waiting
    assert sink.writes == [b"first"]
    assert not outlet.full
    sink.may.release()
    await outlet.drain()


@pytest.mark.parametrize("wait", ["room", "drain"])
async def test_a_write_error_is_raised_to_every_later_caller(sink: Sink, wait: str) -> None:
    outlet = Outlet(sink.write)
    sink.error = BrokenPipeError()
    outlet.put(b"1")
    outlet.put(b"2" * 1_000_000)
    sink.may.release()
    with pytest.raises(BrokenPipeError):
        await getattr(outlet, wait)()
    with pytest.raises(BrokenPipeError):
        outlet.put(b"3")
    assert sink.writes == []


async def test_without_output_nothing_waits(sink: Sink) -> None:
    outlet = Outlet(sink.write)
    await outlet.room()
    await outlet.drain()
    assert sink.writes == []


def test_a_placeholder_is_shown_and_a_password_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    note("set PULSE_URL=amqps://USER:PASSWORD@HOST/")
    note("no amqps://USER:PASSWORD@x:hunter2@HOST/, amqps://USER:hunter2@HOST/")
    first, second = capsys.readouterr().err.splitlines()
    assert first == "set PULSE_URL=amqps://USER:PASSWORD@HOST/"
    assert second == "no amqps://USER:***@HOST/, amqps://USER:***@HOST/"
