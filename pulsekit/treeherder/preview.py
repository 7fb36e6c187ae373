"""A job in the form in which Treeherder's loader passes it to the database, with Treeherder's own names.

Limits of the database apply later: only the owner is cut here, and missing values stay missing.
Source: `treeherder/etl/job_loader.py`.
"""

from __future__ import annotations

from typing import Any

from pulsekit.errors import InvalidPayload, Problem
from pulsekit.treeherder.checks import CHECKS, Reading
from pulsekit.treeherder.keys import task_of
from pulsekit.treeherder.rules import OWNER_CUT, OWNER_MAX, RULES
from pulsekit.treeherder.times import FIELDS

__all__ = ["preview_job"]

_SCHEMA = "pulse-job"
_UNREADABLE = next(rule for rule in RULES if rule.name == "time-unreadable")
_UNKNOWN = "unknown"
# What is shown under another name than it is sent; a failed test under yet another.
_RESULTS = {"fail": "busted", "canceled": "usercancel"}
_TEST_RESULTS = _RESULTS | {"fail": "testfailed"}


def preview_job(job: Any) -> dict[str, Any]:
    """Return the job in the form in which Treeherder stores it: `{"job": {…}, "superseded": […], "revision": …}`.

    The names are Treeherder's; times are seconds since 1970 in UTC. The same job gives the same form on every day and
    machine; the job is not changed, and shares no list or object with the form. A job without owner, which Treeherder
    drops, is shown with an unknown one: `lint` tells.

    Args:
        job: plain JSON.

    Raises:
        InvalidPayload: Treeherder's schema refuses it, or it has a time that cannot be read: there is nothing to see.
    """
    from pulsekit.schemas.schema import load_schema  # only for those who preview

    if isinstance(job, dict) and isinstance(owner := job.get("owner"), str) and len(owner) > OWNER_MAX:
        job = job | {"owner": owner[:OWNER_CUT]}  # before it is validated
    schema = load_schema(_SCHEMA)
    schema.check(job, "treeherder")
    reading = Reading(job)
    problems = [
        Problem(pointer, _UNREADABLE.name, message, hint=_UNREADABLE.hint)
        for pointer, message in CHECKS[_UNREADABLE.name](reading)
    ]
    try:
        symbol = f"{job['display']['jobSymbol']}{job['display'].get('chunkId', '')}"
    except ValueError:  # an integer that neither Treeherder's Python nor ours writes out
        problems.append(Problem("/display/chunkId", "integer", "has more digits than can be written"))
    if problems:
        raise InvalidPayload(problems, schema.name)
    times = {FIELDS[name]: moment.seconds for name, moment in reading.times.items() if moment is not None}
    return _transformed(job, symbol, times)


def _transformed(job: dict[str, Any], symbol: str, times: dict[str, int]) -> dict[str, Any]:
    display, links = job["display"], job.get("jobInfo", {}).get("links", [])
    run, build = job.get("runMachine"), job.get("buildMachine")
    form = {
        "job_guid": job["taskId"],
        "name": display["jobName"],
        "job_symbol": symbol,
        "group_name": display.get("groupName", _UNKNOWN),
        "group_symbol": display["groupSymbol"],
        "product_name": job.get("productName", _UNKNOWN),
        "state": job["state"],
        "result": _result(job),
        "reason": job.get("reason", _UNKNOWN),
        "who": job.get("owner", _UNKNOWN),
        "build_system_type": job["buildSystem"],
        "tier": job.get("tier", 1),
        "machine": (build or run or {}).get("name", _UNKNOWN),
        "option_collection": dict.fromkeys(job.get("labels", []), True),
        "log_references": [
            *(_reference(log["name"], log["url"]) for log in job.get("logs", [])),
            *(
                _reference("errorsummary_json", link["url"])
                for link in links
                if link["linkText"].endswith("_errorsummary.log")
            ),
        ],
        "perfherder_data_references": [
            _reference(link["linkText"], link["url"])
            for link in links
            if "perfherder-data" in link["url"] and link["url"].endswith(".json")
        ],
        **times,
        "build_platform": _platform(build or run),
        "machine_platform": _platform(run or build),
    }
    if task := task_of(job["taskId"]):
        form["taskcluster_task_id"], form["taskcluster_retry_id"] = task
    return {"job": form, "superseded": list(job.get("coalesced", [])), "revision": job["origin"]["revision"]}


def _result(job: dict[str, Any]) -> str:
    if job["state"] != "completed":
        return _UNKNOWN
    if job.get("isRetried"):
        return "retry"
    result: str = job.get("result", _UNKNOWN)
    return (_TEST_RESULTS if job["jobKind"] == "test" else _RESULTS).get(result, result)


def _platform(machine: dict[str, Any] | None) -> dict[str, str]:
    if not machine:
        return {}
    return {"platform": machine["platform"], "os_name": machine["os"], "architecture": machine["architecture"]}


def _reference(name: str, url: str) -> dict[str, str]:
    return {"name": name, "url": url, "parse_status": "pending"}
