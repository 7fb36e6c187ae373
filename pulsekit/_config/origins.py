"""The value of each setting and where the value is from, for `pulsekit doctor --config`. No password is shown."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.broker import parse_url
from pulsekit._config.file_schema import PROJECT_FILE, USER_FILE, login_keys, project_keys
from pulsekit._config.local_sandbox import default_sandbox
from pulsekit._config.project_file import project_file
from pulsekit._config.settings import (
    LOGIN_VARIABLES,
    PULSE_URL,
    REGISTRATION_VARIABLES,
    SWITCHES,
    load_settings,
    read_files,
)
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pulsekit._amqp.broker import Broker
    from pulsekit._config.reading import ConfigurationFile
    from pulsekit._config.settings import Settings

__all__ = ["Origin", "find_origins"]

_EMPTY = ("password", "")
_NONE = "-"  # shown for the user or the password that a URL does not have


@dataclass(frozen=True, slots=True)
class Origin:
    """A setting, its value, and the place of the value.

    Attributes:
        setting: the key in the files, or the name of a variable or of a file.
        value: the value as plain JSON, or None. A password is `***`, and a URL is shown without user and password.
        source: `option`, `environment`, `project` (pulsekit.yml), `user` (config.yml), `found` (a file, or a
            sandbox on this machine), or `default`.
        place: the option, the variable, or `file:line:column`; empty for a default.
        unused: the places whose values for this setting are not used.
    """

    setting: str
    value: Any
    source: str = "default"
    place: str = ""
    unused: tuple[str, ...] = ()


def find_origins(
    *, url: str | None = None, exchange: str | None = None, environment: Mapping[str, str] | None = None
) -> tuple[Origin, ...]:
    """Return each setting with its value and the place of the value.

    Args:
        url: the option `--url`.
        exchange: the option `--exchange`.
        environment: the environment. The default is `os.environ`.

    Raises:
        ConfigurationError: Raised when a file cannot be read, or no login has the selected name.
        InvalidInput: Raised when registrations of a file cannot be read.
    """
    environment = os.environ if environment is None else environment
    settings = load_settings(environment=environment)
    project, user = read_files(None, environment)
    named = bool(project_file.get())
    found = [
        _found(PROJECT_FILE, project, *(("option", "--config") if named else ())),
        _found(USER_FILE, user),
        *_login(settings, user, url, environment),
    ]
    first = {
        "exchange": _given("exchange", ("option", "--exchange", exchange)),
        "registrations": _given(
            "registrations", *(("environment", name, environment.get(name)) for name in REGISTRATION_VARIABLES)
        ),
    }
    for key, about in project_keys().items():
        files = (("project", project), ("user", user))
        written = (Origin(key, file.values[key], name, file.places[key]) for name, file in files if key in file.values)
        found.append(_decided(key, chain(first.get(key, ()), written), about.get("default")))
    found += (Origin(name, environment[name], "environment", name) for name in SWITCHES if environment.get(name))
    return tuple(found)


def _found(name: str, file: ConfigurationFile, *place: str) -> Origin:
    if file.unreadable or not file.path.is_file():
        return Origin(name, None)
    return Origin(name, str(file.path.resolve()), *(place or ["found"]))


def _given(key: str, *places: tuple[str, str, Any]) -> list[Origin]:
    """Return the places that have a value. An empty text is a value only for a password."""
    return [Origin(key, value, source, place) for source, place, value in places if value or (key, value) == _EMPTY]


def _decided(
    setting: str, candidates: Iterable[Origin], default: Any = None, excluded: Iterable[Origin] = ()
) -> Origin:
    """Return the first candidate, with the places of the other candidates and of `excluded` as unused."""
    first, *others = (*candidates, Origin(setting, default))
    value = default if first.value is None else first.value
    unused = tuple(one.place for one in (*others, *excluded) if one.place)
    return replace(first, setting=setting, value=value, unused=unused)


def _login(
    settings: Settings, user: ConfigurationFile, url: str | None, environment: Mapping[str, str]
) -> Iterator[Origin]:
    """Yield the origins of broker, user and password, and the names of logins.

    The user and the password of a URL precede those of other places. A selected login excludes all other places.
    """
    usual = _given("url", ("option", "--url", url))
    for name in LOGIN_VARIABLES:
        usual += _given(name.removeprefix("PULSE_").lower(), ("environment", name, environment.get(name)))
    for key in login_keys():
        usual += _given(key, ("user", user.places.get(key, ""), user.values.get(key)))
    chosen: list[Origin] = usual
    others: list[Origin] = []
    if settings.login:
        place, login = f"logins.{settings.login}", settings.logins[settings.login]
        chosen, others = [], usual
        for key in login_keys():
            chosen += _given(key, ("user", user.places.get(f"{place}.{key}", ""), login.get(key)))
        yield Origin("login", settings.login, "option", "--login")
    urls = [one for one in chosen if one.setting == "url"]
    users = [one for one in chosen if one.setting == "user"]
    passwords = [replace(one, value=_shown(one)) for one in chosen if one.setting.startswith("password")]
    broker = _parsed(urls[0].value) if urls else None
    if broker is not None and broker.user != _NONE:
        users.insert(0, replace(urls[0], value=broker.user))
    if broker is not None and broker.password != _NONE:
        passwords.insert(0, replace(urls[0], value="***"))
    default = PULSE_URL if users else None
    sandbox = None if urls or users or settings.login else default_sandbox(settings)
    if sandbox is not None:
        urls = [Origin("url", str(sandbox), "found")]
        users, passwords, broker = [Origin("user", sandbox.user, "found")], [], sandbox
    elif broker is not None and broker.loopback and not users and not passwords:
        users = [Origin("user", "guest")]  # see `parse_url`
    address = re.sub("//.*@", "//", str(broker)) if broker else "cannot be read" if urls else None
    urls = [replace(one, value=address) for one in urls]
    for key, found, usual_value in (("url", urls, default), ("user", users, None), ("password", passwords, None)):
        yield _decided(key, found, usual_value, (one for one in others if one.setting.startswith(key)))
    yield _decided("logins", _given("logins", ("user", user.places.get("logins", ""), list(settings.logins))))


def _parsed(url: str) -> Broker | None:
    try:
        return parse_url(url, user=_NONE, password=_NONE)
    except ConfigurationError:
        return None


def _shown(password: Origin) -> str:
    """Return the source of a password. The arguments of a command are omitted, because they can be secret."""
    if password.setting == "password_file":
        return f"content of {password.value}"
    return (
        f"output of {password.value.strip().partition(' ')[0]} …" if password.setting == "password_command" else "***"
    )
