"""The group of all commands, which loads each command on its first call, and the layout of the help."""

from __future__ import annotations

import gc
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.output.theme import paint

__all__ = ["Command", "Group", "run"]

# Name, module, and summary in `pulsekit --help`, so that listing and completing commands imports no module. A module
# has `command`, a function or a Typer application, and `EXAMPLES`, the example lines in its help and in the help of
# its subcommands.
_COMMANDS = {
    "publish": ("pulsekit.cli.commands.publish.command", "Validate jobs, then publish them with confirms."),
    "run": ("pulsekit.cli.commands.run", "Run a command, and report it to Treeherder as a job."),
    "replay": ("pulsekit.cli.commands.replay", "Publish a recording, at the original speed or another."),
    "tail": ("pulsekit.cli.commands.tail.command", "Show the messages of an exchange as they arrive."),
    "inspector": ("pulsekit.cli.commands.inspector", "Show messages in the browser, live or from a recording."),
    "consume": ("pulsekit.cli.commands.consume", "Run a handler on the messages of a queue."),
    "queue": ("pulsekit.cli.commands.queue.command", "Show, peek, take, purge or delete your queues."),
    "validate": ("pulsekit.cli.commands.validate", "Check jobs against Treeherder's schema and rules."),
    "preview": ("pulsekit.cli.commands.preview", "Show jobs as Treeherder would store and draw them."),
    "match": ("pulsekit.cli.commands.match", "Show which bindings match a routing key, and why others do not."),
    "bindings": ("pulsekit.cli.commands.bindings", "Expand registrations into bindings, or compare registrations."),
    "hook": ("pulsekit.cli.commands.hook", "Show which tasks a Taskcluster hook would create."),
    "why": ("pulsekit.cli.commands.why", "Find out why a task is not on Treeherder."),
    "exchange": ("pulsekit.cli.commands.exchange", "Show known exchanges; create, check or delete an exchange."),
    "register": ("pulsekit.cli.commands.register.command", "Check a registration, and write the bug that requests it."),
    "doctor": ("pulsekit.cli.commands.doctor", "Check each step of a connection, with hints."),
    "completion": ("pulsekit.cli.commands.completion", "Print a completion script for your shell."),
    "help": ("pulsekit.cli.commands.help", "Explain a topic, a rule, or a command."),
    "demo": ("pulsekit.cli.commands.demo", "Publish and consume a job on this machine, step by step."),
    "init": ("pulsekit.cli.commands.init", "Write pulsekit.yml and job.yml to start from."),
    "sandbox": ("pulsekit.cli.commands.sandbox", "Run a Pulse broker on this machine."),
}
# The headings of `pulsekit --help`, with the first command of each.
_HEADINGS = {"publish": "Publish", "tail": "Watch", "validate": "Predict", "exchange": "Operate", "demo": "Try"}
_EXAMPLES = """\
pulsekit match treeherder.mozilla-inbound._
pulsekit validate job.yml
pulsekit tail 'exchange/me/v1/jobs:treeherder.#'
"""
_HEADING = re.compile(
    r"^ *(Usage|Examples|Arguments|Options|Commands|Publish|Watch|Predict|Operate|Try):", re.MULTILINE
)


class Command(TyperCommand):
    """A command whose help has coloured headings on a terminal."""

    def get_help(self, ctx: Any) -> str:
        """Return the help, with colours if stdout is a terminal."""
        return _set_off(super().get_help(ctx))


class Group(TyperGroup):
    """A group of commands whose help has coloured headings on a terminal."""

    def get_help(self, ctx: Any) -> str:
        """Return the help, with colours if stdout is a terminal."""
        return _set_off(super().get_help(ctx))


class _Root(Group):
    """The group of all commands. If stdout is a closed pipe, the exit code is CLOSED_PIPE instead of typer's 1."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        with _closed_pipe_exits():
            return super().make_context(*args, **extra)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands in the order of the groups."""
        del ctx
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands in groups."""
        del ctx
        groups: dict[str, list[tuple[str, str]]] = {}
        heading = ""
        width = max(map(len, self.commands))
        for name, command in self.commands.items():
            heading = _HEADINGS.get(name, heading)
            groups.setdefault(heading, []).append((name.ljust(width), command.short_help or ""))
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, ctx: Any) -> Any:
        with _closed_pipe_exits():
            return super().invoke(ctx)


class _Lazy(Command):
    """A placeholder, which imports the module of a command when the user calls the command."""

    def __init__(self, name: str, module: str, summary: str) -> None:
        super().__init__(name, short_help=summary, rich_markup_mode=None)
        self.module = module

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Load the command, and let it parse its arguments."""
        context = self.load().make_context(*args, **extra)
        if not gc.isenabled():  # see `main`
            gc.freeze()
            gc.enable()
        return context

    def load(self) -> Any:
        module = import_module(self.module)
        body: typer.Typer | Callable[..., int | None] = module.command
        if isinstance(body, typer.Typer):
            body.rich_markup_mode = None
            loaded = get_command(body)
            loaded.help = _help(loaded.help or "", module.EXAMPLES)
            for name, inner in getattr(loaded, "commands", {}).items():
                _complete(inner)
                sentence = re.match(r".+?\.(?=\s|$)", inner.help or "", re.DOTALL)
                inner.short_help = " ".join(sentence[0].split()) if sentence else ""  # click truncates help
                own = [line for line in module.EXAMPLES.splitlines() if f" {self.name} {name} " in line]
                inner.help = _help(inner.help or "", "\n".join(own))
            return loaded
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(self.name, cls=Command, help=_help(inspect.getdoc(body) or "", module.EXAMPLES))(_evaluated(body))
        return _complete(get_command(app))


def _evaluated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Evaluate the annotations of a function, which are texts. Typer would evaluate them four times: 2 % of a start."""
    function.__annotations__ = inspect.get_annotations(function, eval_str=True)
    return function


def _complete(command: Any) -> Any:
    """If a command has `--url`, add `--login` after it. Refuse empty values of parameters, all with the same error."""
    from pulsekit.cli.options import ALLOWED_EMPTY, login_option, refuse_empty

    for place, param in enumerate(tuple(command.params), 1):
        if param.name == "url":
            command.params.insert(place, login_option())
        if param.callback is None and param.metavar not in ALLOWED_EMPTY:
            param.callback = refuse_empty
    return command


def run(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. Exceptions of the command propagate.

    Args:
        argv: the arguments without the program's name. The default is the arguments of the process.
    """
    # Plain help instead of typer's boxes: it is readable in 60 columns, and rich would double the start-up time.
    app = typer.Typer(cls=_Root, rich_markup_mode=None, add_completion=False, context_settings=_CONTEXT)
    app.callback(invoke_without_command=True, help=_help(_root.__doc__ or "", _EXAMPLES))(_evaluated(_root))
    root = get_command(app)
    assert isinstance(root, _Root)
    for name, (module, summary) in _COMMANDS.items():
        root.add_command(_Lazy(name, module, summary))
    if shell := os.environ.get("_PULSEKIT_COMPLETE"):
        from pulsekit.cli.completion.suggestions import answer

        answer(root, shell, sys.argv[1:] if argv is None else argv)
        return ExitCode.DONE
    status = root.main(args=argv, prog_name="pulsekit", standalone_mode=False)
    return int(status or ExitCode.DONE)


_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _root(
    ctx: typer.Context,
    config: Annotated[
        str | None, typer.Option(metavar="FILE", help="Read FILE instead of the nearest pulsekit.yml.")
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> int:
    """Publish, consume and check Mozilla Pulse messages for Treeherder."""
    if config is not None:
        from pathlib import Path

        from pulsekit._config.project_file import project_file
        from pulsekit.cli.options import refuse_empty

        refuse_empty(ctx, next(param for param in ctx.command.params if param.name == "config"), config)
        token = project_file.set(Path(config))
        ctx.call_on_close(lambda: project_file.reset(token))
    if version:
        from pulsekit import __version__

        typer.echo(f"pulsekit {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help(), err=True)
        raise typer.Exit(ExitCode.USAGE)
    return ExitCode.DONE


def _help(text: str, examples: str) -> str:
    r"""Insert the examples after the first paragraph. `\b` disables the wrapping of their lines."""
    summary, _, rest = inspect.cleandoc(text).partition("\n\n")
    lines = "\n".join(f"  {line}" for line in examples.strip().splitlines())
    return f"{summary}\n\n\b\nExamples:\n{lines}\n\n{rest}"


def _set_off(text: str) -> str:
    return _HEADING.sub(lambda match: paint(match[0], "head", sys.stdout), text)


@contextmanager
def _closed_pipe_exits() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise typer.Exit(ExitCode.CLOSED_PIPE) from error
