"""Pages of Taskcluster and Treeherder as evidence, which are read online with one deadline, or from a file.

evidence = OnlineEvidence(timeout=30)
evidence.page("task", "https://…/api/queue/v1/task/…")     # each page is read only once
evidence.save(target)                                      # a JSON value; SavedEvidence reads it
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from pulsekit._documents.nesting import MAX_DEPTH, is_deeper
from pulsekit._http import fetch
from pulsekit.errors import InvalidInput, NetworkError
from pulsekit.why.target import Target

__all__ = ["MAX_BYTES", "Evidence", "OnlineEvidence", "Page", "SavedEvidence"]

MAX_BYTES = 16 * 1024 * 1024  # bytes of a page: a hundred times the list of Treeherder's repositories
_TYPE = "pulsekit-why"
_VERSION = 1
_DAMAGED = "the file of `pulsekit why --save` is damaged"


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was requested.

    Attributes:
        address: the URL.
        status: the HTTP status, or 0 if there was no answer.
        value: the content: plain JSON, or None.
        error: the reason why there is no content, or empty.
    """

    address: str
    status: int = 0
    value: Any = None
    error: str = ""


class Evidence(Protocol):
    """A source of pages."""

    def page(self, name: str, address: str) -> Page:
        """Return the page at a URL. `name` is its name in a saved file. If it is unreadable, `error` has the reason."""


class OnlineEvidence:
    """Pages that are read by HTTP, each once. All requests share one timeout, which starts with the first request.

    Args:
        timeout: seconds for all requests together.
        max_bytes: the maximum size of a page.
    """

    def __init__(self, timeout: float, *, max_bytes: int = MAX_BYTES) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._end: float | None = None
        self._pages: dict[str, Page] = {}

    def page(self, name: str, address: str) -> Page:
        """Return a page, which is read on the first call for its name."""
        if name not in self._pages:
            self._pages[name] = self._read(address)
        return self._pages[name]

    def save(self, target: Target) -> dict[str, Any]:
        """Return all pages so far, and the target, as plain JSON."""
        return {
            "v": _VERSION,
            "type": _TYPE,
            "collected": datetime.now(UTC).isoformat(timespec="seconds"),
            "target": asdict(target),
            "pages": {name: asdict(page) for name, page in self._pages.items()},
        }

    def _read(self, address: str) -> Page:
        now = time.monotonic()
        if self._end is None:
            self._end = now + self._timeout
        if now >= self._end:
            return Page(address, error=f"not read: {self._timeout:g} s for all requests are over")
        try:
            answer = fetch(address, timeout=self._end - now, max_bytes=self._max_bytes)
        except NetworkError as error:
            return Page(address, error=str(error))
        try:
            value = json.loads(answer.body)
            broken = is_deeper(value, MAX_DEPTH)
        except (ValueError, RecursionError):
            broken = True
        if answer.status in {200, 404} and not (broken and answer.status == 200):
            return Page(address, answer.status, None if broken else value)
        what = "no JSON that can be read" if answer.status == 200 else f"{answer.status} {answer.reason}"
        moved = f", and points to {answer.location}" if answer.location else ""
        return Page(address, answer.status, error=f"{address} answers {what}{moved}")


class SavedEvidence:
    """The pages in a file of `OnlineEvidence.save`.

    Attributes:
        target: the target of the file.
        collected: the time at which the pages were read, or empty.

    Raises:
        InvalidInput: Raised when the value is not the JSON of such a file.
    """

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict) or value.get("type") != _TYPE:
            raise InvalidInput(
                "this is not a file of `pulsekit why --save`: for a task graph, a definition or a recording, use "
                "`pulsekit preview`"
            )
        if value.get("v") != _VERSION:
            raise InvalidInput(f"the file has version {value.get('v')!a}; this pulsekit reads {_VERSION}")
        try:
            self.target = Target(**value["target"])
            self._pages = {name: Page(**page) for name, page in value["pages"].items()}
        except (LookupError, TypeError, AttributeError):
            raise InvalidInput(_DAMAGED) from None
        if not (_is_target(self.target) and all(map(_is_page, self._pages.values()))):
            raise InvalidInput(_DAMAGED)
        collected = value.get("collected")
        self.collected = collected if isinstance(collected, str) else ""

    def page(self, name: str, address: str) -> Page:
        """Return a page of the file. If the page was not saved, it has an `error`."""
        return self._pages.get(name) or Page(address, error=f"the file does not have {address}")


def _is_target(target: Target) -> bool:
    texts = (target.task_id, target.group_id, target.root_url, target.treeherder)
    is_run = target.run is None or (type(target.run) is int and target.run >= 0)
    return is_run and all(isinstance(text, str) for text in texts) and bool(target.task_id) is not bool(target.group_id)


def _is_page(page: Page) -> bool:
    return [type(part) for part in (page.address, page.status, page.error)] == [str, int, str]
