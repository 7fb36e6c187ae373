"""The address of a broker, the login, and AMQP URLs.

The password appears in no message and no representation. It also appears in no local variable of a frame through which
an exception passes, because tools for error reports send those variables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pulsekit._amqp.secret import Secret
from pulsekit.errors import ConfigurationError, InsecureConnection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from ipaddress import IPv4Address, IPv6Address
    from urllib.parse import SplitResult

__all__ = ["Broker", "broker_url", "is_loopback", "parse_url", "user_in"]

HEARTBEAT = 20  # seconds; a connection without data is closed after two intervals

_PORTS = {False: 5672, True: 5671}
_SCHEMES = {"amqp": False, "pyamqp": False, "amqps": True}
_FILES = ("cafile", "certfile", "keyfile")
_YES, _NO = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}
# The text before the hosts, the hosts, and the text after them (RFC 3986 §3).
_AUTHORITY = re.compile(r"([^/?#]*//(?:[^/?#]*@)?)([^/?#]*)(.*)", re.DOTALL)
_BRACKETS = re.compile(r"(?:\[[^\[\]]*\](?::|\Z))?[^\[\]]*")
_SHAPE = "amqps://USER:PASSWORD@HOST:PORT/VHOST"


@dataclass(frozen=True, slots=True)
class Broker:
    """The address of a broker and the login. No representation contains the password.

    Attributes:
        host: name or address.
        port: TCP port.
        user: AMQP user, who on Pulse owns `exchange/<user>/…` and `queue/<user>/…`.
        password: the password.
        virtual_host: such as `/`, or on Pulse `communitytc`.
        tls: whether the connection is encrypted. Certificates are always verified.
        ca_file: PEM file of the certificate authority to trust, instead of the system's authorities.
        cert_file: PEM file of a client certificate.
        key_file: PEM file of the key of the client certificate.
        heartbeat: seconds between heartbeats (AMQP 0-9-1 §4.2.7).
        insecure: whether clear text to another machine is allowed.
        others: other hosts and ports of the same cluster, which are tried in turn.
        read_password: reads the user's password file or command again. It blocks.
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
        """Whether every host is this machine."""
        return all(is_loopback(host) for host, _ in self.hosts)

    @property
    def hosts(self) -> tuple[tuple[str, int], ...]:
        """All hosts and ports, in the order they are tried."""
        return ((self.host, self.port), *self.others)

    def each(self, first: int = 0) -> list[Broker]:
        """Return one broker for each host, starting with the host at the given index."""
        hosts = self.hosts
        first %= len(hosts)
        return [replace(self, host=host, port=port, others=()) for host, port in hosts[first:] + hosts[:first]]

    def renewed(self) -> Broker:
        """Return the broker with the current password of the user's file or command.

        Raises:
            ConfigurationError: Raised when the file cannot be read, or the command fails.
        """
        password = self.read_password() if self.read_password is not None else None
        return self if password is None else replace(self, password=password)

    def __str__(self) -> str:
        scheme = "amqps" if self.tls else "amqp"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        vhost = "" if self.virtual_host == "/" else quote(self.virtual_host, safe="")
        return f"{scheme}://{quote(self.user, safe='')}:***@{hosts}/{vhost}"

    def checked(self) -> Broker:
        """Return this broker if the password may be sent to it.

        Raises:
            InsecureConnection: Raised when the password would be sent in clear text to another machine.
        """
        if self.tls or self.loopback or self.insecure:
            return self
        hosts = ", ".join(host for host, _ in self.hosts)
        raise InsecureConnection(
            f"{self} would send the password in clear text to {hosts}: use amqps://, or --insecure "
            "(insecure=True in Python) if you trust the network"
        )

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return a context that verifies the broker's certificate and host name, or None for clear text.

        Raises:
            ConfigurationError: Raised when a certificate file cannot be read.
        """
        if not self.tls:
            return None
        import ssl  # imported late: 10 % of the start-up time

        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file, _refuse_pass_phrase)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            files = ", ".join(name for name in (self.ca_file, self.cert_file, self.key_file) if name)
            reason = getattr(error, "strerror", None) or error
            raise ConfigurationError(f"cannot use the certificate files {files}: {reason}") from error
        return context


def _refuse_pass_phrase() -> str:
    """Without this function, OpenSSL would ask for the pass phrase on the terminal, and block the event loop."""
    raise ValueError("the key is encrypted; use a key file without a pass phrase")


def parse_url(url: str, *, user: str | None = None, password: str | None = None) -> Broker:
    """Parse an AMQP URL (https://www.rabbitmq.com/docs/uri-spec).

    `amqp://…?ssl=1` means TLS, as for kombu and in Treeherder's setting PULSE_URL. Parts are percent-decoded. An empty
    path is the virtual host `/`.

    Args:
        url: `amqp[s]://user:password@host[:port][,host[:port]…]/[vhost][?ssl=1&heartbeat=20&cafile=…&certfile=…&keyfile=…]`.
            Several hosts are the nodes of one cluster, tried in turn.
        user: the user, if the URL has none.
        password: the password, if the URL has none.

    Raises:
        ConfigurationError: Raised when the URL is malformed, or has an unknown option. The message never contains the
            password.
    """
    try:
        return _broker(url, user, password)
    except ConfigurationError as error:
        failure = ConfigurationError(str(error))  # without the traceback, whose frames contain parts of the URL
    url, password = Secret(url), None
    raise failure


def broker_url(
    host: str,
    *,
    port: int | None = None,
    user: str | None = None,
    password: str | None = None,
    virtual_host: str | None = None,
    tls: bool | None = None,
) -> Secret:
    """Return the URL of a broker. By default, it uses TLS unless the host is this machine.

    Args:
        host: name or address, or several of them, separated by commas.
        port: the TCP port of all hosts. The default is 5671 with TLS, and 5672 without.
        user: the user. Without a user, the URL has none.
        password: the password of the user.
        virtual_host: by default `/`.
        tls: whether the connection is encrypted.

    Raises:
        ConfigurationError: Raised when a URL cannot contain one of these values.
    """
    hosts = host.split(",")
    if any(set(one) & set("/?#@[] ") or (":" in one and _address(one) is None) for one in hosts):
        raise ConfigurationError(
            f"a host is a name or an address, such as pulse.mozilla.org, not {host!r}; see also port"
        )
    if port is not None and port not in range(1, 65536):  # also if it is text
        raise ConfigurationError(f"a port is a number from 1 to 65535, not {port!r:.40}")
    if password is not None and not user:
        raise ConfigurationError(f"there is a password for {host}, but no user")
    if any(_is_broken(text or "") for text in (user, password, virtual_host)):
        raise ConfigurationError("user name, password and virtual host must be UTF-8 text")
    encrypted = not all(map(is_loopback, hosts)) if tls is None else tls
    end = "" if port is None else f":{port}"
    places = ",".join(f"[{one}]{end}" if ":" in one else f"{one}{end}" for one in hosts)
    login = quote(user or "", safe="") + ("" if password is None else f":{quote(password, safe='')}")
    vhost = "" if virtual_host is None else quote(virtual_host, safe="")
    return Secret(f"amqp{'s' if encrypted else ''}://{login}{'@' if login else ''}{places}/{vhost}")


def user_in(url: str) -> str | None:
    """Return the user in a URL, or None, without checking the URL."""
    try:
        name = _split(url)[0].username
    except ValueError:
        return None
    return unquote(name) if name else None


def _broker(url: str, user: str | None, password: str | None) -> Broker:
    if url != url.strip() or any(ord(character) < 32 for character in url):  # urlsplit would remove these characters
        raise ConfigurationError(f"the broker URL has white space or control characters around it: {_SHAPE}")
    if _is_broken(url):
        raise ConfigurationError("the broker URL is not UTF-8 text")
    if "#" in url:
        raise ConfigurationError("the broker URL has a '#': in a password it is written %23")
    try:
        addresses = _split(url)
        parts = addresses[0]
        ports = [address.port for address in addresses]
    except ValueError:
        raise ConfigurationError(
            f"the broker URL cannot be read: {_SHAPE}; in a password, / ? @ : are written %2F %3F %40 %3A"
        ) from None
    if parts.scheme not in _SCHEMES:
        raise ConfigurationError(f"the broker URL begins neither with amqps:// nor with amqp://: {_SHAPE}")
    if "@" in parts.path + parts.query:  # a part of the password could be read as the virtual host, and shown
        raise ConfigurationError(
            "the broker URL has an '@' after its host: in a password, / ? @ are written %2F %3F %40, and so is an '@' "
            "in the name of a virtual host or a file"
        )
    names = [address.hostname or "" for address in addresses]
    if not all(names):
        raise ConfigurationError(f"the broker URL names no host{' between two commas' if names[1:] else ''}: {_SHAPE}")
    if not all(map(_is_host, names)):
        raise ConfigurationError("the broker URL has a host that is neither an IP address nor a host name")
    if 0 in ports:
        raise ConfigurationError("the broker URL has the port 0: a port is a number from 1 to 65535")
    host = names[0]
    options = _options(parts.query)
    tls = _SCHEMES[parts.scheme] or options["ssl"] in _YES
    _check_files(options, tls=tls)
    username, secret = addresses[0].username, addresses[0].password
    user = _decoded("user name", username) if username else user
    password = _decoded("password", secret) if secret is not None else password
    if user is None and password is None and all(map(is_loopback, names)):
        user, password = "guest", "guest"  # the default user of RabbitMQ, who may log in from this machine only
    if not user or password is None:
        missing = "user name" if not user else "password"
        raise ConfigurationError(
            f"no {missing} for {host}: put it into PULSE_URL, or set PULSE_USER and PULSE_PASSWORD"
        )
    if any("\0" in text or _is_broken(text) for text in (user, password)):  # SASL, RFC 4616 §2
        raise ConfigurationError("user name and password for the broker must be UTF-8 text without a NUL")
    return Broker(
        host=host,
        port=ports[0] or _PORTS[tls],
        user=str(user),
        password=Secret(password),
        virtual_host=_decoded("virtual host", parts.path[1:]) or "/",
        tls=tls,
        ca_file=options.get("cafile"),
        cert_file=options.get("certfile"),
        key_file=options.get("keyfile"),
        heartbeat=_heartbeat(options.get("heartbeat")),
        others=tuple((name, port or _PORTS[tls]) for name, port in zip(names[1:], ports[1:], strict=True)),
    )


def _split(url: str) -> list[SplitResult]:
    """Split a URL into one result for each host, as if that host were the only one.

    `urlsplit` of some versions of Python refuses an IPv6 address among several hosts. Versions also differ in the
    brackets that they accept. So this function refuses brackets unless they enclose a whole host.

    Raises:
        ValueError: Raised when the URL cannot be split.
    """
    authority = _AUTHORITY.fullmatch(url)
    if authority is None:
        return [urlsplit(url)]
    before, hosts, behind = authority.groups()
    if any(bracket in before for bracket in "[]") or not all(map(_BRACKETS.fullmatch, hosts.split(","))):
        raise ValueError("brackets")
    return [urlsplit(f"{before}{host}{behind}") for host in hosts.split(",")]


def _decoded(what: str, text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ConfigurationError(f"the {what} in the broker URL is not percent-encoded UTF-8") from None


def _is_broken(text: str) -> bool:
    """Return whether text has lone surrogates. Python reads invalid UTF-8 in environment variables as such text."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _is_host(name: str) -> bool:
    """Return whether a host name is valid: its labels have 1 to 63 bytes (RFC 1035 §2.3.4)."""
    if _address(name) is not None:
        return True
    try:
        name = name.encode("idna").decode()
    except UnicodeError:
        return False
    return re.fullmatch(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?", name) is not None


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    known = {"ssl", "heartbeat", *_FILES}
    for name in options.keys() - known:
        raise ConfigurationError(
            f"the broker URL has an option that would be ignored: {name!r}; known are {', '.join(sorted(known))}"
        )
    flag = options.get("ssl", "0").lower()
    if flag not in _YES | _NO:
        raise ConfigurationError("ssl in the broker URL must be 1 or 0")
    return options | {"ssl": flag}


def _check_files(options: dict[str, str], *, tls: bool) -> None:
    """Check that the certificate files of a URL will be used."""
    given = [name for name in _FILES if options.get(name)]
    if given and not tls:
        raise ConfigurationError(f"{given[0]} in the broker URL needs TLS: use amqps://")
    if "keyfile" in given and "certfile" not in given:
        raise ConfigurationError("keyfile in the broker URL needs the certificate of the key: add certfile")


def _heartbeat(value: str | None) -> int:
    if value is None:
        return HEARTBEAT
    if re.fullmatch("[0-9]{1,4}", value) and 1 <= int(value) <= 3600:
        return int(value)
    raise ConfigurationError("heartbeat in the broker URL is a number of seconds from 1 to 3600")


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine: `localhost`, or a loopback address."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _address(host: str) -> IPv4Address | IPv6Address | None:
    import ipaddress  # not needed by offline commands

    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
