from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from support.samples import CORPUS

from hooks.pairs import PUSH, PUSH_SCHEMA
from pulsekit.bindings import Binding
from pulsekit.errors import DocumentError
from pulsekit.hooks import Hook, HookTally, Outcome, TriggerSchema, check_hook, fire, read_hooks

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 23, 18, tzinfo=UTC)
PUSHES = "exchange/hgpushes/v2"
TRY: dict[str, Any] = {"exchange": PUSHES, "keys": ("try",)}
TASK = {
    "deadline": {"$fromNow": "30 minutes"},
    "routes": ["index.${payload.payload.data.pushlog_pushes[0].pushid}"],
    "metadata": {"name": "By ${firedBy} as ${taskId}"},
}
CONFIGURATION = """\
meta:
  part: &part {status: {type: object}}
project-a/report-{mode}:
  variants: [{mode: production, level: 3}, {mode: testing, level: 1}]
  name: Report ({mode})
  template_file: {by-mode: {prod.*: templates/report.yml, default: 'templates/other-{level}.yml'}}
  bindings:
    - {exchange: exchange/taskcluster-queue/v1/task-completed, routing_key_pattern: 'route.project.{mode}.done'}
  trigger_schema: {properties: {<<: *part}}
project-a/no-schema:
  template_file: templates/report.yml
"""


def hook(**parts: Any) -> Hook:
    given = {"name": "hg-push/try", "bindings": (Binding("exchange/hgpushes/v2", "try"),), "task": TASK}
    given["trigger_schema"] = TriggerSchema(parts.pop("schema", PUSH_SCHEMA))
    return Hook(**given | parts)


def test_a_task_is_completed_as_taskcluster_completes_it() -> None:
    firing = fire(hook(), PUSH, **TRY, now=NOW, task_id="fN1SbArXTPSVFNUvaOlinQ")
    assert firing.outcome is Outcome.FIRES
    assert firing.binding == Binding("exchange/hgpushes/v2", "try")
    assert firing.task == {
        "created": "2026-11-23T18:00:00.000Z",
        "deadline": "2026-11-23T18:30:00.000Z",
        "expires": "2026-12-23T18:00:00.000Z",
        "taskGroupId": "fN1SbArXTPSVFNUvaOlinQ",
        "routes": ["index.2"],
        "metadata": {"name": "By pulseMessage as fN1SbArXTPSVFNUvaOlinQ"},
    }
    default = fire(hook(task={}, schema={}), 1, now=NOW)  # an empty object is a task
    assert default.task is not None
    assert default.task["deadline"] == "2026-11-24T18:00:00.000Z"
    assert default.task["taskGroupId"] == default.task_id
    assert len(default.task_id) == 22


@pytest.mark.parametrize(
    ("parts", "routed", "outcome", "reason"),
    [
        ({}, {"keys": ("other",), "exchange": PUSHES}, Outcome.NO_BINDING, "pattern has 'try', key has 'other'"),
        ({}, {"keys": ("try",), "exchange": "exchange/hgpushes/v1"}, Outcome.NO_BINDING, "another exchange"),
        ({"bindings": ()}, TRY, Outcome.NO_BINDING, "no bindings"),
        ({"schema": {"tpye": "object"}}, TRY, Outcome.SCHEMA_ERROR, "unknown keyword 'tpye'"),
        ({"schema": {"required": ["x"]}}, TRY, Outcome.DISCARDED, '"x" is missing'),
        ({"task": {"a": "${payload.x}"}}, TRY, Outcome.TEMPLATE_ERROR, 'no property "x"'),
        ({"task": ["a"]}, TRY, Outcome.TEMPLATE_ERROR, "not an object"),
        ({"task": {"$if": "false", "then": {}}}, TRY, Outcome.DECLINED, "null"),
        ({"task": {"$eval": "0"}}, TRY, Outcome.DECLINED, "0"),
        ({}, {"keys": ("other", "try"), "exchange": PUSHES}, Outcome.FIRES, ""),  # a key of CC
    ],
)
def test_each_reason_for_no_task_is_an_outcome(parts: Any, routed: Any, outcome: Outcome, reason: str) -> None:
    firing = fire(hook(**parts), PUSH, **routed)
    assert firing.outcome is outcome
    assert reason in firing.reason


def test_without_keys_only_the_exchange_is_compared() -> None:
    assert fire(hook(), PUSH, exchange=PUSHES).outcome is Outcome.FIRES
    assert fire(hook(), PUSH, exchange="exchange/hgpushes/v1").outcome is Outcome.NO_BINDING


def test_errors_of_a_hook_are_found_without_a_message() -> None:
    bindings = (
        Binding("exchange/hgpushes/v3", "try"),
        Binding("exchange/taskcluster-queue/v1/task-failed", "nonsense.#"),
    )
    rules = [finding.rule for finding in check_hook(hook(bindings=bindings, schema={"id": "x"}))]
    assert rules == ["exchange", "position", "schema"]
    assert [finding.rule for finding in check_hook(hook(schema={"additionalProperties": False}))] == ["discards-all"]
    assert not check_hook(hook())


def test_a_tally_counts_outcomes_and_reasons() -> None:
    one = hook()
    tally = HookTally((one,))
    for payload in (PUSH, PUSH, {"payload": {}}, {}):
        tally.add(fire(one, payload))
    assert tally.fired == 2
    assert tally.outcomes[one.name] == {Outcome.FIRES: 2, Outcome.DISCARDED: 2}
    assert tally.reasons[one.name] == {'/payload: "type" is missing': 1, 'payload: "payload" is missing': 1}


def test_a_frequent_reason_is_counted_also_after_a_thousand_others() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    one = hook(schema=schema)
    tally = HookTally((one,))
    for value in ("same", *map(str, range(1100)), "same"):
        tally.add(fire(one, {"a": value}))
    assert tally.reasons[one.name].most_common(1) == [('/a: must be an integer, not the string "same"', 2)]
    assert len(tally.reasons[one.name]) == 1000


def write(folder: Path, text: str = CONFIGURATION) -> Path:
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates" / "report.yml").write_text("a: '{{ ${firedBy} {mode}'\nb: {$eval: now}\n")
    (folder / "templates" / "other-1.yml").write_text("c: {mode}\n")
    (folder / "latin-1.yml").write_bytes(b"a: \xe9")
    (folder / "hooks.yml").write_text(text)
    return folder / "hooks.yml"


def test_a_configuration_has_variants_template_files_and_anchors(tmp_path: Path) -> None:
    path = write(tmp_path, CONFIGURATION.replace("  template_file: templates/report.yml", "  template_file: plain.yml"))
    (tmp_path / "plain.yml").write_text("a: yes\n")
    production, testing, plain = read_hooks(path)
    assert [one.name for one in (production, testing, plain)] == [
        "project-a/report-production", "project-a/report-testing", "project-a/no-schema",
    ]  # fmt: skip
    assert production.bindings[0].pattern == "route.project.production.done"
    assert production.task == {"a": "{ ${firedBy} production", "b": {"$eval": "now"}}
    assert testing.task == {"c": "testing"}
    assert production.trigger_schema.value == {"properties": {"status": {"type": "object"}}}
    assert plain.trigger_schema.value == {}
    assert plain.task == {"a": True}  # PyYAML reads it for fxci-config


def test_hooks_of_the_api_are_one_or_several(tmp_path: Path) -> None:
    one = {
        "hookGroupId": "a",
        "hookId": "b",
        "task": TASK,
        "bindings": [{"exchange": PUSHES, "routingKeyPattern": "#"}],
    }
    path = tmp_path / "h.json"
    for value, count in ((one, 1), ([one, one], 2), ({"hooks": [one]}, 1)):
        path.write_text(json.dumps(value))
        hooks = read_hooks(path)
        assert [found.name for found in hooks] == ["a/b"] * count
        assert hooks[0].trigger_schema.allows_nothing  # the default schema
    path.write_text(json.dumps({"task": {}}))
    assert read_hooks(path)[0].name == "h"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a/b: {}", "1:6: the hook a/b needs template_file"),
        ("ab: {}", "1:5: the name 'ab' is not"),
        ("a/b: {template_file: ../x.yml}", "1:22: the template '../x.yml' is outside"),
        ("a/b: {template_file: '{mode}'}", "mode} is not a name of the variants"),
        ("a/b: {template_file: a.yml, bindings: [{exchange: exchange/a/b}]}", "1:40: a binding needs exchange"),
        ("a/b: {template_file: a.yml, bindings: [{exchange: x, routing_key_pattern: y}]}", "1:40: 'x'"),
        ("a/b: {template_file: {by-a: {b: c, d: e}}}", "0 values of by-a"),
        ("a/b: {variants: 5}", "1:17: variants must be a list of objects"),
        ("a/b: {template_file: latin-1.yml}", "does not allow the character"),
        ("[1]", "a hook must be an object"),
        ("task: 1", "1:7: the task of a hook must be an object"),
        ("a/b: *x", "has no anchor"),
    ],
)
def test_a_file_that_is_not_a_hook_is_refused_with_its_position(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        read_hooks(write(tmp_path, text))
    assert words in str(caught.value)


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not beside the checkout")
def test_the_hook_of_the_corpus_fires_only_on_a_push() -> None:
    (one,) = read_hooks(CORPUS / "hooks" / "hg-push.json")
    routed = {"keys": ("integration/example",), "exchange": "exchange/hgpushes/v2"}
    data = {
        "repo_url": "https://hg.mozilla.org/integration/example",
        "heads": ["a" * 40],
        "pushlog_pushes": [{"pushid": 5}],
    }
    push = {"payload": {"type": "changegroup.1", "data": data}}
    fired = fire(one, push, **routed)
    assert fired.outcome is Outcome.FIRES
    assert fired.task is not None
    assert fired.task["routes"][1] == "index.example.pushlog-id.5"
    obsolete = fire(one, {"payload": {"type": "obsolete.1", "data": data}}, **routed)
    assert (obsolete.outcome, obsolete.problems[0].pointer) == (Outcome.DISCARDED, "/payload/type")
    default = Hook(one.name, one.bindings, TriggerSchema({"type": "object", "additionalProperties": False}), one.task)
    assert fire(default, push, **routed).outcome is Outcome.DISCARDED
    empty = fire(one, {"payload": {"type": "changegroup.1", "data": data | {"pushlog_pushes": []}}}, **routed)
    assert (empty.outcome, empty.place) == (Outcome.TEMPLATE_ERROR, ".routes[1]")
    names = [found.name for found in read_hooks(CORPUS / "hooks" / "hooks.yml")]
    assert names == [f"project-example/{name}" for name in ("report-production", "report-testing", "default-schema")]
