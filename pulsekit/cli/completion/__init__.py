"""Completion of command lines in the shell."""

from __future__ import annotations

__all__: list[str] = []
