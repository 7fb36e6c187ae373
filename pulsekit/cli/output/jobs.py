"""A drawing of jobs in the layout of Treeherder: pushes, platforms, groups and symbols, and the details of one job."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.rule import Rule
from rich.text import Text

from pulsekit.cli.output.output import clean, console
from pulsekit.cli.output.theme import STATUSES, status_style
from pulsekit.treeherder.job_fields import job_fields, job_head, job_links
from pulsekit.treeherder.rule_checks import STATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["JobDrawing", "PreviewedJob"]

_SHORT = 12  # characters of a revision
_INDENT = "  "
_LEAST_HEAD = 16  # minimum number of columns for the head of a row, even on a narrow terminal


@dataclass(frozen=True, slots=True)
class PreviewedJob:
    """One job to draw.

    Attributes:
        project: the project of the job.
        form: the job as Treeherder stores it, a result of `pulsekit.treeherder.preview_job`.
        variant: the number of the state, if several states of a task are drawn side by side. Otherwise 0.
    """

    project: str
    form: dict[str, Any]
    variant: int = 0

    @property
    def job(self) -> dict[str, Any]:
        """The fields of the job."""
        job: dict[str, Any] = self.form["job"]
        return job

    @property
    def status(self) -> str:
        """The status, see `job_head`."""
        return clean(job_head(self.job).status)

    @property
    def symbol(self) -> str:
        """The symbol, see `job_head`."""
        return clean(job_head(self.job).symbol)

    @property
    def group(self) -> str:
        """The symbol of the group, see `job_head`."""
        return clean(job_head(self.job).group)

    @property
    def platform(self) -> str:
        """The head of the row, see `job_head`."""
        return clean(job_head(self.job).platform)


class JobDrawing:
    """A drawing of jobs on stdout."""

    def __init__(self) -> None:
        self._console = console()

    def overview(self, jobs: Iterable[PreviewedJob]) -> None:
        """Draw each push with its platforms, groups and symbols. For several jobs, add a legend of the results.

        If several messages describe one job, draw its state on Treeherder after the last message.
        """
        shown = _settled(jobs)
        for (project, revision), pushed in _grouped(shown, lambda one: (one.project, one.form["revision"])):
            self._console.print(Text.assemble((clean(project), "head"), " ", (clean(revision)[:_SHORT], "key")))
            rows = sorted(_grouped(pushed, lambda one: one.platform))
            self._aligned([(Text(platform), list(_symbols(row))) for platform, row in rows], indent=len(_INDENT))
        if len(shown) > 1:
            counts = Counter(one.status for one in shown)
            legend = [_styled(f"{counts[status]} {status}", status) for status in STATUSES if counts[status]]
            for line in _packed(legend, self._console.width - len(_INDENT), gap="  "):
                self._line(len(_INDENT), line)

    def details(self, previewed: PreviewedJob) -> None:
        """Draw the details of one job as in Treeherder's panel: fields, times, machine, links."""
        job = previewed.job
        shown = f"{previewed.group}({previewed.symbol})" if previewed.group else previewed.symbol
        self._console.print(Rule(_styled(f"{shown} {previewed.status}", previewed.status), align="left", style="dim"))
        fields = job_fields(job, previewed.form["superseded"])
        self._aligned([(Text(label, "dim"), Text(clean(value))) for label, value in fields])
        for label, reference, use in job_links(job):
            self._line(0, Text.assemble((label, "dim"), f"  {clean(reference['name'])}", (f"  {use}", "dim")))
            # The terminal wraps a URL, so that the user can copy it and click on it.
            self._line(len(_INDENT), Text(clean(reference["url"]), "key"))

    def _aligned(self, rows: Sequence[tuple[Text, Text | list[Text]]], indent: int = 0) -> None:
        """Print rows in two columns: a head, and a text that is wrapped or pieces that are not divided.

        If a head is too long, its second column begins on the next line.
        """
        most = max(_LEAST_HEAD, self._console.width // 3)
        begin = indent + max((head.cell_len for head, _ in rows if head.cell_len <= most), default=_LEAST_HEAD) + 2
        room = max(1, self._console.width - begin)
        for head, body in rows:
            beside = indent + head.cell_len + 2 <= begin
            if not beside:
                for part in head.wrap(self._console, self._console.width - indent, overflow="fold"):
                    self._line(indent, part)
            lines = _packed(body, room) if isinstance(body, list) else body.wrap(self._console, room, overflow="fold")
            for number, text in enumerate(lines):
                self._line(begin, text, Text(" " * indent).append_text(head) if beside and number == 0 else Text())

    def _line(self, column: int, text: Text, before: Text | None = None) -> None:
        """Print a text that starts at a column, after another text."""
        line = before or Text()
        line.pad_right(column - line.cell_len)
        line.append_text(text).rstrip()
        self._console.print(line, soft_wrap=True)


def _settled(jobs: Iterable[PreviewedJob]) -> list[PreviewedJob]:
    """Return the last state of each job. A job never returns to an earlier state, and `completed` is final."""
    last: dict[tuple[str, int], PreviewedJob] = {}
    for previewed in jobs:
        guid = previewed.job["job_guid"], previewed.variant
        before = last.get(guid)
        if before is not None:
            reached = STATES.index(before.job["state"])
            if before.job["state"] == "completed" or STATES.index(previewed.job["state"]) < reached:
                continue
        last[guid] = previewed
    return list(last.values())


def _grouped(jobs: Sequence[PreviewedJob], key: Any) -> list[tuple[Any, list[PreviewedJob]]]:
    groups: dict[Any, list[PreviewedJob]] = {}
    for previewed in jobs:
        groups.setdefault(key(previewed), []).append(previewed)
    return list(groups.items())


def _symbols(row: Sequence[PreviewedJob]) -> Iterator[Text]:
    """Yield the symbols of a platform, by group. Jobs without a group are first. A yielded text is never divided."""
    for group, jobs in sorted(_grouped(row, lambda one: one.group)):
        pieces = [_styled(one.symbol, one.status) for one in sorted(jobs, key=_natural)]
        if group:
            pieces[0] = Text.assemble((f"{group}(", "dim"), pieces[0])
            pieces[-1].append(")", "dim")
        yield from pieces


def _packed(pieces: Iterable[Text], room: int, gap: str = " ") -> list[Text]:
    """Return lines with as many pieces on each line as fit into `room` columns."""
    lines: list[Text] = []
    for piece in pieces:
        if lines and lines[-1].cell_len + len(gap) + piece.cell_len <= room:
            lines[-1].append(gap).append_text(piece)
        else:
            lines.append(piece.copy())
    return lines


def _natural(previewed: PreviewedJob) -> list[tuple[int, str]]:
    """Return a sort key for a symbol, which sorts `bc2` before `bc10`."""
    parts = re.findall(r"\d+|\D+", previewed.symbol, re.ASCII)
    return [(int(part), "") if part.isascii() and part.isdigit() and len(part) < 20 else (-1, part) for part in parts]


def _styled(text: str, status: str) -> Text:
    return Text.assemble((text, status_style(status)))
