"""The completions of a command line: commands, options, and the names in the configuration.

A shell runs this for each TAB, so this module opens no connection, does not wait, runs no command of the user and
prints no message. If the configuration cannot be read, its names are not suggested. A configuration can come from an
untrusted repository, so a name with characters that a terminal or a shell interprets is never suggested.
"""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pulsekit.cli.output.output import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pulsekit._config.settings import Settings
    from pulsekit.bindings.registration import Binding

__all__ = ["answer"]

_Suggestion = tuple[str, str]  # the text to insert, and its description

_MOST = 255  # bytes of a name on Pulse, AMQP 0-9-1 §4.2.5.3
_NOT_PLAIN = re.compile(r"[^\w@%+=:,./-]")  # characters that bash interprets outside of quotes
_INTERPRETED = re.compile(r"[$`\"\\!]")  # characters that bash interprets between double quotes
_QUOTES = "'\""
_CONFIG = "--config"  # the only option before a command that has a value


def answer(root: Any, shell: str, words: Sequence[str]) -> None:
    """Print the completions, one per line, for the scripts of `completion`.

    Args:
        root: the group of all commands.
        shell: bash, zsh or fish. bash passes its line in the environment.
        words: the words before the cursor, without the program's name. The last one is incomplete.
    """
    if shell == "bash":
        words, quote = _split(os.environ.get("_PULSEKIT_LINE", ""))
        words = words[1:] or [""]
    else:
        words, quote = words or [""], ""
        if shell == "fish":  # fish passes the incomplete word as typed
            words = [*words[:-1], _split(words[-1])[0][-1]]
    *given, incomplete = words
    name, equals, value = incomplete.partition("=")
    if equals and name.startswith("--") and "--" not in given:  # --option=value is one word
        prefix, given, typed = f"{name}=", [*given, name], value
    else:
        prefix, typed = "", incomplete
    found = [(f"{prefix}{text}", about) for text, about in _suggestions(root, given, typed) if _is_harmless(text)]
    if shell == "bash":
        # For bash, a new word begins after each of these characters, and only that part is replaced.
        breaks = set(":=").intersection(os.environ.get("_PULSEKIT_BREAKS", ""))
        cut = 0 if quote else max((incomplete.rfind(one) + 1 for one in breaks), default=0)
        lines = [_quoted(text[cut:], quote) for text, _ in found]
    else:
        lines = [f"{text}\t{clean(' '.join(about.split()))}".rstrip() for text, about in found]
    for line in dict.fromkeys(lines):
        typer.echo(line)


def _suggestions(root: Any, given: Sequence[str], typed: str) -> Iterable[_Suggestion]:
    command, context, rest = _command(root, given)
    if context is None:
        return ()
    if rest and rest[-1] == _CONFIG and hasattr(command, "list_commands"):
        return ()  # the shell suggests files
    if hasattr(command, "list_commands") and not typed.startswith("-"):
        commands = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
        return [(name, one.get_short_help_str(limit=200)) for name, one in commands if name.startswith(typed)]
    param = _asked_for(command, context, rest, typed)
    if param is None:
        return _options(command, context, typed) if typed.startswith("-") else ()
    names = _NAMES.get(max(param.opts, key=len))
    if names is None:
        return [(item.value, item.help or "") for item in param.shell_complete(context, typed) if item.type == "plain"]
    already = context.params.get(param.name)
    used = set(already) if isinstance(already, list | tuple) else set()
    every = dict.fromkeys(names(_settings(_config_in(given)), context))
    found = [(name, "") for name in every if name.startswith(typed)]
    return [(name, about) for name, about in found if name not in used and not name.startswith("-")]


def _command(root: Any, given: Sequence[str]) -> tuple[Any, Any, Sequence[str]]:
    """Return the command on the line, its context, and the words after its name."""
    context = root.make_context("pulsekit", [], resilient_parsing=True)
    command, rest = root, list(given)
    while hasattr(command, "list_commands"):
        position = _name_in(rest)
        if position is None:
            return command, context, rest
        name, rest = rest[position], rest[position + 1 :]
        inner = command.get_command(context, name)
        if inner is None:
            return command, None, rest
        # A command that is loaded on its first call creates its own context.
        arguments = [] if hasattr(inner, "list_commands") else rest
        context = inner.make_context(name, list(arguments), parent=context, resilient_parsing=True)
        command = context.command
    return command, context, rest


def _name_in(words: Sequence[str]) -> int | None:
    """Return the index of the name of the command, or None. Options can precede it."""
    skip = False
    for number, word in enumerate(words):
        if not skip and not word.startswith("-"):
            return number
        skip = word == _CONFIG
    return None


def _asked_for(command: Any, context: Any, rest: Sequence[str], typed: str) -> Any:
    """Return the option or argument whose value is at the cursor, or None."""
    params = command.get_params(context)
    options = [param for param in params if param.param_type_name == "option" and not param.is_flag]
    if rest and "--" not in rest:
        for param in options:
            if rest[-1] in (*param.opts, *param.secondary_opts):
                return param
    if typed.startswith("-") and "--" not in rest:
        return None
    arguments = (param for param in params if param.param_type_name == "argument")
    return next((one for one in arguments if one.nargs == -1 or not context.params.get(one.name)), None)


def _config_in(words: Sequence[str]) -> str | None:
    """Return the file that `--config` names before the command, or None."""
    before = words[: _name_in(words)]
    joined = (word.removeprefix(f"{_CONFIG}=") for word in before if word.startswith(f"{_CONFIG}="))
    return next((value for option, value in pairwise(before) if option == _CONFIG), next(joined, None))


def _options(command: Any, context: Any, typed: str) -> Iterable[_Suggestion]:
    for param in command.get_params(context):
        if param.param_type_name != "option" or param.hidden:
            continue
        if context.params.get(param.name) not in (None, False, param.default) and not param.multiple:
            continue  # already on the command line
        long = [name for name in param.opts if name.startswith("--")]
        for name in long or param.opts:
            if name.startswith(typed):
                yield name, param.help or ""


def _settings(config: str | None) -> Settings:
    from pulsekit._config.project_file import project_file
    from pulsekit._config.settings import Settings, load_settings
    from pulsekit.errors import PulsekitError

    token = project_file.set(None if config is None else Path(config))
    try:
        return load_settings()
    except (PulsekitError, ValueError):
        return Settings()
    finally:
        project_file.reset(token)


def _known_exchanges() -> Iterable[str]:
    from pulsekit.catalogue import known_exchanges

    return (known.alias for known in known_exchanges())


def _fields(_: Settings, context: Any) -> Iterable[str]:
    """Return the fields of the exchanges on the command line, each with `=`."""
    from pulsekit.catalogue import find_exchange

    texts = [*context.args]  # of tail and bindings; click leaves arguments here if an option has no value yet
    for name in ("listen", "binding"):
        texts += context.params.get(name) or ()
    found = [known for text in texts if (known := find_exchange(text.partition(":")[0]))]
    return (f"{field.name}=" for known in found for field in known.fields if field.constant is None)


def _exchanges(settings: Settings, _: Any) -> Iterable[str]:
    yield from settings.exchanges
    if settings.user:
        yield f"exchange/{settings.user}/"


def _destinations(settings: Settings, _: Any) -> Iterable[str]:
    yield from settings.destinations
    for target in settings.targets.values():
        yield from target.destinations
    yield from _registered(settings, "destinations")


def _projects(settings: Settings, context: Any) -> Iterable[str]:
    """Return the projects of registrations. For `init`, return them in the form of a job."""
    ending = "._" if context.info_name == "init" else ""
    return (text.removesuffix(ending) for text in _registered(settings, "projects"))


def _registered(settings: Settings, part: str) -> Iterable[str]:
    return (text for one in settings.registrations for text in getattr(one, part, ()))


def _bindings(settings: Settings, context: Any) -> Iterable[str]:
    yield from _exchanges(settings, context)
    if settings.exchange:
        yield from (f"{settings.exchange}:{destination}.#" for destination in settings.destinations)
    yield from map(str, _expanded(settings))


def _patterns(settings: Settings, _: Any) -> Iterable[str]:
    return (one.pattern for one in _expanded(settings))


def _patterns_and_bindings(settings: Settings, context: Any) -> Iterable[str]:
    yield from _patterns(settings, context)
    yield from _bindings(settings, context)


def _keys(settings: Settings, _: Any) -> Iterable[str]:
    """Yield the patterns without wildcards, which are routing keys."""
    return (one.pattern for one in _expanded(settings) if not {"*", "#"} & set(one.pattern.split(".")))


def _expanded(settings: Settings) -> Iterable[Binding]:
    if not settings.registrations:
        return ()
    from pulsekit.bindings.registration import expand
    from pulsekit.errors import PulsekitError

    try:
        return expand(settings.registrations)
    except PulsekitError:
        return ()


def _what_tail_shows(settings: Settings, context: Any) -> Iterable[str]:
    yield from _bindings(settings, context)
    yield from _known_exchanges()


def _queues_or_exchanges(settings: Settings, context: Any) -> Iterable[str]:
    """Return the completions of NAME for `queue` and `exchange`. Names of queues are only known to the broker."""
    if (context.parent.info_name, context.info_name) == ("exchange", "show"):
        return _known_exchanges()
    return _queues(settings) if context.parent.info_name == "queue" else _exchanges(settings, context)


def _queues(settings: Settings) -> Iterable[str]:
    from pulsekit.bindings.names import owner

    user = settings.user or owner(settings.exchange or "")
    return [f"queue/{user}/"] if user else []


def _schemas(_: Settings, context: Any) -> Iterable[str]:
    from pulsekit.schemas.schema import schema_names

    return (*schema_names(), "auto") if context.info_name == "tail" else schema_names()


def _rules(*_: Any) -> Iterable[str]:
    from pulsekit.treeherder.rule_list import RULES

    return [rule.name for rule in RULES]


def _topics(_: Settings, context: Any) -> Iterable[str]:
    from pulsekit.cli.topics import TOPICS

    return (*TOPICS, *context.parent.command.list_commands(context.parent))


def _parts_of_topic(settings: Settings, context: Any) -> Iterable[str]:
    from pulsekit._config.file_schema import PROJECT_FILE, USER_FILE
    from pulsekit.cli.topics import CONFIG_SCHEMA, RULES

    topic = context.params.get("topic")
    return _rules(settings, context) if topic == RULES else (PROJECT_FILE, USER_FILE) if topic == CONFIG_SCHEMA else ()


def _hooks(_: Settings, context: Any) -> Iterable[str]:
    from pulsekit.errors import PulsekitError
    from pulsekit.hooks.hook import read_hooks

    path = Path(context.params.get("file") or next(iter(context.args), ""))  # see `_fields`
    try:
        return [hook.name for hook in read_hooks(path)] if path.is_file() else ()  # reading a named pipe would block
    except (OSError, PulsekitError):
        return ()


def _users(settings: Settings, _: Any) -> Iterable[str]:
    return [settings.user] if settings.user else []


# Keys are the long name of an option or the name of an argument. For other parameters, the values of the type are
# suggested, or the shell suggests files.
_NAMES: dict[str, Callable[[Settings, Any], Iterable[str]]] = {
    "--binding": _patterns_and_bindings,
    "--destination": _destinations,
    "--exchange": _exchanges,
    "--field": _fields,
    "--hook": _hooks,
    "--lint-off": _rules,
    "--login": lambda settings, _: settings.logins,
    "--project": _projects,
    "--routing-key": _keys,
    "--schema": _schemas,
    "--staging-destination": _destinations,
    "--staging-exchange": _exchanges,
    "--staging-project": _projects,
    "--user": _users,
    "keys": _keys,
    "listen": _what_tail_shows,
    "name": _queues_or_exchanges,
    "part": _parts_of_topic,
    "topic": _topics,
}


def _is_harmless(text: str) -> bool:
    spaces = {" "}.union(filter(str.isspace, text))
    return len(text.encode(errors="replace")) <= _MOST and clean(text) == text and spaces == {" "}


def _split(line: str) -> tuple[list[str], str]:
    """Split bash's line up to the cursor into words. Return the words, and the quote that is open at the end.

    The last word is incomplete. After a space, it is empty.
    """
    words, word, quote, escaped = [""], "", "", False
    for character in line:
        if escaped:
            word, escaped = word + character, False
        elif character == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character in _QUOTES:
            quote = character
        elif character.isspace():
            if word:
                words[-1:] = [word, ""]
            word = ""
        else:
            word += character
    words[-1] = word
    return words, quote


def _quoted(text: str, quote: str) -> str:
    """Escape a text for bash, inside or outside of an open quote.

    After an open quote, bash adds the closing quote, unless the text seems to end with it.
    """
    if quote == "'":
        escaped = text.replace("'", r"'\''")
    else:
        escaped = (_INTERPRETED if quote else _NOT_PLAIN).sub(r"\\\g<0>", text)
        if quote:
            escaped = escaped.replace(r"\!", r'"\!"')  # between double quotes, bash keeps the backslash of \!
    return escaped + quote if quote and escaped.endswith(quote) else escaped
