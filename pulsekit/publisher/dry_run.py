"""A dry run of a publish: the messages, the bindings that match them, and how Treeherder would show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pulsekit._documents.payloads import encode_payload
from pulsekit.bindings.table import BindingTable
from pulsekit.errors import DocumentError, InvalidPayload, Problem
from pulsekit.publisher.encoder import Draft, delivery_options
from pulsekit.publisher.planning import RefusedPayload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pulsekit.bindings.registration import Binding
    from pulsekit.publisher.planning import PlannedMessage, PlannedMessages, PublishPlan
    from pulsekit.treeherder.placed import Placed, PlacedVerdict

__all__ = ["DryRun", "DryRunMessage"]

_SHOWN = {"wrong", "dropped"}  # severities that make a verdict; a job with cosmetic findings only is valid


@dataclass(frozen=True, slots=True)
class DryRunMessage:
    """The expected result of one message, or of a payload that would not be sent.

    Attributes:
        verdict: `valid`, `wrong` (Treeherder would show wrong data), `dropped` or `invalid`.
        outcome: what Treeherder would do: `stored`, `dropped`, `ignored` or `unknown`. Empty if it is not a job.
        routing_key: the routing key, or None if the payload would not be sent.
        options: the CC and BCC keys, the expiration and the `reply_to` of the message.
        dropped: the same fields of the record that would not be sent.
        size: the size of the body in bytes.
        bindings: the patterns of the bindings that match a routing key of the message.
        project: the project of the job.
        preview: the job as Treeherder would store it, or None if there is none.
        problems: the violations of the schema.
        lint: the findings on the job.
    """

    verdict: str
    outcome: str = ""
    routing_key: str | None = None
    size: int | None = None
    bindings: tuple[str, ...] = ()
    project: str = ""
    preview: dict[str, Any] | None = None
    problems: Sequence[Problem] = ()
    lint: Sequence[Placed] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    dropped: Mapping[str, Any] = field(default_factory=dict)


class DryRun:
    """A dry run of a plan.

    Args:
        plan: the plan.
        bindings: the known bindings. Bindings of other exchanges are ignored.
    """

    def __init__(self, plan: PublishPlan, bindings: Iterable[Binding]) -> None:
        self._plan = plan
        self._table: BindingTable[str] = BindingTable()
        for binding in bindings:
            if binding.exchange == plan.exchange:
                self._table.add(binding.pattern, binding.pattern)

    @property
    def has_bindings(self) -> bool:
        """Whether a binding of the exchange is known."""
        return len(self._table) > 0

    def messages(self, planned: PlannedMessages | RefusedPayload) -> list[DryRunMessage]:
        """Return the expected result of each message of a payload."""
        if isinstance(planned, RefusedPayload):
            return [self._refused(planned)]
        return [self._message(message, planned) for message in planned]

    def _refused(self, refused: RefusedPayload) -> DryRunMessage:
        error, placed = refused.error, refused.verdict
        if placed is not None:
            word, outcome = _word(placed), placed.verdict.outcome
            return DryRunMessage(word, outcome, problems=placed.problems, lint=placed.lint)
        if isinstance(error, InvalidPayload):
            return DryRunMessage("invalid", problems=error.problems)
        problem = error.problem() if isinstance(error, DocumentError) else Problem("", "message", str(error))
        return DryRunMessage("invalid", problems=(problem,))

    def _message(self, message: PlannedMessage, planned: PlannedMessages) -> DryRunMessage:
        draft = Draft(*message) if isinstance(message, tuple) else message
        payload, key, placed, options = draft.payload, draft.routing_key, planned.verdict, delivery_options(draft)
        keys = (key, *draft.cc, *options.get("bcc", ()))
        verdict = None if placed is None else placed.verdict
        preview = None if verdict is None else verdict.job
        return DryRunMessage(
            verdict="valid" if placed is None else _word(placed),
            outcome="" if verdict is None else verdict.outcome,
            routing_key=key,
            size=len(payload if isinstance(payload, bytes) else encode_payload(payload)),
            bindings=tuple(dict.fromkeys(pattern for one in keys for pattern in self._table.matches(one))),
            project=verdict.project if verdict is not None and preview is not None else "",
            preview=preview,
            problems=() if placed is None else placed.problems,
            lint=() if placed is None else placed.lint,
            options=options,
            dropped=planned.dropped,
        )


def _word(placed: PlacedVerdict) -> str:
    if placed.problems:
        return "invalid"
    worst = str(placed.lint[0].finding.severity) if placed.lint else ""
    return worst if worst in _SHOWN else "valid"
