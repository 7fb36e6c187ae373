"""The verdict on a job, compared with kombu for bodies, and with jsonschema and dateutil for the loader."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import warnings
import zlib
from contextlib import suppress
from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime
from typing import Any

import jsonschema
import pytest
from dateutil import parser
from hypothesis import given
from hypothesis import strategies as st
from kombu.message import Message as KombuMessage
from support.samples import COMPLETED, JOBS, PENDING, SCHEMA, mutated

from pulsekit import Message, Properties
from pulsekit._documents import bodies as bodies_module
from pulsekit.bindings.registration import Rule
from pulsekit.records.record import Record, message_record, read_record
from pulsekit.schemas.schema import load_schema
from pulsekit.treeherder import Context, Judge, Severity, judge, preview_job

LONG = (pytest.mark.slow, pytest.mark.timeout(900))
TODAY = date(2026, 11, 29)
BODY = json.dumps(COMPLETED).encode()
ACCENTED = COMPLETED | {"reason": "café"}
JSON = "application/json"


def message(body: bytes = BODY, headers: dict[str, Any] | None = None, **properties: Any) -> Message:
    return Message(
        exchange="exchange/me/v1/jobs",
        routing_key="treeherder.mozilla-central._",
        body=body,
        received=datetime(2026, 11, 29, tzinfo=UTC),
        headers=headers,
        properties=Properties(**properties),
    )


def loader(payload: Any) -> str:
    """Return what Treeherder's loader does with a payload from kombu: owner, schema, then the times."""
    if not isinstance(payload, dict) or "owner" not in payload:
        return "dropped"
    owner = payload["owner"]
    if isinstance(owner, str) and len(owner) > 50:
        payload = payload | {"owner": owner[:49]}
    if not jsonschema.Draft6Validator(SCHEMA).is_valid(payload):
        return "dropped"
    for name in ("timeScheduled", "timeStarted", "timeCompleted"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                parser.parse(payload.get(name, "2026-11-23"), default=datetime(2026, 11, 29)).utctimetuple()  # noqa: DTZ001
            except (ValueError, OverflowError):
                return "dropped"
    return "stored"


def kombu(sent: Message) -> Any:
    """Return the payload that kombu passes to Treeherder for a message, or None if it cannot."""
    body: Any = sent.body
    properties, known = sent.properties, {}
    if properties.content_encoding is not None:  # see `dispatch_method` of py-amqp
        known["content_encoding"] = properties.content_encoding
        with suppress(Exception):
            body = body.decode(properties.content_encoding)
    received = KombuMessage(body, content_type=properties.content_type, headers=dict(sent.headers), **known)
    try:
        return received._reraise_error() if received.errors else received.payload
    except Exception:  # noqa: BLE001 - Treeherder acknowledges the message after any exception
        return None


# messages

MESSAGES = {
    "json": message(content_type=JSON),
    "none": message(),
    "empty": message(content_type=""),
    "text/plain": message(content_type="text/plain"),
    "text/json": message(content_type="text/json"),
    "charset": message(content_type="application/json; charset=utf-8"),
    "case": message(content_type="Application/JSON"),
    "yaml": message(content_type="application/x-yaml"),
    "utf-8": message(content_type=JSON, content_encoding="utf-8"),
    "utf-8 capital": message(
        json.dumps(ACCENTED, ensure_ascii=False).encode(), content_type=JSON, content_encoding="UTF8"
    ),
    "latin-1": message(
        json.dumps(ACCENTED, ensure_ascii=False).encode("latin-1"), content_type=JSON, content_encoding="latin-1"
    ),
    "latin-1 not named": message(json.dumps(ACCENTED, ensure_ascii=False).encode("latin-1"), content_type=JSON),
    "utf-16": message(json.dumps(COMPLETED).encode("utf-16"), content_type=JSON, content_encoding="utf-16"),
    "encoding gzip": message(gzip.compress(BODY), content_type=JSON, content_encoding="gzip"),
    "encoding binary": message(content_type=JSON, content_encoding="binary"),
    "encoding unknown": message(content_type=JSON, content_encoding="no-such\0"),
    "zlib as gzip": message(zlib.compress(BODY), {"compression": "gzip"}, content_type=JSON),
    "as kombu": message(
        zlib.compress(BODY), {"compression": "application/x-gzip"}, content_type=JSON, content_encoding="utf-8"
    ),
    "gzip file": message(gzip.compress(BODY), {"compression": "gzip"}, content_type=JSON),
    "zlib and latin-1": message(
        zlib.compress(BODY), {"compression": "gzip"}, content_type=JSON, content_encoding="latin-1"
    ),
    "truncated": message(zlib.compress(BODY)[:-8], {"compression": "zlib"}, content_type=JSON),
    "not compressed": message(BODY, {"compression": "gzip"}, content_type=JSON),
    "bzip2": message(bz2.compress(BODY), {"compression": "bzip2"}, content_type=JSON),
    "xz": message(lzma.compress(BODY), {"compression": "xz"}, content_type=JSON),
    "compression unknown": message(BODY, {"compression": "snappy"}, content_type=JSON),
    "compression a number": message(BODY, {"compression": 7}, content_type=JSON),
    "compression empty": message(BODY, {"compression": ""}, content_type=JSON),
    "byte order mark": message(b"\xef\xbb\xbf" + BODY, content_type=JSON),
    "byte order mark named": message(b"\xef\xbb\xbf" + BODY, content_type=JSON, content_encoding="utf-8-sig"),
    "nothing": message(b"", content_type=JSON),
    "not JSON": message(BODY[:-1], content_type=JSON),
    "a list": message(b"[" + BODY + b"]", content_type=JSON),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_read_as_kombu_reads_it(name: str) -> None:
    sent = MESSAGES[name]
    read = kombu(sent)
    expected = loader(read)
    verdict = judge(sent)
    assert verdict.outcome == expected
    assert bool(verdict.reasons) is (expected == "dropped")
    record = read_record(message_record(sent, exact=True))
    assert judge(record).outcome == expected


def test_kombu_accepts_some_of_these_and_refuses_others() -> None:
    stored = {name for name, sent in MESSAGES.items() if loader(kombu(sent)) == "stored"}
    assert {"json", "latin-1", "zlib as gzip", "encoding binary", "bzip2", "xz"} <= stored
    assert {"none", "text/json", "charset", "gzip file", "byte order mark"}.isdisjoint(stored)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json; charset=utf-8"])
def test_a_content_type_that_drops_a_job_is_reported(content_type: str) -> None:
    verdict = judge(message(content_type=content_type or None))
    (found,) = [one for one in verdict.findings if one.severity is Severity.DROPPED]
    assert found.rule == "content-type"
    assert content_type in found.message
    assert not verdict.problems


def test_an_unknown_content_type_is_an_assumption() -> None:
    assert judge(BODY).outcome == judge(COMPLETED).outcome == "stored"
    assert [one for one in judge(BODY).assumptions if "application/json" in one]
    assert judge(message(content_type=JSON)).assumptions == (
        "the push of origin.revision exists",
        "origin.project is an active repository",
    )


def test_a_record_written_by_hand_needs_no_content_type() -> None:
    by_hand = read_record({"routing_key": "treeherder.mozilla-central._", "payload": COMPLETED})
    assert judge(by_hand).outcome == "stored"
    of_a_delivery = read_record(message_record(message()))
    assert isinstance(of_a_delivery, Record)
    assert judge(of_a_delivery).outcome == "dropped"


def test_a_body_is_decompressed_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies_module, "_MOST", len(BODY) - 1)
    verdict = judge(message(zlib.compress(BODY), {"compression": "gzip"}, content_type=JSON))
    assert (verdict.outcome, verdict.problems[0].rule) == ("unknown", "size")


def test_the_key_of_a_message_is_checked() -> None:
    sent = message(content_type=JSON)
    assert judge(sent).findings == judge(COMPLETED).findings
    sent.routing_key = "treeherder.try._"
    assert "key-mismatch" in {found.rule for found in judge(sent).findings}


# the loader


@pytest.mark.parametrize(
    ("change", "outcome", "rule"),
    [
        ({"owner": "o" * 52}, "stored", "owner-long"),
        ({"owner": "o" * 51}, "stored", "owner-long"),
        ({"timeStarted": "10:00"}, "stored", "time-incomplete"),
        ({"timeStarted": "Monday"}, "stored", "time-incomplete"),
        ({"timeStarted": "2025"}, "stored", "time-incomplete"),
        ({"timeStarted": "-1"}, "stored", "time-incomplete"),
        ({"timeStarted": "2026-11-23T18:00:00"}, "stored", "time-zone-missing"),
        ({"timeStarted": "2026-11-23T24:00:00Z"}, "dropped", "time-unreadable"),
        ({"timeStarted": "soon"}, "dropped", "time-unreadable"),
    ],
)
def test_the_loader_does_more_than_the_schema(change: dict[str, Any], outcome: str, rule: str) -> None:
    verdict = judge(COMPLETED | change, context=Context(today=TODAY))
    assert (verdict.outcome, verdict.problems) == (outcome, ())
    (found,) = [one for one in verdict.findings if one.rule == rule]
    severities = {"owner-long": "cosmetic", "time-incomplete": "wrong", "time-zone-missing": "cosmetic"}
    assert found.severity == severities.get(rule, "dropped")
    assert found.pointer == f"/{next(iter(change))}"


def test_a_job_without_owner_is_dropped_whether_it_is_valid_or_not() -> None:
    job = {name: value for name, value in COMPLETED.items() if name != "owner"}
    assert [one.rule for one in judge(job).reasons] == ["owner-missing"]
    assert [one.rule for one in judge(job | {"tier": 7}).reasons] == ["maximum", "owner-missing"]
    assert judge(job).job is None


def test_missing_parts_of_a_time_are_those_of_today() -> None:
    job = judge(COMPLETED | {"timeStarted": "10:00"}, context=Context(today=TODAY)).job
    assert job is not None
    assert job["job"]["start_timestamp"] == 1795946400  # date -ud '2026-11-29 10:00' +%s


def test_the_job_of_a_verdict_is_its_preview() -> None:
    verdict = judge(COMPLETED | {"owner": "o" * 60})
    assert verdict.job == preview_job(COMPLETED | {"owner": "o" * 49})
    assert judge(message(content_type=JSON)).job == preview_job(COMPLETED)


def test_the_strict_profile_has_more_problems_and_the_same_outcome() -> None:
    job = COMPLETED | {"timeStarted": "2026-11-23T18:00:00"}
    strict = judge(job, context=Context(profile="strict"))
    assert [one.pointer for one in strict.problems] == ["/timeStarted"]
    assert (strict.outcome, judge(job).outcome, judge(job).problems) == ("stored", "stored", ())
    assert strict.job == judge(job).job


def test_a_project_must_be_active_if_the_repositories_are_known() -> None:
    for known, outcome in (
        ({"mozilla-central": True}, "stored"),
        ({"mozilla-central": False}, "dropped"),
        ({"try": True}, "dropped"),
    ):
        verdict = judge(COMPLETED, context=Context(repositories=known))
        assert verdict.outcome == outcome
        assert all("active" not in one for one in verdict.assumptions)


@pytest.mark.parametrize(
    ("key", "rule", "follows"),
    [
        ("staging.mozilla-central", None, True),
        ("staging.mozilla-central", Rule.PROJECT_DESTINATION, False),
        ("mozilla-central.staging", Rule.PROJECT_DESTINATION, True),
        ("mozilla-central.staging", Rule.DESTINATION_PROJECT, False),
        ("mozilla-central", Rule.ANY_PROJECT, True),
        ("staging.try", Rule.ANY_PROJECT, False),
        ("", None, False),
    ],
)
def test_a_key_follows_the_registered_rule(key: str, rule: Rule | None, follows: bool) -> None:
    found = judge(COMPLETED, context=Context(routing_key=key, rule=rule)).findings
    assert ("key-mismatch" not in {one.rule for one in found}) is follows


def test_a_state_that_goes_backwards_or_follows_completed_is_ignored() -> None:
    several = Judge()
    running = COMPLETED | {"state": "running"}
    jobs = (running, running, COMPLETED, running, COMPLETED, COMPLETED | {"result": "exception"})
    outcomes = [several.judge(job).outcome for job in jobs]
    assert outcomes == ["stored", "stored", "stored", "ignored", "stored", "ignored"]
    several.begin()
    assert several.judge(running).outcome == judge(running).outcome == "stored"


def test_the_state_of_a_dropped_job_does_not_count() -> None:
    several = Judge()
    without_owner = {name: value for name, value in COMPLETED.items() if name != "owner"}
    dropped = [without_owner, COMPLETED | {"jobKind": "x"}, message(content_type="text/plain")]
    running = COMPLETED | {"state": "running"}
    assert [several.judge(job).outcome for job in (*dropped, running)] == [*["dropped"] * 3, "stored"]
    assert several.judge(COMPLETED).outcome == "stored"
    assert "state-backwards" not in {one.rule for one in several.judge(running | {"jobKind": "x"}).findings}


def test_a_job_that_cannot_be_encoded_is_dropped() -> None:
    verdict = judge(COMPLETED | {"retryId": 10**5000})
    assert (verdict.outcome, [one.rule for one in verdict.problems]) == ("dropped", ["json"])
    assert judge(COMPLETED | {"retryId": 10**5000}, context=Context(profile="strict")).outcome == "dropped"


def test_a_suggestion_keeps_what_treeherder_stores() -> None:
    job = COMPLETED | {"owner": "o" * 60, "timeStarted": "2026-11-23 18:00"}
    findings = judge(job).findings
    better = dict(job)
    for found in findings:
        if found.suggestion is not None and found.suggestion["op"] == "replace":
            better[found.suggestion["path"][1:]] = found.suggestion["value"]
    assert {found.rule for found in findings} - {found.rule for found in judge(better).findings} == {
        "owner-long",
        "time-zone-missing",
    }
    assert judge(better).job == judge(job).job


def test_a_verdict_is_a_value() -> None:
    verdict = judge(COMPLETED)
    assert verdict == judge(dict(COMPLETED))
    assert verdict.revision == "pulse-job"
    assert date(2026, 1, 1) < verdict.rules_as_of <= date.today()  # noqa: DTZ011 - a day is enough
    with pytest.raises(FrozenInstanceError):
        verdict.outcome = "dropped"  # type: ignore[misc] # that is the point


# any input


@pytest.mark.parametrize("count", [600, pytest.param(20_000, marks=LONG)])
def test_the_outcome_is_that_of_the_loader(count: int) -> None:
    context = Context(today=TODAY)
    strict = Context(today=TODAY, profile="strict")
    outcomes = set()
    for job in mutated([*JOBS, PENDING | {"owner": "o" * 60}], count, 20261129):
        expected = loader(job)
        outcomes.add(expected)
        verdict = judge(job, context=context)
        assert (job, verdict.outcome) == (job, expected)
        assert (verdict.job is None) is (expected == "dropped")
        assert judge(job, context=strict).outcome == expected
        assert bool(verdict.reasons) is (expected == "dropped")
        if load_schema("pulse-job").is_valid(job, "treeherder"):
            assert not verdict.problems
    assert outcomes == {"stored", "dropped"}


@pytest.mark.parametrize("key", [1, None, b"x", ("a", "b")])
def test_a_job_with_a_key_that_is_not_text_is_dropped_with_a_reason(key: Any) -> None:
    for payload in ({key: 1}, COMPLETED | {key: 1}, COMPLETED | {"display": COMPLETED["display"] | {key: 1}}):
        verdict = judge(payload)
        assert verdict.outcome == "dropped"
        assert "JSON cannot represent" in verdict.reasons[0].message


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(sorted(COMPLETED)), inner),
    max_leaves=10,
)


@given(ANYTHING, st.text(max_size=3), st.text(max_size=8), ANYTHING, st.binary())
def test_no_judged_value_raises(payload: Any, kind: str, encoding: str, compression: Any, body: bytes) -> None:
    context = Context(content_type=kind, content_encoding=encoding, compression=compression, routing_key=kind)
    for subject in (payload, body):
        verdict = judge(subject, context=context)
        assert verdict.outcome in {"dropped", "unknown"}
        assert verdict.reasons
    assert judge(body, context=Context(content_type=JSON, content_encoding=encoding)).outcome == "dropped"
