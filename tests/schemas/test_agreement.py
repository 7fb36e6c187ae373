"""Python's `jsonschema`, which Treeherder uses, is the reference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from support.samples import CORPUS, JOBS, SCHEMA, mutated, places

from pulsekit._documents.document import parse_yaml
from pulsekit.schemas.compiler import compile_members, compile_schema
from pulsekit.schemas.drafts import check_schema
from pulsekit.schemas.explain import list_problems
from pulsekit.schemas.profiles import PROFILES
from pulsekit.schemas.runtime import Refused, bind
from pulsekit.schemas.schema import load_schema, shipped_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pulsekit.errors import Problem
    from pulsekit.schemas.profiles import Profile
    from pulsekit.schemas.runtime import Validator

pytestmark = pytest.mark.timeout(300)

# The number of jobs for every question. With fewer jobs, not every keyword would be violated.
COUNTS = [12_000, pytest.param(20_000, marks=pytest.mark.slow)]
SEED = 20261123


@dataclass(frozen=True)
class Tally:
    """The comparison of the verdicts on many jobs."""

    differing: list[Any]  # jobs
    valid: int
    invalid: int
    held: set[tuple[tuple[str, ...], str]]  # keywords that a valid job fulfils, with their places


@dataclass(frozen=True)
class Verdict:
    job: Any
    oracle: bool
    treeherder: bool
    strict: bool
    problems: tuple[Problem, ...]  # those of the strict profile


@pytest.fixture(scope="module", params=COUNTS)
def verdicts(request: pytest.FixtureRequest) -> list[Verdict]:
    jobs, oracle = _given()
    schema = load_schema("pulse-job")
    return [
        Verdict(
            job,
            oracle.is_valid(job),
            schema.is_valid(job, "treeherder"),
            schema.is_valid(job, "strict"),
            schema.problems(job, "strict"),
        )
        for job in mutated(jobs, request.param, SEED)
    ]


def _given() -> tuple[list[Any], Any]:
    """Return jobs to start from, and the reference: Treeherder's own schema if it is available."""
    jobs, schema = list(JOBS), SCHEMA
    if CORPUS.is_dir():
        jobs += json.loads((CORPUS / "treeherder-jobs.json").read_bytes())
        schema = parse_yaml((CORPUS / "treeherder-pulse-job.yml").read_bytes()).value
    return jobs, jsonschema.Draft6Validator(schema)


def tally(count: int, seed: int) -> Tally:
    """Return only the two verdicts."""
    jobs, oracle = _given()
    schema = load_schema("pulse-job")
    differing, held, valid = [], set(), 0
    for job in mutated(jobs, count, seed):
        verdict = oracle.is_valid(job)
        if schema.is_valid(job, "treeherder") is not verdict:
            differing.append(job)
        if verdict:
            valid += 1
            held.update(_asked(job))
    return Tally(differing, valid, count - valid, held)


def test_the_treeherder_profile_is_the_verdict_of_jsonschema(verdicts: list[Verdict]) -> None:
    differing = [verdict for verdict in verdicts if verdict.treeherder is not verdict.oracle]
    assert differing == []


def test_the_profiles_disagree_only_about_formats(verdicts: list[Verdict]) -> None:
    for verdict in verdicts:
        if verdict.strict is not verdict.oracle:
            assert verdict.oracle
            assert {problem.rule for problem in verdict.problems} == {"format"}


@pytest.mark.parametrize("profile", PROFILES)
def test_code_that_was_shipped_cached_or_just_compiled_gives_one_verdict(
    verdicts: list[Verdict], profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    schema = tmp_path / "copy.yml"
    schema.write_text(shipped_text("pulse-job"))
    another_process = (
        f"from pulsekit.schemas.schema import load_schema; load_schema({str(schema)!r}).is_valid(0, {profile!r})"
    )
    subprocess.run(
        [sys.executable, "-c", another_process], check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    monkeypatch.setattr("pulsekit.schemas.compiler.generate", lambda *_: pytest.fail("compiled again"))
    cached = load_schema(schema)
    assert not cached.is_valid(0, profile)
    monkeypatch.undo()
    fresh = bind(compile_schema(check_schema(SCHEMA), formats=profile == "strict"))
    for verdict in verdicts:
        assert cached.is_valid(verdict.job, profile) is getattr(verdict, profile)
        assert _is_valid(fresh, verdict.job) is getattr(verdict, profile)


def _is_valid(validator: Validator, job: Any) -> bool:
    try:
        validator(job)
    except Refused:
        return False
    return True


def test_every_refusal_is_explained_and_nothing_else(verdicts: list[Verdict]) -> None:
    checked = check_schema(SCHEMA)
    for verdict in verdicts:
        assert bool(verdict.problems) is not verdict.strict
        assert all(problem.rule != "schema" for problem in verdict.problems)
        if verdict.treeherder:
            assert list_problems(checked, verdict.job, formats=False, most=1) == []
            assert bool(list_problems(checked, verdict.job, formats=True, most=1)) is not verdict.strict


@pytest.mark.parametrize("formats", [True, False])
def test_validators_of_members_change_no_problem(verdicts: list[Verdict], formats: bool) -> None:
    checked = check_schema(SCHEMA)
    members = compile_members(checked, formats=formats)
    for verdict in verdicts[:4_000]:
        found = [list_problems(checked, verdict.job, formats=formats, most=9, members=used) for used in (members, None)]
        assert found[0] == found[1]


def test_the_mutated_jobs_are_sufficiently_varied(verdicts: list[Verdict]) -> None:
    assert sum(verdict.oracle for verdict in verdicts) >= len(verdicts) / 4
    assert sum(not verdict.oracle for verdict in verdicts) >= len(verdicts) / 4
    violated = {(_place(problem), problem.rule) for verdict in verdicts for problem in verdict.problems}
    assert _keywords() - violated == set()


@pytest.mark.timeout(1200)  # a minute on a core that does nothing else
@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_jobs_are_judged_as_jsonschema_judges_them(count: int) -> None:
    total = tally(count, SEED + 1)
    assert total.differing == []
    assert total.valid + total.invalid == count
    assert 2 / 3 < total.valid / total.invalid < 3 / 2
    assert _keywords() - total.held == set()


def _keywords() -> set[tuple[tuple[str, ...], str]]:
    """Every keyword at every place where a job can break it."""
    telling = {"type", "enum", "pattern", "format", "minLength", "maxLength", "minimum", "maximum", "required"}
    found = set()
    for path, schema in places():
        found |= {
            (path, keyword)
            for keyword in telling.intersection(schema)
            if schema[keyword] != 0 or keyword != "minLength"
        }
        if "additionalProperties" in schema:
            found.add((path, "additionalProperties"))
    return found


def _asked(value: Any, schema: Any = SCHEMA, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the keywords that apply to a job, with their places."""
    if "$ref" in schema:
        schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
    yield from ((at, keyword) for keyword in schema)
    for name, inner in schema.get("properties", {}).items():
        if name in value:
            yield from _asked(value[name], inner, (*at, name))
    if "items" in schema:
        for item in value:
            yield from _asked(item, schema["items"], (*at, "*"))


def _place(problem: Problem) -> tuple[str, ...]:
    tokens = problem.pointer.split("/")[1:]
    if problem.rule == "additionalProperties":
        tokens.pop()
    return tuple("*" if token.isdecimal() else token for token in tokens)


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="no folder shared/corpus beside the checkout")
def test_our_schema_has_the_structure_of_treeherders() -> None:
    theirs = parse_yaml((CORPUS / "treeherder-pulse-job.yml").read_bytes()).value
    assert _bare(SCHEMA) == _bare(theirs)


def _bare(schema: Any, *, members: bool = False) -> Any:
    """Remove titles and descriptions, but not properties of these names; the order does not count."""
    if not isinstance(schema, dict):
        return sorted(schema) if isinstance(schema, list) else schema
    return {
        name: _bare(inner, members=name in {"properties", "definitions"} and not members)
        for name, inner in schema.items()
        if members or name not in {"title", "description"}
    }
