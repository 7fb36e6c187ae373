"""Plain jobs: those in which no rule finds anything, told apart quickly.

Nearly every job of a file is one, and a publisher asks for each. What is not known to be plain is for `checks` to
judge; a test holds both to the same verdict.
"""

from __future__ import annotations

import re
from typing import Any

from pulsekit.jobs.keys import key_follows
from pulsekit.jobs.rules import LOG_URL_MAX, MESSAGE_MAX, OWNER_MAX, PARSED_LOGS, PRODUCT_NAME_MAX, SYMBOL_MAX

__all__ = ["is_plain"]

_TASK = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/[0-9]{1,9}\Z")
# Days that every year has, so that texts in one zone follow each other as the times do.
_TIME = re.compile(
    r"([12][0-9]{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:\.[0-9]+)?(Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])\Z"
)
_TIMES = ("timeScheduled", "timeStarted", "timeCompleted")
_DUE = {"unscheduled": 0, "pending": 1, "running": 2, "completed": 3}  # how many of them have come in each state
_RESULTS = {"success", "fail", "exception", "retry", "canceled", "superseded", "unknown"}


def is_plain(job: dict[str, Any], key: str | None, size: int) -> bool:
    """Tell whether a job is known to break no rule by itself; False says nothing.

    Args:
        job: plain JSON, valid or not.
        key: the routing key it travels under, or None when that is not known.
        size: how many bytes the message has at most.
    """
    try:
        return (
            size <= MESSAGE_MAX
            and len(job["owner"]) <= OWNER_MAX
            and _TASK.match(job["taskId"]) is not None
            and _has_plain_end(job)
            and _has_plain_times(job)
            and (key is None or key_follows(key, job["origin"]["project"]))
            and len(job["display"]["jobSymbol"]) + _width(job["display"].get("chunkId")) <= SYMBOL_MAX
            and len(job.get("productName", "")) <= PRODUCT_NAME_MAX
            and ("buildMachine" not in job or "name" in job["buildMachine"])
            and _has_plain_links(job)
        )
    except (AttributeError, KeyError, TypeError):  # it is not valid either
        return False


def _has_plain_end(job: dict[str, Any]) -> bool:
    if job["state"] != "completed":
        return "result" not in job and job["state"] in _DUE
    if job.get("isRetried", False) is not False or job["result"] not in _RESULTS:
        return False
    return not (job["result"] == "fail" and job["jobKind"] == "other")


def _has_plain_times(job: dict[str, Any]) -> bool:
    given = [job[name] for name in _TIMES if name in job]
    if len(given) < _DUE[job["state"]] or len(given) != sum(name in job for name in _TIMES[: len(given)]):
        return False
    before, zone = "", None
    for text in given:
        time = _TIME.match(text)
        if time is None or time[1] < before or zone not in {None, time[2]}:
            return False
        before, zone = time[1], time[2]
    return True


def _has_plain_links(job: dict[str, Any]) -> bool:
    for log in job.get("logs", ()):
        if len(log["url"]) > LOG_URL_MAX or log["name"] not in PARSED_LOGS:
            return False
    info = job.get("jobInfo")
    return info is None or ("summary" not in info and all(len(one["url"]) <= LOG_URL_MAX for one in info["links"]))


def _width(chunk: Any) -> int:
    if chunk is None:
        return 0
    return len(str(chunk)) if type(chunk) is int and 0 <= chunk < 1_000_000 else SYMBOL_MAX + 1
