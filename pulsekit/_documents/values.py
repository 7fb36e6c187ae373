"""Values of JSON, and the JSON pointers that lead to them (RFC 6901)."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["JSON", "pointer_token", "pointer_tokens"]

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"


def pointer_token(key: str) -> str:
    """Escape a key for use in a JSON pointer (RFC 6901 §3)."""
    return key.replace("~", "~0").replace("/", "~1")


def pointer_tokens(pointer: str) -> list[str] | None:
    """Split a JSON pointer into its unescaped tokens (RFC 6901 §4), or return None if it is not a pointer."""
    if not pointer:
        return []
    if not pointer.startswith("/"):
        return None
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]
