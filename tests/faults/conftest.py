"""What every fault needs: a stage to play it on, and eyes that see what it leaves behind."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from faults.stage import Stage, Watch, steady
from pulsekit.connection import Backoff

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from rabbitmq.broker import RabbitMQ
    from rabbitmq.node import PrivateNode

    from faults.account import Totals

_FIGURES = "figures"
_COLUMNS = ("test", "messages", "outcomes", "received", "duplicates", "seconds")


@pytest.fixture
def stage(rabbitmq: RabbitMQ) -> Stage:
    """A stage on the RabbitMQ of the run."""
    return Stage(rabbitmq)


@pytest.fixture
def node(rabbitmq_node: PrivateNode) -> PrivateNode:
    """The same RabbitMQ, for a test that stops or kills it, and starts it again."""
    return rabbitmq_node


@pytest.fixture
def watch() -> Watch:
    """See what the connections do."""
    return Watch()


@pytest.fixture(autouse=True)
def _impatient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the short forms wait a second at most before they connect again; the long ones wait as users do."""
    if request.node.get_closest_marker("faults") is None:
        monkeypatch.setattr("pulsekit.connection.Backoff", partial(Backoff, most=1.0))


@pytest.fixture
async def nothing_left(rabbitmq: RabbitMQ) -> AsyncIterator[None]:
    """Memory, open files and tasks are afterwards what they were before."""
    async with steady():
        yield


@pytest.fixture
def figures(record_property: Callable[[str, object], None], request: pytest.FixtureRequest) -> Callable[..., None]:
    """Keep the figures of a test for the table that `nox -s faults` prints."""

    def keep(totals: Totals, seconds: float | None = None) -> None:
        outcomes = ("confirmed", "returned", "refused", "unknown", "timeout", "unsent", "deleted")
        counted = [f"{count} {name}" for name in outcomes if (count := getattr(totals, name))]
        took = "" if seconds is None else f"{seconds:.1f}"
        record_property(
            _FIGURES, (request.node.name, totals.sent, ", ".join(counted), totals.received, totals.duplicates, took)
        )

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table that docs/reliability.md shows."""
    rows = [
        value
        for report in terminalreporter.stats.get("passed", ())
        for name, value in report.user_properties
        if name == _FIGURES
    ]
    if rows and config.getoption("faults"):
        for row in (_COLUMNS, ("---",) * len(_COLUMNS), *sorted(rows)):
            terminalreporter.line(f"| {' | '.join(map(str, row))} |")
