"""JSON, NDJSON and YAML in which every value has a position; JSON pointers; payload bodies."""

from __future__ import annotations

__all__: list[str] = []
