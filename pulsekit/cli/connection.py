"""From options to a broker: find it, connect, and run the asynchronous part of a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.output.output import note
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from types import FrameType

    from pulsekit._amqp.broker import Broker
    from pulsekit._config.settings import Settings
    from pulsekit.pulse import Pulse

__all__ = ["connect", "connect_to", "locate", "run"]

_PATIENCE = 2.0  # seconds for the rest of the output, when a signal has ended the work


def connect(settings: Settings, url: str | None, *, insecure: bool, exchange: str | None = None) -> Pulse:
    """Prepare the connection to the broker of `locate`."""
    from pulsekit.pulse import Pulse

    return Pulse(locate(settings, url, insecure=insecure, exchange=exchange))


def connect_to(name: str, check: Callable[[str, str | None], object], url: str | None, *, insecure: bool) -> Pulse:
    """Prepare the connection for a command about one exchange or queue.

    Args:
        name: its name.
        check: raises InvalidName, with a suggestion for a user, if Pulse cannot have such a name.
        url: the flag.
        insecure: the flag.
    """
    from pulsekit._config.settings import load_settings

    pulse = connect(load_settings(), url, insecure=insecure, exchange=name)
    check(name, pulse.user)
    return pulse


def locate(settings: Settings, url: str | None, *, insecure: bool, exchange: str | None = None) -> Broker:
    """Return the broker that flags, environment and configuration ask for.

    When they ask for none and this is no CI machine, a sandbox that runs here is used, and that is said.

    Args:
        settings: environment and configuration.
        url: the flag.
        insecure: the flag.
        exchange: what the command is about; its owner logs in on the sandbox.

    Raises:
        ConfigurationError: nothing is configured, or a password stands on the command line, where everybody on the
            machine can read it.
    """
    from pulsekit._amqp.broker import parse_url
    from pulsekit.bindings.names import owner

    if url is not None and ":" in url.partition("://")[2].rpartition("@")[0] and not parse_url(url).loopback:
        raise ConfigurationError(
            "--url with a password can be read by everybody on this machine: put the password into PULSE_PASSWORD"
        )
    if url is None and not settings.names_a_broker and not settings.in_ci:
        from pulsekit._config.discovery import find_sandbox

        sandbox = find_sandbox(owner(exchange or "") or "me")
        if sandbox is not None:
            note(f"no broker is configured: using the sandbox on this machine, as {sandbox.user!r}")
            return sandbox
    return settings.broker(url, insecure=insecure)


def run(work: Coroutine[Any, Any, int], *, signals: Iterable[int] = ()) -> int:
    """Run the asynchronous part of a command and return its exit status.

    Args:
        work: what there is to do. Ctrl-C ends it with time to put things in order; the second one does not wait.
        signals: end the work as Ctrl-C does; then the process dies of the signal, as whoever sent it expects.
    """
    import asyncio  # not for those who ask for help, or complete a line
    import signal
    import threading

    from pulsekit.cli.output.logs import tell_warnings

    tell_warnings()
    caught: list[int] = []

    async def main() -> int:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def end(number: int) -> None:
            caught.append(number)
            loop.remove_signal_handler(number)
            task.cancel()

        for number in signals:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays nohup
                loop.add_signal_handler(number, end, number)
        with _impatience():
            return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        if not caught:
            raise
        if sys.stdout is not None:
            # A terminal that was stopped, or a pipe that nobody reads, must not keep the process from dying.
            flushing = threading.Thread(target=sys.stdout.flush, daemon=True)
            flushing.start()
            flushing.join(_PATIENCE)
        signal.raise_signal(caught[0])
        raise


@contextmanager
def _impatience() -> Iterator[None]:
    """Let the second Ctrl-C end the process there and then.

    Python would raise KeyboardInterrupt in whatever runs at that moment, and then tell of every task left behind.
    """
    import signal

    usual = signal.getsignal(signal.SIGINT)  # of the event loop: it cancels the work
    if not callable(usual) or usual is signal.default_int_handler:  # ignored, or the loop is not in the main thread
        yield
        return
    first = True

    def interrupted(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if not first:
            if "rich.live" in sys.modules and sys.stderr is not None and sys.stderr.isatty():
                os.write(sys.stderr.fileno(), b"\x1b[?25h")  # what draws may have hidden the cursor
            os._exit(ExitCode.INTERRUPTED)
        first = False
        usual(number, frame)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
