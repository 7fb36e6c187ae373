"""Chromium for tests: a page that fails its test if a script fails, or if it requests a file from another server."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page

__all__ = ["axe_source", "lacking_browser", "pages", "rows_shown", "shows", "texts_are"]

REQUIRED = os.environ.get("PULSEKIT_REQUIRE_BROWSER") == "1"
_PATIENCE = 90  # seconds for what must happen, on a machine that may stall
_CHROMIUM = shutil.which("chromium")
_QUIET = ("background-networking", "component-update", "gpu", "quic", "sync", "dev-shm-usage")
_ARGUMENTS = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in _QUIET)]


def lacking_browser() -> str:
    """Return what is missing for tests in a browser, or an empty text."""
    try:
        import axe_playwright_python  # noqa: F401
        import playwright  # noqa: F401
    except ImportError:
        return "the tests in a browser need playwright and axe-playwright-python: run `nox -s browser`"
    return "" if _CHROMIUM else "the tests in a browser need Debian's chromium: apt-get install chromium"


def axe_source() -> str:
    """Return axe-core, which finds elements that cannot be used with a screen reader or without a mouse."""
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


class Opener:
    """An opener of pages of the inspector in one browser. Each page has its own context, unless one is given."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.problems: list[str] = []

    async def open(self, address: str, *, context: Any = None, **options: Any) -> Page:
        options = {"viewport": {"width": 1400, "height": 850}} | options
        context = context or await self.browser.new_context(**options)
        page: Page = await context.new_page()
        origin = "/".join(address.split("/")[:3])
        page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        page.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))
        page.on("popup", lambda popup: self.problems.append(f"popup: {popup.url}"))
        page.on("request", lambda request: self._check(request.url, origin))
        page.on("console", lambda message: self._note(message.type, message.text))
        page.set_default_timeout(1000 * _PATIENCE)
        await page.goto(address)
        return page

    def _check(self, url: str, origin: str) -> None:
        if not url.startswith(f"{origin}/") and not url.startswith(f"blob:{origin}/"):
            self.problems.append(f"request: {url}")

    def _note(self, kind: str, text: str) -> None:
        if kind == "error" and "Failed to load resource" not in text and "ERR_" not in text:
            self.problems.append(f"console: {text}")


@asynccontextmanager
async def pages() -> AsyncIterator[Opener]:
    """Start a browser, and fail if one of its pages had a problem."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS)
        opener = Opener(browser)
        try:
            yield opener
        finally:
            await browser.close()
    assert opener.problems == []


async def shows(page: Page, selector: str, beginning: str) -> None:
    """Wait until the text of an element begins like this. The policy of the page forbids `wait_for_function`."""
    from playwright.async_api import expect

    await expect(page.locator(selector)).to_have_text(re.compile(f"^{re.escape(beginning)}"), timeout=1000 * _PATIENCE)


async def texts_are(page: Page, selector: str, texts: list[str]) -> None:
    """Wait until the elements have these texts. The page draws rows after it has counted them."""
    from playwright.async_api import expect

    await expect(page.locator(selector)).to_have_text(texts, timeout=1000 * _PATIENCE)


async def rows_shown(page: Page, count: int) -> None:
    """Wait until the page says that it has this number of rows."""
    await shows(page, "#counts", f"{count:,} shown")
