"""The output of `publish --dry-run`: the verdict on each message, the bindings that match, and a preview of the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulsekit._documents.suggestions import counted
from pulsekit.cli.commands.publish.lint_summary import LintSummary, Refusals
from pulsekit.cli.output.output import note
from pulsekit.cli.output.recordings import DroppedFields, show_options
from pulsekit.cli.output.reports import PayloadReport, report_record
from pulsekit.cli.output.theme import status_style
from pulsekit.errors import ConfigurationError, DocumentError
from pulsekit.publisher.dry_run import DryRun
from pulsekit.publisher.planning import RefusedPayload
from pulsekit.treeherder.results import shown_status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pulsekit.bindings.registration import Binding
    from pulsekit.cli.output.output import Cell, Output
    from pulsekit.publisher.dry_run import DryRunMessage
    from pulsekit.publisher.planning import PlannedMessages, PublishPlan

__all__ = ["DryRunReport"]

_VERDICTS = {"valid": "good", "wrong": "warn", "dropped": "bad", "invalid": "bad"}
_WIDTH = max(map(len, _VERDICTS))
_SHORT = 12  # characters of a revision


class DryRunReport:
    """A view of the messages that `publish` would send.

    Attributes:
        messages: the number of messages shown, including refused payloads.
        refused: the number of refused payloads.
        unbound: the number of messages that no registered binding matches.

    Raises:
        ConfigurationError: Raised when `require_route` is set, and no binding of the exchange is known.
    """

    def __init__(
        self, plan: PublishPlan, bindings: Iterable[Binding], out: Output, *, require_route: bool = False
    ) -> None:
        self.messages = self.refused = self.unbound = 0
        self._exchange = plan.exchange
        self._dry_run = DryRun(plan, bindings)
        self._out = out
        self._summary = LintSummary()
        self._refusals = Refusals()
        self._dropped = DroppedFields()
        if not self._dry_run.has_bindings:
            unknown = (
                f"no registration of {plan.exchange} is configured, so its bindings are unknown: "
                "'pulsekit register --write' adds one"
            )
            if require_route:
                raise ConfigurationError(f"--dry-run cannot check --require-route: {unknown}")
            note(unknown)

    def show(self, planned: PlannedMessages | RefusedPayload) -> None:
        """Show the messages of a payload, or the reasons why it is refused."""
        if isinstance(planned, RefusedPayload):
            self.refused += 1
            self._refusals.add(planned)
        else:
            self._summary.add(planned)
            self._dropped.add(planned.dropped)
        for message in self._dry_run.messages(planned):
            if not self._out.pretty:
                source = planned.document.source if isinstance(planned, RefusedPayload) else planned.source
                self._record(message, source)
            elif isinstance(planned, RefusedPayload):
                self._show_refused(message, planned)
            else:
                self._show(message)
            self.messages += 1
            self.unbound += message.routing_key is not None and not message.bindings

    def end(self) -> None:
        """Print the findings of the linter and a summary."""
        self._out.flush()
        self._refusals.end()
        self._summary.print_all()
        self._dropped.print_all()
        sent = counted(self.messages - self.refused, "message")
        unbound = f", {self.unbound:,} without a binding" if self._dry_run.has_bindings and self.unbound else ""
        note(f"dry run: {sent} would be sent{unbound}, {self.refused:,} rejected; nothing was sent")

    def _show_refused(self, message: DryRunMessage, refused: RefusedPayload) -> None:
        document = refused.document
        number = "" if isinstance(document, DocumentError) else f", payload {document.index + 1}"
        self._out.line(_head(message), "  ", (f"{document.source}{number}", "dim"))

    def _show(self, message: DryRunMessage) -> None:
        bindings = ", ".join(message.bindings) or ("no binding" if self._dry_run.has_bindings else "?")
        key = (message.routing_key or "", "key")
        size = (f"  {message.size:,}\N{NO-BREAK SPACE}bytes", "dim")
        self._out.wrapped(_head(message), "  ", key, ("  →  ", "dim"), bindings, size, hang=_WIDTH + 2)
        show_options(self._out, _WIDTH + 2, message.options, message.dropped)
        if message.preview is not None:
            self._out.fitted(" " * (_WIDTH + 2), *_summary_line(message.project, message.preview))

    def _record(self, message: DryRunMessage, source: str) -> None:
        report = PayloadReport(source, self.messages, message.problems, message.lint)
        record = report_record(report) | {
            "verdict": message.verdict,
            "treeherder": message.outcome or None,
            "exchange": self._exchange,
            "routing_key": message.routing_key,
            "size": message.size,
            "options": message.options,
            "dropped": message.dropped,
            "bindings": message.bindings,
            "preview": message.preview,
            # The same fields as in the receipts of sent messages.
            "message_id": None,
            "outcome": "invalid" if message.routing_key is None else None,
            "resent": False,
        }
        self._out.record(record)


def _head(message: DryRunMessage) -> Cell:
    return f"{message.verdict:{_WIDTH}}", _VERDICTS[message.verdict]


def _summary_line(project: str, form: dict[str, Any]) -> list[Cell]:
    """Return a line with a job's result, symbol, row, name, project and revision. The result is never truncated."""
    job = form["job"]
    status = shown_status(job["state"], job["result"])
    row = " ".join([job["build_platform"].get("platform", "unknown"), *sorted(job["option_collection"])])
    symbol = job["job_symbol"] or "?"
    group = job["group_symbol"]
    shown = symbol if group == "?" else f"{group}({symbol})"
    where = f"{project} {form['revision'][:_SHORT]}"
    return [(f"{shown} {status}", status_style(status)), "  ", row, "  ", job["name"], "  ", (where, "dim")]
