"""Text that must not appear in messages, for commands that need no broker."""

from __future__ import annotations

__all__ = ["Secret"]


class Secret(str):
    """Text whose `repr` hides it, because tools for error reports show variables by `repr`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"
