"""Validate jobs as dicts and as lines of NDJSON in growing numbers, and measure the first verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from importlib import import_module
from itertools import cycle, islice
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Client, Meter, Part, in_fresh_process
from benchmarks.stage import read_bodies, read_jobs, spoiled
from benchmarks.tasks import Failed, LeftOut, Sample, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.stage import Stage
    from pulsekit.schemas.profiles import Profile

__all__ = ["PART"]

_BATCH = 20  # jobs, the last of them invalid
_SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
_LONG = _SIZES[-1]
_LINES = "NDJSON to verdicts by pulsekit, {:,} lines"
_FIRST = "first ms"  # CPU time from a schema's name, file or dict to the first verdict, including imports
_FILL = "import sys; from pulsekit.schemas.schema import load_schema; load_schema(sys.argv[1]).is_valid({})"


def _pulsekit(task: Task, meter: Meter, profile: Profile) -> None:
    _check(task, meter, lambda: _shipped(profile))


def _shipped(profile: Profile = "strict") -> Callable[[Any], bool]:
    from pulsekit.schemas.schema import load_schema

    schema = load_schema("pulse-job")
    return lambda job: schema.is_valid(job, profile)


def _explain(task: Task, meter: Meter) -> None:
    from pulsekit.schemas.schema import load_schema

    schema = load_schema("pulse-job")
    jobs = [spoiled(job) for job in islice(read_jobs(task), _BATCH)]
    for count in meter.phases(_BATCH):
        for _ in range(0, count, _BATCH):
            if any(len(schema.problems(job)) != 1 for job in jobs):
                raise Failed("a job has not one problem")


def _own(task: Task, meter: Meter, *, cached: bool) -> None:
    """Validate against the same schema as a YAML file, which is not shipped in compiled form."""
    import pulsekit.schemas.schema

    text = pulsekit.schemas.schema.shipped_text("pulse-job")
    for module in [name for name in sys.modules if name.startswith("pulsekit.")]:
        del sys.modules[module]  # the first verdict includes their import
    path = Path(task.folder, "own.yml")
    path.write_text(text, encoding="utf-8")
    os.environ |= {"XDG_CACHE_HOME": task.folder, "PULSEKIT_NO_CACHE": "" if cached else "1"}
    if cached:
        subprocess.run([sys.executable, "-c", _FILL, path], check=True)

    def load() -> Callable[[Any], bool]:
        from pulsekit.schemas.schema import load_schema

        return load_schema(path).is_valid

    _check(task, meter, load)


def _jsonschema_kept(task: Task, meter: Meter) -> None:
    schema = _schema(task)

    def load() -> Callable[[Any], bool]:
        jsonschema: Any = import_module("jsonschema")
        is_valid: Callable[[Any], bool] = jsonschema.Draft6Validator(schema).is_valid
        return is_valid

    _check(task, meter, load)


def _jsonschema_as_treeherder(task: Task, meter: Meter) -> None:
    schema = _schema(task)

    def load() -> Callable[[Any], bool]:
        jsonschema: Any = import_module("jsonschema")

        def is_valid(job: Any) -> bool:
            try:
                jsonschema.validate(job, schema)
            except jsonschema.ValidationError:
                return False
            return True

        return is_valid

    _check(task, meter, load)


def _check(task: Task, meter: Meter, load: Callable[[], Callable[[Any], bool]]) -> None:
    supply = read_jobs(task)
    jobs = [*islice(supply, _BATCH - 1), spoiled(next(supply))]
    expected = [True] * (_BATCH - 1) + [False]
    is_valid = _load(meter, load, jobs[0])
    for count in meter.phases(_BATCH):
        for _ in range(0, count, _BATCH):
            if [is_valid(job) for job in jobs] != expected:
                raise Failed("a verdict is wrong")


def _read(task: Task, meter: Meter, size: int) -> None:
    """Validate a number of lines, of which the last is invalid. At most one line is in memory."""
    from pulsekit._documents.document import iter_ndjson

    bodies = list(islice(read_bodies(task), _BATCH))
    last = json.dumps(spoiled(json.loads(bodies[-1]))).encode()
    is_valid = _load(meter, _shipped, json.loads(bodies[0]))
    for count in meter.phases(size):
        for _ in range(0, count, size):
            lines = islice(cycle(bodies), size - 1)
            if not all(is_valid(document) for document in iter_ndjson(lines)):
                raise Failed("a valid job was refused")
            if any(is_valid(document) for document in iter_ndjson([last])):
                raise Failed("an invalid job was taken")


def _load(meter: Meter, load: Callable[[], Callable[[Any], bool]], job: Any) -> Callable[[Any], bool]:
    began = process_time()
    is_valid = load()
    if not is_valid(job):
        raise Failed("the first verdict is wrong")
    meter.extra[_FIRST] = (process_time() - began) * 1e3
    return is_valid


def _schema(task: Task) -> Any:
    return json.loads((Path(task.folder) / "schema.json").read_text())


_CLIENTS: dict[str, Client] = {
    "pulsekit is_valid, profile strict": partial(_pulsekit, profile="strict"),
    "pulsekit is_valid, profile treeherder": partial(_pulsekit, profile="treeherder"),
    "pulsekit problems, each job invalid": _explain,
    "pulsekit is_valid, a custom schema, cached": partial(_own, cached=True),
    "pulsekit is_valid, a custom schema, compiled": partial(_own, cached=False),
    "jsonschema Draft6Validator, reused": _jsonschema_kept,
    "jsonschema.validate, as in Treeherder": _jsonschema_as_treeherder,
    **{_LINES.format(size): partial(_read, size=size) for size in _SIZES},
}


def _measure(stage: Stage, part: str, case: str) -> Sample:
    if case != _LINES.format(_LONG):
        return in_fresh_process(part, stage.task(case))
    if not stage.full:
        raise LeftOut("--full measures it")
    return in_fresh_process(part, stage.task(case, messages=_LONG))


PART = Part(
    "validate: jobs as dicts, one in twenty invalid; and as lines",
    "jobs/s",
    _CLIENTS,
    _measure,
    rounds=3,
    once=[_LINES.format(_LONG)],
)
