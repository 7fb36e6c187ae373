"""`pulsekit help`: explain a topic, a rule of Treeherder, or a command, offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pulsekit._config.file_schema import PROJECT_FILE, USER_FILE, schema_text
from pulsekit.cli.exit_codes import MEANINGS, ExitCode
from pulsekit.cli.output.output import Output
from pulsekit.cli.topics import CONFIG_SCHEMA, RULES, TOPICS
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pulsekit.cli.output.output import Cell
    from pulsekit.treeherder.rule_list import Rule

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit help environment
pulsekit help rules
pulsekit help rules owner-missing
pulsekit help config-schema > pulsekit.schema.json
pulsekit help publish
"""


def command(
    ctx: typer.Context,
    topic: Annotated[str | None, typer.Argument(metavar="[TOPIC]", help="A topic or a command.")] = None,
    part: Annotated[
        str | None, typer.Argument(metavar="[PART]", help="After rules: a rule. After config-schema: config.yml.")
    ] = None,
) -> int:
    """Explain a topic or a command.

    The topics: environment, exit-codes, configuration, config-schema, records, filters, rules. Without TOPIC, list
    the topics.
    """
    out = Output()
    if part is not None and topic not in {RULES, CONFIG_SCHEMA}:
        raise ConfigurationError(f"only the topics {RULES} and {CONFIG_SCHEMA} have parts: remove {part!r}")
    if topic is None:
        out.table([((name, "key"), one.summary) for name, one in TOPICS.items()])
    elif topic == RULES:
        _show_rules(out, part)
    elif topic == CONFIG_SCHEMA:
        _show_schema(out, part or PROJECT_FILE)
    elif topic in TOPICS:
        _show(out, topic)
    else:
        _show_command(ctx, topic)
    return ExitCode.DONE


def _show_schema(out: Output, file: str) -> None:
    if file not in {PROJECT_FILE, USER_FILE}:
        raise ConfigurationError(f"there is no schema of {file!r}; the files are {PROJECT_FILE} and {USER_FILE}")
    for line in schema_text(user=file == USER_FILE).splitlines():
        out.line(line)


def _show(out: Output, topic: str) -> None:
    if topic == "exit-codes":
        out.table([((str(int(code)), "key"), meaning) for code, meaning in MEANINGS.items()])
        return
    for number, part in enumerate(TOPICS[topic].parts):
        if number:
            out.line()
        if isinstance(part, str):
            out.wrapped(part.replace("\n", " "), hang=0)
        else:
            out.table([_cells(row) for row in part])


def _cells(row: tuple[str, ...]) -> tuple[Cell, Cell]:
    """Return two cells: the name, and the meaning with the default or the option in parentheses."""
    name, meaning, *more = row
    return (name, "key"), f"{meaning} ({more[0]})" if more and more[0] else meaning


def _show_rules(out: Output, name: str | None) -> None:
    from pulsekit._documents.suggestions import Guesses
    from pulsekit.cli.output.reports import STYLES
    from pulsekit.treeherder import PUSH_RULES, TASK_RULES
    from pulsekit.treeherder import RULES as JOB_RULES

    if name is None:
        groups: Iterable[tuple[str, tuple[Rule, ...]]] = (
            ("Jobs", JOB_RULES),
            ("Messages about tasks", TASK_RULES),
            ("Messages about pushes", PUSH_RULES),
        )
        width = max(len(one.name) for _, rules in groups for one in rules)
        for number, (title, rules) in enumerate(groups):
            if number:
                out.line()
            out.line((title, "head"))
            rows: list[tuple[Cell, Cell, Cell]] = [
                ((one.name, "key"), (str(one.severity), STYLES[one.severity]), _plain(one.about)) for one in rules
            ]
            out.table(rows, least=(width, len("cosmetic")))
        return
    known = {one.name: one for one in (*JOB_RULES, *TASK_RULES, *PUSH_RULES)}
    found = known.get(name)
    if found is None:
        guess = Guesses().nearest(name, list(known))
        raise ConfigurationError(
            f"there is no rule {name!r}; " + (f"did you mean {guess!r}?" if guess else "see 'pulsekit help rules'")
        )
    out.line((found.name, "head"), "  ", (str(found.severity), STYLES[found.severity]))
    out.wrapped(_plain(found.about), hang=0)
    out.wrapped(f"To correct it: {_plain(found.hint)}.", hang=0)


def _plain(text: str) -> str:
    """Return the text without Markdown's marks of code."""
    return text.replace("`", "")


def _show_command(ctx: typer.Context, name: str) -> None:
    from pulsekit._documents.suggestions import Guesses

    assert ctx.parent is not None
    root = ctx.parent.command
    names = root.list_commands(ctx.parent)  # type: ignore[attr-defined] # the root is a group
    if name not in names:
        guess = Guesses().nearest(name, [*TOPICS, *names])
        hint = f"did you mean {guess!r}?" if guess else f"the topics are {', '.join(TOPICS)}"
        raise ConfigurationError(f"there is no topic and no command {name!r}; {hint}")
    root.main(args=[name, "--help"], prog_name="pulsekit", standalone_mode=False)
