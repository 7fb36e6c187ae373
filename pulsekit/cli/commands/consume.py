"""`pulsekit consume`: run a handler on the messages of a queue, as a service."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from contextlib import AsyncExitStack, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pulsekit._documents.suggestions import counted
from pulsekit.cli.connection import connect, run
from pulsekit.cli.exit_codes import ExitCode, report
from pulsekit.cli.options import (
    CountOption,
    FieldOption,
    InsecureOption,
    QueueOption,
    QueueType,
    QueueTypeOption,
    RouteOption,
    UrlOption,
    duration,
)
from pulsekit.cli.output.output import note, quote
from pulsekit.errors import ConfigurationError, HandlerFailed

if TYPE_CHECKING:
    from types import FrameType

    from pulsekit.consume.worker import Worker
    from pulsekit.consume.workers import Workers
    from pulsekit.consumer.policy import Policy
    from pulsekit.consumer.queue_options import Queue
    from pulsekit.messages import Message
    from pulsekit.pulse import Pulse

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit consume listener:on_task task-failed --queue failed --retries 3
pulsekit consume hg:run hgpushes --queue hg --dead-letter exchange/me/dead
pulsekit consume listener:workers --http 9100
pulsekit consume listener:on_task task-failed --queue failed --drain
pulsekit consume listener.py:on_task --from tasks.ndjson
"""

_SECOND = 1.0  # seconds until the first retry
_PACKAGE = Path(__file__).parents[2]


class Order(StrEnum):
    """The orders in which messages are handled."""

    STRICT = "strict"
    ANY = "any"


class Ack(StrEnum):
    """When a message is acknowledged: after the handler, or before it."""

    AFTER = "after"
    BEFORE = "before"


def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:OBJECT",
            help="A handler, a pulsekit.Worker, or a list of workers, in a module or in FILE.py.",
        ),
    ],
    listen: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EXCHANGE[:PATTERN]]...", help="Exchanges to bind the queue to. 'exchange list' shows short names."
        ),
    ] = None,
    fields: FieldOption = None,
    routes: RouteOption = None,
    queue: QueueOption = None,
    existing: Annotated[
        bool, typer.Option("--existing", help="Use --queue only if it exists, and never create it.")
    ] = False,
    queue_type: QueueTypeOption = None,
    order: Annotated[
        Order | None,
        typer.Option(help="Handle one message after the other, or several at once. [default: strict; with -c, any]"),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option("-c", "--concurrency", min=1, metavar="N", help="Handle N messages at once. [default: 1]"),
    ] = None,
    ack: Annotated[
        Ack | None, typer.Option(help="Acknowledge after the handler, or before it. [default: after]")
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Handle a failed message again, up to N times. [default: no retries]"),
    ] = None,
    delay: Annotated[
        float | None,
        duration("--delay", help="Time before the first retry, doubled before each further retry. [default: 1s]"),
    ] = None,
    dead_letter: Annotated[
        str | None, typer.Option(metavar="EXCHANGE", help="Your exchange for messages whose handler failed.")
    ] = None,
    count: CountOption = None,
    length: Annotated[float | None, duration("--for", help="Stop after DURATION.")] = None,
    drain: Annotated[bool, typer.Option("--drain", help="Stop when the queue is empty.")] = False,
    port: Annotated[
        int | None,
        typer.Option("--http", min=0, max=65535, metavar="PORT", help="Serve /live, /ready and /metrics on 127.0.0.1."),
    ] = None,
    recording: Annotated[
        str | None, typer.Option("--from", metavar="RECORDING", help="Handle recorded messages, without a broker.")
    ] = None,
    app_dir: Annotated[
        str | None,
        typer.Option("--app-dir", metavar="FOLDER", help="Folder of the module. [default: the current folder]"),
    ] = None,
    shutdown_timeout: Annotated[
        float | None,
        duration("--shutdown-timeout", help="Time for handlers to finish when the command stops. [default: 25s]"),
    ] = None,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Run a handler on the messages of a queue.

    The handler is a function or an `async def` with one parameter, the message; a class, of which one instance is
    created and called with each message; or a context manager that yields the handler. A function runs in a thread.
    Only the handler writes to stdout.

    --queue creates a durable queue. Without --queue, the queue is private, and is deleted when the command stops.

    A message is acknowledged when its handler returns. If the handler raises an exception, the message returns to the
    queue, and the command stops with exit code 1. With --retries, the message is handled again, and the command stops
    after the last attempt. With --dead-letter, the broker routes the message to EXCHANGE instead, and the command
    continues. To decide about its message, a handler can raise pulsekit.Reject, pulsekit.Retry or pulsekit.Stop(code).

    SIGTERM and the first Ctrl-C let each handler finish its message. The second Ctrl-C stops at once. Several processes
    can share one --queue. If the queue is deleted, the exit code is 5.

    A pulsekit.Worker has its own bindings, queue and policy, so the options for bindings, queue and policy cannot be
    combined with a pulsekit.Worker.
    """
    from pulsekit._config.settings import load_settings, login_name
    from pulsekit.cli.commands.tail.bindings import read_arguments
    from pulsekit.cli.commands.tail.command import virtual_host
    from pulsekit.cli.input.exchanges import warn_of_mistakes
    from pulsekit.consume.loading import load
    from pulsekit.consume.worker import Worker
    from pulsekit.consume.workers import SHUTDOWN_TIMEOUT, Workers

    own = {
        "EXCHANGE": listen, "--field": fields, "--route": routes, "--queue": queue, "--existing": existing,
        "--queue-type": queue_type, "--order": order, "--concurrency": concurrency, "--ack": ack, "--retries": retries,
        "--delay": delay, "--dead-letter": dead_letter,
    }  # fmt: skip
    given = [name for name, value in own.items() if value]
    if recording is not None and (drain or url or login_name.get()):
        raise ConfigurationError(
            "--from reads a recording until its end, and needs no broker: remove --drain, --url and --login"
        )
    loaded = load(target, app_dir or ".")
    pulse = None
    if recording is None:
        pulse = connect(load_settings(), url, insecure=insecure, virtual_host=virtual_host(listen or ()))
    user = None if pulse is None else pulse.user
    if isinstance(loaded, list):
        workers: list[Worker] = loaded
        if given:
            raise ConfigurationError(f"{target} has its own queue and policy: remove {', '.join(given)}")
    else:
        bindings = read_arguments(listen or (), None, fields, routes, user)
        warn_of_mistakes(bindings)
        if pulse is not None and not bindings and not existing:
            raise ConfigurationError(
                f"no EXCHANGE: add one, as in 'pulsekit consume {target} exchange/me/v1/jobs', or use --existing"
            )
        worker = Worker(
            loaded,
            bindings,
            None if user is None else _queue(queue, queue_type, dead_letter, user, existing=existing),
            _policy(retries, delay, dead_letter, ack),
            concurrency=concurrency or 1,
            order=None if order is None else order.value,
            ack="after" if ack is None else ack.value,
        )
        workers = [worker]
    # If nohup or a shell in the background ignores a signal, keep it ignored.
    signals = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) is not signal.SIG_IGN]
    running = Workers(
        workers,
        count=count,
        duration=length,
        drain=drain,
        shutdown_timeout=shutdown_timeout or SHUTDOWN_TIMEOUT,
        signals=signals,
        on_ready=lambda name, source: note(f"{name} consumes {source}"),
        on_failure=_print_failure,
    )
    return run(_run(running, pulse, recording, port))


async def _run(workers: Workers, pulse: Pulse | None, recording: str | None, port: int | None) -> int:
    from pulsekit.consume.health import serve_health
    from pulsekit.consumer.policy import Stop

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _stop_at_once)  # `workers.run` handles the first one, then restores this
    try:
        async with AsyncExitStack() as stack:
            if port is not None:
                site = await stack.enter_async_context(serve_health(workers, port))
                note(f"health and metrics: {site}/live, {site}/ready, {site}/metrics")
            source = recording if pulse is None else await stack.enter_async_context(pulse)
            assert source is not None
            received = await workers.run(source)
    except Stop as error:
        note(str(error))
        return error.code if error.code in range(256) else ExitCode.NEGATIVE
    except HandlerFailed as error:
        if error.__cause__ is not None and not any(one.failed for one in workers.workers):
            _print_traceback(error.__cause__)  # the error of the function that makes the handler
        if any(one.hangs for one in workers.workers):  # closing the event loop would wait for the handler
            with suppress(OSError, AttributeError):  # stdout may be closed
                sys.stdout.flush()
            os._exit(report(error))
        raise
    finally:
        handled, failed = (sum(getattr(one, name) for one in workers.workers) for name in ("succeeded", "failed"))
        note(f"{counted(handled, 'message')} handled, {failed:,} failed")
    if any(worker.rejected for worker in workers.workers):
        return ExitCode.PARTLY
    return ExitCode.INTERRUPTED if received is signal.SIGINT else ExitCode.DONE


def _stop_at_once(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the parameters of a signal handler
    os._exit(ExitCode.INTERRUPTED)


def _print_failure(name: str, message: Message, error: Exception) -> None:
    from pulsekit.consumer.policy import Reject, Retry

    if not isinstance(error, Reject | Retry):
        note(f"{name} failed to handle {message}:")
        _print_traceback(error)


def _print_traceback(error: BaseException) -> None:
    """Print a traceback without the frames of pulsekit above the user's code."""
    trace = error.__traceback__
    while trace is not None and Path(trace.tb_frame.f_code.co_filename).is_relative_to(_PACKAGE):
        trace = trace.tb_next
    quote("".join(traceback.format_exception(type(error), error, trace)))


def _policy(retries: int | None, delay: float | None, dead_letter: str | None, ack: Ack | None) -> Policy:
    from pulsekit.consumer.policy import OnFailure, Policy

    if ack is Ack.BEFORE and (retries or dead_letter):
        raise ConfigurationError(
            "with --ack before, a message is not in the queue any more when its handler fails: remove --retries and "
            "--dead-letter"
        )
    if delay is not None and retries is None:
        raise ConfigurationError("--delay is the time before a retry: add --retries")
    last = OnFailure.RAISE if dead_letter is None else OnFailure.REJECT
    if retries is None:
        return Policy(failure=last)
    return Policy(failure=OnFailure.REQUEUE, limit=retries, delay=delay or _SECOND, growth=2, exhausted=last)


def _queue(
    name: str | None, queue_type: QueueType | None, dead_letter: str | None, user: str, *, existing: bool
) -> Queue | None:
    from pulsekit.bindings.names import check_exchange, check_queue, queue_name
    from pulsekit.consumer.queue_options import Queue

    if name is None:
        if existing or queue_type is not None or dead_letter is not None:
            raise ConfigurationError("--existing, --queue-type and --dead-letter describe a --queue: add --queue NAME")
        return None
    return Queue(
        check_queue(name, user) if name.startswith("queue/") else queue_name(user, name),
        type=None if queue_type is None else queue_type.value,
        dead_letters=None if dead_letter is None else check_exchange(dead_letter, user),
        existing=existing,
    )
