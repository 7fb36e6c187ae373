"""Check that each link of the built site leads to a file and its element: `python docs/_site/links.py FOLDER`."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

__all__ = ["broken_links"]


class _Page(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors = {"", "top"}
        self.links: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in {"href", "src"} and value:
                self.links.add(value)


def broken_links(folder: Path) -> list[str]:
    """Return each page and link of a site that leads to no file or to no element. Links to other sites do not count."""
    pages = {path.resolve(): _Page(path) for path in folder.rglob("*.html")}
    if not pages:
        return [f"{folder} has no pages"]
    broken = []
    for path, page in pages.items():
        for link in page.links:
            address, anchor = urldefrag(link)
            if urlsplit(link).scheme:
                continue
            target = (path.parent / unquote(urlsplit(address).path)).resolve() if address else path
            if not target.is_file() or (target in pages and unquote(anchor) not in pages[target].anchors):
                broken.append(f"{path.relative_to(folder.resolve())}: {link}")
    return sorted(broken)


if __name__ == "__main__":
    if found := broken_links(Path(sys.argv[1])):
        sys.exit("these links lead nowhere:\n" + "\n".join(found))
