"""The context of a verdict: the properties of a message, and of the Treeherder instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date

    from pulsekit.bindings.rules import Rule
    from pulsekit.schemas.profiles import Profile

__all__ = ["NOTHING", "Context"]


@dataclass(frozen=True, slots=True)
class Context:
    """The properties of a message besides its payload, and of the Treeherder instance. None means unknown.

    Attributes:
        content_type: the property of the message; empty if the message has none.
        content_encoding: the property of the message; empty if the message has none.
        compression: kombu's header `compression`; empty if the message has none.
        routing_key: the routing key.
        rule: the rule by which the exchange is registered.
        rules: the rule of each exchange, which replaces `rule` for a message or record with an exchange.
        profile: the profile of the schema for `Verdict.problems`: `treeherder`, or `strict`, which also checks dates
            and URIs. The outcome is always that of Treeherder.
        repositories: whether each repository of Treeherder is active, by name.
        ingested: the projects in `PROJECTS_TO_INGEST` of the Treeherder instance, or the text of this variable. The
            instance stores only tasks of these projects.
        today: the day on which Treeherder reads the job. The default is today in UTC.
    """

    content_type: str | None = None
    content_encoding: str | None = None
    compression: Any = None
    routing_key: str | None = None
    rule: Rule | None = None
    rules: Mapping[str, Rule] | None = None
    profile: Profile = "treeherder"
    repositories: Mapping[str, bool] | None = None
    ingested: Collection[str] | None = None
    today: date | None = None


NOTHING = Context()
