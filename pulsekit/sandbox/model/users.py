"""Users: who may log in, and what each may do (PulseGuardian's rules).

Source: "Accounts and permissions (PulseGuardian)" of the facts about Pulse. `guest` is the administrator, as on a fresh
RabbitMQ; every other name has the rights PulseGuardian would give it.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Literal, TypeAlias

from pulsekit.sandbox.refusals import access_refused

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ADMINISTRATOR", "Permission", "User", "Users"]

ADMINISTRATOR = "guest"
Permission: TypeAlias = Literal["configure", "write", "read"]


class User:
    """Know one user's permissions.

    Attributes:
        name: as it logged in.
        administrator: True for the one who may do everything.
    """

    def __init__(self, name: str, *, administrator: bool = False) -> None:
        self.name = name
        self.administrator = administrator
        # PulseGuardian's regular expressions are anchored at the front alone: they are prefixes.
        self._own = (f"queue/{name}/", f"exchange/{name}/")
        self._read = (f"queue/{name}/", "exchange/")

    def check(self, permission: Permission, kind: str, name: str, vhost: str) -> None:
        """Let a permitted use pass.

        Args:
            permission: what the operation needs.
            kind: `queue` or `exchange`.
            name: of the resource; the default exchange is `amq.default` to the rules.
            vhost: for the text.

        Raises:
            Refusal: 403.
        """
        if self.administrator:
            return
        name = name or "amq.default"
        if not name.startswith(self._read if permission == "read" else self._own):
            raise access_refused(f"access to {kind} '{name}' in vhost '{vhost}' refused for user '{self.name}'")


class Users:
    """Decide about logins.

    Args:
        password: what everybody has to give, `guest` included; None is the freedom of a loopback address: `guest` with
            `guest`, any other name with any password.
        known: passwords by name; nobody else but `guest` may log in then.
    """

    def __init__(self, password: str | None = None, known: Mapping[str, str] | None = None) -> None:
        self._password = password
        self._known = None if known is None else dict(known)

    def login(self, name: str, password: str) -> User | None:
        """Return the user, or None when name or password are wrong."""
        if self._known is not None and name in self._known:
            wanted: str | None = self._known[name]
        elif name == ADMINISTRATOR:
            wanted = self._password or ADMINISTRATOR
        elif self._known is not None or not name:
            return None
        else:
            wanted = self._password
        if wanted is not None and not hmac.compare_digest(_bytes(wanted), _bytes(password)):
            return None
        return User(name, administrator=name == ADMINISTRATOR)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
