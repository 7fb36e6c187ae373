from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from jsonschema import Draft6Validator
from support.samples import SCHEMA

from pulsekit._config.settings import load_settings
from pulsekit._config.target import Target
from pulsekit._config.templates import job_text, project_text
from pulsekit._documents.document import parse_yaml
from pulsekit.bindings.lint import lint
from pulsekit.bindings.matching import topic_matches
from pulsekit.errors import ConfigurationError
from pulsekit.schemas.schema import load_schema
from pulsekit.treeherder import lint_job, routing_key

if TYPE_CHECKING:
    from pathlib import Path

JOBS = "exchange/me/v1/jobs"
TASK = UUID("0c5f6f4e-2f8e-4c1b-9d7a-3b6f0d1e2a4c")
NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)


def job(project: str = "autoland", owner: str = "me", now: datetime = NOW) -> dict:
    return parse_yaml(job_text(project, owner, task=TASK, now=now)).value


def test_the_job_is_valid_in_every_profile() -> None:
    schema = load_schema("pulse-job")
    assert schema.problems(job(), profile="strict") == ()
    assert schema.problems(job(), profile="treeherder") == ()
    Draft6Validator(SCHEMA).validate(job())


def test_the_example_job_keeps_all_rules_beyond_the_schema() -> None:
    found = job()
    assert lint_job(found) == ()
    assert found["taskId"] == f"{TASK}/0"
    assert found["owner"] == "me"
    assert (found["state"], found["result"]) == ("completed", "success")
    assert found["logs"][0]["name"] == "live_backing_log"
    times = [datetime.fromisoformat(found[name]) for name in ("timeScheduled", "timeStarted", "timeCompleted")]
    assert times == sorted(times)
    assert times[-1] == NOW


def test_every_top_level_field_of_the_example_job_has_a_comment() -> None:
    blocks = job_text("autoland", "me", task=TASK, now=NOW).strip().split("\n\n")
    silent = [block for block in blocks if not block.startswith("#")]
    assert silent == ["buildSystem: my-ci", "version: 1"]


def test_times_are_written_in_utc() -> None:
    found = job(now=NOW.astimezone(timezone(timedelta(hours=-8))))
    assert found["timeCompleted"] == "2026-11-23T18:00:00Z"


@pytest.mark.parametrize("owner", ["yes", "null", "a: b", "x" * 80, "1e5", "- a"])
def test_an_owner_is_text_of_limited_length(owner: str) -> None:
    assert job(owner=owner)["owner"] == owner[:50]


def test_the_example_project_can_be_read_and_accepts_the_example_job(tmp_path: Path) -> None:
    (tmp_path / "pulsekit.yml").write_text(project_text(JOBS, "autoland"))
    settings = load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert settings.exchange == JOBS
    for chosen in (settings, settings.at(Target.STAGING), settings.at(Target.PRODUCTION)):
        [destination] = chosen.destinations
        patterns = [binding.pattern for binding in lint(chosen.registrations)]
        assert any(topic_matches(pattern, routing_key(job(), destination)) for pattern in patterns)
    assert not any(lint(settings.registrations).values())
    assert settings.at(Target.STAGING).registrations != settings.at(Target.PRODUCTION).registrations


@pytest.mark.parametrize("exchange", ["exchange/me/a: b #c", "exchange/me/'\"", "exchange/me/é😀", "exchange/me/{x}"])
@pytest.mark.parametrize("project", ["true", "1", "0x10", "yes", "null", "-a", "é"])
def test_names_that_yaml_would_misread_are_quoted(tmp_path: Path, exchange: str, project: str) -> None:
    (tmp_path / "pulsekit.yml").write_text(project_text(exchange, project), encoding="utf-8")
    settings = load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert settings.exchange == exchange
    assert settings.registrations[0].projects == (f"{project}._",)  # type: ignore[union-attr] # no binding
    assert job(project)["origin"]["project"] == project


@pytest.mark.parametrize(
    ("exchange", "project", "words"),
    [
        ("jobs", "autoland", "is not a Pulse exchange name"),
        ("exchange/me/\n", "autoland", "contains a line break"),
        (JOBS, "autoland._", "'autoland._' is not the name of a repository on Treeherder: at most 50"),
        (JOBS, "x" * 51, "at most 50"),
        (JOBS, "", "'' is not the name of a repository"),
    ],
)
def test_invalid_names_are_refused(exchange: str, project: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        project_text(exchange, project)
    assert words in str(caught.value)
