"""Planning a publish from Python: keys, refusals, messages, and dry runs."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from support.samples import JOBS

import pulsekit
from pulsekit._documents.document import parse_documents, parse_json
from pulsekit.bindings.registration import Binding
from pulsekit.errors import ConfigurationError, InvalidPayload
from pulsekit.publisher import DryRun, PlannedPublish, PublishPlan, RefusedJob, RefusedPayload
from pulsekit.publisher.encoder import Draft
from pulsekit.schemas.edits import Edits
from pulsekit.treeherder import Judge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pulsekit.schemas.profiles import Profile

PROJECT = JOBS[0]["origin"]["project"]
KEY = f"treeherder.{PROJECT}._"
BROKEN = JOBS[0] | {"state": "done"}
OWNERLESS = {name: value for name, value in JOBS[1].items() if name != "owner"}
JOB_SCHEMA = pulsekit.load_schema("pulse-job")


class Counting:
    """Count the payloads that a schema validates."""

    def __init__(self) -> None:
        self.asked = 0
        self._schema = pulsekit.load_schema("pulse-job")

    name = "counting"

    def check(self, payload: Any, profile: Profile = "strict") -> None:
        self.asked += 1
        self._schema.check(payload, profile)


def plan(schema: Any = None, **more: Any) -> PublishPlan:
    return PublishPlan("exchange/me/x", schema=schema, **({"destinations": ("treeherder",)} | more))


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.mark.parametrize(
    ("more", "record", "keys"),
    [
        ({}, False, [KEY]),
        ({"destinations": ("a", "b")}, False, [f"a.{PROJECT}._", f"b.{PROJECT}._"]),
        ({"destinations": (), "defaults": ("d",)}, False, [f"d.{PROJECT}._"]),
        ({"key": "k", "destinations": ()}, False, ["k"]),
        ({"destinations": (), "defaults": ("d",)}, True, ["own"]),
        ({"destinations": ("a",)}, True, [f"a.{PROJECT}._"]),
        ({"key": "k", "destinations": ()}, True, ["k"]),
    ],
)
def test_the_sources_of_the_routing_key_have_an_order(more: dict[str, Any], record: bool, keys: list[str]) -> None:
    value = {"routing_key": "own", "payload": JOBS[0]} if record else JOBS[0]
    messages = plan(**more).messages(value)
    assert [one.routing_key if isinstance(one, Draft) else one[1] for one in messages] == keys


def test_the_payload_of_a_record_is_judged(counting: Counting) -> None:
    some = plan(counting)
    assert len(some.messages({"routing_key": "k", "payload": JOBS[0]})) == 1
    for record in ({"payload": BROKEN}, {"body": json.dumps(BROKEN), "payload": JOBS[0]}):
        with pytest.raises(InvalidPayload):
            some.messages({"routing_key": "k"} | record)


def test_edits_apply_before_a_job_is_judged_and_its_key_is_made(counting: Counting) -> None:
    edits = Edits(["state=pending", "origin.project=other"], ["result"], schema=JOB_SCHEMA)
    some = plan(counting, edits=edits)
    ((job, key),) = some.messages(BROKEN)
    assert (job["state"], key) == ("pending", "treeherder.other._")
    refused = plan(counting, edits=Edits(["tier=9"], schema=JOB_SCHEMA)).take(parse_json(json.dumps(JOBS[0])))
    assert isinstance(refused, RefusedPayload)
    assert "/tier" in str(refused.error)


@pytest.mark.parametrize("part", ["payload", "body", "body_b64"])
def test_editing_a_record_makes_a_new_message(part: str, counting: Counting) -> None:
    text = json.dumps(JOBS[1], indent=1)
    content = {"payload": JOBS[1], "body": text, "body_b64": b64encode(text.encode()).decode()}[part]
    record = {
        "routing_key": "own",
        "cc": ["more"],
        "headers": {"h": 1},
        "properties": {"message_id": "old", "app_id": "kept"},
        "payload": {"old": 1},
        part: content,
    }
    edits = Edits(["tier=3"], schema=JOB_SCHEMA)
    (message,) = plan(counting, destinations=(), edits=edits, keep=("cc",)).messages(record)
    assert isinstance(message, Draft)
    assert message.payload == JOBS[1] | {"tier": 3}
    assert (message.routing_key, message.cc, message.headers) == ("own", ("more",), {"h": 1})
    assert (message.properties.message_id, message.properties.app_id) == (None, "kept")


@pytest.mark.parametrize("force", [False, True])
def test_a_job_that_treeherder_would_drop_is_refused_unless_forced(force: bool) -> None:
    some = plan(JOB_SCHEMA, judge=Judge(), force=force)
    if force:
        assert [one.finding.rule for one in some.messages(OWNERLESS).lint] == ["owner-missing"]
        return
    with pytest.raises(RefusedJob, match="owner") as caught:
        some.messages(OWNERLESS)
    assert [one.finding.rule for one in caught.value.verdict.lint] == ["owner-missing"]


def test_without_key_or_destination_the_call_is_invalid() -> None:
    with pytest.raises(ConfigurationError, match="no routing key"):
        PublishPlan("exchange/me/x").take(parse_json(json.dumps(JOBS[0])))


# publish


@pytest.fixture
def publisher(pulse: pulsekit.Pulse, exchange: str) -> pulsekit.Publisher:
    return pulse.publisher(exchange)


async def test_receipts_are_in_the_order_of_the_payloads(
    publisher: pulsekit.Publisher,
) -> None:
    documents = parse_documents(json.dumps([JOBS[0], BROKEN, JOBS[1]]).encode())
    planned = PlannedPublish(publisher)
    receipts = [receipt async for receipt in planned.send(map(plan(JOB_SCHEMA).take, documents))]
    assert [(str(receipt.outcome), receipt.index) for receipt in receipts] == [
        ("confirmed", 0),
        ("invalid", -1),
        ("confirmed", 1),
    ]
    assert [problem.pointer for problem in receipts[1].problems] == ["/state"]
    assert not planned.stopped


async def test_lines_of_a_recording_without_a_message_hide_no_receipt(publisher: pulsekit.Publisher) -> None:
    header, gap = {"v": 1, "type": "header"}, {"v": 1, "type": "gap"}
    results = [plan(JOB_SCHEMA).take(parse_json(json.dumps(each))) for each in (header, JOBS[0], gap, BROKEN, gap)]
    planned = PlannedPublish(publisher)
    progress = [(str(each.outcome), planned.finished, planned.resume) async for each in planned.send(results)]
    assert progress == [("confirmed", 2, 2), ("invalid", 4, 4)]
    assert (planned.finished, planned.resume) == (5, 5)


async def test_a_document_that_is_a_json_string_is_published_as_a_string(publisher: pulsekit.Publisher) -> None:
    document = parse_json(json.dumps('{"twice": "encoded"}'))
    receipts = [receipt async for receipt in PlannedPublish(publisher).send([plan(key="k").take(document)])]
    assert [str(receipt.outcome) for receipt in receipts] == ["confirmed"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_publish_can_stop_at_a_refused_payload(publisher: pulsekit.Publisher, streamed: bool) -> None:
    results = [plan(JOB_SCHEMA).take(parse_json(json.dumps(job))) for job in (JOBS[0], BROKEN, JOBS[1])]

    async def stream() -> AsyncIterator[Any]:
        for result in results:
            yield result

    planned = PlannedPublish(publisher, keep_going=False)
    receipts = [receipt async for receipt in planned.send(stream() if streamed else results)]
    assert [str(receipt.outcome) for receipt in receipts] == ["confirmed", "invalid"]
    assert planned.stopped


# dry run


def test_a_dry_run_has_matching_bindings_and_the_stored_form() -> None:
    some = plan(JOB_SCHEMA, judge=Judge(), destinations=("treeherder", "other"))
    patterns = ("treeherder.#", KEY, "none.#")
    bindings = [*(Binding(some.exchange, pattern) for pattern in patterns), Binding("exchange/you/x", "#")]
    first, second = DryRun(some, bindings).messages(some.messages(JOBS[0]))
    assert (first.verdict, first.routing_key, set(first.bindings)) == ("valid", KEY, {"treeherder.#", KEY})
    assert first.preview is not None
    assert (first.project, first.preview["job"]["state"]) == (PROJECT, JOBS[0]["state"])
    assert first.size == len(json.dumps(JOBS[0], separators=(",", ":"), ensure_ascii=False).encode())
    assert (second.routing_key, second.bindings) == (f"other.{PROJECT}._", ())


def test_a_dry_run_has_the_bindings_that_match_cc_and_bcc_keys() -> None:
    some = plan(keep=("cc", "bcc"), destinations=())
    bindings = [Binding(some.exchange, f"{word}.#") for word in ("key", "cc", "bcc", "none")]
    record = {
        "type": "message", "exchange": some.exchange, "routing_key": "key.x", "payload": {},
        "headers": {"CC": ["cc.x"], "BCC": ["bcc.x"]},
    }  # fmt: skip
    (message,) = DryRun(some, bindings).messages(some.messages(record))
    assert message.bindings == ("key.#", "cc.#", "bcc.#")


@pytest.mark.parametrize(
    ("text", "verdict", "pointers"),
    [
        (json.dumps(BROKEN), "invalid", ["/state"]),
        (json.dumps(OWNERLESS), "dropped", []),
        (json.dumps({"routing_key": "k", "body_b64": "*"}), "invalid", [""]),
    ],
)
def test_a_dry_run_explains_why_a_payload_would_not_be_sent(text: str, verdict: str, pointers: list[str]) -> None:
    some = plan(JOB_SCHEMA, judge=Judge())
    planned = some.take(parse_json(text))
    assert isinstance(planned, RefusedPayload)
    (message,) = DryRun(some, []).messages(planned)
    assert (message.verdict, message.routing_key) == (verdict, None)
    assert [problem.pointer for problem in message.problems] == pointers
    assert [one.finding.rule for one in message.lint] == (["owner-missing"] if verdict == "dropped" else [])
