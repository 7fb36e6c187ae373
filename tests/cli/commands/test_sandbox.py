from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from support.command import environment, pulsekit, start
from support.raw_client import connect
from support.samples import JOBS

import pulsekit as library

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXCHANGE = "exchange/me/v1/jobs"
PROJECT = JOBS[0]["origin"]["project"]


def url_of(sandbox: subprocess.Popen[str]) -> str:
    """Read the first line that a sandbox prints."""
    assert sandbox.stdout is not None
    line = sandbox.stdout.readline()
    assert line.startswith("PULSE_URL=amqp://")
    return line.strip().partition("=")[2]


def words(sandbox: subprocess.Popen[str]) -> str:
    """Read the next line on stderr."""
    assert sandbox.stderr is not None
    return sandbox.stderr.readline()


@pytest.mark.parametrize(("end", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_a_sandbox_prints_its_url_and_events_until_it_is_stopped(
    end: signal.Signals, status: int, tmp_path: Path
) -> None:
    with start("sandbox", "--port", "0", "-v", folder=tmp_path) as sandbox:
        async with library.connect(url_of(sandbox)) as pulse:
            await pulse.publisher(EXCHANGE).publish({}, "k")
        sandbox.send_signal(end)
        out, err = sandbox.communicate()
    assert sandbox.returncode == status
    assert f"exchange-declared  me  {EXCHANGE}" in out
    assert "k" in next(line for line in out.splitlines() if line.startswith("returned"))
    assert err == ""


def test_a_command_runs_inside_with_its_url_and_its_own_status(tmp_path: Path) -> None:
    script = "import os, sys; print(os.environ['PULSE_URL']); sys.exit(7)"
    done = pulsekit("sandbox", "--port", "0", "--user", "ci", "--", sys.executable, "-c", script, folder=tmp_path)
    assert done.status == 7
    first, second = done.out.splitlines()
    assert first == f"PULSE_URL={second}"
    assert second.startswith("amqp://ci:")


def test_sigterm_ends_the_command_inside(tmp_path: Path) -> None:
    script = "trap 'echo ended; exit 5' TERM; echo began; read line"
    command = ("sandbox", "--port", "0", "--", "sh", "-c", script)
    with start(*command, folder=tmp_path, stdin=subprocess.PIPE) as sandbox:
        url_of(sandbox)
        assert sandbox.stdout is not None
        assert sandbox.stdout.readline() == "began\n"
        sandbox.send_signal(signal.SIGTERM)
        assert sandbox.wait(timeout=40) == 5
        assert sandbox.stdout.read() == "ended\n"


def test_a_command_that_cannot_be_run_is_reported(tmp_path: Path) -> None:
    done = pulsekit("sandbox", "--port", "0", "--", "no-such-command", folder=tmp_path)
    assert done.status == 2
    assert "no-such-command" in done.err


def test_the_stand_in_prints_what_it_stores_and_drops(tmp_path: Path) -> None:
    registration = {"exchange": EXCHANGE, "destinations": ["treeherder"], "projects": [f"{PROJECT}._"]}
    (tmp_path / "registration.json").write_text(json.dumps(registration))
    with start("sandbox", "--port", "0", "--registration", "registration.json", folder=tmp_path) as sandbox:
        url = url_of(sandbox)
        assert words(sandbox).startswith(f"treeherder is bound with {EXCHANGE}:treeherder.{PROJECT}._")
        jobs = [JOBS[0], JOBS[0] | {"tier": 9}]
        done = pulsekit(
            "publish",
            "--no-schema",
            "--exchange",
            EXCHANGE,
            "-d",
            "treeherder",
            folder=tmp_path,
            url=url,
            given=json.dumps(jobs),
        )
        assert done.status == 0
        assert "treeherder: stored" in words(sandbox)
        dropped = words(sandbox)
        sandbox.terminate()
        sandbox.communicate()
    assert "treeherder: dropped" in dropped
    assert "/tier" in dropped


def test_the_stand_in_judges_messages_about_tasks_and_pushes(tmp_path: Path) -> None:
    slug = "DF9vTi-OTBudejtvDR4qTA"
    task = {"routes": ["tc-treeherder.v2.autoland.abc"], "extra": {}}
    (tmp_path / "graph.json").write_text(json.dumps({slug: {"label": "build", "task": task}}))
    runs = [{"runId": 0, "state": "running", "reasonCreated": "scheduled"}]
    message = {"status": {"taskId": slug, "runs": runs}, "runId": 0}
    other = {"status": {"taskId": "XrWNyFwpT2in-wLY9frb-w", "runs": runs}, "runId": 0}
    push = {"payload": {"repo_url": "https://hg.example.com/try", "pushlog_pushes": []}}
    sent = [("taskcluster-queue/v1/task-running", message), ("taskcluster-queue/v1/task-running", other)]
    with start("sandbox", "--port", "0", "--treeherder", "--task", "graph.json", folder=tmp_path) as sandbox:
        url = url_of(sandbox)
        assert "exchange/taskcluster-queue/v1/task-exception:#, exchange/hgpushes/v1:#" in words(sandbox)
        for exchange, payload in [*sent, ("hgpushes/v1", push)]:
            options = ("--no-schema", "-e", f"exchange/{exchange}", "-k", "a.b")
            user, _, rest = url.removeprefix("amqp://").partition("@")
            assert user
            login = f"amqp://{exchange.partition('/')[0]}:x@{rest}"
            done = pulsekit("publish", *options, folder=tmp_path, url=login, given=json.dumps(payload))
            assert done.status == 0, done.err
        found = [words(sandbox) for _ in range(3)]
        sandbox.terminate()
        sandbox.communicate()
    assert "dropped" in found[0]
    assert "extra.treeherder is missing" in found[0]
    assert "unknown" in found[1]
    assert "definition of the task is unknown" in found[1]
    assert "dropped" in found[2]
    assert "list of pushes is empty" in found[2]


def test_options_of_the_stand_in_need_it(tmp_path: Path) -> None:
    done = pulsekit("sandbox", "--port", "0", "--ingest", "try", folder=tmp_path)
    assert done.status == 2
    assert "--treeherder" in done.err


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
async def test_a_recording_is_published_once_a_queue_is_bound(
    compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    records = [{"exchange": EXCHANGE, "routing_key": f"k.{number}", "payload": {"n": number}} for number in range(3)]
    (tmp_path / "seed").write_bytes(compress("".join(json.dumps(record) + "\n" for record in records).encode()))
    with start("sandbox", "--port", "0", "--seed", "seed", folder=tmp_path) as sandbox:
        async with library.connect(url_of(sandbox)) as pulse, pulse.subscribe(EXCHANGE) as messages:
            got = [await anext(messages) for _ in range(3)]
            assert [(message.routing_key, message.payload["n"]) for message in got] == [
                ("k.0", 0),
                ("k.1", 1),
                ("k.2", 2),
            ]
        sandbox.terminate()
        sandbox.communicate()


async def test_faults_can_be_injected(tmp_path: Path) -> None:
    with start("sandbox", "--port", "0", "--fault", "refuse", "--fault", "latency=1ms", folder=tmp_path) as sandbox:
        async with library.connect(url_of(sandbox)) as pulse:
            with pytest.raises(library.OutcomeUnknown, match="negative confirm"):
                await pulse.publisher(EXCHANGE).publish({}, "k")
        sandbox.terminate()
        sandbox.communicate()


async def test_dropped_connections_reconnect(tmp_path: Path) -> None:
    with start("sandbox", "--port", "0", "--fault", "drop=300ms", folder=tmp_path) as sandbox:
        async with library.connect(url_of(sandbox)) as pulse:
            publisher = pulse.publisher(EXCHANGE)
            await publisher.publish({}, "k")
            assert words(sandbox) == "closed 1 connection\n"
            await publisher.publish({}, "k")
        sandbox.terminate()
        sandbox.communicate()


@pytest.mark.parametrize(("options", "version"), [((), "3.10.8"), (("--rabbitmq", "4"), "4.0.5")])
async def test_it_answers_as_the_requested_rabbitmq(options: tuple[str, ...], version: str, tmp_path: Path) -> None:
    with start("sandbox", "--port", "0", *options, folder=tmp_path) as sandbox:
        url = urlsplit(url_of(sandbox))
        async with connect(url.hostname or "", url.port or 0) as wire:
            wire.raw(b"AMQP\x00\x00\x09\x01")
            assert (await wire.next()).server_properties["version"] == version
        sandbox.terminate()
        sandbox.communicate()


@pytest.mark.parametrize(
    ("arguments", "status", "hint"),
    [
        (["--rabbitmq", "5"], 2, "--rabbitmq"),
        (["--host", "0.0.0.0"], 2, "password"),
        (["--fault", "gravity"], 2, "latency=200ms"),
        (["--fault", "latency"], 2, "latency=200ms"),
        (["--seed", "missing.ndjson"], 74, "missing.ndjson"),
        (["--registration", "missing.json"], 74, "missing.json"),
        (["--warn", "10", "--delete", "5"], 2, "--warn 10 is above --delete 5"),
        (["--fault", "drop=0"], 2, "--fault drop=0: '0' is not a duration"),
        (["--user", "a/b"], 2, "is not a Pulse user name"),
        (["--user", ""], 2, "it is empty"),
        (["--port", "99999"], 2, "--port"),
    ],
)
def test_a_sandbox_that_cannot_start_reports_the_reason(
    arguments: list[str], status: int, hint: str, tmp_path: Path
) -> None:
    done = pulsekit("sandbox", *arguments, folder=tmp_path)
    assert done.status == status
    assert hint in done.err


def test_a_seed_that_is_no_recording_is_reported_with_its_line(tmp_path: Path) -> None:
    record = {"exchange": "exchange/me/x", "routing_key": "a", "payload": {}, "headers": []}
    (tmp_path / "seed.ndjson").write_text(f"\n{json.dumps(record)}\n")
    done = pulsekit("sandbox", "--port", "0", "--seed", "seed.ndjson", "--", "true", folder=tmp_path)
    assert done.status == 1
    assert done.err.startswith("error: seed.ndjson:2: `headers` and `properties` of a record must be objects")


def test_a_port_in_use_is_reported(tmp_path: Path) -> None:
    with start("sandbox", "--port", "0", folder=tmp_path) as sandbox:
        port = url_of(sandbox).rpartition(":")[2].rstrip("/")
        done = pulsekit("sandbox", "--port", port, folder=tmp_path)
        sandbox.terminate()
        sandbox.communicate()
    assert done.status == 2
    assert port in done.err
    assert "--port 0" in done.err


def test_the_demo_is_plain_text_in_a_pipe(tmp_path: Path) -> None:
    done = pulsekit("demo", folder=tmp_path)
    assert done.status == 0
    assert done.err == ""
    assert "\x1b" not in done.out
    for part in (
        "PULSE_URL=amqp://me:",
        "staging.autoland._",
        "confirmed  treeherder.mozilla-inbound._",
        'did you mean "completed"?',
        "pattern has 'mozilla-inbound', key has 'mozilla-central'",
        '"version" is missing',
        "3 stored, 1 dropped",
        "pulsekit sandbox -v",
    ):
        assert part in done.out


def test_in_ci_no_sandbox_is_looked_for(tmp_path: Path) -> None:
    assert environment(tmp_path)["CI"] == "true"
    done = pulsekit("exchange", "check", EXCHANGE, folder=tmp_path)
    assert done.status == 2
    assert "PULSE_URL" in done.err
    assert "pulsekit sandbox" in done.err


@pytest.mark.parametrize(
    ("option", "content"), [("--password-file", "pa:ss/w0rd\n"), ("--users", "me: 'pa:ss/w0rd'\n")]
)
async def test_a_password_file_sets_the_password_without_printing_it(option: str, content: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(content)
    script = "import os, pathlib; pathlib.Path('given').write_text(os.environ['PULSE_URL'])"
    arguments = ("sandbox", "-v", "--port", "0", option, "secret", "--", sys.executable, "-c", script)
    done = pulsekit(*arguments, folder=tmp_path)
    assert done.status == 0
    shown = done.out.splitlines()[0].partition("=")[2]
    assert shown.startswith("amqp://me@127.0.0.1:")
    assert "PULSE_PASSWORD" in done.err
    assert "w0rd" not in done.out + done.err
    assert (tmp_path / "given").read_text() == shown.replace("me@", "me:pa%3Ass%2Fw0rd@")


async def test_a_file_of_users_need_not_contain_the_internal_users(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann: 'secret'\n")
    registration = {"exchange": EXCHANGE, "destinations": ["treeherder"], "projects": [f"{PROJECT}._"]}
    (tmp_path / "registration.json").write_text(json.dumps(registration))
    records = [{"exchange": f"exchange/{user}/v1/jobs", "routing_key": "k", "payload": {}} for user in ("bob", "guest")]
    (tmp_path / "seed.ndjson").write_text("".join(json.dumps(record) + "\n" for record in records))
    options = ("--users", "users", "--registration", "registration.json", "--seed", "seed.ndjson")
    with start("sandbox", "--port", "0", *options, folder=tmp_path) as sandbox:
        url = url_of(sandbox)
        assert url.startswith("amqp://ann@")  # the first of the file
        assert "treeherder is bound" in words(sandbox)
        async with (
            library.connect(url.replace("ann@", "ann:secret@")) as pulse,
            pulse.subscribe("exchange/bob/v1/jobs") as messages,
        ):
            assert (await anext(messages)).routing_key == "k"
        async with library.connect(url.replace("ann@", "guest:guest@")) as guest:
            await guest.create_exchange("exchange/ann/x")
        for stranger in ("treeherder", "bob", "me"):
            async with library.connect(url.replace("ann@", f"{stranger}:sandbox@")) as pulse:
                with pytest.raises(library.LoginRefused):
                    await pulse.create_exchange(f"exchange/{stranger}/x")
        sandbox.terminate()
        sandbox.communicate()


def test_a_user_that_may_not_log_in_is_refused_for_the_url(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann: 'secret'\n")
    done = pulsekit("sandbox", "--port", "0", "--users", "users", "--user", "eve", folder=tmp_path)
    assert done.status == 2
    assert "--user eve" in done.err


def test_the_printed_url_works_with_the_separate_password(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("pa:ss/w0rd\n")
    with start("sandbox", "--port", "0", "--password-file", "secret", folder=tmp_path) as sandbox:
        url = url_of(sandbox)
        right, wrong = (
            pulsekit("exchange", "create", EXCHANGE, folder=tmp_path, url=url, extra={"PULSE_PASSWORD": password})
            for password in ("pa:ss/w0rd", "another")
        )
        sandbox.terminate()
        sandbox.communicate()
    assert right.status == 0
    assert wrong.status == 5


@pytest.mark.parametrize(
    ("option", "content"),
    [
        ("--users", b"me: *s3cr3t\n"),
        ("--users", b"me: [s3cr3t]\n"),
        ("--users", b"- s3cr3t\n"),
        ("--password-file", b"s3cr3t\xff\n"),
        ("--password-file", b"\ns3cr3t\n"),
    ],
)
def test_an_unreadable_password_file_is_not_quoted(option: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(content)
    done = pulsekit("sandbox", option, "secret", folder=tmp_path)
    assert done.status == 2
    assert "secret" in done.err
    assert "s3cr3t" not in done.out + done.err
