"""The sandbox with the interface of the tests' RabbitMQ."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import quote

from support.rabbitmq.broker import PulseUser

if TYPE_CHECKING:
    from pulsekit.testing import PulseSandbox

__all__ = ["VERSION", "SandboxBroker"]

VERSION = (3, 10, 8)  # of the RabbitMQ whose behaviour the sandbox has


class SandboxBroker:
    """A sandbox on which every test has its own users."""

    kind = "sandbox"
    version = VERSION

    def __init__(self, sandbox: PulseSandbox) -> None:
        self._sandbox = sandbox
        self._names = (f"t{number}" for number in count(1))

    @property
    def admin_url(self) -> str:
        """The URL of vhost `/` for an administrator with all permissions."""
        return self._sandbox.url("guest")

    def url(self, user: PulseUser, vhost: str = "/") -> str:
        """Return the URL of a vhost for the user."""
        return f"{user.url}{'' if vhost == '/' else quote(vhost, safe='')}"

    def user(self) -> PulseUser:
        """Create a new user. Any password works, so it has one that needs quoting in a URL."""
        name = next(self._names)
        password = f"p4ss:/@{name}"
        url = self._sandbox.url(name).replace(f"//{name}:sandbox@", f"//{name}:{quote(password, safe='')}@")
        assert quote(password, safe="") in url
        return PulseUser(name, password, url)
