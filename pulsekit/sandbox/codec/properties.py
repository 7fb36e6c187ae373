"""The properties of a message: read from its content header, and replaced in it (AMQP 0-9-1 §4.2.6.1).

A content header is the class (2 bytes), a weight (2), the size of the body (8), the property flags (2), and then the
value of each property whose flag is set. The highest bit is the flag of the first name in `_NAMES`: the flags 0x9000
announce `content_type` and then `delivery_mode`. The two lowest bits are unused here and must be 0.

A broker forwards properties unchanged. Decoding and encoding them would change the width of numbers. So `Properties`
only finds where each value starts and ends, stores its bytes, and decodes the values that routing needs.

Invariant: the values fill the header exactly. Otherwise, the header is refused.
"""

from __future__ import annotations

import struct
from functools import cached_property, lru_cache
from typing import Final

from pulsekit.sandbox.codec import tables
from pulsekit.sandbox.refusals import Refusal

__all__ = ["Properties"]

_NAMES: Final = (
    "content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to",
    "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id",
)  # fmt: skip
_HEAD = struct.Struct(">HHQH")


@lru_cache(maxsize=256)
def _present(flags: int) -> tuple[str, ...]:
    """Return the names of the properties whose flags are set, in the order of their values."""
    return tuple(name for index, name in enumerate(_NAMES) if flags & (0x8000 >> index))


class Properties:
    """The properties of one content header.

    Raises:
        Refusal: Raised with 502 if the header is malformed.
    """

    def __init__(self, header: bytes) -> None:
        self._fields: dict[str, bytes] = {}
        try:
            flags = _HEAD.unpack_from(header)[3]
            if flags & 3:
                raise Refusal(502, "unknown property flags")
            offset = _HEAD.size
            for name in _present(flags):
                if name == "headers":
                    stop = offset + 4 + int.from_bytes(header[offset : offset + 4], "big")
                elif name == "timestamp":
                    stop = offset + 8
                elif name in {"delivery_mode", "priority"}:
                    stop = offset + 1
                else:
                    stop = offset + 1 + header[offset]
                self._fields[name] = header[offset:stop]
                offset = stop
        except (struct.error, IndexError):
            raise Refusal(502, "malformed content header") from None
        if offset != len(header):
            raise Refusal(502, "malformed content header")

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def text(self, name: str) -> str | None:
        """Return a short string, or None if the message does not have the property."""
        raw = self._fields.get(name)
        return None if raw is None else raw[1:].decode("utf-8", "surrogateescape")

    def octet(self, name: str) -> int | None:
        """Return delivery mode or priority, or None if the message does not have the property."""
        raw = self._fields.get(name)
        return None if raw is None else raw[0]

    @property
    def raw_headers(self) -> bytes:
        """The encoded fields of the headers table, without its length."""
        return self._fields.get("headers", b"")[4:]

    @cached_property
    def headers(self) -> tables.Table:
        """The headers table, decoded on first use.

        Raises:
            Refusal: Raised with 502 if the table is malformed.
        """
        return tables.decode(self.raw_headers)

    def edit(self, size: int, **changes: bytes | None) -> bytes:
        """Encode the header with some properties replaced or, for None, removed.

        Args:
            size: length of the body.
            changes: encoded values. The value of `headers` is the encoded fields of the table without its length.
        """
        fields: dict[str, bytes | None] = {**self._fields}
        for name, value in changes.items():
            fields[name] = struct.pack(">I", len(value)) + value if name == "headers" and value is not None else value
        present = [(index, raw) for index, name in enumerate(_NAMES) if (raw := fields.get(name)) is not None]
        flags = sum(0x8000 >> index for index, _ in present)
        return _HEAD.pack(60, 0, size, flags) + b"".join(raw for _, raw in present)
