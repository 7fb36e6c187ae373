"""Known exchanges on the command line: names, fields, schemas and output."""

from __future__ import annotations

import json
import re
import shlex
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aio_pika
import pytest
from support.command import pulsekit, start

from pulsekit.catalogue import known_exchanges
from pulsekit.testing import PulseSandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from support.rabbitmq.broker import PulseUser, RabbitMQ

    from cli.conftest import Call

FAILED = "exchange/taskcluster-queue/v1/task-failed"
TASK, GROUP = "fN1SbArXTPSVFNUvaOlinQ", "XrWNyFwpT2in-wLY9frb-w"
SCHEDULED = "primary.*.*.*.*.*.*.gecko-level-3.#"
STATUS = {
    "taskId": TASK,
    "provisionerId": "gecko-t",
    "workerType": "t-linux",
    "taskQueueId": "gecko-t/t-linux",
    "schedulerId": "gecko-level-3",
    "projectId": "none",
    "taskGroupId": GROUP,
    "deadline": "2026-11-29T10:00:00.000Z",
    "expires": "2027-11-28T10:00:00.000Z",
    "retriesLeft": 5,
    "state": "failed",
    "runs": [],
}
VALID = {"version": 1, "status": STATUS, "runId": 0, "workerGroup": "g", "workerId": "w"}


def key(scheduler: str = "gecko-level-3", group: str = GROUP) -> str:
    return f"primary.{TASK}.0._._.gecko-t.t-linux.{scheduler}.{group}._"


@asynccontextmanager
async def _exchanges(url: str) -> AsyncIterator[Callable[..., Any]]:
    """Declare two known exchanges as their owners would, and yield a function that publishes to one of them."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        names = (FAILED, "exchange/hgpushes/v1")
        declared = {name: await channel.declare_exchange(name, "topic", durable=True) for name in names}

        async def publish(payload: Any, routing_key: str, cc: tuple[str, ...] = (), name: str = FAILED) -> None:
            message = aio_pika.Message(json.dumps(payload).encode(), headers={"CC": list(cc)} if cc else {})
            await declared[name].publish(message, routing_key)

        yield publish
        for exchange in declared.values():
            await exchange.delete(if_unused=False)


async def _tail(
    user: PulseUser, broker: RabbitMQ, folder: Path, arguments: list[str], messages: list[tuple[Any, ...]]
) -> tuple[str, str, int]:
    """Run tail until it has shown all wanted messages, while messages are published."""
    async with _exchanges(broker.admin_url) as publish:
        with start("tail", *arguments, folder=folder, url=user.url) as tail:
            assert tail.stderr is not None
            before = ""
            while not (line := tail.stderr.readline()).startswith("listening on "):
                assert line, before
                before += line
            for message in messages:
                await publish(*message)
            out, err = tail.communicate()
        return out, before + line + err, tail.returncode


@pytest.mark.parametrize("name", ["task-failed", "taskcluster-queue/v1/task-failed", FAILED])
async def test_tail_shows_messages_with_the_fields(
    name: str, user: PulseUser, broker: RabbitMQ, tmp_path: Path
) -> None:
    out, err, code = await _tail(
        user,
        broker,
        tmp_path,
        [
            name,
            "--field",
            "schedulerId=gecko-level-3",
            "--field",
            "schedulerId=comm-level-1",
            "-n",
            "2",
            "-o",
            "ndjson",
        ],
        [(VALID, key()), (VALID, key("other")), (VALID, key("comm-level-1"))],
    )
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["key"]["schedulerId"] for record in records] == ["gecko-level-3", "comm-level-1"]
    assert f"listening on {FAILED}:{SCHEDULED}, {FAILED}:primary.*.*.*.*.*.*.comm-level-1.#" in err
    assert code == 0


async def test_tail_shows_messages_with_the_route_and_the_names_of_fields(
    user: PulseUser, broker: RabbitMQ, tmp_path: Path
) -> None:
    out, err, _ = await _tail(
        user,
        broker,
        tmp_path,
        ["task-failed", "--route", "index.gecko.#", "-n", "1", "-o", "pretty", "--full"],
        [(VALID, key()), (VALID, key("a"), ("route.index.gecko.v2",))],
    )
    assert f"listening on {FAILED}:route.index.gecko.#" in err
    lines = [line.split() for line in out.splitlines()]
    assert ["taskId", TASK] in lines
    assert ["schedulerId", "a"] in lines
    assert ["workerId", "_"] not in lines


async def test_tail_validates_each_exchange_with_the_schema_of_the_catalogue(
    user: PulseUser, broker: RabbitMQ, tmp_path: Path
) -> None:
    out, _, _ = await _tail(
        user,
        broker,
        tmp_path,
        ["task-failed", "exchange/hgpushes/v1", "--schema", "auto", "-n", "3", "-o", "ndjson"],
        [(VALID, key()), (VALID | {"runId": "0"}, key()), (VALID, "try", (), "exchange/hgpushes/v1")],
    )
    verdicts = [(record["valid"], record["problem"]) for record in map(json.loads, out.splitlines())]
    assert verdicts[0] == (True, None)
    assert verdicts[1][0] is False
    assert "runId" in verdicts[1][1]
    assert verdicts[2][0] is False
    assert "payload" in verdicts[2][1]


async def test_a_filter_by_a_field_of_the_key_selects(user: PulseUser, broker: RabbitMQ, tmp_path: Path) -> None:
    chosen = f"key.taskGroupId == '{TASK}'"
    out, _, _ = await _tail(
        user,
        broker,
        tmp_path,
        ["task-failed", "--filter", chosen, "-n", "1", "-o", "ndjson"],
        [(VALID, key()), (VALID, key(group=TASK))],
    )
    assert [json.loads(line)["key"]["taskGroupId"] for line in out.splitlines()] == [TASK]


async def test_tail_warns_of_bindings_that_never_match(user: PulseUser, broker: RabbitMQ, tmp_path: Path) -> None:
    _, err, _ = await _tail(
        user,
        broker,
        tmp_path,
        [f"{FAILED}:primary.*.gecko-level-3.#", f"{FAILED}:#route.x.#", "--idle", "100ms"],
        [],
    )
    assert f"warning: {FAILED}:primary.*.gecko-level-3.#: can never match: word 3 is 'gecko-level-3', and runId" in err
    assert f"warning: {FAILED}:#route.x.#: the word '#route' matches only itself" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["task-faild"], "did you mean 'task-failed'?"),
        (["taskcluster-queue/v1/task-complete"], "did you mean 'taskcluster-queue/v1/task-completed'?"),
        (["v1/jobs"], "did you mean 'exchange/me/v1/jobs'?"),
        (["taskcluster-foo/v1/bar"], "did you mean 'exchange/taskcluster-foo/v1/bar'?"),
        (
            ["task-failed", "--field", "taskID=x"],
            "have no field 'taskID'. Did you mean 'taskId'? The fields are routingKeyKind,",
        ),
        (["task-failed", "--field", "schedulerId"], "--field schedulerId has no value: write schedulerId=VALUE"),
        (["task-failed", "--field", "runId=x"], "no key has runId=x: runId is a number from 0 to 1000"),
        (["task-failed:#", "--field", "runId=1"], "--field and --route are for exchanges without a pattern"),
        (
            ["task-failed", "-b", "#", "--route", "a"],
            "--field and --route make the pattern, so they cannot be combined with --binding",
        ),
        (["exchange/me/v1/jobs", "--field", "a=b"], "'exchange/me/v1/jobs' is not in the catalogue"),
        (["hgpushes", "--route", "a"], "messages of exchange/hgpushes/v1 have no routes"),
        (["exchange/me/v1/jobs", "--schema", "auto"], "the catalogue has no schema for exchange/me/v1/jobs"),
    ],
)
def test_a_mistake_is_an_error_before_connecting(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = pulsekit("tail", *arguments, folder=tmp_path, url="amqp://me:p@127.0.0.1:1/")
    assert (done.status, done.out) == (2, "")
    assert words in done.err


def test_a_misspelt_exchange_is_reported_with_the_right_name(user: PulseUser, tmp_path: Path) -> None:
    misspelt = FAILED.removesuffix("ed")
    checked = pulsekit("exchange", "check", misspelt, folder=tmp_path, url=user.url)
    tailed = pulsekit("tail", misspelt, folder=tmp_path, url=user.url)
    assert (checked.status, tailed.status) == (5, 5)
    assert f"did you mean {FAILED}?" in checked.err
    assert f"did you mean {FAILED}?" in tailed.err


def test_a_link_has_full_names_and_the_patterns_of_fields(call: Call) -> None:
    done = call("tail", "task-failed", "--field", "schedulerId=gecko-level-3", "--link")
    assert f"exchange]={FAILED.replace('/', '%2F')}" in done.out.replace("%5B", "[").replace("%5D", "]")
    assert "gecko-level-3" in done.out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([key(), "-b", "task-failed", "--field", "schedulerId=gecko-level-3"], 0),
        ([key("x"), "-b", "task-failed", "--field", "schedulerId=gecko-level-3"], 1),
        ([key("x"), "-b", "task-failed", "--field", "schedulerId=a", "--field", "schedulerId=x"], 0),
        ([key(), "-b", "taskcluster-queue/v1/task-failed:primary.#"], 0),
        (["route.index.a", "-b", "task-failed", "--route", "index.*"], 0),
        (["task-failed", "-b", "exchange/me/x:task-failed"], 0),
        (["try", "-b", "try"], 0),
        (["integration/autoland", "-b", "hgpushes", "--field", "repository=integration/autoland"], 0),
    ],
)
def test_match_predicts_by_names_and_fields(call: Call, arguments: list[str], code: int) -> None:
    assert call("match", *arguments).code == code


def test_match_shows_the_full_name_and_the_pattern(call: Call) -> None:
    done = call("match", key(), "-b", "task-failed", "--field", "schedulerId=gecko-level-3")
    assert f"task-failed is {FAILED}:{SCHEDULED}" in done.err
    assert json.loads(done.out) | {"reason": ""} == {
        "routing_key": key(),
        "exchange": FAILED,
        "pattern": SCHEDULED,
        "matched": True,
        "reason": "",
    }
    assert "name an exchange, as in -b task-failed" in call("match", "a", "-b", "a.#", "--field", "x=y").err


def test_bindings_expands_a_known_exchange(call: Call, folder: Path) -> None:
    done = call("bindings", "task-failed", "--field", "runId=0", "--field", "runId=1", "--route", "a.b")
    assert [json.loads(line) for line in done.out.splitlines()] == [
        {"exchange": FAILED, "pattern": pattern} for pattern in ("route.a.b", "primary.*.0.#", "primary.*.1.#")
    ]
    assert f"3 bindings from {FAILED}" in done.err
    assert json.loads(call("bindings", "hgpushes").out) == {"exchange": "exchange/hgpushes/v1", "pattern": "#"}
    assert "name an exchange, as in task-failed" in call("bindings", "--field", "a=b").err
    (folder / "hgpushes").write_text('{"exchange": "exchange/me/v1/jobs", "destinations": ["a"], "projects": ["b._"]}')
    assert json.loads(call("bindings", "hgpushes").out)["exchange"] == "exchange/me/v1/jobs", "a file comes first"


def test_lint_compares_patterns_with_the_fields_of_known_exchanges(call: Call) -> None:
    written = [f"{FAILED}:{pattern}" for pattern in (SCHEDULED, "primary.*.gecko-level-3.#", "primary.*", "route.x.#")]
    done = call("bindings", "--lint", "-", stdin=json.dumps(written))
    rules = {
        record["pattern"]: [finding["rule"] for finding in record["lint"]]
        for record in map(json.loads, done.out.splitlines())
    }
    assert rules == {
        SCHEDULED: [],
        "primary.*.gecko-level-3.#": ["position"],
        "primary.*": ["position"],
        "route.x.#": [],
    }
    assert done.code == 1


def test_lint_counts_the_words_of_other_exchanges(call: Call) -> None:
    done = call("bindings", "--lint", "-", stdin='["exchange/me/v1/jobs:treeherder.autoland"]')
    assert [finding["rule"] for finding in json.loads(done.out)["lint"]] == ["too-short"]


def test_exchanges_are_listed_and_searched(call: Call) -> None:
    everything = [json.loads(line)["exchange"] for line in call("exchange", "list").out.splitlines()]
    assert everything == [known.name for known in known_exchanges()]
    found = call("exchange", "list", "hgpushes", "-o", "pretty")
    assert [line.split()[0] for line in found.out.splitlines()] == [
        "hgpushes",
        "exchange/hgpushes/v1",
        "hgpushes-v2",
        "exchange/hgpushes/v2",
    ]
    everything_shown = call("exchange", "list", "-o", "pretty").out
    assert max(map(len, everything_shown.splitlines())) <= 84
    nothing = call("exchange", "list", "nonsense")
    assert (nothing.code, nothing.out) == (1, "")


def test_an_exchange_is_shown_with_its_fields_its_schema_and_commands(call: Call) -> None:
    shown = call("exchange", "show", "task-failed", "-o", "pretty").out
    assert FAILED in shown
    assert "primary.<taskId>.<runId>" in shown
    assert "required version, status, runId, workerGroup, workerId" in shown
    record = json.loads(call("exchange", "show", "taskcluster-queue/v1/task-failed").out)
    assert [field["name"] for field in record["fields"]][:3] == ["routingKeyKind", "taskId", "runId"]
    assert record["message_schema"]["properties"]["status"] == {"$ref": "task-status.json#"}
    assert record["as_of"]
    wrong = call("exchange", "show", "hgpush")
    assert (wrong.code, wrong.out) == (2, "")
    assert "did you mean 'hgpushes'?" in wrong.err


def test_every_example_of_a_known_exchange_can_be_run(call: Call) -> None:
    for known in known_exchanges():
        for example in known.examples():
            _, *arguments = shlex.split(example)
            done = call(*arguments, "--link")
            assert done.code == 0, (example, done.err)


async def test_a_field_that_no_message_had_is_reported(tmp_path: Path) -> None:
    arguments = ("tail", "task-failed", "--filter", "key.taskID == 'x' || payload.runId == `7`", "-o", "ndjson")
    with PulseSandbox() as sandbox:
        async with _exchanges(sandbox.url("guest")) as publish:
            with start(*arguments, folder=tmp_path, url=sandbox.url("me")) as tail:
                assert tail.stderr is not None
                assert tail.stderr.readline().startswith("listening on ")
                await publish(VALID, key())
                await sandbox.until("acked", timeout=30)  # the filter has rejected the message
                tail.send_signal(signal.SIGINT)
                out, err = tail.communicate()
    assert not out
    assert "warning: --filter: no message had the field key.taskID; did you mean key.taskId?" in err
    assert "payload.runId" not in err


def test_the_patterns_in_the_documentation_are_those_that_are_bound(call: Call) -> None:
    text = (Path(__file__).parents[3] / "docs" / "catalogue.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(--(?:field|route) [^`]*)` \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) == 5
    for options, bound in rows:
        done = call("bindings", "task-failed", *shlex.split(options.replace("#", r"\#")))
        patterns = [json.loads(line)["pattern"] for line in done.out.splitlines()]
        assert patterns == re.findall(r"`([^`]*)`", bound)
    commands = re.findall(r"^pulsekit (tail .*)", text, re.MULTILINE)
    assert len(commands) == 7
    for command in commands:
        assert call(*shlex.split(command), "--link").code == 0, command
