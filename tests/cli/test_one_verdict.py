"""One verdict on a job: commands, publisher, consumer and the stand-in for Treeherder agree with `judge`."""

from __future__ import annotations

import asyncio
import json
import zlib
from copy import deepcopy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from support.samples import COMPLETED, CORPUS, JOBS, mutated

import pulsekit
from pulsekit import Draft, Message, Properties, load_schema
from pulsekit._amqp.broker import parse_url
from pulsekit._documents.payloads import exact_payload
from pulsekit.bindings.registration import Binding, Registration
from pulsekit.consumer.policy import OnFailure, Policy
from pulsekit.errors import InvalidPayload
from pulsekit.publisher import PublishPlan, RefusedPayload
from pulsekit.publisher.encoder import Encoder
from pulsekit.publisher.window import UnsentMessage
from pulsekit.queues.operations import delete_queue
from pulsekit.records.selection import SelectedMessage, Selection
from pulsekit.stand_in import JobOutcome, TreeherderStandIn
from pulsekit.treeherder import Context, Judge, judge
from pulsekit.treeherder.message_check import message_check

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from support.loopback import SandboxBroker
    from support.rabbitmq.broker import PulseUser, RabbitMQ

    from cli.conftest import Call

LONG = (pytest.mark.slow, pytest.mark.timeout(900))
KEY = "treeherder.try._"
SENT = Context(content_type="application/json", routing_key=KEY)
STRICT = Context(content_type="application/json", routing_key=KEY, profile="strict")
OWNER = "some-l10n-automation-bot1@users.noreply.example.com1"

# One for each way in which the verdict differs from that of the schema alone.
SPECIAL: list[Any] = [
    COMPLETED | {"owner": OWNER},
    {name: value for name, value in COMPLETED.items() if name != "owner"},
    *(COMPLETED | {"timeStarted": time} for time in ("10:00", "Monday", "2025", "-1", "soon", "2026-11-23T24:00:00Z")),
    COMPLETED | {"timeStarted": "2026-11-23T18:00:00"},
    COMPLETED | {"origin": {"kind": "hg.mozilla.org", "project": "try", "revision": "c0ffee01" * 5}},
    {"payload": COMPLETED, "_meta": {"exchange": "x", "routing_key": "y"}},
    [{"project": "try", "revision": "c0ffee01" * 5, "job": {"job_guid": "d2", "result": "testfailed"}}],
    COMPLETED | {"tier": float("nan")},
    {},
    None,
]


def samples(count: int) -> Iterable[Any]:
    yield from (*JOBS, *SPECIAL)
    if CORPUS.is_dir():
        yield from json.loads((CORPUS / "treeherder-jobs.json").read_bytes())
    yield from mutated([*JOBS, SPECIAL[0]], count, 20261130)


def message(body: bytes, **properties: Any) -> Message:
    return Message(
        exchange="exchange/me/v1/jobs",
        routing_key=KEY,
        body=body,
        received=datetime.now(UTC),
        properties=Properties(**{"content_type": "application/json"} | properties),
        schema=message_check(load_schema("pulse-job")),  # as `Pulse.subscribe` makes it
    )


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=LONG)])
def test_every_command_has_the_verdict_of_judge(call: Call, folder: Path, count: int) -> None:
    texts = [json.dumps(job) for job in samples(count)]
    (folder / "jobs.ndjson").write_text("".join(f"{text}\n" for text in texts))
    jobs, one, strict = [json.loads(text) for text in texts], Judge(), Judge()
    expected = [one.judge(job, SENT) for job in jobs]
    refused = [bool(strict.judge(job, STRICT).reasons) for job in jobs]
    outcomes = [verdict.outcome for verdict in expected]
    assert set(outcomes) == {"stored", "dropped", "ignored"}

    validated = [json.loads(line) for line in call("validate", "jobs.ndjson").out.splitlines()]
    assert [line["outcome"] for line in validated] == outcomes
    assert [bool(line["errors"]) or line["outcome"] == "dropped" for line in validated] == refused
    lenient = call("validate", "jobs.ndjson", "--profile", "treeherder").out.splitlines()
    assert [json.loads(line)["outcome"] for line in lenient] == outcomes

    previewed = [json.loads(line) for line in call("preview", "jobs.ndjson").out.splitlines()]
    assert [line["outcome"] for line in previewed] == outcomes
    assert [line.get("job") for line in previewed] == [verdict.job and verdict.job["job"] for verdict in expected]

    publish = ("publish", "jobs.ndjson", "--dry-run", "-e", "exchange/me/v1/jobs", "-k", KEY, "-o", "ndjson")
    dry = [json.loads(line) for line in call(*publish).out.splitlines()]
    assert [line["treeherder"] for line in dry] == outcomes
    assert [line["routing_key"] is None for line in dry] == refused
    assert [line["preview"] for line in dry if line["preview"]] == [
        verdict.job for verdict, left in zip(expected, refused, strict=True) if verdict.job and not left
    ]
    forced = [json.loads(line) for line in call(*publish, "--force").out.splitlines()]
    assert [line["treeherder"] for line in forced] == outcomes
    unsent = [line["routing_key"] is None for line in forced]
    assert unsent == ["NaN" in text or "Infinity" in text for text in texts]


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=LONG)])
def test_publisher_and_consumer_have_the_verdict_of_judge(count: int) -> None:
    schema = load_schema("pulse-job")
    plan = PublishPlan("exchange/me/v1/jobs", key=KEY, schema=schema, profile="treeherder")
    strict, lenient = Encoder("exchange/me/x", schema, lint=True), Encoder("exchange/me/x", None, lint=True)
    selection = Selection([Binding("exchange/me/v1/jobs")], schema=message_check(schema))
    policy = Policy(poison=OnFailure.REJECT)
    refusals = 0
    for sample in samples(count):
        body = json.dumps(sample).encode()
        job = json.loads(body)
        verdict, reasons = judge(job, context=SENT), judge(job, context=STRICT).reasons
        refusals += bool(reasons)
        assert judge(body, context=SENT).outcome == verdict.outcome
        received = message(body)
        assert judge(received).outcome == verdict.outcome
        assert bool(received.problems) is bool(reasons), job
        assert isinstance(policy.reason_against(received), InvalidPayload) is bool(reasons)
        assert SelectedMessage(received, selection).valid is not bool(reasons)
        assert isinstance(strict.encode_or_refuse((exact_payload(job), KEY), 0, False, 1), UnsentMessage) is bool(
            reasons
        )
        sent = lenient.encode_or_refuse((exact_payload(job), KEY), 0, False, 1)
        assert isinstance(sent, UnsentMessage) is (verdict.outcome == "dropped")
        try:
            planned = plan.messages(deepcopy(job))
        except pulsekit.InvalidInput:
            assert verdict.outcome == "dropped"
        else:
            assert planned.verdict is not None
            assert planned.verdict.verdict.outcome in {verdict.outcome, "ignored"}
    assert refusals > count / 4


def test_a_plan_reads_a_record_as_its_message_is_sent() -> None:
    """The verdict also depends on the content type of the record."""
    plan = PublishPlan("exchange/me/v1/jobs", schema=load_schema("pulse-job"))
    record = {"routing_key": "treeherder.mozilla-central._", "payload": COMPLETED}
    for properties, rules in (
        ({}, []),
        ({"content_type": "application/json"}, []),
        ({"content_type": "text/plain"}, ["content-type"]),
        ({"content_type": "application/json; charset=utf-8"}, ["content-type"]),
    ):
        try:
            plan.messages(record | {"properties": properties})
            found: list[str] = []
        except InvalidPayload as error:
            found = [problem.rule for problem in error.problems]
        assert found == rules
    document_error = plan.take(pulsekit.DocumentError("no JSON"))
    assert isinstance(document_error, RefusedPayload)
    assert document_error.verdict is None


async def test_the_stand_in_has_the_verdict_of_judge(
    broker: RabbitMQ | SandboxBroker, user: PulseUser, exchange: str
) -> None:
    bodies = [(json.dumps(job).encode(), {}, {}) for job in samples(20)]
    bodies += [
        (json.dumps(COMPLETED).encode(), {"content_type": kind}, {})
        for kind in ("text/plain", "text/json", "application/json; charset=utf-8")
    ]
    accented = json.dumps(COMPLETED | {"reason": "café"}, ensure_ascii=False)
    bodies += [
        (accented.encode("latin-1"), {"content_encoding": "latin-1"}, {}),
        (accented.encode("latin-1"), {}, {}),
        (zlib.compress(accented.encode()), {}, {"compression": "gzip"}),
        (b"{", {}, {}),
    ]
    outcomes: asyncio.Queue[JobOutcome] = asyncio.Queue()
    login = parse_url(broker.admin_url)
    standin = TreeherderStandIn(
        lambda _: login, [Registration(exchange, ["treeherder"], ["try._"])], outcomes.put_nowait
    )
    async with pulsekit.connect(user.url) as pulse, pulsekit.connect(broker.admin_url) as admin:
        await pulse.create_exchange(exchange)
        try:
            async with (
                standin,
                pulse.subscribe(exchange, schema="pulse-job") as messages,
                pulse.publisher(exchange) as publisher,
            ):
                drafts = [Draft(body, KEY, (), headers, Properties(**more)) for body, more, headers in bodies]
                assert [str(one.outcome) async for one in publisher.publish_many(drafts)] == ["confirmed"] * len(bodies)
                reference = Judge()
                for _ in bodies:
                    received, outcome = await anext(messages), await outcomes.get()
                    assert outcome.message.body == received.body
                    assert outcome.verdict == reference.judge(outcome.message)
                    assert bool(outcome.reason) is (outcome.verdict.outcome != "stored")
                    if outcome.verdict.outcome == "dropped":
                        with pytest.raises(pulsekit.InvalidInput):
                            _ = received.payload
                    await received.ack()
        finally:
            await delete_queue(admin, "queue/treeherder/jobs", if_unused=False)
            await pulse.delete_exchange(exchange, if_unused=False)
    assert sum(standin.counts.values()) == len(bodies)
    assert min(standin.counts["stored"], standin.counts["dropped"]) > 5


# single rows


@pytest.mark.parametrize("text", ['{"x": NaN}', '{"x": -Infinity}', '{"x": 1e999}'])
@pytest.mark.parametrize("profile", ["strict", "treeherder"])
def test_a_number_that_json_lacks_is_invalid_everywhere(call: Call, folder: Path, text: str, profile: str) -> None:
    """Python reads and writes these numbers, so that a lenient schema accepts them."""
    (folder / "any.yml").write_text("type: object\n")
    (folder / "one.json").write_text(text)
    own = load_schema(str(folder / "any.yml"))
    validated = call("validate", "one.json", "--schema", "any.yml", "--profile", profile)
    assert validated.code == 1
    assert json.loads(validated.out)["errors"][0]["rule"] == "json"
    dry_run = ("publish", "one.json", "--dry-run", "--schema", "any.yml", "--profile", profile, "-k", "a")
    published = call(*dry_run, "-e", "exchange/me/x", "-o", "ndjson")
    assert (published.code, json.loads(published.out)["valid"]) == (1, False)
    assert json.loads(published.out)["errors"][0]["rule"] == "json"
    received = Message(
        exchange="exchange/me/x", routing_key="a", body=text.encode(), received=datetime.now(UTC), schema=own
    )
    assert [problem.rule for problem in received.problems] == ["json"]
    assert not SelectedMessage(received, Selection([Binding("exchange/me/x")], schema=own)).valid
    assert isinstance(
        Encoder("exchange/me/x", own).encode_or_refuse((json.loads(text), "a"), 0, False, 1), UnsentMessage
    )


def test_an_unusual_number_is_valid() -> None:
    for text in ('{"x": "NaN"}', '{"x": 1e300}', '{"x": "Infinity", "y": null}', '{"x": 1E+100}'):
        received = Message(
            exchange="exchange/me/x",
            routing_key="a",
            body=text.encode(),
            received=datetime.now(UTC),
            schema=load_schema({"type": "object"}),
        )
        assert received.problems == ()


def test_migrating_applies_the_rules_too(call: Call, folder: Path) -> None:
    origin = {"kind": "hg.mozilla.org", "project": "mozilla-central", "revision": "c0ffee01" * 5, "pushLogID": 7}
    good = COMPLETED | {"origin": origin, "jobInfo": {}}
    ownerless = {name: value for name, value in good.items() if name != "owner"}
    early = good | {"state": "running", "taskId": COMPLETED["taskId"].replace("/1", "/2")}
    (folder / "jobs.ndjson").write_text("".join(f"{json.dumps(job)}\n" for job in (good, ownerless, early)))
    result = call("validate", "--migrate", "jobs.ndjson")
    assert result.code == 1
    written = [json.loads(line) for line in result.out.splitlines()]
    assert [job["state"] for job in written] == ["completed", "running"]
    assert all(judge(job).outcome == "stored" for job in written)
    assert "jobs.ndjson:2:1: " in result.err
    assert "[owner-missing, dropped]" in result.err
    assert "[result-early, wrong]" in result.err
    assert "1 dropped, 1 wrong" in result.err


def test_a_time_without_a_zone_is_published_by_profile_or_by_force(call: Call, folder: Path) -> None:
    (folder / "job.json").write_text(json.dumps(COMPLETED | {"timeStarted": "2026-11-23T18:00:00.123456"}))
    publish = ("publish", "job.json", "--dry-run", "-e", "exchange/me/v1/jobs", "-d", "treeherder", "-o", "ndjson")
    for more, code, verdict in (
        ((), 1, "invalid"),
        (("--profile", "treeherder"), 0, "valid"),
        (("--force",), 0, "invalid"),
        (("--force", "--profile", "treeherder"), 0, "valid"),
        (("--force", "--set", "tier=3", "--unset", "owner"), 0, "invalid"),
    ):
        result = call(*publish, *more)
        line = json.loads(result.out)
        assert (result.code, line["verdict"]) == (code, verdict), more
        assert (line["routing_key"] is None) is bool(code)
        assert ("[schema: format, cosmetic]" in result.err) is (more == ("--force",))
    assert "[schema: format, dropped]" in result.err


def test_a_number_that_json_lacks_is_invalid_with_every_schema(call: Call, folder: Path) -> None:
    (folder / "any.json").write_text("{}")
    for text in ('{"x": NaN}', '{"x": [-Infinity]}', '{"x": 1e999}'):
        (folder / "payload.json").write_text(text)
        validated = call("validate", "payload.json", "--schema", "any.json")
        dry = call("publish", "payload.json", "--schema", "any.json", "--dry-run", "-e", "exchange/me/x", "-k", "k")
        assert (validated.code, dry.code) == (1, 1), text
        assert json.loads(validated.out)["errors"] == json.loads(dry.out)["errors"]


def test_an_unwrapped_envelope_is_not_a_job_to_tail() -> None:
    enveloped = {"payload": COMPLETED, "_meta": {"exchange": "exchange/me/x", "routing_key": KEY}}
    received = message(json.dumps(enveloped).encode())
    selection = Selection([Binding("exchange/me/x")], schema=message_check(load_schema("pulse-job")), unwraps=True)
    selected = SelectedMessage(received, selection)
    assert selected.payload == COMPLETED
    assert selected.problem.startswith("payload: is an envelope of mozillapulse: Treeherder finds no job")


@pytest.mark.parametrize(
    "properties",
    [{"content_type": "text/plain"}, {"content_type": "application/json; charset=utf-8"}, {"content_type": None}],
)
def test_tail_and_validate_check_the_content_type(call: Call, properties: dict[str, Any]) -> None:
    received = message(json.dumps(COMPLETED).encode(), **properties)
    selection = Selection([Binding("exchange/me/v1/jobs")], schema=message_check(load_schema("pulse-job")))
    selected = SelectedMessage(received, selection)
    assert "content type" in selected.problem
    result = call("validate", stdin=selected.line())
    assert result.code == 1
    line = json.loads(result.out)
    assert (line["outcome"], line["lint"][0]["rule"]) == ("dropped", "content-type")


def test_a_body_in_another_encoding_is_shown_and_accepted_as_by_kombu(call: Call) -> None:
    job = COMPLETED | {"reason": "café"}
    body = json.dumps(job, ensure_ascii=False).encode("latin-1")
    received = message(body, content_encoding="latin-1")
    selected = SelectedMessage(
        received, Selection([Binding("exchange/me/v1/jobs")], schema=message_check(load_schema("pulse-job")))
    )
    assert (selected.payload, selected.problem, received.payload) == (job, "", job)
    result = call("validate", stdin=selected.line())
    assert json.loads(result.out)["outcome"] == "stored"
    assert json.loads(call("preview", stdin=selected.line()).out)["job"]["reason"] == "café"


@pytest.mark.parametrize(
    ("options", "described"),
    [
        (["--header", "compression=application/x-bz2"], {"headers": {"compression": "application/x-bz2"}}),
        (["--header", "compression=br"], {"headers": {"compression": "br"}}),
        (["--property", "content_encoding=utf-16"], {"properties": {"content_encoding": "utf-16"}}),
    ],
)
def test_publish_and_validate_read_the_body_as_it_is_described(
    call: Call, folder: Path, options: list[str], described: dict[str, Any]
) -> None:
    # As UTF-16, an even number of bytes is other text, and an odd number is none, so that UTF-8 applies.
    for number, odd in enumerate("xy"):
        job = COMPLETED | {"reason": odd * (number + 1)}
        key = f"a.{job['origin']['project']}._"
        record = {"exchange": "exchange/me/x", "routing_key": key, "payload": job}
        properties = {"content_type": "application/json", **described.get("properties", {})}
        (folder / "job.json").write_text(json.dumps(job))
        validated = call("validate", stdin=json.dumps(record | described | {"properties": properties}))
        published = call("publish", "job.json", "--dry-run", "-e", "exchange/me/x", "-d", "a", "-o", "ndjson", *options)
        assert json.loads(published.out)["treeherder"] == json.loads(validated.out)["outcome"]
        assert published.code == validated.code
        assert "headers" not in described or published.code == 1


REGISTERED = """\
exchange: exchange/me/x
destinations: [staging]
registrations:
  - {exchange: exchange/me/x, destinations: [staging], projects: ['#'], rule: %s}
"""


@pytest.mark.parametrize(
    ("rule", "key", "other"),
    [
        ("destination.project", "staging.try._", "try.staging"),
        ("project.destination", "try.staging", "staging.try._"),
        ("any.project", "staging.try", "staging.autoland"),
    ],
)
def test_keys_and_their_finding_follow_the_registered_rule_in_every_command(
    call: Call, folder: Path, rule: str, key: str, other: str
) -> None:
    (folder / "pulsekit.yml").write_text(REGISTERED % rule)
    (folder / "job.json").write_text(json.dumps(JOBS[0]))
    (made,) = map(json.loads, call("publish", "job.json", "--dry-run", "-o", "ndjson").out.splitlines())
    assert (made["routing_key"], len(made["bindings"])) == (key, 1)
    for one, expected in ((key, False), (other, True)):
        record = {"exchange": "exchange/me/x", "routing_key": one, "payload": JOBS[0]}
        (folder / "record.ndjson").write_text(json.dumps(record))
        commands = [
            ["publish", "record.ndjson", "--dry-run", "-o", "ndjson"],
            ["publish", "job.json", "-k", one, "--dry-run", "-o", "ndjson"],
            ["validate", "record.ndjson", "-o", "ndjson"],
            ["preview", "record.ndjson", "-o", "ndjson"],
        ]
        for command in commands:
            assert ("key-mismatch" in call(*command).out) == expected, command


@pytest.mark.parametrize(
    ("rule", "project", "key"),
    [
        ("destination.project", "mozilla-central", "a.b.mozilla-central"),
        ("destination.project", "mozilla-central._", "a.b.mozilla-central._"),
        ("destination.project", "mozilla-central.*", "a.b.mozilla-central._"),
        ("any.project", "mozilla-central._", "a.b.mozilla-central._"),
        ("any.project", "mozilla-central", "a.b.mozilla-central"),
        ("project.destination", "mozilla-central", "mozilla-central.a.b"),
    ],
)
def test_a_made_key_has_the_reserved_word_if_the_registered_keys_have_it(
    call: Call, folder: Path, rule: str, project: str, key: str
) -> None:
    entry = f"{{exchange: exchange/me/x, destinations: [a.b], projects: ['{project}'], rule: {rule}}}"
    (folder / "pulsekit.yml").write_text(f"exchange: exchange/me/x\nregistrations: [{entry}]\n")
    (folder / "job.json").write_text(
        json.dumps(COMPLETED | {"origin": COMPLETED["origin"] | {"project": "mozilla-central"}})
    )
    made = json.loads(call("publish", "job.json", "-d", "a.b", "--dry-run", "-o", "ndjson").out)
    assert (made["routing_key"], len(made["bindings"])) == (key, 1)
