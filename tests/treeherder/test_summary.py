from __future__ import annotations

from typing import Any

import pytest

from pulsekit.treeherder import summarize

JOB: dict[str, Any] = {
    "origin": {"project": "mozilla-inbound"},
    "display": {"jobSymbol": "bc", "chunkId": 5, "groupSymbol": "M", "jobName": "test-linux"},
    "state": "completed",
    "result": "success",
}


def test_a_summary_reads_as_treeherder_shows_the_job() -> None:
    seen = summarize(JOB)
    assert seen is not None
    assert (seen.symbol, seen.state, seen.result, seen.name) == ("M(bc5)", "completed", "success", "test-linux")
    alone = summarize(JOB | {"display": {"jobSymbol": "B", "groupSymbol": "?"}})
    assert alone is not None
    assert alone.symbol == "B"


@pytest.mark.parametrize(
    "payload", [None, 1, "x", [], {}, {"state": "running"}, {"display": {}}, {"display": 1, "state": "x"}]
)
def test_a_payload_that_is_not_a_job_has_no_summary(payload: Any) -> None:
    assert summarize(payload) is None


@pytest.mark.parametrize("broken", [{"display": {}}, {"origin": 1}, {"result": [1]}, {"display": {"jobSymbol": True}}])
def test_a_broken_job_is_summarized_as_far_as_possible(broken: dict[str, Any]) -> None:
    seen = summarize(JOB | broken)
    assert seen is not None
    assert seen.state == "completed"
