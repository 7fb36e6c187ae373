"""Schemas of payloads: shipped ones by name, from a file, or from a mapping.

    schema = load_schema("pulse-job")
    schema.check(job)               # raises InvalidPayload with all problems
    schema.problems(document)       # the same as a list, with line and column if the payload was parsed from text

`profiles` describes the two profiles, `treeherder` and `strict`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pulsekit._documents.document import Document
from pulsekit._documents.nesting import is_deeper_text
from pulsekit.errors import InvalidPayload, Problem, SchemaError
from pulsekit.schemas.limits import LIMIT, limited
from pulsekit.schemas.profiles import PROFILES
from pulsekit.schemas.runtime import Refused, bind

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulsekit._documents.values import JSON
    from pulsekit.schemas.drafts import CheckedSchema
    from pulsekit.schemas.profiles import Profile
    from pulsekit.schemas.runtime import Validator

__all__ = [
    "MOST_PROBLEMS", "Schema", "load_schema", "load_shipped_schema", "schema_names",
    "shipped_folder", "shipped_text",
]  # fmt: skip

# A pattern for a reference to another file, in the JSON that this module writes.
_NAMES_FILE = re.compile(r'"\$ref": "(?!#)')
_MANY = 120  # invalid payloads, whose explanations take about as long as compiling
_PATIENCE = 10  # explanations take longer than validations: a payload can have 100,000 problems
MOST_PROBLEMS = 100_000  # problems of one payload; finding them takes some seconds

# The exceptions of compiled code and of `explain` for values that JSON cannot represent: integers beyond floats, NaN,
# keys that are not text, deep nesting.
_UNJUDGED = (ArithmeticError, LookupError, NameError, RecursionError, TypeError, ValueError)


class Schema:
    """A schema, which validates payloads. `load_schema` creates it. It can be shared by all threads of the process.

    A payload is never changed. Validators are compiled on first use, and cached for later processes (see `cache`). The
    package contains compiled validators of most shipped schemas.

    Attributes:
        name: the name of a shipped schema, the path of a file, or the title of a mapping.
    """

    def __init__(self, text: str, name: str, validators: Mapping[str, Validator] | None = None) -> None:
        self.name = name
        self._text = text  # JSON that is a valid schema
        self._validators = dict(validators or {})
        self._compiled = validators is not None  # a shipped schema, whose patterns need linear time
        self._explained = 0
        self._members: dict[Profile, tuple[CheckedSchema, dict[int, Validator]]] = {}  # see `_validators_of_members`

    def __repr__(self) -> str:
        return f"<Schema {self.name!r}>"

    @property
    def checked(self) -> CheckedSchema:
        """The parsed schema with its references, to look up the subschema of a field."""
        return _checked(self._text)

    def check(self, payload: Any, profile: Profile = "strict") -> None:
        """Check that the payload is valid.

        Args:
            payload: plain JSON or a `Document`.
            profile: `strict` or `treeherder`.

        Raises:
            InvalidPayload: Raised when the payload is invalid. The error has all problems.
            SchemaError: Raised when the schema cannot be compiled, or there is no such profile.
        """
        if found := self.problems(payload, profile):
            raise InvalidPayload(found, self.name)

    def is_valid(self, payload: Any, profile: Profile = "strict") -> bool:
        """Return whether the payload is valid.

        In a running event loop in the main thread, a payload is invalid if your own schema needs more than one second
        of processor time for it, because a slow pattern would block the loop.

        Raises:
            SchemaError: Raised when the schema cannot be compiled, or there is no such profile.
        """
        return bool(self._verdict(payload.value if isinstance(payload, Document) else payload, profile))

    def _verdict(self, value: Any, profile: Profile) -> bool | None:
        """Return whether the payload is valid, or None if validating it takes too long."""
        validator = self._validators.get(profile) or self._compile(profile)  # without a limit, and only once
        if self._compiled:
            return self._is_valid(validator, value, profile)
        return limited(lambda: self._is_valid(validator, value, profile), otherwise=None)

    def _is_valid(self, validator: Validator, value: Any, profile: Profile) -> bool:
        try:
            validator(value)
        except Refused:
            return False
        except _UNJUDGED:  # too much for the compiled code: `explain` decides
            return not self._explain(value, profile, MOST_PROBLEMS, None)
        return True

    def problems(self, payload: Any, profile: Profile = "strict", *, most: int = MOST_PROBLEMS) -> tuple[Problem, ...]:
        """Return all problems in the order of the payload. The tuple is empty if the payload is valid.

        Problems of a `Document` have line and column.

        Args:
            payload: plain JSON or a `Document`.
            profile: `strict` or `treeherder`.
            most: the maximum number of problems. If there are more, an additional problem says that more were found.

        Raises:
            SchemaError: Raised when the schema cannot be compiled, or there is no such profile.
        """
        value = payload.value if isinstance(payload, Document) else payload
        verdict = self._verdict(value, profile)
        if verdict:
            return ()
        if verdict is None:
            found = _LATE
        else:
            members = self._validators_of_members(profile)  # without a limit, and only once
            explain = partial(self._explain, value, profile, most, members)
            found = explain() if self._compiled else limited(explain, _UNEXPLAINED, patience=_PATIENCE)
        found = found or _UNEXPLAINED
        if not isinstance(payload, Document):
            return found
        return tuple(problem.at(*payload.place(problem.pointer)) for problem in found)

    def _explain(
        self, value: Any, profile: Profile, most: int, members: dict[int, Validator] | None
    ) -> tuple[Problem, ...]:
        from pulsekit.schemas.explain import list_problems
        from pulsekit.schemas.names import TODAY

        try:
            found = list_problems(self.checked, value, formats=profile == "strict", most=most, members=members)
            if found and self.name == TODAY:
                from pulsekit.schemas.forms import explained

                found = explained(value, found)
            return tuple(found)
        except RecursionError:
            return (Problem("", "depth", "is nested too deeply to be validated"),)
        except _UNJUDGED as error:
            return (Problem("", "json", f"contains a value that JSON cannot represent: {error}"),)

    def _validators_of_members(self, profile: Profile) -> dict[int, Validator] | None:
        """Return the validators of all subschemas, once many payloads were invalid: compiling is slow."""
        self._explained += 1
        if self._explained <= _MANY:
            return None
        checked = self.checked
        if profile not in self._members or self._members[profile][0] is not checked:
            from pulsekit.schemas.compiler import compile_members

            self._members[profile] = checked, compile_members(checked, formats=profile == "strict")
        return self._members[profile][1]

    def _compile(self, profile: Profile) -> Validator:
        import marshal

        def make() -> bytes:
            from pulsekit.schemas.compiler import compile_schema

            return marshal.dumps(compile_schema(_checked(self._text), formats=profile == "strict"))

        if profile not in PROFILES:
            raise SchemaError(f"unknown profile {profile!r}; use one of {', '.join(PROFILES)}")
        code = marshal.loads(_remembered(make, self._text.encode(), profile.encode()))  # noqa: S302 - see `cache`
        return self._validators.setdefault(profile, bind(code))


_UNEXPLAINED = (Problem("", "schema", "does not fit the schema"),)
_LATE: tuple[Problem, ...] = (Problem("", "time", f"was not validated: the schema needs more than {LIMIT:g} s for it"),)

# The modules that turn a schema into code, and the files with the versions of other packages.
_OURS = (
    "_documents/document.py",
    "_documents/json_reader.py",
    "_documents/yaml_reader.py",
    "schemas/compiler.py",
    "schemas/drafts.py",
    "schemas/files.py",
    "schemas/formats.py",
    "schemas/generator.py",
    "schemas/reading.py",
    "schemas/references.py",
    "schemas/runtime.py",
    "schemas/schema.py",
)
_OTHERS = {"fastjsonschema": "version.py", "ruamel.yaml": "__init__.py"}


def load_schema(source: str | Path | Mapping[str, JSON]) -> Schema:
    """Load a schema. For the same text, the same object is returned.

    Args:
        source: the name of a shipped schema (see `schema_names`), the path of a file of JSON (`.json`) or YAML, or a
            mapping with the schema, which is copied. A file may refer to files in its folder and below.

    Raises:
        SchemaError: Raised when the schema does not exist, cannot be read, or is not a schema of draft 4, 6 or 7.
        TypeError: Raised when the source is of another type.
    """
    if isinstance(source, str) and source in schema_names():
        return _load_shipped(source)
    if isinstance(source, str | Path):
        return _load_file(Path(source), str(source))
    if not isinstance(source, Mapping):
        raise TypeError(f"a schema is a name such as 'pulse-job', a path or a mapping, not {source!r:.40}")
    try:
        text = json.dumps(source)
    except (TypeError, ValueError) as error:
        raise SchemaError(f"a schema must be plain JSON: {error}") from error
    except RecursionError:
        raise SchemaError("the schema is nested too deeply") from None
    if is_deeper_text(text.encode()):
        raise SchemaError("the schema is nested too deeply")
    title = source.get("title")
    return _load_text(text, title if isinstance(title, str) else "schema")


@lru_cache(maxsize=1)
def schema_names() -> tuple[str, ...]:
    """Return the names of the shipped schemas."""
    return tuple(sorted(path.stem for path in shipped_folder().iterdir() if path.suffix == ".yml"))


def shipped_folder() -> Path:
    """Return the folder of the shipped schemas: in an installed package, or next to the package in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "_schemas"
    return installed if installed.is_dir() else package.parent / "schemas"


def shipped_text(name: str) -> str:
    """Return the YAML of a shipped schema."""
    return (shipped_folder() / f"{name}.yml").read_text(encoding="utf-8")


@lru_cache
def _load_shipped(name: str) -> Schema:
    text = shipped_text(name)
    with suppress(ModuleNotFoundError):
        compiled: Any = import_module(f"pulsekit.schemas.compiled._{name.replace('-', '_')}")
        if text == compiled.YAML:  # otherwise the schema was changed, in a checkout
            return Schema(compiled.JSON, name, {profile: getattr(compiled, profile) for profile in PROFILES})
    return _load_parsed(_parsed(text.encode(), name), name)


def load_shipped_schema(name: str) -> Schema:
    """Return a shipped schema.

    Args:
        name: one of `schema_names`, or a file below the folder `messages`, such as `hgpushes/v1.json`.

    Raises:
        SchemaError: Raised when the schema does not exist.
    """
    return _load_shipped(name) if name in schema_names() else _load_file(shipped_folder() / "messages" / name, name)


def _load_file(path: Path, name: str) -> Schema:
    from pulsekit.schemas.reading import read_file

    try:
        data = read_file(path, name)
    except FileNotFoundError:
        known = ", ".join(schema_names())
        raise SchemaError(f"unknown schema {name!r}: use the path of a file, or one of {known}") from None
    text = _parsed(data, name)
    if not _NAMES_FILE.search(text):
        return _load_parsed(text, name)
    from pulsekit.schemas.files import embed_files

    try:
        return _load_text(json.dumps(embed_files(json.loads(text), path)), name)
    except SchemaError as error:
        raise SchemaError(f"{name}: {error}") from None


@lru_cache
def _load_parsed(text: str, name: str) -> Schema:
    return Schema(text, name)


def _parsed(data: bytes, name: str) -> str:
    """Return the JSON of a file of JSON or YAML. The schema is checked, unless it may refer to other files."""

    def make() -> bytes:
        from pulsekit.schemas.reading import parse_schema

        text = json.dumps(parse_schema(data, name))
        try:
            if not _NAMES_FILE.search(text):
                _checked(text)
        except SchemaError as error:
            raise SchemaError(f"{name}: {error}") from None
        return text.encode()

    return _remembered(make, data, Path(name).suffix.lower().encode()).decode()


@lru_cache
def _load_text(text: str, name: str) -> Schema:
    _checked(text)
    return Schema(text, name)


@lru_cache
def _checked(text: str) -> CheckedSchema:
    from pulsekit.schemas.drafts import check_schema

    return check_schema(json.loads(text))


def _remembered(make: Callable[[], bytes], *inputs: bytes) -> bytes:
    """Return the result of `make`, from the cache if the same versions of the software computed it before."""
    from pulsekit.schemas.cache import remembered

    try:
        software = _software()
    except OSError:  # it is not installed as files, so the versions are unknown
        return make()
    return remembered(make, *software, *inputs)


@lru_cache(maxsize=1)
def _software() -> tuple[bytes, ...]:
    """Return the versions of the compiler: the text of pulsekit's modules, and the file names of other packages.

    This only reads files, because importing fastjsonschema and ruamel.yaml takes more time than the cache saves.
    """
    ours = [Path(__file__).parents[1] / name for name in _OURS]
    others = [_origin(package).with_name(file) for package, file in _OTHERS.items()]
    return (sys.version.encode(), *(path.read_bytes() for path in (*ours, *others)))


def _origin(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(package)
    return Path(spec.origin)
