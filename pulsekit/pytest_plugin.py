"""The fixtures that pytest finds when pulsekit is installed.

    @pytest.mark.asyncio
    async def test_my_publisher(pulse_sandbox):
        await my_publisher(pulse_sandbox.url("me"))
        (message,) = await pulse_sandbox.published(1)

`pulse_sandbox` is a `pulsekit.testing.PulseSandbox` for each test. `pulse` is a connection to it and needs
pytest-asyncio, in its strict or its auto mode.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from pulsekit.testing import PulseSandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pulsekit.pulse import Pulse

__all__ = ["pulse", "pulse_sandbox"]


@pytest.fixture
def pulse_sandbox() -> Iterator[PulseSandbox]:
    """Give each test a Pulse of its own, on a free port, with nothing in it."""
    with PulseSandbox() as sandbox:
        yield sandbox


async def _connected(pulse_sandbox: PulseSandbox) -> AsyncIterator[Pulse]:
    """Give a connection to the sandbox, logged in as `me`."""
    import pulsekit

    async with pulsekit.connect(pulse_sandbox.url("me")) as connection:
        yield connection


def _unavailable() -> None:
    """Say what the fixture needs."""
    pytest.fail("the fixture `pulse` needs pytest-asyncio: install it", pytrace=False)


if find_spec("pytest_asyncio") is None:
    pulse: Any = pytest.fixture(name="pulse")(_unavailable)
else:
    import pytest_asyncio

    pulse = pytest_asyncio.fixture(_connected, name="pulse")
