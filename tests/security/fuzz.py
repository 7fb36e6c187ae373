"""Fuzz with atheris: `nox -s fuzz -- TARGET COUNT`, or every target for twenty seconds without either.

Guided by the coverage of pulsekit, atheris finds inputs that hypothesis would hardly find. The run ends at the first
failure, or at an input that needs ten seconds or two gigabytes. libFuzzer prints where it stored the input.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pulsekit"]):
    from security.targets import TARGETS

COUNT = 100_000  # inputs, when a target is named without their number
SECONDS = 20  # for each target, when none is named
_SETTINGS = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=4096", "-len_control=0", "-verbosity=0")


class _Fault(logging.Handler):
    """Treat a logged error as a failure: a user would see a traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage())


def fuzz(name: str, count: int | None) -> None:
    """Fuzz one target, and end the process."""
    target = TARGETS[name]
    logging.getLogger().addHandler(_Fault(logging.ERROR))
    began, done = time.monotonic(), 0

    def one(data: bytes) -> None:
        nonlocal done
        target.check(data)
        done += 1
        lasted = time.monotonic() - began
        if done == count or (count is None and lasted > SECONDS):
            sys.stdout.write(f"{name}: {done:,} inputs in {lasted:.0f} s, and none that broke a promise\n")
            sys.stdout.flush()
            folder.cleanup()
            os._exit(0)  # libFuzzer treats every other exit as a crash

    folder = tempfile.TemporaryDirectory(prefix="pulsekit-fuzz-")
    corpus, words = Path(folder.name, "corpus"), Path(folder.name, "words")
    corpus.mkdir()
    for number, seed in enumerate((*target.seeds, b"".join(target.pieces))):
        (corpus / str(number)).write_bytes(seed)
    quoted = ("".join(f"\\x{byte:02x}" for byte in piece) for piece in target.pieces if piece)
    words.write_text("".join(f'"{text}"\n' for text in quoted), encoding="ascii")
    kept = f"-artifact_prefix={tempfile.gettempdir()}/pulsekit-{name}-"
    atheris.Setup([sys.argv[0], *_SETTINGS, f"-dict={words}", kept, str(corpus)], one)
    atheris.Fuzz()


def main(name: str = "", count: str = str(COUNT)) -> int:
    """Fuzz one target, or each of them in a separate process."""
    if name in TARGETS:
        fuzz(name, int(count) or None)
    if name:
        sys.exit(f"there is no target {name!r}; use one of {', '.join(TARGETS)}")
    return max(subprocess.run([sys.executable, __file__, one, "0"], check=False).returncode for one in TARGETS)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
