"""From payloads to messages: what `publish` sends under which key, and what it refuses."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pulsekit._documents.document import parse_documents, parse_json
from pulsekit._documents.payloads import decode_body, read_canonical
from pulsekit.bindings.matching import check_key
from pulsekit.cli.input.edits import changed, edited
from pulsekit.cli.input.files import bounded_lines, read_input
from pulsekit.cli.input.payloads import is_ndjson
from pulsekit.cli.output.output import fail
from pulsekit.cli.output.verdicts import Placed, placed
from pulsekit.errors import ConfigurationError, DocumentError, InvalidInput, InvalidPayload, Problem, place_text
from pulsekit.records.payload import open_payload
from pulsekit.treeherder import Severity, routing_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from pulsekit._documents.document import Document
    from pulsekit.cli.input.properties import ExtraProperties
    from pulsekit.publisher.encoder import Draft
    from pulsekit.schemas.edits import Edits
    from pulsekit.schemas.schema import Schema
    from pulsekit.treeherder import Linter

    Message: TypeAlias = "tuple[Any, str] | Draft"

__all__ = ["Dropped", "Files", "Messages", "Plan", "Refused", "print_problems"]

_BLOCK = 1 << 20  # bytes of lines that are compared together with what they were before
_SPACE = b" \t\r\n"  # of JSON (RFC 8259 §2)

_check_key = lru_cache(1024)(check_key)


@dataclass(frozen=True, slots=True)
class Refused:
    """Say why a payload cannot be sent.

    Attributes:
        document: the payload, or why it could not be read.
        error: what is wrong with it.
    """

    document: Document | DocumentError
    error: InvalidInput

    @property
    def lint(self) -> Sequence[Placed]:
        """What Treeherder would drop the job for, and what else it would make of it; nothing when it is not valid."""
        return self.error.lint if isinstance(self.error, Dropped) else ()


class Dropped(InvalidPayload):
    """Report a job that is valid, and that Treeherder would drop all the same.

    Attributes:
        lint: all that was found, the worst first.
    """

    def __init__(self, lint: Sequence[Placed]) -> None:
        self.lint = lint
        worst = [one for one in lint if one.finding.severity is Severity.DROPPED]
        problems = [Problem(one.pointer, one.rule, one.message, hint=one.hint) for one, _, _ in worst]
        places = [(line, column) for _, line, column in worst]
        located = [problem.at(*place) for problem, place in zip(problems, places, strict=True)]
        super().__init__(located, "Treeherder's rules")


@dataclass(slots=True)
class Messages:
    """Hold what is sent for one payload.

    Attributes:
        messages: one for each key.
        lint: what Treeherder would make of it that it should not, if that was looked for.
        source: the file the payload is from.
        plain: whether a message is the payload as it is written in the file.
    """

    messages: list[Message]
    lint: Sequence[Placed] = ()
    source: str = ""
    plain: bool = False

    def __len__(self) -> int:
        return len(self.messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)


@dataclass(frozen=True, slots=True)
class Plan:
    """Say what is sent where, and turn a payload into messages.

    Attributes:
        exchange: where to.
        key: one routing key for all, or None.
        destinations: those that were asked for; a message goes to each.
        defaults: those for payloads that have no key of their own when none was asked for.
        schema: what payloads have to be, or None.
        edits: what is changed in payloads before they are judged, or None.
        linter: what knows Treeherder's rules, or None when they are none of its jobs.
        force: whether jobs that Treeherder would drop are sent all the same.
        extras: what every message gets beside its payload, or None.
    """

    exchange: str
    key: str | None
    destinations: tuple[str, ...]
    defaults: tuple[str, ...]
    schema: Schema | None
    edits: Edits | None = None
    linter: Linter | None = field(default=None, compare=False)
    force: bool = False
    extras: ExtraProperties | None = None

    def take(self, document: Document | DocumentError, *, checked: bool = False) -> Messages | Refused:
        """Return the messages of one payload, or why there are none.

        Args:
            document: the payload; one that could not be read is refused.
            checked: whether it is known to be valid.

        Raises:
            ConfigurationError: nothing says which key it has.
        """
        if isinstance(document, DocumentError):
            return Refused(document, document)
        try:
            taken = self.messages(document.value, document, checked=checked)
        except InvalidInput as error:
            return Refused(document, error)
        taken.source = document.source
        return taken

    def messages(
        self,
        value: Any,
        document: Document | None = None,
        *,
        checked: bool = False,
        line: int | None = None,
        size: int | None = None,
    ) -> Messages:
        """Return the messages of one payload.

        Args:
            value: the payload, or a record of a message.
            document: the same with its places, which errors then name.
            checked: whether it is known to be valid.
            line: where the payload stands, when there is no document to say it.
            size: how many bytes the payload has, when that is known.

        Raises:
            InvalidInput: it is invalid, has no key, or Treeherder would drop it.
            ConfigurationError: nothing says which key it has.
        """
        if self.edits is not None:
            size = None
            if document is None:
                value = changed(value, self.edits)
            else:
                document = edited(document, self.edits)
                value = document.value
        opened = open_payload(value, document)
        if opened is None:  # a line of a recording that is no message
            return Messages([])
        record = opened.record
        schema, linter = (None, None) if checked else (self.schema, self.linter)
        made = bool(self.destinations) and self.key is None  # the key, from the job
        read = record is None or schema is not None or linter is not None or made
        payload, places = (opened.value, opened.document) if read else (None, None)
        if schema is not None:
            schema.check(payload if places is None else places)
        keys = self._keys(payload, record.routing_key if record else None)
        lint = () if checked else self._lint(payload, keys, places, line, None if record else size)
        if record is None and not self.extras:
            return Messages([(payload, key) for key in keys], lint)
        from pulsekit.publisher.encoder import Draft

        drafts = [Draft(payload, key) if record is None else Draft.from_record(record, key) for key in keys]
        return Messages(list(map(self.extras.on, drafts)) if self.extras else list(drafts), lint)

    def _lint(
        self, job: Any, keys: Sequence[str], document: Document | None, line: int | None, size: int | None = None
    ) -> Sequence[Placed]:
        """Return what Treeherder has against a job, the worst first.

        Raises:
            Dropped: it would drop the job.
        """
        if self.linter is None:
            return ()
        found = self.linter.lint(job, keys[0], size=size)
        if not found:
            return ()
        lint = [Placed(one, line, None) for one in found] if document is None else placed(found, document)
        if found[0].severity is Severity.DROPPED and not self.force:
            raise Dropped(lint)
        return lint

    def keys(self, body: bytes) -> list[str]:
        """Return the keys of a payload that is known to be valid, and to be no record.

        Raises:
            ConfigurationError: nothing says which key it has.
        """
        return self._keys(None if self.key is not None else decode_body(body), None)

    def _keys(self, payload: Any, own: str | None) -> list[str]:
        if self.key is not None:
            return [_check_key(self.key)]
        if own is not None and not self.destinations:
            return [_check_key(own)]
        targets = self.destinations or self.defaults
        if not targets:
            raise ConfigurationError(
                "no routing key: give --routing-key KEY, --destination D or --target, "
                "or write destinations into pulsekit.yml"
            )
        return [_check_key(routing_key(payload, target)) for target in targets]


class Files:
    """Read files twice: to see what is wrong in them, and to send them.

    They may have changed in between. What is where it was, byte for byte, and was valid is not judged again, nor read
    where it can be sent as it is written; all else is. NDJSON takes the memory of a megabyte, however long it is.
    """

    def __init__(self, names: Sequence[str], plan: Plan) -> None:
        self._names = names
        self._plan = plan
        # Of each block a digest, empty where something was refused, and whether all of it is sent as it is written.
        self._seen: list[tuple[bytes, bool]] = []

    def judged(self) -> Iterator[Messages | Refused]:
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
                valid = valid and not isinstance(result, Refused)
                plain = plain and isinstance(result, Messages) and result.plain
                yield result
            self._seen.append((block.digest() if valid else b"", plain))

    def again(self) -> Iterator[Messages | Refused]:
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

    def results(self, plan: Plan, *, checked: bool) -> Iterator[Messages | Refused]:
        for document in parse_documents(self.data, source=self.source):
            yield plan.take(document, checked=checked)

    def as_written(self, plan: Plan) -> Iterator[Messages | Refused]:
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

    def results(self, plan: Plan, *, checked: bool) -> Iterator[Messages | Refused]:
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
            yield Refused(self.end, self.end)

    def as_written(self, plan: Plan) -> Iterator[Messages | Refused]:
        """Yield the messages of lines that are known to be plain payloads, with their text for a body."""
        for line in self.lines:
            if text := line.strip(_SPACE):
                yield Messages([(text, key) for key in plan.keys(text)], source=self.source)

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


def print_problems(refused: Refused) -> None:
    """Say what is wrong with one payload, a line for each problem."""
    document, error = refused.document, refused.error
    if not isinstance(error, InvalidPayload) or isinstance(document, DocumentError):
        place = "" if isinstance(document, DocumentError) else f"{document.source}, payload {document.index + 1}: "
        fail(f"{place}{error}")
        return
    for problem in error.problems:
        place = place_text(document.source, problem.line, problem.column)
        rule = f"Treeherder would drop this job: {problem} [{problem.rule}]" if refused.lint else str(problem)
        fail(f"{place}: {rule}")
