from __future__ import annotations

from typing import Any

import pytest
from support.samples import COMPLETED, JOBS, PENDING, RUNNING, mutated

from pulsekit._documents.payloads import encode_payload
from pulsekit.treeherder import Linter, lint_job
from pulsekit.treeherder.checks import CHECKS, Reading
from pulsekit.treeherder.suspects import suspects

KEY = "treeherder.mozilla-central._"
TIMES = ("timeScheduled", "timeStarted", "timeCompleted")
PLAIN = COMPLETED | {"jobInfo": {"links": COMPLETED["jobInfo"]["links"]}}


def test_whatever_is_found_in_a_job_was_suspected() -> None:
    known = quick = broken = 0
    for job in mutated([*JOBS, PLAIN], 8000, 20261125):
        if not isinstance(job, dict):
            continue
        named = suspects(job, KEY, 0)
        long = [one for rule, check in CHECKS.items() if rule != "message-large" for one in check(Reading(job, KEY))]
        rules = {rule for rule, check in CHECKS.items() if rule != "message-large" and check(Reading(job, KEY))}
        assert named is None or rules <= set(named)
        assert len(lint_job(job, KEY, off=["message-large"])) == len(long)
        known += named is not None
        quick += named == []
        broken += bool(rules)
    assert known > 5000
    assert quick > 1000
    assert broken > 1000


@pytest.mark.parametrize("job", [RUNNING, PLAIN, PENDING | {"timeScheduled": "2026-11-23T17:58:00Z"}])
def test_what_most_jobs_look_like_is_suspected_of_nothing(job: dict[str, Any]) -> None:
    zoned = {name: "2026-11-23T17:58:00.25+01:00" for name in TIMES if name in job}
    for one in (job, job | zoned):
        assert not suspects(one, None, 1000) or one is RUNNING  # whose times are in two zones
        assert lint_job(one) == ()


@pytest.mark.parametrize(
    "texts",
    [
        ("2026-02-29T00:00:00Z",) * 3,
        ("2026-04-31T00:00:00Z",) * 3,
        ("2026-11-23T23:59:60Z",) * 3,
        ("2026-11-23T18:00:01Z", "2026-11-23T18:00:00.9Z", "2026-11-23T18:00:02Z"),
        ("2026-11-23T18:00:00+01:00", "2026-11-23T17:30:00Z", "2026-11-23T18:00:00Z"),
        ("2026-11-23T18:00:00Z", "2026-11-23T18:00:00Z\n", "2026-11-23T18:00:00Z"),
        ("2026-11-23T18:00:00", "2026-11-23T18:00:00", "2026-11-23T18:00:00"),
    ],
)
def test_times_that_need_a_second_look_are_suspected(texts: tuple[str, str, str]) -> None:
    named = suspects(PLAIN | dict(zip(TIMES, texts, strict=True)), None, 1000)
    assert named is not None
    assert "times-disordered" in named


def test_the_size_decides_whether_it_is_known_or_not() -> None:
    large = PLAIN | {"labels": ["x" * 40] * 200}
    size = len(encode_payload(large))
    assert size > 8192
    for known in (None, size, size + 10_000):
        assert [found.rule for found in Linter().lint(large, size=known)] == ["message-large"]
    small = Linter().lint(PLAIN, size=len(encode_payload(PLAIN)) + 10_000)
    assert small == ()  # a size that is only an upper limit is worked out


def test_states_that_go_backwards_are_seen_in_plain_jobs() -> None:
    linter = Linter()
    assert linter.lint(PLAIN, size=100) == ()
    earlier = {name: value for name, value in PLAIN.items() if name not in {"result", "timeCompleted"}}
    found = linter.lint(earlier | {"state": "running"}, size=100)
    assert [one.rule for one in found] == ["state-backwards"]
    assert Linter(off=["state-backwards"]).lint(PLAIN, size=100) == ()
