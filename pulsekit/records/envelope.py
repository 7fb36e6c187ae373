"""The envelope that mozillapulse puts around a payload: `{"payload": …, "_meta": {"exchange", "routing_key", …}}`.

In messages of hgpushes, `_meta` is in the payload. Source: `mozillapulse/messages/base.py` of mozillapulse 1.3.
"""

from __future__ import annotations

from typing import Any

__all__ = ["unwrap"]


def unwrap(payload: Any) -> tuple[Any, dict[str, Any] | None]:
    """Return the inner payload and `_meta` of an envelope, or the unchanged payload and None.

    In summer, `sent` in `_meta` is wrong, because mozillapulse writes a wrong offset.
    """
    if not isinstance(payload, dict) or "payload" not in payload:
        return payload, None
    inner = payload["payload"]
    meta = payload.get("_meta")
    if isinstance(meta, dict):
        return inner, meta
    if isinstance(inner, dict) and isinstance(inner.get("_meta"), dict):
        return {name: value for name, value in inner.items() if name != "_meta"}, inner["_meta"]
    return payload, None
