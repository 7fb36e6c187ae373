"""Suspects: which rules a job may break, by a quick look at it.

A publisher asks for each job, and nearly every one breaks none, or the same as all others of its file. Only what is
suspected is for `checks` to judge; a test holds a quick look and a long one to the same findings.
"""

from __future__ import annotations

import re
from typing import Any

from pulsekit.treeherder.keys import key_follows
from pulsekit.treeherder.rules import LOG_URL_MAX, MESSAGE_MAX, OWNER_MAX, PARSED_LOGS, PRODUCT_NAME_MAX, SYMBOL_MAX

__all__ = ["suspects"]

_TASK = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/[0-9]{1,9}\Z")
# Days that every year has, so that texts in one zone follow each other as the times do.
_TIME = re.compile(
    r"([12][0-9]{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:\.[0-9]+)?(Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])\Z"
)
_TIMES = ("timeScheduled", "timeStarted", "timeCompleted")
_DUE = {"unscheduled": 0, "pending": 1, "running": 2, "completed": 3}  # how many of them have come in each state
_RESULTS = {"success", "fail", "exception", "retry", "canceled", "superseded", "unknown"}

_OF_TIMES = ["time-unreadable", "times-disordered", "time-missing", "time-zone-missing"]
_OF_RESULTS = ["result-early", "result-missing", "result-retried", "result-kind"]
_OF_OWNERS = ["owner-missing", "owner-long"]
_OF_LOGS = ["log-url-long", "log-unparsed"]


def suspects(job: dict[str, Any], key: str | None, size: int) -> list[str] | None:
    """Return the names of the rules that a job may break by itself; None when it may be any of them.

    Args:
        job: plain JSON, valid or not.
        key: the routing key it travels under, or None when that is not known.
        size: how many bytes the message has at most.
    """
    found: list[str] = []
    try:
        display = job["display"]
        if len(job.get("owner", "")) > OWNER_MAX or "owner" not in job:
            found += _OF_OWNERS
        if _TASK.match(job["taskId"]) is None:
            found.append("task-id-form")
        if not _has_plain_end(job):
            found += _OF_RESULTS
        if not _has_plain_times(job):
            found += _OF_TIMES
        if key is not None and not key_follows(key, job["origin"]["project"]):
            found.append("key-mismatch")
        if len(display["jobSymbol"]) + _width(display.get("chunkId")) > SYMBOL_MAX:
            found.append("symbol-long")
        if len(job.get("productName", "")) > PRODUCT_NAME_MAX:
            found.append("product-name-long")
        if "buildMachine" in job and "name" not in job["buildMachine"]:
            found.append("machine-unnamed")
        if "jobInfo" in job and "summary" in job["jobInfo"]:
            found.append("summary-unused")
        if not _has_plain_logs(job):
            found += _OF_LOGS
        if size > MESSAGE_MAX:
            found.append("message-large")
    except (AttributeError, KeyError, TypeError):  # it is not valid either
        return None
    return found


def _has_plain_end(job: dict[str, Any]) -> bool:
    if job["state"] != "completed":
        return "result" not in job and job["state"] in _DUE
    if job.get("isRetried", False) is not False or job.get("result") not in _RESULTS:
        return False
    return not (job["result"] == "fail" and job["jobKind"] == "other")


def _has_plain_times(job: dict[str, Any]) -> bool:
    before, zone, come = "", None, 0
    for number, name in enumerate(_TIMES):
        text = job.get(name)
        if text is None:
            continue
        time = _TIME.match(text)
        # One that comes without those before it is for others to judge.
        if time is None or come != number or time[1] < before or zone not in {None, time[2]}:
            return False
        before, zone, come = time[1], time[2], number + 1
    return come >= _DUE[job["state"]]


def _has_plain_logs(job: dict[str, Any]) -> bool:
    for log in job.get("logs", ()):
        if len(log["url"]) > LOG_URL_MAX or log["name"] not in PARSED_LOGS:
            return False
    return all(len(link["url"]) <= LOG_URL_MAX for link in job.get("jobInfo", {}).get("links", ()))


def _width(chunk: Any) -> int:
    if chunk is None:
        return 0
    return len(str(chunk)) if type(chunk) is int and 0 <= chunk < 1_000_000 else SYMBOL_MAX + 1
