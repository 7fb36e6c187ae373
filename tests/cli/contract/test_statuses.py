"""The table of exit codes: a call that causes each of them, for every command that can."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.command import environment

from pulsekit.cli.app import _COMMANDS
from pulsekit.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from cli.contract.conftest import Place

TABLE: dict[int, list[str]] = {
    0: [
        "match treeherder.mozilla-inbound._",
        "bindings registration.yml",
        "bindings registration.yml --diff many.yml",
        "register -e {exchange} -d treeherder -p autoland._",
        "validate job.yml",
        "preview job.yml",
        "hook hook.json --messages hooked.json --expect 1",
        "completion bash",
        "help rules",
        "exchange create {lonely}",
        "exchange check {exchange}",
        "publish job.yml --exchange {exchange} -d treeherder",
        "run -e {exchange} -d treeherder -- true",
        "publish job.yml --exchange {exchange} -d treeherder --dry-run",
        "tail {exchange} --for 100ms",
        "consume listener:on_message {exchange} -n 1 --for 100ms",
        "consume listener.py:on_message --from recording.ndjson -n 3",
        "replay recording.ndjson --exchange {exchange} -n 3",
        "replay recording.ndjson --exchange {exchange} --dry-run",
        "queue show {queue}",
        "queue peek {queue} -n 2",
        "doctor --exchange {exchange}",
        "sandbox --port 0 -- true",
        "demo",
    ],
    1: [
        "match nobody.takes.this",
        "bindings useless.yml --lint",
        "bindings broken.yml",
        "register -e {exchange} -d treeherder -p moz-*._",
        "validate broken.yml",
        "preview broken.yml",
        "hook hook.json --messages hooked.json --expect 2",
        "hook broken.yml",
        "publish broken.yml --exchange {exchange} -d treeherder",
        "publish broken.yml --exchange {exchange} -d treeherder --dry-run",
        "replay damaged.ndjson --exchange {exchange}",
        "sandbox --port 0 --registration broken.yml",
        "sandbox --port 0 --seed damaged.ndjson",
        "run -e {exchange} -d treeherder -- false",
        "sandbox --port 0 -- false",
        "consume listener:on_message --from damaged.ndjson",
    ],
    2: [
        "validate --nonsense",
        "preview",
        "demo nonsense",
        "match",
        "bindings",
        "register -d treeherder",
        "exchange create {queue}",
        "publish job.yml",
        "run -- true",
        "tail nonsense",
        "inspector nonsense",
        "inspector recording.ndjson {exchange}",
        "consume listener:on_message",
        "consume listener:nonsense {exchange}",
        "consume listener:worker {exchange}",
        "queue show {exchange}",
        "queue take {queue} --quiet",
        "tail {queue}",
        "queue purge {queue}",
        "replay recording.ndjson",
        "doctor --url amqp://me:secret@example.com/",
        "sandbox --fault gravity",
        "why nonsense",
        "hook hook.json --hook nonsense",
        "hook hook.json --expect 1",
        "validate --schema nonsense job.yml",
        "init --exchange nonsense",
        "completion tcsh",
    ],
    3: [
        "publish job.yml --exchange {lonely} -d treeherder --require-route",
        "publish mixed.ndjson --exchange {exchange} -d treeherder --keep-going",
        "replay recording.ndjson --exchange {lonely} -n 2 --require-route",
        "consume listener:rejects --from recording.ndjson -n 3",
    ],
    4: [
        "exchange check {exchange} --url {unreachable}",
        "tail {exchange} --url {unreachable}",
        "inspector {exchange} --url {unreachable}",
        "inspector --url {unreachable}",
        "consume listener:on_message {exchange} --url {unreachable}",
        "queue show {queue} --url {unreachable}",
        "doctor --url {unreachable}",
        "publish job.yml --exchange {exchange} -d treeherder --url {unreachable} --timeout 40s",
        "replay recording.ndjson --exchange {exchange} --url {unreachable} --timeout 40s",
    ],
    5: [
        "exchange check exchange/somebody/v1/none",
        "exchange create exchange/somebody/v1/none",
        "tail exchange/somebody/v1/none",
        "inspector exchange/somebody/v1/none",
        "consume listener:on_message exchange/somebody/v1/none",
        "consume listener:on_message --queue {queue}.none --existing",
        "publish job.yml --exchange exchange/somebody/v1/none -d treeherder",
        "replay recording.ndjson --exchange exchange/somebody/v1/none",
        "queue show {queue}.none",
        "queue peek {queue}.none",
        "queue take {queue}.none",
        "queue purge {queue}.none --yes",
        "queue delete {queue}.none --yes",
        "doctor --exchange exchange/somebody/v1/none",
    ],
    74: [
        "bindings none.yml",
        "validate none.yml",
        "preview none.yml",
        "hook none.json",
        "why none.json",
        "publish none.yml --exchange {exchange} -d treeherder",
        "replay none.ndjson --exchange {exchange}",
        "inspector none.ndjson",
        "consume listener:on_message --from none.ndjson",
        "run --job none.yml -e {exchange} -d treeherder -- true",
        "tail {exchange} --save none/none.ndjson",
        "queue take {queue} --save none/none.ndjson",
        "sandbox --port 0 --registration none.yml",
    ],
}
# Caused by a signal, a pipe or a bug, and not by arguments: see the test of each.
BY_EVENT = {
    ExitCode.BUG: "test_a_bug_is_reported_in_one_line",
    ExitCode.INTERRUPTED: "test_signals.py",
    ExitCode.CLOSED_PIPE: "test_pipes.py",
}
CASES = [pytest.param(code, line, id=f"{code}-{line}") for code, lines in TABLE.items() for line in lines]


@pytest.mark.parametrize(("code", "line"), CASES)
def test_a_command_exits_with_the_code_of_the_table(place: Place, code: int, line: str) -> None:
    done = place.run(line)
    assert done.status == code, done.err
    assert place.password not in done.out + done.err
    assert "\x1b" not in done.out + done.err
    if code in {2, 4, 5, 74} and "doctor" not in line:
        assert done.err.count("error: ") == 1 or "does not exist" in done.err
        assert done.out == ""


def test_the_table_has_every_status_and_every_command() -> None:
    assert set(TABLE) | set(BY_EVENT) == set(ExitCode)
    assert {line.split()[0] for lines in TABLE.values() for line in lines} == set(_COMMANDS)


def test_a_bug_is_reported_in_one_line(place: Place) -> None:
    broken = "import sys; import pulsekit.cli.commands.match as m; m._judge = None"
    script = f"{broken}; from pulsekit.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "match", "a"],
        env=environment(place.folder, place.url), cwd=place.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == ExitCode.BUG
    assert "this is a bug in pulsekit" in done.stderr
    assert "Traceback" not in done.stderr
