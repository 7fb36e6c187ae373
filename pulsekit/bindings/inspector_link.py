"""Links to Pulse Inspector, Taskcluster's page that shows messages of Pulse. A link contains the bindings.

There are three forms, percent-encoded or not:

    …/pulse-messages?bindings[0][exchange]=exchange/me/v1/jobs&bindings[0][pattern]=treeherder.%23
    …/pulse-messages?bindings[0][exchange]=exchange/me/v1/jobs&bindings[0][routingKeyPattern]=treeherder.%23
    https://tools.taskcluster.net/pulse-inspector/#!((exchange:exchange/me/v1/jobs,routingKeyPattern:treeherder.%23))

The last one is Rison (https://github.com/Nanonid/rison). Source: `ui/src/views/PulseMessages/index.jsx` of Taskcluster,
and the page of the same name in the former taskcluster-tools.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus, urlsplit

from pulsekit.bindings.registration import Binding
from pulsekit.errors import ConfigurationError, InvalidName, InvalidPattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["PAGE", "InspectorLink", "is_link", "read_link", "write_link"]

PAGE = "https://firefox-ci-tc.services.mozilla.com/pulse-messages"

# The instances of Taskcluster on pulse.mozilla.org, and their virtual hosts.
_VIRTUAL_HOSTS = {
    "firefox-ci-tc.services.mozilla.com": "/",
    "community-tc.services.mozilla.com": "communitytc",
    "tools.taskcluster.net": "/",
}
_FORMER_HOST = "tools.taskcluster.net"  # its pages no longer exist
_PARTS = {"exchange": "exchange", "pattern": "pattern", "routingKeyPattern": "pattern"}
_NAME = re.compile(r"bindings\[(\d{1,9})\]\[(.*)\]\Z")
_RISON_QUOTED = "'((?:[^'!]|![!'])*)'"
_RISON_OBJECT = re.compile(rf"\(((?:{_RISON_QUOTED.replace('(', '(?:', 1)}|[^()'])*)\)")
_RISON_PAIR = re.compile(rf"(\w+):(?:{_RISON_QUOTED}|([^,()']*))")


@dataclass(frozen=True, slots=True)
class InspectorLink:
    """The content of a link.

    Attributes:
        bindings: the bindings in their order, without duplicates.
        page: the address of the page without bindings, from which another link can be made.
        virtual_host: the virtual host of the Taskcluster instance of the page, or None for an unknown instance.
    """

    bindings: tuple[Binding, ...]
    page: str
    virtual_host: str | None


def is_link(text: str) -> bool:
    """Return whether a text is a link, rather than the name of an exchange."""
    return text.lower().startswith(("http://", "https://", "?bindings"))


def read_link(link: str) -> InspectorLink:
    """Return the bindings and the virtual host of a link. A missing pattern means `#`, as on the page.

    A `#` that is not encoded is read as a part of the pattern. The page is not fetched.

    Raises:
        ConfigurationError: Raised when the link has no binding, an invalid binding, or an unknown part. The message
            names the part.
    """
    address, rison, written = link.partition("#!")
    if rison and "?" not in address:
        numbered = list(enumerate(_read_rison(_decoded(written.replace("+", "%2B")).strip())))
    else:
        address, _, query = link.partition("?")
        numbered = _read_query(query)
    if not numbered:
        raise ConfigurationError(
            "the argument is not a link of Pulse Inspector: it has no ?bindings[0][exchange]=…&bindings[0][pattern]=…"
        )
    bindings: dict[Binding, None] = {}
    for number, parts in numbered:
        if not parts.get("exchange"):
            raise ConfigurationError(f"bindings[{number}] of the link has no exchange")
        try:
            bindings[Binding(parts["exchange"], parts.get("pattern", "#"))] = None
        except (InvalidName, InvalidPattern) as error:
            raise ConfigurationError(f"bindings[{number}] of the link: {error}") from error
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        raise ConfigurationError(f"{address!r:.80} of the link is not the address of a page") from None
    return InspectorLink(
        tuple(bindings), PAGE if not host or host == _FORMER_HOST else address, _VIRTUAL_HOSTS.get(host)
    )


def _read_query(query: str) -> list[tuple[int, dict[str, str]]]:
    """Return the parts of each binding in the order of the numbers."""
    found: dict[int, dict[str, str]] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        match = _NAME.match(_decoded(name))
        if match is None:
            raise _unknown(_decoded(name))
        _add(found.setdefault(int(match[1]), {}), match[2], _decoded(value))
    return sorted(found.items())


def _read_rison(text: str) -> Iterator[dict[str, str]]:
    """Yield the parts of each binding of `((exchange:E,routingKeyPattern:P),(…))`."""
    if not (text.startswith("(") and text.endswith(")")):
        raise ConfigurationError(f"{text!r:.80} of the link is not a list of bindings, such as ((exchange:…))")
    if rest := _RISON_OBJECT.sub("", text[1:-1]).strip(","):
        raise _unknown(rest)
    for item in _RISON_OBJECT.finditer(text[1:-1]):
        if rest := _RISON_PAIR.sub("", item[1]).strip(","):
            raise _unknown(rest)
        parts: dict[str, str] = {}
        for name, quoted, plain in _RISON_PAIR.findall(item[1]):
            _add(parts, name, plain or re.sub("!(.)", r"\1", quoted))
        yield parts


def _add(parts: dict[str, str], name: str, value: str) -> None:
    if name not in _PARTS:
        raise _unknown(name)
    if _PARTS[name] in parts:
        raise ConfigurationError(f"a binding of the link has two parts {_PARTS[name]!r}: write one binding for each")
    parts[_PARTS[name]] = value


def _unknown(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"the link has an unknown part {name!r:.60}: a binding has bindings[0][exchange] and bindings[0][pattern]"
    )


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
