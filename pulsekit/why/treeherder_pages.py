"""Ask Treeherder for a repository, a push and its jobs, and compare them with what is expected.

Source: `treeherder/webapp/api/` of Treeherder, as of August 2026.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from pulsekit._documents.suggestions import Guesses, brief
from pulsekit.errors import ConfigurationError
from pulsekit.treeherder.repositories import read_repositories
from pulsekit.why.explanation import WAIT, Step, StepStatus, failed_step, unread_step

if TYPE_CHECKING:
    from pulsekit.why.evidence import Evidence, Page

__all__ = ["TreeherderPages", "shown_as"]

_JOBS = 2000  # jobs of a push in one answer: Treeherder's limit
_MOST_PAGES = 100


class TreeherderPages:
    """The pages of one Treeherder instance.

    Args:
        evidence: the source of the pages.
        address: the URL of Treeherder, without a slash at the end.

    Attributes:
        link: the URL of the job on Treeherder, once `job` has found it, or empty.
    """

    def __init__(self, evidence: Evidence, address: str) -> None:
        self._evidence = evidence
        self._address = address
        self._push_id: Any = None
        self.link = ""

    def repository(self, project: str) -> Step:
        """Return whether Treeherder has a project as an active repository."""
        page = self._evidence.page("repositories", f"{self._address}/api/repository/")
        try:
            repositories = read_repositories(page.value)
        except ConfigurationError:
            return unread_step("project", page)
        found = repositories.find(project)
        if found is None:
            near = Guesses().nearest(project, repositories)
            add = "ask Treeherder's team to add the repository"
            hint = f"did you mean {near!r}? Correct the route" if near else add
            return failed_step("project", page, f"{brief(project)} is not a repository of Treeherder", hint)
        if not found.active:
            what = f"{brief(project)} is a repository of Treeherder, but not active"
            return failed_step("project", page, what, "ask Treeherder's team to activate the repository")
        detail = f"{project} is an active repository ({found.url})"
        return Step("project", StepStatus.OK, detail, "", page.address)

    def push(self, project: str, revision: str) -> Step:
        """Return whether Treeherder has the push of a revision. `task_ids` is about this push."""
        query = urlencode({"revision": revision})
        address = f"{self._address}/api/project/{quote(project, safe='')}/push/?{query}"
        page = self._evidence.page("push", address)
        pushes = page.value.get("results") if isinstance(page.value, dict) else None
        if page.error or not (_are_objects(pushes) or page.status == 404):
            return unread_step("push", page)
        if page.status == 404 or not pushes:
            hint = (
                "check that the route names the head of a push. Treeherder reads pushes from Pulse, and retries a job "
                "without its push for some minutes; after that, ask Treeherder's team to ingest the push"
            )
            return failed_step("push", page, f"Treeherder has no push of {revision} on {project}", hint)
        self._push_id = pushes[0].get("id")
        detail = f"Treeherder has the push of {revision[:12]} (id {brief(pushes[0].get('id'))})"
        return Step("push", StepStatus.OK, detail, "", page.address)

    def task_ids(self) -> tuple[set[str] | None, Page]:
        """Return the ids of the tasks that have a job in the push, or None for an unexpected answer, and the last page.

        All jobs of the push are requested, which are few pages. Each answer has the URL of the next page. Only the
        query of this URL is used, so that all requests go to the same site.
        """
        query = urlencode({"push_id": self._push_id, "count": _JOBS})
        stored: set[str] = set()
        asked_for: set[str] = set()
        while True:
            number = len(asked_for)
            page = self._evidence.page(f"jobs-{number}", f"{self._address}/api/jobs/?{query}")
            jobs = _jobs_in(page.value)
            asked_for.add(query)
            if page.error or jobs is None or number == _MOST_PAGES:
                return None, page
            stored.update(task_id for job in jobs if isinstance(task_id := job.get("task_id"), str))
            following = page.value.get("next")
            query = _query_of(following) if isinstance(following, str) else ""
            if not query:
                return stored, page
            if query in asked_for:
                return None, page

    def job(self, job: dict[str, Any], project: str, revision: str) -> Step:
        """Return whether Treeherder has a job, with its state and result.

        Args:
            job: the job as Treeherder should store it.
            project: the project of the job.
            revision: the revision of its push.
        """
        task_id, run = job["taskcluster_task_id"], job["taskcluster_retry_id"]
        query = urlencode({"task_id": task_id, "retry_id": run})
        page = self._evidence.page("job", f"{self._address}/api/jobs/?{query}")
        found = _jobs_in(page.value)
        if page.error or found is None:
            return unread_step("job", page)
        if not found:
            return failed_step("job", page, f"Treeherder has not stored run {run} of the task", WAIT)
        stored = found[0]
        query = urlencode({"repo": project, "revision": revision, "selectedTaskRun": f"{task_id}.{run}"})
        self.link = f"{self._address}/jobs?{query}"
        detail = f"Treeherder shows {shown_as(stored)}"
        if (stored.get("state"), stored.get("result")) != (job["state"], job["result"]):
            hint = "wait some minutes, and ask again: Treeherder processes messages one after the other"
            return failed_step("job", page, f"{detail}, but the run is {job['state']} {job['result']}", hint)
        return Step("job", StepStatus.OK, detail, "", page.address)


def _query_of(address: str) -> str:
    try:
        return urlsplit(address).query
    except ValueError:
        return ""


def _jobs_in(value: Any) -> list[dict[str, Any]] | None:
    """Return the jobs in an answer of Treeherder. Rows are lists, and a separate list has the names of columns."""
    rows = value.get("results") if isinstance(value, dict) else None
    if not isinstance(rows, list):
        return None
    names = value.get("job_property_names")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        rows = [dict(zip(names, row, strict=False)) if isinstance(row, list) else row for row in rows]
    return rows if _are_objects(rows) else None


def _are_objects(value: Any) -> bool:
    """Return whether a value is a list of objects."""
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def shown_as(job: dict[str, Any]) -> str:
    """Return a job in one line: group, symbol, state and result. Fields are named as in the loader or the API."""

    def text(*names: str) -> str:
        return next((str(job[name]) for name in names if isinstance(job.get(name), str)), "")

    symbol, group = text("job_symbol", "job_type_symbol"), text("group_symbol", "job_group_symbol")
    shown = symbol if group in {"", "?"} else f"{group}({symbol})"
    state, result = text("state"), text("result")
    return f"{shown or 'without a symbol'}, {result if state == 'completed' else state}"
