"""What commands show: rows, screens, reports, colours, and the streams they go to."""

from __future__ import annotations

__all__: list[str] = []
