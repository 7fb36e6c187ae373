"""The profiles of a schema. They are not in `schema`, so that options of commands do not import that module.

`treeherder` gives the verdict of Python's `jsonschema` without a format checker, as in `treeherder/etl/schema.py`.
`strict` also checks the formats `date-time` and `uri`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["PROFILES", "Profile"]

Profile: TypeAlias = Literal["strict", "treeherder"]
PROFILES: tuple[Profile, ...] = ("strict", "treeherder")
