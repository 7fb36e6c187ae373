"""The files of payloads that `publish` reads twice, to validate the payloads and to send them.

Plan: a file of NDJSON is read in blocks of about a megabyte, any other file as one block. The first pass validates each
payload, and stores one digest per block, or an empty digest if the block has a refused payload. The second pass reads
the same blocks. If the digest of a block is unchanged, its payloads are not validated again. If they are also plain,
each line is sent without parsing it. Plain means that `encode_payload` would return the same bytes.

Invariant: exactly the bytes that are sent were validated.

Example: if a line is added at the end of a file between the passes, only the last block is validated again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulsekit._documents.canonical import read_canonical
from pulsekit._documents.document import parse_documents, parse_json
from pulsekit._documents.lines import check_line
from pulsekit._documents.payloads import decode_body
from pulsekit.cli.input.files import bounded_lines, check_seekable, read_input
from pulsekit.cli.input.payloads import is_ndjson
from pulsekit.errors import DocumentError, InvalidInput
from pulsekit.publisher.planning import PlannedMessages, RefusedPayload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pulsekit._documents.document import Document
    from pulsekit.publisher.planning import PublishPlan

__all__ = ["Files"]

_BLOCK = 1 << 20  # bytes of a block of lines, which has one digest
_SPACE = b" \t\r\n"  # the whitespace of JSON (RFC 8259 §2)


class Files:
    """The payloads of files, read twice: for validation and for sending.

    The files may change between the two passes, see the module. One block of NDJSON is in memory.
    """

    def __init__(self, names: Sequence[str], plan: PublishPlan) -> None:
        self._names = names
        self._plan = plan
        # For each block: its digest, empty if a payload was refused, and whether all its payloads are plain.
        self._seen: list[tuple[bytes, bool]] = []

    def judged(self) -> Iterator[PlannedMessages | RefusedPayload]:
        """Yield the planned messages of each payload, or the reason why it is refused.

        Raises:
            OSError: Raised when a file cannot be read.
            DocumentError: Raised when a file is not JSON or YAML, or is larger than the limit.
            ConfigurationError: Raised when a payload has no routing key.
        """
        self._seen.clear()
        for block in _blocks(self._names):
            valid = plain = True
            for result in block.results(self._plan, checked=False):
                valid = valid and not isinstance(result, RefusedPayload)
                plain = plain and isinstance(result, PlannedMessages) and result.plain
                if result:  # the header, a gap or the trailer of a recording has no message
                    yield result
            self._seen.append((block.digest() if valid else b"", plain))

    def again(self) -> Iterator[PlannedMessages | RefusedPayload]:
        """Yield the results of the second pass. The exceptions are those of `judged`."""
        seen = iter(self._seen)
        for block in _blocks(self._names):
            digest, plain = next(seen, (b"", False))
            checked = digest == block.digest()
            if checked and plain:
                yield from block.as_written(self._plan)
            else:
                yield from filter(None, block.results(self._plan, checked=checked))


@dataclass(frozen=True, slots=True)
class _Whole:
    """A block with a complete file that is not NDJSON."""

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
    """A block of lines of NDJSON.

    Attributes:
        source: the name of the file.
        before: the number of lines before the block.
        index: the number of payloads before the block.
        lines: the lines.
    """

    source: str
    before: int
    index: int
    lines: list[bytes]

    def digest(self) -> bytes:
        return hashlib.sha256(b"".join(self.lines)).digest()

    def results(self, plan: PublishPlan, *, checked: bool) -> Iterator[PlannedMessages | RefusedPayload]:
        index = self.index
        for number, line in enumerate(self.lines, self.before + 1):
            text = line.strip(_SPACE)
            if not text:
                continue
            try:
                check_line(text, self.source, number)
                # Most jobs are valid. So a line is parsed with positions of values only after a failure.
                value = decode_body(text) if checked else read_canonical(text)
                taken = plan.messages(value, checked=checked, line=number, size=len(text))
                taken.source = self.source
                if not checked and plan.edits is None and taken.messages:
                    taken.plain = (
                        type(taken.messages[0]) is tuple
                    )  # not a record, so `encode_payload` would return the same bytes
                yield taken
            except (ValueError, InvalidInput):
                yield plan.take(self._document(line, number, index))
            index += 1

    def as_written(self, plan: PublishPlan) -> Iterator[PlannedMessages | RefusedPayload]:
        """Yield the messages of lines that are plain payloads. The body of a message is the text of its line."""
        for line in self.lines:
            if text := line.strip(_SPACE):
                yield PlannedMessages([(text, key) for key in plan.keys(text)], source=self.source)

    def _document(self, line: bytes, number: int, index: int) -> Document | DocumentError:
        try:
            check_line(line, self.source, number)
            return parse_json(line, source=self.source, first_line=number, index=index)
        except DocumentError as error:
            return error


def _blocks(names: Sequence[str]) -> Iterator[_Whole | _Lines]:
    for name in names:
        check_seekable(name, reads_stdin=True)
        with open(name, "rb", buffering=_BLOCK) as file:  # noqa: PTH123 - an OSError shows the name as the user wrote it
            if not is_ndjson(file, name):
                yield _Whole(name, read_input(name)[0])
                continue
            file.seek(0)
            before = index = size = 0
            lines: list[bytes] = []
            for line in bounded_lines(file):
                lines.append(line)
                size += len(line)
                if size >= _BLOCK:
                    yield _Lines(name, before, index, lines)
                    before += len(lines)
                    index += sum(1 for line in lines if line.strip(_SPACE))
                    lines, size = [], 0
            yield _Lines(name, before, index, lines)
