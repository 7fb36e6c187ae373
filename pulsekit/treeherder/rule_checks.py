"""The checks of the rules in `rule_list`: one function for each rule that a single job can break.

The payload need not be valid. A value that is missing, or has another type, breaks no rule. No function raises errors.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from pulsekit._documents.payloads import encode_payload
from pulsekit._documents.suggestions import brief, counted
from pulsekit.errors import InvalidMessage
from pulsekit.treeherder.keys import key_follows, task_of
from pulsekit.treeherder.rule_list import (
    LOG_URL_MAX,
    MESSAGE_MAX,
    OWNER_CUT,
    OWNER_MAX,
    PARSED_LOGS,
    PRODUCT_NAME_MAX,
    SYMBOL_MAX,
)
from pulsekit.treeherder.times import FIELDS, read_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pulsekit.treeherder.context import Context

    # A JSON pointer, a message about its value, and a JSON Patch operation that corrects it without changing the
    # meaning.
    Breach: TypeAlias = tuple[str, str] | tuple[str, str, Mapping[str, Any]]

__all__ = ["CHECKS", "STATES", "Reading"]

STATES = ("unscheduled", "pending", "running", "completed")  # in the order in which a job passes them

# For each state, the times that a job has in this state: one more than in the previous state.
_DUE = {state: tuple(FIELDS)[:number] for number, state in enumerate(STATES)}
_USUAL_TASK_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/[0-9]{1,9}\Z")  # the form of nearly every job
_SUMMARY_LINK = "_errorsummary.log"
_UNPLAIN_RETRIES = {"success", "canceled", "superseded"}  # unlikely results of a run that another run replaces


class Reading:
    """The parts of a job that rules read. A missing part, or one of another type, is empty. No method raises an error.

    Attributes:
        job: the complete job.
        key: the routing key, or None if it is unknown.
        context: the properties of the message and of the Treeherder instance.
        state: the state if the schema allows it, otherwise empty.
        result: the result, or empty.
        logs: the logs that are objects, with their indexes.
        size: the largest possible size of the message in bytes, or None if it is unknown.
        times: the times that are text, as Treeherder reads them, in the order of a job's states.
        odd_times: the times that cannot be read, or that lack a time zone or a part of the date.
    """

    __slots__ = ("context", "job", "key", "logs", "odd_times", "result", "size", "state", "times")

    def __init__(self, job: dict[str, Any], key: str | None, size: int | None, context: Context) -> None:
        self.job = job
        self.key = key
        self.size = size
        self.context = context
        state = self.text("state")
        self.state = state if state in STATES else ""
        self.result = self.text("result")
        self.logs = _objects(job.get("logs"))
        self.times = {name: read_time(text, context.today) for name in FIELDS if isinstance(text := job.get(name), str)}
        self.odd_times = [
            (name, one) for name, one in self.times.items() if one is None or not (one.zoned and one.complete)
        ]

    @property
    def links(self) -> Sequence[tuple[int, dict[str, Any]]]:
        """The links of `jobInfo` that are objects, with their indexes."""
        return _objects(self.object("jobInfo").get("links"))

    def text(self, name: str) -> str:
        """Return a property that is text, otherwise the empty text."""
        value = self.job.get(name)
        return value if isinstance(value, str) else ""

    def object(self, name: str) -> dict[str, Any]:
        """Return a property that is an object, otherwise an empty object."""
        value = self.job.get(name)
        return value if isinstance(value, dict) else {}


def _objects(value: Any) -> Sequence[tuple[int, dict[str, Any]]]:
    return [one for one in enumerate(value) if isinstance(one[1], dict)] if isinstance(value, list) else ()


def _owner_missing(reading: Reading) -> Sequence[Breach]:
    return () if "owner" in reading.job else [("", '"owner" is missing')]


def _time_unreadable(reading: Reading) -> Sequence[Breach]:
    if not reading.odd_times:
        return ()
    return [
        (f"/{name}", f"{brief(reading.job[name])} is not a date or time that Treeherder can read")
        for name, moment in reading.odd_times
        if moment is None
    ]


def _time_incomplete(reading: Reading) -> Sequence[Breach]:
    if not reading.odd_times:
        return ()
    return [
        (f"/{name}", f"{brief(reading.job[name])} has no full date: Treeherder adds the day on which it reads the job")
        for name, moment in reading.odd_times
        if moment is not None and not moment.complete
    ]


def _project_unknown(reading: Reading) -> Sequence[Breach]:
    known = reading.context.repositories
    if known is None:
        return ()
    project = reading.object("origin").get("project")
    if not isinstance(project, str) or known.get(project):
        return ()
    what = "is not active" if project in known else "is unknown"
    return [("/origin/project", f"the repository {brief(project)} {what} at Treeherder")]


def _task_id_form(reading: Reading) -> Sequence[Breach]:
    task_id = reading.text("taskId")
    if not task_id or _USUAL_TASK_ID.match(task_id) or task_of(task_id):
        return ()
    return [("/taskId", f"{brief(task_id)} is not <uuid>/<retry number>")]


def _key_mismatch(reading: Reading) -> Sequence[Breach]:
    project = reading.object("origin").get("project")
    if reading.key is None or not isinstance(project, str) or key_follows(reading.key, project, reading.context.rule):
        return ()
    return [("/origin/project", f"the routing key {brief(reading.key)} does not match the project {brief(project)}")]


def _result_early(reading: Reading) -> Sequence[Breach]:
    # "unknown" is the result of the schema for a job that is not completed.
    if reading.state in {"", "completed"} or reading.result in {"", "unknown"}:
        return ()
    return [("/result", f"{brief(reading.result)} is ignored while the job is {reading.state}")]


def _result_missing(reading: Reading) -> Sequence[Breach]:
    job = reading.job
    if reading.state != "completed" or "result" in job or job.get("isRetried") is True:
        return ()
    return [("", '"result" is missing: Treeherder shows the completed job as unknown')]


def _result_retried(reading: Reading) -> Sequence[Breach]:
    if reading.state != "completed" or reading.job.get("isRetried") is not True:
        return ()
    if reading.result not in _UNPLAIN_RETRIES:
        return ()
    return [("/result", f'{brief(reading.result)} is not shown: with "isRetried", Treeherder shows "retry"')]


def _times_disordered(reading: Reading) -> Sequence[Breach]:
    found: list[Breach] = []
    before = earlier = None
    for name, moment in reading.times.items():
        if moment is None or not moment.complete:
            continue
        if earlier is not None and moment.seconds < earlier:
            found.append((f"/{name}", f"is {counted(earlier - moment.seconds, 'second')} before {before}"))
        before, earlier = name, moment.seconds
    return found


def _symbol_long(reading: Reading) -> Sequence[Breach]:
    display = reading.object("display")
    symbol, chunk = display.get("jobSymbol"), display.get("chunkId")
    if not isinstance(symbol, str):
        return ()
    digits = _digits(chunk)
    if len(symbol) + digits <= SYMBOL_MAX:
        return ()
    parts = f"{len(symbol)} of jobSymbol and {digits} of chunkId" if digits else "all of jobSymbol"
    return [("/display/jobSymbol", f"the symbol has {len(symbol) + digits} characters, {parts}")]


def _product_name_long(reading: Reading) -> Sequence[Breach]:
    size = len(reading.text("productName"))
    if size <= PRODUCT_NAME_MAX:
        return ()
    return [("/productName", f"has {size} characters", _cut(reading, "productName", PRODUCT_NAME_MAX))]


def _owner_long(reading: Reading) -> Sequence[Breach]:
    size = len(reading.text("owner"))
    return () if size <= OWNER_MAX else [("/owner", f"has {size} characters", _cut(reading, "owner", OWNER_CUT))]


def _cut(reading: Reading, name: str, size: int) -> Mapping[str, Any]:
    return {"op": "replace", "path": f"/{name}", "value": reading.text(name)[:size]}


def _log_url_long(reading: Reading) -> Sequence[Breach]:
    long = [
        (f"/jobInfo/links/{number}/url", link["url"])
        for number, link in reading.links
        if _has_long_url(link) and isinstance(text := link.get("linkText"), str) and text.endswith(_SUMMARY_LINK)
    ]
    long += [(f"/logs/{number}/url", log["url"]) for number, log in reading.logs if _has_long_url(log)]
    return [(pointer, f"has {len(url)} characters") for pointer, url in long] if long else ()


def _has_long_url(item: dict[str, Any]) -> bool:
    url = item.get("url")
    return isinstance(url, str) and len(url) > LOG_URL_MAX


def _time_missing(reading: Reading) -> Sequence[Breach]:
    missing = [f'"{name}"' for name in _DUE.get(reading.state, ()) if name not in reading.job]
    if not missing:
        return ()
    verb = "is" if len(missing) == 1 else "are"
    return [("", f"{' and '.join(missing)} {verb} missing in a job that is {reading.state}")]


def _time_zone_missing(reading: Reading) -> Sequence[Breach]:
    if not reading.odd_times:
        return ()
    return [
        (
            f"/{name}",
            f"{brief(reading.job[name])} has no time zone",
            {"op": "replace", "path": f"/{name}", "value": moment.text},
        )
        for name, moment in reading.odd_times
        if moment is not None and moment.complete and not moment.zoned
    ]


def _result_kind(reading: Reading) -> Sequence[Breach]:
    if reading.state != "completed" or reading.result != "fail" or reading.text("jobKind") != "other":
        return ()
    return [] if reading.job.get("isRetried") is True else [("/jobKind", 'Treeherder shows a failure as "busted"')]


def _log_unparsed(reading: Reading) -> Sequence[Breach]:
    return [
        (f"/logs/{number}/name", f"Treeherder does not parse a log named {brief(name)}")
        for number, log in reading.logs
        if isinstance(name := log.get("name"), str) and name not in PARSED_LOGS
    ]


def _machine_unnamed(reading: Reading) -> Sequence[Breach]:
    if not isinstance(reading.job.get("buildMachine"), dict) or "name" in reading.object("buildMachine"):
        return ()
    name = reading.object("runMachine").get("name")
    other = f", and ignores {brief(name)} of runMachine" if isinstance(name, str) else ""
    return [("/buildMachine", f"has no name: Treeherder shows the machine as unknown{other}")]


def _summary_unused(reading: Reading) -> Sequence[Breach]:
    if "summary" not in reading.object("jobInfo"):
        return ()
    return [("/jobInfo/summary", "is not shown", {"op": "remove", "path": "/jobInfo/summary"})]


def _message_large(reading: Reading) -> Sequence[Breach]:
    size = reading.size
    if size is None or size > MESSAGE_MAX:  # `size` may be larger than the message
        size = _size_of(reading.job)
    return () if size is None or size <= MESSAGE_MAX else [("", f"the message has {size} bytes")]


def _size_of(job: dict[str, Any]) -> int | None:
    """Return the size of the message of a job in bytes, or None if the job cannot be encoded as JSON."""
    try:
        return len(encode_payload(job))
    except InvalidMessage:
        return None


def _digits(chunk: Any) -> int:
    """Return the number of characters of a chunk's number."""
    if isinstance(chunk, bool) or not isinstance(chunk, int | float):
        return 0
    try:
        return len(str(chunk))
    except ValueError:  # more digits than Python writes
        return SYMBOL_MAX + 1


CHECKS: dict[str, Callable[[Reading], Sequence[Breach]]] = {
    "owner-missing": _owner_missing,
    "time-unreadable": _time_unreadable,
    "project-unknown": _project_unknown,
    "time-incomplete": _time_incomplete,
    "task-id-form": _task_id_form,
    "key-mismatch": _key_mismatch,
    "result-early": _result_early,
    "result-missing": _result_missing,
    "result-retried": _result_retried,
    "times-disordered": _times_disordered,
    "symbol-long": _symbol_long,
    "product-name-long": _product_name_long,
    "log-url-long": _log_url_long,
    "owner-long": _owner_long,
    "time-missing": _time_missing,
    "time-zone-missing": _time_zone_missing,
    "result-kind": _result_kind,
    "log-unparsed": _log_unparsed,
    "machine-unnamed": _machine_unnamed,
    "summary-unused": _summary_unused,
    "message-large": _message_large,
}
