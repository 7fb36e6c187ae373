"""A running RabbitMQ, started by the tests or by the developer, with users as PulseGuardian creates them."""

from __future__ import annotations

import re
import secrets
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

__all__ = ["PulseUser", "RabbitMQ", "SharedBroker", "run"]

_VHOSTS = ("/", "communitytc")
_CALL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class PulseUser:
    """An account with PulseGuardian's permissions in every vhost; `url` has vhost `/`."""

    name: str
    password: str
    url: str


class RabbitMQ(ABC):
    """A running RabbitMQ on which Pulse users can be created."""

    kind = "rabbitmq"

    def __init__(self, host: str, port: int, admin: str, password: str) -> None:
        self.host = host
        self.port = port
        self._admin = (admin, password)
        self._names = (f"t{secrets.token_hex(2)}{number}" for number in count(1))

    @property
    def admin_url(self) -> str:
        """The URL of vhost `/` for an administrator with all permissions."""
        return self._address(*self._admin, "/")

    @cached_property
    def version(self) -> tuple[int, ...]:
        """The version that the node reports, such as (3, 10, 8)."""
        return tuple(map(int, re.findall(r"\d+", self.eval("rabbit_misc:version()"))[:3]))

    def url(self, user: PulseUser, vhost: str = "/") -> str:
        """Return the URL of a vhost for the user."""
        return self._address(user.name, user.password, vhost)

    def user(self) -> PulseUser:
        """Create a new user, whose password needs quoting in a URL, as real ones do."""
        name = next(self._names)
        return self.add_pulse_user(name, f"p4ss:/@{name}")

    def add_pulse_user(self, name: str, password: str) -> PulseUser:
        """Create a user with the permissions that PulseGuardian sets."""
        own = re.escape(name)
        user, write = _binary(name), _binary(f"^(queue/{own}/.*|exchange/{own}/.*)")
        read = _binary(f"^(queue/{own}/.*|exchange/.*)")
        self.eval(
            f"ok = rabbit_auth_backend_internal:add_user({user}, {_binary(password)}, {user})",
            *(_permit(user, vhost, write, write, read) for vhost in _VHOSTS),
        )
        return PulseUser(name, password, self._address(name, password, "/"))

    def prepare(self) -> None:
        """Create the vhosts of Pulse, with permissions for the administrator."""
        admin, everything = _binary(self._admin[0]), _binary(".*")
        self.eval(
            *(
                f"rabbit_vhost:exists({name}) orelse rabbit_vhost:add({name}, {admin})"
                for name in map(_binary, _VHOSTS)
            ),
            *(_permit(admin, vhost, everything, everything, everything) for vhost in _VHOSTS),
        )

    def eval(self, *expressions: str) -> str:
        """Evaluate Erlang in the node and return the last value, preferably a number or an atom.

        Raises:
            RuntimeError: Raised when the evaluation failed.
        """
        return self.ctl("eval", f"{', '.join(expressions)}.")

    @abstractmethod
    def ctl(self, *args: str) -> str:
        """Run `rabbitmqctl` and return its output. It needs most of a second: on a private node, `eval` is faster.

        Raises:
            RuntimeError: Raised when the command failed.
        """

    def _address(self, name: str, password: str, vhost: str) -> str:
        path = "" if vhost == "/" else quote(vhost, safe="")
        return f"amqp://{quote(name, safe='')}:{quote(password, safe='')}@{self.host}:{self.port}/{path}"


class SharedBroker(RabbitMQ):
    """A RabbitMQ that the developer started; created vhosts and users stay there.

    Args:
        url: the URL of an administrator.
        ctl: the command that is its `rabbitmqctl`.
    """

    def __init__(self, url: str, ctl: Sequence[str]) -> None:
        parts = urlsplit(url)
        if not (parts.hostname and parts.username and parts.password):
            raise ValueError("PULSEKIT_TEST_RABBITMQ must be amqp://<administrator>:<password>@<host>[:<port>]/")
        super().__init__(parts.hostname, parts.port or 5672, unquote(parts.username), unquote(parts.password))
        self._ctl = tuple(ctl)

    def ctl(self, *args: str) -> str:
        return run((*self._ctl, "-q", *args))


def run(command: Sequence[str | PathLike[str]], *, env: dict[str, str] | None = None, given: str | None = None) -> str:
    """Run a command and return its output.

    Raises:
        RuntimeError: Raised when its exit code is not 0.
    """
    done = subprocess.run(
        command, env=env, input=given, capture_output=True, text=True, timeout=_CALL_SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def _binary(text: str) -> str:
    """Return a text as an Erlang binary, with any characters."""
    return f"<<{','.join(str(byte) for byte in text.encode())}>>"


def _permit(user: str, vhost: str, configure: str, write: str, read: str) -> str:
    values = ", ".join((user, _binary(vhost), configure, write, read, user))
    return f"ok = rabbit_auth_backend_internal:set_permissions({values})"
