"""The help of a command or a topic as a page: for `man` when a wheel is built, and for the site.

`read_manual` reads what `pulsekit COMMAND --help` and `pulsekit help TOPIC` print; `roff` and `markdown` write it. The
text has paragraphs, lists of terms and lines of examples, separated by empty lines, such as

    Usage: pulsekit match [OPTIONS] KEY

      Show which bindings match.

      Examples:
        pulsekit match a.b

    Options:
      -b, --binding PATTERN         Binding pattern, such as 'a.#'
                                    (repeatable).

A term is separated from its description by two spaces, or by a new line if the term is long.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["Manual", "Section", "escaped", "manual_pages", "markdown", "read_manual", "roff"]

_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|$~{}^&])")
_OPTION = re.compile(r"(?<![\w-])-{1,2}[a-zA-Z][a-z-]*")


class Section(NamedTuple):
    """A part of a page: its title or an empty text, and a paragraph, terms with descriptions, or lines of code."""

    title: str
    paragraph: str = ""
    terms: tuple[tuple[str, str], ...] = ()
    code: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manual:
    """The help of a command, such as `queue show`, or of a topic, such as `records`.

    Attributes:
        name: the words after `pulsekit`. Empty for the program itself.
        topic: whether this is a topic and no command.
        usage: the line of usage. Empty for a topic.
        summary: the first paragraph of a command, and the title of a topic.
        sections: all other parts, in their order.
    """

    name: str
    topic: bool
    usage: str
    summary: str
    sections: tuple[Section, ...]

    @property
    def page(self) -> str:
        """The name of the page for `man`, such as `pulsekit-queue-show`."""
        return "-".join(("pulsekit", *self.name.split()))

    @property
    def number(self) -> int:
        """The section of the manual: 1 for commands, 7 for topics."""
        return 7 if self.topic else 1


def read_manual(name: str, text: str, *, topic: str = "") -> Manual:
    """Return the page of a help text.

    Args:
        name: the words of the command after `pulsekit`, or the topic.
        text: the output of the program.
        topic: the title of a topic. Without it, the text is the help of a command.
    """
    parts = [_section(part.splitlines()) for part in re.split(r"\n\s*\n", text.strip("\n")) if part.strip()]
    if topic:
        return Manual(name, topic=True, usage="", summary=topic, sections=tuple(parts))
    usage = parts[0].paragraph.removeprefix("Usage: ")
    sections = sorted(parts[2:], key=lambda part: part.title != "")  # the examples are before the paragraphs
    return Manual(name, topic=False, usage=usage, summary=parts[1].paragraph, sections=tuple(sections))


def _section(lines: Sequence[str]) -> Section:
    title, rest = lines[0].strip(), lines[1:]
    if title == "Examples:":
        return Section("Examples", code=tuple(line.strip() for line in rest))
    if re.fullmatch(r"\w+:", lines[0]):
        return Section(title[:-1], terms=tuple(_terms(rest)))
    rows = [re.split(r"  +", line.strip()) for line in lines]
    if all(len(row) > 1 for row in rows[1:]) and (len(rows) > 1 or len(rows[0]) > 1):  # the table of a topic
        head = "" if len(rows[0]) > 1 else title
        table = [(f"{name} ({more[0]})" if len(more) > 1 else name, more[-1]) for name, *more in rows if more]
        return Section(head, terms=tuple(table))
    return Section("", paragraph=_joined(lines))


def _terms(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    entries: list[list[str]] = []
    for line in lines:
        if line.startswith("   "):
            entries[-1].append(line)
        else:
            entries.append(re.split(r"  +", line.strip(), maxsplit=1))
    for term, *description in entries:
        yield term, _joined(description)


def _joined(lines: Sequence[str]) -> str:
    """Undo the wrapping of lines, which also breaks a word after its hyphen."""
    text = ""
    for line in map(str.strip, lines):
        text += line if not text or re.search(r"[\w-]-$", text) else f" {line}"
    return re.sub(r"  +", " ", text)


def roff(manual: Manual, *, version: str, others: Sequence[Manual]) -> str:
    """Return the source of the page for `man`. `others` are all pages, for the section SEE ALSO."""
    title = manual.page.upper()
    lines = [f'.TH "{_quoted(title)}" {manual.number} "" "pulsekit {version}" "pulsekit"', ".ad l", ".nh", ".SH NAME"]
    lines.append(f"{_quoted(manual.page)} \\- {_quoted(manual.summary.rstrip('.'))}")
    if manual.usage:
        command = " ".join(("pulsekit", *manual.name.split()))
        lines += [".SH SYNOPSIS", f"\\fB{command}\\fR{_quoted(manual.usage.removeprefix(command))}"]
    lines += [".SH DESCRIPTION", _quoted(manual.summary)]
    for section in sorted(manual.sections, key=lambda part: part.title == "Examples"):
        lines += [".SH " + section.title.upper()] if section.title else []
        lines += [".PP", _quoted(section.paragraph)] if section.paragraph else []
        lines += [".in 4", ".nf", *map(_quoted, section.code), ".fi", ".in"] if section.code else []
        for term, description in section.terms:
            lines += [".TP", _bold(term), _quoted(description)]
    related = [f"\\fB{_quoted(other.page)}\\fR({other.number})" for other in others if _related(manual, other)]
    return "\n".join([*lines, ".SH SEE ALSO", ", ".join(related), ""])


def _related(manual: Manual, other: Manual) -> bool:
    """Return whether a page refers to another. It refers to its parent and subcommands. The program refers to all."""
    mine, theirs = manual.name.split(), other.name.split()
    if other == manual:
        return False
    if not mine:
        return other.topic or len(theirs) == 1
    return theirs == mine[:-1] or theirs[:-1] == mine or (not theirs and not other.topic) or other.name == "exit-codes"


def _quoted(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    text = text.replace("^", "\\(ha").replace("~", "\\(ti").replace("…", "\\&...")
    return f"\\&{text}" if text.startswith(".") else text


def _bold(term: str) -> str:
    """Set the names of options in bold, or the whole term if it has none."""
    words = _OPTION.findall(term)
    return "".join(
        f"\\fB{_quoted(part)}\\fR" if part in words or not words else _quoted(part)
        for part in re.split(f"({_OPTION.pattern})", term)
        if part
    )


def markdown(manual: Manual) -> str:
    """Return the source of the page for the site."""
    command = " ".join(("pulsekit", *manual.name.split()))
    lines = [f"# {manual.summary.rstrip('.') if manual.topic else command}", ""]
    if not manual.topic:
        usage = f"```text\n{manual.usage}\n```"
        lines += [escaped(manual.summary), "", usage, "", f"```{{program}} {command}", "```", ""]
    for section in manual.sections:
        lines += [f"## {section.title}", ""] if section.title else []
        lines += [escaped(section.paragraph), ""] if section.paragraph else []
        lines += ["```sh", *section.code, "```", ""] if section.code else []
        for term, description in section.terms:
            if section.title == "Options":
                lines += [f"```{{option}} {term}", escaped(description), "```", ""]
            else:
                is_command = not manual.topic and section.title != "Arguments"
                name = f"[{term}]({manual.page}-{term}.md)" if is_command else f"`` {term} ``"
                lines += [name, f": {escaped(description)}", ""]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Return the source of Markdown for a text."""
    return _MARKDOWN.sub(r"\\\1", text)


def manual_pages(helps: Path, version: str) -> dict[str, str]:
    """Return the source of each page for `man` by its name, such as `pulsekit-tail.1`.

    Args:
        helps: a folder with the help of each command and topic.
        version: the version of pulsekit.
    """
    from pulsekit.cli.topics import TOPICS

    manuals = []
    for path in sorted(helps.glob("*.txt")):
        name = path.stem.removeprefix("pulsekit").strip("-").replace("-", " ")
        topic = path.stem.removeprefix("pulsekit-help-")
        title = TOPICS[topic].summary if topic in TOPICS else ""
        manuals.append(read_manual(topic if title else name, path.read_text(encoding="utf-8"), topic=title))
    return {f"{one.page}.{one.number}": roff(one, version=version, others=manuals) for one in manuals}
