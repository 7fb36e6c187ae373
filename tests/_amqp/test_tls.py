"""TLS: verified by default, with the requested host name (SNI)."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
import trustme
from support.proxy import terminated

import pulsekit

if TYPE_CHECKING:
    from pathlib import Path

    from support.rabbitmq.broker import RabbitMQ


async def test_a_certificate_of_a_trusted_authority_lets_messages_through(
    broker: RabbitMQ, authority: trustme.CA, ca_file: Path
) -> None:
    user = broker.user()
    asked: list[str | None] = []
    async with terminated(user.url, authority.issue_cert("localhost"), asked) as proxy:
        url = proxy.url.replace("amqp://", "amqps://").replace("127.0.0.1", "localhost") + f"?cafile={ca_file}"
        async with pulsekit.connect(url) as pulse:
            exchange = f"exchange/{user.name}/x"
            await pulse.create_exchange(exchange)
            async with pulse.subscribe(exchange) as messages:
                await pulse.publisher(exchange).publish({"a": 1}, "k")
                assert (await anext(messages)).payload == {"a": 1}
    assert set(asked) == {"localhost"}


async def test_treeherders_option_for_tls_is_accepted(broker: RabbitMQ, authority: trustme.CA, ca_file: Path) -> None:
    user = broker.user()
    asked: list[str | None] = []
    async with terminated(user.url, authority.issue_cert("localhost"), asked) as proxy:
        url = proxy.url.replace("127.0.0.1", "localhost") + f"?ssl=1&cafile={ca_file}"
        async with pulsekit.connect(url) as pulse:
            assert not await pulse.exchange_exists(f"exchange/{user.name}/x")
    assert asked


async def test_a_host_with_a_final_dot_has_the_certificate_of_its_name(
    broker: RabbitMQ, authority: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(  # not every resolver accepts "localhost."
        socket, "getaddrinfo", lambda host, *rest, **how: resolve("localhost" if host else None, *rest, **how)
    )
    user = broker.user()
    asked: list[str | None] = []
    async with terminated(user.url, authority.issue_cert("localhost"), asked) as proxy:
        url = proxy.url.replace("amqp://", "amqps://").replace("127.0.0.1", "localhost.") + f"?cafile={ca_file}"
        async with pulsekit.connect(url) as pulse:
            assert not await pulse.exchange_exists(f"exchange/{user.name}/x")
    assert set(asked) == {"localhost"}


@pytest.mark.parametrize(("host", "trusted"), [("localhost", False), ("other.example", True)])
async def test_a_wrong_certificate_is_refused_before_the_password_is_sent(
    broker: RabbitMQ, authority: trustme.CA, ca_file: Path, host: str, trusted: bool
) -> None:
    user = broker.user()
    issuer = authority if trusted else trustme.CA()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # the test does not check the server's side of the refused handshake
    async with terminated(user.url, issuer.issue_cert(host), []) as proxy:
        url = proxy.url.replace("amqp://", "amqps://").replace("127.0.0.1", "localhost") + f"?cafile={ca_file}"
        with pytest.raises(pulsekit.Unreachable, match="certificate"):
            async with pulsekit.connect(url) as pulse:
                await pulse.exchange_exists(f"exchange/{user.name}/x")
        assert proxy.carried == 0
