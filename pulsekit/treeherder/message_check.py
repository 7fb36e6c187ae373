"""The check of a publisher's or consumer's messages by Treeherder's verdict instead of a schema."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pulsekit._documents.bodies import JSON_TYPE
from pulsekit.errors import InvalidPayload
from pulsekit.messages import MessageCheck
from pulsekit.schemas.names import TODAY
from pulsekit.schemas.schema import MOST_PROBLEMS
from pulsekit.treeherder.context import Context
from pulsekit.treeherder.rule_list import RULES, Severity
from pulsekit.treeherder.verdict import Judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulsekit._amqp.types import Properties
    from pulsekit.errors import Problem
    from pulsekit.messages import Message
    from pulsekit.schemas.profiles import Profile
    from pulsekit.schemas.schema import Schema

__all__ = ["JobCheck", "message_check"]

_NOT_DROPPING = [rule.name for rule in RULES if rule.severity is not Severity.DROPPED]


class JobCheck(MessageCheck):
    """A check that refuses jobs that Treeherder drops. Rules of other severities are not applied.

    Args:
        profile: `strict` also refuses malformed dates and URIs, which Treeherder accepts.
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
        """Check a message before it is published. Its payload can be encoded as JSON.

        Args:
            payload: the payload, or the body as bytes.
            properties: the properties of the message. The default content type is JSON.
            headers: the headers of the message.

        Raises:
            InvalidPayload: Raised when Treeherder would drop the message, with all reasons.
        """
        context = self._sent
        kind, encoding, compression = properties.content_type, properties.content_encoding, headers.get("compression")
        if kind or encoding or compression:
            context = replace(
                context, content_type=kind or JSON_TYPE, content_encoding=encoding, compression=compression
            )
        if reasons := self._judge.judge(payload, context, size=0).reasons:  # none of these rules needs the size
            raise InvalidPayload(reasons, self.name)


def message_check(schema: Schema) -> Schema | MessageCheck:
    """Return the check of a consumer's messages: the verdict for Treeherder's schema, otherwise the schema."""
    return JobCheck() if schema.name == TODAY else schema
