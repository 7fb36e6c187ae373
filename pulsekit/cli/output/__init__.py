"""What commands show: rows, screens, verdicts, colours, and the streams they go to."""

from __future__ import annotations

__all__: list[str] = []
