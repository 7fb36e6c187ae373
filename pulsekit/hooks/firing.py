"""Decide whether a hook fires for a message, with the task that Taskcluster would create.

The steps are those of `services/hooks/src/listeners.js` and `taskcreator.js` of Taskcluster: match the bindings,
compile the schema, validate the payload, render the template, and add missing times and the task group.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pulsekit._documents.suggestions import brief
from pulsekit.bindings.lint import BindingFinding, Severity, lint
from pulsekit.bindings.matching import explain_match
from pulsekit.catalogue.exchanges import misspelt
from pulsekit.catalogue.key_patterns import KnownLayouts
from pulsekit.errors import SchemaError
from pulsekit.hooks.rendering import TemplateError, date_text, render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit.bindings.registration import Binding
    from pulsekit.errors import Problem
    from pulsekit.hooks.hook import Hook

__all__ = ["Firing", "HookTally", "Outcome", "check_hook", "fire"]

_DEADLINE, _EXPIRES = timedelta(days=1), timedelta(days=30)  # taskcreator.js: "1 day" and "1 month"
_MOST_REASONS = 1000  # reasons counted for one hook; limited, because reasons quote payloads


class Outcome(StrEnum):
    """The result of a hook for a message.

    Attributes:
        NO_BINDING: no binding of the hook matches, so its queue does not get the message.
        SCHEMA_ERROR: the schema does not compile, so the service drops the message.
        DISCARDED: the payload violates the schema, so the service discards the message.
        TEMPLATE_ERROR: the template cannot be rendered. The service stores this error as the last fire.
        DECLINED: the template has an empty result, so no task is created.
        FIRES: a task is created.
    """

    NO_BINDING = "no-binding"
    SCHEMA_ERROR = "schema-error"
    DISCARDED = "discarded"
    TEMPLATE_ERROR = "template-error"
    DECLINED = "declined"
    FIRES = "fires"


@dataclass(frozen=True, slots=True)
class Firing:
    """What a hook does with a message.

    Attributes:
        hook: the hook.
        outcome: the outcome.
        binding: the first binding that matches, or None.
        reason: why the hook does not fire, on one line, or empty.
        place: the place of a template error in the template, such as `.routes[1]`, or empty.
        problems: the violations of the schema, if the message is discarded.
        task_id: the id of the task, or empty.
        task: the task as Taskcluster creates it, or None.
    """

    hook: Hook
    outcome: Outcome
    binding: Binding | None = None
    reason: str = ""
    place: str = ""
    problems: tuple[Problem, ...] = ()
    task_id: str = ""
    task: dict[str, Any] | None = None


def fire(
    hook: Hook,
    payload: Any,
    *,
    exchange: str | None = None,
    keys: Sequence[str] = (),
    now: datetime | None = None,
    task_id: str | None = None,
) -> Firing:
    """Return what a hook does with a message.

    Args:
        hook: the hook.
        payload: the payload, as plain JSON.
        exchange: the exchange of the message. If it is empty, only the patterns of the bindings are checked, and with
            None, no binding is checked.
        keys: the routing key, then the keys of CC. Without keys, the patterns of the bindings are not checked.
        now: the time, with a time zone. The default is the current time.
        task_id: the id of the task. The default is a new id.

    Raises:
        ConfigurationError: Raised when the package `json-e` is not installed.
    """
    binding, reason = (None, "") if exchange is None else _matching(hook, exchange, keys)
    if exchange is not None and binding is None:
        return Firing(hook, Outcome.NO_BINDING, reason=reason)
    try:
        problems = hook.trigger_schema.problems(payload)
    except SchemaError as error:
        return Firing(hook, Outcome.SCHEMA_ERROR, binding, str(error))
    if problems:
        return Firing(hook, Outcome.DISCARDED, binding, "; ".join(map(str, problems)), problems=problems)
    now, task_id = now or datetime.now(UTC), task_id or _new_id()
    try:
        task = render(hook.task, {"firedBy": "pulseMessage", "payload": payload, "now": now, "taskId": task_id})
    except TemplateError as error:
        return Firing(hook, Outcome.TEMPLATE_ERROR, binding, error.reason, error.place)
    if not task and not isinstance(task, list | dict):  # an empty object is a task, other empty values are not
        return Firing(hook, Outcome.DECLINED, binding, f"the template has the result {brief(task)}")
    if not isinstance(task, dict):
        return Firing(hook, Outcome.TEMPLATE_ERROR, binding, f"the result is not an object: {brief(task)}")
    times = {"created": now, "deadline": now + _DEADLINE, "expires": now + _EXPIRES}
    added = {name: date_text(when) for name, when in times.items()} | {"taskGroupId": task_id}
    completed = task | {name: value for name, value in added.items() if not task.get(name)}
    return Firing(hook, Outcome.FIRES, binding, task_id=task_id, task=completed)


def check_hook(hook: Hook) -> tuple[BindingFinding, ...]:
    """Return the mistakes in a hook that can be found without a message, the most severe first.

    The rules are those of `pulsekit.bindings.lint`, `exchange` for a name that resembles one of the catalogue, `schema`
    for a schema that does not compile, and `discards-all` for a schema that allows only empty objects.
    """
    found: list[BindingFinding] = []
    for binding, findings in lint(hook.bindings, least={"": 1}, layouts=KnownLayouts()).items():
        if near := misspelt(binding.exchange):
            words = f"{binding}: the catalogue has no such exchange, and Taskcluster reports no failed binding"
            found.append(BindingFinding("exchange", Severity.WRONG, words, f"did you mean {near}?"))
        found += [replace(finding, message=f"{binding}: {finding.message}") for finding in findings]
    schema = hook.trigger_schema
    if schema.error:
        words = f"triggerSchema does not compile, so every message is dropped: {schema.error}"
        found.append(BindingFinding("schema", Severity.WRONG, words))
    elif hook.bindings and schema.allows_nothing:
        words = "triggerSchema discards every message that has a property"
        found.append(BindingFinding("discards-all", Severity.WRONG, words, "describe the messages in triggerSchema"))
    order = list(Severity)
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


class HookTally:
    """Counts of the outcomes of each hook, and of the reasons why it did not fire.

    Attributes:
        outcomes: for the name of each hook, how often each outcome occurred.
        reasons: for the name of each hook, how often each reason for not firing occurred. Only the first 1,000
            different reasons are counted.
    """

    def __init__(self, hooks: tuple[Hook, ...]) -> None:
        self.outcomes: dict[str, Counter[Outcome]] = {hook.name: Counter() for hook in hooks}
        self.reasons: dict[str, Counter[str]] = {hook.name: Counter() for hook in hooks}

    @property
    def fired(self) -> int:
        """The number of tasks of all hooks."""
        return sum(counts[Outcome.FIRES] for counts in self.outcomes.values())

    def add(self, firing: Firing) -> None:
        """Count one message of a hook."""
        name, problems = firing.hook.name, firing.problems
        self.outcomes[name][firing.outcome] += 1
        if firing.outcome not in {Outcome.FIRES, Outcome.NO_BINDING}:
            reason = str(problems[0]) if problems else f"{firing.place} {firing.reason}".strip()
            if reason in self.reasons[name] or len(self.reasons[name]) < _MOST_REASONS:
                self.reasons[name][reason] += 1


def _matching(hook: Hook, exchange: str, keys: Sequence[str]) -> tuple[Binding | None, str]:
    """Return the first binding that matches one of the keys, or None and the reason."""
    reason = "" if hook.bindings else "the hook has no bindings"
    for binding in hook.bindings:
        if exchange and binding.exchange != exchange:
            reason = reason or f"the message is on another exchange, {exchange}"
            continue
        results = [explain_match(binding.pattern, key) for key in keys]
        if any(results) or not results:
            return binding, ""
        reason = f"{binding.pattern}: {results[0].reason}"
    return None, reason


def _new_id() -> str:
    """Return a new id of a task, which begins with a letter: https://github.com/taskcluster/slugid."""
    data = bytearray(uuid4().bytes)
    data[0] &= 0x7F
    return urlsafe_b64encode(data)[:22].decode()
