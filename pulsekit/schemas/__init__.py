"""JSON schemas: load and compile them, validate payloads, and explain errors. The only I/O is reading schema files.

load_schema("pulse-job").validate(job)                       # raises InvalidPayload with all problems
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.schemas.profiles import PROFILES, Profile
    from pulsekit.schemas.schema import Schema, load_schema, schema_names

__all__ = ["PROFILES", "Profile", "Schema", "load_schema", "schema_names"]

__getattr__, __dir__ = lazy_names(
    __name__, {"profiles": "PROFILES Profile", "schema": "Schema load_schema schema_names"}
)
