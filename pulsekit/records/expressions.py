"""JMESPath over records: select messages, and parts of them.

    failed = Filter("payload.result == 'fail' && payload.tier == `1`")
    failed.matches(message_record(message))                   # True or False for any message

The language is described at https://jmespath.org. jmespath, its reference implementation, is imported with the first
expression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulsekit._documents.ndjson import dump_line
from pulsekit.errors import ConfigurationError
from pulsekit.records.fields import MissingFields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Filter", "Query"]

_EXAMPLE = "payload.result == 'fail'"
_MOST = 200  # maximum characters of an error, which may quote a payload


class _Expression:
    """A compiled expression.

    Attributes:
        text: the expression.
        failures: the number of records for which the evaluation failed, such as the sum of texts.
        failure: the error of the first failure.
    """

    _NAME = "the expression"

    def __init__(self, text: str, *, name: str = "") -> None:
        """Compile an expression.

        Args:
            text: JMESPath, such as `payload.result == 'fail'`.
            name: the name of the expression in error messages.

        Raises:
            ConfigurationError: Raised when the text is not JMESPath, or calls an unknown function. The error names the
                position.
        """
        self.text = text
        self.failures: int = 0
        self.failure: str = ""
        self._compiled = _compile(text, name or self._NAME)
        self._missing = MissingFields(self._compiled.parsed)

    @property
    def missing_fields(self) -> tuple[str, ...]:
        """The fields that no record has had so far, each with a suggestion."""
        return self._missing.words()

    def _evaluate(self, record: Mapping[str, Any]) -> tuple[bool, Any]:
        """Return whether there is a value, and the value."""
        if self._missing:
            self._missing.look(record)
        try:
            return True, self._compiled.search(record)
        except Exception as error:  # noqa: BLE001 - a payload can cause any exception; the next message may succeed
            self._count(error)
            return False, None

    def _count(self, error: Exception) -> None:
        self.failures += 1
        if not self.failure:
            self.failure = next(iter(str(error).splitlines()), "")[:_MOST] or type(error).__name__


class Filter(_Expression):
    """A filter of records. All values count as true, except `null`, `false`, and empty texts, lists and objects."""

    _NAME = "the filter"

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Return whether the expression is true for a record. If it fails, count the failure and return False."""
        value = self._evaluate(record)[1]
        # In JMESPath, 0 is true.
        return not (value is None or value is False or (isinstance(value, str | list | dict) and not value))


class Query(_Expression):
    """A query, whose value replaces a record, such as `[routing_key, payload.state]`."""

    _NAME = "the query"

    def line(self, record: Mapping[str, Any]) -> str | None:
        """Return the value for a record as a line of JSON. If the query fails, count the failure and return None."""
        worked, value = self._evaluate(record)
        if not worked:
            return None
        try:
            return dump_line(value)
        except (ValueError, RecursionError) as error:  # for example, a sum that JSON cannot represent
            self._count(error)
            return None


def _compile(text: str, name: str) -> Any:
    import jmespath
    from jmespath.exceptions import JMESPathError
    from jmespath.functions import Functions

    try:
        compiled = jmespath.compile(text)
    except (JMESPathError, RecursionError) as error:
        raise ConfigurationError(_words(text, name, error)) from error
    for function, arguments in _calls(compiled.parsed):
        known = Functions.FUNCTION_TABLE.get(function)
        if known is None:  # jmespath reports this only when it evaluates the expression
            raise ConfigurationError(
                f"{name}: unknown function {function}(); JMESPath has {', '.join(sorted(Functions.FUNCTION_TABLE))}"
            )
        wanted = known["signature"]
        variadic = bool(wanted) and bool(wanted[-1].get("variadic"))
        if arguments < len(wanted) or (arguments > len(wanted) and not variadic):
            least = "at least " if variadic else ""
            raise ConfigurationError(f"{name}: {function}() takes {least}{len(wanted)} arguments, not {arguments}")
    return compiled


def _words(text: str, name: str, error: Exception) -> str:
    if not text.strip():
        return f"{name} is empty: write an expression such as {_EXAMPLE!r} (https://jmespath.org)"
    if isinstance(error, RecursionError):
        return f"{name} is nested too deeply"
    place = getattr(error, "lex_position", None)
    if place is None:
        return f"{name} {text!r:.80} is not JMESPath: {error}"
    part = text[place : place + 20]
    where = f"at {part!r} (character {place + 1})" if part else "at its end, which is incomplete"
    return f"{name} {text!r:.200} is not JMESPath {where}; an example is {_EXAMPLE!r} (https://jmespath.org)"


def _calls(node: Any) -> Iterator[tuple[str, int]]:
    """Yield each function that an expression calls, and the number of its arguments."""
    if not isinstance(node, dict):
        return
    if node["type"] == "function_expression":
        yield node["value"], len(node["children"])
    for child in node["children"]:
        yield from _calls(child)
