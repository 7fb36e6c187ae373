"""Treeherder's verdict in the place of a schema: for the messages of a publisher or of a consumer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pulsekit._documents.bodies import JSON_TYPE
from pulsekit.errors import InvalidPayload
from pulsekit.messages import MessageCheck
from pulsekit.schemas.revisions import TODAY
from pulsekit.schemas.schema import MOST_PROBLEMS
from pulsekit.treeherder.context import Context
from pulsekit.treeherder.rules import RULES, Severity
from pulsekit.treeherder.verdict import Judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulsekit._amqp.types import Properties
    from pulsekit.errors import Problem
    from pulsekit.messages import Message
    from pulsekit.schemas.schema import Profile, Schema

__all__ = ["JobCheck", "message_check"]

_NOT_DROPPING = [rule.name for rule in RULES if rule.severity is not Severity.DROPPED]


class JobCheck(MessageCheck):
    """A check that refuses the jobs that Treeherder drops. Rules that only change how a job is shown are not applied.

    Args:
        profile: `strict` also refuses dates and URIs that Treeherder accepts, as the schema `pulse-job` does.
    """

    name = TODAY

    def __init__(self, profile: Profile = "strict") -> None:
        self._judge = Judge(_NOT_DROPPING)
        self._received = Context(profile=profile)
        self._sent = Context(content_type=JSON_TYPE, profile=profile)

    def problems(self, message: Message, *, most: int = MOST_PROBLEMS) -> tuple[Problem, ...]:
        """Return the reasons why Treeherder drops a message, and the violations of the schema."""
        return self._judge.judge(message, self._received, most=most).reasons

    def check(self, payload: Any, properties: Properties, headers: Mapping[str, Any]) -> None:
        """Return if a message may be published, which JSON has a form for.

        Args:
            payload: the payload, or the body as bytes.
            properties: the properties of the message; without content type, it is sent as JSON.
            headers: the headers of the message.

        Raises:
            InvalidPayload: Raised with all reasons against it.
        """
        context = self._sent
        kind, encoding, compression = properties.content_type, properties.content_encoding, headers.get("compression")
        if kind or encoding or compression:
            context = replace(
                context, content_type=kind or JSON_TYPE, content_encoding=encoding, compression=compression
            )
        if reasons := self._judge.judge(payload, context, size=0).reasons:  # no rule of these needs the size
            raise InvalidPayload(reasons, self.name)


def message_check(schema: Schema) -> Schema | MessageCheck:
    """Return what checks the messages of a consumer: for Treeherder's schema the whole verdict, else the schema."""
    return JobCheck() if schema.name == TODAY else schema
