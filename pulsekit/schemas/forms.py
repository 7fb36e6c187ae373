"""Recognise older forms of jobs, and explain each in one problem instead of many.

    explained(payload, problems)     # the problems; for an older form, one problem replaces all problems of that form
    revision_of(payload)             # "pulse-job-2020", "rest", "mozillapulse" …, or "" if it is not a job

The forms, each with the fields that only it has:

- `mozillapulse`: the envelope `{"payload": …, "_meta": …}` around a job (mozillapulse 1.3, `messages/base.py`);
- `envelope`: any other object around a job or a list of jobs, such as `{"data": {"taskId", "display", …}}`;
- `rest`: a list or object of Treeherder's former REST API, `{"project", "revision", "job": {"job_guid", …}}`, and the
  form in which Treeherder stores jobs;
- `registration`: what `pulsekit bindings` reads, alone or in a `pulsekit.yml`;
- `pulse-job-2015`: `jobGuid` instead of `taskId`; or `revision_hash` or `projectName` in `origin`;
- `pulse-job-2016`, until 2019: `extra`, and `steps` or `errorsTruncated` in a log;
- `pulse-job-2020`, until April 2026: `kind` and the names of numbers in `origin`.

Source: `schemas/pulse-job.yml` in the history of Treeherder, and `docs/submitting_data.rst` of 2015.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pulsekit._documents.suggestions import brief
from pulsekit._documents.values import pointer_token
from pulsekit.errors import Problem
from pulsekit.schemas.fixes import remove
from pulsekit.schemas.names import FORMER, TODAY
from pulsekit.schemas.revisions import OLD_ORIGIN, contested, migrate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["explained", "revision_of"]

_MOZILLAPULSE, _ENVELOPE, _REST, _REGISTRATION, _2015, _2016 = (
    "mozillapulse",
    "envelope",
    "rest",
    "registration",
    "pulse-job-2015",
    "pulse-job-2016",
)
_WHEN = {_2015: "in 2015", _2016: "from 2016 to 2019", FORMER: "until April 2026"}

_OF_JOBS = frozenset({"taskId", "display"})

# For each field of the first form of 2015, its replacement.
_FIRST = {
    "jobGuid": "taskId",
    "status": "state, and result of a completed job",
    "who": "owner",
    "optionCollection": "labels",
    "machine": "buildMachine and runMachine",
    "artifacts": "jobInfo",
}
# For each field of the REST API, its replacement.
_OUTER = {
    "project": "origin.project",
    "revision": "origin.revision",
    "revision_hash": "origin.revision, which is another hash: that of the changeset",
    "coalesced": "coalesced",
    "superseded": "coalesced",
}
_INNER = {
    "job_guid": "taskId",
    "build_system_type": "buildSystem",
    "name": "display.jobName",
    "job_symbol": "display.jobSymbol",
    "group_symbol": "display.groupSymbol",
    "group_name": "display.groupName",
    "state": "state",
    "result": "result",
    "tier": "tier",
    "submit_timestamp": "timeScheduled",
    "start_timestamp": "timeStarted",
    "end_timestamp": "timeCompleted",
    "option_collection": "labels",
    "who": "owner",
    "reason": "reason",
    "product_name": "productName",
    "machine": "runMachine.name",
    "build_platform": "buildMachine",
    "machine_platform": "runMachine",
    "log_references": "logs",
    "artifacts": "jobInfo",
}
# For each result that Treeherder shows, the result to write in a message, and the required kind of job.
_RESULTS = {
    "testfailed": ("fail", "test"),
    "busted": ("fail", "build"),
    "usercancel": ("canceled", ""),
    "coalesced": ("superseded", ""),
}
_OLD_FIELD = re.compile(
    r"/origin/(?:kind|owner|pushLogID|pullRequestID|projectName|revision_hash)\Z"
    r"|/extra\Z|/logs/\d+/(?:steps|errorsTruncated)\Z"
)


def revision_of(payload: Any) -> str:
    """Return the name of the form of a payload, or an empty text if it is not a job."""
    if _is_mozillapulse(payload):
        return _MOZILLAPULSE
    if _job_within(payload):
        return _ENVELOPE
    if _rest_jobs(payload):
        return _REST
    if _is_first(payload):
        return _2015
    if not isinstance(payload, dict) or _OF_JOBS.isdisjoint(payload):
        return _REGISTRATION if _is_registration(payload) else ""
    origin = payload.get("origin")
    if isinstance(origin, dict) and not origin.keys().isdisjoint({"revision_hash", "projectName"}):
        return _2015
    if not isinstance(origin, dict) or OLD_ORIGIN.isdisjoint(origin):
        return TODAY  # `extra` alone does not identify an older job, in which `origin` had a kind
    return FORMER if all(change.field.startswith("origin.") for change in migrate(payload)[1]) else _2016


def explained(payload: Any, problems: Sequence[Problem]) -> list[Problem]:
    """Return the problems of an invalid job. One problem names an older form and replaces the problems of that form."""
    revision = revision_of(payload)
    if revision in {_MOZILLAPULSE, _ENVELOPE}:
        name, of = ("payload", " of mozillapulse") if revision == _MOZILLAPULSE else (_job_within(payload), "")
        message = f"is an envelope{of}: Treeherder finds no job outside of it, and drops the message"
        hint = f"publish {'each' if isinstance(payload[name], list) else 'the'} object in {brief(name)} alone"
        move = {"op": "move", "from": f"/{pointer_token(name)}", "path": ""}
        alone = move if isinstance(payload[name], dict) else None
        return [Problem("", "revision", message, hint=hint, suggestion=alone)]
    if revision == _REST:
        return [_rest(payload)]
    if _is_first(payload):
        words = [f"{name} → {now}" for name, now in _FIRST.items() if name in payload]
        return [_older(revision, [*words, *map(str, migrate(payload)[1])])]
    if revision == _REGISTRATION:
        hint = "'pulsekit bindings FILE --lint' checks registrations"
        return [Problem("", "registration", "is a registration, not a job", hint=hint)]
    found = [_in_words_of_a_message(problem, payload) for problem in problems]
    if revision not in _WHEN:
        return found
    return [_former(payload, revision), *(problem for problem in found if not _is_explained(problem, payload))]


def _former(job: dict[str, Any], revision: str) -> Problem:
    migrated, changes = migrate(job)
    words = [str(change) for change in changes]
    does = "; `pulsekit validate --migrate` does"
    suggestion: Mapping[str, Any] | None = None
    if names := contested(job["origin"]):
        words.append(f"origin.{' and origin.'.join(names)} → the one of them that is meant")
        does += " the rest"
    elif "revision_hash" in job["origin"]:
        words.append("origin.revision_hash → origin.revision, which is another hash: that of the changeset")
        does = ""
    elif all(change.field.startswith("origin.") for change in changes):
        suggestion = {"op": "replace", "path": "/origin", "value": migrated["origin"]}
    return _older(revision, words, does, suggestion)


def _older(revision: str, words: Sequence[str], does: str = "", suggestion: Mapping[str, Any] | None = None) -> Problem:
    return Problem(
        "/origin" if all(word.startswith("origin.") for word in words) else "",
        "revision",
        f"this is the form that Treeherder accepted {_WHEN[revision]}",
        hint=f"write it in today's form: {', '.join(words)}{does}",
        suggestion=suggestion,
    )


def _is_explained(problem: Problem, job: dict[str, Any]) -> bool:
    if problem.rule == "additionalProperties":
        return bool(_OLD_FIELD.match(problem.pointer))
    if problem.rule != "required" or problem.pointer != "/origin":
        return False
    old = {'the property "revision"': "revision_hash", 'the property "project"': "projectName"}
    return old.get(problem.allowed) in job["origin"]


def _in_words_of_a_message(problem: Problem, payload: Any) -> Problem:
    """Return a problem with the result to write, if the given result is one that only Treeherder's page shows.

    The schema allows a job without an owner, but Treeherder drops it. So the hint is not to remove the owner.
    """
    if problem.suggestion == remove("/owner"):
        return replace(problem, hint="write the owner: without it, Treeherder drops the job", suggestion=None)
    if problem.pointer != "/result" or problem.rule != "enum":
        return problem
    shown = payload["result"]
    if not isinstance(shown, str) or shown not in _RESULTS:
        return problem
    result, kind = _RESULTS[shown]
    needed = f', with "{kind}" as jobKind' if kind else ""
    hint = f'Treeherder shows this word; in a message write "{result}"{needed}'
    keeps = not kind or (payload.get("jobKind") == "test") is (kind == "test")
    suggestion = {"op": "replace", "path": "/result", "value": result} if keeps else None
    return replace(problem, hint=hint, suggestion=suggestion)


def _rest(payload: Any) -> Problem:
    first = _rest_jobs(payload)[0]
    job = first.get("job", first)
    words = [f"{name} → {now}" for name, now in _OUTER.items() if name in first]
    inner = "job." if "job" in first else ""
    words += [f"{inner}{name} → {now}" for name, now in _INNER.items() if name in job]
    if isinstance(shown := job.get("result"), str) and shown in _RESULTS:
        result, kind = _RESULTS[shown]
        words.append(f'"{shown}" → "{result}"' + (f' with "{kind}" as jobKind' if kind else ""))
    each = "each job " if isinstance(payload, list) else ""
    return Problem(
        "",
        "revision",
        "this is the form of Treeherder's former REST API, in which Treeherder finds no job: it drops the message",
        hint=f"write {each}as an object in today's form: {', '.join(words)}",
    )


def _is_first(payload: Any) -> bool:
    return isinstance(payload, dict) and "jobGuid" in payload and "taskId" not in payload


def _is_mozillapulse(payload: Any) -> bool:
    if not isinstance(payload, dict) or "taskId" in payload or "payload" not in payload:
        return False
    inner = payload["payload"]
    return isinstance(payload.get("_meta"), dict) or (isinstance(inner, dict) and isinstance(inner.get("_meta"), dict))


def _job_within(payload: Any) -> str:
    """Return the first property of an object without the fields of a job that is a job or a list of jobs, or ""."""
    if not isinstance(payload, dict) or not _OF_JOBS.isdisjoint(payload):
        return ""
    for name, value in payload.items():
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict) and inner.keys() >= _OF_JOBS:
            return str(name)
    return ""


def _is_registration(payload: Any) -> bool:
    """Return whether a value without the fields of a job is a registration, a binding, or a `pulsekit.yml`."""
    if isinstance(payload, str):
        return payload.startswith("exchange/")
    if not isinstance(payload, dict):
        return False
    bound = {"projects", "pattern", "routing_keys"}
    return "registrations" in payload or ("exchange" in payload and not bound.isdisjoint(payload))


def _rest_jobs(payload: Any) -> list[dict[str, Any]]:
    """Return the objects of a submission to the REST API, or an empty list for any other payload."""
    objects = payload if isinstance(payload, list) else [payload]
    for one in objects[:1]:
        job = one.get("job", one) if isinstance(one, dict) else None
        if isinstance(job, dict) and "job_guid" in job:
            return [one]
    return []
