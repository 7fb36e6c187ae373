from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from support.command import pulsekit, start
from support.proxy import Proxy
from support.samples import JOBS

import pulsekit as library

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from support.rabbitmq.broker import PulseUser, RabbitMQ

    from cli.conftest import Call, OnTerminal

BROKEN = JOBS[0] | {"state": "done"}
RUNNING = JOBS[1]
OWNERLESS = {name: value for name, value in RUNNING.items() if name != "owner"}
PROJECT = JOBS[0]["origin"]["project"]
KEY = f"treeherder.{PROJECT}._"


@pytest.fixture
async def messages(user: PulseUser, exchange: str) -> AsyncIterator[library.Consumer]:
    """Consume everything that is published."""
    async with library.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)
        async with pulse.subscribe(exchange) as messages:
            yield messages


def ndjson(*values: Any) -> str:
    return "".join(f"{json.dumps(value)}\n" for value in values)


async def received(messages: library.Consumer, count: int) -> list[Any]:
    """Return a number of messages, and check that no more arrived."""
    got = [await anext(messages) for _ in range(count)]
    for message in got:
        await message.ack()
    assert messages.take() is None
    return [message.payload for message in got]


@pytest.mark.parametrize("form", ["list.json", "one.json", "lines.ndjson", "lines", "one.yml", "list.yaml"])
async def test_every_form_of_file_is_published(
    form: str, user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    jobs = JOBS[:1] if form.startswith("one") else JOBS[:3]
    text = {
        "list.json": json.dumps(jobs, indent=1),
        "one.json": json.dumps(jobs[0]),
        "one.yml": json.dumps(jobs[0], indent=2),
        "list.yaml": "\n".join(f"- {json.dumps(job)}" for job in jobs),
    }.get(form, ndjson(*jobs))
    (tmp_path / form).write_text(text)
    done = pulsekit(
        "publish", form, "--exchange", exchange, "--destination", "treeherder", folder=tmp_path, url=user.url
    )
    assert done.status == 0, done.err
    assert [record["outcome"] for record in done.records] == ["confirmed"] * len(jobs)
    assert [record["index"] for record in done.records] == list(range(len(jobs)))
    assert await received(messages, len(jobs)) == jobs
    assert f"{len(jobs)} confirmed, to {exchange}" in done.err


@pytest.mark.parametrize("text", [ndjson(*JOBS[:3]), json.dumps(JOBS[:3], indent=1), f"- {json.dumps(JOBS[0])}\n"])
async def test_a_pipe_is_published(
    text: str, user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    done = pulsekit("publish", "--exchange", exchange, "-d", "treeherder", folder=tmp_path, url=user.url, given=text)
    assert done.status == 0, done.err
    assert (await received(messages, len(done.records)))[0] == JOBS[0]


async def test_nothing_is_sent_when_any_job_of_the_files_is_invalid(
    user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    (tmp_path / "good.ndjson").write_text(ndjson(*JOBS[:2]))
    (tmp_path / "bad.ndjson").write_text(ndjson(JOBS[0], BROKEN))
    arguments = ("publish", "good.ndjson", "bad.ndjson", "--exchange", exchange, "-d", "treeherder")
    done = pulsekit(*arguments, folder=tmp_path, url=user.url)
    assert done.status == 1
    assert done.out == ""
    assert "bad.ndjson:2:" in done.err
    assert "/state" in done.err
    assert "nothing was sent: 1 of 4 invalid" in done.err
    done = pulsekit(*arguments, "--keep-going", folder=tmp_path, url=user.url)
    assert done.status == 3
    assert [record["outcome"] for record in done.records] == ["confirmed"] * 3 + ["invalid"]
    assert await received(messages, 3) == [JOBS[0], JOBS[1], JOBS[0]]


async def test_a_pipe_stops_at_its_first_invalid_line_with_a_count(
    user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    text = ndjson(JOBS[0], JOBS[1]) + '{"half": \n' + ndjson(JOBS[2])
    arguments = ("publish", "--exchange", exchange, "-d", "treeherder")
    done = pulsekit(*arguments, folder=tmp_path, url=user.url, given=text)
    assert done.status == 1
    assert "<stdin>:3:" in done.err
    assert "2 confirmed, 1 invalid" in done.err
    assert len(await received(messages, 2)) == 2
    done = pulsekit(*arguments, "--keep-going", folder=tmp_path, url=user.url, given=text)
    assert done.status == 3
    assert [record["outcome"] for record in done.records] == ["confirmed", "confirmed", "invalid", "confirmed"]
    assert len(await received(messages, 3)) == 3


async def test_a_pipe_is_sent_as_it_arrives(
    user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    with start(
        "publish", "--exchange", exchange, "-d", "treeherder", folder=tmp_path, url=user.url, stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(3):
            process.stdin.write(ndjson(JOBS[number]))
            process.stdin.flush()
            assert (await anext(messages)).payload == JOBS[number]
            assert json.loads(process.stdout.readline())["index"] == number
        process.communicate()
    assert process.returncode == 0


async def test_a_record_of_tail_keeps_key_headers_and_exact_body(
    user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    body = json.dumps(JOBS[0], indent=3)
    record = {
        "v": 1,
        "exchange": "exchange/somebody/else",
        "routing_key": "own.key",
        "cc": ["other.key"],
        "headers": {"h": {"$type": "bytes", "value": "AP8="}, "CC": ["other.key"], "BCC": ["hidden.key"]},
        "properties": {"message_id": "kept", "user_id": "somebody", "expiration": "60000", "reply_to": "queue/x/y"},
        "payload": {"old": 1},
        "body": body,
    }
    done = pulsekit("publish", "--exchange", exchange, folder=tmp_path, url=user.url, given=ndjson(record))
    assert done.status == 0, done.err
    message = await anext(messages)
    assert (message.exchange, message.routing_key, message.cc) == (exchange, "own.key", ())
    assert message.body.decode() == body
    assert message.headers == {"h": b"\x00\xff"}
    assert (message.properties.message_id, message.properties.reply_to) == ("kept", None)
    assert message.properties.expiration is None
    fields = "cc of 1 record, bcc of 1 record, expiration of 1 record, reply_to of 1 record"
    assert f"not sent: {fields}; to send them, add --also cc --also bcc --also expiration --also reply_to" in done.err
    arguments = ("-k", "given", "--also", "cc", "--also", "expiration", "--also", "reply_to", "--also", "bcc")
    done = pulsekit("publish", "-e", exchange, *arguments, folder=tmp_path, url=user.url, given=ndjson(record))
    assert "not sent" not in done.err
    message = await anext(messages)
    assert (message.routing_key, message.cc) == ("given", ("other.key",))
    assert (message.properties.expiration, message.properties.reply_to) == ("60000", "queue/x/y")


_OF_TAIL = {"cc": ["prod.cc"]}
_OF_OTHERS: dict[str, Any] = {}  # records of other tools can have the keys in the headers only


@pytest.mark.parametrize("written", [_OF_TAIL, _OF_OTHERS])
async def test_a_record_is_sent_only_to_the_requested_destinations(
    written: dict[str, Any], user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    keys = {"CC": ["prod.cc"], "BCC": ["prod.bcc"]}
    record = {"routing_key": "prod._", "headers": keys, "payload": JOBS[0]} | written
    (tmp_path / "r.ndjson").write_text(ndjson(record))
    async with library.connect(user.url) as pulse, pulse.subscribe(f"{exchange}:prod.#") as production:
        for words in (["publish", "-d", "staging"], ["replay", "--key-map", "prod=staging"]):
            for keep in ([], ["--also", "cc", "--also", "bcc"]):
                if keep and words[0] == "publish":
                    continue  # those keys are as recorded
                done = pulsekit(*words, "r.ndjson", "-e", exchange, *keep, folder=tmp_path, url=user.url)
                assert done.status == 0, done.err
                message = await anext(messages)
                assert message.routing_key.startswith("staging.")
                assert message.cc == (("staging.cc",) if keep else ())
        await pulse.publisher(exchange).publish(b"1", "prod.last")
        assert (await anext(production)).routing_key == "prod.last"


@pytest.mark.parametrize("written", [_OF_TAIL, _OF_OTHERS])
def test_a_dry_run_shows_which_fields_of_records_are_sent(
    written: dict[str, Any], tmp_path: Path, call: Call, folder: Path
) -> None:
    record = {
        **written,
        "routing_key": "prod._",
        "headers": {"CC": ["prod.cc"], "BCC": ["prod.bcc"]},
        "properties": {"expiration": "1000", "reply_to": "prod.reply"},
        "payload": JOBS[0],
    }
    (folder / "r.ndjson").write_text(ndjson(record))
    sent = {"cc": ["prod.cc"], "expiration": "1000"}
    dropped = {"bcc": ["prod.bcc"], "reply_to": "prod.reply"}
    for command in ("publish", "replay"):
        words = (command, "r.ndjson", "-e", "exchange/me/x", "--dry-run", "--also", "cc", "--also", "expiration")
        result = call(*words)
        assert result.code == 0
        assert [(line["options"], line["dropped"]) for line in map(json.loads, result.out.splitlines())] == [
            (sent, dropped)
        ]
        assert "to send them, add --also bcc --also reply_to" in result.err
        shown = call(*words, "-o", "pretty").out
        assert re.findall(r"(?:cc|bcc|expiration|reply_to) [^\n]+", shown) == [
            "cc prod.cc",
            "expiration 1000",
            "bcc prod.bcc  (not sent)",
            "reply_to prod.reply  (not sent)",
        ]
    assert call("publish", "r.ndjson", "-e", "exchange/me/x", "--dry-run", "--also", "user_id").code == 2


async def test_cc_headers_and_properties_can_be_added_to_all_messages(
    user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    record = {"routing_key": "b", "payload": JOBS[0], "cc": ["c"], "headers": {"h": 1, "x": "old"}}
    arguments = ["--cc", "c", "--cc", "d", "--header", "x=a=b", "--property", "app_id=ci", "--property", "priority=3"]
    given = ndjson(JOBS[0], record)
    done = pulsekit(
        "publish", "--exchange", exchange, "-k", "k", *arguments, folder=tmp_path, url=user.url, given=given
    )
    assert done.status == 0, done.err
    for more in ({}, {"h": 1}):
        message = await anext(messages)
        assert message.cc == ("c", "d")
        assert {name: value for name, value in message.headers.items() if name != "CC"} == {"x": "a=b"} | more
        assert (message.properties.app_id, message.properties.priority) == ("ci", 3)
        assert message.properties.content_type == "application/json"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--header", "x"], "NAME=VALUE"),
        (["--header", "CC=a"], "--cc"),
        (["--cc", "a" * 256], "255"),
        (["--property", "nope=1"], "app_id"),
        (["--property", "user_id=me"], "app_id"),
        (["--property", "priority=high"], "0 to 255"),
        (["--property", "timestamp=soon"], "not a time"),
        (["--property", f"type={'a' * 256}"], "255"),
    ],
)
def test_invalid_message_options_are_refused_before_connecting(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    exchange = ("--exchange", "exchange/me/x", "-k", "k")
    url = "amqp://me:p@127.0.0.1:1/"
    done = pulsekit("publish", *exchange, *arguments, folder=tmp_path, url=url, given=ndjson(JOBS[0]))
    assert done.status == 2
    assert words in done.err


def test_a_dry_run_shows_bindings_that_match_a_cc_key(tmp_path: Path) -> None:
    (tmp_path / "pulsekit.yml").write_text(
        "exchange: exchange/me/x\nregistrations: [{exchange: exchange/me/x, destinations: [a], projects: ['#']}]\n"
    )
    arguments = ("publish", "--dry-run", "-k", "k", "--cc", "a.b")
    done = pulsekit(*arguments, folder=tmp_path, given=ndjson(JOBS[0]))
    assert [record["bindings"] for record in done.records] == [["a.#"]]


async def test_one_message_goes_to_each_destination(
    user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    done = pulsekit(
        "publish", "--exchange", exchange, "-d", "a", "-d", "b", folder=tmp_path, url=user.url, given=ndjson(JOBS[0])
    )
    assert [record["routing_key"] for record in done.records] == [f"a.{PROJECT}._", f"b.{PROJECT}._"]
    assert await received(messages, 2) == [JOBS[0], JOBS[0]]


def test_an_unbound_key_is_a_warning_or_with_require_route_a_failure(
    user: PulseUser, exchange: str, tmp_path: Path
) -> None:
    arguments = ("publish", "--exchange", exchange, "-d", "treeherder")
    done = pulsekit(*arguments, folder=tmp_path, url=user.url, given=ndjson(JOBS[0]))
    assert done.status == 0
    assert done.records[0]["outcome"] == "returned"
    assert f"no queue is bound to '{KEY}'" in done.err
    done = pulsekit(*arguments, "--require-route", folder=tmp_path, url=user.url, given=ndjson(JOBS[0]))
    assert done.status == 3


def test_a_dry_run_needs_no_broker_and_shows_matching_bindings(tmp_path: Path) -> None:
    (tmp_path / "pulsekit.yml").write_text(
        "exchange: exchange/me/v1/jobs\n"
        "destinations: [treeherder, nobody]\n"
        "registrations:\n"
        f"- {{exchange: exchange/me/v1/jobs, destinations: [treeherder], projects: ['{PROJECT}._', '#']}}\n"
        "- {exchange: exchange/other/v1/jobs, destinations: ['#'], projects: ['#']}\n"
    )
    done = pulsekit("publish", "--dry-run", folder=tmp_path, given=ndjson(JOBS[0], BROKEN))
    assert done.status == 1
    assert [record["bindings"] for record in done.records] == [[KEY, "treeherder.#"], [], []]
    assert [record["valid"] for record in done.records] == [True, True, False]
    assert done.records[0]["size"] == len(json.dumps(JOBS[0], separators=(",", ":"), ensure_ascii=False).encode())
    pretty = pulsekit("publish", "--dry-run", "-o", "pretty", folder=tmp_path, given=ndjson(JOBS[0]))
    assert pretty.status == 0
    assert f"valid    {KEY}  →  {KEY}, treeherder.#" in pretty.out
    assert "→  no binding" in pretty.out


def test_a_dry_run_shows_verdict_size_and_preview(tmp_path: Path) -> None:
    (tmp_path / "pulsekit.yml").write_text("exchange: exchange/me/v1/jobs\ndestinations: [treeherder]\n")
    given = ndjson(RUNNING, RUNNING | {"result": "fail"}, OWNERLESS, BROKEN, JOBS[2] | {"jobInfo": {}})
    done = pulsekit("publish", "--dry-run", folder=tmp_path, given=given + "{\n")
    assert done.status == 1
    assert [record["verdict"] for record in done.records] == [
        "valid",
        "wrong",
        "dropped",
        "invalid",
        "valid",
        "invalid",
    ]
    assert [record["valid"] for record in done.records] == [True, True, True, False, True, False]
    assert [record["index"] for record in done.records] == list(range(6))
    assert [record["outcome"] for record in done.records] == [None, None, "invalid", "invalid", None, "invalid"]
    known = {"index", "message_id", "routing_key", "outcome", "resent", "source", "valid", "errors", "lint", "bindings"}
    assert all(known <= set(record) for record in done.records)
    assert [[one["rule"] for one in record["lint"]] for record in done.records[:3]] == [
        [],
        ["result-early"],
        ["owner-missing"],
    ]
    assert [error["rule"] for error in done.records[3]["errors"]] == ["enum"]
    assert done.records[3]["errors"][0]["line"] == 4
    assert [record["preview"] for record in done.records[2:4]] == [None, None]
    alone = pulsekit("preview", "-o", "ndjson", folder=tmp_path, given=ndjson(JOBS[2] | {"jobInfo": {}}))
    assert done.records[4]["preview"].items() <= alone.records[0].items()
    assert "dry run: 3 messages would be sent, 3 rejected; nothing was sent" in done.err
    pretty = pulsekit("publish", "--dry-run", "-o", "pretty", folder=tmp_path, given=given)
    assert "M(bc3) testfailed  linux64 asan debug" in pretty.out
    assert "\ndropped  <stdin>, payload 3\ninvalid  <stdin>, payload 4\n" in pretty.out


async def test_one_file_serves_a_job_from_pending_to_completed(
    user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    (tmp_path / "job.json").write_text(json.dumps(JOBS[0], indent=1))
    steps = [
        ["--set", "timeScheduled=2026-11-23T17:58:00Z"],
        ["--set", "state=running", "--set", "timeStarted=now"],
        ["--set", "state=completed", "--set", "result=fail", "--set", "jobKind=test", "--set", "timeCompleted=now"],
    ]
    for number in range(len(steps)):
        options = [option for step in steps[: number + 1] for option in step]
        done = pulsekit(
            "publish", "job.json", "--exchange", exchange, "-d", "t", *options, folder=tmp_path, url=user.url
        )
        assert done.status == 0, done.err
        assert "wrong" not in done.err
    sent = await received(messages, 3)
    assert [job["state"] for job in sent] == ["pending", "running", "completed"]
    assert [job.get("result") for job in sent] == [None, None, "fail"]
    assert len({job["taskId"] for job in sent}) == 1
    assert sent[0]["timeScheduled"] < sent[1]["timeStarted"] <= sent[2]["timeStarted"] <= sent[2]["timeCompleted"]
    assert all(job["timeScheduled"] == "2026-11-23T17:58:00Z" for job in sent)


async def test_fields_of_piped_jobs_are_edited_as_they_arrive(
    user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    options = ("--set", "origin.project=elsewhere", "--unset", "tier")
    done = pulsekit(
        "publish", "--exchange", exchange, "-d", "t", *options, folder=tmp_path, url=user.url, given=ndjson(*JOBS)
    )
    assert [record["routing_key"] for record in done.records] == ["t.elsewhere._"] * 3
    for job in await received(messages, 3):
        assert job["origin"]["project"] == "elsewhere"
        assert "tier" not in job


async def test_only_force_sends_a_job_that_treeherder_would_drop(
    user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    (tmp_path / "jobs.ndjson").write_text(ndjson(RUNNING, OWNERLESS))
    arguments = ("publish", "jobs.ndjson", "--exchange", exchange, "-d", "t")
    done = pulsekit(*arguments, folder=tmp_path, url=user.url)
    assert done.status == 1
    assert done.out == ""
    assert "jobs.ndjson:2:1: Treeherder would drop this job" in done.err
    assert "[owner-missing]" in done.err
    assert "nothing was sent: Treeherder would drop 1 of 2 (--force publishes such jobs)" in done.err
    done = pulsekit(*arguments, "--keep-going", folder=tmp_path, url=user.url)
    assert done.status == 3
    assert [record["outcome"] for record in done.records] == ["confirmed", "invalid"]
    done = pulsekit(*arguments, "--force", folder=tmp_path, url=user.url)
    assert done.status == 0
    assert 'warning: jobs.ndjson:2:1: payload: "owner" is missing' in done.err
    assert len(await received(messages, 3)) == 3
    (tmp_path / "pulsekit.yml").write_text("lint_off: [owner-missing]\n")
    done = pulsekit(*arguments, folder=tmp_path, url=user.url)
    assert done.status == 0
    assert "owner" not in done.err


def test_each_rule_is_printed_once_with_its_number_of_jobs(user: PulseUser, exchange: str, tmp_path: Path) -> None:
    early = RUNNING | {"result": "fail"}
    given = ndjson(RUNNING, early, early, early | {"jobInfo": {"summary": "x"}})
    (tmp_path / "jobs.ndjson").write_text(given)
    arguments = ("publish", "--exchange", exchange, "-d", "t", "--require-route")
    done = pulsekit(*arguments, "jobs.ndjson", folder=tmp_path, url=user.url)
    assert done.status == 3  # caused only by --require-route
    early_one, summary = [text for text in done.err.splitlines() if "[" in text]
    assert early_one.startswith('warning: jobs.ndjson:2:452: /result: "fail" is ignored while the job is running')
    assert early_one.endswith("[result-early, wrong; 3 jobs]")
    assert summary == "jobs.ndjson:4:483: /jobInfo/summary: is not shown (remove it) [summary-unused, cosmetic]"
    piped = pulsekit(*arguments, folder=tmp_path, url=user.url, given=given)
    assert "<stdin>:2:" in piped.err
    assert piped.err.count("[result-early, wrong]") == 1
    assert "result-early: 3 jobs" in piped.err


def test_an_invalid_set_option_is_reported_before_anything_is_read(tmp_path: Path) -> None:
    for option, words in (
        ("--set=stat=running", "did you mean 'state'?"),
        ("--set=state", "PATH=VALUE"),
    ):
        done = pulsekit("publish", "missing.json", "--exchange", "exchange/me/x", "--dry-run", option, folder=tmp_path)
        assert done.status == 2
        assert words in done.err


def test_payloads_without_a_schema_can_be_edited(tmp_path: Path) -> None:
    options = ("--no-schema", "--set", "a.b.0=1", "--dry-run", "-k", "k")
    done = pulsekit("publish", "--exchange", "exchange/me/x", *options, folder=tmp_path, given='{"c": 2}\n')
    assert done.status == 0
    assert done.records[0]["size"] == len('{"c":2,"a":{"b":[1]}}')
    assert done.records[0]["preview"] is None


def test_a_custom_schema_decides(user: PulseUser, exchange: str, tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text("{type: object, required: [x]}")
    arguments = ("publish", "--exchange", exchange, "-k", "a", "--schema", "own.yml")
    assert pulsekit(*arguments, folder=tmp_path, url=user.url, given='{"x": 1}').status == 0
    assert pulsekit(*arguments, folder=tmp_path, url=user.url, given='{"y": 1}').status == 1


@pytest.mark.parametrize(
    ("arguments", "given", "status", "words"),
    [
        (["-d", "t"], "", 2, "is empty"),
        (["-d", "t"], "\n \n", 2, "is empty"),
        (["-d", "t"], "{", 1, "<stdin>:1:"),
        (["-d", "t"], "a: [1", 1, "<stdin>:"),
        (["-d", "t"], b"\xff\xfe{}", 1, "UTF-8"),
        (["-d", "t"], ndjson({"a": 1}), 1, "is missing"),
        ([], ndjson(JOBS[0]), 2, "--routing-key"),
        (["-d", "t", "-k", "k"], ndjson(JOBS[0]), 2, "cannot be combined"),
        (["-k", "k" * 256], ndjson(JOBS[0]), 1, "256 bytes"),
        (["-k", "k", "--no-schema"], ndjson({"routing_key": "r", "body_b64": "*"}), 1, "base64"),
        (["-d", "t", "--no-schema"], ndjson({"a": 1}), 1, "origin.project"),
        (["-d", "t", "--schema", "nope"], ndjson(JOBS[0]), 2, "pulse-job"),
        (["-d", "t", "missing.json"], "", 74, "missing.json"),
        (["-d", "t", "--window", "0"], ndjson(JOBS[0]), 2, "--window"),
        (["-d", "t", "--timeout", "soon"], ndjson(JOBS[0]), 2, "duration"),
    ],
)
def test_invalid_payloads_are_explained(
    arguments: list[str], given: str | bytes, status: int, words: str, tmp_path: Path
) -> None:
    done = pulsekit(
        "publish",
        "--exchange",
        "exchange/me/x",
        *arguments,
        folder=tmp_path,
        url="amqp://me:p@127.0.0.1:1/",
        given=given,
    )
    assert words in done.err
    assert done.status == status  # and not 4: it does not connect needlessly


def test_without_a_file_or_a_pipe_an_example_is_shown(tmp_path: Path) -> None:
    with start("publish", "--exchange", "exchange/me/x", folder=tmp_path) as process:
        _, err = process.communicate()
    assert process.returncode == 2
    assert "pulsekit publish job.yml" in err


def test_an_exchange_of_another_user_is_refused(user: PulseUser, broker: RabbitMQ, tmp_path: Path) -> None:
    foreign = f"exchange/{broker.user().name}/v1/jobs"
    done = pulsekit("publish", "--exchange", foreign, "-d", "t", folder=tmp_path, url=user.url, given=ndjson(JOBS[0]))
    assert done.status == 5
    assert foreign in done.err


async def test_a_job_of_five_megabytes_is_published(
    user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    big = JOBS[0] | {"labels": ["x" * 40] * 120_000}
    (tmp_path / "big.json").write_text(json.dumps(big))
    done = pulsekit("publish", "big.json", "--exchange", exchange, "-d", "t", folder=tmp_path, url=user.url)
    assert done.status == 0, done.err
    assert await received(messages, 1) == [big]


def test_a_piped_list_may_be_one_line_of_any_length(call: Call) -> None:
    text = json.dumps([JOBS[0] | {"labels": ["x" * 40] * 120_000}] * 4)
    done = call("publish", "-e", "exchange/me/x", "-d", "t", "--dry-run", "--no-schema", stdin=text)
    assert len(done.out.splitlines()) == 4, done.err


@pytest.mark.parametrize("piped", [False, True])
async def test_a_line_without_an_end_does_not_keep_the_next_jobs_from_being_sent(
    user: PulseUser, exchange: str, messages: library.Consumer, folder: Path, piped: bool
) -> None:
    text = f'{ndjson(JOBS[0])}{{"x": "{"x" * (17 << 20)}"}}\n{ndjson(JOBS[1])}'
    (folder / "jobs.ndjson").write_text(text)
    arguments = ("publish", "-e", exchange, "-k", "k", "--keep-going", *([] if piped else ["jobs.ndjson"]))
    done = pulsekit(*arguments, folder=folder, url=user.url, given=text if piped else "")
    assert done.status == 3
    assert f"{'<stdin>' if piped else 'jobs.ndjson'}:2: the line has more than 16 MiB" in done.err
    assert await received(messages, 2) == JOBS[:2]


def test_many_messages_on_a_terminal_are_a_bar_and_a_count(
    user: PulseUser, exchange: str, on_terminal: OnTerminal, folder: Path
) -> None:
    (folder / "jobs.ndjson").write_text(ndjson(*[JOBS[0]] * 60))
    arguments = ("publish", "jobs.ndjson", "--exchange", exchange, "-k", "k")
    done = on_terminal(*arguments, env={"PULSE_URL": user.url, "CI": "true"})
    assert done.code == 0
    assert "publishing" in done.out
    # One sentence says what happened to all of them, and what to do.
    assert done.out.count(" returned") == 0
    words = " ".join(done.out.split())
    assert words.count(f"no queue is bound to 'k' on {exchange}, so the broker discarded 60 messages") == 1
    assert f"first run 'pulsekit tail {exchange}'" in words


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        ({"properties": {"expiration": 5}}, {"expiration": "5"}),
        (
            {"properties": {"reply_to": {"$type": "timestamp", "value": "2026-01-01T00:00Z"}}},
            {"reply_to": "2026-01-01 00:00:00+00:00"},
        ),
        ({"headers": {"CC": "k", "BCC": {"k": 1}}}, {"cc": ["k"], "bcc": ["{'k': 1}"]}),
    ],
)
def test_fields_of_records_with_unusual_types_are_shown(
    part: dict[str, Any], shown: dict[str, Any], call: Call, folder: Path
) -> None:
    (folder / "r.ndjson").write_text(ndjson({"routing_key": "k", "payload": JOBS[0]} | part))
    for command in ("publish", "replay"):
        for output in ("ndjson", "pretty"):
            result = call(command, "r.ndjson", "-e", "exchange/me/x", "--dry-run", "-o", output)
            assert result.code == 0, result.err
        result = call(command, "r.ndjson", "-e", "exchange/me/x", "--dry-run")
        assert json.loads(result.out)["dropped"] == shown


def test_a_record_that_amqp_cannot_represent_is_refused_before_others_are_sent(call: Call, folder: Path) -> None:
    record = {"routing_key": "k", "payload": JOBS[0]}
    (folder / "r.ndjson").write_text(ndjson(record, record | {"properties": {"reply_to": 7}}))
    for more in (("--dry-run",), ("--url", "amqp://me:password@127.0.0.1:1")):
        result = call("publish", "r.ndjson", "-e", "exchange/me/x", "--also", "reply_to", *more)
        assert result.code == 1
        assert "r.ndjson, payload 2: the property reply_to cannot be written in AMQP: 7 is not text" in result.err
        assert "nothing was sent" in result.err


def test_a_problem_during_the_bar_is_a_line_above_it(
    user: PulseUser, exchange: str, on_terminal: OnTerminal, folder: Path
) -> None:
    record = {"v": 1, "exchange": exchange, "routing_key": "k", "payload": JOBS[0]}
    records = [record] * 60
    records[3] = record | {"properties": {"expiration": "soon"}}  # the broker refuses it
    (folder / "jobs.ndjson").write_text(ndjson(*records, record | {"payload": BROKEN}))
    arguments = ("publish", "jobs.ndjson", "-e", exchange, "--also", "expiration", "--keep-going")
    done = on_terminal(*arguments, env={"PULSE_URL": user.url, "NO_COLOR": "1"})
    assert done.code == 3
    assert re.search(r"(?:^|\n|\x1b\[2K)refused +k", done.out)
    assert not re.search(r"(?:^|\n|\x1b\[2K)invalid", done.out)  # an error names it
    assert "59 returned, 1 refused, 1 invalid" in " ".join(done.out.split())


def test_a_stream_on_a_terminal_shows_fifty_receipts_then_a_count(user: PulseUser, exchange: str, folder: Path) -> None:
    arguments = ("publish", "--exchange", exchange, "-k", "k", "-o", "pretty")
    done = pulsekit(*arguments, folder=folder, url=user.url, given=ndjson(*[JOBS[0]] * 120))
    assert done.out.splitlines() == ["returned   k"] * 50
    assert "120 returned, to " in done.err
    assert done.err.count("no queue is bound to 'k'") == 1


@pytest.mark.usefixtures("messages")
async def test_quiet_prints_problems_only(user: PulseUser, exchange: str, folder: Path) -> None:
    (folder / "jobs.ndjson").write_text(ndjson(JOBS[0], JOBS[1]))
    (folder / "broken.ndjson").write_text(ndjson(JOBS[0], BROKEN))

    async def publish(*arguments: str, to: str = exchange) -> tuple[int, str, str]:
        words = ("publish", "--exchange", to, "-d", "a", "-d", "b", "-q", *arguments)
        done = await asyncio.to_thread(pulsekit, *words, folder=folder, url=user.url)
        return done.status, done.out, done.err

    assert await publish("jobs.ndjson") == (0, "", "")
    status, out, err = await publish("jobs.ndjson", to=f"{exchange}-unbound")
    assert (status, out) == (0, "")
    assert err.startswith(f"warning: no queue is bound to keys such as 'a.{PROJECT}._' on {exchange}-unbound")
    status, out, err = await publish("broken.ndjson", "--keep-going")
    assert (status, out) == (3, "")
    assert "broken.ndjson:2" in err
    assert "2 confirmed, 1 invalid" in err
    assert (await publish("jobs.ndjson", "-o", "ndjson"))[0] == 2


@pytest.mark.parametrize("piped", [False, True])
def test_skipped_jobs_are_not_sent(user: PulseUser, exchange: str, folder: Path, piped: bool) -> None:
    text = ndjson(BROKEN, *JOBS[:3])
    (folder / "jobs.ndjson").write_text(text)
    arguments = ["publish", "--exchange", exchange, "-k", "k", *([] if piped else ["jobs.ndjson"])]
    done = pulsekit(*arguments, "--skip", "2", folder=folder, url=user.url, given=text if piped else "")
    assert done.status == 0, done.err
    assert [record["index"] for record in done.records] == [0, 1]
    assert "jobs.ndjson:1:" not in done.err
    done = pulsekit(*arguments, "--skip", "4", folder=folder, url=user.url, given=text if piped else "")
    assert (done.status, done.out) == ((0, "") if piped else (2, ""))


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["sent", "dry-run"])
@pytest.mark.parametrize("piped", [False, True])
def test_only_the_messages_of_a_recording_are_counted_as_jobs(
    user: PulseUser, exchange: str, folder: Path, piped: bool, options: tuple[str, ...]
) -> None:
    header, trailer = ({"v": 1, "type": kind} for kind in ("header", "trailer"))
    records = [{"routing_key": key, "payload": JOBS[0]} for key in ("a", "b")]
    text = ndjson(header, *records, trailer)
    (folder / "jobs.ndjson").write_text(text)
    arguments = ["publish", "-e", exchange, "--skip", "1", *options, *([] if piped else ["jobs.ndjson"])]
    done = pulsekit(*arguments, folder=folder, url=user.url, given=text if piped else "")
    assert (done.status, [record["routing_key"] for record in done.records]) == (0, ["b"])


def test_a_recording_without_messages_is_empty(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_URL", "amqp://me:me@127.0.0.1:1/")  # nothing is sent
    (folder / "none.ndjson").write_text(ndjson(*({"v": 1, "type": kind} for kind in ("header", "trailer"))))
    done = call("publish", "none.ndjson", "-e", "exchange/me/x", "--keep-going")
    assert (done.code, done.err) == (2, "error: nothing to publish: none.ndjson is empty\n")


def test_a_piped_recording_without_messages_is_empty(user: PulseUser, exchange: str, folder: Path) -> None:
    text = ndjson(*({"v": 1, "type": kind} for kind in ("header", "trailer")))
    done = pulsekit("publish", "-e", exchange, folder=folder, url=user.url, given=text)
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines()[-1] == "error: nothing to publish: <stdin> is empty"


async def test_a_job_that_became_invalid_after_validation_is_not_sent(
    user: PulseUser, exchange: str, tmp_path: Path
) -> None:
    text = ndjson(*[max(JOBS, key=lambda job: len(str(job)))] * 3000)
    (tmp_path / "jobs.ndjson").write_text(text + ndjson(JOBS[1]))
    assert len(text) > 3 * 1024 * 1024  # so that the end is not read at once
    async with Proxy(user.url) as proxy:
        proxy.hold_answers()
        arguments = ("publish", "jobs.ndjson", "--exchange", exchange, "-d", "treeherder")
        process = await asyncio.to_thread(start, *arguments, folder=tmp_path, url=proxy.url)
        with process:
            await asyncio.to_thread(_wait_for, lambda: proxy.accepted or process.poll() is not None)
            (tmp_path / "jobs.ndjson").write_text(text + ndjson(BROKEN))
            proxy.release_answers()
            out, err = await asyncio.to_thread(process.communicate)
    assert process.returncode == 3
    outcomes = [json.loads(line)["outcome"] for line in out.splitlines()]
    assert outcomes == ["returned"] * 3000 + ["invalid"]
    assert "jobs.ndjson:3001:" in err


def _wait_for(condition: Callable[[], object]) -> None:
    while not condition():
        pass


def test_a_dry_run_with_require_route_exits_3_for_an_unbound_key(call: Call, folder: Path) -> None:
    registration = "{exchange: exchange/me/x, destinations: [treeherder], projects: [%s]}"
    (folder / "jobs.ndjson").write_text(ndjson(JOBS[0]))
    arguments = ("publish", "jobs.ndjson", "-e", "exchange/me/x", "-d", "treeherder", "--dry-run")
    unknown = call(*arguments, "--require-route")
    assert (unknown.code, unknown.out) == (2, "")
    assert "--dry-run cannot check --require-route: no registration of exchange/me/x is configured" in unknown.err
    for project, status in ((f"{PROJECT}._", 0), ("other._", 3)):
        (folder / "pulsekit.yml").write_text(f"registrations: [{registration % project}]")
        done = call(*arguments, "--require-route")
        assert done.code == status
        assert ("1 message would be sent, 1 without a binding" in done.err) == (status == 3)
        assert call(*arguments).code == 0


@pytest.mark.parametrize("destination", ["", ".", "a.", ".a", "a..b", "#", "*", "treeherder.#", "t,u", "t u"])
@pytest.mark.parametrize("command", ["publish", "run"])
def test_a_destination_that_no_key_can_begin_with_is_refused(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, destination: str
) -> None:
    monkeypatch.setenv("PULSE_URL", "amqp://me:me@127.0.0.1:1/")
    (folder / "job.json").write_text(json.dumps(JOBS[0]))
    options = ("-e", "exchange/me/x", "-d", "treeherder", "-d", destination)
    words = {"publish": ("publish", "job.json", *options), "run": ("run", "--job", "job.json", *options, "--", "false")}
    done = call(*words[command])
    assert (done.code, done.out) == (2, "")
    assert "destination" in done.err
    (folder / "pulsekit.yml").write_text(f"exchange: exchange/me/x\ndestinations: ['{destination}']")
    assert call("publish", "job.json", "--dry-run").code == 2


def test_the_same_problem_of_many_jobs_is_printed_ten_times_and_counted(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSE_URL", "amqp://me:me@127.0.0.1:1/")  # nothing is sent
    (folder / "jobs.ndjson").write_text(ndjson(*[BROKEN] * 300, *[OWNERLESS] * 3) + "{\n" * 20)
    for options in ((), ("--dry-run",)):
        done = call("publish", "jobs.ndjson", "-e", "exchange/me/x", "-d", "treeherder", *options)
        assert done.code == 1
        assert done.err.count("/state: must be") == 10
        assert done.err.count("[owner-missing]") == 3
        assert "300 findings not shown: 290 enum, 10 syntax; 'pulsekit validate' shows them" in done.err


@pytest.mark.parametrize("command", ["publish", "replay"])
def test_a_pipe_named_as_a_file_is_refused_at_once(command: str, call: Call, folder: Path) -> None:
    os.mkfifo(folder / "pipe.ndjson")
    result = call(command, "pipe.ndjson", "--dry-run", "-e", "exchange/me/x")
    assert result.code == 2
    assert "pipe.ndjson is a pipe, which can be read only once" in result.err
    assert ("the stdin of the command" in result.err) == (command == "publish")  # replay has no stdin


@pytest.mark.parametrize("arguments", [("publish", "-", "job.yml", "-k", "k"), ("replay", "-")])
def test_stdin_among_files_that_are_read_twice_is_refused(arguments: tuple[str, ...], call: Call) -> None:
    result = call(*arguments, "--dry-run", "-e", "exchange/me/x", stdin="{}")
    assert result.code == 2
    assert "<stdin> is a pipe, which can be read only once: write it to a file first\n" in result.err


@pytest.mark.parametrize("command", ["publish", "replay"])
async def test_an_unresponsive_broker_stops_everything(
    command: str, user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    records = [{"routing_key": "k", "payload": number} for number in range(3000)]
    (tmp_path / "r.ndjson").write_text(ndjson(*records))
    more = ["--no-schema"] if command == "publish" else ["--speed", "max"]
    arguments = (command, "r.ndjson", "-e", exchange, *more, "--window", "5", "--timeout", "1s")
    async with Proxy(user.url) as proxy:
        proxy.delay_answers(0.02)
        with start(*arguments, folder=tmp_path, url=proxy.url) as process:
            assert process.stdout is not None
            begun = [await asyncio.to_thread(process.stdout.readline) for _ in range(20)]
            proxy.hold_answers()
            out, err = await asyncio.to_thread(process.communicate)
    outcomes = [json.loads(line)["outcome"] for line in "".join([*begun, out]).splitlines()]
    confirmed = outcomes.count("confirmed")
    assert process.returncode == 4
    assert "error: the broker has answered no message for 1 s (sent; the broker sent no confirm)" in err
    assert outcomes == ["confirmed"] * confirmed + ["timeout"] * (len(outcomes) - confirmed)
    assert confirmed < len(outcomes) <= confirmed + 10
    if command == "publish":
        assert f"to continue with the first job that was not confirmed, add --skip {confirmed}\n" in err


async def test_message_ids_of_the_content_are_the_same_in_each_run(
    user: PulseUser, exchange: str, messages: library.Consumer, tmp_path: Path
) -> None:
    given = {"routing_key": "own", "payload": {}, "properties": {"message_id": "own"}}
    (tmp_path / "jobs.ndjson").write_text(ndjson({"n": 1}, {"n": 2}, {"n": 1}, given))
    arguments = ("publish", "jobs.ndjson", "-e", exchange, "--no-schema", "-k")

    def ids(*more: str) -> list[str]:
        done = pulsekit(*arguments, *more, folder=tmp_path, url=user.url)
        assert done.status == 0, done.err
        return [record["message_id"] for record in done.records]

    first = ids("k", "--message-ids", "content")
    assert first == [(await anext(messages)).properties.message_id for _ in first]
    assert len(set(first)) == 3
    assert first[0] == first[2]
    assert first[3] == "own"
    assert ids("k", "--message-ids", "content", "--skip", "1") == first[1:]
    assert not {*ids("other", "--message-ids", "content")} & {*first[:3]}
    assert len({*ids("k"), *ids("k")} - {*first}) == 6  # random
    with pytest.raises(library.ConfigurationError, match="'content'"):
        async with library.connect(user.url) as pulse:
            pulse.publisher(exchange, message_ids="same")  # type: ignore[arg-type]
