"""The completions that the shell offers after TAB."""

from __future__ import annotations

__all__: list[str] = []
