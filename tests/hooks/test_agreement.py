"""Compare hooks with Ajv and JSON-e from npm, which Taskcluster uses. docs/hooks.md lists the differences.

`nox -s hooks_agreement` installs them, and names their folder in PULSEKIT_NODE_MODULES.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hooks.pairs import formats, patterns, schemas, templates
from pulsekit.errors import SchemaError
from pulsekit.hooks import TemplateError, TriggerSchema, render
from pulsekit.hooks.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterable

MODULES = os.environ.get("PULSEKIT_NODE_MODULES")
pytestmark = [
    pytest.mark.skipif(not MODULES, reason="Ajv and JSON-e for Node.js are not installed: nox -s hooks_agreement"),
    pytest.mark.timeout(600),
]
SEED = 20261123
ORACLE = Path(__file__).with_name("oracle.js")


def answers(questions: Iterable[Any]) -> list[dict[str, Any]]:
    """Return `value` or `error` of the oracle for each question."""
    given = "\n".join(map(json.dumps, questions))
    done = subprocess.run(["node", str(ORACLE)], input=given, capture_output=True, text=True, check=True)
    return [json.loads(line, parse_int=_number) for line in done.stdout.splitlines()]


def _number(text: str) -> float:
    return int(text) if len(text) < 16 else float(text)


def verdicts(question: Any) -> dict[str, Any]:
    schema = TriggerSchema(question["schema"])
    try:
        return {"value": [not schema.problems(payload) for payload in question["payloads"]]}
    except SchemaError as error:
        return {"error": str(error)}


def rendered(question: Any) -> dict[str, Any]:
    now = datetime.fromisoformat(question["now"])
    try:
        return {"value": render(question["template"], question["context"] | {"now": now})}
    except TemplateError as error:
        return {"error": str(error)}


def is_listed(ours: Any, theirs: Any) -> bool:
    """Return whether docs/hooks.md lists the difference."""
    if "error" in ours:
        below_defs = "$defs" in ours["error"]
        not_a_number = "NaN" in ours["error"]
        not_of_python = "has no equal in Python" in ours["error"]
        return below_defs or not_a_number or not_of_python
    return _without_dates(ours) == _without_dates(theirs)  # `new Date` reads more forms of dates


def _without_dates(value: Any) -> Any:
    text = json.dumps(value, sort_keys=True)
    return re.sub(r'"\d{4}-\d\d-\d\dT[\d:.]+Z"', "null", text)


def test_verdicts_on_5000_payloads_are_those_of_ajv() -> None:
    questions = list(schemas(1000, SEED))
    assert sum(len(question["payloads"]) for question in questions) == 5000
    oracle = answers(questions)
    valid = [verdict for answer in oracle for verdict in answer.get("value", ())]
    assert min(valid.count(True), valid.count(False), sum("error" in answer for answer in oracle)) > 200
    _compare(questions, oracle, [verdicts(question) for question in questions])


def test_patterns_and_formats_are_those_of_ajv() -> None:
    names = FORMATS.keys() - {"regex"}  # docs/hooks.md lists it
    questions = [*patterns(2000, SEED), *formats(names, 5000, SEED)]
    _compare(questions, answers(questions), [verdicts(question) for question in questions])


def test_1000_rendered_templates_are_those_of_json_e() -> None:
    questions = list(templates(1000, SEED))
    oracle = answers(questions)
    assert min(sum("error" in answer for answer in oracle), sum("value" in answer for answer in oracle)) > 200
    _compare(questions, oracle, [rendered(question) for question in questions])


def _compare(questions: list[Any], oracle: list[Any], ours: list[Any]) -> None:
    """Fail with the first questions whose answers differ. The texts of errors may differ."""
    different = [
        (question, theirs, own)
        for question, theirs, own in zip(questions, oracle, ours, strict=True)
        if theirs.keys() != own.keys() or ("error" not in own and not _same(own["value"], theirs["value"]))
    ]
    unlisted = [one for one in different if not is_listed(one[2], one[1])]
    assert not unlisted, "\n".join(json.dumps(one) for one in unlisted[:5])
    assert len(different) < len(questions) / 50


def _same(ours: Any, theirs: Any) -> bool:
    return json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)
