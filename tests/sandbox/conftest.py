"""The brokers of these tests: the sandbox always, and a real RabbitMQ for comparison if it is installed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support.loopback import VERSION

from pulsekit.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.rabbitmq.broker import RabbitMQ


class Address(NamedTuple):
    """The address and the version of a broker, and how long a test waits for an absent answer."""

    host: str
    port: int
    patience: float
    version: tuple[int, ...]  # of RabbitMQ


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(history=10_000) as opened:
        yield opened


@pytest.fixture
async def sandbox_4() -> AsyncIterator[Sandbox]:
    """A sandbox that answers as RabbitMQ 4.0."""
    async with Sandbox(history=10_000, rabbitmq=4) as opened:
        yield opened


@pytest.fixture(scope="session")
def rabbitmq_with_pulse(rabbitmq: RabbitMQ) -> RabbitMQ:
    """A real RabbitMQ with the user `pulse` of the questions."""
    with suppress(RuntimeError):  # a broker that is kept has the user already
        rabbitmq.add_pulse_user("pulse", "pulse")
    return rabbitmq


@pytest.fixture(params=["sandbox", "sandbox_4", pytest.param("rabbitmq_with_pulse", marks=pytest.mark.rabbitmq)])
def address(request: pytest.FixtureRequest) -> Address:
    """Each broker in turn."""
    broker = request.getfixturevalue(request.param)
    # The sandbox answers in the next iteration of its loop. For the table, the test waited 1.5 s for answers of
    # RabbitMQ.
    if request.param.startswith("sandbox"):
        return Address(broker.host, broker.port, 0.1, (4, 0, 5) if request.param == "sandbox_4" else VERSION)
    return Address(broker.host, broker.port, 1.5, broker.version)
