"""The Bugzilla bug that asks Treeherder to bind a publisher's exchange: its text, and a link to the completed form.

Product and component are from the link in Treeherder's `docs/submitting_data.md`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from pulsekit.bindings.names import owner
from pulsekit.bindings.registration import expand
from pulsekit.bindings.rules import Rule
from pulsekit.errors import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulsekit.bindings.registration import Registration

__all__ = ["Bug", "as_written"]

_FORM = "https://bugzilla.mozilla.org/enter_bug.cgi"
_PRODUCT = "Tree Management"
_COMPONENT = "Treeherder: Data Ingestion"
_MAX_LINK = 7500  # characters; web servers reject a request line over 8 KiB
_MAX_LISTED = 20  # bindings
_KEYS = {
    Rule.DESTINATION_PROJECT: "`<destination>.<project>`",
    Rule.PROJECT_DESTINATION: "`<project>.<destination>`",
    Rule.ANY_PROJECT: "`<any words>.<project>`",
}


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug that asks Treeherder to create the bindings of registrations.

    Attributes:
        registrations: the registration of each target, by the name of the target; at least one.
    """

    registrations: Mapping[str, Registration]

    @property
    def product(self) -> str:
        """Bugzilla's product."""
        return _PRODUCT

    @property
    def component(self) -> str:
        """Bugzilla's component."""
        return _COMPONENT

    @property
    def summary(self) -> str:
        """The title of the bug."""
        exchanges = dict.fromkeys(printable(registration.exchange) for registration in self.registrations.values())
        where = f" on {next(iter(self.registrations))}" if len(self.registrations) == 1 else ""
        return f"Load the jobs of {' and '.join(exchanges)} from Pulse{where}"

    @property
    def text(self) -> str:
        """The description of the bug, in Markdown."""
        paragraphs = ["Please have Treeherder load the jobs we publish on Pulse."]
        for registration in self._distinct():
            targets = " and ".join(target for target, one in self.registrations.items() if one == registration)
            fields = ",\n".join(
                f"  {json.dumps(key)}: {json.dumps(it)}" for key, it in as_written(registration).items()
            )
            paragraphs += [f"For {targets}:", f"```json\n{{\n{fields}\n}}\n```"]
        listed = [f"- {_code(str(binding))}" for binding in expand(self._distinct())]
        rest = len(listed) - _MAX_LISTED
        if rest > 0:
            listed[_MAX_LISTED:] = [f"- and {rest} more"]
        users = " and ".join(dict.fromkeys(_code(owner(one.exchange) or "") for one in self._distinct()))
        paragraphs += [
            "The bindings that follow from it:",
            "\n".join(listed),
            f"Pulse user: {users}",
            f"Routing keys: {' and '.join(dict.fromkeys(_KEYS[one.rule] for one in self._distinct()))}",
            "Messages: schemas/pulse-job.yml",
        ]
        return "\n\n".join(paragraphs) + "\n"

    @property
    def link(self) -> str:
        """The URL of Bugzilla's completed form, without the description if a web server would reject its length."""
        fields = {"product": _PRODUCT, "component": _COMPONENT, "short_desc": self.summary, "comment": self.text}
        link = f"{_FORM}?{urlencode(fields, quote_via=quote, safe='')}"
        if len(link) > _MAX_LINK:
            del fields["comment"]
            link = f"{_FORM}?{urlencode(fields, quote_via=quote, safe='')}"
        return link

    @property
    def is_whole(self) -> bool:
        """Whether the link includes the description."""
        return "&comment=" in self.link

    def record(self) -> dict[str, Any]:
        """Return the bug as plain JSON. Its `registrations` is a list in the format of a registration file."""
        return {
            "product": _PRODUCT,
            "component": _COMPONENT,
            "summary": self.summary,
            "text": self.text,
            "link": self.link,
            "registrations": [as_written(registration) for registration in self._distinct()],
            "targets": {target: as_written(one) for target, one in self.registrations.items()},
        }

    def _distinct(self) -> list[Registration]:
        return list(dict.fromkeys(self.registrations.values()))


def _code(text: str) -> str:
    """Return a text as a code span of Markdown on one line, which contains no links (CommonMark 0.31 §6.1)."""
    text = printable(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"


def as_written(registration: Registration) -> dict[str, Any]:
    """Return a registration as plain JSON, with the field names of Treeherder's documentation, and a former rule."""
    written = {
        "exchange": registration.exchange,
        "destinations": list(registration.destinations),
        "projects": list(registration.projects),
    }
    return written if registration.rule is Rule.DESTINATION_PROJECT else written | {"rule": registration.rule.value}
