"""The commands: a module for each command, or a package if a command needs several modules."""

from __future__ import annotations

__all__: list[str] = []
