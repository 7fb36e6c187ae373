"""`pulsekit sandbox`: run a Pulse broker on this machine, until Ctrl-C or during a command."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import secrets
import signal
import sys
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pulsekit._config.local_sandbox import SANDBOX_PORT, login_at
from pulsekit._documents.suggestions import counted
from pulsekit.bindings.names import check_exchange, check_user
from pulsekit.cli.connection import run
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.input.tasks import IngestOption, RepositoriesOption, TaskOption, load_repositories, load_tasks
from pulsekit.cli.options import RegistrationOption, repeatable, seconds, user_option
from pulsekit.cli.output.output import Output, note, warn
from pulsekit.errors import ConfigurationError, DocumentError
from pulsekit.sandbox.model.users import ADMINISTRATOR, DEFAULT_USER

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulsekit.bindings.registration import Binding, Registration
    from pulsekit.publisher.encoder import Draft
    from pulsekit.publisher.publisher import Publisher
    from pulsekit.sandbox import Event, Sandbox
    from pulsekit.stand_in import JobOutcome, TreeherderStandIn

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit sandbox
pulsekit sandbox -v --registration registration.json
pulsekit sandbox --port 0 -- pytest
pulsekit sandbox --fault latency=200ms --fault drop=10s
"""

_SETTLED = 0.3  # seconds without a new binding, after which all consumers of the seed are assumed to be bound


def command(
    argv: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- COMMAND...]", help="Run COMMAND with the sandbox as its broker, and exit with its exit code."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="Port; 0 for a free one.")] = SANDBOX_PORT,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Listen on ADDRESS. If ADDRESS is not loopback, add --password-file.")
    ] = "127.0.0.1",
    password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Read the password of all users, including guest, from FILE."),
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Allow only the users in this YAML file, as name: password."),
    ] = None,
    user: Annotated[str | None, user_option("me, or the first user of --users")] = None,
    registration: RegistrationOption = None,
    treeherder: Annotated[
        bool, typer.Option("--treeherder", help="Bind as Treeherder for tasks and pushes, and judge the messages.")
    ] = False,
    task: TaskOption = None,
    repositories: RepositoriesOption = None,
    ingest: IngestOption = None,
    seed: Annotated[
        str | None,
        typer.Option(metavar="RECORDING", help="Publish RECORDING when a queue is bound to its exchange."),
    ] = None,
    faults: Annotated[
        list[str] | None,
        repeatable("--fault", metavar="FAULT", help="Cause a fault: latency=D, drop=D (every D), refuse or blocked."),
    ] = None,
    warn_limit: Annotated[
        int, typer.Option("--warn", min=0, metavar="N", help="Warn about a queue with more than N messages.")
    ] = 2000,
    delete_limit: Annotated[
        int, typer.Option("--delete", min=0, metavar="N", help="Delete a queue with more than N messages.")
    ] = 8000,
    rabbitmq: Annotated[
        int, typer.Option(min=3, max=4, metavar="3|4", help="Answer as RabbitMQ 3.10 or as RabbitMQ 4.0.")
    ] = 3,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Print one line for each event.")] = False,
) -> int:
    """Run a Pulse broker on this machine: a real AMQP broker in memory, with PulseGuardian's rules.

    The first line of the output is PULSE_URL=..., with the login of --user. If no broker is configured, commands in
    other terminals also use this login. The line does not contain a password that the sandbox has read from a file, but
    the variable PULSE_URL of COMMAND does.

    The sandbox accepts every user name with every password. Each user has the permissions that PulseGuardian gives. The
    user guest with the password guest has all permissions. The sandbox is for experiments, tests and CI: when it stops,
    all messages are lost.

    With --registration, the sandbox binds a queue as Treeherder would, and prints what Treeherder would do with each
    job. With --treeherder, the sandbox does the same for Taskcluster's messages and for pushes. --task names a file
    with the definitions of the tasks, and --repositories a file with the repositories of this Treeherder.
    """
    from pulsekit.cli.input.registrations import registrations_from
    from pulsekit.sandbox import GuardianLimits, Sandbox

    if warn_limit > delete_limit:
        raise ConfigurationError(
            f"--warn {warn_limit:,} is above --delete {delete_limit:,}: PulseGuardian warns before it deletes a queue"
        )
    registrations = [*registrations_from(*registration or ())]
    judging = None
    if treeherder or registrations:
        from pulsekit.stand_in import TREEHERDER_BINDINGS, TreeherderStandIn
        from pulsekit.treeherder.context import Context

        registrations += TREEHERDER_BINDINGS if treeherder else ()
        known = Context(repositories=load_repositories(repositories), ingested=ingest)
        judging = partial(TreeherderStandIn, context=known, tasks=load_tasks(task))
    elif task or repositories or ingest:
        raise ConfigurationError("--task, --repositories and --ingest need --treeherder or --registration")
    watch = _Watch()
    recorded = _read_seed(seed) if seed else {}
    logins = _read_users(users) if users else None
    user = _chosen_user(user, logins)
    if logins is not None:
        _add_internal_users(logins, registrations, recorded)
    sandbox = Sandbox(
        host=host,
        port=port,
        password=_first_line(password_file) if password_file else None,
        users=logins,
        default_user=user,
        rabbitmq=4 if rabbitmq == 4 else 3,
        guardian=GuardianLimits(warn=warn_limit, delete=delete_limit),
        on_event=watch.print_event if verbose else None,
        on_change=watch.on_change,
    )
    private = password_file is not None or users is not None
    return run(
        _host(
            sandbox,
            watch,
            _Faults.parse(faults or []),
            registrations,
            judging,
            recorded,
            user,
            argv or [],
            private=private,
        )
    )


async def _host(
    sandbox: Sandbox,
    watch: _Watch,
    faults: _Faults,
    registrations: list[Registration | Binding],
    judging: Callable[..., TreeherderStandIn] | None,
    recorded: dict[str, list[Draft]],
    user: str,
    argv: list[str],
    *,
    private: bool,
) -> int:
    from pulsekit.bindings.names import owner
    from pulsekit.pulse import Pulse

    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(sandbox)
        except OSError as error:
            hint = "; add --port 0 to use a free port" if error.errno in {errno.EADDRINUSE, errno.EACCES} else ""
            raise ConfigurationError(
                f"cannot listen on {sandbox.host}:{sandbox.port}: {error.strerror}{hint}"
            ) from error
        for exchange, drafts in recorded.items():
            pulse = await stack.enter_async_context(Pulse(login_at(sandbox, owner(exchange) or user)))
            watch.seeds[exchange] = seeds = _Seed(pulse.publisher(exchange), drafts)
            await seeds.publisher.open()
        if judging is not None:
            standin = judging(lambda name: login_at(sandbox, name), registrations, _print_outcome)
            await stack.enter_async_context(standin)
            note(f"treeherder is bound with {', '.join(map(str, standin.bindings))}")
        stack.enter_context(faults.injected(sandbox))
        url = sandbox.url(user)
        shown = re.sub(r"(?<=://)([^:/]*):[^@]*", r"\1", url) if private else url
        print(f"PULSE_URL={shown}", flush=True)  # noqa: T201 - programs that wait for it may use all exchanges
        if private:
            note("PULSE_URL is printed without the password: set PULSE_PASSWORD to the password")
        if argv:
            return await _around(argv, url)
        if sys.stderr is not None and sys.stderr.isatty():
            found = not private and (sandbox.host, sandbox.port) == ("127.0.0.1", SANDBOX_PORT)
            used = "commands on this machine use it if no broker is configured; " if found else ""
            note(f"the sandbox is ready: {used}Ctrl-C stops it, and all messages are lost")
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        await ended.wait()
    return ExitCode.DONE


async def _around(argv: list[str], url: str) -> int:
    """Run a command with `PULSE_URL` set, and return its exit code as a shell would. Forward SIGTERM to the command."""
    process: asyncio.subprocess.Process | None = None
    terminated = False

    def terminate() -> None:
        nonlocal terminated
        terminated = True
        if process is not None and process.returncode is None:
            process.terminate()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    try:
        process = await asyncio.create_subprocess_exec(*argv, env={**os.environ, "PULSE_URL": url})
    except OSError as error:
        raise ConfigurationError(f"cannot run {argv[0]}: {error.strerror}") from error
    if terminated:  # before the command was started
        process.terminate()
    try:
        status = await process.wait()
    except asyncio.CancelledError:  # the command also received Ctrl-C, and can clean up
        await process.wait()
        raise
    return status if status >= 0 else 128 - status


def _print_outcome(outcome: JobOutcome) -> None:
    message = outcome.message
    where = f"{message.exchange} {message.routing_key!r}"
    if outcome.reason:
        warn(f"treeherder: {outcome.verdict.outcome} {where}: {outcome.reason}")
    else:
        note(f"treeherder: {outcome.verdict.outcome} {where}")


class _Seed:
    """A recording to publish once, after a queue is bound to its exchange. Earlier, the broker would discard it."""

    def __init__(self, publisher: Publisher, drafts: list[Draft]) -> None:
        self.publisher = publisher
        self._drafts = drafts
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def wanted(self) -> None:
        """Start or restart the timer that publishes the recording when no new binding follows."""
        if self._task is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_SETTLED, self._begin)

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._publish())

    async def _publish(self) -> None:
        sent = 0
        async for receipt in self.publisher.publish_many(self._drafts):
            sent += receipt.outcome == "confirmed"
        note(f"published {counted(sent, 'recorded message')} to {self.publisher.exchange}")


class _Watch:
    """The handlers of the sandbox's events."""

    def __init__(self) -> None:
        self.seeds: dict[str, _Seed] = {}
        self._shown = Output(live=True)

    def on_change(self, event: Event) -> None:
        """Print an action of the guardian. If a queue is bound to an exchange with a seed, trigger the seed."""
        if event.kind.startswith("guardian-"):
            verb = "warned the owner of" if event.kind == "guardian-warned" else "deleted"
            warn(f"PulseGuardian {verb} {event.queue}: {event.detail}")
        elif event.kind == "bound" and event.exchange in self.seeds:
            self.seeds[event.exchange].wanted()

    def print_event(self, event: Event) -> None:
        """Print one line for an event."""
        detail = "" if event.detail == event.kind else event.detail
        parts = (event.kind, event.user, event.exchange, event.queue, event.routing_key, detail)
        self._shown.wrapped("  ".join(part for part in parts if part))


@dataclass(frozen=True, slots=True)
class _Faults:
    """The faults to inject."""

    latency: float = 0.0
    drop: float = 0.0
    refuse: bool = False
    blocked: bool = False

    @classmethod
    def parse(cls, texts: list[str]) -> _Faults:
        values: dict[str, float | bool] = {}
        for text in texts:
            name, _, value = text.partition("=")
            if name in {"latency", "drop"} and value:
                try:
                    values[name] = seconds(value)
                except typer.BadParameter as error:
                    raise ConfigurationError(f"--fault {text}: {error.message}") from None
            elif name in {"refuse", "blocked"} and not value:
                values[name] = True
            else:
                raise ConfigurationError(f"--fault {text}: use latency=200ms, drop=10s, refuse or blocked")
        return cls(**values)  # type: ignore[arg-type] # each name has its own type

    def injected(self, sandbox: Sandbox) -> _Injection:
        return _Injection(self, sandbox)


class _Injection:
    """A context that injects the faults."""

    def __init__(self, faults: _Faults, sandbox: Sandbox) -> None:
        self._faults = faults
        self._sandbox = sandbox
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._sandbox.latency = self._faults.latency
        self._sandbox.refusing = self._faults.refuse
        if self._faults.blocked:
            self._sandbox.block("--fault blocked")
        self._again()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _again(self) -> None:
        if self._faults.drop:
            self._timer = asyncio.get_running_loop().call_later(self._faults.drop, self._drop)

    def _drop(self) -> None:
        note(f"closed {counted(self._sandbox.cut(), 'connection')}")
        self._again()


def _chosen_user(user: str | None, logins: dict[str, str] | None) -> str:
    """Return the user of PULSE_URL: that of `--user`, else the first user who may log in.

    Raises:
        ConfigurationError: Raised when the user of `--user` may not log in.
        InvalidName: Raised when PulseGuardian cannot create a user with that name.
    """
    if user is None:
        return next(iter(logins), ADMINISTRATOR) if logins is not None else DEFAULT_USER
    if logins is None:
        return check_user(user)
    if user not in logins and user != ADMINISTRATOR:
        raise ConfigurationError(
            f"--user {user}: the file of --users does not have this user; add it to the file, or name another user"
        )
    return user


def _add_internal_users(
    logins: dict[str, str], registrations: list[Registration | Binding], recorded: dict[str, list[Draft]]
) -> None:
    """Add random passwords for Treeherder and the owners of exchanges, with which only the sandbox can log in."""
    from pulsekit.bindings.names import owner
    from pulsekit.stand_in import USER

    names = [owner(exchange) for exchange in (*(each.exchange for each in registrations), *recorded)]
    for name in (*names, USER if registrations else None):
        if name not in {None, ADMINISTRATOR}:  # guest already has a password
            logins.setdefault(name, secrets.token_urlsafe())


def _read_seed(name: str) -> dict[str, list[Draft]]:
    """Return the messages of a recording by exchange."""
    from pulsekit.publisher.encoder import DELIVERY_OPTIONS, Draft
    from pulsekit.recordings.reader import read_recording
    from pulsekit.records.record import Record

    found: defaultdict[str, list[Draft]] = defaultdict(list)
    for entry in read_recording(name):
        if isinstance(entry, Record):
            found[check_exchange(entry.exchange)].append(Draft.from_record(entry, keep=DELIVERY_OPTIONS))
    if not found:
        raise ConfigurationError(f"--seed {name}: the file contains no recorded message")
    return dict(found)


def _read_users(path: Path) -> dict[str, str]:
    from pulsekit._documents.document import parse_yaml

    wanted = "write a mapping of user names to passwords, with quotes"
    try:
        value = parse_yaml(path.read_bytes(), source=str(path)).value
    except DocumentError as error:  # the message of the error may quote a password
        raise ConfigurationError(f"{path}:{error.line or 1}: {wanted}") from None
    if not isinstance(value, dict) or not all(isinstance(password, str) for password in value.values()):
        raise ConfigurationError(f"{path}: {wanted}")
    return {name: str(password) for name, password in value.items()}


def _first_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: the password is not UTF-8") from None
    if not lines or not lines[0]:
        raise ConfigurationError(f"{path}: the first line contains no password")
    return lines[0]
