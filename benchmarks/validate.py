"""Validate jobs that are decoded already."""

from __future__ import annotations

import json
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Client, Failed, Meter, Part, Task
from benchmarks.stage import read_jobs, spoiled

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulsekit.schemas import Profile

__all__ = ["PART"]

_BATCH = 20  # jobs, the last of them invalid


def _pulsekit(task: Task, meter: Meter, profile: Profile) -> None:
    import pulsekit

    schema = pulsekit.load_schema("pulse-job")
    _check(task, meter, lambda job: schema.is_valid(job, profile))


def _jsonschema_kept(task: Task, meter: Meter) -> None:
    jsonschema: Any = import_module("jsonschema")
    _check(task, meter, jsonschema.Draft6Validator(_schema(task)).is_valid)


def _jsonschema_as_treeherder(task: Task, meter: Meter) -> None:
    jsonschema: Any = import_module("jsonschema")
    schema = _schema(task)

    def is_valid(job: Any) -> bool:
        try:
            jsonschema.validate(job, schema)
        except jsonschema.ValidationError:
            return False
        return True

    _check(task, meter, is_valid)


def _check(task: Task, meter: Meter, is_valid: Callable[[Any], bool]) -> None:
    supply = read_jobs(task)
    jobs = [*islice(supply, _BATCH - 1), spoiled(next(supply))]
    expected = [True] * (_BATCH - 1) + [False]
    for count in meter.phases(_BATCH):
        for _ in range(0, count, _BATCH):
            if [is_valid(job) for job in jobs] != expected:
                raise Failed("a verdict is wrong")


def _schema(task: Task) -> Any:
    return json.loads((Path(task.folder) / "schema.json").read_text())


_CLIENTS: dict[str, Client] = {
    "pulsekit is_valid, strict": partial(_pulsekit, profile="strict"),
    "pulsekit is_valid, as Treeherder": partial(_pulsekit, profile="treeherder"),
    "jsonschema Draft6Validator, kept": _jsonschema_kept,
    "jsonschema.validate, Treeherder's way": _jsonschema_as_treeherder,
}
PART = Part("validate: jobs as dicts, one in twenty invalid", "jobs/s", _CLIENTS)
