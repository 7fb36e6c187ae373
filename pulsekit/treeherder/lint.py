"""The linter: the rules of Treeherder that a job, or a file of jobs, breaks."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pulsekit._documents.suggestions import Guesses, brief
from pulsekit.errors import ConfigurationError, Problem
from pulsekit.treeherder.context import NOTHING, Context
from pulsekit.treeherder.results import stored_result
from pulsekit.treeherder.rule_checks import CHECKS, STATES, Reading
from pulsekit.treeherder.rule_list import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pulsekit.treeherder.rule_list import Rule, Severity

__all__ = ["RULES_BY_NAME", "Finding", "Linter", "lint_job", "make_finding"]

RULES_BY_NAME = {rule.name: rule for rule in RULES}
_ORDER = list(RULES_BY_NAME)
_BACKWARDS = RULES_BY_NAME["state-backwards"]  # the only rule that needs more than one job
_PASSED = {name: number for number, name in enumerate(STATES[:-1])}  # the states before `completed`, in their order
_REMEMBERED = 50_000  # jobs whose states are compared, at least; twice as many need 20 MB


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that a job breaks, and the value that breaks the rule.

    Attributes:
        rule: the name of the rule.
        severity: the severity of the rule.
        pointer: the JSON pointer of the value (RFC 6901); empty for the whole job or for a missing value.
        message: the description of the finding.
        hint: how to correct the job.
        suggestion: a JSON Patch operation (RFC 6902) that removes the finding without a change of the stored job, or
            None.
    """

    rule: str
    severity: Severity
    pointer: str
    message: str
    hint: str
    suggestion: Mapping[str, Any] | None = field(default=None, compare=False)

    def problem(self) -> Problem:
        """Return the finding as a problem of the payload."""
        return Problem(self.pointer, self.rule, self.message, hint=self.hint, suggestion=self.suggestion)

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.pointer or 'payload'}: {self.message}{hint}"


class Linter:
    """A linter for the jobs of a file, which also compares the states of each job.

    Args:
        off: names of rules that are not applied.

    Raises:
        ConfigurationError: Raised when a name is not the name of a rule.
    """

    def __init__(self, off: Iterable[str] = ()) -> None:
        off = frozenset(off)
        for name in sorted(off.difference(RULES_BY_NAME)):
            near = Guesses().nearest(name, RULES_BY_NAME)
            meant = f"did you mean {near!r}?" if near else f"rules are {', '.join(RULES_BY_NAME)}"
            raise ConfigurationError(f"there is no lint rule {name!r} to switch off; {meant}")
        self._checks = [(RULES_BY_NAME[name], check) for name, check in CHECKS.items() if name not in off]
        self._compares = _BACKWARDS.name not in off
        # The state of each job, or the result of a completed job. Two dicts, because a dict from which the oldest entry
        # is often removed becomes slow.
        self._reached: dict[str, str] = {}
        self._reached_before: dict[str, str] = {}

    def begin(self) -> None:
        """Start a new file, and drop the states of all jobs."""
        self._reached, self._reached_before = {}, {}

    def lint(
        self,
        job: Any,
        key: str | None = None,
        *,
        size: int | None = None,
        context: Context = NOTHING,
    ) -> tuple[Finding, ...]:
        """Return the findings on a job, the most severe first. A payload that is not an object has none.

        No payload causes an exception. The schema is not applied.

        Args:
            job: plain JSON.
            key: the routing key, if it is known.
            size: an upper limit of the size of the message in bytes. With it, most jobs need not be encoded.
            context: the properties of the message and of the Treeherder instance. Its routing key replaces `key`.
        """
        return self.compare(job, self.check(job, key, size=size, context=context))

    def check(
        self,
        job: Any,
        key: str | None = None,
        *,
        size: int | None = None,
        context: Context = NOTHING,
    ) -> tuple[Finding, ...]:
        """Return the findings of `lint` that do not depend on other jobs."""
        if not isinstance(job, dict):
            return ()
        reading = Reading(job, key if context.routing_key is None else context.routing_key, size, context)
        found: list[Finding] = []
        for rule, check in self._checks:
            if breaches := check(reading):
                found += [make_finding(rule, *breach) for breach in breaches]
        if len(found) > 1:
            found.sort(key=_rank)
        return tuple(found)

    def compare(self, job: Any, found: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """Record the state of a job. If it breaks the rule for states, add this to its other findings."""
        if isinstance(job, dict) and (message := self.went_back(job)):
            return tuple(sorted((*found, make_finding(_BACKWARDS, "/state", message)), key=_rank))
        return found

    def went_back(self, job: dict[str, Any]) -> str:
        """Record the state of a job, and return the message of the rule if Treeherder ignores this state.

        Treeherder ignores a state that is earlier than one the job has had, and each message after `completed`. A
        repetition is no finding, because it changes nothing: brokers and publishers can repeat any message.
        """
        task_id, state = job.get("taskId"), job.get("state")
        if not self._compares or not isinstance(task_id, str) or not task_id or state not in STATES:
            return ""
        now = state
        if state == "completed":
            result = job.get("result")
            now = stored_result(state, result if type(result) is str else "", "", retried=bool(job.get("isRetried")))
        before = self._reached.get(task_id) or self._reached_before.get(task_id, "")
        goes_on = not before or (before in _PASSED and _PASSED.get(now, len(_PASSED)) >= _PASSED[before])
        self._reached[task_id] = now if goes_on else before
        if len(self._reached) >= _REMEMBERED:
            self._reached, self._reached_before = {}, self._reached
        if goes_on or now == before:
            return ""
        what = "another result" if state == "completed" else brief(state)
        return f"{what} follows {brief(before if before in _PASSED else 'completed')} of the same taskId"


def lint_job(job: Any, key: str | None = None, *, off: Iterable[str] = ()) -> tuple[Finding, ...]:
    """Return the rules that a job breaks, the most severe first. The schema is not applied.

    No payload causes an exception. For a file of jobs, use a `Linter`, which also compares states.

    Args:
        job: plain JSON.
        key: the routing key, if it is known.
        off: names of rules that are not applied.

    Raises:
        ConfigurationError: Raised when a name is not the name of a rule.
    """
    return Linter(off).lint(job, key)


def make_finding(rule: Rule, pointer: str, message: str, suggestion: Mapping[str, Any] | None = None) -> Finding:
    """Return the finding for a rule that the value at a pointer breaks."""
    if suggestion is None:
        return _finding(rule, pointer, message)
    return Finding(rule.name, rule.severity, pointer, message, rule.hint, suggestion)


@lru_cache(128)  # most jobs of a file break the same rules in the same way
def _finding(rule: Rule, pointer: str, message: str) -> Finding:
    return Finding(rule.name, rule.severity, pointer, message, rule.hint)


def _rank(finding: Finding) -> int:
    return _ORDER.index(finding.rule)
