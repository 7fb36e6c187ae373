"""`pulsekit match`: predict, offline, which bindings would match a routing key."""

from __future__ import annotations

import re
from heapq import nsmallest
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from pulsekit._documents.suggestions import counted
from pulsekit.bindings.matching import RoutedMessage, check_key, check_pattern, explain_match
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.input.files import STDIN, bounded_lines, is_piped, stdin
from pulsekit.cli.input.registrations import configured_registrations, registrations_from, under_rule
from pulsekit.cli.options import (
    BindingOption,
    FieldOption,
    OutputOption,
    RegistrationOption,
    RouteOption,
    RuleOption,
    TargetOption,
)
from pulsekit.cli.output.output import Cell, Output, columns, note
from pulsekit.errors import ConfigurationError
from pulsekit.records.routing import read_routed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit._config.target import Target
    from pulsekit.bindings.registration import Binding, Registration, Rule

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """
pulsekit match treeherder.mozilla-inbound._
pulsekit match try.linux --binding '#.linux'
pulsekit match treeherder.try._ --registration jobs.yml
pulsekit match route.a.b -b task-failed --route 'a.#'
pulsekit match --registration jobs.yml < keys.txt
pulsekit tail exchange/me/v1/jobs | pulsekit match
"""

_SHORT_NAME = re.compile(r"[\w/-]+\Z")
_ALIGNED = 40  # columns; longer names of bindings are not aligned
_NEAREST = 3  # the number of bindings shown for a key without a match


# A named tuple, because a data class adds a millisecond to the start-up time.
class _BindingResult(NamedTuple):
    """The result of one binding for one message."""

    exchange: str
    pattern: str
    matched: bool
    reason: str

    def record(self, key: str) -> dict[str, str | bool]:
        """Return the record for NDJSON."""
        return {
            "routing_key": key,
            "exchange": self.exchange,
            "pattern": self.pattern,
            "matched": self.matched,
            "reason": self.reason,
        }

    def name(self, *, short: bool) -> str:
        """Return `EXCHANGE:PATTERN`, or only the pattern."""
        return self.pattern if short or not self.exchange else f"{self.exchange}:{self.pattern}"


def command(
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY...", help="Routing keys. [default: stdin]")] = None,
    *,
    binding: BindingOption = None,
    fields: FieldOption = None,
    routes: RouteOption = None,
    registration: RegistrationOption = None,
    rule: RuleOption = None,
    target: TargetOption = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show all bindings that do not match, and not only the nearest ones.")
    ] = False,
    output: OutputOption = None,
) -> int:
    """Show which bindings match a routing key, and why the others do not. No broker is needed.

    Without KEY, read keys or records from stdin, one per line. For a record, match the routing key and the CC keys with
    the bindings of the record's exchange.

    The bindings are from --binding, as PATTERN or EXCHANGE:PATTERN, and from --registration. Without these options, the
    bindings are from the configuration. If the configuration has none, match uses the example in Treeherder's
    documentation, expanded by each of the three rules that Treeherder has used. For a known EXCHANGE without a PATTERN,
    such as task-failed, --field and --route make the pattern.

    Exit code: 0 if a binding matches every key, else 1.
    """
    live = not keys
    if live and not is_piped():
        raise ConfigurationError(
            "no KEY: run 'pulsekit match treeherder.mozilla-inbound._', or pipe keys, one per line"
        )
    if live and "-" in (registration or ()):
        raise ConfigurationError("--registration - reads stdin: give the keys as arguments")
    bindings, origin = _bindings(binding or [], (fields or [], routes or []), registration or [], rule, target)
    exchanges = {exchange for exchange, _ in bindings}
    only = next(iter(exchanges)) if len(exchanges) == 1 else ""
    note(f"matching {counted(len(bindings), 'binding')}{only and ' on ' + only} from {origin}")
    if any("*" in words or "#" in words for words in (key.split(".") for key in keys or ())):
        note("in a key, * and # are ordinary words; they are wildcards only in bindings")
    shown = Output(output, live=live)
    total = matched = 0
    least = [len("match"), 0] if live or len(keys or ()) > 1 else []
    given = [RoutedMessage((check_key(key),)) for key in keys or ()]
    for message in given or read_routed(bounded_lines(stdin()), source=STDIN):
        results = [_judge(message, exchange, pattern) for exchange, pattern in bindings]
        total += 1
        matched += any(result.matched for result in results)
        if shown.pretty:
            if total > 1:
                shown.line()
            _show(shown, message, results, least, every=every, short=bool(only) or exchanges == {""})
        else:
            for result in results:
                shown.record(result.record(message.keys[0]))
    if not total:
        raise ConfigurationError("no keys on stdin: write one key per line, or one record of 'pulsekit tail'")
    if total > 1:
        note(f"{total:,} keys: {matched:,} matched, {total - matched:,} not matched")
    return ExitCode.DONE if matched == total else ExitCode.NEGATIVE


def _bindings(
    binding: list[str],
    by_name: tuple[list[str], list[str]],
    registration: list[str],
    rule: Rule | None,
    target: Target | None,
) -> tuple[list[tuple[str, str]], str]:
    """Return exchange and pattern of each binding, and a description of their source. An empty exchange means any."""
    found: list[tuple[str, str]] = []
    bare = False
    for text in binding:
        if text.startswith("exchange/") or _is_short_name(text.partition(":")[0]):
            found += _of_exchange(text, *by_name)
            bare = bare or ":" not in text
        elif "://" in text:
            from pulsekit.bindings.inspector_link import read_link  # imported late: few calls have a link

            found += [(one.exchange, one.pattern) for one in read_link(text).bindings]
        else:
            found.append(("", check_pattern(text)))
    if any(by_name) and not bare:
        raise ConfigurationError(
            "--field and --route make the pattern of an exchange: name an exchange, as in -b task-failed"
        )
    origins = ["--binding"] if binding else []
    registered: list[Registration | Binding] = []
    for name in registration:
        registered += registrations_from(name)
        origins.append(STDIN if name == "-" else name)
    if not origins or target:
        configured, source = configured_registrations(target)
        registered += configured
        origins.append(source)
        if not (configured or target):
            registered += _documented()
            rules = "the given rule" if rule else "the three rules that it has used"
            origins = [
                f"the example of Treeherder's documentation under {rules}; use --binding or --registration for others"
            ]
    if registered:
        from pulsekit.bindings.registration import expand  # imported late: only registrations need it

        found += [(one.exchange, one.pattern) for one in expand(under_rule(registered, rule))]
    return list(dict.fromkeys(found)), ", ".join(origins)


def _documented() -> list[Registration]:
    from pulsekit.bindings.registration import Registration, Rule

    return [Registration("exchange/me/v1/jobs", ["treeherder"], ["mozilla-inbound._"], rule) for rule in Rule]


def _of_exchange(text: str, given: list[str], routes: list[str]) -> list[tuple[str, str]]:
    """Return the exchange and the pattern of each binding for `EXCHANGE` or `EXCHANGE:PATTERN`."""
    if text.startswith("exchange/") and not given and not routes:
        from pulsekit.bindings.registration import Binding  # imported without the catalogue

        bindings: Sequence[Binding] = [Binding.parse(text)]
    else:
        from pulsekit.catalogue import read_bindings
        from pulsekit.cli.input.exchanges import read_fields

        bindings = read_bindings(text, read_fields(given), routes)
        note(f"{text} is {', '.join(map(str, bindings))}")
    return [(binding.exchange, binding.pattern) for binding in bindings]


def _is_short_name(text: str) -> bool:
    """Return whether a text is the short name of a known exchange. Most patterns have a dot or a wildcard."""
    if not text or not _SHORT_NAME.match(text):
        return False
    from pulsekit.catalogue import find_exchange

    return find_exchange(text) is not None


def _judge(message: RoutedMessage, exchange: str, pattern: str) -> _BindingResult:
    """Match one binding with each key of the message. The broker routes the message if one key matches."""
    if exchange and message.exchange and exchange != message.exchange:
        reason = f"the message is on another exchange, {message.exchange}"
        return _BindingResult(exchange, pattern, matched=False, reason=reason)
    first = explain_match(pattern, message.keys[0])
    if first.matched:
        return _BindingResult(exchange, pattern, matched=True, reason=first.reason)
    for key in message.keys[1:]:
        if explanation := explain_match(pattern, key):
            return _BindingResult(exchange, pattern, matched=True, reason=f"CC key {key!r}: {explanation.reason}")
    return _BindingResult(exchange, pattern, matched=False, reason=first.reason)


def _show(
    shown: Output, message: RoutedMessage, results: list[_BindingResult], least: list[int], *, every: bool, short: bool
) -> None:
    """Show the results of a message. `least` has the widths of the columns so far, to keep the columns aligned."""
    matches = [result for result in results if result.matched]
    misses = [result for result in results if not result.matched]
    nearest = misses if every else nsmallest(_NEAREST, misses, key=lambda miss: _distance(miss.pattern, message))
    count = counted(len(results), "binding")
    summary = (f"matched by {len(matches):,} of {count}", "good") if matches else (f"matched by none of {count}", "bad")
    shown.line((message.keys[0] or "(the empty key)", "head"), "  ", summary)
    if len(message.keys) > 1:
        shown.line(("CC " + ", ".join(message.keys[1:]), "dim"))
    rows: list[list[Cell]] = [
        [("match", "good") if result.matched else ("no", "bad"), result.name(short=short), (result.reason, "dim")]
        for result in (*matches, *nearest)
    ]
    if rows:
        if least:
            least[1] = max(
                least[1], *(min(columns(result.name(short=short)), _ALIGNED) for result in (*matches, *nearest))
            )
        shown.table(rows, least=least)
    if len(nearest) < len(misses):
        shown.line((f"… and {len(misses) - len(nearest):,} more do not match; --all shows them", "dim"))


def _distance(pattern: str, message: RoutedMessage) -> tuple[int, int, int]:
    """Return a sort key by similarity. It begins with the number of words of the pattern that are not in the key."""
    wants = {word.casefold().strip() for word in pattern.split(".")} - {"*", "#"}
    has = {word.casefold().strip() for word in message.keys[0].split(".")}
    return len(wants - has), -len(wants & has), abs(pattern.count(".") - message.keys[0].count("."))
