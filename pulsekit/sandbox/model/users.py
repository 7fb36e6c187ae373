"""Users: their logins and permissions.

`guest` is the administrator, as in a new RabbitMQ. Every other user has the permissions that PulseGuardian sets, see
`_set_permissions` in pulseguardian/model/pulse_user.py of https://github.com/mozilla-services/pulseguardian.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Literal, TypeAlias

from pulsekit.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulsekit.sandbox.model.virtual_hosts import VirtualHost

__all__ = ["ADMINISTRATOR", "DEFAULT_USER", "Permission", "User", "Users"]

ADMINISTRATOR = "guest"
DEFAULT_USER = "me"
Permission: TypeAlias = Literal["configure", "write", "read"]


class User:
    """A user with permissions. An administrator has all permissions."""

    def __init__(self, name: str, *, administrator: bool = False) -> None:
        self.name = name
        self.administrator = administrator
        # PulseGuardian's regular expressions are anchored only at the start: they match prefixes.
        self._own = (f"queue/{name}/", f"exchange/{name}/")
        self._read = (f"queue/{name}/", "exchange/")

    def check(self, permission: Permission, kind: str, name: str, vhost: VirtualHost) -> None:
        """Check that the user has a permission for a queue or an exchange.

        Permissions apply to the default exchange under the name `amq.default`.

        Raises:
            Refusal: Raised with 403 if the user does not have the permission.
        """
        if self.administrator:
            return
        name = name or "amq.default"
        if not name.startswith(self._read if permission == "read" else self._own):
            access = f"{permission} access" if vhost.release.names_permission else "access"
            raise Refusal(403, f"{access} to {kind} '{name}' in vhost '{vhost.name}' refused for user '{self.name}'")


class Users:
    """The users who may log in.

    Args:
        password: the password of all users, including `guest`. With None, which is only safe on a loopback address, the
            password of `guest` is `guest`, and every other user may log in with any password.
        known: passwords by name. Only these users and `guest` may log in.
    """

    def __init__(self, password: str | None = None, known: Mapping[str, str] | None = None) -> None:
        self._password = password
        self._known = None if known is None else dict(known)

    def login(self, name: str, password: str) -> User | None:
        """Return the user, or None if name or password are wrong."""
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
