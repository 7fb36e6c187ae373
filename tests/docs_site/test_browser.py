"""The site in Chromium, from files: it works without a network, in each width and colour scheme."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

SITE = Path(os.environ["PULSEKIT_TEST_SITE"]).resolve()
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
# A page of each kind: prose, tables, pictures, the search, options and an API.
PAGES = (
    *("index", "lint", "performance", "search"),
    *("reference/commands/pulsekit-tail", "reference/api/pulsekit.errors"),
)
LOOKS = [(360, "light"), (360, "dark"), (1440, "light"), (1440, "dark")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "install Debian's package chromium"
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])


@contextmanager
def opened(browser: Browser, width: int, scheme: str) -> Iterator[Page]:
    """Open a page that fails if it prints an error, or asks for a file that is not in the site."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda one: None if one.url.startswith(("file:", "data:")) else trouble.append(one.url))
    page.on("requestfailed", lambda one: trouble.append(one.url))
    yield page
    context.close()
    assert trouble == []


@pytest.mark.timeout(150)
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_pages_fit_the_window_and_axe_finds_nothing(browser: Browser, width: int, scheme: str) -> None:
    with opened(browser, width, scheme) as page:
        for name in PAGES:
            page.goto(f"{SITE.as_uri()}/{name}.html")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            page.evaluate(AXE)
            found = page.evaluate("axe.run({resultTypes: ['violations'], preload: false}).then(run => run.violations)")
            assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == [], name


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("consumer_timeout", "reliability.html"),
        ("--keep-going", "reference/commands/pulsekit-publish.html#cmdoption-pulsekit-publish-keep-going"),
        ("owner-missing", "reference/rules.html#owner-missing"),
        ("PreconditionFailed", "reference/api/pulsekit.html#pulsekit.PreconditionFailed"),
        ("stand-in", "commands.html"),
    ],
)
def test_the_search_finds_a_word_without_a_server(browser: Browser, words: str, page: str) -> None:
    with opened(browser, 1440, "light") as window:
        window.goto(f"{SITE.as_uri()}/index.html")
        window.get_by_placeholder("Search").fill(words)
        window.keyboard.press("Enter")
        window.locator(f'#search-results a[href^="{page}"]').first.click()
        window.wait_for_url(f"**/{page}*")
        assert words.lower().strip("-") in window.inner_text("article").lower()
