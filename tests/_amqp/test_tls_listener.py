"""TLS with RabbitMQ's own listener: which clients may log in, and which servers never get the password."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import trustme
from support.rabbitmq.tls import Identity, listening

import pulsekit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.rabbitmq.broker import PulseUser
    from support.rabbitmq.node import PrivateNode

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def address(user: PulseUser, host: str, port: int, **options: object) -> str:
    """Return the URL of a TLS listener for a user, with the certificate files as options."""
    query = "&".join(f"{name}={quote(str(value))}" for name, value in options.items())
    return f"amqps://{user.name}:{quote(user.password, safe='')}@{host}:{port}/?{query}"


def logins(node: PrivateNode) -> int:
    """Count the logins that reached the node with a password."""
    return int(node.eval("lists:sum([element(2, One) || One <- ets:tab2list(auth_attempt_metrics)])"))


async def say_hello(url: str) -> None:
    """Send a message to a queue of the same connection."""
    async with pulsekit.connect(url) as pulse:
        exchange = f"exchange/{pulse.user}/x"
        await pulse.create_exchange(exchange)
        async with pulse.subscribe(exchange) as messages:
            await pulse.publisher(exchange).publish({"hello": 1}, "k")
            assert (await anext(messages)).payload == {"hello": 1}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_certificate_for_the_host_lets_messages_through(
    rabbitmq_node: PrivateNode, authority: trustme.CA, ca_file: Path, host: str
) -> None:
    with listening(rabbitmq_node, Identity.issued(authority, host), authority) as port:
        before = logins(rabbitmq_node)
        await say_hello(address(rabbitmq_node.user(), host, port, cafile=ca_file))
        assert logins(rabbitmq_node) == before + 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda authority: Identity.issued(authority, "other.example"), "Hostname mismatch"),
        (lambda authority: Identity.issued(authority, "localhost", not_after=NOW - DAY), "expired"),
        (lambda authority: Identity.issued(authority, "localhost", not_before=NOW + DAY), "not yet valid"),
        (lambda _: Identity.self_signed(), "self-signed"),
        (lambda _: Identity.issued(trustme.CA(), "localhost"), "unable to get local issuer"),
    ],
    ids=["wrong host name", "expired", "not yet valid", "self-signed", "unknown authority"],
)
async def test_a_certificate_for_another_host_never_gets_the_password(
    rabbitmq_node: PrivateNode,
    authority: trustme.CA,
    ca_file: Path,
    make: Callable[[trustme.CA], Identity],
    words: str,
) -> None:
    user = rabbitmq_node.user()
    with listening(rabbitmq_node, make(authority), authority) as port:
        before = logins(rabbitmq_node)
        with pytest.raises(pulsekit.Unreachable, match=words) as caught:
            await say_hello(address(user, "localhost", port, cafile=ca_file))
        assert logins(rabbitmq_node) == before
    assert quote(user.password, safe="") not in str(caught.value)


async def test_without_a_ca_file_the_system_authorities_decide(
    rabbitmq_node: PrivateNode, authority: trustme.CA
) -> None:
    with listening(rabbitmq_node, Identity.issued(authority, "localhost"), authority) as port:
        before = logins(rabbitmq_node)
        with pytest.raises(pulsekit.Unreachable, match="certificate is not trusted"):
            await say_hello(address(rabbitmq_node.user(), "localhost", port))
        assert logins(rabbitmq_node) == before


@pytest.fixture
def client_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """A client certificate with its key."""
    return Identity.issued(authority, "me@example.com").write(tmp_path / "client.pem")


@pytest.mark.parametrize("presented", [False, True])
async def test_a_client_can_present_a_certificate(
    rabbitmq_node: PrivateNode, authority: trustme.CA, ca_file: Path, client_file: Path, presented: bool
) -> None:
    options = {"certfile": client_file, "keyfile": client_file} if presented else {}
    with listening(rabbitmq_node, Identity.issued(authority, "localhost"), authority, verify=True) as port:
        await say_hello(address(rabbitmq_node.user(), "localhost", port, cafile=ca_file, **options))


async def test_a_client_must_present_a_certificate_if_required(
    rabbitmq_node: PrivateNode, authority: trustme.CA, ca_file: Path, client_file: Path, tmp_path: Path
) -> None:
    user, stranger = rabbitmq_node.user(), Identity.issued(trustme.CA(), "me@example.com").write(tmp_path / "other.pem")
    identity = Identity.issued(authority, "localhost")
    with listening(rabbitmq_node, identity, authority, verify=True, require=True) as port:
        await say_hello(address(user, "localhost", port, cafile=ca_file, certfile=client_file, keyfile=client_file))
        before = logins(rabbitmq_node)
        for wrong in ({}, {"certfile": stranger, "keyfile": stranger}):
            with pytest.raises(pulsekit.Unreachable, match="client certificate"):
                await say_hello(address(user, "localhost", port, cafile=ca_file, **wrong))
        assert logins(rabbitmq_node) == before
