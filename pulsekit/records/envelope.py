"""The envelope that mozillapulse puts around a payload: `{"payload": …, "_meta": {"exchange", "routing_key", …}}`.

hgpushes puts `_meta` inside of the payload. Source: "The envelope of mozillapulse" of the facts about Pulse.
"""

from __future__ import annotations

from typing import Any

__all__ = ["unwrap"]


def unwrap(payload: Any) -> tuple[Any, dict[str, Any] | None]:
    """Return what is in the envelope, and its `_meta`; what has no envelope is returned as it is, with None.

    `sent` in `_meta` is wrong in summer, by mozillapulse's own mistake.
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
