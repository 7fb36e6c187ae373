"""`pulsekit bindings`: expand registrations, compare two expansions before a deployment, and lint bindings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pulsekit._documents.suggestions import counted
from pulsekit.bindings.registration import Binding, Registration, diff, expand, read_registrations
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.input.files import STDIN, bounded_lines, is_piped, read_input, stdin
from pulsekit.cli.input.registrations import VARIABLE, configured_registrations, registrations_from, under_rule
from pulsekit.cli.options import (
    FieldOption,
    OutputOption,
    RouteOption,
    RuleOption,
    TargetOption,
    repeatable,
    routing_key_option,
)
from pulsekit.cli.output.output import Cell, Output, note, warn
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from pulsekit._config.target import Target
    from pulsekit.bindings.impact import BindingCount
    from pulsekit.bindings.matching import RoutedMessage

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """
pulsekit bindings jobs.yml
pulsekit bindings new.yml --diff old.yml
pulsekit bindings new.yml --diff old.yml --keys jobs.ndjson.gz
pulsekit bindings new.yml --lint
pulsekit bindings hgpushes --field repository=try
echo "$PULSE_DATA_INGESTION_SOURCES" | pulsekit bindings
"""

_GZIP = b"\x1f\x8b"  # the first bytes of a gzip file (RFC 1952 §2.3.1)
_MARKS = {"": ("", ""), "added": ("+ ", "good"), "removed": ("- ", "bad"), "kept": ("  ", "")}
_WORDS = {"added": ("would start", "already match"), "removed": ("would stop", "still match")}
_STYLES = {"wrong": "bad", "cosmetic": "warn", "note": "dim"}


def command(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE|EXCHANGE|LINK]", help="A file of registrations, or - for stdin; a known exchange; or a link."
        ),
    ] = None,
    *,
    old: Annotated[
        str | None,
        typer.Option("--diff", metavar="OLD", help="Show the changes from the registrations OLD."),
    ] = None,
    check: Annotated[bool, typer.Option("--lint", help="Show bindings that can never match or are redundant.")] = False,
    keys: Annotated[list[str] | None, routing_key_option(repeatable)] = None,
    key_files: Annotated[
        list[str] | None, repeatable("--keys", metavar="FILE", help="Read keys, one per line, or a recording.")
    ] = None,
    fields: FieldOption = None,
    routes: RouteOption = None,
    rule: RuleOption = None,
    target: TargetOption = None,
    output: OutputOption = None,
) -> int:
    """Expand registrations into Treeherder's bindings. Compare two registrations, or find mistakes in a registration.

    FILE is YAML, JSON, Python as in Treeherder's documentation, or lines of exchange.key:key. Without FILE, read stdin,
    else PULSE_DATA_INGESTION_SOURCES, else the registrations of the configuration.

    For an EXCHANGE of the catalogue, such as task-failed, show one binding. With --field and --route, show one binding
    for each combination of values. For a LINK of Pulse Inspector, show the bindings in the link.

    With --routing-key or --keys, show how many messages each binding matches. Together with --diff, show how many
    messages would start or stop arriving. Together with --lint, report bindings with fewer words than the shortest of
    these keys, because they can never match.

    Exit code: 1 if --lint finds a binding that can never match, else 0.
    """
    if old is not None and check:
        raise ConfigurationError("--diff and --lint cannot be combined: run the command twice")
    if [file, old, *(key_files or ())].count("-") > 1:
        raise ConfigurationError("only one of FILE, OLD and --keys can be stdin")
    registrations, origin = _named(file, fields, routes) or _registrations(
        file, target, free="-" not in (old, *(key_files or ()))
    )
    registrations = under_rule(registrations, rule)
    messages = _messages(keys or [], key_files or []) if keys or key_files else None
    shown = Output(output)
    if check:
        return _lint(shown, registrations, messages)
    new = expand(registrations)
    before = None if old is None else expand(under_rule(registrations_from(old), rule))
    if messages is not None:
        _count(shown, before, new, messages)
    elif before is None:
        for binding in new:
            _show(shown, binding)
        note(f"{counted(len(new), 'binding')} from {origin}")
    else:
        _compare(shown, before, new)
    if before and set(before).isdisjoint(new):
        warn("no binding is kept: a deployment would unbind all old bindings")
    return ExitCode.DONE


def _named(
    text: str | None, given: list[str] | None, routes: list[str] | None
) -> tuple[tuple[Binding, ...], str] | None:
    """Return the bindings of a link or a known exchange and its name, or None if the argument is absent or a file."""
    if text is not None and "://" in text:
        from pulsekit.bindings.inspector_link import read_link

        if given or routes:
            raise ConfigurationError("--field and --route make the pattern of an exchange, and a link has patterns")
        return read_link(text).bindings, "the link"
    if not (given or routes):
        if text is None or text == "-" or Path(text).exists():
            return None
        from pulsekit.catalogue import find_exchange

        if find_exchange(text.partition(":")[0]) is None:
            return None
    from pulsekit.catalogue import read_bindings
    from pulsekit.cli.input.exchanges import read_fields

    if text is None or ((given or routes) and ":" in text):
        raise ConfigurationError(
            "--field and --route make the pattern of an exchange: name an exchange, as in task-failed"
        )
    found = read_bindings(text, read_fields(given or ()), routes or ())
    return found, found[0].exchange


def _registrations(
    file: str | None, target: Target | None, *, free: bool
) -> tuple[tuple[Registration | Binding, ...], str]:
    """Return the registrations and the name of their source. Read stdin unless another argument reads it."""
    if target is not None:
        if file:
            raise ConfigurationError(
                "--target selects registrations of pulsekit.yml, so it cannot be combined with FILE"
            )
        return configured_registrations(target)
    if file is not None:
        return registrations_from(file), STDIN if file == "-" else file
    if free and is_piped():
        data, source = read_input("-")
        if data.strip():  # without data, it is the empty stdin of a script
            return read_registrations(data, source=source, on_warning=warn), source
    registrations, source = configured_registrations()
    if not registrations:
        raise ConfigurationError(
            f"no registrations: give a FILE, pipe them, set {VARIABLE}, or add them to pulsekit.yml"
        )
    return registrations, source


def _messages(keys: list[str], files: list[str]) -> Iterator[RoutedMessage]:
    from pulsekit.bindings.matching import RoutedMessage, check_key

    none = True
    for key in keys:
        none = False
        yield RoutedMessage((check_key(key),))
    for name in files:
        for message in _messages_in(name):
            none = False
            yield message
    if none:
        raise ConfigurationError(
            f"no keys in {', '.join(files)}: write one key per line, or one record of 'pulsekit tail'"
        )


def _messages_in(name: str) -> Iterator[RoutedMessage]:
    """Yield the messages of a file of keys or of a recording. Check a gzip recording by its trailer."""
    from pulsekit.records.routing import read_routed

    if name == "-":
        yield from read_routed(bounded_lines(stdin()), source=STDIN)
        return
    with Path(name).open("rb") as file:
        if file.peek(len(_GZIP))[: len(_GZIP)] != _GZIP:
            yield from read_routed(bounded_lines(file), source=name)
            return
    from pulsekit.bindings.matching import RoutedMessage
    from pulsekit.recordings.reader import read_recording
    from pulsekit.records.record import Record

    for entry in read_recording(name):
        if isinstance(entry, Record):
            yield RoutedMessage((entry.routing_key, *entry.cc), entry.exchange)


def _compare(shown: Output, before: Sequence[Binding], new: Sequence[Binding]) -> None:
    """Show which bindings a deployment would remove, add and keep."""
    change = diff(before, new)
    for kind, bindings in (("removed", change.removed), ("added", change.added), ("kept", change.kept)):
        for binding in bindings:
            _show(shown, binding, kind)
    note(f"{len(change.removed)} removed, {len(change.added)} added, {len(change.kept)} kept")


def _show(shown: Output, binding: Binding, change: str = "") -> None:
    if not shown.pretty:
        shown.record(asdict(binding) | ({"change": change} if change else {}))
    elif change != "kept":  # as text, show changes only
        shown.line(_MARKS[change], str(binding))


def _count(
    shown: Output, before: Sequence[Binding] | None, new: Sequence[Binding], messages: Iterator[RoutedMessage]
) -> None:
    """Show how many messages each binding matches and, for a change, how many would start or stop arriving."""
    from pulsekit.bindings.impact import BindingImpact

    impact = BindingImpact(new if before is None else before, new)
    for message in messages:
        impact.count(message)
    if not shown.pretty:
        for count in impact.counts:
            shown.record(_record(count, changed=before is not None))
    elif rows := [_row(count, changed=before is not None) for count in impact.counts]:
        shown.table(rows)
    total = counted(impact.messages, "message")
    if before is None:
        note(f"{total}: {impact.stays:,} matched, {impact.misses:,} not matched")
    else:
        changes = Counter(count.change for count in impact.counts)
        note(f"{changes['removed']} removed, {changes['added']} added, {changes['kept']} kept")
        note(
            f"{total}: {impact.starts:,} would start to arrive, {impact.stops:,} would stop, "
            f"{impact.stays:,} arrive before and after, {impact.misses:,} never arrive"
        )


def _record(count: BindingCount, *, changed: bool) -> dict[str, Any]:
    """Return the record for NDJSON."""
    moves = {"added": "starts", "removed": "stops"}.get(count.change)
    return (
        asdict(count.binding)
        | ({"change": count.change} if changed else {})
        | {"takes": count.takes}
        | ({moves: count.moves} if moves else {})
        | {"examples": count.examples}
    )


def _row(count: BindingCount, *, changed: bool) -> list[Cell]:
    mark, style = _MARKS[count.change] if changed else ("", "")
    would, others = _WORDS.get(count.change, ("", ""))
    number = count.moves if would else count.takes
    if not count.takes:
        text = "no match"
    elif not number:
        text = f"none {would}: other bindings {others} all {count.takes:,}"
    else:
        such_as = ", such as" if number > len(count.examples) else ":"
        text = f"{number:,} {would}" if would else f"matches {number:,}"
        text += f"{such_as} {', '.join(count.examples)}"
    return [(f"{mark}{count.binding}", style), (text, "" if count.moves else "dim")]


def _lint(
    shown: Output, registrations: Sequence[Registration | Binding], messages: Iterator[RoutedMessage] | None
) -> ExitCode:
    """Show the findings of each binding. As text, omit bindings without findings."""
    from pulsekit.bindings.lint import fewest_words, lint
    from pulsekit.catalogue import KnownLayouts

    least = None if messages is None else fewest_words(messages)
    found = lint(registrations, least=least, layouts=KnownLayouts())
    rows: list[list[Cell]] = []
    for binding, findings in found.items():
        if not shown.pretty:
            shown.record(asdict(binding) | {"lint": [asdict(finding) for finding in findings]})
        rows += [[(one.severity, _STYLES[one.severity]), str(binding), str(one)] for one in findings]
    if shown.pretty and rows:
        shown.table(rows)
    counts = Counter(str(finding.severity) for findings in found.values() for finding in findings)
    text = ", ".join(f"{counts[severity]} {severity}" for severity in _STYLES if counts[severity])
    note(f"{counted(len(found), 'binding')}: {text or 'no findings'}")
    return ExitCode.NEGATIVE if counts["wrong"] else ExitCode.DONE
