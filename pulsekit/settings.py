"""Where the broker is, who logs in, and what a project is about.

A value comes from the first place that has it: an argument, the environment (`PULSE_URL`, `PULSE_USER`,
`PULSE_PASSWORD`), `./pulsekit.yml`, then `$XDG_CONFIG_HOME/pulsekit/config.yml`. The project file may say what to
publish and where on the broker, never who logs in or to which host: a cloned repository must not be able to collect a
password.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pulsekit.errors import ConfigurationError, InsecureConnection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from pulsekit.bindings import Binding, Registration
    from pulsekit.targets import Target, TargetSettings

__all__ = ["Broker", "Settings", "load_settings", "parse_url"]

PULSE_HOST = "pulse.mozilla.org"  # "The broker" of the facts
HEARTBEAT = 20  # seconds; a dead peer is noticed after about three of them

_PORTS = {False: 5672, True: 5671}
_SCHEMES = {"amqp": False, "pyamqp": False, "amqps": True}
_YES, _NO = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}
_PROJECT_KEYS = frozenset({"exchange", "registrations", "schema", "destinations", "lint_off", "targets"})
_USER_KEYS = _PROJECT_KEYS | {"url", "user", "password", "password_file", "password_command"}


@dataclass(frozen=True, slots=True)
class Broker:
    """Say where a broker is and who logs in. The password is in no representation.

    Attributes:
        host: name or address.
        port: TCP port.
        user: AMQP user, which on Pulse also owns `exchange/<user>/…` and `queue/<user>/…`.
        password: the secret itself.
        virtual_host: `/` or, on Pulse, `communitytc`.
        tls: whether the connection is encrypted; certificates are always verified.
        ca_file: PEM file with the authority to trust instead of the system's.
        cert_file: PEM file of a client certificate.
        key_file: PEM file of its key.
        heartbeat: seconds between heartbeats (AMQP 0-9-1 §4.2.7).
        insecure: allows clear text to a host that is not this machine.
        others: further hosts and ports of the same cluster, tried in turn.
        read_password: asks the user's password file or command again; it blocks.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    virtual_host: str = "/"
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    heartbeat: int = HEARTBEAT
    insecure: bool = False
    others: tuple[tuple[str, int], ...] = ()
    read_password: Callable[[], str | None] | None = field(default=None, repr=False, compare=False)

    @property
    def loopback(self) -> bool:
        """Tell whether every host is this machine."""
        return all(_is_loopback(host) for host, _ in self.hosts)

    @property
    def hosts(self) -> tuple[tuple[str, int], ...]:
        """All hosts and ports, in the order they are tried."""
        return ((self.host, self.port), *self.others)

    def each(self, first: int = 0) -> list[Broker]:
        """Return one broker for each host, from the one with that number on and around."""
        hosts = self.hosts
        first %= len(hosts)
        return [replace(self, host=host, port=port, others=()) for host, port in hosts[first:] + hosts[:first]]

    def renewed(self) -> Broker:
        """Return it with the password as the user's file or command gives it now.

        Raises:
            ConfigurationError: the file cannot be read, or the command failed.
        """
        password = self.read_password() if self.read_password is not None else None
        return self if password is None else replace(self, password=password)

    def __str__(self) -> str:
        scheme = "amqps" if self.tls else "amqp"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        vhost = "" if self.virtual_host == "/" else quote(self.virtual_host, safe="")
        return f"{scheme}://{quote(self.user, safe='')}:***@{hosts}/{vhost}"

    def checked(self) -> Broker:
        """Return itself if a password may travel there.

        Raises:
            InsecureConnection: it would go in clear text to another machine.
        """
        if self.tls or self.loopback or self.insecure:
            return self
        hosts = ", ".join(host for host, _ in self.hosts)
        raise InsecureConnection(
            f"{self} would send the password in clear text to {hosts}: use amqps://, or --insecure "
            "(insecure=True in Python) if the network between is yours"
        )

    def ssl_context(self) -> ssl.SSLContext | None:
        """Build the context that verifies the broker's certificate and name, or None for clear text.

        Raises:
            ConfigurationError: a certificate file cannot be read.
        """
        if not self.tls:
            return None
        import ssl  # a tenth of the start-up time, and only TLS needs it

        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(name for name in (self.ca_file, self.cert_file, self.key_file) if name)
            raise ConfigurationError(f"cannot use the certificate files {files}: {error}") from error
        return context


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment and the configuration files say.

    Attributes:
        exchange: the exchange to publish to.
        schema: name or path of the schema jobs are validated against.
        destinations: destinations a job is sent to, one message each.
        registrations: what Treeherder binds, in order: those of the whole project, then those of its targets.
        targets: what differs for staging and production.
        lint_off: names of lint rules that are not applied; whoever lints checks that there are such rules.
        source: the file the project's values came from, for messages; empty without one.
    """

    exchange: str | None = None
    schema: str = "pulse-job"
    destinations: tuple[str, ...] = ()
    registrations: tuple[Registration | Binding, ...] = ()
    lint_off: tuple[str, ...] = ()
    targets: Mapping[Target, TargetSettings] = field(default_factory=dict)
    source: str = ""
    _login: Mapping[str, str] = field(default_factory=dict, repr=False)
    _environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def names_a_broker(self) -> bool:
        """Tell whether environment or user file say where to connect, or as whom."""
        environment, login = self._environment, self._login
        return any(environment.get(name) for name in ("PULSE_URL", "PULSE_USER")) or not login.keys().isdisjoint(
            {"url", "user"}
        )

    @property
    def user(self) -> str | None:
        """The name that would log in, or None when none is configured."""
        if url := self._environment.get("PULSE_URL") or self._login.get("url"):
            try:
                if name := urlsplit(url).username:
                    return unquote(name)
            except ValueError:  # whoever connects will hear of it
                pass
        return self._environment.get("PULSE_USER") or self._login.get("user")

    @property
    def in_ci(self) -> bool:
        """Tell whether this is a CI machine, where a missing secret must never publish to nowhere."""
        return bool(self._environment.get("CI"))

    def at(self, target: Target | None) -> Settings:
        """Return the settings for staging or production: its exchange, destinations and registrations.

        What the target leaves open is as for the whole project. Without a target they are returned as they are.

        Raises:
            ConfigurationError: the project has no such target.
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
            self,
            exchange=chosen.exchange,
            destinations=chosen.destinations,
            registrations=chosen.registrations,
        )

    def broker(self, url: str | None = None, *, insecure: bool = False) -> Broker:
        """Resolve where to connect and as whom.

        Args:
            url: wins over everything configured.
            insecure: allow clear text to a host that is not this machine.

        Raises:
            ConfigurationError: nothing is configured, a part is missing, or the URL cannot be read.
            InsecureConnection: the password would travel in clear text.
        """
        url = url or self._environment.get("PULSE_URL") or self._login.get("url")
        user = self._environment.get("PULSE_USER") or self._login.get("user")
        password = self._environment.get("PULSE_PASSWORD")
        kept = password is None
        if kept:
            password = _configured_password(self._login)
        if not url and not user:
            raise ConfigurationError(
                "no broker is configured: set PULSE_URL=amqps://USER:PASSWORD@HOST/, "
                f"or PULSE_USER and PULSE_PASSWORD for {PULSE_HOST}; to try without an account, run `pulsekit sandbox`"
            )
        broker = parse_url(url or f"amqps://{PULSE_HOST}:5671/", user=user, password=password)
        again = partial(_configured_password, self._login) if kept and broker.password == password else None
        return replace(broker, insecure=insecure, read_password=again).checked()


def parse_url(url: str, *, user: str | None = None, password: str | None = None) -> Broker:
    """Read an AMQP URL, in the AMQP URI way or kombu's.

    `?ssl=1` means TLS, as in Treeherder's own setting ("The broker" of the facts). Parts are percent-decoded. An empty
    path is the virtual host `/`.

    Args:
        url: `amqp[s]://user:password@host[:port][,host[:port]…]/[vhost][?ssl=1&heartbeat=20&cafile=…&certfile=…&keyfile=…]`;
            several hosts are those of one cluster, tried in turn.
        user: used when the URL names none.
        password: used when the URL names none.

    Raises:
        ConfigurationError: it cannot be read, or has an option nobody would obey. The message never shows the password.
    """
    shape = "amqps://USER:PASSWORD@HOST:PORT/VHOST"
    if url != url.strip() or any(ord(character) < 32 for character in url):  # urlsplit would drop them
        raise ConfigurationError(f"the broker URL has white space or control characters around it: {shape}")
    if "#" in url:
        raise ConfigurationError("the broker URL has a '#': in a password it is written %23")
    try:
        parts = urlsplit(url)
        login, at, hosts = parts.netloc.rpartition("@")
        # Each host with the login, so that the rules for it are those of a URL with one.
        addresses = [urlsplit(f"//{login}{at}{host}") for host in hosts.split(",")]
        ports = [address.port for address in addresses]
    except ValueError:
        raise ConfigurationError(
            f"the broker URL cannot be read: {shape}; in a password, / @ : are written %2F %40 %3A"
        ) from None
    if parts.scheme not in _SCHEMES:
        raise ConfigurationError(f"the broker URL begins with {parts.scheme + '://'!r}: {shape}")
    names = [address.hostname or "" for address in addresses]
    if not all(names):
        raise ConfigurationError(f"the broker URL names no host{' between two commas' if names[1:] else ''}: {shape}")
    host = names[0]
    options = _options(parts.query)
    tls = _SCHEMES[parts.scheme] or options.get("ssl", "0") in _YES
    username, secret = addresses[0].username, addresses[0].password
    user = unquote(username) if username else user
    password = unquote(secret) if secret is not None else password
    if user is None and password is None and all(map(_is_loopback, names)):
        user, password = "guest", "guest"  # what a fresh RabbitMQ has, and lets in from this machine alone
    if not user or password is None:
        missing = "user name" if not user else "password"
        raise ConfigurationError(
            f"no {missing} for {host}: put it into PULSE_URL, or set PULSE_USER and PULSE_PASSWORD"
        )
    return Broker(
        host=host,
        port=ports[0] or _PORTS[tls],
        user=user,
        password=password,
        virtual_host=unquote(parts.path[1:]) or "/",
        tls=tls,
        ca_file=options.get("cafile"),
        cert_file=options.get("certfile"),
        key_file=options.get("keyfile"),
        heartbeat=_heartbeat(options.get("heartbeat")),
        others=tuple((name, port or _PORTS[tls]) for name, port in zip(names[1:], ports[1:], strict=True)),
    )


def load_settings(directory: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment and the two configuration files.

    Args:
        directory: where `pulsekit.yml` may be; the current one by default.
        environment: `os.environ` by default.

    Raises:
        ConfigurationError: a file cannot be read, or has a key it may not have.
    """
    environment = os.environ if environment is None else environment
    project_path = (directory or Path()) / "pulsekit.yml"
    base = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".config")
    user_path = Path(base) / "pulsekit" / "config.yml"
    project = _read(project_path, _PROJECT_KEYS)
    user = _read(user_path, _USER_KEYS)
    merged = {**user, **project}
    exchange, destinations = _text(merged, "exchange"), _texts(merged, "destinations")
    registrations = _registrations(merged, project_path if "registrations" in project else user_path)
    targets: Mapping[Target, TargetSettings] = {}
    if merged.get("targets") is not None:
        from pulsekit.targets import TargetSettings, read_targets  # few have them

        whole = TargetSettings(exchange, destinations, registrations)
        path = project_path if "targets" in project else user_path
        targets = read_targets(merged["targets"], whole, source=str(path))
    own = (one for target in targets.values() for one in target.registrations if one not in registrations)
    return Settings(
        exchange=exchange,
        schema=_text(merged, "schema") or "pulse-job",
        destinations=destinations,
        registrations=(*registrations, *dict.fromkeys(own)),
        targets=targets,
        lint_off=_texts(merged, "lint_off"),
        source=str(project_path if project else user_path if user else ""),
        _login={key: value for key in _USER_KEYS - _PROJECT_KEYS if (value := _text(user, key)) is not None},
        _environment=environment,
    )


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    known = {"ssl", "heartbeat", "cafile", "certfile", "keyfile"}
    for name in options.keys() - known:
        raise ConfigurationError(
            f"the broker URL has an option that would be ignored: {name!r}; known are {', '.join(sorted(known))}"
        )
    flag = options.get("ssl", "0").lower()
    if flag not in _YES | _NO:
        raise ConfigurationError("the broker URL says neither ssl=1 nor ssl=0")
    return options | {"ssl": flag}


def _heartbeat(value: str | None) -> int:
    if value is None:
        return HEARTBEAT
    if value.isascii() and value.isdigit() and 1 <= int(value) <= 3600:
        return int(value)
    raise ConfigurationError("heartbeat in the broker URL is a number of seconds from 1 to 3600")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    import ipaddress  # offline commands never ask

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _configured_password(login: Mapping[str, str]) -> str | None:
    """Read the password from the user's file: given there, in a file of its own, or printed by a command."""
    if "password" in login:
        return login["password"]
    if path := login.get("password_file"):
        try:
            return Path(path).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"cannot read password_file {path}: {error}") from error
    if command := login.get("password_command"):
        import shlex  # only for those who keep the password in a manager
        import subprocess

        try:
            # The command is the user's own, from a file only the user's account writes.
            done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise ConfigurationError(f"password_command failed: {type(error).__name__}") from None
        return done.stdout.rstrip("\r\n")
    return None


def _read(path: Path, allowed: frozenset[str]) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    from pulsekit.documents import parse_yaml  # ruamel.yaml costs more than most commands

    value = parse_yaml(text, source=str(path)).value
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigurationError(f"{path}: a mapping is expected, such as `exchange: exchange/me/v1/jobs`")
    for key in value:
        if key in allowed:
            continue
        if key in _USER_KEYS | {"host", "port", "vhost"}:
            raise ConfigurationError(
                f"{path}: {key!r} may not stand in a project's file; put it into PULSE_URL or the user's config.yml"
            )
        raise ConfigurationError(f"{path}: unknown key {key!r}; known are {', '.join(sorted(allowed))}")
    return value


def _text(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    if value is None or isinstance(value, str):
        return value
    raise ConfigurationError(f"{key!r} in the configuration must be text")


def _texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = values.get(key) or []
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ConfigurationError(f"{key!r} in the configuration must be a list of texts")


def _registrations(values: Mapping[str, Any], path: Path) -> tuple[Registration | Binding, ...]:
    if values.get("registrations") is None:
        return ()
    import json  # see below

    from pulsekit.bindings import read_registrations  # only for those who have registrations

    return tuple(read_registrations(json.dumps(values["registrations"]), source=str(path)))
