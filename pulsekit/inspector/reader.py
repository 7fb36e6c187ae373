"""The parts of a message that the page shows: a short row for the list, and all details on demand.

Values are plain JSON. Texts of messages are not escaped, because the page never interprets them as HTML.
"""

from __future__ import annotations

import json
import shlex
from copy import copy
from itertools import islice
from typing import TYPE_CHECKING, Any

from pulsekit._documents.document import Document
from pulsekit._documents.yaml_writer import yaml_text
from pulsekit.bindings.registration import Binding
from pulsekit.catalogue import message_schema
from pulsekit.errors import DocumentError, InvalidMessage, PulsekitError
from pulsekit.messages import Gap, Message, MessageCheck
from pulsekit.records.attribution import MatchedBindings
from pulsekit.records.record import gap_record, message_record
from pulsekit.treeherder import Context, Judge, summarize
from pulsekit.treeherder.document_verdicts import judge_subjects
from pulsekit.treeherder.job_fields import job_fields, job_head, job_links
from pulsekit.treeherder.message_check import JobCheck, message_check
from pulsekit.treeherder.rule_list import JOB_FIELDS
from pulsekit.treeherder.subjects import EXCHANGES, PUSH_EXCHANGES, recognize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pulsekit.inspector.ring import Entry
    from pulsekit.schemas.schema import Schema
    from pulsekit.treeherder.document_verdicts import Judged

__all__ = ["Reader", "shell_words", "tail_command"]

_MOST_PROBLEMS = 20
_MOST_LINKS = 100  # links of a job
_MOST_CHARACTERS = 200  # characters of a text in a row
_MOST_TEXT = 1024 * 1024  # bytes of the largest body that the page shows in full
_MOST_LAID_OUT = 256 * 1024  # bytes of the largest body that is shown as JSON on several lines, or as YAML


class Reader:
    """A reader of entries for the page.

    Args:
        schema: the schema or the check for all messages. By default, messages of known exchanges are validated by the
            schema of the catalogue, and jobs on other exchanges are checked as by Treeherder.
        receivers: (name, bindings) pairs of other queues that may receive a message.
    """

    def __init__(
        self, schema: Schema | MessageCheck | None = None, receivers: Iterable[tuple[str, Sequence[Binding]]] = ()
    ) -> None:
        self._schema = schema
        treeherder = ("Treeherder", [Binding(exchange, "#") for exchange in (*EXCHANGES, *PUSH_EXCHANGES)])
        self._receivers = [(name, MatchedBindings(bindings)) for name, bindings in (*receivers, treeherder)]
        self._checks: dict[str, Schema | MessageCheck | None] = {}
        self._job = JobCheck()

    def row(self, entry: Entry) -> dict[str, Any]:
        """Return the row of an entry. Empty members are omitted. A large message has no verdict."""
        if isinstance(entry.value, Gap):
            return {"n": entry.number, "gap": gap_record(entry.value)}
        message = copy(entry.value)  # the decoded payload is stored in a copy, so that the ring contains only bodies
        row: dict[str, Any] = {
            "n": entry.number,
            "t": round(message.received.timestamp() * 1000),
            "e": message.exchange,
            "k": message.routing_key,
            "s": len(message.body),
        }
        if message.redelivered:
            row["again"] = True
        try:
            if cc := len(message.cc):
                row["cc"] = cc
        except InvalidMessage:
            row["bad"] = "unreadable headers"
            return row
        if len(message.body) > _MOST_TEXT:
            return row
        try:
            payload = message.decoded
        except DocumentError:
            row["bad"] = "not JSON"
            return row
        if (check := self._check(message, payload)) is not None:
            problem = next(map(str, _problems(check, message, payload, most=1)), "")
            row["bad" if problem else "ok"] = problem or True
        if (job := summarize(payload)) is not None:
            row["job"] = [text[:_MOST_CHARACTERS] for text in (job.symbol, job.status, job.name)]
        return row

    def details(self, entry: Entry, bindings: Iterable[Binding]) -> dict[str, Any]:
        """Return everything about an entry except the text of its payload.

        Args:
            entry: the entry.
            bindings: the bindings of the subscription.
        """
        if isinstance(entry.value, Gap):
            return {"n": entry.number, "gap": gap_record(entry.value)}
        message = copy(entry.value)
        record = message_record(message)
        found: dict[str, Any] = {name: value for name, value in record.items() if name not in _BODIES}
        found |= {"n": entry.number, "size": len(message.body), "text": _is_text(message.body)}
        found["matched"] = [_reason(reason) for reason in MatchedBindings(bindings).reasons(message)]
        found["receivers"] = [
            {"name": name, **_reason(reason)}
            for name, matched in self._receivers
            for reason in matched.reasons(message)[:1]
        ]
        found["publish"] = publish_command(record)
        try:
            payload = message.decoded
        except DocumentError as error:
            return found | {"problem": str(error)}
        check = self._check(message, payload)
        if check is not None:
            problems = _problems(check, message, payload, most=_MOST_PROBLEMS)
            found["schema"] = {"name": check.name, "problems": [str(one) for one in problems]}
        found["treeherder"] = [_verdict(judged) for judged in _judged(record, payload)]
        return found

    def text(self, entry: Entry, form: str) -> str:
        """Return the payload as text: `json` and `yaml` on several lines, or `raw`, the unchanged body.

        A body of more than 1 MiB is truncated, and a body of more than 256 KiB is always raw.

        Raises:
            DocumentError: Raised when the payload has no such form.
        """
        if not isinstance(entry.value, Message):
            return ""
        body = entry.value.body
        if form == "raw" or len(body) > _MOST_LAID_OUT:
            cut = body[:_MOST_TEXT]
            rest = f"\n… {len(body) - len(cut):,} more bytes are in the download" if len(cut) < len(body) else ""
            return (cut.decode(errors="replace") if _is_text(body) else cut[:4096].hex(" ", 1)) + rest
        payload = copy(entry.value).decoded
        try:
            if form == "yaml":
                return yaml_text(payload)
            return json.dumps(payload, ensure_ascii=False, indent=2)
        except (RecursionError, ValueError) as error:
            raise DocumentError(f"nested too deeply for {form}", source="") from error

    def _check(self, message: Message, payload: Any) -> Schema | MessageCheck | None:
        if self._schema is not None:
            return self._schema
        exchange = message.exchange
        if exchange not in self._checks:
            if len(self._checks) > _MOST_EXCHANGES:
                self._checks.clear()
            schema = message_schema(exchange)
            self._checks[exchange] = None if schema is None else message_check(schema)
        check = self._checks[exchange]
        if check is None and isinstance(payload, dict) and not JOB_FIELDS.isdisjoint(payload):
            return self._job
        return check


_BODIES = ("payload", "body", "body_b64")
_MOST_EXCHANGES = 4096  # exchanges whose schema is cached


def shell_words(*words: str) -> str:
    r"""Return words for a shell. A word with control or bidi characters is written as `$'\xe2\x80\xae'`.

    A terminal would interpret such a character when the user pastes the command.
    """
    return " ".join(shlex.quote(word) if word.isprintable() else f"$'{_escaped(word)}'" for word in words)


def tail_command(bindings: Iterable[Binding], chosen: str = "") -> str:
    """Return the `pulsekit tail` command for the messages that the page shows."""
    options = ("--filter", chosen) if chosen else ()
    return shell_words("pulsekit", "tail", *map(str, bindings), *options)


def publish_command(record: dict[str, Any]) -> str:
    """Return the command that publishes the message again, from a recording of the page."""
    more = [word for key in record["cc"] for word in ("--cc", key)]
    return shell_words(
        "pulsekit", "publish", "--no-schema", "-e", record["exchange"], "-k", record["routing_key"], *more, "FILE"
    )


def _escaped(word: str) -> str:
    return "".join(f"\\{one}" if one in "\\'" else one if one.isprintable() else _escaped_bytes(one) for one in word)


def _escaped_bytes(character: str) -> str:
    """Return the escapes of the UTF-8 of a character. A shell expands its code point only in a locale that has it."""
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "replace"))


def _problems(check: Schema | MessageCheck, message: Message, payload: Any, *, most: int) -> Sequence[Any]:
    if isinstance(check, MessageCheck):
        return check.problems(message, most=most)
    return () if check.is_valid(payload) else check.problems(payload, most=most)


def _judged(record: dict[str, Any], payload: Any) -> list[Judged]:
    """Return the verdicts of Treeherder on a message, or an empty list if it is not about a job, a task or a push."""
    try:
        if not isinstance(payload, dict) or (JOB_FIELDS.isdisjoint(payload) and recognize(record) is None):
            return []
        return list(judge_subjects(Judge(), Document(record, "", 0, lambda _: None), Context()))
    except PulsekitError:
        return []


def _verdict(judged: Judged) -> dict[str, Any]:
    verdict = judged.placed.verdict
    form = verdict.job
    findings = [
        {"rule": one.rule, "severity": one.severity, "pointer": one.pointer, "message": one.message, "hint": one.hint}
        for one in verdict.findings
    ]
    return judged.record() | {
        "outcome": verdict.outcome,
        "problems": [str(problem) for problem in verdict.problems[:_MOST_PROBLEMS]],
        "findings": findings,
        "assumptions": list(verdict.assumptions),
        "rules_as_of": verdict.rules_as_of.isoformat(),
        "job": None
        if form is None
        else {
            "project": verdict.project,
            "revision": form["revision"],
            **job_head(form["job"])._asdict(),
            "fields": list(job_fields(form["job"], form["superseded"])),
            "links": [
                [label, one["name"], one["url"], use] for label, one, use in islice(job_links(form["job"]), _MOST_LINKS)
            ],
        },
    }


def _reason(reason: Any) -> dict[str, str]:
    return {"binding": str(reason.binding), "key": reason.key, "words": reason.words}


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
