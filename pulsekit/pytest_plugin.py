"""The fixtures that pytest loads when pulsekit is installed.

    @pytest.mark.asyncio
    async def test_my_publisher(pulse_sandbox):
        await my_publisher(pulse_sandbox.url("me"))
        (message,) = await pulse_sandbox.published(1)

`pulse_sandbox` is a `pulsekit.testing.PulseSandbox` for each test. The mark `pulse_sandbox` passes arguments to it, as
in `@pytest.mark.pulse_sandbox(rabbitmq=4)`. `pulse` is a connection to it by `pulsekit`, and needs pytest-asyncio in
the strict or the auto mode. `sync_pulse` is a connection by `pulsekit.sync`, for tests without an event loop.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from pulsekit.testing import PulseSandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import pulsekit.sync
    from pulsekit.pulse import Pulse

__all__ = ["pulse", "pulse_sandbox", "sync_pulse"]


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line("markers", "pulse_sandbox(**options): the arguments of PulseSandbox for `pulse_sandbox`")


@pytest.fixture
def pulse_sandbox(request: pytest.FixtureRequest) -> Iterator[PulseSandbox]:
    """Yield a new, empty sandbox on a free port, for each test. Its arguments are those of the mark `pulse_sandbox`."""
    mark = request.node.get_closest_marker("pulse_sandbox")
    if mark and mark.args:
        pytest.fail("the mark `pulse_sandbox` needs the names of its arguments, such as rabbitmq=4", pytrace=False)
    with PulseSandbox(**(mark.kwargs if mark else {})) as sandbox:
        yield sandbox


@pytest.fixture
def sync_pulse(pulse_sandbox: PulseSandbox) -> Iterator[pulsekit.sync.Pulse]:
    """Yield a connection to the sandbox whose methods block, logged in as `me`."""
    import pulsekit.sync

    with pulsekit.sync.connect(pulse_sandbox.url("me")) as connection:
        yield connection


async def _connected(pulse_sandbox: PulseSandbox) -> AsyncIterator[Pulse]:
    """Yield a connection to the sandbox, logged in as `me`."""
    import pulsekit

    async with pulsekit.connect(pulse_sandbox.url("me")) as connection:
        yield connection


def _unavailable() -> None:
    """Fail the test with a message that names the missing package."""
    pytest.fail("the fixture `pulse` needs pytest-asyncio: install it", pytrace=False)


if find_spec("pytest_asyncio") is None:
    pulse: Any = pytest.fixture(name="pulse")(_unavailable)
else:
    import pytest_asyncio

    pulse = pytest_asyncio.fixture(_connected, name="pulse")
