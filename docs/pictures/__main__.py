"""Draw the pictures of README.md: real commands on a pseudo-terminal, with a private sandbox.

    .venv/bin/nox -s pictures                    # or, with pulsekit installed: python docs/pictures
    .venv/bin/python docs/pictures tail match    # some of them

A picture changes only if the output of a command changes. Jobs and their ids are constant, and the time of day and the
port of the sandbox are replaced. Durations are not replaced.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = Path(__file__).parent
COLUMNS = 92
EXCHANGE = "exchange/me/v1/jobs"
REVISION = "5c3e1f4b9d2a7086e1f4b9d2a70865c3e1f4b9d2"
PORT = 5695  # the default port of a sandbox

# The font is a font of the reader's machine, because a picture must not load external files.
SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
    font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def job(number: int, symbol: str, name: str, group: str = "?", **more: Any) -> dict[str, Any]:
    """Return a job that Treeherder accepts."""
    platform = more.pop("platform", "linux64")
    machine = {"platform": platform, "os": platform.rstrip("0123456789"), "architecture": "x86_64"}
    display = {"jobSymbol": symbol, "groupSymbol": group, "jobName": name}
    if group != "?":
        display["groupName"] = {"M": "Mochitests", "W": "Web platform tests"}[group]
    done = {"state": "completed", "result": "success"} if "state" not in more else {}
    return {
        "taskId": f"{number:08x}-6d1f-4d3c-9a3b-0f6f2b0f7c11/0",
        "origin": {"project": more.pop("project", "autoland"), "revision": REVISION},
        "buildSystem": "our-ci",
        "buildMachine": {"name": "worker-7", **machine},
        "runMachine": {"name": "worker-7", **machine},
        "display": display,
        **done,
        "jobKind": "build" if symbol == "B" else "test",
        "labels": ["opt"],
        "owner": "me@example.com",
        "version": 1,
        "timeScheduled": "2026-11-23T17:58:00Z",
        "timeStarted": "2026-11-23T18:00:00Z",
        "timeCompleted": "2026-11-23T18:12:30Z",
        **more,
    }


JOBS = [
    job(1, "B", "build-linux64/opt"),
    job(2, "bc1", "test-linux64/opt-mochitest-browser-chrome-1", "M"),
    job(3, "bc2", "test-linux64/opt-mochitest-browser-chrome-2", "M", result="fail"),
    job(4, "bc3", "test-linux64/opt-mochitest-browser-chrome-3", "M"),
    job(5, "wpt1", "test-linux64/opt-web-platform-tests-1", "W", result="exception"),
    job(6, "wpt2", "test-linux64/opt-web-platform-tests-2", "W"),
    job(7, "B", "build-windows11-64/opt", platform="windows11-64"),
    job(8, "bc1", "test-windows11-64/opt-mochitest-browser-chrome-1", "M", platform="windows11-64", result="retry"),
    job(9, "bc2", "test-windows11-64/opt-mochitest-browser-chrome-2", "M", platform="windows11-64", result="fail"),
    job(10, "X", "test-windows11-64/opt-xpcshell", platform="windows11-64", result="superseded"),
]
BROKEN = {key: value for key, value in JOBS[1].items() if key != "version"} | {"state": "complete", "tier": "2"}


@dataclass(frozen=True, slots=True)
class Stage:
    """The environment of the commands: a folder with files, and a sandbox."""

    folder: Path
    url: str

    def environment(self) -> dict[str, str]:
        """Return the environment variables of a user with only a sandbox."""
        return {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "PULSE_URL": self.url,
        }

    def quietly(self, *words: str) -> None:
        """Run a command whose output is not shown."""
        subprocess.run(
            [sys.executable, "-m", "pulsekit", *words],
            env=self.environment(), cwd=self.folder, capture_output=True, check=True,
        )  # fmt: skip

    def shown(self, line: str, then: Callable[[], None] | None = None) -> bytes:
        """Run a command on a terminal until the command ends, and return a prompt and the output.

        Args:
            line: the command line, which begins with `pulsekit`.
            then: called when the command prints "listening".
        """
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
        sent = b""
        with subprocess.Popen(
            ["sh", "-c", f"exec {line}"],
            stdin=theirs, stdout=theirs, stderr=theirs, env=self.environment(), cwd=self.folder,
        ) as process:  # fmt: skip
            os.close(theirs)
            try:
                while chunk := _read(ours):
                    sent += chunk
                    if then is not None and b"listening" in sent:
                        then()
                        then = None
            finally:
                process.terminate()  # after an error, the command may wait forever
                os.close(ours)
        return b"\x1b[1m$ " + line.encode() + b"\x1b[0m\n" + sent.replace(b"\r\n", b"\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end of the terminal is closed
        return b""


def tail(stage: Stage) -> Iterator[bytes]:
    def publish() -> None:
        stage.quietly("publish", "jobs.ndjson", "--exchange", EXCHANGE, "-d", "treeherder")

    yield stage.shown(f"pulsekit tail {EXCHANGE} -n {len(JOBS)}", publish)


def publish(stage: Stage) -> Iterator[bytes]:
    yield stage.shown("pulsekit publish broken.json -d treeherder")
    yield b"\n"
    yield stage.shown("pulsekit publish job.json -d treeherder -d staging")


def validate(stage: Stage) -> Iterator[bytes]:
    yield stage.shown("pulsekit validate broken.json careless.json")


def match(stage: Stage) -> Iterator[bytes]:
    yield stage.shown("pulsekit match treeherder.autoland._ treeherder.mozilla-central._")


def preview(stage: Stage) -> Iterator[bytes]:
    yield stage.shown("pulsekit preview jobs.ndjson")
    yield b"\n"
    yield stage.shown("pulsekit preview job.json")


def doctor(stage: Stage) -> Iterator[bytes]:
    yield stage.shown("pulsekit doctor --exchange exchange/me/v1/job")


def queue(stage: Stage) -> Iterator[bytes]:
    yield stage.shown("pulsekit queue show queue/me/jobs")
    yield b"\n"
    yield stage.shown("pulsekit queue peek queue/me/jobs -n 3")


SCENES = (tail, publish, validate, match, preview, doctor, queue)


async def _prepare(url: str) -> None:
    """Create the exchange, and a queue with messages."""
    import pulsekit

    async with pulsekit.connect(url) as pulse:
        await pulse.create_exchange(EXCHANGE)
        async with pulse.subscribe(f"{EXCHANGE}:treeherder.#", queue="queue/me/jobs"):
            pass
        publisher = pulse.publisher(EXCHANGE)
        await publisher.open()
        async for _ in publisher.publish_many((JOBS[number % 4], "treeherder.autoland._") for number in range(2345)):
            pass


@contextmanager
def staged() -> Iterator[Stage]:
    """Run a sandbox, and write the files that the commands read."""
    import asyncio

    from pulsekit.testing import PulseSandbox

    with tempfile.TemporaryDirectory() as name, PulseSandbox() as sandbox:
        folder = Path(name)
        (folder / "jobs.ndjson").write_text("".join(f"{json.dumps(one)}\n" for one in JOBS))
        careless = JOBS[3] | {"owner": "", "logs": [{"name": "log", "url": "https://ci.example.com/4.log"}]}
        for path, value in (("job.json", JOBS[2]), ("broken.json", BROKEN), ("careless.json", careless)):
            (folder / path).write_text(json.dumps(value, indent=2))
        (folder / "pulsekit.yml").write_text(
            f"exchange: {EXCHANGE}\ndestinations: [treeherder]\nregistrations:\n"
            f"  - exchange: {EXCHANGE}\n    destinations: [treeherder, staging]\n"
            "    projects: [mozilla-inbound._, autoland._]\n"
        )
        asyncio.run(_prepare(sandbox.url("me")))
        yield Stage(folder, sandbox.url("me"))


def draw(name: str, sent: bytes, port: str) -> str:
    """Return the picture of the output of a terminal, as SVG."""
    from io import StringIO

    from rich.console import Console
    from rich.terminal_theme import TerminalTheme
    from rich.text import Text

    ticks = count(1)
    shown = re.sub(
        r"(?m)^((?:\x1b\[\d+m)?)\d\d:\d\d:\d\d",
        lambda found: f"{found[1]}18:12:{30 + next(ticks) // 4:02}",
        sent.decode(),
    )
    text = Text.from_ansi(shown.replace(port, str(PORT)).rstrip("\n"))
    # Some viewers drop leading spaces of a text element. Here the leading spaces are a separate element.
    starts = {0, *(span.end for span in text.spans), *(found.end() for found in re.finditer("\n", text.plain))}
    for start in starts:
        spaces = len(text.plain[start:]) - len(text.plain[start:].lstrip(" "))
        text.stylize("italic", start, start + spaces)
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(text, soft_wrap=True)
    theme = TerminalTheme(
        (13, 17, 23), (230, 237, 243),
        [(72, 79, 88), (255, 123, 114), (63, 185, 80), (210, 153, 34), (88, 166, 255), (188, 140, 255),
         (57, 197, 207), (177, 186, 196)],
    )  # fmt: skip
    return console.export_svg(title=f"pulsekit {name}", theme=theme, code_format=SVG, unique_id=f"pulsekit-{name}")


def main(names: list[str]) -> int:
    """Draw the pictures with these names, or all pictures."""
    scenes = {scene.__name__: scene for scene in SCENES}
    unknown = [name for name in names if name not in scenes]
    if unknown:
        print(f"there is no picture {unknown[0]!r}; there are {', '.join(scenes)}", file=sys.stderr)
        return 2
    for name in names or scenes:
        with staged() as stage:
            port = stage.url.rstrip("/").rpartition(":")[2]
            path = FOLDER / f"{name}.svg"
            path.write_text(draw(name, b"".join(scenes[name](stage)), port), encoding="utf-8")
            print(f"made {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
