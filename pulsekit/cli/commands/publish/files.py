"""Files of payloads that `publish` reads twice: to see what is wrong in them, and to send them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulsekit._documents.document import parse_documents, parse_json
from pulsekit._documents.payloads import decode_body, read_canonical
from pulsekit.cli.input.files import bounded_lines, read_input
from pulsekit.cli.input.payloads import is_ndjson
from pulsekit.errors import DocumentError, InvalidInput
from pulsekit.publisher.planning import PlannedMessages, RefusedPayload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pulsekit._documents.document import Document
    from pulsekit.publisher.planning import PublishPlan

__all__ = ["Files"]

_BLOCK = 1 << 20  # bytes of lines that are compared together with what they were before
_SPACE = b" \t\r\n"  # of JSON (RFC 8259 §2)


class Files:
    """Read files twice: to see what is wrong in them, and to send them.

    They may have changed in between. What is where it was, byte for byte, and was valid is not judged again, nor read
    where it can be sent as it is written; all else is. NDJSON takes the memory of a megabyte, however long it is.
    """

    def __init__(self, names: Sequence[str], plan: PublishPlan) -> None:
        self._names = names
        self._plan = plan
        # Of each block a digest, empty where something was refused, and whether all of it is sent as it is written.
        self._seen: list[tuple[bytes, bool]] = []

    def judged(self) -> Iterator[PlannedMessages | RefusedPayload]:
        """Yield what is sent for each payload, or why it is refused.

        Raises:
            OSError: a file cannot be read.
            DocumentError: one is not JSON or YAML, or is too large to be read whole.
            ConfigurationError: nothing says which key a payload has.
        """
        self._seen.clear()
        for block in _blocks(self._names):
            valid = plain = True
            for result in block.results(self._plan, checked=False):
                valid = valid and not isinstance(result, RefusedPayload)
                plain = plain and isinstance(result, PlannedMessages) and result.plain
                yield result
            self._seen.append((block.digest() if valid else b"", plain))

    def again(self) -> Iterator[PlannedMessages | RefusedPayload]:
        """Yield the same once more; raise the same."""
        seen = iter(self._seen)
        for block in _blocks(self._names):
            digest, plain = next(seen, (b"", False))
            checked = digest == block.digest()
            if checked and plain:
                yield from block.as_written(self._plan)
            else:
                yield from block.results(self._plan, checked=checked)


@dataclass(frozen=True, slots=True)
class _Whole:
    """Hold a file that cannot be read in parts."""

    source: str
    data: bytes

    def digest(self) -> bytes:
        return hashlib.sha256(self.data).digest()

    def results(self, plan: PublishPlan, *, checked: bool) -> Iterator[PlannedMessages | RefusedPayload]:
        for document in parse_documents(self.data, source=self.source):
            yield plan.take(document, checked=checked)

    def as_written(self, plan: PublishPlan) -> Iterator[PlannedMessages | RefusedPayload]:
        return self.results(plan, checked=True)


@dataclass(frozen=True, slots=True)
class _Lines:
    """Hold some lines of NDJSON.

    Attributes:
        source: the name of the file.
        before: lines before these.
        index: payloads before these.
        lines: the lines.
        end: why no more could be read, or None.
    """

    source: str
    before: int
    index: int
    lines: list[bytes]
    end: DocumentError | None = None

    def digest(self) -> bytes:
        return hashlib.sha256(b"".join(self.lines)).digest()

    def results(self, plan: PublishPlan, *, checked: bool) -> Iterator[PlannedMessages | RefusedPayload]:
        index = self.index
        for number, line in enumerate(self.lines, self.before + 1):
            text = line.strip(_SPACE)
            if not text:
                continue
            try:
                # Most jobs are valid and written plainly; only what is not needs to know its places.
                value = decode_body(text) if checked else read_canonical(text)
                taken = plan.messages(value, checked=checked, line=number, size=len(text))
                taken.source = self.source
                if not checked and plan.edits is None and taken.messages:
                    taken.plain = (
                        type(taken.messages[0]) is tuple
                    )  # no record; and `encode_payload` would write the same
                yield taken
            except (ValueError, InvalidInput):
                yield plan.take(self._document(line, number, index))
            index += 1
        if self.end is not None:
            yield RefusedPayload(self.end, self.end)

    def as_written(self, plan: PublishPlan) -> Iterator[PlannedMessages | RefusedPayload]:
        """Yield the messages of lines that are known to be plain payloads, with their text for a body."""
        for line in self.lines:
            if text := line.strip(_SPACE):
                yield PlannedMessages([(text, key) for key in plan.keys(text)], source=self.source)

    def _document(self, line: bytes, number: int, index: int) -> Document | DocumentError:
        try:
            return parse_json(line, source=self.source, first_line=number, index=index)
        except DocumentError as error:
            return error


def _blocks(names: Sequence[str]) -> Iterator[_Whole | _Lines]:
    for name in names:
        with open(name, "rb", buffering=_BLOCK) as file:  # noqa: PTH123 - messages show the name as it was given
            if not is_ndjson(file, name):
                yield _Whole(name, read_input(name)[0])
                continue
            file.seek(0)
            before = index = size = 0
            lines: list[bytes] = []
            end = None
            try:
                for line in bounded_lines(file, name):
                    lines.append(line)
                    size += len(line)
                    if size >= _BLOCK:
                        yield _Lines(name, before, index, lines)
                        before += len(lines)
                        index += sum(1 for line in lines if line.strip(_SPACE))
                        lines, size = [], 0
            except DocumentError as error:
                end = error
            yield _Lines(name, before, index, lines, end)
