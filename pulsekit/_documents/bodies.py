"""Read the body of a message that names an encoding or a compression, as kombu does.

The steps of kombu and its AMQP client: decode the bytes by the property `content_encoding`, if Python has an encoding
of this name; decompress the body by the header `compression`; decode the body by the content type. Only the exact type
`application/json` has an enabled JSON decoder. A body of any other type reaches Treeherder as text.
Source: `amqp/abstract_channel.py` of py-amqp; `kombu/message.py`, `compression.py` and `serialization.py` of kombu.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from contextlib import suppress
from importlib import import_module
from typing import Any

from pulsekit._documents.payloads import decode_body
from pulsekit._documents.suggestions import brief
from pulsekit.errors import DocumentError, InvalidInput

__all__ = ["JSON_TYPE", "BodyTooLarge", "UnreadableBody", "decode_described", "read_body"]

JSON_TYPE = "application/json"
_MOST = 64 * 1024 * 1024  # bytes of a body after decompression; RabbitMQ 4 accepts messages of 16 MiB

# For each name of a compression, a module and its function that decompresses. A module is imported when a body needs
# it. Under the name gzip, kombu reads zlib's format (RFC 1950), not that of gzip files.
_METHODS = {
    **dict.fromkeys(("application/x-gzip", "gzip", "zlib"), ("zlib", "decompressobj")),
    **dict.fromkeys(("application/x-bz2", "bzip2", "bzip"), ("bz2", "BZ2Decompressor")),
    **dict.fromkeys(("application/x-lzma", "lzma", "xz"), ("lzma", "LZMADecompressor")),
}


class UnreadableBody(InvalidInput):
    """Raised when a body cannot be decoded by its `content_encoding` or `compression`."""


class BodyTooLarge(InvalidInput):
    """Raised when a body has more than `_MOST` bytes after decompression. The body is not read."""


def read_body(body: bytes, content_encoding: str | None = None, compression: Any = None) -> Any:
    """Return the payload of a body of the content type `application/json`.

    Raises:
        UnreadableBody: Raised when the body cannot be decoded by its encoding or compression.
        BodyTooLarge: Raised when the decompressed body is too large.
        DocumentError: Raised when the body is not JSON.
    """
    text: bytes | str = body
    if content_encoding and content_encoding.lower() not in {"utf-8", "utf8"}:
        with suppress(Exception):  # py-amqp ignores a failure; codecs can raise any exception
            text = body.decode(content_encoding)
    if compression:
        if isinstance(text, str):
            raise UnreadableBody(
                f"the body is decoded as {brief(content_encoding)} first, so it cannot be decompressed"
            )
        text = _decompressed(text, compression)
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    if text.startswith(BOM_UTF8):
        raise DocumentError("the body begins with a byte order mark (U+FEFF), which Treeherder's reader refuses")
    return decode_body(text)


def decode_described(body: bytes, content_encoding: str | None, compression: Any) -> Any:
    """Return the payload of a body: as UTF-8 JSON or, if that fails, by the encoding and compression of its message.

    Raises:
        DocumentError: Raised when the body is not JSON.
    """
    try:
        return decode_body(body)
    except DocumentError:
        if not (content_encoding or compression):
            raise
    try:
        return read_body(body, content_encoding, compression)
    except (UnreadableBody, BodyTooLarge) as error:
        raise DocumentError(str(error), source="body") from None


def _decompressed(body: bytes, name: Any) -> bytes:
    method = _METHODS.get(name) if isinstance(name, str) else None
    if method is None:
        raise UnreadableBody(f'the header "compression" is {brief(name)}, which kombu does not know')
    module, decompressor = method
    reader = getattr(import_module(module), decompressor)()
    try:
        data: bytes = reader.decompress(body, _MOST + 1)
    except Exception as error:
        raise UnreadableBody(
            f'the header "compression" is {brief(name)}, but the body has another format: {error}'
        ) from error
    if len(data) > _MOST:
        raise BodyTooLarge(f"the body has more than {_MOST >> 20} MiB after decompression")
    if not reader.eof:
        raise UnreadableBody(f'the header "compression" is {brief(name)}, but the body is truncated')
    return data
