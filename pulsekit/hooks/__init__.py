"""Hooks of Taskcluster on Pulse: predict whether a hook fires for a message, and which task it creates.

    (hook,) = read_hooks("hook.json")
    firing = fire(hook, message.payload, exchange=message.exchange, keys=(message.routing_key, *message.cc))
    firing.outcome               # Outcome.FIRES, DISCARDED, DECLINED …
    firing.task                  # the task that Taskcluster would create

Rendering needs the package `json-e`, the extra `hooks`. docs/hooks.md describes what Taskcluster does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.hooks.firing import Firing, HookTally, Outcome, check_hook, fire
    from pulsekit.hooks.hook import Hook, read_hooks
    from pulsekit.hooks.rendering import TemplateError, render
    from pulsekit.hooks.trigger_schema import TriggerSchema

__all__ = [
    "Firing", "Hook", "HookTally", "Outcome", "TemplateError", "TriggerSchema", "check_hook",
    "fire", "read_hooks", "render",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "firing": "Firing HookTally Outcome check_hook fire",
        "hook": "Hook read_hooks",
        "rendering": "TemplateError render",
        "trigger_schema": "TriggerSchema",
    },
)
