"""The settings: broker, login, and the exchange, destinations and registrations of a project.

A value comes from the first place that has it: an argument, a selected login, the environment (`PULSE_URL`,
`PULSE_USER`, `PULSE_PASSWORD`), `pulsekit.yml`, then `$XDG_CONFIG_HOME/pulsekit/config.yml`. A selected login is one of
`logins` in `config.yml`. It is complete: no value of the environment or of the rest of the file is added. The project
file can set the exchange, but not the login or the host, so that a cloned repository cannot collect a password.
"""

from __future__ import annotations

import os
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.secret import Secret
from pulsekit._config.file_schema import USER_FILE
from pulsekit._config.project_file import find_project_file, project_file
from pulsekit._config.reading import read_file
from pulsekit.bindings.names import joined_name
from pulsekit.errors import ConfigurationError, place_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pulsekit._amqp.broker import Broker
    from pulsekit._config.reading import ConfigurationFile
    from pulsekit._config.target import Target
    from pulsekit._config.targets import TargetSettings
    from pulsekit.bindings.registration import Binding, Registration
    from pulsekit.bindings.rules import Rule

__all__ = [
    "LOGIN_VARIABLES", "PULSE_URL", "REGISTRATION_VARIABLES", "SWITCHES", "Settings", "load_settings", "login_name",
    "read_files", "registrations_in",
]  # fmt: skip

LOGIN_VARIABLES = ("PULSE_URL", "PULSE_USER", "PULSE_PASSWORD")
REGISTRATION_VARIABLES = (
    *("PULSE_DATA_INGESTION_SOURCES", "PULSE_JOB_SOURCES"),
    *("PULSE_JOB_EXCHANGES", "PULSE_JOB_DESTINATIONS", "PULSE_JOB_PROJECTS"),
)
_VARIABLES = {*LOGIN_VARIABLES, *REGISTRATION_VARIABLES}
# Variables that change how commands work, and that have no key in a file.
SWITCHES = ("CI", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "PULSEKIT_NO_CACHE", "PULSEKIT_DEBUG", "NO_COLOR", "FORCE_COLOR")
_MEANT = {"PULSE_USERNAME": "PULSE_USER", "PULSE_LOGIN": "PULSE_USER", "PULSE_PASS": "PULSE_PASSWORD"}
_HOST = "pulse.mozilla.org"
PULSE_URL = f"amqps://{_HOST}:5671/"  # https://wiki.mozilla.org/Auto-tools/Projects/Pulse

# The name of the login that --login selects, or None.
login_name: ContextVar[str | None] = ContextVar("login_name", default=None)

_SCHEMA_FILES = (".yml", ".yaml", ".json")  # suffixes of a path; the path is relative to the configuration file


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of the environment and of the configuration files.

    Attributes:
        exchange: the exchange to publish to.
        schema: the name or path of the schema for jobs.
        destinations: the destinations of a job, which is published once for each destination.
        registrations: the registrations, first those of the project, then those of its targets.
        targets: the differences for staging and production.
        lint_off: the names of disabled lint rules. The linter checks that they exist.
        warnings: the warnings about files that cannot be read, and about destinations and registrations.
        source: the file of the project's values, for messages; empty if there is none.
        logins: the logins that can be selected, by name.
        login: the name of the selected login, or empty.
        overridden: the variables of the environment that the selected login overrides.
    """

    exchange: str | None = None
    schema: str = "pulse-job"
    destinations: tuple[str, ...] = ()
    registrations: tuple[Registration | Binding, ...] = ()
    lint_off: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    targets: Mapping[Target, TargetSettings] = field(default_factory=dict)
    source: str = ""
    logins: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict, repr=False)
    login: str = ""
    overridden: tuple[str, ...] = ()
    _login: Mapping[str, str] = field(default_factory=dict, repr=False)
    _environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    _unreadable: tuple[str, ...] = ()

    @property
    def names_a_broker(self) -> bool:
        """Return whether the environment or the user's file names a broker or a user, or a login is selected."""
        if self.login:
            return True
        in_environment = any(self._environment.get(name) for name in ("PULSE_URL", "PULSE_USER"))
        return in_environment or not self._login.keys().isdisjoint({"url", "user"})

    @property
    def user(self) -> str | None:
        """The configured user name, or None."""
        if url := self._environment.get("PULSE_URL") or self._login.get("url"):
            from pulsekit._amqp.broker import user_in

            if name := user_in(url):
                return name
        return self._environment.get("PULSE_USER") or self._login.get("user")

    @property
    def rules(self) -> Mapping[str, Rule]:
        """The rule by which each exchange is registered, without exchanges that have more than one rule."""
        found: dict[str, set[Rule | None]] = {}
        for one in self.registrations:
            found.setdefault(one.exchange, set()).add(getattr(one, "rule", None))
        return {exchange: rule for exchange, rules in found.items() if len(rules) == 1 and (rule := rules.pop())}

    @property
    def exchanges(self) -> tuple[str, ...]:
        """The exchanges of the project, of its targets and of its registrations."""
        named = [self.exchange, *(one.exchange for one in self.targets.values())]
        return tuple(dict.fromkeys(filter(None, (*named, *(one.exchange for one in self.registrations)))))

    def reserved(self, exchange: str) -> bool | None:
        """Return whether the registered keys of an exchange end with the reserved word `_`, or None if unknown."""
        last = (
            project.rpartition(".")[2]
            for one in self.registrations
            if one.exchange == exchange
            for project in getattr(one, "projects", ())
        )
        endings = {word == "_" for word in last if word not in {"*", "#"}}
        return endings.pop() if len(endings) == 1 else None

    @property
    def in_ci(self) -> bool:
        """Whether this is a CI machine, where a missing secret must be an error."""
        return bool(self._environment.get("CI"))

    def at(self, target: Target | None) -> Settings:
        """Return the settings for staging or production: the exchange, destinations and registrations of the target.

        If the target does not set a value, the value of the project applies. Without a target, the settings are
        returned unchanged.

        Raises:
            ConfigurationError: Raised when the project has no such target.
        """
        if target is None:
            return self
        chosen = self.targets.get(target)
        if chosen is None:
            where = f"{self.source} has none" if self.source else "there is no pulsekit.yml"
            raise ConfigurationError(
                f"no target {str(target)!r}: {where}; write `targets: {{{target}: {{destinations: […]}}}}`, "
                f"or run `pulsekit register --{target} --write`"
            )
        return replace(
            self, exchange=chosen.exchange, destinations=chosen.destinations, registrations=chosen.registrations
        )

    def with_login(self, name: str) -> Settings:
        """Return the settings with one of `logins`, which replaces the login of the environment and of the user's file.

        Raises:
            ConfigurationError: Raised when no login has this name.
        """
        if name not in self.logins:
            known = ", ".join(self.logins)
            what = (
                f"the logins are {known}"
                if known
                else "the user's config.yml has none, write `logins: {NAME: {url: …}}`"
            )
            raise ConfigurationError(f"no login {name!r}: {'; '.join((what, *self._unreadable))}")
        login = {key: value for key, value in self.logins[name].items() if value is not None}
        environment = {key: value for key, value in self._environment.items() if key not in LOGIN_VARIABLES}
        overridden = tuple(key for key in LOGIN_VARIABLES if self._environment.get(key))
        return replace(self, login=name, overridden=overridden, _login=login, _environment=environment)

    @property
    def unknown_variables(self) -> tuple[str, ...]:
        """A warning for each variable `PULSE_…` that pulsekit does not read, and for each misspelt `PULSEKIT_…`."""
        groups = (("PULSE_", _VARIABLES, "PULSE_URL"), ("PULSEKIT_", SWITCHES, ""))
        sentences = []
        for prefix, known, usual in groups:
            for name in sorted(name for name in self._environment if name.startswith(prefix) and name not in known):
                from pulsekit._documents.suggestions import Guesses

                choices = {one.removeprefix(prefix): one for one in sorted(known) if one.startswith(prefix)}
                near = Guesses().nearest(name.removeprefix(prefix), choices)
                if meant := _MEANT.get(name) or (choices[near] if near else usual):
                    sentences.append(f"{name} is not read: {meant} is")
        return tuple(sentences)

    def broker(self, url: str | None = None, *, insecure: bool = False) -> Broker:
        """Return the broker and the login.

        Args:
            url: the URL, which overrides the configuration.
            insecure: allow clear text to a host that is not this machine.

        Raises:
            ConfigurationError: Raised when no broker is configured, a part is missing, the URL cannot be parsed, or
                both a URL and a login are selected.
            InsecureConnection: Raised when the password would be sent in clear text.
        """
        if url and self.login:
            raise ConfigurationError(f"a URL and the login {self.login!r} both select the broker: remove one of them")
        url = Secret(url) if url else self._environment.get("PULSE_URL") or self._login.get("url")
        user = self._environment.get("PULSE_USER") or self._login.get("user")
        password = self._environment.get("PULSE_PASSWORD")
        kept = password is None
        if password is None:
            password = _configured_password(self._login)
        if not url and not user and self.login:
            raise ConfigurationError(f"the login {self.login!r} has neither `url` nor `user`")
        if not url and not user:
            raise ConfigurationError(
                "no broker is configured: set PULSE_URL=amqps://USER:PASSWORD@HOST/, "
                f"or PULSE_USER and PULSE_PASSWORD for {_HOST}; without an account, run 'pulsekit sandbox'"
                + "".join(f". {words}" for words in self.unknown_variables)
                + "".join(f"; {words}" for words in self._unreadable)
            )
        from pulsekit._amqp.broker import parse_url  # most commands need no broker

        broker = parse_url(url or PULSE_URL, user=user, password=password)
        again = partial(_configured_password, self._login) if kept and broker.password == password else None
        return replace(broker, insecure=insecure, read_password=again).checked()


def read_files(directory: Path | None, environment: Mapping[str, str]) -> tuple[ConfigurationFile, ConfigurationFile]:
    """Read the project's and the user's configuration file. See `load_settings` for arguments and exceptions."""
    given = project_file.get()
    if given is not None and not given.exists():
        raise ConfigurationError(f"cannot read {given}: there is no such file")
    project = read_file(given or find_project_file(directory or Path()))
    return project, read_file(_user_file(environment), user=True)


def _user_file(environment: Mapping[str, str]) -> Path:
    """Return the path of the user's file. Without a home, the folder is `/`.

    A relative path is ignored, as the XDG Base Directory Specification requires: a cloned project could have the file.
    """
    base = Path(environment.get("XDG_CONFIG_HOME", ""))
    if not base.is_absolute():
        home = Path(environment.get("HOME", os.path.expanduser("~")))  # noqa: PTH111 - pathlib raises without a home
        base = (home if home.is_absolute() else Path("/")) / ".config"
    return base / "pulsekit" / USER_FILE


def load_settings(
    directory: Path | None = None, environment: Mapping[str, str] | None = None, *, login: str | None = None
) -> Settings:
    """Read the environment and the two configuration files.

    The project's file is that of `--config`, else `pulsekit.yml` in the folder or its nearest parent, up to the root of
    the repository.

    Args:
        directory: the folder of `pulsekit.yml`. The default is the current folder.
        environment: the environment. The default is `os.environ`.
        login: the name of one of `logins` in the user's file. The default is that of `--login`, if any.

    Raises:
        ConfigurationError: Raised when a file cannot be read, violates its schema, or has no such login.
    """
    environment = {name: Secret(value) for name, value in (os.environ if environment is None else environment).items()}
    project, user = read_files(directory, environment)
    unreadable = tuple(file.unreadable for file in (project, user) if file.unreadable)

    def file_of(key: str) -> ConfigurationFile:
        return project if key in project.values else user

    def texts(key: str) -> tuple[str, ...]:
        return tuple(file_of(key).values.get(key) or ())

    exchange = _plain(file_of("exchange").values.get("exchange"))
    if exchange is not None and not exchange.startswith("exchange/"):
        from pulsekit._config.targets import known_name  # imported late: few configurations have such a name

        exchange = known_name(exchange)
    source = file_of("registrations")
    warnings = [
        f"{place_text(one.path, *(one.locate(f'/destinations/{at}') or ()))}: {joined_name(name)}"
        for one in [file_of("destinations")]
        for at, name in enumerate(texts("destinations"))
        if joined_name(name)
    ]
    document = source.document("registrations")
    registrations = registrations_in(document, source=str(source.path), on_warning=warnings.append)
    targets: Mapping[Target, TargetSettings] = {}
    source = file_of("targets")
    if source.values.get("targets") is not None:
        from pulsekit._config.targets import TargetSettings, read_targets  # few configurations have targets

        whole = TargetSettings(exchange, texts("destinations"), registrations)
        targets = read_targets(source.values["targets"], whole, source=str(source.path), locate=source.locate)
    own = (one for target in targets.values() for one in target.registrations if one not in registrations)
    source = file_of("schema")
    schema = _plain(source.values.get("schema")) or "pulse-job"
    settings = Settings(
        exchange=exchange,
        schema=_project_schema(source, schema) if source is project else _user_schema(source, schema),
        destinations=texts("destinations"),
        registrations=(*registrations, *dict.fromkeys(own)),
        targets=targets,
        lint_off=texts("lint_off"),
        warnings=(*unreadable, *warnings),
        source=next((str(file.path) for file in (project, user) if any(map(file.document, file.values))), ""),
        logins=user.values.get("logins") or {},
        _login={key: value for key, value in user.values.items() if value is not None and user.document(key) is None},
        _environment=environment,
        _unreadable=unreadable,
    )
    login = login_name.get() if login is None else login
    return settings if login is None else settings.with_login(login)


def _user_schema(file: ConfigurationFile, name: str) -> str:
    return file.beside(name) if name.endswith(_SCHEMA_FILES) else name


def _project_schema(file: ConfigurationFile, name: str) -> str:
    """Return the name of a shipped schema, or the path of a file below the folder of `pulsekit.yml`.

    Raises:
        ConfigurationError: Raised when the path leads out of the folder, also by a link, or to a pipe or a device.
            Otherwise, another developer's project could make a command read a private file, or wait forever.
    """
    from pulsekit.schemas.schema import schema_names

    if name in schema_names():
        return name
    path, folder = Path(file.beside(name)), file.path.parent.resolve()
    try:
        inside = path.resolve().is_relative_to(folder) and (path.is_file() or not os.path.lexists(path))
    except (OSError, ValueError, RuntimeError):  # a zero byte, or links in a circle before Python 3.13
        inside = False
    if not inside:
        raise ConfigurationError(
            f"{file.path}: schema {name!r} is not a file in the project's folder, {folder}: copy the "
            "schema there, or use --schema"
        )
    return str(path)


def _configured_password(login: Mapping[str, str]) -> str | None:
    """Return the password of the user's configuration: its value, the content of a file, or the output of a command."""
    if "password" in login:
        return login["password"]
    if path := login.get("password_file"):
        try:
            return Path(path).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            reason = error.strerror or type(error).__name__
        except (RuntimeError, ValueError) as error:  # no home, or not UTF-8; its text shows the password
            reason = type(error).__name__
        raise ConfigurationError(f"cannot read password_file {path}: {reason}")
    if command := login.get("password_command"):
        import shlex  # only a password command needs shlex
        import subprocess

        try:
            # The command is from a file that only the user can write.
            done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            reason = type(error).__name__  # the error itself contains the output
        else:
            return done.stdout.rstrip("\r\n")
        raise ConfigurationError(f"password_command failed: {reason}")
    return None


def _plain(text: str | None) -> str | None:
    return None if text is None else str(text)


def registrations_in(
    value: Any, *, source: str, on_warning: Callable[[str], None] | None = None
) -> tuple[Registration | Binding, ...]:
    """Return the registrations of a configuration file.

    Args:
        value: the value of `registrations`, which may be None, or the document with it.
        source: the name of the file, for messages.
        on_warning: called with each warning. By default, warnings are logged.

    Raises:
        InvalidInput: Raised when a registration cannot be read.
    """
    if value is None:
        return ()
    import json

    from pulsekit._config.targets import known_name
    from pulsekit._documents.document import Document
    from pulsekit.bindings.registration import read_registrations  # slow to import, and few commands need it

    if isinstance(value, Document) and value.value is None:
        return ()
    text = value if isinstance(value, Document) else json.dumps(value)
    return read_registrations(text, source=source, on_warning=on_warning, full_name=known_name)
