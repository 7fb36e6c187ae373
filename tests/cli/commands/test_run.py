"""`pulsekit run`: the command keeps its streams and its exit status, and its job is published."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
from support.command import pulsekit, start
from support.samples import JOBS

import pulsekit as library
from pulsekit.treeherder import Job, lint_job

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.rabbitmq.broker import PulseUser

NO_BROKER = "amqp://me:p@127.0.0.1:1/"


@pytest.fixture
async def jobs(user: PulseUser, exchange: str) -> AsyncIterator[library.Consumer]:
    """A consumer of the jobs that are published."""
    async with library.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)
        async with pulse.subscribe(f"{exchange}:treeherder.#", schema="pulse-job") as messages:
            yield messages


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yml"
    path.write_text(json.dumps(JOBS[0]))
    return path


async def published(jobs: library.Consumer) -> list[dict[str, Any]]:
    """Return the payloads up to the completed job."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["state"] != "completed":
        found.append((await anext(jobs)).payload)
    return found


@pytest.mark.usefixtures("job_file")
@pytest.mark.parametrize(
    ("script", "status", "result"),
    [("echo out; echo err >&2; cat", 0, "success"), ("exit 3", 3, "fail"), ("kill -9 $$", 137, "exception")],
)
async def test_each_state_is_published_and_the_status_is_that_of_the_command(
    script: str, status: int, result: str, user: PulseUser, exchange: str, jobs: library.Consumer, tmp_path: Path
) -> None:
    command = ("run", "-e", exchange, "-d", "treeherder", "--", "sh", "-c", script)
    done = pulsekit(*command, folder=tmp_path, url=user.url, given="given")
    assert done.status == status
    if status == 0:
        assert (done.out, done.err) == ("out\ngiven", "err\n")
    states = await published(jobs)
    assert [payload["state"] for payload in states] == ["pending", "running", "completed"]
    assert states[-1]["result"] == result
    assert len({payload["taskId"] for payload in states}) == 1
    assert states[0]["taskId"] != JOBS[0]["taskId"]
    last = Job.from_payload(states[-1])
    assert last.scheduled
    assert last.started
    assert last.completed_at
    assert last.scheduled <= last.started <= last.completed_at
    assert not lint_job(states[-1], f"treeherder.{last.project}._")


@pytest.mark.usefixtures("job_file")
async def test_a_command_that_cannot_start_is_an_exception_on_treeherder(
    user: PulseUser, exchange: str, jobs: library.Consumer, tmp_path: Path
) -> None:
    done = pulsekit("run", "-e", exchange, "-d", "treeherder", "--", "no-such-program", folder=tmp_path, url=user.url)
    assert done.status == 127
    assert "cannot run no-such-program: No such file or directory" in done.err
    assert [payload.get("result") for payload in await published(jobs)] == [None, "exception"]


@pytest.mark.usefixtures("job_file")
async def test_a_terminated_command_is_canceled(
    user: PulseUser, exchange: str, jobs: library.Consumer, tmp_path: Path
) -> None:
    script = "trap 'exit 9' TERM; echo started; while :; do sleep 0.1; done"
    command = ("run", "-e", exchange, "-d", "treeherder", "--", "sh", "-c", script)
    with start(*command, folder=tmp_path, url=user.url) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 9
    assert (await published(jobs))[-1]["result"] == "canceled"


@pytest.mark.usefixtures("job_file")
def test_without_a_broker_the_command_runs_with_a_warning(tmp_path: Path) -> None:
    done = pulsekit(
        *("run", "-e", "exchange/me/x", "-d", "treeherder", "--", "sh", "-c", "echo done; exit 4"),
        folder=tmp_path,
        url=NO_BROKER,
    )
    assert (done.status, done.out) == (4, "done\n")
    assert "the state 'pending' of the job" in done.err
    assert "was not published: cannot connect" in done.err
    assert "3 states of the job were not published" in done.err


@pytest.mark.parametrize("recording", [False, True])
def test_the_job_may_be_that_of_one_record(recording: bool, tmp_path: Path) -> None:
    header = {"v": 1, "type": "header", "bindings": []}
    record = {"v": 1, "exchange": "exchange/me/x", "routing_key": "treeherder.try._", "payload": JOBS[0]}
    lines = [header, record] if recording else [record]
    (tmp_path / "one.ndjson").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    done = pulsekit(
        *("run", "--job", "one.ndjson", "-e", "exchange/me/x", "-d", "treeherder", "--", "echo", "ran"),
        folder=tmp_path,
        url=NO_BROKER,
    )
    assert (done.status, done.out) == (0, "ran\n")


@pytest.mark.usefixtures("job_file")
async def test_a_job_that_no_queue_receives_is_a_warning(user: PulseUser, exchange: str, tmp_path: Path) -> None:
    done = pulsekit("run", "-e", exchange, "-d", "treeherder", "--", "true", folder=tmp_path, url=user.url)
    assert done.status == 0
    assert "no queue is bound to this key" in done.err


@pytest.mark.usefixtures("job_file")
async def test_a_destination_that_no_queue_receives_does_not_stop_the_next_one(
    user: PulseUser, exchange: str, jobs: library.Consumer, tmp_path: Path
) -> None:
    destinations = ("-d", "nowhere", "-d", "treeherder")
    done = pulsekit("run", "-e", exchange, *destinations, "--", "true", folder=tmp_path, url=user.url)
    assert done.status == 0
    assert "with key 'nowhere." in done.err
    await jobs.drain()
    states = [message.payload["state"] async for message in jobs]
    assert states == ["pending", "running", "completed"]


@pytest.mark.usefixtures("job_file")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--unset", "display.jobName"), "jobName"),
        (("--set", "jobKind=nonsense"), "jobKind"),
        (("--job", "missing.yml"), "missing.yml"),
        (("-d", ""), "destination"),
        (("--job", "record.json"), "record.json:1:32: payload: `cc` of a record must be a list"),
    ],
)
def test_an_invalid_job_is_an_error_before_the_command_runs(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    (tmp_path / "record.json").write_text('{"routing_key": "", "payload": {}, "cc": 5}')
    to = ("-e", "exchange/me/x", *(() if "-d" in arguments else ("-d", "treeherder")))
    done = pulsekit("run", *to, *arguments, "--", "echo", "ran", folder=tmp_path, url=NO_BROKER)
    assert done.status in {2, 74}
    assert words in done.err
    assert "ran" not in done.out
