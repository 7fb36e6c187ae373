"""The benchmarks can be run, and the page about performance shows what they found."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.append(str(Path(__file__).parents[1]))  # last, so that an installed pulsekit is the one that is tested

import pulsekit
from benchmarks import page, report, run
from benchmarks.goals import GOALS, judged
from benchmarks.measure import Part, load
from benchmarks.publish import publish_many
from benchmarks.run import PARTS, main
from benchmarks.soak import soak
from benchmarks.stage import Stage, read_jobs
from benchmarks.tasks import Failed, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[1] / "docs"
TINY = ("--rounds", "1", "--seconds", "0.01", "--most", "20", "--broker", "sandbox")
# One client of each kind, because the test would otherwise take long.
CASES = {
    "publish": ("pulsekit publish_many, dicts, validated", "aio-pika windowed, dicts, validated"),
    "consume": ("pulsekit async for, decoded", "pulsekit.sync for, decoded", "aio-pika iterator"),
    "publish-sandbox": ("pulsekit publish_many, bytes",),
    "consume-sandbox": ("pulsekit handler, decoded",),
    "publish-quorum": ("pulsekit publish, one by one, bytes",),
    "consume-quorum": ("pika",),
    "publish-rabbitmq4": ("kombu",),
    "consume-rabbitmq4": ("pulsekit async for, decoded",),
    "latency": ("pulsekit, to confirm", "asyncio and pamqp, to consumer"),
    "latency-sandbox": ("pulsekit.sync, to consumer", "pika, to confirm"),
    "workers": ("pulsekit consume, async def", "kombu ConsumerMixin"),
    "streams": (
        *("pulsekit publish, piped", "pulsekit validate FILE, no invalid job", "pulsekit tail, a full queue"),
        *("pulsekit tail, 10,000/s published", "pulsekit async for, decoded, a full queue"),
    ),
    "growth": ("pulsekit publish_many, dicts, validated: 10", "pulsekit async for, decoded: 10"),
    "recordings": ("pulsekit read_recording: 10", "pulsekit preview: 10"),
    "validate": ("pulsekit is_valid, profile strict",),
    "match": ("pulsekit BindingTable of 10",),
    "startup": ("pulsekit match KEY --binding PATTERN", "pulsekit, a completion", "pulsekit, import and connect"),
}


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage(seconds=0.01, most=20, broker="sandbox") as stage:
        yield stage


@pytest.mark.parametrize("part", PARTS)
def test_each_part_can_be_measured(part: str, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    cases = "|".join(f"^{case}$" for case in CASES[part])
    assert main([part, *TINY, "--case", cases, "--json", str(results)]) == 0
    found = json.loads(results.read_text())
    assert found["failures"] == []
    assert sorted(found["parts"][part]["cases"]) == sorted(CASES[part])


@pytest.mark.parametrize("part", ["publish", "consume"])
def test_a_missing_limit_is_reported_with_the_reason(part: str, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    assert main([part, *TINY, "--case", "^C, librabbitmq$", "--json", str(results)]) == 0
    found = json.loads(results.read_text())
    measured = found["parts"].get(part, {}).get("cases", {})
    assert "C, librabbitmq" in measured or "apt-get install" in found["left_out"][part]["C, librabbitmq"]


@pytest.mark.parametrize("expected", [4, 6])
def test_a_message_too_few_or_too_many_is_a_failure(stage: Stage, expected: int) -> None:
    with stage.queue("a case", 5) as task:
        stage.check_queue(task, 5)
        with pytest.raises(Failed, match="a case: 5 messages are in the queue"):
            stage.check_queue(task, expected)


async def test_a_skipped_validation_is_a_failure(stage: Stage) -> None:
    with stage.queue("a case") as task:
        async with pulsekit.connect(task.url) as pulse:
            jobs = read_jobs(task)
            await publish_many(pulse.publisher(task.exchange, schema="pulse-job"), task, jobs, 5, validated=True)
            with pytest.raises(Failed, match="of 5 jobs, these were not sent"):
                await publish_many(pulse.publisher(task.exchange), task, jobs, 5, validated=True)


def test_a_failure_fails_the_run_and_not_the_other_cases(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(stage: Stage, name: str, case: str) -> Sample:
        if case == "bad":
            raise Failed(f"{name}, {case}: a message was lost")
        return Sample(count=10, seconds=0.1, cpu=0.05, total=10, peak=1024)

    clients = dict.fromkeys(("bad", "good"), load("startup").clients["python -c pass"])
    monkeypatch.setattr(run, "load", lambda _: Part("a part", "messages/s", clients, measure))
    assert main(["publish", "--rounds", "3"]) == 1
    shown = capsys.readouterr()
    assert "FAILED publish, bad: a message was lost" in shown.err
    assert [line.split()[:2] for line in shown.out.splitlines() if line.startswith(("bad", "good"))] == [
        ["good", "100"]
    ]


def test_every_goal_is_about_what_is_measured() -> None:
    named = {(goal.part, case) for goal in GOALS for case in (goal.case, *goal.beside)}
    assert [(part, case) for part, case in named if case not in load(part).clients] == []


def test_a_note_is_about_a_part_or_the_page() -> None:
    assert set(page.notes()) == {"performance", "goals", *PARTS}


def test_a_goal_is_judged_by_the_best_of_the_others() -> None:
    goal = next(goal for goal in GOALS if len(goal.beside) > 1 and not goal.most)
    rates = {goal.case: goal.bound * 100.0, **dict.fromkeys(goal.beside, 10.0)}
    for rate, reached in ((99.0, True), (101.0, False)):
        rates[goal.beside[-1]] = rate
        parts = {goal.part: {"cases": {case: {"median": each, "extra": {}} for case, each in rates.items()}}}
        assert [row["reached"] for row in judged(parts) if row["name"] == goal.name] == [reached]


def test_a_goal_is_not_judged_if_a_competitor_was_not_measured() -> None:
    goal = next(goal for goal in GOALS if goal.beside)
    parts = {goal.part: {"cases": {goal.case: {"median": 1e9, "extra": {}}}}}
    assert [row["reached"] for row in judged(parts) if row["name"] == goal.name] == [None]


def test_keeping_up_is_not_judged_if_the_publisher_was_slow() -> None:
    goal = next(goal for goal in GOALS if goal.given)
    assert goal.given
    figure, least = goal.given
    reached = []
    for rate in (least, least - 1):
        parts = {goal.part: {"cases": {goal.case: {"median": 1.0, "extra": {figure: rate, goal.figure: goal.bound}}}}}
        reached += [row["reached"] for row in judged(parts) if row["name"] == goal.name]
    assert reached == [True, None]


def test_the_page_is_drawn_from_its_figures(tmp_path: Path) -> None:
    page.write(report.read(DOCS / "performance" / "results.json"), tmp_path)
    drawn = {file.relative_to(tmp_path): file.read_text() for file in tmp_path.rglob("*.*")}
    kept = [DOCS / "performance.md", *(DOCS / "performance").iterdir()]
    assert drawn == {file.relative_to(DOCS): file.read_text() for file in kept}, (
        "python -m benchmarks --read docs/performance/results.json --write docs"
    )


def test_a_soak_shows_and_records_every_message(stage: Stage) -> None:
    figures = soak(stage, messages=400, rate=2000)
    assert (figures["shown"], figures["recorded"]) == (400, 400)


def test_a_soak_fails_when_memory_grows(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.soak._GROWTH", -1000.0)
    with pytest.raises(Failed, match="MiB at most"):
        soak(stage, messages=100, rate=2000)
