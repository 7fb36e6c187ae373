"""Read hooks in the form of Taskcluster's API, or from a configuration repository such as fxci-config.

The API has one hook, a list of hooks, or `{"hooks": […]}`. A configuration maps names to hooks. Its keys are in snake
case, the values of `variants` replace `{name}`, and `template_file` names the file with the task:

    project-a/report-{mode}:
      variants: [{mode: production}, {mode: testing}]
      template_file: templates/report-{mode}.yml

In a template file, `{{` means one brace, and `${…}` and other braces are not changed. The entry `meta` is skipped,
because it contains anchors. Template files outside of the folder of the configuration are not read.

Source: `services/hooks/schemas/v1/` of Taskcluster, `src/ciadmin/generate/hooks.py` of fxci-config.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pulsekit._documents.document import parse_json, parse_yaml
from pulsekit._documents.suggestions import counted
from pulsekit._documents.values import pointer_token
from pulsekit.bindings.registration import Binding
from pulsekit.errors import ConfigurationError, DocumentError
from pulsekit.hooks.trigger_schema import DEFAULT_SCHEMA, TriggerSchema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pulsekit._documents.document import Document
    from pulsekit._documents.values import JSON

__all__ = ["Hook", "read_hooks"]

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\w*)\}")
_IN_TEMPLATE = re.compile(r"\{\{|(?<!\$)\{(\w+)\}", re.ASCII)  # `${…}` and `{$eval: …}` belong to JSON-e
_MAX_FILE = 4 * 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook, which creates a task for each message that its bindings match and its schema allows.

    Attributes:
        name: `<hookGroupId>/<hookId>`, or the name of the file if the hook has no ids.
        bindings: the bindings of its queue.
        trigger_schema: the schema of its messages.
        task: the JSON-e template of the task.
    """

    name: str
    bindings: tuple[Binding, ...]
    trigger_schema: TriggerSchema
    task: JSON


def read_hooks(path: str | Path) -> tuple[Hook, ...]:
    """Return the hooks of a file. The file is JSON if its name ends in `.json`, else YAML with or without anchors.

    Raises:
        DocumentError: Raised when the file, or one of its template files, is not JSON or YAML, or a hook is incomplete.
        ConfigurationError: Raised when the exchange or the pattern of a binding cannot exist on Pulse.
        OSError: Raised when a file cannot be read.
    """
    path = Path(path)
    document = _parse(path)
    value = document.value
    if isinstance(value, dict) and isinstance(value.get("hooks"), list):
        document = document.child("hooks")
    elif isinstance(value, dict) and "task" in value:
        return (_of_api(document, path),)
    if isinstance(document.value, list):
        return tuple(_of_api(document.child(number), path) for number in range(len(document.value)))
    return tuple(_of_configuration(document, path.parent))


def _parse(path: Path) -> Document:
    with path.open("rb") as file:
        data = file.read(_MAX_FILE + 1)
    if len(data) > _MAX_FILE:
        raise DocumentError(f"a file of hooks has at most {_MAX_FILE >> 20} MiB", source=str(path))
    if path.suffix.lower() == ".json":
        return parse_json(data, source=str(path))
    return parse_yaml(data, source=str(path), shared=True)


def _of_api(document: Document, path: Path) -> Hook:
    hook = _object(document, "", "a hook")
    ids = [hook[name] for name in ("hookGroupId", "hookId") if isinstance(hook.get(name), str)]
    return Hook(
        name="/".join(ids) if len(ids) == 2 else path.stem,
        bindings=tuple(_bindings(document, "routingKeyPattern", {})),
        trigger_schema=TriggerSchema(_object(document, "triggerSchema", "triggerSchema", DEFAULT_SCHEMA)),
        task=_object(document, "task", "the task of a hook"),
    )


def _of_configuration(document: Document, folder: Path) -> Iterator[Hook]:
    for key in _object(document, "", "a file of hooks"):
        if key == "meta":
            continue
        if "/" not in key:
            _refuse(document, key, f"the name {key!r} is not <hookGroupId>/<hookId>")
        entry = document.child(key)
        info = _object(entry, "", f"the hook {key}")
        variants = info.get("variants") or [{}]
        if not isinstance(variants, list) or not all(isinstance(variant, dict) for variant in variants):
            _refuse(entry, "variants", "variants must be a list of objects")
        for variant in variants:
            file = _keyed(info.get("template_file"), variant, entry)
            if not isinstance(file, str):
                _refuse(entry, "template_file", f"the hook {key} needs template_file")
            yield Hook(
                name=_filled(key, variant, entry),
                bindings=tuple(_bindings(entry, "routing_key_pattern", variant)),
                trigger_schema=TriggerSchema(_object(entry, "trigger_schema", "trigger_schema", {})),
                task=_template(folder, _filled(file, variant, entry), variant, entry),
            )


def _bindings(document: Document, keyword: str, variant: Mapping[str, Any]) -> Iterator[Binding]:
    value: Any = document.value
    listed = value.get("bindings") or []
    for number, binding in enumerate(listed if isinstance(listed, list) else [None]):
        parts = [binding.get(name) for name in ("exchange", keyword)] if isinstance(binding, dict) else []
        texts = [
            _filled(part, variant, document) if keyword != "routingKeyPattern" else part
            for part in parts
            if isinstance(part, str) and part
        ]
        if len(texts) != 2:
            _refuse(document, f"bindings/{number}", f"a binding needs exchange and {keyword}")
        try:
            yield Binding(*texts)
        except ConfigurationError as error:
            _refuse(document, f"bindings/{number}", str(error))


def _template(folder: Path, name: str, variant: Mapping[str, Any], entry: Document) -> JSON:
    folder = folder.resolve()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        _refuse(entry, "template_file", f"the template {name!r} is outside of the folder of the configuration")
    with path.open("rb") as file:
        text = file.read(_MAX_FILE).decode("utf-8", "surrogateescape")  # YAML does not allow a surrogate
    return parse_yaml(_filled(text, variant, entry, _IN_TEMPLATE), source=str(folder / name), shared=True).value


def _keyed(value: Any, variant: Mapping[str, Any], entry: Document) -> Any:
    """Return the value for a variant. `{by-mode: {production: a.yml, default: b.yml}}` selects it by `mode`."""
    while isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith("by-"):
        ((name, choices),) = value.items()
        given = str(variant.get(name.removeprefix("by-"), "default"))
        if not isinstance(choices, dict):
            break
        try:
            keys = [given] if given in choices else [key for key in choices if re.fullmatch(key, given)]
        except re.error as error:
            _refuse(entry, "template_file", f"a name in {name} is not a regular expression: {error}")
        keys = keys or [key for key in choices if key == "default"]
        if len(keys) != 1:
            _refuse(entry, "template_file", f"{counted(len(keys), 'value')} of {name} match {given!r}")
        value = choices[keys[0]]
    return value


def _filled(text: str, variant: Mapping[str, Any], entry: Document, form: re.Pattern[str] = _PLACEHOLDER) -> str:
    """Replace each `{name}` by its value in the variant."""

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        if match[1] not in variant:
            _refuse(entry, "", f"{match[0]} is not a name of the variants")
        return str(variant[match[1]])

    return form.sub(value, text)


def _object(document: Document, key: str, what: str, default: Any = None) -> dict[str, Any]:
    value: Any = document.value
    if key:
        value = value.get(key, default)
    if not isinstance(value, dict):
        _refuse(document, key, f"{what} must be an object")
    return value


def _refuse(document: Document, path: str, reason: str) -> NoReturn:
    pointer = "/" + "/".join(map(pointer_token, path.split("/"))) if path else ""
    line, column = document.place(pointer)
    raise DocumentError(reason, source=document.source, line=line, column=column)
