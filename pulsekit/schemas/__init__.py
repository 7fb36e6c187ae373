"""JSON schemas: load and compile them, validate payloads, and explain errors. The only I/O is reading schema files.

load_schema("pulse-job").validate(job)                       # raises InvalidPayload with all problems
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.schemas.schema import PROFILES, Profile, Schema, load_schema, schema_names

__all__ = ["PROFILES", "Profile", "Schema", "load_schema", "schema_names"]

__getattr__, __dir__ = lazy_names(__name__, {"schema": "PROFILES Profile Schema load_schema schema_names"})
