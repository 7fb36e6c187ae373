"""The output of commands: rows, screens, reports, colours and streams."""

from __future__ import annotations

__all__: list[str] = []
