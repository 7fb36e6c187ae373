from __future__ import annotations

import json
import re
import tracemalloc
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import CORPUS, JOBS, PENDING, mutated
from support.traced import held_by

from pulsekit._documents.document import parse_yaml
from pulsekit._documents.payloads import encode_payload
from pulsekit.errors import ConfigurationError
from pulsekit.treeherder import RULES, Finding, Linter, Severity, lint_job
from pulsekit.treeherder import lint as linter
from pulsekit.treeherder.rule_checks import CHECKS

DOCS = Path(__file__).parents[2] / "docs" / "lint.md"

# A job that breaks no rule.
GOOD: dict[str, Any] = {
    "taskId": "7a1c9e52-03b4-4d6f-8e71-2f5a9c0b3d48/0",
    "origin": {"project": "try", "revision": "5c3e1f4b9d2a7086e1f4b9d2a70865c3e1f4b9d2"},
    "buildSystem": "our-ci",
    "display": {"jobName": "unit tests", "jobSymbol": "u", "groupSymbol": "?"},
    "state": "completed",
    "result": "fail",
    "jobKind": "test",
    "owner": "ci@example.com",
    "timeScheduled": "2026-11-23T17:58:00Z",
    "timeStarted": "2026-11-23T18:00:00Z",
    "timeCompleted": "2026-11-23T18:20:00Z",
    "version": 1,
}
SCHEDULED = {"timeScheduled": "2026-11-23T17:58:00Z"}
STARTED = SCHEDULED | {"timeStarted": "2026-11-23T18:00:00Z"}


def but(changes: dict[str, Any] | None = None, *, without: str = "") -> dict[str, Any]:
    """Return the valid job with some properties changed and some removed."""
    job = deepcopy(GOOD) | (changes or {})
    for name in without.split():
        del job[name]
    return job


def display(symbol: str, chunk: Any = None) -> dict[str, Any]:
    return {"display": GOOD["display"] | {"jobSymbol": symbol} | ({} if chunk is None else {"chunkId": chunk})}


def link(text: str, url: str) -> dict[str, Any]:
    return {"jobInfo": {"links": [{"label": "log", "linkText": text, "url": url}]}}


def url(size: int) -> str:
    return "https://ci.example.com/".ljust(size, "x")


def machine(**more: str) -> dict[str, str]:
    return {"platform": "linux64", "os": "linux", "architecture": "x86_64", **more}


def sized(size: int) -> dict[str, Any]:
    """Return a job whose message has a number of bytes."""
    job = but({"buildSystem": ""})
    job["buildSystem"] = "x" * (size - len(json.dumps(job, separators=(",", ":"))))
    return job


# For every rule, jobs that just break it, and the position of the value.
BREACHES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("owner-missing", but(without="owner"), [""]),
    ("time-unreadable", but({"timeStarted": "soon"}), ["/timeStarted"]),
    ("time-unreadable", but({"timeScheduled": "24:00", "timeCompleted": ""}), ["/timeScheduled", "/timeCompleted"]),
    ("time-incomplete", but({"timeScheduled": "10:00", "timeCompleted": "2025"}), ["/timeScheduled", "/timeCompleted"]),
    ("time-incomplete", but({"timeScheduled": "Monday", "timeCompleted": "-1"}), ["/timeScheduled", "/timeCompleted"]),
    ("time-unreadable", but({"timeStarted": "2026-11-23T18:00:60Z"}), ["/timeStarted"]),
    ("task-id-form", but({"taskId": "build-7"}), ["/taskId"]),
    ("task-id-form", but({"taskId": GOOD["taskId"].removesuffix("/0")}), ["/taskId"]),
    ("result-early", but({"state": "running"}), ["/result"]),
    ("result-early", but({"state": "unscheduled", "result": "success"}), ["/result"]),
    ("result-missing", but(without="result"), [""]),
    ("result-retried", but({"result": "success", "isRetried": True}), ["/result"]),
    ("times-disordered", but({"timeStarted": "2026-11-23T17:57:59Z"}), ["/timeStarted"]),
    ("times-disordered", but({"timeCompleted": "2026-11-23T18:20:00+01:00"}), ["/timeCompleted"]),
    ("symbol-long", but(display("x" * 24, 10)), ["/display/jobSymbol"]),
    ("symbol-long", but(display("", 10**25)), ["/display/jobSymbol"]),
    ("symbol-long", but(display("", 10**5000)), ["/display/jobSymbol"]),
    ("product-name-long", but({"productName": "x" * 101}), ["/productName"]),
    ("owner-long", but({"owner": "x" * 51}), ["/owner"]),
    ("log-url-long", but(link("mochi_errorsummary.log", url(256))), ["/jobInfo/links/0/url"]),
    ("log-url-long", but({"logs": [{"name": "live_backing_log", "url": url(256)}]}), ["/logs/0/url"]),
    ("time-missing", but(without="timeScheduled timeCompleted"), [""]),
    ("time-missing", but({"state": "pending"}, without="timeScheduled timeStarted timeCompleted result"), [""]),
    ("time-missing", but({"state": "running"}, without="timeStarted timeCompleted result"), [""]),
    ("time-zone-missing", but({"timeScheduled": "2026-11-23T17:58:00"}), ["/timeScheduled"]),
    ("result-kind", but({"jobKind": "other"}), ["/jobKind"]),
    ("log-unparsed", but({"logs": [{"name": "live.log", "url": url(30)}]}), ["/logs/0/name"]),
    ("machine-unnamed", but({"buildMachine": machine(), "runMachine": machine(name="tester-1")}), ["/buildMachine"]),
    ("machine-unnamed", but({"buildMachine": machine()}), ["/buildMachine"]),
    ("summary-unused", but({"jobInfo": {"summary": "all is well"}}), ["/jobInfo/summary"]),
    ("message-large", sized(8193), [""]),
]

# Jobs that almost break a rule.
GOOD_ONES = [
    but(),
    but({"owner": "x" * 50}),
    but({"state": "unscheduled"}, without="result timeScheduled timeStarted timeCompleted"),
    but({"state": "pending", **SCHEDULED}, without="result timeStarted timeCompleted"),
    but({"state": "running", **STARTED}, without="result timeCompleted"),
    but({"state": "running", "result": "unknown"}, without="timeCompleted"),
    but({"result": "exception", "isRetried": True}),
    but({"isRetried": True}, without="result"),
    but({"result": "success", "isRetried": False}),
    but({"result": "success", "jobKind": "other"}),
    but({"jobKind": "build"}),
    but({"timeStarted": GOOD["timeScheduled"], "timeCompleted": GOOD["timeScheduled"]}),
    but({"timeStarted": "Mon, 23 Nov 2026 19:00:00 +0100"}),
    but(display("x" * 25)),
    but(display("x" * 23, 10)),
    but({"productName": "x" * 100}),
    but(link("mochi_errorsummary.log", url(255))),
    but(link("report", url(512))),
    but({"logs": [{"name": name, "url": url(255)} for name in ("live_backing_log", "errorsummary_json")]}),
    but({"buildMachine": machine(name="builder-1"), "runMachine": machine()}),
    but({"runMachine": machine()}),
    but({"jobInfo": {"links": []}}),
    sized(8192),
]


@pytest.mark.parametrize(("rule", "job", "pointers"), BREACHES)
def test_each_broken_rule_is_found_and_no_other(rule: str, job: dict[str, Any], pointers: list[str]) -> None:
    found = lint_job(job)
    assert [(one.rule, one.pointer) for one in found] == [(rule, pointer) for pointer in pointers]
    assert all(one.message and one.hint for one in found)


@pytest.mark.parametrize("job", GOOD_ONES)
def test_a_job_that_keeps_the_rules_has_no_findings(job: dict[str, Any]) -> None:
    assert lint_job(job) == ()


def test_every_rule_is_tested() -> None:
    of_several_jobs, of_messages = "state-backwards", {"content-type", "content-encoding"}  # see test_verdict.py
    tried = {rule for rule, _, _ in BREACHES} | {of_several_jobs, "key-mismatch", "project-unknown"} | of_messages
    assert tried == {rule.name for rule in RULES} == {*CHECKS, of_several_jobs} | of_messages


def test_times_are_compared_over_one_that_is_missing() -> None:
    found = lint_job(but({"timeCompleted": "2026-11-23T17:57:59Z"}, without="timeStarted"))
    assert [(one.rule, one.pointer) for one in found] == [("times-disordered", "/timeCompleted"), ("time-missing", "")]
    assert found[0].message == "is 1 second before timeScheduled"


def test_a_key_must_follow_from_the_job() -> None:
    assert lint_job(GOOD, "treeherder.try._") == ()
    (found,) = lint_job(GOOD, "treeherder.autoland._")
    assert (found.rule, found.severity, found.pointer) == ("key-mismatch", "wrong", "/origin/project")
    assert '"treeherder.autoland._"' in found.message
    assert '"try"' in found.message


def test_findings_are_ordered_by_severity() -> None:
    job = but({"timeStarted": "soon", "logs": [{"name": "log", "url": url(30)}]}, without="owner result")
    job["taskId"] = PENDING["taskId"]
    severities = [one.severity for one in lint_job(job)]
    assert severities == sorted(severities, key=list(Severity).index)
    assert set(severities) == set(Severity)
    both = Linter()
    both.lint(but({"taskId": PENDING["taskId"]}))
    back = both.lint(PENDING | {"owner": "x" * 51})
    assert [one.rule for one in back] == ["state-backwards", "owner-long", "time-missing"]


def test_a_finding_reads_as_a_sentence() -> None:
    (found,) = lint_job(but({"owner": "x" * 51}))
    assert isinstance(found, Finding)
    assert str(found) == "/owner: has 51 characters (shorten it)"
    (found,) = lint_job(but(without="owner"))
    assert str(found) == 'payload: "owner" is missing (add the owner, such as me@example.com)'


# several jobs


def states(*names: str, one: Linter) -> list[tuple[str, ...]]:
    """Return the rules that the states of one job break, one after the other."""
    by_state = {
        "pending": but({"state": "pending", **SCHEDULED}, without="result timeStarted timeCompleted"),
        "running": but({"state": "running", **STARTED}, without="result timeCompleted"),
        "completed": but(),
        "retried": but({"isRetried": True}),
    }
    return [tuple(found.rule for found in one.lint(by_state[name])) for name in names]


@pytest.mark.parametrize(
    ("names", "backwards"),
    [
        (["pending", "running", "completed"], []),
        (["pending", "pending", "running", "running"], []),
        (["pending", "completed", "completed"], []),
        (["pending", "completed", "retried", "completed"], [2]),
        (["completed", "running"], [1]),
        (["running", "pending", "running"], [1]),
        (["completed", "pending", "running", "completed"], [1, 2]),
    ],
)
def test_states_go_forwards_and_completed_is_final(names: list[str], backwards: list[int]) -> None:
    found = states(*names, one=Linter())
    assert [number for number, rules in enumerate(found) if rules] == backwards
    assert {rule for rules in found for rule in rules} <= {"state-backwards"}


def test_another_task_or_retry_has_its_own_states() -> None:
    one = Linter()
    one.lint(GOOD)
    pending = but({"state": "pending", **SCHEDULED}, without="result timeStarted timeCompleted")
    assert one.lint(pending | {"taskId": GOOD["taskId"].replace("/0", "/1")}) == ()
    (found,) = one.lint(pending)
    assert (found.pointer, found.message) == ("/state", '"pending" follows "completed" of the same taskId')
    (found,) = one.lint(but({"result": "exception"}))
    assert (found.pointer, found.message) == ("/state", 'another result follows "completed" of the same taskId')


def test_a_new_file_resets_the_states() -> None:
    one = Linter()
    assert states("completed", one=one) == [()]
    one.begin()
    assert states("pending", "running", one=one) == [(), ()]


def test_of_many_jobs_the_last_ones_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linter, "_REMEMBERED", 2)
    one = Linter()
    for task in ("a/0", "b/0", "a/0", "c/0"):
        one.lint({"taskId": task, "state": "completed"})
    rules = {
        task: {found.rule for found in one.lint({"taskId": task, "state": "running"})} for task in ("a/0", "c/0", "b/0")
    }
    assert [task for task, found in rules.items() if "state-backwards" in found] == ["a/0", "c/0"]


def test_a_million_jobs_do_not_increase_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linter, "_REMEMBERED", 100)
    one, ours = Linter(), (f"{Path(linter.__file__).parent}/*", __file__)
    tracemalloc.start()
    try:
        for number in range(5_000):
            one.lint({"taskId": f"{number}/0", "state": "completed"})
            if number == 500:
                before = held_by(*ours)
        assert held_by(*ours) < before + 20_000
    finally:
        tracemalloc.stop()


def test_lint_of_one_job_remembers_nothing() -> None:
    assert lint_job(GOOD) == ()
    assert lint_job(but({"state": "pending", **SCHEDULED}, without="result timeStarted timeCompleted")) == ()


# switching rules off


@pytest.mark.parametrize(("rule", "job", "pointers"), BREACHES)
def test_a_rule_can_be_switched_off_by_its_name(rule: str, job: dict[str, Any], pointers: list[str]) -> None:
    assert lint_job(job, off=[rule]) == ()


def test_rules_that_need_a_key_or_a_file_can_be_disabled() -> None:
    assert lint_job(GOOD, "treeherder.autoland._", off=["key-mismatch"]) == ()
    assert states("completed", "pending", one=Linter(["state-backwards"])) == [(), ()]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("owner-mising", "did you mean 'owner-missing'"),
        ("nonsense", "rules are content-type, content-encoding, owner-missing, "),
    ],
)
def test_an_unknown_rule_cannot_be_disabled(name: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}'.*{words}"):
        Linter(["message-large", name])


# any input

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["completed", "\ud800"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(sorted(GOOD)), inner),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_linted_without_an_error(payload: Any) -> None:
    for found in lint_job(payload, "a.b"):
        assert found.rule in {rule.name for rule in RULES}


@given(st.sampled_from(sorted(GOOD)), JSON)
def test_any_json_as_a_property_is_linted_without_an_error(name: str, value: Any) -> None:
    lint_job(but({name: value}), "a.b")


@pytest.mark.parametrize("payload", [None, 1, "text", [], [GOOD], True, float("nan")])
def test_a_value_that_is_not_an_object_breaks_no_rule(payload: Any) -> None:
    assert lint_job(payload) == ()


def test_broken_jobs_are_linted_and_findings_point_to_existing_values() -> None:
    one = Linter()
    rules = set()
    for job in mutated([*JOBS, GOOD], 5000, 20261123):
        for found in one.lint(job, "treeherder.try._"):
            rules.add(found.rule)
            value = job
            for token in found.pointer.split("/")[1:]:
                value = value[int(token) if isinstance(value, list) else token]
    assert len(rules) > len(RULES) / 2


def test_a_job_that_json_cannot_represent_breaks_only_the_other_rules() -> None:
    loop: dict[str, Any] = but({"productName": "x" * 101})
    loop["labels"] = [loop]
    assert [one.rule for one in lint_job(loop)] == ["product-name-long"]


def test_the_size_is_checked_even_if_it_is_not_given() -> None:
    large = but({"labels": ["x" * 40] * 200})
    size = len(encode_payload(large))
    assert size > 8192
    for known in (None, size, size + 10_000):
        assert [found.rule for found in Linter().lint(large, size=known)] == ["message-large"]
    assert Linter().lint(GOOD, size=20_000) == ()  # if the size is only an upper limit, it is computed


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="no folder shared/corpus beside the checkout")
def test_jobs_that_treeherder_accepted_break_no_rule() -> None:
    one = Linter()
    jobs = json.loads((CORPUS / "treeherder-jobs.json").read_bytes())
    assert len(jobs) == 30
    for job in jobs:
        assert one.lint(job, f"treeherder.{job['origin']['project']}._") == ()


# the documentation


def test_the_documentation_has_the_table_of_rules() -> None:
    rows = [f"| `{rule.name}` | {rule.severity} | {rule.about} |" for rule in RULES]
    documented = re.findall(r"^\| `.*", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert documented == rows


def test_the_samples_of_the_documentation_work(capsys: pytest.CaptureFixture[str]) -> None:
    text = DOCS.read_text(encoding="utf-8")
    (configuration,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    Linter(parse_yaml(configuration).value["lint_off"])
    (sample,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(sample, {})
    assert "dropped owner-missing" in capsys.readouterr().out
