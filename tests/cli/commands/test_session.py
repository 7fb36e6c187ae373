"""A session of `tail`: the messages that it consumes and skips, its end, and the queue that remains."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support.command import pulsekit, start
from support.proxy import Proxy
from support.queues import depth_after_return
from support.samples import JOBS

import pulsekit as library
from cli.commands.test_recording import in_thread
from cli.commands.test_tail import on_a_terminal, screen
from pulsekit.bindings.inspector_link import read_link, write_link
from pulsekit.queues.operations import delete_queue

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from support.rabbitmq.broker import PulseUser, RabbitMQ

UNREACHABLE = "amqp://me:p@127.0.0.1:1/"


@pytest.fixture
async def publisher(pulse: library.Pulse, exchange: str) -> library.Publisher:
    publisher = pulse.publisher(exchange)
    await publisher.open()
    return publisher


@contextmanager
def tailing(*arguments: str, folder: Path, url: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a tail that is subscribed."""
    with start("tail", *arguments, folder=folder, url=url, **more) as tail:
        lines = read_until(tail, "listening on ")
        tail.lines = lines  # type: ignore[attr-defined] # for the test to look at
        yield tail


def read_until(tail: subprocess.Popen[str], words: str) -> list[str]:
    """Read the messages of a tail up to a line that begins with these words."""
    assert tail.stderr is not None
    lines = []
    for line in tail.stderr:
        lines.append(line)
        if line.startswith(words):
            break
    return lines


def keys(out: str) -> list[str]:
    return [json.loads(line)["routing_key"] for line in out.splitlines()]


async def test_one_channel_is_enough_to_consume_a_durable_queue(
    user: PulseUser, pulse: library.Pulse, exchange: str, publisher: library.Publisher, tmp_path: Path, limit_channels
) -> None:
    limit_channels(1)
    queue = f"queue/{user.name}/jobs"
    with tailing(exchange, "--queue", queue, "-n", "1", folder=tmp_path, url=user.url) as tail:
        await publisher.publish({}, "a")
        out, err = tail.communicate()
    assert json.loads(out.splitlines()[-1])["routing_key"] == "a"
    assert tail.returncode == 0
    assert f"the messages in {queue} are not counted: this connection has 1 channel" in err


# bindings


async def test_a_pattern_applies_to_every_exchange_without_one(
    user: PulseUser, pulse: library.Pulse, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    other = f"exchange/{user.name}/v1/other"
    more = pulse.publisher(other)
    await more.open()
    arguments = [exchange, f"{other}:c", "-b", "a.#", "-b", "b", "-n", "3"]
    with tailing(*arguments, folder=tmp_path, url=user.url) as tail:
        for key in ("a.1", "b", "c"):
            await more.publish({}, key)
            await publisher.publish({}, key)
        out, _ = tail.communicate()
    assert keys(out) == ["a.1", "b", "c"]


async def test_a_link_of_pulse_inspector_selects_the_bindings(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    link = write_link([library.Binding(exchange, "a.#"), library.Binding(exchange, "b")])
    with tailing(link, "-n", "2", folder=tmp_path, url=user.url) as tail:
        for key in ("a.1", "x", "b"):
            await publisher.publish({}, key)
        out, _ = tail.communicate()
    assert keys(out) == ["a.1", "b"]


def test_a_binding_that_can_never_match_is_a_warning(user: PulseUser, exchange: str, tmp_path: Path) -> None:
    pulsekit("exchange", "create", exchange, folder=tmp_path, url=user.url)
    done = pulsekit(
        "tail", f"{exchange}:#route.x.#", "-b", "b*", exchange, "--for", "100ms", folder=tmp_path, url=user.url
    )
    assert f"warning: {exchange}:#route.x.#: the word '#route' matches only itself" in done.err
    assert f"warning: {exchange}:b*: the word 'b*' matches only itself" in done.err


async def test_a_link_of_another_instance_selects_its_virtual_host(
    broker: RabbitMQ, user: PulseUser, exchange: str, tmp_path: Path
) -> None:
    link = f"https://community-tc.services.mozilla.com/pulse-messages?bindings[0][exchange]={exchange}"
    async with library.connect(broker.url(user, "communitytc")) as pulse:
        publisher = pulse.publisher(exchange)
        await publisher.open()
        with tailing(link, "-n", "1", folder=tmp_path, url=user.url) as tail:
            await publisher.publish({}, "a.1")
            out, _ = tail.communicate()
    assert keys(out) == ["a.1"]
    assert any("the virtual host 'communitytc'" in line for line in tail.lines)  # type: ignore[attr-defined] # see tailing
    printed = pulsekit("tail", link, "--link", folder=tmp_path).out
    assert printed.startswith("https://community-tc.services.mozilla.com/pulse-messages?")


def test_links_of_two_virtual_hosts_are_refused(tmp_path: Path) -> None:
    links = [
        f"https://{name}.services.mozilla.com/pulse-messages?bindings[0][exchange]=exchange/me/x"
        for name in ("community-tc", "firefox-ci-tc")
    ]
    done = pulsekit("tail", *links, folder=tmp_path, url=UNREACHABLE)
    assert done.status == 2
    assert "two virtual hosts, / and communitytc: run the command once for each" in done.err


def test_the_link_is_printed_without_a_broker(tmp_path: Path) -> None:
    done = pulsekit("tail", "exchange/me/a:x.#", "exchange/me/b", "-b", "*", "--link", folder=tmp_path)
    assert done.status == 0
    assert done.err == ""
    assert [str(binding) for binding in read_link(done.out.strip()).bindings] == [
        "exchange/me/a:x.#",
        "exchange/me/b:*",
    ]


def test_without_an_exchange_a_pattern_applies_to_that_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "pulsekit.yml").write_text("exchange: exchange/me/a\ndestinations: [treeherder]\n")
    for arguments, pattern in ([], "treeherder.#"), (["-b", "x"], "x"):
        done = pulsekit("tail", *arguments, "--link", folder=tmp_path)
        assert [str(binding) for binding in read_link(done.out.strip()).bindings] == [f"exchange/me/a:{pattern}"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["exchange/me/x", "--filter", "payload.["], "at its end"),
        (["exchange/me/x", "--filter", "payload $ x"], "character 9"),
        (["exchange/me/x", "--query", "nope(@)"], "nope()"),
        (["exchange/me/x:a", "-b", "b"], "--binding"),
        (["https://tc.example/pulse-messages"], "bindings[0]"),
        (["https://tc.example/?bindings[0][exchange]=v1/jobs"], "bindings[0]"),
        (["exchange/me/x", "--invalid-only"], "--schema"),
        (["exchange/me/x", "--keep", "1h"], "--queue"),
        (["exchange/me/x", "--queue", "a", "--keep", "90000h"], "from 1ms to"),
        (["exchange/me/x", "--queue", "queue/1/a"], "queue/"),
        (["exchange/me/x", "--queue-type", "quorum"], "--queue"),
        (["exchange/me/x", "--queue", "a", "--queue-type", "stream"], "quorum"),
        (["exchange/me/x", "--rate", "--full"], "--rate"),
        (["exchange/me/x", "--every", "1s"], "--rate"),
    ],
)
def test_invalid_options_are_refused_before_connecting(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = pulsekit("tail", *arguments, folder=tmp_path, url=UNREACHABLE)
    assert done.status == 2
    assert words in done.err
    assert done.out == ""


async def test_a_refused_binding_is_reported_and_the_others_continue(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    missing = f"exchange/{user.name}/v1/nope"
    with tailing(missing, f"{exchange}:k", "-n", "1", folder=tmp_path, url=user.url) as tail:
        await publisher.publish({}, "k")
        out, _ = tail.communicate()
    assert keys(out) == ["k"]
    assert tail.returncode == 3
    warning, listening = tail.lines  # type: ignore[attr-defined]
    assert f"{missing}:# is skipped" in warning
    assert missing not in listening


def test_if_all_bindings_are_refused_each_is_reported(user: PulseUser, tmp_path: Path) -> None:
    names = [f"exchange/{user.name}/v1/nope", f"exchange/{user.name}/v1/neither"]
    done = pulsekit("tail", *names, folder=tmp_path, url=user.url)
    assert done.status == 5
    assert all(name in done.err for name in names)
    assert len(done.err.splitlines()) == 2


@pytest.mark.parametrize(
    "declared", [{}, {"expires": 3600}, {"type": "quorum"}, {"arguments": {"x-max-length": 9}}], ids=str
)
async def test_a_queue_of_another_program_keeps_its_messages(
    user: PulseUser,
    pulse: library.Pulse,
    exchange: str,
    publisher: library.Publisher,
    tmp_path: Path,
    declared: dict[str, Any],
) -> None:
    queue = f"queue/{user.name}/jobs"
    async with pulse.subscribe(exchange, queue=library.Queue(queue, **declared)):
        await publisher.publish({}, "a")
    idle = ("--filter", "routing_key == 'x'", "--idle", "100ms")
    for arguments, status in (
        ([queue], 2),
        ([exchange, queue], 2),
        ([exchange, "--queue", "jobs"], 5),
        ([exchange, "--queue", queue, "--queue-type", "quorum"], 5),
    ):
        done = pulsekit("tail", *arguments, *idle, folder=tmp_path, url=user.url)
        assert (done.status, done.out) == (status, "")
        for other in ("show", "peek", "take"):
            assert f"pulsekit queue {other} {queue}" in done.err
        assert "delete" not in done.err
    assert (await depth_after_return(pulse, queue, 1)).ready == 1


# selection


async def test_only_messages_that_match_the_filter_are_shown_recorded_and_counted(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    arguments = ["--filter", "sum(payload) > `1`", "--save", "few.ndjson", "-n", "2"]
    with tailing(exchange, *arguments, folder=tmp_path, url=user.url) as tail:
        for body in ([1], [2], b"words", "text", [3], [4]):
            await publisher.publish(body, "k")
        out, err = tail.communicate()
    assert [json.loads(line)["payload"] for line in out.splitlines()] == [[2], [3]]
    recorded = [entry for entry in library.read_recording(tmp_path / "few.ndjson") if isinstance(entry, library.Record)]
    assert [record.payload for record in recorded] == [[2], [3]]
    assert tail.returncode == 0
    summary, warning = err.splitlines()
    assert summary.startswith("2 of 5 messages")
    assert summary.endswith("2 recorded in few.ndjson")
    assert "--filter failed for 2 messages" in warning


async def test_a_query_shows_its_value_for_each_message(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    with tailing(exchange, "--query", "[routing_key, payload.n]", "-n", "1", folder=tmp_path, url=user.url) as tail:
        await publisher.publish({"n": 1}, "k")
        out, _ = tail.communicate()
    assert out == '["k",1]\n'


async def test_only_invalid_messages_can_be_shown(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    arguments = ["--schema", "pulse-job", "--invalid-only", "--explain", "-n", "1"]
    with tailing(exchange, *arguments, folder=tmp_path, url=user.url) as tail:
        for body in (JOBS[0], JOBS[0] | {"tier": 9}):
            await publisher.publish(body, "k")
        out, _ = tail.communicate()
    record = json.loads(out)
    assert not record["valid"]
    assert record["problem"].startswith("/tier")
    assert record["reasons"][0]["binding"] == f"{exchange}:#"


# the end


async def test_fewer_messages_than_expected_exit_1(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    for expected, status in (("1", 0), ("2", 1)):
        with tailing(exchange, "--expect", expected, "-n", "1", folder=tmp_path, url=user.url) as tail:
            await publisher.publish({}, "k")
            _, err = tail.communicate()
        assert tail.returncode == status
        assert ("1 message arrived, 2 expected" in err) == bool(status)


def test_a_duration_limits_the_wait_for_an_exchange(user: PulseUser, exchange: str, tmp_path: Path) -> None:
    done = pulsekit("tail", exchange, "--wait", "--for", "2s", "--expect", "1", folder=tmp_path, url=user.url)
    assert done.status == 1
    assert f"no exchange '{exchange}'" in done.err
    assert "trying again" in done.err
    assert "0 messages arrived, 1 expected" in done.err


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, None])
async def test_its_private_queue_is_deleted_however_it_ends(
    end: signal.Signals | None,
    user: PulseUser,
    pulse: library.Pulse,
    exchange: str,
    publisher: library.Publisher,
    tmp_path: Path,
) -> None:
    with (
        open("/dev/full", "w", encoding="utf-8") as full,  # noqa: PTH123 - a device
        tailing(exchange, folder=tmp_path, url=user.url, stdout=full) as tail,
    ):
        if end is None:
            await publisher.publish({}, "k")  # cannot be shown
        else:
            tail.send_signal(end)
        tail.communicate()
    assert tail.returncode not in {0, None}
    while True:
        try:
            await pulse.delete_exchange(exchange)
        except library.PreconditionFailed:  # the broker has not yet noticed that the first one was killed
            continue
        break


async def test_a_queue_that_stays_continues_where_tail_stopped(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    arguments = [exchange, "--queue", "mine", "--keep", "5m", "-n", "2"]
    with tailing(*arguments, folder=tmp_path, url=user.url) as tail:
        for number in range(3):
            await publisher.publish(number, "k")
        out, err = tail.communicate()
    created, *records = map(json.loads, out.splitlines())
    assert created["created"]
    assert [record["payload"] for record in records] == [0, 1]
    assert f"queue/{user.name}/mine stays for 5m" in err
    assert "did not exist and was created" in "".join(tail.lines) + err  # type: ignore[attr-defined] # in any order
    await publisher.publish(3, "k")  # no consumer
    done = pulsekit("tail", *arguments, folder=tmp_path, url=user.url)
    assert [record["payload"] for record in done.records] == [2, 3]
    assert f"queue/{user.name}/mine already has 2 messages" in done.err
    assert "was created" not in done.err
    other = pulsekit("tail", exchange, "--queue", "mine", "--keep", "6m", folder=tmp_path, url=user.url)
    assert other.status == 5
    assert "use --keep and --queue-type as before" in other.err
    named = pulsekit("tail", f"queue/{user.name}/mine", folder=tmp_path, url=user.url)
    assert (named.status, named.out) == (2, "")
    assert "tail removes no messages from a queue that it did not create" in named.err
    for refused in (other, named):  # another client's queue
        for command in ("show", "peek", "take"):
            assert f"'pulsekit queue {command} queue/{user.name}/mine'" in refused.err


async def test_a_queue_that_was_deleted_between_two_runs_is_a_gap(
    user: PulseUser, pulse: library.Pulse, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    arguments = [exchange, "--queue", "mine", "--idle", "100ms"]
    missing = pulsekit("tail", *arguments, "--resume", folder=tmp_path, url=user.url)
    assert missing.status == 5
    assert f"there is no queue queue/{user.name}/mine" in missing.err
    first = pulsekit("tail", *arguments, folder=tmp_path, url=user.url)
    again = pulsekit("tail", *arguments, "--resume", folder=tmp_path, url=user.url)
    await publisher.publish({}, "k")
    await delete_queue(pulse, f"queue/{user.name}/mine")  # as PulseGuardian does
    lost = pulsekit("tail", *arguments, "--save", "mine.ndjson", folder=tmp_path, url=user.url)
    for done in (first, lost):
        assert [(record["type"], record["lossy"], record["created"]) for record in done.records] == [
            ("gap", True, True)
        ]
        assert "did not exist and was created" in done.err
    assert (again.status, again.out) == (0, "")
    (gap,) = library.read_recording(tmp_path / "mine.ndjson")
    assert isinstance(gap, library.Gap)
    assert gap.created


async def test_a_queue_with_two_consumers_causes_a_warning(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    arguments = [exchange, "--queue", "mine", "-n", "1"]
    with (
        tailing(*arguments, folder=tmp_path, url=user.url) as one,
        tailing(*arguments, folder=tmp_path, url=user.url) as two,
    ):
        await asyncio.to_thread(read_until, two, f"warning: queue/{user.name}/mine has 2 consumers")
        for number in range(2):
            await publisher.publish(number, "k")
        ends = [await asyncio.to_thread(tail.communicate) for tail in (one, two)]
    payloads = [json.loads(line)["payload"] for out, _ in ends for line in out.splitlines() if "payload" in line]
    assert sorted(payloads) == [0, 1]


async def test_a_queue_that_stays_accepts_more_bindings_without_loss(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    arguments = ["--queue", f"queue/{user.name}/mine", "-n", "2"]
    with tailing(f"{exchange}:a", "-n", "1", *arguments[:2], folder=tmp_path, url=user.url) as tail:
        await publisher.publish({}, "a")
        tail.communicate()
    await publisher.publish({}, "a")
    with tailing(f"{exchange}:b", *arguments, folder=tmp_path, url=user.url) as tail:
        await publisher.publish({}, "b")
        out, _ = tail.communicate()
    assert keys(out) == ["a", "b"]


async def test_a_gap_is_shown_with_its_length_at_its_position(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    async with (
        Proxy(user.url) as proxy,
        in_thread(tailing(exchange, "-n", "2", folder=tmp_path, url=proxy.url)) as tail,
    ):
        assert tail.stdout is not None
        await publisher.publish({"n": 1}, "k")
        assert json.loads(await asyncio.to_thread(tail.stdout.readline))["payload"] == {"n": 1}
        proxy.cut()
        gap = json.loads(await asyncio.to_thread(tail.stdout.readline))
        await publisher.publish({"n": 2}, "k")
        out, err = await asyncio.to_thread(tail.communicate)
    assert (gap["type"], gap["lossy"]) == ("gap", True)
    assert gap["seconds"] >= 0
    assert keys(out) == ["k"]
    assert "warning: the connection was lost for" in err


# slow readers


async def test_a_slow_reader_is_warned_of_the_messages_behind(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    many = 3000
    process, terminal = on_a_terminal("tail", exchange, "-n", str(many), folder=tmp_path, url=user.url)
    with process:
        try:
            read_until(process, "listening on ")
            async for receipt in publisher.publish_many((b"x" * 100, "k") for _ in range(many)):
                receipt.check()
            (warning,) = read_until(process, "")
            assert "messages behind" in warning
            assert "over 8,000, PulseGuardian may delete" in warning
            shown = screen(terminal)  # as if scrolling was stopped, and continues
            _, err = process.communicate()
        finally:
            process.kill()  # a correct process has already ended
    assert len(shown.splitlines()) == many
    assert process.returncode == 0
    assert len(err.splitlines()) <= 3  # this is not reported again and again


async def test_a_stopped_terminal_does_not_prevent_the_exit(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    process, terminal = on_a_terminal("tail", exchange, folder=tmp_path, url=user.url)
    with process:
        try:
            read_until(process, "listening on ")
            async for receipt in publisher.publish_many((b"x" * 100, "k") for _ in range(3000)):
                receipt.check()
            read_until(process, "warning: ")  # tail reports how far behind it is, while it waits for the terminal
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=40) == -signal.SIGTERM
        finally:
            os.close(terminal)


async def test_messages_a_second_are_counted_by_exchange_and_key(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    arguments = [exchange, "--rate", "--words", "2", "--every", "1h", "-n", "3"]
    with tailing(*arguments, folder=tmp_path, url=user.url) as tail:
        for key in ("a.b.1", "a.b.2", "c"):
            await publisher.publish({}, key)
        out, err = tail.communicate()
    (record,) = map(json.loads, out.splitlines())
    assert (record["type"], record["messages"], record["bytes"]) == ("rate", 3, 6)
    assert [(row["exchange"], row["messages"]) for row in record["exchanges"]] == [(exchange, 3)]
    assert [(row["prefix"], row["messages"]) for row in record["prefixes"]] == [("a.b", 2), ("c", 1)]
    assert record["rate"] == pytest.approx(sum(row["rate"] for row in record["prefixes"]), abs=0.01)
    assert "3 messages in" in err


async def test_rates_on_a_terminal_are_a_table_that_is_redrawn(
    user: PulseUser, exchange: str, publisher: library.Publisher, tmp_path: Path
) -> None:
    process, terminal = on_a_terminal("tail", exchange, "--rate", "-n", "3", folder=tmp_path, url=user.url)
    with process:
        read_until(process, "listening on ")
        for key in ("a.1", "a.2", "b.\x1b[2J\u202e"):
            await publisher.publish({}, key)
        process.communicate()
    shown = screen(terminal)
    assert "a second" in shown
    assert exchange[:20] in shown
    assert "\x1b[?25h" in shown  # the cursor is back
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
