from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.command import pulsekit, start

import pulsekit as library
from pulsekit._amqp.types import Properties
from pulsekit.messages import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.rabbitmq.broker import PulseUser

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BODIES = [b'{"a":  1.50}', b"not json", b"\xff\x00", b'{"n":3}']
UNREACHABLE = "amqp://me:p@127.0.0.1:1/"


@pytest.fixture
async def messages(user: PulseUser, exchange: str) -> AsyncIterator[library.Consumer]:
    """Consume everything that is sent."""
    async with library.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)
        async with pulse.subscribe(exchange) as messages:
            yield messages


def recording(path: Path, *after: float) -> Path:
    """Record messages that arrived at seconds after noon."""
    with library.Recorder(path) as recorder:
        for number, seconds in enumerate(after):
            recorder.write(
                [
                    Message(
                        exchange="exchange/other/v1/jobs",
                        routing_key=f"treeherder.{number}",
                        body=BODIES[number % len(BODIES)],
                        received=NOON + timedelta(seconds=seconds),
                        headers={"h": b"\xff"},
                        properties=Properties(message_id=f"m{number}", user_id="other"),
                    )
                ]
            )
    return path


async def taken(messages: library.Consumer, count: int) -> list[library.Message]:
    """Return a number of messages, and check that no more arrived."""
    got = [await anext(messages) for _ in range(count)]
    assert messages.take() is None
    return got


@pytest.mark.parametrize("name", ["jobs.ndjson", "jobs.ndjson.gz"])
async def test_a_recording_is_sent_unchanged(
    name: str, user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    recording(tmp_path / name, 0, 0.01, 0.02, 0.05)
    done = pulsekit("replay", name, "--exchange", exchange, folder=tmp_path, url=user.url)
    assert done.status == 0, done.err
    assert [(line["index"], line["message_id"], line["outcome"]) for line in done.records] == [
        (number, f"m{number}", "confirmed") for number in range(4)
    ]
    assert f"sending 4 messages, recorded in 0.1 s, in 0.1 s to {exchange}" in done.err
    assert f"4 confirmed, to {exchange} in " in done.err
    assert "s late" in done.err
    for number, message in enumerate(await taken(messages, 4)):
        assert (message.routing_key, message.body) == (f"treeherder.{number}", BODIES[number])
        assert message.headers["h"] == b"\xff"
        assert (message.properties.message_id, message.properties.user_id) == (f"m{number}", None)


async def test_it_can_be_sent_without_intervals_under_other_keys_and_in_part(
    user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    recording(tmp_path / "jobs.ndjson", 0, 3600, 7200)
    changes = ("--key-map", "treeherder=staging", "--key-map", "treehreder=x")
    arguments = ("replay", "jobs.ndjson", "--exchange", exchange, "--speed", "max", "-n", "2", *changes)
    done = pulsekit(*arguments, folder=tmp_path, url=user.url)
    assert done.status == 0, done.err
    assert "2 messages, recorded in 3600.0 s, as fast as possible" in done.err
    assert "no key begins with 'treehreder'" in done.err
    assert "late" not in done.err
    assert [message.routing_key for message in await taken(messages, 2)] == ["staging.0", "staging.1"]


async def test_long_intervals_can_be_limited(
    user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    recording(tmp_path / "jobs.ndjson", 0, 3600, 7200)
    arguments = ("replay", "jobs.ndjson", "--exchange", exchange, "--max-gap", "10ms")
    done = pulsekit(*arguments, folder=tmp_path, url=user.url)
    assert done.status == 0, done.err
    assert len(await taken(messages, 3)) == 3


async def test_a_damaged_recording_needs_salvage_and_is_sent_up_to_the_damage(
    user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    path = recording(tmp_path / "jobs.ndjson", 0, 0, 0, 0)
    path.write_bytes(path.read_bytes()[:-150])  # the trailer, and some of the last message
    arguments = ("replay", "jobs.ndjson", "--exchange", exchange)
    for more in ((), ("-n", "1")):
        done = pulsekit(*arguments, *more, folder=tmp_path, url=user.url)
        assert done.status == 1
        assert done.out == ""
        assert "error: jobs.ndjson:5: the file ends within this line" in done.err
        assert "--salvage" in done.err
    done = pulsekit(*arguments, "--salvage", folder=tmp_path, url=user.url)
    assert done.status == 0
    assert "warning: jobs.ndjson:5: " in done.err
    assert [message.body for message in await taken(messages, 3)] == BODIES[:3]


def test_a_dry_run_needs_no_broker_and_shows_when_messages_are_due(tmp_path: Path) -> None:
    recording(tmp_path / "jobs.ndjson.gz", 10, 12, 16)
    arguments = ("replay", "jobs.ndjson.gz", "--exchange", "exchange/me/x", "--dry-run", "--speed", "4")
    done = pulsekit(*arguments, folder=tmp_path, url=UNREACHABLE)
    assert done.status == 0, done.err
    assert done.records == [
        {
            "index": number,
            "due": due,
            "routing_key": f"treeherder.{number}",
            "size": len(BODIES[number]),
            "options": {},
            "dropped": {},
        }
        for number, due in enumerate((0.0, 0.5, 1.5))
    ]
    assert "3 messages, recorded in 6.0 s, in 1.5 s; nothing was sent" in done.err
    pretty = pulsekit(*arguments, "-o", "pretty", folder=tmp_path, url=UNREACHABLE)
    assert "     1.500 s  treeherder.2  2 bytes" in pretty.out


def test_filtered_messages_keep_their_intervals(tmp_path: Path) -> None:
    recording(tmp_path / "jobs.ndjson", 0, 1, 2, 5)
    arguments = ("replay", "jobs.ndjson", "--exchange", "exchange/me/x", "--dry-run", "--filter")
    done = pulsekit(*arguments, "payload && properties.message_id != 'm9'", folder=tmp_path)
    assert done.status == 0
    assert [(line["index"], line["due"], line["routing_key"]) for line in done.records] == [
        (0, 0.0, "treeherder.0"),
        (1, 5.0, "treeherder.3"),
    ]
    assert "2 messages, recorded in 5.0 s" in done.err
    failing = pulsekit(*arguments, "sum(payload.n) || payload.n", "-n", "1", folder=tmp_path)
    assert failing.status == 2
    assert "no message that matches --filter" in failing.err
    assert "--filter failed for 4 messages" in failing.err
    bad = pulsekit(*arguments, "payload.[", folder=tmp_path)
    assert bad.status == 2
    assert "at its end" in bad.err


def test_the_ndjson_output_of_tail_can_be_sent(user: PulseUser, exchange: str, tmp_path: Path) -> None:
    lines = [
        {"routing_key": "k", "payload": {"a": 1}},
        {"v": 1, "type": "gap"} | gap(),
        {"routing_key": "k", "body": ""},
    ]
    (tmp_path / "jobs").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    done = pulsekit("replay", "jobs", "--exchange", exchange, folder=tmp_path, url=user.url)
    assert done.status == 0, done.err
    assert [line["outcome"] for line in done.records] == ["returned", "returned"]
    assert "no queue is bound to 'k'" in done.err
    done = pulsekit("replay", "jobs", "--exchange", exchange, "--require-route", folder=tmp_path, url=user.url)
    assert done.status == 3


def gap() -> dict[str, Any]:
    return {"from": NOON.isoformat(), "to": NOON.isoformat(), "lossy": True}


def test_a_message_that_amqp_cannot_encode_does_not_stop_the_others(
    user: PulseUser, exchange: str, tmp_path: Path
) -> None:
    lines = [{"routing_key": "k" * 256, "payload": 1}, {"routing_key": "k", "payload": 2}]
    (tmp_path / "jobs").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    done = pulsekit("replay", "jobs", "--exchange", exchange, folder=tmp_path, url=user.url)
    assert done.status == 3
    assert [line["outcome"] for line in done.records] == ["invalid", "returned"]
    assert "error: message 1: " in done.err
    assert "256 bytes" in done.err


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
async def test_a_stopped_replay_prints_how_many_were_sent(
    sent: signal.Signals, status: int, user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    recording(tmp_path / "jobs.ndjson", 0, 3600)
    with start("replay", "jobs.ndjson", "--exchange", exchange, folder=tmp_path, url=user.url) as process:
        assert (await anext(messages)).body == BODIES[0]
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["outcome"] == "confirmed"
        process.send_signal(sent)
        _, err = process.communicate()
    assert process.returncode == status
    assert f"1 confirmed, to {exchange}" in err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["missing.ndjson"], 74, "missing.ndjson"),
        (["empty.ndjson"], 2, "nothing to replay"),
        (["jobs.ndjson", "--speed", "0"], 2, "speed"),
        (["jobs.ndjson", "--speed", "fast"], 2, "speed"),
        (["jobs.ndjson", "--max-gap", "long"], 2, "duration"),
        (["jobs.ndjson", "--key-map", "a"], 2, "OLD=NEW"),
        (["jobs.ndjson", "--exchange", "jobs"], 2, "exchange/me/jobs"),
        (["words.ndjson"], 1, "words.ndjson:1: this line is not JSON"),
        (["jobs.ndjson", "--dry-run", "--require-route"], 2, "run 'pulsekit bindings --keys jobs.ndjson'"),
        ([], 2, "FILE"),
    ],
)
def test_an_invalid_recording_is_refused_before_connecting(
    arguments: list[str], status: int, words: str, tmp_path: Path
) -> None:
    recording(tmp_path / "jobs.ndjson", 0)
    recording(tmp_path / "empty.ndjson")
    (tmp_path / "words.ndjson").write_text("hello\n")
    done = pulsekit("replay", "--exchange", "exchange/me/x", *arguments, folder=tmp_path, url=UNREACHABLE)
    assert words in done.err
    assert done.status == status


def test_without_an_exchange_the_configuration_is_used(tmp_path: Path) -> None:
    recording(tmp_path / "jobs.ndjson", 0)
    done = pulsekit("replay", "jobs.ndjson", "--dry-run", folder=tmp_path)
    assert done.status == 2
    assert "--exchange" in done.err
    (tmp_path / "pulsekit.yml").write_text("exchange: exchange/me/x\n")
    assert pulsekit("replay", "jobs.ndjson", "--dry-run", folder=tmp_path).status == 0
