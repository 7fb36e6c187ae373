"""A pytest plugin with the two fixtures that aiormq's sdist lacks: its root conftest is not shipped.

Loaded by `pytest -p aiormq_fixtures` into aiormq's own tests; `AMQP_URL` names the broker.
"""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from yarl import URL


@pytest.fixture
def amqp_direct_url() -> URL:
    return URL(os.environ["AMQP_URL"])


@pytest.fixture
def rabbitmq_container(request: pytest.FixtureRequest, amqp_direct_url: URL) -> SimpleNamespace:
    """A container's ports; the one for TLS is looked up even by tests that do not use it."""
    if request.node.name.startswith("test_ssl_"):  # two that `-k 'not amqps'` does not leave out
        pytest.skip("the broker under test has no port for TLS")
    return SimpleNamespace(ports={"5672/tcp": amqp_direct_url.port, "5671/tcp": amqp_direct_url.port})
