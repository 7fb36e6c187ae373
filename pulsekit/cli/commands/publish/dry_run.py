"""What `publish --dry-run` shows: for each message whether it would be sent, who would take it, and how it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulsekit._documents.payloads import decode_body, encode_payload
from pulsekit.bindings.table import BindingTable
from pulsekit.cli.commands.publish.lint_summary import LintSummary
from pulsekit.cli.output.output import note
from pulsekit.cli.output.verdicts import Verdict, verdict_record
from pulsekit.errors import DocumentError, InvalidInput, InvalidPayload, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit.bindings.registration import Binding
    from pulsekit.cli.commands.publish.plans import Message, Messages, Plan, Refused
    from pulsekit.cli.output.output import Cell, Output

__all__ = ["DryRun"]

_VERDICTS = {"valid": "good", "wrong": "warn", "dropped": "bad", "invalid": "bad"}
_WIDTH = max(map(len, _VERDICTS))
_GOOD, _BAD = {"success"}, {"testfailed", "busted", "exception"}  # results, as Treeherder calls them
_SHORT = 12  # characters of a revision


class DryRun:
    """Show what would be sent.

    Attributes:
        messages: how many were shown, payloads that would not be sent included.
        refused: how many of these there are.
    """

    def __init__(self, plan: Plan, bindings: tuple[Binding, ...], out: Output) -> None:
        self.messages = self.refused = 0
        self._plan = plan
        self._out = out
        self._remarks = LintSummary()
        self._table: BindingTable[str] = BindingTable()
        for binding in bindings:
            if binding.exchange == plan.exchange:
                self._table.add(binding.pattern, binding.pattern)
        if not len(self._table):
            note(f"no registration of {plan.exchange} is configured: who would take a key is not known")

    def show(self, result: Messages | Refused) -> None:
        """Show the messages of a payload, or what is wrong with it."""
        from pulsekit.cli.commands.publish.plans import Refused, print_problems

        if isinstance(result, Refused):
            self.refused += 1
            print_problems(result)
            self._show_refused(result)
            self.messages += 1
            return
        self._remarks.add(result.source, result.lint)
        for message in result:
            self._show(message, result)
            self.messages += 1

    def end(self) -> None:
        """Sum up."""
        self._out.flush()
        self._remarks.tell()
        note(f"{self.messages - self.refused} would be sent, {self.refused} not; nothing was (--dry-run)")

    def _show_refused(self, refused: Refused) -> None:
        verdict, error = "dropped" if refused.lint else "invalid", refused.error
        if self._out.pretty:
            document = refused.document
            number = "" if isinstance(document, DocumentError) else f", payload {document.index + 1}"
            place = f"{document.source}{number}"
            self._out.line((f"{verdict:{_WIDTH}}", _VERDICTS[verdict]), "  ", (place, "dim"))
            return
        found = error.problems if isinstance(error, InvalidPayload) else [_problem(error)]
        problems = [] if refused.lint else found  # the schema has nothing against what is dropped
        self._record(Verdict(refused.document.source, self.messages, problems, refused.lint), verdict)

    def _show(self, message: Message, taken: Messages) -> None:
        payload, key = message if isinstance(message, tuple) else (message.payload, message.routing_key)
        size = len(payload if isinstance(payload, bytes) else encode_payload(payload))
        worst = taken.lint[0].finding.severity if taken.lint else ""
        verdict = str(worst) if worst in _VERDICTS else "valid"  # what is cosmetic alone
        project, form = self._seen(payload)
        keys = (key,) if isinstance(message, tuple) else (key, *message.cc)
        taking = list(dict.fromkeys(pattern for one in keys for pattern in self._table.matches(one)))
        if not self._out.pretty:
            record = Verdict(taken.source, self.messages, (), taken.lint)
            self._record(record, verdict, key, form=form, size=size, bindings=taking)
            return
        who = ", ".join(taking) if taking else "nobody" if len(self._table) else "?"
        head: Cell = (f"{verdict:{_WIDTH}}", _VERDICTS[verdict])
        self._out.line(head, "  ", (key, "key"), ("  →  ", "dim"), who, (f"  {size} bytes", "dim"))
        if form is not None:
            self._out.fitted(" " * (_WIDTH + 2), *_glimpse(project, form))

    def _seen(self, payload: Any) -> tuple[str, dict[str, Any] | None]:
        """Return a job's project, and how Treeherder would store it; nothing when this is none, or it would not."""
        if self._plan.linter is None:
            return "", None
        from pulsekit.treeherder import preview_job

        job = decode_body(payload) if isinstance(payload, bytes) else payload
        try:
            form = preview_job(job)
        except InvalidPayload:  # it is sent by force
            return "", None
        return job["origin"]["project"], form

    def _record(
        self,
        verdict: Verdict,
        word: str,
        key: str | None = None,
        *,
        form: dict[str, Any] | None = None,
        size: int | None = None,
        bindings: Sequence[str] = (),
    ) -> None:
        sent = key is not None
        record = verdict_record(verdict) | {
            "verdict": word,
            "exchange": self._plan.exchange,
            "routing_key": key,
            "size": size,
            "bindings": list(bindings),
            "preview": form,
            # As in the receipts of messages that are sent.
            "message_id": None,
            "outcome": None if sent else "invalid",
            "resent": False,
        }
        self._out.record(record)


def _problem(error: InvalidInput) -> Problem:
    if isinstance(error, DocumentError):
        return Problem("", "syntax", error.reason, line=error.line, column=error.column)
    return Problem("", "message", str(error))


def _glimpse(project: str, form: dict[str, Any]) -> list[Cell]:
    """Return one line of how a job looks on Treeherder: where, in which row, its symbol in its colour, its name."""
    job = form["job"]
    status = job["result"] if job["state"] == "completed" else job["state"]
    style = "good" if status in _GOOD else "bad" if status in _BAD else "warn"
    row = " ".join([job["build_platform"].get("platform", "unknown"), *sorted(job["option_collection"])])
    symbol = job["job_symbol"] or "?"
    group = job["group_symbol"]
    shown = symbol if group == "?" else f"{group}({symbol})"
    where = f"{project} {form['revision'][:_SHORT]}"
    return [(where, "dim"), "  ", row, "  ", (f"{shown} {status}", style), "  ", (job["name"], "dim")]
