"""Find the broker that the options name, connect, and run the asynchronous part of a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.output.output import flush_in_time, note, warn
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from types import FrameType

    from pulsekit._amqp.broker import Broker
    from pulsekit._config.settings import Settings
    from pulsekit.pulse import Pulse

__all__ = ["connect", "connect_to", "locate", "run"]

_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
_LARGE = 128 * 1024  # bytes; less than the parts in which large messages are read and written


def connect(settings: Settings, url: str | None, *, insecure: bool, virtual_host: str | None = None) -> Pulse:
    """Return an unopened connection to the broker of `locate`. If given, `virtual_host` replaces its virtual host."""
    from dataclasses import replace

    from pulsekit.pulse import Pulse

    broker = locate(settings, url, insecure=insecure)
    if virtual_host is not None and virtual_host != broker.virtual_host:
        note(f"the link is of the virtual host {virtual_host!r}: using it instead of {broker.virtual_host!r}")
        broker = replace(broker, virtual_host=virtual_host)
    return Pulse(broker)


def connect_to(name: str, check: Callable[[str, str | None], object], url: str | None, *, insecure: bool) -> Pulse:
    """Return an unopened connection for a command on one exchange or queue.

    Args:
        name: the name of the exchange or queue.
        check: raises InvalidName, with a suggestion for the user, if the name breaks a rule of Pulse.
        url: the flag `--url`.
        insecure: the flag `--insecure`.
    """
    from pulsekit._config.settings import load_settings

    pulse = connect(load_settings(), url, insecure=insecure)
    check(name, pulse.user)
    return pulse


def locate(settings: Settings, url: str | None, *, insecure: bool) -> Broker:
    """Return the broker of the flags, the environment or the configuration.

    If there is none, and this is not a CI machine, return a running sandbox of this machine and print a note.

    Args:
        settings: the environment and the configuration.
        url: the flag `--url`.
        insecure: the flag `--insecure`.

    Raises:
        ConfigurationError: Raised when no broker is configured, or when `--url` contains a password, which all users
            of the machine can read.
    """
    from pulsekit._amqp.broker import parse_url

    if url is not None and ":" in url.partition("://")[2].rpartition("@")[0] and not parse_url(url).loopback:
        raise ConfigurationError("all users of this machine can read a password in --url: set PULSE_PASSWORD instead")
    from pulsekit._config.local_sandbox import default_sandbox

    sandbox = default_sandbox(settings) if url is None else None
    broker = sandbox or settings.broker(url, insecure=insecure)
    if sandbox is not None:
        note(f"no broker is configured: using the sandbox on this machine, as {sandbox.user!r}")
    if settings.overridden:
        note(f"--login {settings.login}: not using {', '.join(settings.overridden)} of the environment")
    for words in (*settings.unknown_variables, *settings.warnings):
        warn(words)
    return broker


def run(work: Coroutine[Any, Any, int], *, signals: Iterable[int] = ()) -> int:
    """Run the asynchronous part of a command and return its exit code.

    Args:
        work: the coroutine. The first Ctrl-C cancels it, so that it can clean up. The second Ctrl-C exits the process.
        signals: signals that cancel the coroutine like Ctrl-C. The process then kills itself with the signal, so that
            the parent process sees the signal as the reason.
    """
    import asyncio  # help and completion do not need asyncio
    import signal

    from pulsekit.cli.output.logs import print_warnings

    print_warnings()
    _return_large_blocks()
    caught: list[int] = []

    async def main() -> int:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def end(number: int) -> None:
            caught.append(number)
            loop.remove_signal_handler(number)
            task.cancel()

        for number in signals:
            if signal.getsignal(number) is not signal.SIG_IGN:  # a signal that nohup ignores stays ignored
                loop.add_signal_handler(number, end, number)
        with _exits_on_second_signal():
            return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        if not caught:
            raise
        flush_in_time()
        signal.raise_signal(caught[0])
        raise


def _return_large_blocks() -> None:
    """Make glibc return each large block of memory to the system as soon as it is free.

    By default, glibc raises the size from which it does so to 32 MiB when the first large block is free (mallopt(3)).
    Blocks below that size leave holes, which a later message may not fit into. Every large message, and every part of
    one that a thread writes to a file, then needs more memory.
    """
    if sys.platform == "linux":
        import ctypes

        with suppress(AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


@contextmanager
def _exits_on_second_signal() -> Iterator[None]:
    """Within the block, exit the process on the second Ctrl-C.

    Otherwise, Python would raise KeyboardInterrupt in the running code, and then log every pending task.
    """
    import signal

    usual = signal.getsignal(signal.SIGINT)  # the handler of the event loop, which cancels the main task
    if not callable(usual) or usual is signal.default_int_handler:  # ignored, or the loop is not in the main thread
        yield
        return
    first = True

    def interrupted(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if not first:
            if "rich.live" in sys.modules and sys.stderr is not None and sys.stderr.isatty():
                os.write(sys.stderr.fileno(), b"\x1b[?25h")  # show the cursor, which rich may have hidden
            os._exit(ExitCode.INTERRUPTED)
        first = False
        usual(number, frame)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
