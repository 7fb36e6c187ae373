"""Render the JSON-e template of a hook. Taskcluster's hooks service does this with JSON-e for JavaScript.

    render({"created": {"$fromNow": "1 day"}}, {"now": datetime.now(UTC)})

The package `json-e` renders the template. `_renderer` loads a second copy of its module `jsone.render`. In this copy,
operators, functions and the interpreter return the results of JavaScript where the results of Python differ: for
numbers, comparisons, and `now`, which is a `Date` in the service. A `Date` is an object without members: `{$eval: now}`
gives the time as text, `$fromNow` adds to it, and `${now}` in a text is an error. docs/hooks.md lists other
differences.

Source: `services/hooks/src/taskcreator.js` of Taskcluster, https://json-e.js.org
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING, Any, NoReturn

from pulsekit.errors import ConfigurationError, InvalidInput
from pulsekit.schemas.keyword_messages import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TemplateError", "check_installed", "date_text", "render"]

_EXACT = 2**53  # JavaScript represents every integer up to this exactly
_LONGEST = 1e21  # JavaScript writes larger numbers with an exponent
_DAYS = {"years": 365, "months": 30, "weeks": 7, "days": 1}
_SIGN = re.compile(r"\s*[-+]?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_EACH = re.compile(r"each\(([a-zA-Z_]\w*)(?:,\s*([a-zA-Z_]\w*))?\)\Z", re.ASCII)


class TemplateError(InvalidInput):
    """Raised when the template of a hook cannot be rendered for a message. Taskcluster stores it as the last fire.

    Attributes:
        reason (str): the reason, in the words of JSON-e.
        place (str): the place in the template, such as `.routes[1]`, or empty.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        self.reason = reason
        self.place = place
        super().__init__(f"at template{place}: {reason}" if place else reason)


class _Date(dict[str, Any]):
    """A `Date` of JavaScript: an object without members, whose JSON is the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


def check_installed() -> None:
    """Check that the package `json-e` is installed.

    Raises:
        ConfigurationError: Raised when the package is not installed.
    """
    if find_spec("jsone") is None:
        raise ConfigurationError("hooks need json-e: run pip install '.[hooks]' in the checkout of pulsekit")


def date_text(when: datetime) -> str:
    """Return a time as JavaScript writes it in JSON: in UTC, with milliseconds."""
    return f"{when.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def render(template: Any, context: Mapping[str, Any]) -> Any:
    """Return the rendered template as plain JSON, or None if the operators produce no value.

    Args:
        template: plain JSON.
        context: the variables. A `datetime` is a `Date` of JavaScript. By default, `now` is the current time as text.

    Raises:
        TemplateError: Raised when the template cannot be rendered.
        ConfigurationError: Raised when the package `json-e` is not installed.
    """
    check_installed()
    renderer = _renderer()
    try:
        now = date_text(datetime.now(UTC))
        value = renderer.renderValue(_read(template), {"now": now} | _functions() | _read(context))
        if renderer.containsFunctions(value):  # a delete marker is a class, which is callable
            if value is renderer.DeleteMarker:
                return None
            raise TemplateError("the result contains a function")
        return _plain(value)
    except renderer.JSONTemplateError as error:
        raise TemplateError(f"{type(error).__name__}: {error.args[0]}", "".join(error.location)) from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise TemplateError(str(error) or type(error).__name__) from None


@lru_cache(maxsize=1)
def _renderer() -> Any:
    """Return a copy of the module `jsone.render`, with the results of JavaScript."""
    spec = find_spec("jsone.render")
    assert spec is not None
    assert spec.loader is not None
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    base: Any = module.Interpreter

    class Interpreter(base):  # type: ignore[misc] # an untyped class
        """The interpreter of expressions, with the numbers, comparisons and indices of JavaScript."""

        def visit_BinOp(self, node: Any) -> Any:  # noqa: N802 - a method of json-e
            kind = node.token.kind
            if kind in {"||", "&&", "."}:
                return super().visit_BinOp(node)
            return _calculated(kind, self.visit(node.left), self.visit(node.right))

        def visit_UnaryOp(self, node: Any) -> Any:  # noqa: N802
            return _number(super().visit_UnaryOp(node))

        def visit_ASTNode(self, node: Any) -> Any:  # noqa: N802
            return _number(super().visit_ASTNode(node))

        def visit_ValueAccess(self, node: Any) -> Any:  # noqa: N802
            value = self.visit(node.arr)
            if not isinstance(value, list | str):
                return super().visit_ValueAccess(node)
            left = _index(self.visit(node.left) if node.left else 0, len(value))
            if node.isInterval:
                return value[left : _index(self.visit(node.right) if node.right else len(value), len(value))]
            return value[left] if left < len(value) else _fail("index out of bounds")

    read: Any = module.Parser

    def parser(source: str, tokenizer: Any) -> Any:
        """Return the parser of an expression. That of JSON-e for Python lets StopIteration through if it is empty."""
        try:
            return read(source, tokenizer)
        except StopIteration:
            return _fail("Unexpected end of input")

    def json_of(template: dict[str, Any], context: dict[str, Any]) -> str:
        module.checkUndefinedProperties(template, [r"\$json"])
        value = module.renderValue(template["$json"], context)
        if module.containsFunctions(value):
            _fail("evaluated template contained uncalled functions")
        return _json(_plain(value))

    def from_now(template: dict[str, Any], context: dict[str, Any]) -> str | None:
        module.checkUndefinedProperties(template, [r"\$fromNow", "from"])
        given = template.get("from")
        reference = module.renderValue(given, context) if given or isinstance(given, dict | list) else None
        return _from_now(context, module.renderValue(template["$fromNow"], context), reference)

    def find(template: dict[str, Any], context: dict[str, Any]) -> Any:
        """Return the item. JSON-e for Python would render it, although it can be a part of the message."""
        value, (key, *more) = module.renderValue(template["$find"], context), [*(template.keys() - {"$find"}), ""]
        each = _EACH.match(key)
        if each is None or more != [""] or not isinstance(value, list) or not isinstance(template[key], str):
            _fail("$find needs an array, and an expression in each(identifier)")
        for number, item in enumerate(value):
            inner = {**context, each[1]: item} | ({each[2]: number} if each[2] else {})
            if module.parse(template[key], inner):
                return item
        return module.DeleteMarker

    def sort(template: dict[str, Any], context: dict[str, Any]) -> list[Any]:
        module.checkUndefinedProperties(template, [r"\$sort", r"by\([a-zA-Z_][a-zA-Z0-9_]*\)"])
        value = module.renderValue(template["$sort"], context)
        if not isinstance(value, list):
            _fail("$sorted values to be sorted must have the same type")
        by = next((key for key in template if key.startswith("by(")), "")
        keys = [module.parse(template[by], {**context, by[3:-1]: item}) for item in value] if by else value
        if not all(map(_is_number, keys)) and not all(isinstance(key, str) for key in keys):
            _fail("$sorted values to be sorted must have the same type")
        return [value[at] for at in sorted(range(len(value)), key=lambda at: _units(keys[at]))]

    module.operators.update({"$json": json_of, "$fromNow": from_now, "$find": find, "$sort": sort})
    module.__dict__.update(Interpreter=Interpreter, Parser=parser, to_str=_text)
    return module


@lru_cache(maxsize=1)
def _functions() -> dict[str, Any]:
    """Return the functions of JSON-e, with the numbers and texts of JavaScript."""
    from jsone import builtins

    def as_builtin(function: Any) -> Any:
        def call(context: Any, *arguments: Any) -> Any:
            return _number(function(context, *arguments))

        call.__dict__["_jsone_builtin"] = True  # json-e then passes the context
        return call

    def replaced(name: str, result: Any, *more: Any) -> Any:
        """Return a function that checks its arguments like json-e's function, but returns another result."""
        check = known[name]

        def call(context: Any, *arguments: Any) -> Any:
            check(context, *more, *arguments)
            return result(*arguments)

        return call

    def from_now(context: Any, *texts: Any) -> str | None:
        if not texts or not all(isinstance(text, str) for text in texts):
            _fail("fromNow expects strings")
        return _from_now(context, *texts[:2])

    known: dict[str, Any] = builtins.build()
    split = known["split"]
    known |= {
        "min": replaced("min", lambda *numbers: min(numbers), 0),  # json-e's function fails for one number
        "max": replaced("max", lambda *numbers: max(numbers), 0),
        "str": replaced("str", _text),
        "join": replaced("join", lambda items, by: _text(by).join(map(_item, items))),
        "number": lambda _, text: _parsed(text) if isinstance(text, str) else _fail("number expects a string"),
        "split": lambda context, text, by: split(context, text, _text(by) if _is_number(by) else by),
        "fromNow": from_now,
    }
    return {name: as_builtin(function) for name, function in known.items()}


def _calculated(kind: str, left: Any, right: Any) -> Any:
    """Return the result of an operator of JSON-e."""
    numbers, texts = _is_number(left) and _is_number(right), isinstance(left, str) and isinstance(right, str)
    match kind:
        case "==" | "!=":
            return (frozen(left) == frozen(right)) is (kind == "==")
        case "in" if isinstance(right, list):
            return any(frozen(left) == frozen(item) for item in right)
        case "in" if texts or (isinstance(left, str) and isinstance(right, dict)):
            return left in right
        case "<" | "<=" | ">" | ">=" if numbers or texts:
            one, two = _units(left), _units(right)
            return (one < two, one <= two, one > two, one >= two)[("<", "<=", ">", ">=").index(kind)]
        case "+" if numbers or texts:
            return _number(left + right)
        case "-" if numbers:
            return _number(left - right)
        case "*" if numbers:
            return _number(left * right)
        case "/" if numbers:
            return _number(left / right) if right else _fail("division by zero")
        case "**" if numbers:
            try:
                return _number(math.pow(right, left))
            except OverflowError:
                return math.inf
            except ValueError:
                return math.nan if right else math.inf
    return _fail(f"infix: {kind} does not accept {_kind(left)} and {_kind(right)}")


def _from_now(context: Mapping[str, Any], offset: Any, reference: Any = None) -> str | None:
    """Return a reference, by default `now`, plus an offset such as `2 days 3 hours`. None if it is not a time."""
    from jsone.shared import FROMNOW_RE

    if not isinstance(offset, str):
        _fail("$fromNow expects a string")
    sign = _SIGN.match(offset)
    assert sign is not None
    found = FROMNOW_RE.match(offset[sign.end() :].lower())
    if found is None:
        _fail(f"{offset!r} is not a time expression")
    amounts = {name: int(amount or 0) for name, amount in found.groupdict().items()}
    days = sum(amounts.pop(name) * length for name, length in _DAYS.items())
    delta = timedelta(days=days, **amounts)
    missing = reference is None or (not reference and not isinstance(reference, list | dict))
    when = _moment(context["now"] if missing else reference)
    return None if when is None else date_text(when - delta if sign[0].endswith("-") else when + delta)


def _moment(value: Any) -> datetime | None:
    """Return the time that JavaScript's `new Date` returns for a value, or None if it is invalid."""
    try:
        if isinstance(value, int | float):  # milliseconds; true counts as 1
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value)
        when = datetime.fromisoformat(value.text if isinstance(value, _Date) else value)
    except (OverflowError, TypeError, ValueError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _index(index: Any, length: int) -> int:
    """Return an index as JavaScript's JSON-e uses it. A negative index counts from the end, at least to 0."""
    if not isinstance(index, int) or isinstance(index, bool):
        _fail("should only use integers to access arrays or strings")
    return max(index + length, 0) if index < 0 else index


def _units(value: Any) -> Any:
    """Return the sort key of a value. For a text, these are its UTF-16 units."""
    return value.encode("utf-16-be", "surrogatepass") if isinstance(value, str) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> Any:
    """Return a number as JavaScript represents it: with 53 bits, and as an integer if that is exact."""
    if isinstance(value, int) and abs(value) > _EXACT:
        return float(value)
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT else value


def _parsed(text: str) -> Any:
    """Return the number to which JavaScript converts a text: 0 for a blank text, NaN for other words."""
    text = text.strip()
    return _number(float(text)) if _NUMBER.match(text) else math.nan if text else 0


def _text(value: Any) -> str:
    """Return the text of a value that is neither a list nor an object."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124 - only NaN differs
    if 1e-6 <= abs(value) < _LONGEST:
        return format(Decimal(repr(value)), "f")
    return re.sub(r"e([+-])0", r"e\1", repr(value))


def _item(value: Any) -> str:
    """Return the text of an item for `join`."""
    if isinstance(value, list):
        return ",".join(map(_item, value))
    return "" if value is None else "[object Object]" if isinstance(value, dict) else _text(value)


def _json(value: Any) -> str:
    """Return plain JSON as text with sorted keys."""
    if isinstance(value, list):
        return f"[{','.join(map(_json, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{_json(name)}:{_json(value[name])}' for name in sorted(value, key=_units))}}}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else _text(value)


def _read(value: Any) -> Any:
    """Return JSON with JavaScript's numbers, and with a `Date` for each time."""
    if isinstance(value, datetime):
        return _Date(date_text(value))
    if isinstance(value, list):
        return [_read(item) for item in value]
    return {name: _read(item) for name, item in value.items()} if isinstance(value, dict) else _number(value)


def _plain(value: Any) -> Any:
    """Return a value as JSON. A `Date` becomes a text, and NaN and infinity become null."""
    if isinstance(value, _Date):
        return value.text
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _fail(reason: str) -> NoReturn:
    from jsone.shared import TemplateError as Failed

    raise Failed(reason)
