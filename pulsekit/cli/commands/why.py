"""`pulsekit why`: follow a task to Treeherder step by step, up to the first step that failed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.options import OutputOption, save_option, timeout_option
from pulsekit.cli.output.output import Output, note

if TYPE_CHECKING:
    from pulsekit.why import Evidence, Explanation, Target

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """
pulsekit why A35mWTRuQmyj88yMnIF0fA
pulsekit why https://tc.example.com/tasks/A35mWTRuQmyj88yMnIF0fA/runs/0
pulsekit why A35mWTRuQmyj88yMnIF0fA --save why.json
pulsekit why why.json
"""

_STYLES = {"ok": "good", "failed": "bad", "unknown": "warn"}
_STATUS_WIDTH = max(map(len, _STYLES))
_NAME_WIDTH = len("treeherder")
_TIMEOUT = 30.0  # seconds for all requests


def command(
    subject: Annotated[
        str, typer.Argument(metavar="TASK_ID|URL|FILE", help="A task, run or group of Taskcluster, or a saved file.")
    ],
    *,
    root_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Taskcluster deployment. [default: that of the URL, else Firefox CI]"),
    ] = None,
    treeherder: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Treeherder. [default: that of the URL, else treeherder.mozilla.org]"),
    ] = None,
    save: Annotated[str | None, save_option("all answers")] = None,
    timeout: Annotated[float | None, timeout_option("30s, for all requests")] = None,
    output: OutputOption = None,
) -> int:
    """Find out why a task is not on Treeherder, or how it is shown there.

    The steps: the task exists; it has one tc-treeherder route; extra.treeherder is valid; Treeherder knows the project
    and has the push; Treeherder makes a job from the message about the run; Treeherder has stored the job. The first
    failed step says what to change. This command requests public pages of Taskcluster and Treeherder, without a login.

    After --save FILE, 'pulsekit why FILE' explains the saved answers without the network.

    Exit code: 0 if the task is on Treeherder, 1 if a step failed, 4 if a site did not answer or tasks of other pushes
    were not checked.
    """
    from pulsekit.why import explain

    shown = Output(output, live=True)
    target, evidence = _evidence(subject, root_url, treeherder, timeout or _TIMEOUT)
    explanation = explain(target, evidence)
    if save is not None:
        _save(Path(save), target, evidence)
    _show(shown, explanation)
    failed = explanation.failed
    if failed is None:
        note(f"{target.name}: each step succeeded")
        return ExitCode.DONE
    note(f"{target.name}: {failed.name} {'failed' if failed.status == 'failed' else 'is unknown'}")
    return ExitCode.NEGATIVE if failed.status == "failed" else ExitCode.NETWORK


def _evidence(subject: str, root_url: str | None, treeherder: str | None, timeout: float) -> tuple[Target, Evidence]:
    """Return the target, and the source of its pages: the network, or a file."""
    from pulsekit.why import OnlineEvidence, SavedEvidence, read_target

    if Path(subject).is_file() or (subject.endswith(".json") and "://" not in subject):
        from pulsekit._documents.document import parse_json
        from pulsekit.cli.input.files import read_input

        data, source = read_input(subject)
        saved = SavedEvidence(parse_json(data, source=source).value)
        note(f"reading the answers of {saved.collected or 'an unknown time'} from {subject}")
        return saved.target, saved
    target = read_target(subject, root_url=root_url, treeherder=treeherder)
    note(f"reading public pages of {target.root_url} and {target.treeherder}")
    return target, OnlineEvidence(timeout)


def _save(path: Path, target: Target, evidence: Evidence) -> None:
    import json

    from pulsekit.cli.output.files import write_whole
    from pulsekit.errors import ConfigurationError
    from pulsekit.why import OnlineEvidence

    if not isinstance(evidence, OnlineEvidence):
        raise ConfigurationError("--save has nothing to write: the answers are from a file already")
    write_whole(path, json.dumps(evidence.save(target), indent=1) + "\n")
    note(f"saved to {path}; explain it again with: pulsekit why {path}")


def _show(shown: Output, explanation: Explanation) -> None:
    if not shown.pretty:
        for step in explanation.steps:
            shown.record(
                {
                    "step": step.name,
                    "status": step.status,
                    "detail": step.detail,
                    "hint": step.hint,
                    "address": step.address,
                }
            )
        for task in explanation.tasks:
            shown.record(
                {
                    "task_id": task.task_id,
                    "name": task.name,
                    "rule": task.rule,
                    "message": task.message,
                    "hint": task.hint,
                }
            )
        return
    for step in explanation.steps:
        status = (f"{step.status:{_STATUS_WIDTH}}", _STYLES[step.status])
        shown.table([[status, f"{step.name:{_NAME_WIDTH}}", step.detail]])
        for label, text in (("hint", step.hint), ("see", step.address)):
            if text and step.status != "ok":
                style = "warn" if label == "hint" else "dim"
                shown.table([[" " * _STATUS_WIDTH, f"{label:>{_NAME_WIDTH}}", (text, style)]])
    for task in explanation.tasks:
        words = f"  {task.message} ({task.hint})"
        rule = f" [{task.rule}]" if task.rule else ""
        shown.wrapped((task.task_id or "?", "head"), f"  {task.name}", words, (rule, "dim"))
    if explanation.link:
        shown.line((explanation.link, "key"))
