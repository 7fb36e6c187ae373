"""Fixtures of all faults: a stage with exchange and queue, and checks for leaks."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.rabbitmq import broker, home
from support.rabbitmq.cluster import Cluster
from support.rabbitmq.node import PrivateNode

import pulsekit
from faults import page
from faults.stage import Stage, Watch, steady
from pulsekit._amqp.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    from support.rabbitmq.broker import RabbitMQ

    from faults.account import Totals

_FIGURES = pytest.StashKey[dict[str, Any]]()  # of one test
_RUN = pytest.StashKey[list[dict[str, Any]]]()
_VERSIONS = pytest.StashKey[dict[str, str]]()  # of the broker


@pytest.fixture
def stage(rabbitmq: RabbitMQ) -> Stage:
    """A stage on the RabbitMQ of the run."""
    return Stage(rabbitmq)


@pytest.fixture
def node(rabbitmq_node: PrivateNode) -> PrivateNode:
    """The same RabbitMQ, for a test that stops or kills it, and starts it again."""
    return rabbitmq_node


@pytest.fixture(scope="session")
def cluster(rabbitmq: RabbitMQ) -> Iterator[Cluster]:
    """A cluster of three nodes."""
    if not isinstance(rabbitmq, PrivateNode):
        pytest.skip("PULSEKIT_TEST_RABBITMQ names a broker that is not ours to stop")
    with Cluster() as running:
        yield running


@pytest.fixture
def watch() -> Watch:
    """Record the states of connections."""
    return Watch()


@pytest.fixture(autouse=True)
def _impatient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit the pause before a reconnect to a second in the short tests. The long tests wait as users do."""
    if request.node.get_closest_marker("faults") is None:
        monkeypatch.setattr("pulsekit._amqp.connection.Backoff", partial(Backoff, most=1.0))


@pytest.fixture
async def nothing_left(rabbitmq: RabbitMQ, request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Check that memory, open files and tasks are the same before and after the test."""
    async with steady() as more:
        yield
    _note(request.node, memory=more.memory, files=more.files)


@pytest.fixture
def figures(rabbitmq: RabbitMQ, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Keep the figures of a test for the table of `nox -s faults` and docs/reliability.md."""
    versions = request.config.stash[_VERSIONS]
    if "RabbitMQ" not in versions:
        versions["RabbitMQ"] = ".".join(map(str, rabbitmq.version))
        versions["Erlang"] = rabbitmq.eval("rabbit_misc:otp_release()").strip('"')

    def keep(totals: Totals, seconds: float | None = None) -> None:
        back = None if seconds is None else round(seconds, 1)
        _note(request.node, test=request.node.nodeid, **asdict(totals), duplicates=totals.duplicates, back=back)

    return keep


def _note(item: pytest.Item, **figures: object) -> None:
    item.stash.setdefault(_FIGURES, {}).update(figures)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("faults"):  # then tests may take longer than a minute, and so may what they wait for
        home._BOOT_SECONDS = 200.0
        broker._CALL_SECONDS = 100.0
    config.stash[_RUN] = []
    config.stash[_VERSIONS] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the figures of a test that passed, its teardown included."""
    report = yield
    if "test" in (found := item.stash.get(_FIGURES, {})) and report.passed:
        if call.when == "call":
            found["took"] = round(call.duration, 1)
        elif call.when == "teardown" and "took" in found:
            item.config.stash[_RUN].append(found)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Print the table of this run, and write its figures if a file is named and all tests passed."""
    faults = sorted(config.stash.get(_RUN, []), key=lambda one: one["test"])
    if not faults or not config.getoption("faults"):
        return
    for row in page.table(faults):
        terminalreporter.line(row)
    path: str | None = config.getoption("figures")
    if path is None:
        return
    if exitstatus:
        terminalreporter.line(f"{path} is as it was: not all tests passed")
        return
    run = {"date": f"{datetime.now(UTC):%Y-%m-%d}", **_conditions(config.stash[_VERSIONS]), "faults": faults}
    Path(path).write_text(f"{json.dumps(run, indent=1)}\n", encoding="utf-8")


def _conditions(versions: dict[str, str]) -> dict[str, object]:
    packages = {"pulsekit": pulsekit.__version__, **{name: version(name) for name in ("aio-pika", "aiormq")}}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "machine": f"{os.cpu_count()} cores, {memory:.0f} GB of memory, {platform.system()}",
        "versions": {**packages, "Python": platform.python_version(), **versions},
    }
