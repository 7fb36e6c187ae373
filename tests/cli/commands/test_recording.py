from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from support.children import Child
from support.command import environment, pulsekit, start
from support.proxy import Proxy
from support.samples import JOBS

import pulsekit as library

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from support.rabbitmq.broker import PulseUser

BODIES = [b'{"a":  1.50}', b"not json", b"\xff\x00", '{"é":"\u202e"}'.encode()]
T = TypeVar("T")


@pytest.fixture
async def publisher(user: PulseUser, exchange: str) -> AsyncIterator[library.Publisher]:
    async with library.connect(user.url) as pulse:
        publisher = pulse.publisher(exchange)
        await publisher.open()
        yield publisher


@contextmanager
def tailing(*arguments: str, folder: Path, url: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a tail that is subscribed."""
    with start("tail", *arguments, folder=folder, url=url, **more) as tail:
        assert tail.stderr is not None
        while not tail.stderr.readline().startswith("listening on "):
            assert tail.poll() is None
        yield tail


def bodies(path: Path) -> list[Any]:
    """Read a recording, which must be complete."""
    return [entry.content for entry in library.read_recording(path) if isinstance(entry, library.Record)]


@pytest.mark.parametrize("name", ["jobs.ndjson", "jobs.ndjson.gz"])
async def test_messages_are_recorded_exactly_and_shown_as_usual(
    name: str, user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    binding = f"{exchange}:k.#"
    with tailing(binding, "-n", "4", "--save", name, folder=tmp_path, url=user.url) as tail:
        for number, body in enumerate(BODIES):
            await publisher.publish(body, f"k.{number}", cc=["other"], headers={"h": b"\xff", "x": number})
        out, err = tail.communicate()
    assert tail.returncode == 0
    assert err.endswith(f", 4 recorded in {name}\n")
    shown = [json.loads(line) for line in out.splitlines()]
    assert [record["routing_key"] for record in shown] == ["k.0", "k.1", "k.2", "k.3"]
    assert "body" not in shown[0]
    entries = list(library.read_recording(tmp_path / name))
    assert bodies(tmp_path / name) == BODIES
    for number, entry in enumerate(entries):
        assert isinstance(entry, library.Record)
        assert (entry.exchange, entry.routing_key, entry.cc) == (exchange, f"k.{number}", ("other",))
        assert entry.headers["h"] == b"\xff"
        assert entry.headers["x"] == number
        assert entry.properties.message_id == shown[number]["properties"]["message_id"]
        assert entry.received is not None


async def test_quiet_records_and_shows_nothing(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    arguments = (exchange, "-n", "2", "--save", "jobs.ndjson", "--quiet")
    closed = {"stdout": None, "preexec_fn": lambda: os.close(1)}  # stdout is not needed either
    with tailing(*arguments, folder=tmp_path, url=user.url, **closed) as tail:
        for body in BODIES[:2]:
            await publisher.publish(body, "k")
        _, err = tail.communicate()
    assert "2 recorded in jobs.ndjson" in err
    assert bodies(tmp_path / "jobs.ndjson") == BODIES[:2]


@pytest.mark.parametrize(
    ("arguments", "sent", "status"),
    [
        (["-n", "3"], None, 0),
        (["--idle", "1s"], None, 0),
        (["--for", "2s"], None, 0),
        ([], signal.SIGINT, 130),
        ([], signal.SIGTERM, -signal.SIGTERM),
        ([], signal.SIGHUP, -signal.SIGHUP),
    ],
)
async def test_a_recording_is_complete_however_tail_stops(
    arguments: list[str],
    sent: signal.Signals | None,
    status: int,
    user: PulseUser,
    exchange: str,
    publisher: library.Publisher,
    tmp_path: Path,
) -> None:
    with tailing(exchange, *arguments, "--save", "jobs.ndjson.gz", folder=tmp_path, url=user.url) as tail:
        assert tail.stdout is not None
        for number in range(3):
            await publisher.publish({"n": number}, "k")
        shown = ""
        if sent is not None:
            shown = "".join(tail.stdout.readline() for _ in range(3))
            tail.send_signal(sent)
        out, err = tail.communicate()
    assert tail.returncode == status
    numbers = [json.loads(line)["payload"]["n"] for line in (shown + out).splitlines()]
    # A tail that stops after a time shows fewer messages if the machine stalls during that time.
    assert numbers == list(range(len(numbers) if {"--idle", "--for"} & {*arguments} else 3))
    assert f"{len(numbers)} recorded in jobs.ndjson.gz" in err
    assert len(err.splitlines()) == 1
    assert bodies(tmp_path / "jobs.ndjson.gz") == [b'{"n":%d}' % number for number in numbers]


async def test_recorded_messages_are_soon_on_disk_without_further_ones(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    with tailing(exchange, "--save", "jobs.ndjson.gz", folder=tmp_path, url=user.url) as tail:
        await publisher.publish(b"1", "k")
        found = None
        while found is None:
            assert tail.poll() is None
            with suppress(library.DamagedRecording):  # the file may still be empty
                found = next(library.read_recording(tmp_path / "jobs.ndjson.gz"))
        tail.kill()


async def test_a_recording_is_complete_after_the_reader_of_stdout_exits(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    with tailing(exchange, "--save", "jobs.ndjson", folder=tmp_path, url=user.url) as tail:
        assert tail.stdout is not None
        tail.stdout.close()
        await publisher.publish(b"1", "k")
        assert tail.wait() == 141
        assert tail.stderr is not None
        assert "1 recorded" in tail.stderr.read()
    assert bodies(tmp_path / "jobs.ndjson") == [b"1"]


def everything(path: Path) -> list[bytes]:
    """Read a recording up to its damage."""
    found: list[bytes] = []
    with suppress(library.DamagedRecording):
        found += (entry.content for entry in library.read_recording(path) if isinstance(entry, library.Record))
    return found


async def test_no_message_is_lost_when_tail_is_killed_while_it_records(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    arguments = (exchange, "--queue", f"queue/{user.name}/kept", "--quiet", "--save")
    sent = [b'{"n": %d}' % number for number in range(2000)]
    with tailing(*arguments, "first.ndjson.gz", folder=tmp_path, url=user.url) as tail:
        async for receipt in publisher.publish_many((body, "k") for body in sent):
            if receipt.index == 1000:
                tail.kill()
    first = everything(tmp_path / "first.ndjson.gz")
    with tailing(*arguments, "second.ndjson", folder=tmp_path, url=user.url) as tail:
        while {*first, *everything(tmp_path / "second.ndjson")} != {*sent}:
            assert tail.poll() is None
            await asyncio.sleep(0.05)  # between two looks: no event reports that the file has grown
        tail.send_signal(signal.SIGINT)
        tail.communicate()
    assert tail.returncode == 130
    assert {*first, *bodies(tmp_path / "second.ndjson")} == {*sent}
    assert first == sent[: len(first)]


# The command, on a disk that never answers again once the file has been created.
HUNG_DISK = """
import os, runpy, sys, threading

def hang(file):
    if not isinstance(file, int):  # the file, and not its folder
        print("hangs", file=sys.stderr, flush=True)
        threading.Event().wait()

os.fsync = hang
runpy.run_module("pulsekit", run_name="__main__")
"""


async def test_a_disk_that_hangs_stops_neither_the_second_ctrl_c_nor_a_later_delivery(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    arguments = ("tail", exchange, "--queue", f"queue/{user.name}/kept", "--quiet", "--save")
    program = (sys.executable, "-c", HUNG_DISK, *arguments, "first.ndjson")
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with Child(program, env=environment(tmp_path, user.url), cwd=tmp_path, **pipes) as tail:
        while not tail.stderr.readline().startswith("listening on "):
            assert tail.poll() is None
        await publisher.publish(b"1", "k")
        while tail.stderr.readline() != "hangs\n":
            assert tail.poll() is None
        while tail.poll() is None:  # two signals at once would be one
            tail.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                tail.wait(0.3)
    assert tail.returncode == 130
    assert everything(tmp_path / "first.ndjson") == [b"1"]
    done = pulsekit(*arguments, "second.ndjson", "-n", "1", folder=tmp_path, url=user.url)
    assert done.status == 0
    assert bodies(tmp_path / "second.ndjson") == [b"1"]


async def test_messages_after_the_file_was_deleted_stay_in_the_queue(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    queue = f"queue/{user.name}/kept"
    with tailing(exchange, "--queue", queue, "--save", "jobs.ndjson", folder=tmp_path, url=user.url) as tail:
        assert tail.stdout is not None
        (tmp_path / "jobs.ndjson").unlink()
        await publisher.publish(b"1", "k")
        _, err = tail.communicate()
    assert tail.returncode == 74
    assert "error: jobs.ndjson: another program has deleted, renamed or replaced the file" in err
    assert "recorded in" not in err
    done = pulsekit("tail", exchange, "--queue", queue, "-n", "1", folder=tmp_path, url=user.url)
    assert [record["payload"] for record in done.records] == [1]


def test_two_tails_never_record_to_one_file(user: PulseUser, exchange: str, tmp_path: Path) -> None:
    pulsekit("exchange", "create", exchange, folder=tmp_path, url=user.url)
    arguments = (exchange, "--save", "jobs.ndjson", "--force")
    with tailing(*arguments, folder=tmp_path, url=user.url) as tail:
        done = pulsekit("tail", *arguments, "--for", "1s", folder=tmp_path, url=user.url)
        assert done.status == 74
        assert "error: jobs.ndjson: another process records to this file" in done.err
        tail.send_signal(signal.SIGINT)
        assert "0 recorded in jobs.ndjson" in tail.communicate()[1]


@pytest.mark.parametrize("options", [[], ["--force"]])
def test_a_fifo_is_refused_before_the_connection_is_opened(tmp_path: Path, options: list[str]) -> None:
    os.mkfifo(tmp_path / "pipe.ndjson")
    url = "amqp://u:p@127.0.0.1:1/"  # where no broker listens
    done = pulsekit("tail", "exchange/u/x", "--save", "pipe.ndjson", *options, folder=tmp_path, url=url)
    assert done.status == 2
    assert "tail -o ndjson > FIFO" in done.err


async def test_a_full_disk_ends_tail_and_the_recording_can_be_read(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    arguments = (exchange, "--save", "jobs.ndjson")
    with tailing(*arguments, folder=tmp_path, url=user.url, preexec_fn=small_files) as tail:
        sent = [os.urandom(6000) for _ in range(10)]
        await publisher.publish(sent[0], "k")
        assert tail.stdout is not None
        assert await asyncio.to_thread(tail.stdout.readline)  # messages are written before they are shown
        for body in sent[1:]:
            await publisher.publish(body, "k")
        out, err = tail.communicate()
    assert tail.returncode == 74
    assert "error: jobs.ndjson: File too large" in err
    found = bodies(tmp_path / "jobs.ndjson")
    assert found == sent[: len(found)]
    assert len(found) >= 1 + len(out.splitlines())  # nothing is shown that was not recorded
    assert f"{len(found)} recorded" in err


def test_a_device_that_is_full_from_the_start_is_a_file_error(user: PulseUser, exchange: str, tmp_path: Path) -> None:
    pulsekit("exchange", "create", exchange, folder=tmp_path, url=user.url)
    (tmp_path / "full.ndjson").symlink_to("/dev/full")
    done = pulsekit("tail", exchange, "--save", "full.ndjson", "--force", folder=tmp_path, url=user.url)
    assert done.status == 74
    assert "full.ndjson: No space left on device" in done.err


def test_an_existing_recording_is_replaced_only_with_force(user: PulseUser, exchange: str, tmp_path: Path) -> None:
    pulsekit("exchange", "create", exchange, folder=tmp_path, url=user.url)
    (tmp_path / "jobs.ndjson").write_text("precious")
    arguments = ("tail", exchange, "--idle", "100ms", "--save", "jobs.ndjson")
    done = pulsekit(*arguments, folder=tmp_path, url=user.url)
    assert done.status == 2
    assert "--force" in done.err
    assert (tmp_path / "jobs.ndjson").read_text() == "precious"
    assert pulsekit(*arguments, "--force", folder=tmp_path, url=user.url).status == 0
    assert bodies(tmp_path / "jobs.ndjson") == []


def test_a_tail_that_never_subscribed_creates_no_file(user: PulseUser, tmp_path: Path) -> None:
    (tmp_path / "old.ndjson").write_text("precious")
    for arguments in (["--save", "new.ndjson"], ["--save", "old.ndjson", "--force"]):
        done = pulsekit("tail", f"exchange/{user.name}/v1/nope", *arguments, folder=tmp_path, url=user.url)
        assert done.status == 5
    assert not (tmp_path / "new.ndjson").exists()
    assert (tmp_path / "old.ndjson").read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--save", "jobs.json"], 2, ".ndjson.gz"),
        (["--save", "nowhere/jobs.ndjson"], 74, "nowhere/jobs.ndjson: No such file"),
        (["--quiet"], 2, "--save"),
    ],
)
def test_an_invalid_recording_name_is_refused_before_connecting(
    arguments: list[str], status: int, words: str, tmp_path: Path
) -> None:
    done = pulsekit("tail", "exchange/me/x", *arguments, folder=tmp_path, url="amqp://me:p@127.0.0.1:1/")
    assert done.status == status
    assert words in done.err


async def test_a_lost_connection_is_a_gap_in_the_recording(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    async with Proxy(user.url) as proxy:
        tailed = tailing(exchange, "-n", "2", "--save", "jobs.ndjson", folder=tmp_path, url=proxy.url)
        async with in_thread(tailed) as tail:
            assert tail.stdout is not None
            assert tail.stderr is not None
            await publisher.publish(b"1", "k")
            await asyncio.to_thread(tail.stdout.readline)
            proxy.cut()
            while "warning: the connection was lost" not in await asyncio.to_thread(tail.stderr.readline):
                assert tail.poll() is None
            await publisher.publish(b"2", "k")
            await asyncio.to_thread(tail.communicate)
    first, gap, second = library.read_recording(tmp_path / "jobs.ndjson")
    assert isinstance(first, library.Record)
    assert isinstance(gap, library.Gap)
    assert isinstance(second, library.Record)
    assert first.received is not None
    assert second.received is not None
    # The gap begins before the oldest message that may be missing, as the consumer estimates it.
    assert first.received - timedelta(seconds=2) <= gap.start <= gap.end
    assert gap.lossy
    assert gap.end <= second.received + timedelta(milliseconds=1)


@asynccontextmanager
async def in_thread(block: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Run an asynchronous context manager in another thread."""
    value = await asyncio.to_thread(block.__enter__)
    try:
        yield value
    finally:
        await asyncio.to_thread(block.__exit__, None, None, None)


@pytest.mark.parametrize(("before", "indent"), [("", None), ("", 2), ("\ufeff\n \n", None), ("\n", 2)])
async def test_the_download_of_pulse_inspector_is_read_by_every_command(
    before: str, indent: int | None, user: PulseUser, exchange: str, tmp_path: Path
) -> None:
    entry = {"exchange": "exchange/other/jobs", "routingKey": "treeherder.try._", "redelivered": False, "cc": ["a.b"]}
    text = before + json.dumps([{"payload": job, **entry} for job in JOBS[:2]], indent=indent)
    (tmp_path / "download.json").write_text(text)
    (tmp_path / "sources.txt").write_text("exchange/other/jobs.treeherder.#")
    read = "download.json"
    assert pulsekit("validate", read, folder=tmp_path).status == 0
    assert len(pulsekit("preview", read, folder=tmp_path).records) == 2
    planned = pulsekit("publish", read, "-e", exchange, "--dry-run", folder=tmp_path).records
    assert [record["routing_key"] for record in planned] == ["treeherder.try._"] * 2
    matched = pulsekit("match", "-b", "a.*", folder=tmp_path, given=text)
    assert (matched.status, len(matched.records)) == (0, 2)
    counted = pulsekit("bindings", "sources.txt", "--keys", read, folder=tmp_path).records
    assert counted[0]["takes"] == 2
    async with library.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)
        async with pulse.subscribe(f"{exchange}:a.b") as messages:
            done = pulsekit("replay", read, "-e", exchange, "--also", "cc", folder=tmp_path, url=user.url)
            assert done.status == 0, done.err
            assert [(await anext(messages)).payload for _ in range(2)] == JOBS[:2]
