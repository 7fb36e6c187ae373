"""Publish to one exchange: validate, encode, send, and wait for the broker's confirm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.publisher.dry_run import DryRun, DryRunMessage
    from pulsekit.publisher.encoder import Draft
    from pulsekit.publisher.planned import PlannedPublish
    from pulsekit.publisher.planning import ExtraProperties, PlannedMessages, PublishPlan, RefusedJob, RefusedPayload
    from pulsekit.publisher.publisher import Publisher

__all__ = [
    "Draft", "DryRun", "DryRunMessage", "ExtraProperties", "PlannedMessages", "PlannedPublish", "PublishPlan",
    "Publisher", "RefusedJob", "RefusedPayload",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "dry_run": "DryRun DryRunMessage",
        "encoder": "Draft",
        "planned": "PlannedPublish",
        "planning": "ExtraProperties PlannedMessages PublishPlan RefusedJob RefusedPayload",
        "publisher": "Publisher",
    },
)
