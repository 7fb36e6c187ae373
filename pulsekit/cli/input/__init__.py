"""The input of commands: files, pipes, registrations and answers to questions."""

from __future__ import annotations

__all__: list[str] = []
