from __future__ import annotations

import copy
import json
import pickle
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pulsekit.catalogue import find_exchange, full_name
from pulsekit.errors import InvalidName
from pulsekit.messages import Message
from pulsekit.records.expressions import Filter
from pulsekit.records.record import message_record, read_record, record_line

if TYPE_CHECKING:
    from pathlib import Path

FAILED = "exchange/taskcluster-queue/v1/task-failed"
TASK, GROUP = "fN1SbArXTPSVFNUvaOlinQ", "XrWNyFwpT2in-wLY9frb-w"
KEY = f"primary.{TASK}.0._._.gecko-t.t-linux.gecko-level-3.{GROUP}._"
FIELDS = {
    "taskId": TASK,
    "runId": "0",
    "provisionerId": "gecko-t",
    "workerType": "t-linux",
    "schedulerId": "gecko-level-3",
    "taskGroupId": GROUP,
}


def message(exchange: str, key: str) -> Message:
    return Message(exchange=exchange, routing_key=key, body=b"{}", received=datetime.now(UTC))


def test_a_message_has_the_fields_of_its_key_by_name() -> None:
    key = message(FAILED, KEY).key
    assert (key.taskId, key["taskGroupId"], key.workerId) == (TASK, GROUP, None)
    assert dict(key) == FIELDS
    assert "workerId" not in key
    with pytest.raises(AttributeError, match=r"have no field 'taskID'; the fields are routingKeyKind, taskId, runId"):
        _ = key.taskID


def test_a_key_can_be_copied_and_pickled() -> None:
    key = message(FAILED, KEY).key
    for other in (copy.copy(key), copy.deepcopy(key), pickle.loads(pickle.dumps(key))):
        assert other == key == FIELDS
        assert other.workerId is None


def test_the_key_of_an_unknown_exchange_has_no_fields() -> None:
    key = message("exchange/me/v1/jobs", KEY).key
    assert not key
    with pytest.raises(AttributeError, match="exchange/me/v1/jobs is not in the catalogue of exchanges"):
        _ = key.taskId


def test_a_key_of_another_form_has_no_values() -> None:
    for other in ("", "primary", "secondary" + KEY.removeprefix("primary"), KEY.removesuffix("._")):
        found = message(FAILED, other)
        assert not found.key
        assert found.key.taskId is None
        assert "key" not in message_record(found)


@pytest.mark.parametrize(
    ("exchange", "key", "fields"),
    [
        (FAILED, f"{KEY.removesuffix('_')}a.b.c", FIELDS | {"reserved": "a.b.c"}),
        ("exchange/hgpushes/v1", "integration/autoland", {"repository": "integration/autoland"}),
        ("exchange/hgpushes/v1", "releases/mozilla-esr1.2", {"repository": "releases/mozilla-esr1.2"}),
        ("exchange/taskcluster-auth/v1/client-created", "_", {}),
        (
            "exchange/taskcluster-github/v1/push",
            "primary.mozilla.mozilla%github%io",
            {"organization": "mozilla", "repository": "mozilla.github.io"},
        ),
        (
            "exchange/github-webhooks/v1",
            "mozilla/mozilla.github.io/push",
            {"organization": "mozilla", "repository": "mozilla.github.io", "event": "push"},
        ),
        (
            "exchange/taskcluster-treeherder/v1/jobs",
            "treeherder.mozilla-inbound._",
            {"destination": "treeherder", "project": "mozilla-inbound"},
        ),
    ],
)
def test_records_of_known_exchanges_have_the_fields_of_their_key(
    exchange: str, key: str, fields: dict[str, str]
) -> None:
    found = message(exchange, key)
    assert message_record(found)["key"] == fields
    line = json.loads(record_line(found))
    assert line["key"] == fields
    assert read_record(line).routing_key == key


def test_a_filter_selects_by_the_fields_of_the_key() -> None:
    chosen = Filter(f"key.taskGroupId == '{GROUP}'")
    assert chosen.matches(message_record(message(FAILED, KEY)))
    assert not chosen.matches(message_record(message(FAILED, KEY.replace(GROUP, TASK))))
    assert not chosen.matches(message_record(message("exchange/me/v1/jobs", KEY)))


def test_records_of_other_exchanges_do_not_change() -> None:
    assert "key" not in message_record(message("exchange/me/v1/jobs", KEY))
    assert "key" not in message_record(message("task-failed", KEY)), "an alias is no name on a broker"


def test_real_keys_fit_the_catalogue(corpus: Path) -> None:
    for line in (corpus / "pulse-messages.ndjson").read_bytes().splitlines():
        record = json.loads(line)
        known = find_exchange(record["exchange"])
        assert known
        fields = known.read_key(record["routing_key"])
        assert fields
        assert fields["taskId"] == record["payload"]["status"]["taskId"]
        words = record["routing_key"].split(".")
        assert not [field for field, word in zip(known.fields, words, strict=True) if field.refusal(word)]


@pytest.mark.parametrize("name", ["task-failed", "taskcluster-queue/v1/task-failed", FAILED])
def test_an_exchange_is_found_by_its_short_names(name: str) -> None:
    assert full_name(name) == FAILED


def test_a_misspelt_short_name_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(InvalidName, match="did you mean 'task-failed'"):
        full_name("task-faild")
    with pytest.raises(InvalidName, match="did you mean 'taskcluster-queue/v1/task-completed'"):
        full_name("taskcluster-queue/v1/task-complete")
    assert full_name("me/v1/jobs") == "me/v1/jobs"


def test_the_catalogue_is_not_loaded_before_it_is_needed(tmp_path: Path) -> None:
    import subprocess

    from support.command import environment

    job = tmp_path / "job.json"
    job.write_text("{}")
    for arguments in (["--help"], ["match", "a.b", "-b", "a.#"], ["validate", str(job)]):
        code = f"import sys; from pulsekit.cli import app\ntry: app.run({arguments})\nexcept BaseException: pass\n"
        code += "print([name for name in sys.modules if 'catalogue' in name], file=sys.stderr)"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(tmp_path),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr.splitlines()[-1] == "[]", arguments
