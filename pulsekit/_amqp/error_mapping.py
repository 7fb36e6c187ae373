"""Map the exceptions of aio-pika, aiormq, pamqp and the operating system to those of `pulsekit.errors`.

Other modules catch `FOREIGN` and call `map_error`. They do not name these exception classes.
"""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING

import aio_pika.exceptions
import aiormq.exceptions as amqp
import pamqp.exceptions

from pulsekit._amqp.reply_codes import Close
from pulsekit.errors import (
    BrokerRefused,
    ConnectionLost,
    ConnectTimeout,
    InvalidMessage,
    LoginRefused,
    NetworkError,
    NotFound,
    PulsekitError,
    Unreachable,
    VirtualHostRefused,
    printable,
)

if TYPE_CHECKING:
    from pulsekit._amqp.broker import Broker

__all__ = ["FOREIGN", "map_connect_error", "map_error"]

# The exceptions that an operation of aio-pika or aiormq raises on failure, apart from cancellation.
FOREIGN: tuple[type[Exception], ...] = (
    amqp.AMQPError,
    amqp.ChannelInvalidStateError,
    pamqp.exceptions.PAMQPException,
    OSError,  # includes TimeoutError and ConnectionError
    StopAsyncIteration,  # raised by aiormq's reader if the peer closed the connection before a frame was awaited
)

# The first entry that matches is used, so subclasses precede their base classes.
_PLACES: tuple[tuple[type[BaseException], type[BrokerRefused | NetworkError | InvalidMessage], int | None], ...] = (
    (amqp.ProbableAuthenticationError, LoginRefused, 403),
    (amqp.AuthenticationError, LoginRefused, None),
    (amqp.DuplicateConsumerTag, BrokerRefused, 530),
    (amqp.ChannelClosed, ConnectionLost, None),
    (amqp.AMQPChannelError, ConnectionLost, None),
    (amqp.ConnectionNotAllowed, BrokerRefused, 530),
    (amqp.ConnectionNotImplemented, BrokerRefused, 540),
    (amqp.MethodNotImplemented, BrokerRefused, 540),
    (amqp.ConnectionClosed, ConnectionLost, None),
    (amqp.IncompatibleProtocolError, Unreachable, None),
    (amqp.ProtocolSyntaxError, Unreachable, None),
    (amqp.AMQPConnectionError, ConnectionLost, None),
    (amqp.DeliveryError, BrokerRefused, None),
    (aio_pika.exceptions.QueueEmpty, NotFound, None),
    (aio_pika.exceptions.MessageProcessError, BrokerRefused, None),
    (RuntimeError, ConnectionLost, None),
    (pamqp.exceptions.PAMQPException, InvalidMessage, None),
    (TimeoutError, ConnectTimeout, None),
    (OSError, ConnectionLost, None),
)

# What aiormq raises for channel.close. `reply_codes` decides what each close means.
_CHANNEL_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (amqp.ChannelAccessRefused, 403),
    (amqp.ChannelNotFoundEntity, 404),
    (amqp.ChannelLockedResource, 405),
    (amqp.ChannelPreconditionFailed, 406),
)

_CLIENT_CERTIFICATE = "if it requires a client certificate, set certfile and keyfile in the URL"


def map_error(error: BaseException, doing: str, *, reconnects: bool = False) -> PulsekitError:
    """Return the pulsekit exception for an error of an operation; the caller raises it `from` the error.

    Args:
        error: the exception of an operation on an open connection.
        doing: the operation, such as "declare exchange/me/v1/jobs".
        reconnects: whether the caller continues on the next connection. If True, a closed connection is never final,
            because another user of the connection may have caused the close.
    """
    if isinstance(error, PulsekitError):
        return error
    text = _words(error)
    for closed, reply_code in _CHANNEL_CODES:
        if isinstance(error, closed):
            return Close(reply_code, text).error(doing)
    if reconnects and isinstance(error, amqp.AMQPConnectionError):
        return ConnectionLost(f"cannot {doing}: {text}")
    for theirs, ours, code in _PLACES:
        if isinstance(error, theirs):
            if issubclass(ours, BrokerRefused):
                return ours(f"cannot {doing}: {text}", code=code, text=text)
            if ours is ConnectTimeout:
                return ConnectionLost(f"cannot {doing}: the broker did not answer in time")
            return ours(f"cannot {doing}: {text}")
    return ConnectionLost(f"cannot {doing}: {type(error).__name__}: {text}")


def map_connect_error(
    error: BaseException, broker: Broker, timeout: float, refusal: Close | None = None, foreign: str = ""
) -> PulsekitError:
    """Return the pulsekit exception for an error while connecting.

    Args:
        error: the exception that was raised while the connection was opened.
        broker: the address. The message never contains its password.
        timeout: the timeout in seconds.
        refusal: the connection.close of the broker, or None.
        foreign: the first bytes from the server, if they are not AMQP.
    """
    text = _words(error)
    if foreign:
        return Unreachable(f"cannot connect to {broker}: the server does not speak AMQP 0-9-1: it sent '{foreign}'")
    if isinstance(error, TimeoutError):
        return ConnectTimeout(
            f"{broker} did not answer within {timeout:g} s: check that it is an AMQP broker, and the port "
            f"(TLS is usually on 5671, clear text on 5672)"
        )
    if isinstance(error, amqp.AuthenticationError):
        offered = printable(str(error.args[0] if error.args else "")) or "nothing"
        return LoginRefused(f"{broker} does not offer a login with a password (PLAIN): it offers {offered}")
    if isinstance(error, amqp.ProbableAuthenticationError):
        return LoginRefused(
            f"{broker} refused the login of {broker.user!r}: check user and password", code=403, text=text
        )
    # aiormq raises this for any answer to connection.open except open-ok.
    if isinstance(error, amqp.InvalidFrameError) and "Connection.OpenOk" in text:
        close = refusal or Close(530, "NOT_ALLOWED", (10, 40), of_connection=True)
        if not close.final:  # the broker starts or stops, or has too many clients
            return Unreachable(f"cannot connect to {broker}: it closed the connection: {close}")
        return VirtualHostRefused(
            f"{broker} has no virtual host {broker.virtual_host!r}, or {broker.user!r} may not use it; "
            "on Pulse there are '/' and 'communitytc'",
            code=close.code,
            text=close.text,
        )
    if refusal is not None:
        return Unreachable(f"cannot connect to {broker}: it closed the connection: {refusal}")
    return Unreachable(f"cannot connect to {broker}: {_network_words(error, broker)}")


def _network_words(error: BaseException, broker: Broker) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError) and (
        alert := re.search(r"_ALERT_(\w+)", str(cause))
    ):  # the broker sent a TLS alert
        return f"it refused the TLS handshake ({alert[1].replace('_', ' ').lower()}): {_CLIENT_CERTIFICATE}"
    if isinstance(cause, ssl.SSLError):
        words = "the TLS handshake failed"
        return f"{words}: check that port {broker.port} is a TLS port, or use amqp:// for clear text"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused: check that the broker is running, and the port"
    if isinstance(cause, OSError) and cause.__class__.__name__ == "gaierror":
        return f"the host name {broker.host!r} is not known"
    if isinstance(error, amqp.ProtocolSyntaxError | amqp.IncompatibleProtocolError):
        return "the server does not speak AMQP 0-9-1"
    if isinstance(cause, EOFError | ConnectionError) or isinstance(error, StopAsyncIteration):
        guess = _CLIENT_CERTIFICATE if broker.tls else f"if port {broker.port} expects TLS, use amqps://"
        return f"the connection was closed during the handshake: {guess}"
    return _words(error)


def _words(error: BaseException) -> str:
    """Return the error text of the broker or the operating system, on one line.

    The texts of the exception and of its causes are also changed to one line, for the traceback.
    """
    cause: BaseException | None = error
    seen = set[int]()  # the chain may be a cycle: aiormq raises one exception for several waiting coroutines
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        cause.args = tuple(printable(part) if isinstance(part, str) else part for part in cause.args)
        # Errors of aiormq are OSErrors, too, and their second argument can be of any type.
        if isinstance(cause, OSError) and isinstance(cause.strerror, str):
            cause.strerror = printable(cause.strerror)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, OSError) and error.strerror and isinstance(error.strerror, str):
        return error.strerror
    words = [part for part in error.args if isinstance(part, str)]
    return printable(" ".join(words) if words else str(error) or type(error).__name__)
