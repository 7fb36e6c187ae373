from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.command import pulsekit as run
from support.command import start
from support.site_on_loopback import bindings_page, site

import pulsekit
from pulsekit.queues.operations import delete_queue, queue_depth

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.rabbitmq.broker import PulseUser, RabbitMQ

    from cli.conftest import OnTerminal


async def _fill(user: PulseUser, count: int, *patterns: str) -> None:
    exchange = f"exchange/{user.name}/x"
    async with pulsekit.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)
        bindings = [f"{exchange}:{pattern}" for pattern in patterns or ("#",)]
        async with pulse.subscribe(*bindings, queue=f"queue/{user.name}/q"):
            pass
        publisher = pulse.publisher(exchange)
        for number in range(count):
            await publisher.publish({"number": number, "text": "\x1b[31m\u202e"}, f"k.{number}")


async def _clear(user: PulseUser) -> None:
    async with pulsekit.connect(user.url) as pulse:
        await delete_queue(pulse, f"queue/{user.name}/q", if_unused=False)
        await pulse.delete_exchange(f"exchange/{user.name}/x", if_unused=False)


@contextmanager
def filled(user: PulseUser, count: int, *patterns: str) -> Iterator[str]:
    """Create a durable queue with a number of messages, for the block."""
    asyncio.run(_fill(user, count, *patterns))
    try:
        yield f"queue/{user.name}/q"
    finally:
        asyncio.run(_clear(user))


def ready(user: PulseUser) -> int:
    async def ask() -> int:
        async with pulsekit.connect(user.url) as pulse:
            return (await queue_depth(pulse, f"queue/{user.name}/q")).ready

    return asyncio.run(ask())


# show


def test_a_queue_is_shown_with_its_distance_to_the_limits(user: PulseUser, tmp_path: Path) -> None:
    with filled(user, 3) as name:
        done = run("queue", "show", name, "--mail-over", "2", "--delete-over", "10", folder=tmp_path, url=user.url)
        words = run("queue", "show", name, "-o", "pretty", folder=tmp_path, url=user.url)
    assert done.status == 0
    assert done.records == [
        {
            "queue": name,
            "ready": 3,
            "consumers": 0,
            "level": "mailed",
            "mail_over": 2,
            "delete_over": 10,
            "room": 7,
        }
    ]
    assert "1,997 more messages until PulseGuardian mails you (2,000), 7,997 until" in words.out


def test_watching_shows_one_line_per_check_with_the_rate(user: PulseUser, tmp_path: Path) -> None:
    with filled(user, 3) as name:
        arguments = ("queue", "show", name, "--watch", "--every", "10ms", "-n", "3")
        done = run(*arguments, folder=tmp_path, url=user.url)
        words = run(*arguments, "-o", "pretty", "--mail-over", "1", "--delete-over", "2", folder=tmp_path, url=user.url)
    assert done.status == words.status == 0
    assert [record["ready"] for record in done.records] == [3, 3, 3]
    assert [record["rate"] for record in done.records] == [None, 0.0, 0.0]
    assert [record["seconds_left"] for record in done.records] == [None, None, None]
    heading, *lines = words.out.splitlines()
    assert "until deletion" in heading
    assert [line.endswith("due now") for line in lines] == [True] * 3
    assert len({line.index("due now") for line in lines} | {heading.index("until deletion")}) == 1


def test_a_queue_that_does_not_exist_is_refused_by_every_command(user: PulseUser, tmp_path: Path) -> None:
    name = f"queue/{user.name}/none"
    for command in (("show",), ("show", "--watch"), ("peek",), ("take",), ("purge", "--yes"), ("delete", "--yes")):
        done = run("queue", *command, name, folder=tmp_path, url=user.url)
        assert (done.status, done.out) == (5, "")
        assert "no queue" in done.err


def test_a_queue_of_another_user_is_neither_purged_nor_deleted(
    user: PulseUser, broker: RabbitMQ, tmp_path: Path
) -> None:
    with filled(user, 1) as name:
        for command in (("peek",), ("take",), ("purge", "--yes"), ("delete", "--yes")):
            done = run("queue", *command, name, folder=tmp_path, url=broker.user().url)
            assert (done.status, done.out) == (5, "")
            assert "a user may use only" in done.err
        assert ready(user) == 1


@pytest.mark.parametrize("action", ["show", "peek", "take", "purge", "delete"])
def test_an_invalid_name_is_refused_before_connecting_with_a_suggestion(action: str, tmp_path: Path) -> None:
    yes = ("--yes",) if action in {"purge", "delete"} else ()
    done = run("queue", action, "jobs", *yes, folder=tmp_path, url="amqp://me:p@127.0.0.1:1/")
    assert done.status == 2
    assert "queue/me/jobs" in done.err


def test_a_closed_port_is_a_network_error(tmp_path: Path) -> None:
    for command in (("show",), ("show", "--watch")):
        done = run("queue", *command, "queue/me/q", folder=tmp_path, url="amqp://me:hunter2@127.0.0.1:1/")
        assert done.status == 4
        assert "hunter2" not in done.err


@pytest.mark.parametrize(
    "wrong",
    [
        ("--every", "0s"),
        ("-n", "0"),
        ("--mail-over", "9000"),
        ("--watch", "--guardian", "https://h/"),
        ("-n", "3"),
        ("--every", "1m"),
        ("--prune", "--yes"),
        ("--registration", "new.json"),
        ("--guardian", "http://h.example/"),
    ],
)
def test_invalid_options_are_usage_errors(wrong: tuple[str, ...], tmp_path: Path) -> None:
    done = run("queue", "show", "queue/me/q", *wrong, folder=tmp_path, url="amqp://me:p@127.0.0.1:1/")
    assert (done.status, done.out) == (2, "")


# peek


def test_peeked_messages_are_records_and_stay(user: PulseUser, tmp_path: Path) -> None:
    with filled(user, 3) as name:
        first = run("queue", "peek", name, "-n", "2", folder=tmp_path, url=user.url)
        again = run("queue", "peek", name, folder=tmp_path, url=user.url)
        assert ready(user) == 3
    assert [record["routing_key"] for record in first.records] == ["k.0", "k.1"]
    assert first.records[0]["payload"]["number"] == 0
    assert "2 of 3 messages; they stay" in first.err
    assert [record["redelivered"] for record in again.records] == [True, True, False]


def test_a_message_cannot_control_the_terminal(user: PulseUser, tmp_path: Path) -> None:
    with filled(user, 1) as name:
        brief, full = (
            run("queue", "peek", name, "-o", "pretty", *more, folder=tmp_path, url=user.url).out
            for more in ((), ("--full",))
        )
    assert '{"number":0,' in brief
    assert '     "number": 0,' in full.splitlines()
    assert not {"\x1b", "\u202e"} & set(brief + full)


def test_an_empty_queue_has_nothing_to_show(user: PulseUser, tmp_path: Path) -> None:
    with filled(user, 0) as name:
        done = run("queue", "peek", name, folder=tmp_path, url=user.url)
    assert (done.status, done.out) == (0, "")
    assert "is empty" in done.err


# take


def test_take_shows_messages_in_order_and_removes_them(user: PulseUser, tmp_path: Path) -> None:
    with filled(user, 120) as name:
        first = run("queue", "take", name, "-n", "2", folder=tmp_path, url=user.url)
        assert ready(user) == 118
        rest = run("queue", "take", name, folder=tmp_path, url=user.url)
        assert ready(user) == 0
        none = run("queue", "take", name, folder=tmp_path, url=user.url)
    assert [record["routing_key"] for record in first.records] == ["k.0", "k.1"]
    assert [record["routing_key"] for record in rest.records] == [f"k.{number}" for number in range(2, 120)]
    assert not any(record["redelivered"] for record in rest.records), "the first run received no more than it removed"
    assert f"removed 2 messages from {name}, 118 left" in first.err
    assert (none.status, none.out) == (0, "")
    assert f"removed 0 messages from {name}, 0 left" in none.err


def test_a_message_is_removed_after_it_is_on_disk(user: PulseUser, tmp_path: Path) -> None:
    with filled(user, 3) as name:
        done = run("queue", "take", name, "--save", "q.ndjson", "-q", folder=tmp_path, url=user.url)
        assert (done.status, done.out, ready(user)) == (0, "", 0)
    recorded = [entry.payload for entry in pulsekit.read_recording(tmp_path / "q.ndjson")]  # type: ignore[union-attr] # no gaps
    assert [payload["number"] for payload in recorded] == [0, 1, 2]


def test_messages_that_cannot_be_shown_or_recorded_stay_in_the_queue(user: PulseUser, tmp_path: Path) -> None:
    (tmp_path / "q.ndjson").write_text("mine")
    with filled(user, 3) as name:
        refused = run("queue", "take", name, "--save", "q.ndjson", folder=tmp_path, url=user.url)
        assert refused.status == 2
        with (
            open("/dev/full", "w", encoding="utf-8") as full,  # noqa: PTH123 - a device
            start("queue", "take", name, folder=tmp_path, url=user.url, stdout=full) as process,
        ):
            assert process.wait(timeout=40) == 74
        assert ready(user) == 3
    assert (tmp_path / "q.ndjson").read_text() == "mine"


@pytest.mark.parametrize("saved", [(), ("--save", "q.ndjson")], ids=["shown", "saved"])
def test_take_counts_what_it_removed_before_an_error(saved: tuple[str, ...], user: PulseUser, tmp_path: Path) -> None:
    with filled(user, 600) as name:
        with (
            open("/dev/full", "w", encoding="utf-8") as full,  # noqa: PTH123 - a device
            start("queue", "take", name, *saved, folder=tmp_path, url=user.url, stdout=full) as process,
        ):
            _, err = process.communicate(timeout=40)
        left = ready(user)
        assert f"removed {600 - left} messages from {name}, {left} left" in err
    assert (left < 600) == bool(saved)


def test_ctrl_c_ends_take_while_nothing_reads_its_output(user: PulseUser, tmp_path: Path) -> None:
    async def publish() -> None:
        async with pulsekit.connect(user.url) as pulse:
            await pulse.publisher(f"exchange/{user.name}/x").publish({"text": "x" * 200_000}, "k")

    with filled(user, 0) as name:
        asyncio.run(publish())
        reader, writer = os.pipe()
        with start("queue", "take", name, folder=tmp_path, url=user.url, stdout=writer) as process:
            os.close(writer)
            os.read(reader, 1)  # the rest is larger than the pipe
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=40) == 130
        os.close(reader)
        assert ready(user) == 1


# purge and delete


def test_without_a_terminal_yes_is_required(user: PulseUser, tmp_path: Path) -> None:
    with filled(user, 2) as name:
        for action in ("purge", "delete"):
            done = run("queue", action, name, folder=tmp_path, url=user.url, given="y\n")
            assert done.status == 2
            assert f"add --yes to {action} {name}" in done.err
        assert ready(user) == 2
        purged = run("queue", "purge", name, "--yes", folder=tmp_path, url=user.url)
        assert (purged.status, purged.err) == (0, f"removed 2 messages from {name}\n")
        assert ready(user) == 0
        deleted = run("queue", "delete", name, "-y", folder=tmp_path, url=user.url)
        assert (deleted.status, deleted.err) == (0, f"{name} was deleted with 0 messages\n")
        assert run("queue", "show", name, folder=tmp_path, url=user.url).status == 5


@pytest.mark.parametrize(("typed", "status", "left"), [("y\n", 0, 0), ("n\n", 1, 2), ("\n", 1, 2), ("\x04", 1, 2)])
def test_on_a_terminal_it_asks_with_the_number_of_messages(
    user: PulseUser, on_terminal: OnTerminal, typed: str, status: int, left: int
) -> None:
    with filled(user, 2) as name:
        done = on_terminal("queue", "purge", name, typed=typed, env={"PULSE_URL": user.url})
        assert done.code == status
        assert f"remove 2 messages from {name}? [y/N]" in done.out
        assert ("nothing was done" in done.out) == bool(left)
        assert ready(user) == left


def test_ctrl_c_at_the_question_does_nothing(user: PulseUser, tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    with filled(user, 2) as name:
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
        with start("queue", "delete", name, folder=tmp_path, url=user.url, **streams) as process:
            os.close(terminal)
            seen = b""
            while b"[y/N]" not in seen:
                seen += os.read(controller, 1024)
            process.wait_until_asleep()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=40) == 130
        assert ready(user) == 2
    os.close(controller)


async def test_a_queue_in_use_is_deleted_only_with_force(user: PulseUser, tmp_path: Path) -> None:
    exchange, name = f"exchange/{user.name}/x", f"queue/{user.name}/q"
    async with pulsekit.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)
        async with pulse.subscribe(exchange, queue=name) as messages:
            used = await asyncio.to_thread(run, "queue", "delete", name, "--yes", folder=tmp_path, url=user.url)
            assert used.status == 5
            assert "--force" in used.err
            deleted = await asyncio.to_thread(
                run, "queue", "delete", name, "--yes", "--force", folder=tmp_path, url=user.url
            )
            assert deleted.status == 0
            with pytest.raises(pulsekit.SubscriptionLost):
                await anext(messages)
        await pulse.delete_exchange(exchange, if_unused=False)


# bindings


def test_the_bindings_come_from_pulseguardian(user: PulseUser, tmp_path: Path) -> None:
    with filled(user, 0) as name, site() as guardian:
        guardian.body = bindings_page(name, (f"exchange/{user.name}/x", "#"))
        done = run("queue", "show", name, "--guardian", guardian.url, folder=tmp_path, url=user.url)
        words = run("queue", "show", name, "--guardian", guardian.url, "-o", "pretty", folder=tmp_path, url=user.url)
        guardian.status = 404
        missing = run("queue", "show", name, "--guardian", guardian.url, folder=tmp_path, url=user.url)
    assert done.status == 0, done.err
    assert done.records[0]["bindings"] == [{"exchange": f"exchange/{user.name}/x", "pattern": "#"}]
    assert f"exchange/{user.name}/x:#" in words.out
    assert missing.status == 5


def _registration(folder: Path, user: PulseUser, *projects: str) -> str:
    path = folder / "new.json"
    path.write_text(
        json.dumps({"exchange": f"exchange/{user.name}/x", "destinations": ["d"], "projects": list(projects)})
    )
    return str(path)


def _takes(user: PulseUser, key: str) -> bool:
    async def ask() -> bool:
        async with pulsekit.connect(user.url) as pulse:
            try:
                await pulse.publisher(f"exchange/{user.name}/x", mandatory=True).publish({}, key)
            except pulsekit.MessageReturned:
                return False
            return True

    return asyncio.run(ask())


def test_prune_unbinds_only_stale_bindings(user: PulseUser, tmp_path: Path) -> None:
    exchange = f"exchange/{user.name}/x"
    with filled(user, 0, "d.old", "d.both") as name, site() as guardian:
        guardian.body = bindings_page(name, (exchange, "d.old"), (exchange, "d.both"))
        new = _registration(tmp_path, user, "both", "new")
        arguments = ("queue", "show", name, "--guardian", guardian.url, "--registration", new)
        compared = run(*arguments, folder=tmp_path, url=user.url)
        refused = run(*arguments, "--prune", folder=tmp_path, url=user.url)
        assert _takes(user, "d.old")
        pruned = run(*arguments, "--prune", "--yes", folder=tmp_path, url=user.url)
        assert (_takes(user, "d.old"), _takes(user, "d.both")) == (False, True)
    assert [(binding["pattern"], binding["change"]) for binding in compared.records[0]["bindings"]] == [
        ("d.old", "stale"),
        ("d.new", "missing"),
        ("d.both", "kept"),
    ]
    assert (compared.status, refused.status, pruned.status) == (0, 2, 0)
    assert "1 stale (-), 1 missing (+), 1 kept" in compared.err
    assert "1 binding unbound, 1 kept" in pruned.err


def test_prune_shows_the_difference_before_it_asks(user: PulseUser, on_terminal: OnTerminal, tmp_path: Path) -> None:
    exchange = f"exchange/{user.name}/x"
    with filled(user, 0, "d.old", "d.both") as name, site() as guardian:
        guardian.body = bindings_page(name, (exchange, "d.old"), (exchange, "d.both"))
        new = _registration(tmp_path, user, "both")
        done = on_terminal(
            "queue", "show", name, "--guardian", guardian.url, "--registration", new, "--prune",
            typed="n\n", env={"PULSE_URL": user.url, "NO_COLOR": "1"},
        )  # fmt: skip
        assert _takes(user, "d.old")
    assert done.code == 1
    assert done.out.index(f"- {exchange}:d.old") < done.out.index(f"unbind 1 binding of {name}? [y/N]")


def test_prune_does_not_unbind_everything(user: PulseUser, tmp_path: Path) -> None:
    with filled(user, 0, "d.old") as name, site() as guardian:
        guardian.body = bindings_page(name, (f"exchange/{user.name}/x", "d.old"))
        new = _registration(tmp_path, user, "#.old")
        done = run(
            "queue", "show", name, "--guardian", guardian.url, "--registration", new, "--prune", "--yes",
            folder=tmp_path, url=user.url,
        )  # fmt: skip
        assert _takes(user, "d.old")
    assert done.status == 1
    assert "would unbind all bindings" in done.err
