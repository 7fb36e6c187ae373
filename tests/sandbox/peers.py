"""Run the test suites of other clients against the sandbox, and compare the numbers of passed tests with RabbitMQ's.

Usage: python tests/sandbox/peers.py FOLDER PYTHON [URL]

FOLDER has the unpacked sdists (`amqp-5.4.2`, …), PYTHON has the peers and pytest installed, URL is a broker instead of
a sandbox. Nothing in the sdists is changed.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from pulsekit.sandbox import Sandbox


@dataclass(frozen=True)
class Peer:
    """A suite, and the number of its tests that pass against RabbitMQ 3.10.8."""

    sdist: str
    arguments: tuple[str, ...]
    passes: int


PEERS = (
    Peer("amqp-5.4.2", ("-p", "no:asyncio", "t/integration/test_rmq.py", "-k", "not tls"), 12),
    Peer("kombu-5.7.0", ("-p", "no:asyncio", "t/integration/test_py_amqp.py"), 51),
    Peer("aiormq-7.2.4", ("-p", "aiormq_fixtures", "tests", "-k", "not amqps"), 562),
)


async def _run(peer: Peer, folder: Path, python: str, url: URL) -> bool:
    environment = {
        **os.environ,
        "AMQP_URL": str(url),
        "RABBITMQ_HOST": str(url.host),
        "RABBITMQ_5672_TCP": str(url.port),
        "PYTHONPATH": os.pathsep.join([str(folder / peer.sdist), str(Path(__file__).parent)]),
    }
    process = await asyncio.create_subprocess_exec(
        python, "-m", "pytest", "-q", *peer.arguments,
        cwd=folder / peer.sdist, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output = (await process.communicate())[0].decode(errors="replace")
    found = re.search(r"(\d+) passed", output)
    passed = int(found[1]) if found else 0
    good = process.returncode == 0 and passed == peer.passes
    verdict = "as with RabbitMQ" if good else f"and not as with RabbitMQ:\n{output}"
    sys.stdout.write(f"{peer.sdist}: {passed} of {peer.passes} passed, {verdict}\n")
    sys.stdout.flush()
    return good


async def main(folder: Path, python: str, url: str | None) -> int:
    async with AsyncExitStack() as stack:
        if url is None:
            url = (await stack.enter_async_context(Sandbox())).url()
        results = [await _run(peer, folder, python, URL(url)) for peer in PEERS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]), sys.argv[2], (sys.argv[3:] or [None])[0])))
