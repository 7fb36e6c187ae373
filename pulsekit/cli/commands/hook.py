"""`pulsekit hook`: show for each message whether a Taskcluster hook fires, and the task that it creates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pulsekit._documents.suggestions import Guesses, counted
from pulsekit.bindings.lint import Severity
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.input.files import bounded_lines, is_piped
from pulsekit.cli.options import OutputOption
from pulsekit.cli.output.output import Output, note, warn
from pulsekit.errors import ConfigurationError, DocumentError, InvalidPayload
from pulsekit.hooks.firing import HookTally, Outcome, check_hook, fire
from pulsekit.hooks.hook import read_hooks
from pulsekit.hooks.rendering import check_installed
from pulsekit.schemas.limits import watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pulsekit._documents.document import Document
    from pulsekit.hooks.firing import Firing
    from pulsekit.hooks.hook import Hook
    from pulsekit.records.record import Record

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """
pulsekit hook hook.json
pulsekit hook hook.json --messages pushes.ndjson.gz --expect 2
pulsekit hook hooks.yml --hook project-a/report --messages message.json
pulsekit hook hook.json --messages pushes.ndjson -o ndjson | jq .task
pulsekit tail hgpushes | pulsekit hook hook.json -o pretty
"""

_STYLES = {Outcome.FIRES: "good", Outcome.NO_BINDING: "dim", Outcome.DECLINED: "warn", Outcome.DISCARDED: "warn"}
_MOST_REASONS = 5  # reasons for each hook in the summary
_WIDTH = max(map(len, Outcome)) + 2


def command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Hook, list of hooks, or a configuration of hooks.")],
    messages: Annotated[
        str | None,
        typer.Option("--messages", metavar="FILE", help="Recording, or a message. [default: stdin if it is a pipe]"),
    ] = None,
    hook: Annotated[str | None, typer.Option("--hook", metavar="NAME", help="Use only the hook NAME of FILE.")] = None,
    expect: Annotated[
        int | None, typer.Option("--expect", min=0, metavar="N", help="Exit with 1 unless N tasks would be created.")
    ] = None,
    output: OutputOption = None,
) -> int:
    """Show which tasks a Taskcluster hook would create, or why a hook creates no task.

    FILE is a hook of Taskcluster's API, or a configuration with variants, template files and anchors. First, the
    bindings and the schemas of all hooks are checked. Then each message is shown with its outcome:

    no-binding: no binding of the hook matches. schema-error: triggerSchema does not compile. discarded: the message
    violates triggerSchema. template-error: the template fails. declined: the template creates no task. fires: the task
    is shown.

    At the end, a summary of each hook is shown. If a record has the time at which the message was received, templates
    use it as the current time.

    A message is a record of tail, or a payload. For a payload, the bindings are not checked. A recording can be
    compressed. Rendering needs the package json-e, which the extra "hooks" installs.

    Exit code: 0 if each hook is correct and the hooks create as many tasks as --expect requires. Otherwise 1, also if a
    template fails or a message cannot be read.
    """
    check_installed()
    hooks = _chosen(read_hooks(file), hook, file)
    wrong = _check(hooks)
    source = messages if messages is not None else "-" if is_piped() else None
    report = _Report(hooks, Output(output, live=source == "-"))
    with watched():
        for payload, record in () if source is None else _messages(source, report.out.flush):
            report.add(payload, record)
    if not report.messages:
        if messages is not None or expect is not None:
            raise ConfigurationError(f"no messages in {messages or 'stdin'}: name a recording with --messages")
        note(f"{counted(len(hooks), 'hook')}: {counted(wrong, 'mistake')}; add --messages to see whether they fire")
        return ExitCode.NEGATIVE if wrong else ExitCode.DONE
    report.summarize()
    if expect is not None and report.tally.fired != expect:
        warn(f"{counted(report.tally.fired, 'task')} would be created, not the expected {expect:,}")
        return ExitCode.NEGATIVE
    return ExitCode.NEGATIVE if wrong or report.failed else ExitCode.DONE


def _chosen(hooks: tuple[Hook, ...], name: str | None, file: str) -> tuple[Hook, ...]:
    if name is None:
        return hooks
    names = [hook.name for hook in hooks]
    if name not in names:
        near = Guesses().nearest(name, names)
        meant = f"Did you mean {near!r}? " if near else ""
        raise ConfigurationError(f"{file} has no hook {name!r}. {meant}It has {', '.join(names) or 'no hooks'}")
    return tuple(hook for hook in hooks if hook.name == name)


def _check(hooks: tuple[Hook, ...]) -> int:
    """Print the mistakes in hooks, and return their number."""
    wrong = 0
    for hook in hooks:
        for finding in check_hook(hook):
            wrong += finding.severity is Severity.WRONG
            (warn if finding.severity is Severity.WRONG else note)(f"{hook.name}: {finding} [{finding.rule}]")
    return wrong


def _messages(source: str, before_waiting: Callable[[], object]) -> Iterator[tuple[Any, Record | None]]:
    """Yield the payload of each message, or its parse error, and its record. The record is None for a bare payload."""
    from pulsekit.cli.input.payloads import documents_in, piped_documents
    from pulsekit.records.payload import open_document

    if source != "-" and not source.lower().endswith((".json", ".yml", ".yaml")) and not _has_payloads(source):
        from pulsekit.messages import Gap
        from pulsekit.recordings.reader import read_recording

        for entry in read_recording(source):
            if isinstance(entry, Gap):
                continue
            try:
                yield entry.payload, entry
            except DocumentError as error:
                yield error, entry
        return
    documents: Iterator[Document | DocumentError] = (
        piped_documents(before_waiting) if source == "-" else documents_in(source)
    )
    for document in documents:
        try:
            opened = document if isinstance(document, DocumentError) else open_document(document)
        except InvalidPayload as error:
            yield error, None
        else:
            if isinstance(opened, DocumentError):
                yield opened, None
            elif opened is not None:
                yield opened[0].value, opened[1]


def _has_payloads(name: str) -> bool:
    """Return whether a file begins with the line of a payload, and not with a line of a recording."""
    from pulsekit._documents.payloads import load_json
    from pulsekit.recordings.reader import is_gzip
    from pulsekit.records.record import is_metadata, is_record

    if not Path(name).is_file() or is_gzip(name):  # a pipe can be read only once
        return False
    with Path(name).open("rb") as file:
        try:
            first = load_json(next((line for line in bounded_lines(file) if line.strip()), b""))
        except (ValueError, RecursionError):
            return False
    return isinstance(first, dict) and not (is_record(first) or is_metadata(first))


class _Report:
    """The output for each message, and the summary.

    Attributes:
        messages: the number of messages.
        failed: the number of messages that could not be read, or for which a template failed.
    """

    def __init__(self, hooks: tuple[Hook, ...], out: Output) -> None:
        self.out = out
        self.tally = HookTally(hooks)
        self.failed = 0
        self._hooks = hooks
        self.messages = 0

    def add(self, payload: Any, record: Record | None) -> None:
        """Show what each hook does with a message. If no binding of any hook matches, show the message once."""
        self.messages += 1
        if isinstance(payload, DocumentError | InvalidPayload):
            self.failed += 1
            warn(f"message {self.messages}: {payload}")
            return
        given: dict[str, Any] = {}
        if record is not None:
            keys = (record.routing_key, *record.cc)
            given = {"exchange": record.exchange, "keys": keys, "now": record.received}
        firings = [fire(hook, payload, **given) for hook in self._hooks]
        for firing in firings:
            self.tally.add(firing)
            self.failed += firing.outcome is Outcome.TEMPLATE_ERROR
        bound = [firing for firing in firings if firing.outcome is not Outcome.NO_BINDING]
        for firing in bound or firings[:1]:
            name = firing.hook.name if bound or len(firings) == 1 else None
            if self.out.pretty:
                self._print(firing, name, record)
            else:
                self.out.record(_record(firing, name, record))

    def summarize(self) -> None:
        """Show how often each hook fired, and the most frequent reasons why it did not fire."""
        for name, counts in self.tally.outcomes.items():
            reasons = self.tally.reasons[name].most_common(_MOST_REASONS)
            if not self.out.pretty:
                outcomes = {outcome.value: counts[outcome] for outcome in Outcome}
                listed = [{"reason": reason, "count": count} for reason, count in reasons]
                self.out.record({"type": "summary", "hook": name, "outcomes": outcomes, "reasons": listed})
                continue
            shown = ", ".join(f"{outcome} {counts[outcome]:,}" for outcome in Outcome if counts[outcome])
            self.out.line((name, "head"), f"  {shown or 'no messages'}")
            for reason, count in reasons:
                self.out.wrapped((f"  {count:,}x ", "dim"), reason)
        total = counted(self.messages, "message")
        note(f"{total}: {counted(self.tally.fired, 'task')} would be created by {counted(len(self._hooks), 'hook')}")

    def _print(self, firing: Firing, name: str | None, record: Record | None) -> None:
        outcome = (f"{firing.outcome:{_WIDTH}}", _STYLES.get(firing.outcome, "bad"))
        self.out.line(outcome, (name or f"none of {counted(len(self._hooks), 'hook')}", "head"), *_key(record))
        for problem in firing.problems:
            self.out.wrapped("  ", (problem.pointer or "payload", "key"), f" {problem.message}")
        if firing.task is not None:
            for line in json.dumps(firing.task, indent=2, ensure_ascii=False).splitlines():
                self.out.line(f"  {line}")
        elif name is not None and not firing.problems:
            self.out.wrapped("  ", (f"{firing.place} " if firing.place else "", "key"), firing.reason)


def _key(record: Record | None) -> list[tuple[str, str]]:
    return [] if record is None else [("  ", ""), (record.routing_key, "key")]


def _record(firing: Firing, name: str | None, record: Record | None) -> dict[str, Any]:
    """Return the line of NDJSON for a message and a hook."""
    return {
        "hook": name,
        "outcome": firing.outcome.value,
        "exchange": None if record is None else record.exchange,
        "routing_key": None if record is None else record.routing_key,
        "binding": None if firing.binding is None else str(firing.binding),
        "reason": firing.reason if name is not None else "",
        "place": firing.place,
        "errors": [
            {"pointer": problem.pointer, "message": problem.message, "rule": problem.rule}
            for problem in firing.problems
        ],
        "taskId": firing.task_id or None,
        "task": firing.task,
    }
