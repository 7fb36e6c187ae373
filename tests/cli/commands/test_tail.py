from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
from typing import TYPE_CHECKING

import pytest
from support.command import pulsekit, start
from support.samples import JOBS
from support.terminal import read_part

import pulsekit as library

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.rabbitmq.broker import PulseUser


@pytest.fixture
async def publisher(user: PulseUser, exchange: str) -> AsyncIterator[library.Publisher]:
    async with library.connect(user.url) as pulse:
        publisher = pulse.publisher(exchange)
        await publisher.open()
        yield publisher


def listening(process: subprocess.Popen[str]) -> None:
    """Wait until a tail reports that it is subscribed."""
    assert process.stderr is not None
    assert process.stderr.readline().startswith("listening on ")


async def test_thirty_jobs_arrive_unchanged_and_in_order(
    user: PulseUser, exchange: str, publisher: library.Publisher, corpus: Path, tmp_path: Path
) -> None:
    jobs = json.loads((corpus / "treeherder-jobs.json").read_text())
    with start("tail", exchange, "-n", "30", "-o", "ndjson", folder=tmp_path, url=user.url) as tail:
        listening(tail)
        done = pulsekit(
            "publish",
            str(corpus / "treeherder-jobs.json"),
            "--exchange",
            exchange,
            "--destination",
            "treeherder",
            folder=tmp_path,
            url=user.url,
        )
        out, err = tail.communicate()
    assert done.status == 0
    assert tail.returncode == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["payload"] for record in records] == jobs
    assert {record["routing_key"] for record in records} == {"treeherder.autoland._"}
    assert "30 messages in" in err


async def test_only_matching_messages_are_shown_each_once(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    bindings = [f"{exchange}:a.*", f"{exchange}:#.b"]
    with start("tail", *bindings, "-n", "3", folder=tmp_path, url=user.url) as tail:
        listening(tail)
        for key in ("a.b", "c", "a.c", "x.y.b"):
            await publisher.publish({}, key)
        out, _ = tail.communicate()
    assert [json.loads(line)["routing_key"] for line in out.splitlines()] == ["a.b", "a.c", "x.y.b"]


@pytest.mark.parametrize("option", ["--idle", "--for"])
def test_a_tail_can_stop_by_a_limit(option: str, user: PulseUser, exchange: str, tmp_path: Path) -> None:
    pulsekit("exchange", "create", exchange, folder=tmp_path, url=user.url)
    done = pulsekit("tail", exchange, option, "100ms", folder=tmp_path, url=user.url)
    assert done.status == 0
    assert done.out == ""
    assert "0 messages in" in done.err


async def test_ctrl_c_ends_it_cleanly(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    with start("tail", exchange, folder=tmp_path, url=user.url) as tail:
        listening(tail)
        await publisher.publish({}, "k")
        assert tail.stdout is not None
        assert json.loads(tail.stdout.readline())["routing_key"] == "k"
        tail.send_signal(signal.SIGINT)
        _, err = tail.communicate()
    assert tail.returncode == 130
    assert err.startswith("1 message in")
    assert len(err.splitlines()) == 1


async def test_ctrl_c_ends_tail_while_nothing_reads_its_output(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    with start("tail", exchange, folder=tmp_path, url=user.url, stdout=writer) as tail:
        os.close(writer)
        listening(tail)
        await publisher.publish({"text": "x" * 200_000}, "k")
        os.read(reader, 1)  # the rest is larger than the pipe
        tail.send_signal(signal.SIGINT)
        assert tail.wait(timeout=40) == 130
    os.close(reader)


async def test_a_closed_pipe_ends_tail_without_a_message(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    with start("tail", exchange, folder=tmp_path, url=user.url) as tail:
        listening(tail)
        assert tail.stdout is not None
        tail.stdout.close()
        await publisher.publish({}, "k")
        assert tail.wait() == 141
        assert tail.stderr is not None
        assert "0 messages" in tail.stderr.read()


async def test_an_unwritable_output_is_a_file_error(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    with (
        open("/dev/full", "w", encoding="utf-8") as full,  # noqa: PTH123 - a device
        start("tail", exchange, folder=tmp_path, url=user.url, stdout=full) as tail,
    ):
        listening(tail)
        await publisher.publish({}, "k")
        _, err = tail.communicate()
    assert tail.returncode == 74
    assert "No space left" in err


def test_a_missing_exchange_is_reported_with_what_to_check(user: PulseUser, tmp_path: Path) -> None:
    done = pulsekit("tail", f"exchange/{user.name}/v1/nope", folder=tmp_path, url=user.url)
    assert done.status == 5
    assert f"exchange/{user.name}/v1/nope" in done.err
    assert "check the spelling" in done.err


async def test_a_missing_exchange_can_be_awaited(user: PulseUser, exchange: str, tmp_path: Path) -> None:
    with start("tail", exchange, "--wait", "-n", "1", folder=tmp_path, url=user.url) as tail:
        async with library.connect(user.url) as pulse:
            publisher = pulse.publisher(exchange)
            await publisher.open()
            assert tail.stderr is not None
            line = await asyncio.to_thread(tail.stderr.readline)
            if line.startswith("warning: cannot bind "):  # tail was faster than the publisher
                line = await asyncio.to_thread(tail.stderr.readline)
            assert line.startswith("listening on ")
            await publisher.publish({}, "k")
        out, _ = tail.communicate()
    assert tail.returncode == 0
    assert len(out.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["v1/jobs"], "exchange/me/v1/jobs"),
        (["exchange/me/x:" + "a" * 256], "255"),
        (["exchange/me/x", "-n", "0"], "--count"),
        (["exchange/me/x", "--idle", "soon"], "duration"),
        (["exchange/me/x", "--schema", "nope"], "pulse-job"),
        ([], "EXCHANGE"),
    ],
)
def test_a_tail_with_invalid_arguments_is_refused_before_connecting(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    done = pulsekit("tail", *arguments, folder=tmp_path, url="amqp://me:p@127.0.0.1:1/")
    assert done.status == 2
    assert words in done.err


def on_a_terminal(*args: str, folder: Path, url: str) -> tuple[subprocess.Popen[str], int]:
    """Start a tail whose stdout is a terminal; return it and the other end of the terminal."""
    controller, terminal = pty.openpty()
    process = start(*args, folder=folder, url=url, stdout=terminal)
    os.close(terminal)
    return process, controller


def screen(terminal: int) -> str:
    """Read all that was written to a terminal."""
    shown = b"".join(iter(lambda: read_part(terminal), b""))
    os.close(terminal)
    return shown.decode()


async def test_a_job_on_a_terminal_is_one_readable_line(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    job = JOBS[0]
    process, terminal = on_a_terminal("tail", exchange, "-n", "1", folder=tmp_path, url=user.url)
    with process:
        listening(process)
        await publisher.publish(job, "treeherder.autoland._")
        process.communicate()
    lines = screen(terminal).splitlines()
    assert len(lines) == 1
    for part in ("treeherder", "autoland", job["display"]["jobSymbol"], job["state"]):
        assert part in lines[0]


async def test_a_body_of_megabytes_is_shown_on_one_line_at_once(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    process, terminal = on_a_terminal("tail", exchange, "-n", "1", folder=tmp_path, url=user.url)
    with process:
        listening(process)
        await publisher.publish(b"\xc3\xa9" * 2_000_000, "k")
        process.communicate(timeout=40)
    (line,) = screen(terminal).splitlines()
    assert line.endswith("éé…")


async def test_control_characters_of_a_message_are_escaped(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    hostile = "\x1b]0;title\x07\x1b[2J\u202e\x9b31m[red]\r\n"
    bodies = [
        {"display": {"jobSymbol": hostile, "jobName": hostile}, "state": hostile},
        hostile.encode(),
        b"\xff\x1b[2J",
    ]
    process, terminal = on_a_terminal("tail", exchange, "-n", "6", folder=tmp_path, url=user.url)
    with process:
        listening(process)
        for body in bodies:
            await publisher.publish(body, f"k.{hostile}")
            await publisher.publish(body, "k", headers={"x": hostile}, cc=[hostile])
        process.communicate()
    shown = screen(terminal)
    assert len(shown.splitlines()) == 6
    colourless = shown
    for code in (1, 2, 31, 32, 33, 36, 0):
        colourless = colourless.replace(f"\x1b[{code}m", "")
    assert not any(ord(c) < 32 and c not in "\r\n" for c in colourless)
    assert not set("\x7f\x9b\u202e") & set(colourless)


async def test_colours_can_be_disabled(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    done_by = start("tail", exchange, "-n", "1", "-o", "pretty", "--full", folder=tmp_path, url=user.url)
    with done_by as tail:
        listening(tail)
        await publisher.publish({"a": ["x"]}, "k")
        out, _ = tail.communicate()
    assert "\x1b" not in out
    assert '  "a": [' in out


async def test_a_schema_marks_invalid_messages_with_the_reason(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    with start(
        "tail", exchange, "-n", "3", "-o", "pretty", "--schema", "pulse-job", folder=tmp_path, url=user.url
    ) as tail:
        listening(tail)
        for body in (JOBS[0], JOBS[0] | {"tier": 9}, b"\xff"):
            await publisher.publish(body, "k")
        out, _ = tail.communicate()
    valid, invalid, worse = out.splitlines()
    assert "  valid" in valid
    assert "invalid:  /tier" in invalid
    assert "not JSON" in worse
