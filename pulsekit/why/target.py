"""The task, run or group to explain, given by an id, or by a URL of Taskcluster or Treeherder.

Sources: the routes of Taskcluster's web interface and of its queue's API; the links of Treeherder to a job.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from pulsekit._http import check_site
from pulsekit.errors import ConfigurationError
from pulsekit.treeherder.subjects import ROOT_URL

__all__ = ["TREEHERDER", "Target", "read_target"]

TREEHERDER = "https://treeherder.mozilla.org"

_ID = r"[A-Za-z0-9_-]{21}[AQgw]"  # a slug id: 16 bytes in URL-safe base64 without padding
_RUN = r"(?:/runs/(?P<run>[0-9]{1,9}))?"
_PATHS = (
    rf"/tasks/groups/(?P<group>{_ID})/tasks/(?P<task>{_ID}){_RUN}",
    rf"/tasks/groups/(?P<group>{_ID})",
    rf"/tasks/(?P<task>{_ID}){_RUN}",
    rf"/api/queue/v1/task-group/(?P<group>{_ID})",
    rf"/api/queue/v1/task/(?P<task>{_ID}){_RUN}",
)
_SELECTED = re.compile(rf"(?P<task>{_ID})(?:[.-](?P<run>[0-9]{{1,9}}))?")
_PARAMETERS = ("selectedTaskRun", "task")  # parameters of a link to a job, and of the log viewer
_FORMS = "the id of a task, a URL of a task, run or group of Taskcluster, or a link of Treeherder with selectedTaskRun"


@dataclass(frozen=True, slots=True)
class Target:
    """The subject of an explanation: a task, or all tasks of a group.

    Attributes:
        task_id: the id of the task. Empty for a group.
        run: the number of the run, or None for the last one.
        group_id: the id of the group. Empty for a task.
        root_url: the root URL of the Taskcluster deployment.
        treeherder: the URL of Treeherder.
    """

    task_id: str = ""
    run: int | None = None
    group_id: str = ""
    root_url: str = ROOT_URL
    treeherder: str = TREEHERDER

    @property
    def name(self) -> str:
        """The target in words, such as `task A35mWTRuQmyj88yMnIF0fA, run 1`."""
        if self.group_id:
            return f"task group {self.group_id}"
        return f"task {self.task_id}" + ("" if self.run is None else f", run {self.run}")


def read_target(text: str, *, root_url: str | None = None, treeherder: str | None = None) -> Target:
    """Read an id of a task, or a URL.

    Args:
        text: the id, or the URL of a task, run or group of Taskcluster, or of a job of Treeherder.
        root_url: the root URL of the Taskcluster deployment. The default is that of the URL, or of Firefox CI.
        treeherder: the URL of Treeherder. The default is that of the URL, or Mozilla's.

    Raises:
        ConfigurationError: Raised when the text is neither an id nor a URL, or the URL cannot be used.
        InsecureConnection: Raised for an http:// URL of another machine.
    """
    text = text.strip()
    root_url = root_url and check_site(root_url, "Taskcluster")
    treeherder = treeherder and check_site(treeherder, "Treeherder")
    if re.fullmatch(_ID, text):
        return Target(text, root_url=root_url or ROOT_URL, treeherder=treeherder or TREEHERDER)
    try:
        parts = urlsplit(text)
        of_fragment = urlsplit(parts.fragment).query
    except ValueError:
        raise ConfigurationError(f"{text!a} is not {_FORMS}") from None
    site = f"{parts.scheme}://{parts.netloc}"
    for path in _PATHS:
        if match := re.search(rf"{path}(?:/|\Z)", parts.path):
            found = match.groupdict()
            root = root_url or check_site(site + parts.path[: match.start()], "Taskcluster")
            task, run = found.get("task") or "", found.get("run")
            group = "" if task else found["group"]
            return Target(task, None if run is None else int(run), group, root, treeherder or TREEHERDER)
    for query in (parts.query, of_fragment):
        values = parse_qs(query)
        for name in _PARAMETERS:
            if match := _SELECTED.fullmatch(values.get(name, [""])[0]):
                number = None if match["run"] is None else int(match["run"])
                host = treeherder or check_site(site, "Treeherder")
                return Target(match["task"], number, "", root_url or ROOT_URL, host)
    advice = "; a link to a push names no task: use the URL of its task group" if "revision=" in text else ""
    raise ConfigurationError(f"{text!a} is not {_FORMS}{advice}")
