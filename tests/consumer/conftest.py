from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import pulsekit


@pytest.fixture
async def exchange(pulse: pulsekit.Pulse, exchange: str) -> str:
    """The name of an existing exchange, since a consumer creates none."""
    await pulse.create_exchange(exchange)
    return exchange
