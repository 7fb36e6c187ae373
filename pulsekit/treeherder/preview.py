"""A job in the form in which Treeherder's loader passes it to the database, with Treeherder's names.

The database applies its limits later. So only the owner is truncated, and missing values are not added.
Source: `treeherder/etl/job_loader.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulsekit.treeherder.keys import task_of
from pulsekit.treeherder.results import UNKNOWN, stored_result
from pulsekit.treeherder.times import FIELDS, read_time

if TYPE_CHECKING:
    from datetime import date

__all__ = ["stored_form"]


def stored_form(job: dict[str, Any], today: date | None = None) -> dict[str, Any]:
    """Return the form in which Treeherder stores a job: `{"job": {…}, "superseded": […], "revision": …}`.

    The form is a copy: it shares no list or object with the job.

    Args:
        job: a job that Treeherder accepts, after the loader truncated its owner.
        today: the day on which Treeherder reads the job. The default is today.
    """
    display, links = job["display"], job.get("jobInfo", {}).get("links", [])
    run, build = job.get("runMachine"), job.get("buildMachine")
    form = {
        "job_guid": job["taskId"],
        "name": display["jobName"],
        "job_symbol": f"{display['jobSymbol']}{display.get('chunkId', '')}",
        "group_name": display.get("groupName", UNKNOWN),
        "group_symbol": display["groupSymbol"],
        "product_name": job.get("productName", UNKNOWN),
        "state": job["state"],
        "result": stored_result(
            job["state"], job.get("result", ""), job["jobKind"], retried=bool(job.get("isRetried"))
        ),
        "reason": job.get("reason", UNKNOWN),
        "who": job.get("owner", UNKNOWN),
        "build_system_type": job["buildSystem"],
        "tier": job.get("tier", 1),
        "machine": (build or run or {}).get("name", UNKNOWN),
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
        **{
            name: moment.seconds
            for field, name in FIELDS.items()
            if field in job and (moment := read_time(job[field], today))
        },
        "build_platform": _platform(build or run),
        "machine_platform": _platform(run or build),
    }
    if task := task_of(job["taskId"]):
        form["taskcluster_task_id"], form["taskcluster_retry_id"] = task
    return {"job": form, "superseded": list(job.get("coalesced", [])), "revision": job["origin"]["revision"]}


def _platform(machine: dict[str, Any] | None) -> dict[str, str]:
    if not machine:
        return {}
    return {"platform": machine["platform"], "os_name": machine["os"], "architecture": machine["architecture"]}


def _reference(name: str, url: str) -> dict[str, str]:
    return {"name": name, "url": url, "parse_status": "pending"}
