"""Names, routing keys, patterns, registrations and their bindings. No I/O.

registration = Registration("exchange/me/v1/jobs", ["treeherder"], ["autoland._"])
[binding.pattern for binding in registration.expand()]       # ["treeherder.autoland._"]
topic_matches("treeherder.#", "treeherder.autoland._")       # True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.bindings.matching import Explanation, explain_match, topic_matches
    from pulsekit.bindings.registration import (
        Binding,
        BindingDiff,
        Registration,
        Rule,
        diff,
        expand,
        read_registrations,
    )
    from pulsekit.bindings.table import BindingTable

__all__ = [
    "Binding", "BindingDiff", "BindingTable", "Explanation", "Registration", "Rule", "diff", "expand",
    "explain_match", "read_registrations", "topic_matches",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "matching": "Explanation explain_match topic_matches",
        "registration": "Binding BindingDiff Registration Rule diff expand read_registrations",
        "table": "BindingTable",
    },
)
