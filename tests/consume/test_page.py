"""The example of docs/consume.md: its module can be loaded, and its unit names existing options."""

from __future__ import annotations

import configparser
import re
from datetime import UTC, datetime
from pathlib import Path

from support.command import pulsekit as run

import pulsekit
from pulsekit.messages import Message

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "consume.md").read_text(encoding="utf-8")
PUSH = b'{"payload": {"type": "changegroup.1", "data": {}}}'


def test_the_module_of_the_page_handles_recorded_messages(tmp_path: Path) -> None:
    samples = re.findall(r"<!-- (?:sample|workers) -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "listener.py").write_text("\n".join(samples))
    task, push = "exchange/taskcluster-queue/v1/task-failed", "exchange/hgpushes/v2"
    key = "primary.fN1SbArXTPSVFNUvaOlinQ.0.g.w.p.t.gecko-level-3.GxWzPqkaTO2Jc3P0mRzcMA._"
    bodies = ((task, key, b'{"status": {"state": "failed"}}'), (push, "mozilla-central", PUSH))
    with pulsekit.Recorder(tmp_path / "tasks.ndjson") as recorder:
        recorder.write(
            Message(exchange=exchange, routing_key=key, body=body, received=datetime.now(UTC))
            for exchange, key, body in bodies
        )
    done = run("consume", "listener:workers", "--from", "tasks.ndjson", folder=tmp_path)
    assert (done.status, done.out) == (0, "fN1SbArXTPSVFNUvaOlinQ failed\n"), done.err
    assert (tmp_path / "pushes.txt").read_text() == "changegroup.1\n"


def test_the_unit_starts_the_command_with_options_that_exist() -> None:
    found = re.search(r"```ini\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    unit = configparser.RawConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign] # as the module describes it
    unit.read_string(found[1])
    service = unit["Service"]
    help_text = (ROOT / "tests/cli/contract/help/pulsekit-consume.txt").read_text()
    assert re.findall(r" (--[a-z-]+)", service["ExecStart"]) == ["--shutdown-timeout"]
    assert "--shutdown-timeout" in help_text
    assert int(service["TimeoutStopSec"]) > 25 + 5  # the shutdown timeout, and the end of a context manager
