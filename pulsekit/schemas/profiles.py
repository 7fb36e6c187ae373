"""The profiles by which a schema decides, apart from `schema`, so that options of commands do not load schemas.

`treeherder` gives the verdict of Python's `jsonschema` without a format checker, as in `treeherder/etl/schema.py`.
`strict` also asserts the formats `date-time` and `uri`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["PROFILES", "Profile"]

Profile: TypeAlias = Literal["strict", "treeherder"]
PROFILES: tuple[Profile, ...] = ("strict", "treeherder")
