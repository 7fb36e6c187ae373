"""The names of the Treeherders that `pulsekit.yml` can have settings for, under `targets`."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Target"]


class Target(StrEnum):
    """Name a Treeherder of Mozilla's."""

    STAGING = "staging"
    PRODUCTION = "production"
