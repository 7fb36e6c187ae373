"""Fixtures for all tests: brokers, their users, real jobs, and an environment without settings."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import trustme
from support.children import end_children, running_children
from support.loopback import SandboxBroker
from support.rabbitmq.node import PrivateNode, lacking, running

import pulsekit
from pulsekit.testing import PulseSandbox

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncIterator, Callable, Iterator

    from support.rabbitmq.broker import PulseUser, RabbitMQ

_CHECKOUT = Path(__file__).parents[1]
_CORPUS = _CHECKOUT.parent / "shared" / "corpus"
# Read before `_no_settings` removes CI.
_MUST_HAVE_RABBITMQ = (
    os.environ.get("CI") == "true"
    or os.environ.get("PULSEKIT_REQUIRE_RABBITMQ") == "1"
    or bool(os.environ.get("PULSEKIT_TEST_RABBITMQ_ROOT"))  # a skip would hide a wrong folder
)
_MARKED_BY_FIXTURE = ("rabbitmq", "corpus")
_LEFT = pytest.StashKey[list[str]]()

# No deadline, because a CI machine may stop for a moment. No database, so that a test run depends only on its seed.
_short = hypothesis.settings(deadline=None, database=None, max_examples=40)
hypothesis.settings.register_profile("short", _short)
hypothesis.settings.register_profile("long", _short, max_examples=200)  # with --slow
hypothesis.settings.load_profile("short")


def pytest_report_header() -> str:
    return f"pulsekit: {_tested()}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", action="store_true", help="also run the faults that take long (marker `faults`)")
    parser.addoption("--slow", action="store_true", help="also run the long searches (marker `slow`)")
    parser.addoption("--loop", choices=("asyncio", *_LOOPS), default="asyncio", help="the event loop of the tests")
    parser.addoption("--figures", metavar="FILE", help="with --faults: write the figures of all faults, as JSON")


class _OnLoop:
    """Run tests that are coroutines on another loop; the sandbox in its thread stays on asyncio's own loop."""

    def __init__(self, name: str) -> None:
        self._name = name

    def pytest_asyncio_loop_factories(self) -> dict[str, Callable[[], AbstractEventLoop]]:
        return {self._name: _LOOPS[self._name]}


def _uvloop() -> AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def _eager_loop() -> AbstractEventLoop:
    """Return asyncio's own loop, in which a task runs at once until its first wait."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]  # of Python 3.12
    return loop


_LOOPS = {"uvloop": _uvloop, "eager": _eager_loop}


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("slow"):
        hypothesis.settings.load_profile("long")
    if (loop := config.getoption("loop")) in _LOOPS:
        if loop == "eager" and not hasattr(asyncio, "eager_task_factory"):
            raise pytest.UsageError("Python 3.11 has no eager tasks")
        config.pluginmanager.register(_OnLoop(loop))
    # A shell starts a background job with SIGINT ignored, and nohup starts a command with SIGHUP ignored. A child
    # process would inherit this. A signal with a handler has its default effect in a child process.
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, lambda *_: None)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    if os.environ.get("PULSEKIT_TEST_INSTALLED") == "1" and _tested().is_relative_to(_CHECKOUT / "pulsekit"):
        raise pytest.UsageError("these tests are for the installed pulsekit, but would import the checkout's")


@pytest.hookimpl(trylast=True)  # once all fixtures are torn down
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if one of its processes still exists, or existed at the end of a worker."""
    left = session.config.stash.setdefault(_LEFT, [])
    left += running_children()
    if hasattr(session.config, "workeroutput"):  # this is a worker
        session.config.workeroutput["left"] = left
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Store the leftover processes of a worker of pytest-xdist for the report."""
    node.config.stash.setdefault(_LEFT, []).extend(getattr(node, "workeroutput", {}).get("left", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Report leftover processes, and for each reason of a skip the number of tests and what they need."""
    for command in config.stash.get(_LEFT, []):
        terminalreporter.line(f"left behind: process {command}", red=True)
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()))
    for reason, count in reasons.items():
        terminalreporter.line(f"{count} skipped: {reason.removeprefix('Skipped: ')}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for name in set(_MARKED_BY_FIXTURE).intersection(getattr(item, "fixturenames", ())):
            item.add_marker(name)
    omitted = {name for name in ("faults", "slow") if not config.getoption(name)}
    long = [item for item in items if any(mark.name in omitted for mark in item.iter_markers())]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def _tested() -> Path:
    """Return the folder of the package that `import pulsekit` would load, without importing it."""
    spec = find_spec("pulsekit")
    if spec is None or spec.origin is None:
        raise pytest.UsageError("there is no pulsekit to test: use nox, or `python -m pytest` in the checkout")
    return Path(spec.origin).parent


@pytest.fixture(autouse=True)
def _children_end_with_their_test() -> Iterator[None]:
    """Kill the processes of a test after it. This fixture is set up first, so it is torn down last."""
    yield
    left = end_children()
    assert not left, f"the test left processes running: {left}"


@pytest.fixture(scope="session", autouse=True)
def _no_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the developer's account, so that no test can reach the real Pulse."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name == "CI" or name.startswith("PULSE_")]:
            patch.delenv(name)
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _a_stall_is_not_reported() -> Iterator[None]:
    """Log no warning in this process when the machine stalls for two seconds. See `support.children` for others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pulsekit._amqp.tasks._SLOW", 60.0)
        yield


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """A real RabbitMQ for the whole run. Each test uses another user."""
    missing = lacking()
    if missing and _MUST_HAVE_RABBITMQ:
        pytest.fail(missing, pytrace=False)
    if missing:
        pytest.skip(missing)
    with running() as broker:
        yield broker


@pytest.fixture
def rabbitmq_node(rabbitmq: RabbitMQ) -> PrivateNode:
    """The same RabbitMQ for a test that stops or kills it, and starts it again."""
    if not isinstance(rabbitmq, PrivateNode):
        pytest.skip("PULSEKIT_TEST_RABBITMQ names a broker that is not ours to stop")
    return rabbitmq


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxBroker]:
    """The sandbox for the whole run, in another thread, so that a test may block its event loop."""
    with PulseSandbox() as running_sandbox:
        yield SandboxBroker(running_sandbox)


@pytest.fixture(params=["sandbox", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def broker(request: pytest.FixtureRequest) -> RabbitMQ | SandboxBroker:
    """Each broker in turn. A client of Pulse should not see a difference."""
    named: RabbitMQ = request.getfixturevalue(request.param)
    return named


@pytest.fixture
def block(
    broker: RabbitMQ | SandboxBroker, sandbox: SandboxBroker, request: pytest.FixtureRequest
) -> Iterator[Callable[[], None]]:
    """Return a function that makes the broker block publishers until the end of the test."""
    if broker.kind == "sandbox":
        yield sandbox._sandbox.block
        sandbox._sandbox.unblock()
        return
    node: PrivateNode = request.getfixturevalue("rabbitmq_node")
    alarm = "{{resource_limit, memory, node()}, []}"
    yield lambda: node.eval(f"rabbit_alarm:set_alarm({alarm})") and None
    node.eval("rabbit_alarm:clear_alarm({resource_limit, memory, node()})")


@pytest.fixture
def limit_channels(
    broker: RabbitMQ | SandboxBroker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int], object]]:
    """Return a function that limits the channels of each connection that is opened until the end of the test."""
    if broker.kind == "sandbox":
        yield lambda most: monkeypatch.setattr("pulsekit.sandbox.protocol.sessions._CHANNEL_MAX", most)
        return
    before = broker.eval("{ok, Most} = application:get_env(rabbit, channel_max)", "Most")
    yield lambda most: broker.eval(f"application:set_env(rabbit, channel_max, {most})")
    broker.eval(f"application:set_env(rabbit, channel_max, {before})")


@pytest.fixture
def user(broker: RabbitMQ | SandboxBroker) -> PulseUser:
    """A user of each broker in turn that no other test has, with PulseGuardian's permissions."""
    return broker.user()


@pytest.fixture
def exchange(user: PulseUser) -> str:
    """The name of an exchange that the user may create."""
    return f"exchange/{user.name}/v1/jobs"


@pytest.fixture
async def pulse(user: PulseUser) -> AsyncIterator[pulsekit.Pulse]:
    """A connection of the user."""
    async with pulsekit.connect(user.url) as connection:
        yield connection


@pytest.fixture
def pulse_user(rabbitmq: RabbitMQ) -> PulseUser:
    """A user of the real RabbitMQ that no other test has, with PulseGuardian's permissions."""
    return rabbitmq.user()


@pytest.fixture
def admin_url(rabbitmq: RabbitMQ) -> str:
    """The URL of the real RabbitMQ with an administrator's login."""
    return rabbitmq.admin_url


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """An authority that issues certificates. Only clients that name its file trust it."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """A file with the certificate of the authority."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real jobs and messages beside some checkouts."""
    if not _CORPUS.is_dir():
        pytest.skip("no folder shared/corpus beside the checkout")
    return _CORPUS
