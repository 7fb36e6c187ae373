"""`pulsekit doctor`: check configuration, network, login and permissions, and print a hint for each failure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pulsekit.cli.connection import locate, run
from pulsekit.cli.exit_codes import ExitCode, exit_code
from pulsekit.cli.options import ExchangeOption, InsecureOption, OutputOption, UrlOption, timeout_option
from pulsekit.cli.output.output import Output, note, warn
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulsekit._amqp.broker import Broker
    from pulsekit._config.settings import Settings
    from pulsekit.cli.output.output import Cell
    from pulsekit.diagnosis.checks import CheckResult

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit doctor
pulsekit doctor --exchange exchange/me/v1/jobs
pulsekit doctor --live -o pretty > report.txt
pulsekit doctor --config
"""

_STYLES = {"ok": "good", "failed": "bad", "skipped": "dim"}
_STATUS_WIDTH = max(map(len, _STYLES))


def command(
    exchange: ExchangeOption = None,
    timeout: Annotated[float | None, timeout_option("10s, for each check")] = None,
    config: Annotated[
        bool, typer.Option("--config", help="Only show each setting, and where its value is from.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Create and publish nothing, and omit user, hosts and addresses.")
    ] = False,
    output: OutputOption = None,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Check each step of a connection: configuration, network, login, permissions, alarms, exchange.

    A check that depends on a failed one is skipped. doctor publishes two messages to an exchange without queues, and
    deletes the exchange and the queues that it creates. The output of doctor contains no password.

    With --live, doctor creates and publishes nothing. You can attach the output to a public bug: it contains no user
    name, and no address or host other than Pulse's.

    With --config, doctor does not connect. For each setting, it shows the value and the source of the value: an option,
    a variable, or a line of a file. It also shows the sources whose values are not used.

    Exit code: 0 if all checks passed, else that of the first failed check: 2 configuration, 4 network, 5 refused by the
    broker.
    """
    if config:
        if insecure or live or timeout is not None:
            raise ConfigurationError("--config connects to no broker: remove --timeout, --live and --insecure")
        return _show_settings(Output(output), exchange, url)

    def find() -> tuple[Settings, Broker]:
        from pulsekit._config.settings import load_settings

        settings = load_settings()
        return settings, locate(settings, url, insecure=insecure)

    return run(_examine(Output(output, live=True), find, exchange, timeout, live=live))


def _show_settings(shown: Output, exchange: str | None, url: str | None) -> int:
    from dataclasses import asdict

    from pulsekit._config.origins import find_origins
    from pulsekit._config.settings import load_settings

    found = find_origins(url=url, exchange=exchange)
    if not shown.pretty:
        for one in found:
            shown.record(asdict(one))
    else:
        rows: list[list[Cell]] = []
        for one in found:
            value = _short(_text(one.value))
            if one.place not in {"", one.setting}:
                rows += [[(one.setting, "key"), value], ["", (f"from {_short(one.place)}", "dim")]]
            else:
                rows.append([(one.setting, "key"), f"{value} ({one.source})"])
            rows += [["", (f"not used: {_short(place)}", "warn")] for place in one.unused]
        shown.table(rows)
    settings = load_settings()
    for words in (*settings.unknown_variables, *settings.warnings):
        warn(words)
    return ExitCode.DONE


def _text(value: Any) -> str:
    """Return a value as one line. Texts have no quotes, and texts of a list are separated by spaces."""
    import json

    if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
        return ", ".join(value) or "none"
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(place: str) -> str:
    """Return a path with ~ instead of the home directory."""
    home = os.path.expanduser("~")  # noqa: PTH111 - pathlib raises an error without a home
    return f"~{place.removeprefix(home)}" if place.startswith(f"{home}/") else place


async def _examine(
    shown: Output,
    find: Callable[[], tuple[Settings, Broker]],
    exchange: str | None,
    timeout: float | None,
    *,
    live: bool,
) -> int:
    import logging

    from pulsekit.diagnosis.checks import CHECKS, TIMEOUT, run_checks

    width = max(map(len, CHECKS))

    def show(finding: CheckResult) -> None:
        if shown.pretty:
            _show(shown, finding, width)
        else:
            shown.record(
                {
                    "check": finding.check,
                    "status": finding.status,
                    "seconds": round(finding.seconds, 6),
                    "detail": finding.detail,
                    "hint": finding.hint,
                }
            )

    log = logging.getLogger("pulsekit")
    level = log.level
    if live:  # warnings can have the name of the user and of the host, and the checks have the reasons
        log.setLevel(logging.CRITICAL)
    try:
        findings = await run_checks(find, exchange=exchange, timeout=timeout or TIMEOUT, live=live, on_finding=show)
    finally:
        log.setLevel(level)
    failed = [finding for finding in findings if finding.error is not None]
    if not failed:
        skipped = sum(finding.status == "skipped" for finding in findings)
        note(f"{len(findings) - skipped} checks passed, {skipped} skipped" if skipped else "all checks passed")
        if live:
            note("--live publishes nothing, so that it does not notice an alarm for memory or disk space")
        return ExitCode.DONE
    note(f"failed: {', '.join(finding.check for finding in failed)}")
    assert failed[0].error is not None
    return exit_code(failed[0].error)


def _show(shown: Output, finding: CheckResult, width: int) -> None:
    took = "" if finding.status == "skipped" else f"{finding.seconds * 1000:,.1f} ms"
    status = (f"{finding.status:{_STATUS_WIDTH}}", _STYLES[finding.status])
    shown.table([[status, f"{finding.check:{width}}", f"{took:>11}", finding.detail]])
    if finding.hint:
        shown.table([[" " * _STATUS_WIDTH, " " * width, f"{'hint':>11}", (finding.hint, "warn")]])
