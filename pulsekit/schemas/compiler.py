"""Compile a schema to Python code with fastjsonschema. Its verdicts equal those of Python's `jsonschema`.

The plan has three steps:
1. `_Copier` copies the keywords that affect validity. The copy has no defaults, which fastjsonschema would write into
payloads; no `$id` and `$ref` that fastjsonschema would fetch; numbers as names of definitions, so that names of
functions cannot collide; patterns instead of formats; and `$` in patterns with the meaning of Python's `re`. 2.
fastjsonschema turns the copy into source text, with the changes of `generator`, which make it faster. 3. `_Trimmer`
removes the error messages from the syntax tree of this text, and renames the rest. The code raises `Refused` without a
message, and imports only `runtime`. `explain` produces the messages.

    {"pattern": "^a"}   becomes   SEARCH_0 = searcher('^a')
                                  …
                                  if isinstance(data, str):
                                      if not SEARCH_0(data):
                                          raise Refused

The invariant: the compiled code and `explain` give the same verdict on every payload (tests/schemas).
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from fastjsonschema import JsonSchemaDefinitionException

from pulsekit.errors import SchemaError
from pulsekit.schemas.drafts import KEYWORDS
from pulsekit.schemas.formats import FORMATS
from pulsekit.schemas.generator import generate_code
from pulsekit.schemas.runtime import ENTRY, execute, without_pattern_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import CodeType

    from pulsekit.schemas.drafts import CheckedSchema, Subschema
    from pulsekit.schemas.runtime import Validator

__all__ = ["compile_members", "compile_schema", "generate"]

_PREAMBLE = """\
from pulsekit.schemas.runtime import Refused, searcher

NoneType = type(None)
"""
_MOST_WITHIN = 8  # nested subschemas; each needs some of the 20 nested loops and 100 indents of a Python function
_PREFIX = "validate"  # prefix of the names of fastjsonschema's functions


# An escape, a comment, a group that sets the flag m, a class in brackets, or a dollar sign that means the end.
# fastjsonschema replaces every dollar sign without a backslash by the end of the text, also within brackets. Python's
# `$` also matches before a trailing newline.
_DOLLARS = re.compile(
    r"\\.|\(\?#[^)]*\)|(?P<multiline>\(\?[aiLsux]*m)|(?P<brackets>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<end>\$)", re.DOTALL
)


def compile_schema(schema: CheckedSchema, *, formats: bool) -> CodeType:
    """Return code for `runtime.bind`: a validator that does not change payloads.

    Args:
        schema: the schema, which is not changed.
        formats: whether `date-time` and `uri` are asserted.

    Raises:
        SchemaError: Raised when fastjsonschema cannot compile the schema.
    """
    return compile(generate(schema, {ENTRY: formats}), "<schema>", "exec", dont_inherit=True)


def generate(schema: CheckedSchema, entries: Mapping[str, bool]) -> ast.Module:
    """Return a module with several validators.

    Args:
        schema: the schema, which is not changed.
        entries: for each name of a validator, whether it asserts formats.

    Raises:
        SchemaError: Raised when fastjsonschema cannot compile the schema.
    """
    return _module(schema, {entry: _Copier(schema, formats=formats) for entry, formats in entries.items()})


def compile_members(schema: CheckedSchema, *, formats: bool) -> dict[int, Validator]:
    """Return a validator for each subschema, by the `id()` of the subschema, which must not change while it is used.

    Args:
        schema: the schema, which is not changed.
        formats: whether `date-time` and `uri` are asserted.

    Raises:
        SchemaError: Raised when fastjsonschema cannot compile the schema.
    """
    copier = _Copier(schema, formats=formats, most_within=0)
    scope = execute(compile(_module(schema, {ENTRY: copier}), "<schema>", "exec", dont_inherit=True))
    names = {identity: f"{ENTRY}___definitions_{number}" for identity, number in copier.numbers.items()}
    # A subschema without effect, such as `then` without `if`, has no function.
    validators: dict[int, Validator] = {identity: scope[name] for identity, name in names.items() if name in scope}
    targets = schema.targets.items()
    return validators | {identity: validators[id(target)] for identity, target in targets if id(target) in validators}


def _module(schema: CheckedSchema, copiers: Mapping[str, _Copier]) -> ast.Module:
    """Return a module with a validator for each copy of the schema."""
    module = ast.parse(_PREAMBLE)
    searches: dict[str, str] = {}
    functions: list[ast.stmt] = []
    for entry, copier in copiers.items():
        try:
            with without_pattern_warnings():
                source = generate_code(copier.root(), schema.draft)
        except JsonSchemaDefinitionException as error:
            raise SchemaError(f"the schema cannot be compiled: {error}") from error
        functions += _Trimmer(ast.parse(source), entry, searches).functions()
    for pattern, name in searches.items():
        module.body += ast.parse(f"{name} = searcher({pattern!a})").body
    module.body += functions
    return module


def _without_dollar(match: re.Match[str]) -> str:
    """Rewrite a part of a pattern, so that fastjsonschema matches the same texts as `re.search` of the original."""
    if match["end"]:
        return r"(?=\n?\Z)"
    if match["multiline"]:
        raise SchemaError(f"the pattern {match.string!a} sets the flag m, which is not supported: remove it")
    if match["brackets"]:
        return re.sub(r"\\.|\$", lambda inner: r"\$" if inner[0] == "$" else inner[0], match[0], flags=re.DOTALL)
    return match[0]


class _Copier:
    """A copier of the keywords that affect validity. Each `$ref` becomes `#/definitions/<number>`, in order.

    A deeply nested subschema also becomes a definition, because each level is a block of Python code, and Python limits
    the nesting of blocks.

    Args:
        checked: the schema.
        formats: whether `date-time` and `uri` are asserted.
        most_within: how many subschemas may be nested in a definition.

    Attributes:
        numbers: the number of the definition of a subschema, by its `id()`.
    """

    def __init__(self, checked: CheckedSchema, *, formats: bool, most_within: int = _MOST_WITHIN) -> None:
        self._checked = checked
        self._formats = formats
        self._most_within = most_within
        self.numbers: dict[int, int] = {}
        self._apart: list[Subschema] = []

    def root(self) -> Subschema:
        """Return the copy of the schema, with all subschemas that are referenced, directly or indirectly."""
        root = self.copy(self._checked.root)
        if isinstance(root, dict):
            copies = root["definitions"] = {}
            while len(copies) < len(self._apart):
                copies[str(len(copies))] = self.copy(self._apart[len(copies)])
        return root

    def copy(self, schema: Subschema, within: int = 0) -> Subschema:
        if isinstance(schema, bool):
            return schema
        if "$ref" in schema:
            return self._reference(self._checked.target(schema))
        if within > self._most_within:
            return self._reference(schema)
        copied = {}
        for keyword, value in schema.items():
            shape, since = KEYWORDS.get(keyword, ("", 9))
            is_elsewhere = shape in {"definitions", "format", "value"}
            allows_all = shape == "additional" and value is True  # it does not compile in draft 4
            if since <= self._checked.draft and not is_elsewhere and not allows_all:
                copied[keyword] = self._value(shape, value, within + 1)
        more: list[Subschema] = []
        if "const" in schema and self._checked.has("const"):  # without detailed exceptions `const` does not compile
            more.append({"enum": [schema["const"]]})
        if self._formats and schema.get("format") in FORMATS:
            more.append({"pattern": FORMATS[schema["format"]].pattern})
        if more:
            copied["allOf"] = [*copied.get("allOf", ()), *more]
        return copied

    def _reference(self, target: Subschema) -> Subschema:
        number = self.numbers.setdefault(id(target), len(self._apart))
        if number == len(self._apart):
            self._apart.append(target)
        return {"$ref": f"#/definitions/{number}"}

    def _value(self, shape: str, value: Any, within: int) -> Any:
        match shape:
            case "schemas" | "items" if isinstance(value, list):
                return [self.copy(schema, within) for schema in value]
            case "schema" | "additional" | "items":
                return self.copy(value, within)
            case "members" | "patterns":
                return {name: self.copy(schema, within) for name, schema in value.items()}
            case "dependencies":
                return {name: list(v) if isinstance(v, list) else self.copy(v, within) for name, v in value.items()}
            case "pattern":
                return _DOLLARS.sub(_without_dollar, value)
            case _:
                return value


class _Trimmer(ast.NodeTransformer):
    """A transformer that removes the code that does not affect validity, and renames the rest.

    The transformer removes all parameters except the payload, the messages of `raise`, and
    `Decimal` in checks of types, because JSON has no decimals. Each pattern becomes a constant.

    Args:
        module: the code of fastjsonschema.
        entry: the name of the validator, with which the names of its other functions begin.
        searches: for each pattern, the name of its constant. The transformer adds the patterns that it finds.
    """

    def __init__(self, module: ast.Module, entry: str, searches: dict[str, str]) -> None:
        self._entry = entry
        self._searches = searches
        self._imports: list[ast.stmt] = []
        self._functions = [node for node in module.body if isinstance(node, ast.FunctionDef)]
        self._patterns = {key: pattern for node in module.body for key, pattern in _patterns(node)}

    def functions(self) -> list[ast.stmt]:
        """Return the functions of the module, and the imports that they need."""
        functions: list[ast.stmt] = [self.visit(function) for function in self._functions]
        return [*self._imports, *functions]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        if node.name.startswith(_PREFIX):
            node.name = self._named(node.name)
            node.args.args, node.args.defaults = node.args.args[:1], []
        if node.name == self._entry:
            node.body[:0] = ast.parse('"Raise `Refused` unless the payload is valid."').body
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id.startswith(_PREFIX):
            node.args = node.args[:1]
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        node.exc = ast.copy_location(ast.Name("Refused", ast.Load()), node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id.startswith(_PREFIX):
            node.id = self._named(node.id)
        elif node.id == "JsonSchemaValueException":
            node.id = "Refused"
        elif node.id == "Decimal":  # for a divisor that is a fraction, which few schemas have; it is slow to import
            self._imports += ast.parse("from decimal import Decimal").body
        return node

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        dropped = {"Decimal", "JsonSchemaValuesException"}
        node.elts = [item for item in node.elts if not (isinstance(item, ast.Name) and item.id in dropped)]
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        match node:
            # Looking up each pattern by its text takes 8 % more time for a job.
            case ast.Attribute(
                value=ast.Subscript(value=ast.Name(id="REGEX_PATTERNS"), slice=ast.Constant(value=str(key))),
                attr="search",
            ):
                name = self._searches.setdefault(self._patterns[key], f"SEARCH_{len(self._searches)}")
                return ast.copy_location(ast.Name(name, ast.Load()), node)
        return self.generic_visit(node)

    def _named(self, name: str) -> str:
        return self._entry + name.removeprefix(_PREFIX)


def _patterns(node: ast.stmt) -> Iterator[tuple[str, str]]:
    """If the statement creates the table of patterns, yield each key of the table and the text of its pattern.

    The text contains the flags of the pattern, so separate flags are redundant.
    """
    match node:
        case ast.Assign(targets=[ast.Name(id="REGEX_PATTERNS")], value=ast.Dict(keys=keys, values=values)):
            for key, value in zip(keys, values, strict=True):
                assert isinstance(key, ast.Constant)
                assert isinstance(value, ast.Call)
                yield ast.literal_eval(key), ast.literal_eval(value.args[0])
