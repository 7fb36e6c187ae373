"""Links to Pulse Inspector, a page of Taskcluster that shows Pulse messages. The query has the bindings.

`…/pulse-messages?bindings[0][exchange]=exchange/me/v1/jobs&bindings[0][pattern]=treeherder.%23`, percent-encoded or
not. Source: `ui/src/views/PulseMessages/index.jsx` of Taskcluster.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus

from pulsekit.bindings.registration import Binding
from pulsekit.errors import ConfigurationError, InvalidName, InvalidPattern

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PAGE", "is_link", "read_link", "write_link"]

PAGE = "https://firefox-ci-tc.services.mozilla.com/pulse-messages"

_NAME = re.compile(r"bindings\[(\d{1,9})\]\[(exchange|pattern)\]\Z")


def is_link(text: str) -> bool:
    """Return whether a text is a link and not the name of an exchange."""
    return text.lower().startswith(("http://", "https://", "?bindings"))


def read_link(link: str) -> tuple[Binding, ...]:
    """Return the bindings of a link in its order, without duplicates. A missing pattern is `#`, as on the page.

    A `#` that is not encoded belongs to its pattern, although a browser would end the address there. The page is not
    fetched.

    Raises:
        ConfigurationError: Raised when the link has no binding, or an invalid one, which the message names.
    """
    found: dict[int, dict[str, str]] = {}
    for part in link.partition("?")[2].split("&"):
        name, _, value = part.partition("=")
        match = _NAME.match(_decoded(name))
        if match is not None:
            found.setdefault(int(match[1]), {})[match[2]] = _decoded(value)
    if not found:
        raise ConfigurationError(
            f"{link!r:.80} is not a link of Pulse Inspector: it has no ?bindings[0][exchange]=…&bindings[0][pattern]=…"
        )
    bindings: dict[Binding, None] = {}
    for number, parts in sorted(found.items()):
        if not parts.get("exchange"):
            raise ConfigurationError(f"bindings[{number}] of the link has no exchange")
        try:
            bindings[Binding(parts["exchange"], parts.get("pattern", "#"))] = None
        except (InvalidName, InvalidPattern) as error:
            raise ConfigurationError(f"bindings[{number}] of the link: {error}") from error
    return tuple(bindings)


def write_link(bindings: Iterable[Binding], page: str = PAGE) -> str:
    """Return a link that opens Pulse Inspector with the bindings."""
    parts = [
        f"{quote(f'bindings[{number}][{name}]', safe='')}={quote(value, safe='')}"
        for number, binding in enumerate(bindings)
        for name, value in (("exchange", binding.exchange), ("pattern", binding.pattern))
    ]
    return f"{page}?{'&'.join(parts)}"


def _decoded(text: str) -> str:
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{text!r:.80} of the link is not UTF-8") from None
