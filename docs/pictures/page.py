"""Draw the pictures of the page in the browser: `nox -s page_pictures`.

A private sandbox has the messages, and Debian's Chromium draws the page. Times and ports differ in each run.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright

import pulsekit
from pulsekit.bindings.registration import Binding
from pulsekit.inspector import LiveSource, Reader, serve
from pulsekit.messages import Gap
from pulsekit.testing import PulseSandbox

FOLDER = Path(__file__).parent
EXCHANGE = "exchange/me/v1/jobs"
REVISION = "5c3e1f4b9d2a7086e1f4b9d2a70865c3e1f4b9d2"
JOBS = (
    ("build-linux64/opt", "B", "?", "build", "success"),
    ("mochitest-browser-chrome-3", "bc3", "M", "test", "fail"),
    ("xpcshell-1", "X1", "X", "test", "success"),
    ("web-platform-tests-12", "wpt12", "W", "test", "done"),  # no result of Treeherder
)
PICTURES: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("inspector", {"color_scheme": "light", "viewport": {"width": 1360, "height": 800}}, 6),
    ("inspector-dark", {"color_scheme": "dark", "viewport": {"width": 1360, "height": 800}}, 8),
    ("inspector-narrow", {"color_scheme": "light", "viewport": {"width": 400, "height": 860}}, 6),
)


def job(number: int) -> dict[str, Any]:
    name, symbol, group, kind, result = JOBS[number % len(JOBS)]
    return {
        "taskId": f"5b3bb6a5-6d1f-4d3c-9a3b-0f6f2b0f{number:04x}/0",
        "origin": {"project": "autoland", "revision": REVISION},
        "buildSystem": "my-ci",
        "buildMachine": {"name": "vm-7", "platform": "linux64", "os": "linux", "architecture": "x86_64"},
        "display": {"jobSymbol": symbol, "groupSymbol": group, "jobName": name, "groupName": name.split("-")[0]},
        "state": "completed",
        "result": result,
        "jobKind": kind,
        "labels": ["opt"],
        "owner": "me@example.com",
        "timeScheduled": "2026-11-29T12:00:00Z",
        "timeStarted": "2026-11-29T12:00:05Z",
        "timeCompleted": "2026-11-29T12:04:05Z",
        "version": 1,
    }


async def main() -> None:
    with PulseSandbox() as sandbox:
        async with pulsekit.connect(sandbox.url("me")) as pulse:
            await pulse.create_exchange(EXCHANGE)
            reader = Reader(receivers=[("pulsekit.yml", [Binding(EXCHANGE, "treeherder.autoland._")])])
            bindings = [Binding(EXCHANGE, "treeherder.#"), Binding(EXCHANGE, "route.index.#")]
            async with LiveSource(pulse, bindings) as source:
                printed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
                serving = asyncio.create_task(serve(source, reader=reader, on_address=printed.set_result))
                publisher = pulse.publisher(EXCHANGE)
                for number in range(40):
                    cc = ["route.index.autoland.latest"] if number % 3 == 0 else []
                    await publisher.publish(json.dumps(job(number)).encode(), "treeherder.autoland._", cc=cc)
                    if number == 31:
                        now = datetime.now(UTC)
                        source.ring.add(Gap(now - timedelta(seconds=2.5), now, 2, lossy=True))
                await draw(await printed)
                serving.cancel()
                await asyncio.wait([serving])


async def draw(address: str) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        cookies: Any = None
        for name, options, from_end in PICTURES:
            context = await browser.new_context(**options)
            if cookies is not None:
                await context.add_cookies(cookies)
            page = await context.new_page()
            await page.goto(address if cookies is None else address.partition("#")[0])
            await page.locator("#list").press("End")
            for _ in range(from_end):
                await page.keyboard.press("ArrowUp")
            await page.locator("#payload:not(:empty)").wait_for()
            await page.get_by_text(" · 0/s").wait_for()
            await page.screenshot(path=FOLDER / f"{name}.png")
            cookies = await context.cookies(f"{address.partition('?')[0]}api/")
            await context.close()
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
