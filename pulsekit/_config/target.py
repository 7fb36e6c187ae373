"""The names of the Treeherder instances that can have settings under `targets` of `pulsekit.yml`."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Target"]


class Target(StrEnum):
    """A Treeherder instance of Mozilla."""

    STAGING = "staging"
    PRODUCTION = "production"
