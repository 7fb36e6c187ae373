from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import JOBS

import pulsekit
from pulsekit._documents.document import parse_json
from pulsekit._documents.payloads import decode_body
from pulsekit.cli.commands.publish.files import Files
from pulsekit.errors import ConfigurationError, DocumentError, InvalidInput, InvalidPayload
from pulsekit.publisher.planning import PlannedMessages, PublishPlan, RefusedJob, RefusedPayload
from pulsekit.schemas.edits import Edits
from pulsekit.treeherder import Judge

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pulsekit.schemas.profiles import Profile

PROJECT = JOBS[0]["origin"]["project"]
KEY = f"treeherder.{PROJECT}._"
BROKEN = JOBS[0] | {"state": "done"}
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
    known: dict[str, Any] = {"key": None, "destinations": ("treeherder",), "defaults": ()}
    return PublishPlan(exchange="exchange/me/x", schema=schema, **(known | more))


def line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def outcome(results: Iterable[PlannedMessages | RefusedPayload]) -> list[Any]:
    """Make results comparable: the messages, or the reason of the refusal."""
    return [
        str(result.error) if isinstance(result, RefusedPayload) else [in_words(message) for message in result]
        for result in results
    ]


def in_words(message: Any) -> Any:
    """Read the body of a message that is sent as written."""
    if isinstance(message, tuple) and isinstance(message[0], bytes):
        return decode_body(message[0]), message[1]
    return message


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "jobs.ndjson"


@pytest.fixture
def counting() -> Counting:
    return Counting()


def test_an_unchanged_block_is_not_validated_again(file: Path, counting: Counting) -> None:
    file.write_text("".join(map(line, JOBS)))
    files = Files([str(file)], plan(counting))
    first = outcome(files.judged())
    assert first == [[(job, f"treeherder.{job['origin']['project']}._")] for job in JOBS]
    assert counting.asked == len(JOBS)
    assert outcome(files.again()) == first
    assert counting.asked == len(JOBS)


@pytest.mark.parametrize("suffix", ["json", "ndjson"])
@pytest.mark.parametrize("change", ["replaced", "added", "swapped"])
def test_a_changed_block_is_validated_again(change: str, suffix: str, tmp_path: Path, counting: Counting) -> None:
    def write(*jobs: Any) -> None:
        for name, part in (("a", jobs[:2]), ("b", jobs[2:])):
            text = json.dumps(part) if suffix == "json" else "".join(map(line, part))
            (tmp_path / f"{name}.{suffix}").write_text(text)

    one, two, three = JOBS[:3]
    write(one, two, three)
    files = Files([str(tmp_path / f"{name}.{suffix}") for name in "ab"], plan(counting))
    assert not any(isinstance(result, RefusedPayload) for result in files.judged())
    counting.asked = 0
    write(
        *{"replaced": (one, two, BROKEN), "added": (one, two, three, BROKEN), "swapped": (three, BROKEN, one)}[change]
    )
    again = list(files.again())
    refused = [result for result in again if isinstance(result, RefusedPayload)]
    assert len(refused) == 1
    assert "/state" in str(refused[0].error)
    judged = {"replaced": 1, "added": 2, "swapped": 3}[change]
    assert judged <= counting.asked <= 2 * judged  # a refused payload is validated twice: verdict, position
    assert isinstance(again[0], PlannedMessages)


@pytest.mark.parametrize("more", [{"key": "k"}, {"destinations": ("a", "b")}])
def test_a_plain_payload_is_sent_as_written(file: Path, more: dict[str, Any]) -> None:
    lines = [line({"origin": {"project": "p"}, "number": text}) for text in (1e16, None, "é", -0.0)]
    file.write_text("".join(lines), encoding="utf-8")
    files = Files([str(file)], plan(**({"destinations": ()} | more)))
    keys = [more["key"]] if "key" in more else ["a.p._", "b.p._"]
    assert all(isinstance(result, PlannedMessages) for result in files.judged())
    plainly = [[(text.strip().encode(), key) for key in keys] for text in lines[1:]]
    assert [result.messages for result in files.again() if isinstance(result, PlannedMessages)][1:] == plainly


@pytest.mark.parametrize(
    "other",
    [
        {"routing_key": "own", "payload": {"a": 1}},
        {
            "v": 1,
            "type": "gap",
            "from": "2026-11-23T18:00:00.000Z",
            "to": "2026-11-23T18:00:01.000Z",
            "epoch": 2,
            "lossy": True,
        },
    ],
    ids=["record", "gap"],
)
def test_payloads_beside_plain_ones_are_sent_unchanged(file: Path, other: dict[str, Any]) -> None:
    file.write_text(line({"b": 2}) + line(other) + line({"c": 3}))
    files = Files([str(file)], plan(key="k", destinations=()))
    first = outcome(files.judged())
    assert outcome(files.again()) == first
    assert first[1] != [(other, "k")]


def test_a_refused_payload_is_refused_again(file: Path, counting: Counting) -> None:
    file.write_text(line(JOBS[0]) + "{\n" + line(BROKEN) + line(JOBS[1]))
    files = Files([str(file)], plan(counting))
    first = outcome(files.judged())
    assert [isinstance(result, str) for result in first] == [False, True, True, False]
    assert outcome(files.again()) == first


def test_positions_are_right_in_every_part_of_a_long_file(file: Path, counting: Counting) -> None:
    with file.open("w", encoding="utf-8") as out:
        for _ in range(4):
            out.writelines(line(JOBS[number % len(JOBS)]) for number in range(2000))
            out.write(" \n" + line(BROKEN))
    assert file.stat().st_size > 4 * 1024 * 1024
    refused = [result for result in Files([str(file)], plan(counting)).judged() if isinstance(result, RefusedPayload)]
    found = []
    for one in refused:
        assert isinstance(one.error, InvalidPayload)
        assert not isinstance(one.document, DocumentError)
        found.append((one.error.problems[0].line, one.document.index))
    assert found == [(2002 * part, 2001 * part - 1) for part in (1, 2, 3, 4)]


def test_a_long_file_needs_little_memory(file: Path) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.writelines(line(JOBS[number % len(JOBS)]) for number in range(10_000))
    files = Files([str(file)], plan())
    tracemalloc.start()
    try:
        count = sum(1 for _ in files.judged()) + sum(1 for _ in files.again())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert file.stat().st_size > 5_000_000
    assert peak < 4_000_000


SPELLINGS = [
    json.dumps(JOBS[0]),
    json.dumps(JOBS[0], indent=1).replace("\n", " "),
    "\ufeff" + json.dumps(JOBS[0]),
    " \t" + json.dumps(JOBS[0]) + " \r",
    json.dumps(JOBS[0])[:-1] + ',"state":"done"}',
    json.dumps(JOBS[0] | {"tier": 1.0}),
    json.dumps(JOBS[0] | {"reason": "\ud800"}),
    '{"origin":{"project":"p"},"n":NaN}',
    '{"origin":{"project":"p"},"n":123456789012345678901234567890}',
    '{"origin":{"project":"p"},"n":1e999}',
    '{"origin":{"project":"p"},"n":' + "[" * 300 + "]" * 300 + "}",
    '{"origin":{"project":"p"},"n":' + "9" * 5000 + "}",
    '{"routing_key":"k","payload":{"a":1}}',
    '{"routing_key":"k","payload":{"a":1,"a":2}}',
    '{"routing_key":"k","body":"{}"}',
    '{"v":1,"type":"gap"}',
    "[1]",
    "\x0c{}",
    '"x"',
    "{",
]


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("text", SPELLINGS)
def test_a_line_is_read_as_the_same_document_in_any_spelling(
    text: str, checked: bool, file: Path, counting: Counting
) -> None:
    file.write_bytes(text.encode("utf-8", "surrogatepass") + b"\n" + line(JOBS[1]).encode())
    some = plan(counting if checked else None)
    try:
        expected = some.take(parse_json(file.read_bytes().split(b"\n")[0] + b"\n", source=str(file), first_line=1))
    except DocumentError as error:
        expected = RefusedPayload(error, error)
    files = Files([str(file)], some)
    first, again = outcome(files.judged()), outcome(files.again())
    whole = filter(None, [expected])  # a gap has no message
    assert repr(first[:-1]) == repr(outcome(whole))  # compared as text, because NaN is not equal to itself
    assert repr(again) == repr(first)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(VALUES, st.sampled_from([None, (",", ":")]), st.booleans()), min_size=1, max_size=5))
def test_any_lines_result_in_the_messages_of_their_documents(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[Any, tuple[str, str] | None, bool]]
) -> None:
    file = tmp_path_factory.mktemp("lines") / "any.ndjson"
    texts = [json.dumps(value, separators=how, ensure_ascii=escaped) for value, how, escaped in lines]
    file.write_bytes(b"".join(text.encode("utf-8", "surrogatepass") + b"\n" for text in texts))
    some = plan(key="k")
    expected: list[Any] = []
    for number, text in enumerate(file.read_bytes().splitlines(keepends=True), 1):
        try:
            document = parse_json(text, source=str(file), first_line=number, index=number - 1)
            expected.append([in_words(message) for message in some.messages(document.value, document)])
        except InvalidInput as error:  # not JSON, or NaN
            expected.append(str(error))
    files = Files([str(file)], some)
    assert repr(outcome(files.judged())) == repr(expected)
    assert repr(outcome(files.again())) == repr(expected)


def test_a_payload_without_a_key_is_a_usage_error(file: Path) -> None:
    file.write_text(line(JOBS[0]))
    files = Files([str(file)], plan(destinations=()))
    with pytest.raises(ConfigurationError, match="--routing-key"):
        list(files.judged())


# changed on the way


def test_a_recording_can_be_edited_and_gets_keys_of_its_jobs(file: Path) -> None:
    record = {"v": 1, "routing_key": "own", "payload": JOBS[0], "body": json.dumps(JOBS[0], indent=2)}
    file.write_text(line({"v": 1, "type": "gap"}) + line(record) + line({"v": 1, "type": "trailer"}))
    for edits in (None, Edits(["tier=3"], schema=JOB_SCHEMA)):
        files = Files([str(file)], plan(JOB_SCHEMA, edits=edits))
        keys = [message.routing_key for result in files.judged() for message in result]
        assert keys == [KEY]


@pytest.mark.parametrize("suffix", ["json", "ndjson"])
def test_edits_apply_each_time_a_file_is_read(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"jobs.{suffix}"
    file.write_text(json.dumps(JOBS[:2]) if suffix == "json" else "".join(map(line, JOBS[:2])))
    files = Files([str(file)], plan(JOB_SCHEMA, edits=Edits(["tier=3"], schema=JOB_SCHEMA)))
    first = outcome(files.judged())
    assert [[job["tier"] for job, _ in messages] for messages in first] == [[3], [3]]
    assert outcome(files.again()) == first


def test_a_payload_that_cannot_be_edited_is_refused_with_its_line(file: Path) -> None:
    file.write_text(
        line(JOBS[0]) + line(JOBS[0] | {"origin": "try"}) + line([1]) + line({"routing_key": "k", "body": 1})
    )
    files = Files([str(file)], plan(edits=Edits(["origin.project=x"], schema=JOB_SCHEMA)))
    _, *refused = files.judged()
    assert all(isinstance(one, RefusedPayload) for one in refused)
    assert [one.error.problems[0].line for one in refused] == [2, 3, 4]


# Treeherder's rules


OWNERLESS = {name: value for name, value in JOBS[1].items() if name != "owner"}
EARLY = JOBS[1] | {"result": "success"}


def linted(file: Path, *jobs: Any, **more: Any) -> list[Any]:
    file.write_text("".join(map(line, jobs)))
    return list(Files([str(file)], plan(JOB_SCHEMA, judge=Judge(more.pop("off", ())), **more)).judged())


def test_a_job_that_treeherder_would_drop_is_refused_unless_it_is_forced(file: Path) -> None:
    good, refused = linted(file, JOBS[1], OWNERLESS)
    assert (len(good), good.lint) == (1, ())
    assert isinstance(refused, RefusedPayload)
    assert isinstance(refused.error, RefusedJob)
    assert [(problem.rule, problem.line) for problem in refused.error.problems] == [("owner-missing", 2)]
    assert [one.finding.rule for one in refused.lint] == ["owner-missing"]
    (forced,) = linted(file, OWNERLESS, force=True)
    assert len(forced) == 1
    assert [one.finding.rule for one in forced.lint] == ["owner-missing"]
    (off,) = linted(file, OWNERLESS, off=["owner-missing"])
    assert off.lint == ()


def test_a_job_that_treeherder_would_show_wrong_causes_a_warning(file: Path) -> None:
    (taken,) = linted(file, EARLY)
    assert len(taken) == 1
    assert [(one.finding.rule, one.line) for one in taken.lint] == [("result-early", 1)]
    assert taken.source == str(file)


def test_states_are_compared_across_the_files_of_one_run(tmp_path: Path) -> None:
    completed = JOBS[2]
    earlier = {name: value for name, value in completed.items() if name != "result"} | {"state": "running"}
    for name, job in (("a", completed), ("b", earlier)):
        (tmp_path / f"{name}.ndjson").write_text(line(job))
    names = [str(tmp_path / f"{name}.ndjson") for name in "ab"]
    off = ["summary-unused"]
    files = Files(names, plan(JOB_SCHEMA, judge=Judge(off)))
    assert [[one.finding.rule for one in taken.lint] for taken in files.judged()] == [[], ["state-backwards"]]
    files = Files(names[::-1], plan(JOB_SCHEMA, judge=Judge(off)))
    assert [taken.lint for taken in files.judged()] == [(), ()]


def test_an_unchanged_block_is_not_linted_again(file: Path) -> None:
    file.write_text(line(JOBS[1]))
    files = Files([str(file)], plan(JOB_SCHEMA, judge=Judge()))
    list(files.judged())
    assert [taken.lint for taken in files.again()] == [()]
    file.write_text(line(OWNERLESS))
    (again,) = files.again()
    assert isinstance(again, RefusedPayload)
    assert again.lint


@pytest.mark.parametrize(
    ("more", "rules"),
    [
        ({"key": "other.autoland._", "destinations": ()}, ["key-mismatch"]),
        ({"key": f"other.{PROJECT}._", "destinations": ()}, []),
        ({"destinations": ("a", "b")}, []),
    ],
)
def test_the_routing_key_of_a_job_is_compared_with_its_project(
    more: dict[str, Any], rules: list[str], file: Path
) -> None:
    (taken,) = linted(file, JOBS[1], **more)
    assert [one.finding.rule for one in taken.lint] == rules


def test_rules_apply_after_the_edits(file: Path) -> None:
    edits = Edits(["owner=me"], schema=JOB_SCHEMA)
    (taken,) = linted(file, OWNERLESS, edits=edits)
    assert taken.lint == ()
    (refused,) = linted(file, JOBS[1], edits=Edits([], ["owner"], schema=JOB_SCHEMA))
    assert isinstance(refused, RefusedPayload)
