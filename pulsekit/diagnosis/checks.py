"""Checks that find out why a connection to Pulse fails, from the configuration to a working consumer.

The results can be published: they contain no password, and no paths except those of configuration files.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import re
import secrets
import ssl
import struct
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING
from urllib.parse import quote as percent_encoded

from pulsekit._amqp.addresses import connect, resolve
from pulsekit._amqp.queue_properties import delivery_limit
from pulsekit._amqp.types import PROTOCOL_HEADER
from pulsekit.bindings.names import check_exchange, check_user, owner
from pulsekit.errors import (
    AccessRefused,
    ConfigurationError,
    ConnectTimeout,
    InsecureConnection,
    InvalidInput,
    LoginRefused,
    NotFound,
    PreconditionFailed,
    PulsekitError,
    Unreachable,
    VirtualHostRefused,
)
from pulsekit.publisher.receipts import PublishTimeout
from pulsekit.pulse import Pulse
from pulsekit.queues.operations import try_queue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pulsekit._amqp.broker import Broker
    from pulsekit._config.settings import Settings

__all__ = ["CHECKS", "TIMEOUT", "CheckResult", "Status", "run_checks"]

TIMEOUT = 10.0  # seconds for one check

_MOST_FRAME = 1 << 20  # bytes of a connection.start; that of RabbitMQ has a few hundred
_SITE = "https://pulseguardian.mozilla.org"
_PULSE = "pulse.mozilla.org"
_CONFIRM_TIMEOUT = 3.0  # seconds; a broker with an alarm answers the first message at once (connection.blocked)
_QUOTING = "in a password, write / @ : as %2F %40 %3A"
_CONFIGURATION = re.compile(r"(?:pulsekit/config|pulsekit)\.yml\Z")
_PATH = re.compile(r"(?<![\w/:.*~])~?/[^\s'\":;,)/][^\s'\":;,)]*")
_HOST = re.compile(r"(?<= for )\S+(?=: put it into PULSE_URL)")  # without a user or a password for it
_FOUND_MOST = 80  # characters of product and version of a server


class Status(enum.StrEnum):
    """The status of a check."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        check: the name of the check, one of `CHECKS`.
        status: the status.
        detail: what the check found, or why it was skipped.
        hint: what to do if the check failed; otherwise empty.
        seconds: the duration.
        error: the error if the check failed; otherwise None.
    """

    check: str
    status: Status
    detail: str
    hint: str = ""
    seconds: float = 0.0
    error: PulsekitError | None = field(default=None, compare=False, repr=False)


class _FailedError(Exception):
    """Raised by a check that failed, with its error and a hint."""

    def __init__(self, error: PulsekitError, hint: str, detail: str = "") -> None:
        self.error = error
        self.hint = hint
        self.detail = detail or str(error)


class _NotAskedForError(Exception):
    """Raised by a check that does not apply, with the reason."""


@dataclass(slots=True)
class _Case:
    """The findings of the previous checks, for the next checks."""

    find: Callable[[], tuple[Settings, Broker]]
    exchange: str | None
    timeout: float
    resources: AsyncExitStack
    live: bool = False
    publishes: bool = False  # whether the configuration names the exchange for publishing
    hosts: list[tuple[str, int]] = field(default_factory=list)
    addresses: set[str] = field(default_factory=set)
    host: str = ""
    refusal: VirtualHostRefused | None = None
    # Set by the checks `configuration`, `tcp` and `login`. Checks that use a value depend on the check that sets it.
    broker: Broker = field(init=False)
    stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] = field(init=False)
    pulse: Pulse = field(init=False)

    @property
    def own(self) -> bool:
        return self.exchange is not None and owner(self.exchange) == self.broker.user


async def run_checks(
    find: Callable[[], tuple[Settings, Broker]],
    *,
    exchange: str | None = None,
    timeout: float = TIMEOUT,
    live: bool = False,
    on_finding: Callable[[CheckResult], None] | None = None,
) -> tuple[CheckResult, ...]:
    """Run every check, except checks that depend on a failed check.

    The checks create an exchange without queues, and publish two messages to it. They delete the exchange and the
    queues that they create. A `PulsekitError` is returned as a result, and not raised.

    Args:
        find: returns the settings and the broker.
        exchange: the exchange to check, instead of the configured one.
        timeout: seconds for each check.
        live: create and publish nothing. In the results, replace the user, the addresses, and the hosts other than
            Pulse's, so that the results can be published.
        on_finding: called after each check.
    """
    findings: dict[str, CheckResult] = {}
    async with AsyncExitStack() as resources:
        case = _Case(find, exchange, timeout, resources, live)
        for name, (needs, check) in _CHECKS.items():
            failed = next((need for need in needs if findings[need].status is not Status.OK), None)
            if failed is not None:
                finding = CheckResult(name, Status.SKIPPED, f"needs {failed}")
            else:
                finding = await _run(name, check, case)
            findings[name] = finding
            if on_finding is not None:
                on_finding(finding)
    return tuple(findings.values())


async def _run(name: str, check: Callable[[_Case], Awaitable[str]], case: _Case) -> CheckResult:
    loop = asyncio.get_running_loop()
    began = loop.time()
    error: PulsekitError | None = None
    hint = ""
    try:
        status, detail = Status.OK, await check(case)
    except _NotAskedForError as reason:
        status, detail = Status.SKIPPED, str(reason)
    except _FailedError as failed:
        status, detail, hint, error = Status.FAILED, failed.detail, failed.hint, failed.error
    except PulsekitError as caught:
        status, detail, error = Status.FAILED, str(caught), caught
        hint = "try again; if it fails again, report a bug with these lines"
    detail, hint = (_redacted(_without_paths(text), case) for text in (detail, hint))
    return CheckResult(name, status, detail, hint, loop.time() - began, error)


# the checks, in order


async def _software(_: _Case) -> str:
    import platform
    from importlib.metadata import version

    from pulsekit import __version__

    python = ".".join(map(str, sys.version_info[:3]))
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aio-pika", "aiormq"))
    return f"pulsekit {__version__}, Python {python}, {libraries}, {platform.system()} {platform.machine()}"


async def _configuration(case: _Case) -> str:
    try:
        settings, case.broker = case.find()
    except InsecureConnection as error:
        words = "the password would be sent in clear text to another machine" if case.live else ""
        raise _FailedError(error, "write amqps:// instead of amqp://, and the TLS port, usually 5671", words) from error
    except ConfigurationError as error:
        hint = f"set PULSE_URL=amqps://USER:PASSWORD@HOST/, or correct the login or file above; {_QUOTING}"
        raise _FailedError(error, hint) from error
    except InvalidInput as error:
        raise _FailedError(ConfigurationError(str(error)), "correct the configuration at this position") from error
    if case.exchange is None and settings.exchange:
        case.exchange, case.publishes = settings.exchange, True
    source = f"; exchange, schema and registrations from {settings.source}" if settings.source else ""
    return f"{case.broker}{source}"


async def _names(case: _Case) -> str:
    user = case.broker.user
    try:
        check_user(user)
    except ConfigurationError as error:
        raise _FailedError(error, f"use the user name that PulseGuardian shows: {_SITE}") from error
    if case.exchange is None:
        return f"user {user}, who owns exchange/{user}/… and queue/{user}/…"
    try:
        check_exchange(case.exchange, user)
    except ConfigurationError as error:
        raise _FailedError(error, "use the form exchange/<user>/<name>") from error
    if case.own:
        return f"user {user}, exchange {case.exchange}"
    theirs = owner(case.exchange)
    if case.publishes:
        words = f"{case.exchange} belongs to {theirs}; {user} may publish only to exchange/{user}/…"
        hint = f"set `exchange` to one of exchange/{user}/…, or log in as {theirs}"
        raise _FailedError(ConfigurationError(words), hint)
    return f"user {user}; {case.exchange} belongs to {theirs}: {user} may consume from it, but not publish"


async def _dns(case: _Case) -> str:
    known, unknown = [], []
    for host, port in case.broker.hosts:
        try:
            async with asyncio.timeout(case.timeout):
                found = await resolve(host, port)
        except (OSError, UnicodeError):  # gaierror and TimeoutError; a name that IDNA cannot encode
            unknown.append(host)
            continue
        case.hosts.append((host, port))
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        case.addresses.update(addresses)
        known.append(f"{host} is an address" if addresses == [host] else f"{host} is {', '.join(addresses)}")
    if not known:
        error = Unreachable(f"DNS has no address for {', '.join(unknown)}")
        raise _FailedError(error, "check the spelling of the host, the network of this machine, and its VPN")
    return "; ".join([*known, *(f"DNS has no address for {host}" for host in unknown)])


async def _tcp(case: _Case) -> str:
    failures: list[str] = []
    error: Unreachable | ConnectTimeout = Unreachable("no host was tried")
    for host, port in case.hosts:
        try:
            async with asyncio.timeout(case.timeout):
                case.stream = await asyncio.open_connection(sock=await connect(await resolve(host, port)))
        except TimeoutError:
            error = ConnectTimeout(f"{host}:{port} did not answer within {case.timeout:g} s")
        except OSError as refused:
            error = Unreachable(f"{host}:{port}: {_words(refused)}")
        else:
            case.resources.callback(case.stream[1].transport.abort)
            case.host = host
            return "; ".join([f"connected to {host}:{port}", *failures])
        failures.append(str(error))
    silent = isinstance(error, ConnectTimeout)
    hint = "a firewall may block the port" if silent else "check the port, and that the broker is running"
    raise _FailedError(error, f"{hint}: TLS is usually on 5671, clear text on 5672", "; ".join(failures))


async def _tls(case: _Case) -> str:
    try:
        context = case.broker.ssl_context()
    except ConfigurationError as error:
        failure: PulsekitError = ConfigurationError("the certificate files of the broker URL cannot be used")
        raise _FailedError(failure, "check that cafile, certfile and keyfile name readable PEM files") from error
    if context is None:
        here = "which stays on this machine" if case.broker.loopback else "as --insecure allows"
        return f"not used: clear text, {here}"
    _, writer = case.stream
    try:
        async with asyncio.timeout(case.timeout):
            await writer.start_tls(context, server_hostname=case.host.removesuffix("."))  # as in `Transport`
    except ssl.SSLCertVerificationError as error:
        failure = Unreachable(f"the certificate of {case.host} is not trusted: {error.verify_message}")
        raise _FailedError(failure, _certificate_hint(error)) from error
    except (OSError, EOFError) as error:  # TimeoutError and SSLError are OSErrors
        failure = Unreachable(f"the TLS handshake failed: {_words(error)}")
        if isinstance(error, TimeoutError):
            failure = ConnectTimeout(f"no TLS handshake within {case.timeout:g} s")
        raise _FailedError(failure, "use the TLS port, usually 5671, or amqp:// for clear text") from error
    end = ssl.cert_time_to_seconds(str((writer.get_extra_info("peercert") or {})["notAfter"]))
    days = (end - datetime.now(UTC).timestamp()) / 86400
    return f"{writer.get_extra_info('cipher')[1]}, certificate valid for {days:.0f} days"


async def _amqp(case: _Case) -> str:
    reader, writer = case.stream
    hint = "check the port: on Pulse it is 5671, with amqps://"
    try:
        async with asyncio.timeout(case.timeout):
            writer.write(PROTOCOL_HEADER)
            head = await reader.readexactly(7)
            kind, channel, size = struct.unpack(">BHI", head)
            if (kind, channel) != (1, 0) or size > _MOST_FRAME:
                raise _FailedError(Unreachable("the server does not use AMQP 0-9-1"), hint)
            frame = head + await reader.readexactly(size + 1)
    except (OSError, EOFError) as error:  # TimeoutError is also an OSError
        failure: PulsekitError = Unreachable("the server closed the connection after the AMQP 0-9-1 header")
        if isinstance(error, TimeoutError):
            failure = ConnectTimeout(f"the server did not answer within {case.timeout:g} s")
        more = hint if case.broker.tls else "if this is a TLS port, use amqps://"
        raise _FailedError(failure, more) from error
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(case.timeout):
                await writer.wait_closed()
    return _server(frame, hint)


def _server(frame: bytes, hint: str) -> str:
    """Return product and version of the server in a connection.start frame."""
    import pamqp.commands
    import pamqp.exceptions
    import pamqp.frame

    try:
        start = pamqp.frame.unmarshal(frame)[2]
    except (pamqp.exceptions.PAMQPException, ValueError, LookupError, struct.error):
        start = None
    if not isinstance(start, pamqp.commands.Connection.Start):
        raise _FailedError(Unreachable("the server does not use AMQP 0-9-1"), hint)
    properties = start.server_properties or {}
    named = " ".join(str(properties[key]) for key in ("product", "version") if key in properties)
    return (named or "a server that does not send its name")[:_FOUND_MOST]


async def _login(case: _Case) -> str:
    case.pulse = await case.resources.enter_async_context(Pulse(case.broker, timeout=case.timeout))
    try:
        await case.pulse.link()
    except VirtualHostRefused as error:
        case.refusal = error
    except LoginRefused as error:
        hint = f"check the user name and the password at {_SITE}; {_QUOTING}"
        raise _FailedError(error, hint, f"the broker refused the login of {case.broker.user!r}") from error
    return f"as {case.broker.user}"


async def _virtual_host(case: _Case) -> str:
    name = case.broker.virtual_host
    if case.refusal is not None:
        hint = "Pulse has '/', for a URL that ends with /, and 'communitytc': amqps://…@pulse.mozilla.org/communitytc"
        words = f"the virtual host {name!r} does not exist, or {case.broker.user!r} has no access to it"
        raise _FailedError(case.refusal, hint, words)
    return repr(name)


async def _permissions(case: _Case) -> str:
    _check_writable(case)
    try:
        await try_queue(case.pulse)
    except AccessRefused as error:
        user = case.broker.user
        hint = f"check that {user} is a user of PulseGuardian, which grants this permission: {_SITE}"
        words = f"{user} has no permission to create queue/{user}/…"
        raise _FailedError(error, hint, words) from error
    return f"created and deleted a queue of {case.broker.user}"


async def _publishing(case: _Case) -> str:
    _check_writable(case)
    name = f"exchange/{case.broker.user}/pulsekit-doctor-{secrets.token_hex(8)}"
    try:
        async with Pulse(case.broker, timeout=case.timeout) as pulse:  # with an alarm, a broker stops reading it
            publisher = pulse.publisher(name, timeout=min(case.timeout, _CONFIRM_TIMEOUT))
            for _ in range(2):  # a broker may report its alarm after the first message
                await publisher.publish({}, "pulsekit.doctor")
    except PublishTimeout as error:
        if "blocks publishers" not in error.receipt.detail:
            raise _FailedError(error, "try again; the broker may be overloaded", error.receipt.detail) from error
        words = error.receipt.detail.partition("; ")[2]
        hint = "wait, or ask the administrator of the broker: an alarm for memory or disk space stops all publishers"
        raise _FailedError(error, hint, words) from error
    finally:
        await case.pulse.delete_exchange(name)
    return "the broker confirms messages, so it has no alarm for memory or disk space"


async def _queue_types(case: _Case) -> str:
    _check_writable(case)
    try:
        await try_queue(case.pulse, quorum=True)
    except PulsekitError as error:
        return f"classic; a quorum queue is refused: {error}"
    limit = delivery_limit({"x-queue-type": "quorum"}, (await case.pulse.link()).server)
    returned = "no limit" if limit is None else f"a limit of {limit}, after which the broker removes the message"
    return f"classic and quorum; by default, a quorum queue returns a message with {returned}"


async def _exchange(case: _Case) -> str:
    name = case.exchange
    if name is None:
        raise _NotAskedForError("no exchange is configured: add --exchange NAME")
    if not await case.pulse.exchange_exists(name):
        hint = f"check the spelling and the virtual host, or ask {owner(name)} to create it"
        if case.own:
            hint = f"run 'pulsekit exchange create {quote(name)}'"
        raise _FailedError(NotFound(f"{name} does not exist", code=404), hint)
    if not case.own:
        return f"{name} exists"
    if case.live:
        return f"{name} exists; its properties were not compared"
    try:
        await case.pulse.create_exchange(name)  # the exchange exists, so that the broker only compares its properties
    except PreconditionFailed as error:
        hint = f"run 'pulsekit exchange delete {quote(name)}', then 'pulsekit exchange create {quote(name)}'"
        raise _FailedError(error, hint, f"{name} is not a durable topic exchange, as Pulse requires") from error
    return f"{name} exists, durable and of type topic"


async def _listening(case: _Case) -> str:
    _check_writable(case)
    async with case.pulse.subscribe(f"{case.exchange}:pulsekit.doctor.{secrets.token_hex(4)}"):
        return f"bound a queue to {case.exchange} and deleted it"


_CHECKS: dict[str, tuple[tuple[str, ...], Callable[[_Case], Awaitable[str]]]] = {
    "software": ((), _software),
    "configuration": ((), _configuration),
    "names": (("configuration",), _names),
    "dns": (("configuration",), _dns),
    "tcp": (("dns",), _tcp),
    "tls": (("tcp",), _tls),
    "amqp": (("tls",), _amqp),
    "login": (("amqp",), _login),
    "virtual host": (("login",), _virtual_host),
    "permissions": (("virtual host",), _permissions),
    "publishing": (("permissions",), _publishing),
    "queue types": (("permissions",), _queue_types),
    "exchange": (("names", "virtual host"), _exchange),
    "listening": (("permissions", "exchange"), _listening),
}
CHECKS = tuple(_CHECKS)


def _check_writable(case: _Case) -> None:
    if case.live:
        raise _NotAskedForError("would create something: run doctor without --live")


def _redacted(text: str, case: _Case) -> str:
    """Replace the user, the addresses and the hosts other than Pulse's, if the results will be published."""
    broker: Broker | None = getattr(case, "broker", None)
    if not case.live:
        return text
    if broker is None:
        return _HOST.sub("<host>", text)
    hosts = {host for host, _ in broker.hosts} - {_PULSE}
    users = {broker.user, percent_encoded(broker.user, safe="")}
    for words, shown in ((hosts, "<host>"), (case.addresses, "<address>"), (users, "<user>")):
        for word in words:
            text = re.sub(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", shown, text)
    return text


def _certificate_hint(error: ssl.SSLCertVerificationError) -> str:
    words = error.verify_message.lower()
    if "mismatch" in words or "not valid for" in words:
        return "use the host name of the certificate; on Pulse it is pulse.mozilla.org"
    if "expired" in words or "not yet valid" in words:
        return "check the clock of this machine; if it is right, the broker needs a new certificate"
    return "add ?cafile=FILE with the certificate of the authority to the URL, or let this machine trust the authority"


def _words(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not TLS").replace("_", " ").lower()
    return getattr(error, "strerror", None) or type(error).__name__


def _without_paths(text: str) -> str:
    """Remove the paths of this machine from a text, except the names of configuration files."""
    with contextlib.suppress(OSError, RuntimeError):  # the folder was deleted, or the user has no home
        folders = {Path.home(), Path.cwd(), *Path.cwd().parents} - {Path("/")}
        for folder in sorted(map(str, folders), key=len, reverse=True):
            text = text.replace(f"{folder}/", "/")
    return _PATH.sub(lambda path: f"…/{name[0]}" if (name := _CONFIGURATION.search(path[0])) else "<path>", text)
