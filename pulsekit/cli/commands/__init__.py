"""The commands: one module each, and a package for a command that needs several."""

from __future__ import annotations

__all__: list[str] = []
