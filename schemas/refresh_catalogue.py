"""Refresh the catalogue of exchanges from a checkout of its sources, and print what changed.

    python schemas/refresh_catalogue.py FOLDER --as-of 2026-08    # read the structure from FOLDER, then make all files
    python schemas/refresh_catalogue.py                           # after a change by hand, make the files again

FOLDER has `exchanges.json`, a list of exchanges with the fields of their routing keys and the schema of their messages,
and `schemas/`, the files of these schemas. For Taskcluster, the script writes `schemas/catalogue/taskcluster-*.yml` and
`schemas/messages/`, both without descriptions. From these and `schemas/catalogue/overlay.yml`, it makes
`schemas/catalogue.json`, which pulsekit reads, and `pulsekit/catalogue/types.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).parent
sys.path[:0] = [str(SCHEMAS.parent), str(SCHEMAS)]

from pulsekit._documents.document import parse_yaml  # noqa: E402 - of this checkout
from pulsekit.schemas.drafts import KEYWORDS  # noqa: E402

PREFIX = "taskcluster-"  # prefix of files of services whose structure is from FOLDER
SOURCE = "https://github.com/taskcluster/taskcluster"
_PROSE = {"title", "description", "default", "examples", "$comment"}
_OF_SCHEMAS = {"members", "patterns", "definitions"}


def structure(folder: Path, as_of: str) -> dict[str, str]:
    """Return the files of structure by their paths below `schemas/`."""
    services: dict[str, list[dict[str, Any]]] = {}
    messages: dict[str, str] = {}
    for exchange in json.loads((folder / "exchanges.json").read_bytes()):
        services.setdefault(exchange["exchange"].split("/")[1], []).append(exchange)
        _add_schema(messages, folder / "schemas", exchange["schema"])
    return {f"catalogue/{name}.yml": _service(name, found, as_of) for name, found in services.items()} | messages


def key_notation(fields: list[dict[str, Any]]) -> str:
    """Return the fields of a key as one line: `kind=primary taskId runId? reserved?...`."""
    return " ".join(
        field["name"]
        + (f"={field['constant']}" if "constant" in field else "")
        + ("" if field["required"] else "?")
        + ("..." if field["multipleWords"] else "")
        for field in fields
    )


def _service(name: str, exchanges: list[dict[str, Any]], as_of: str) -> str:
    lines = [f"# Structure of {name}, written by schemas/refresh_catalogue.py. overlay.yml has the titles."]
    lines += [f"source: {SOURCE}", f'as_of: "{as_of}"', "exchanges:"]
    for exchange in exchanges:
        lines += [f"  {exchange['exchange']}:", f"    key: {key_notation(exchange['routing_key'])}"]
        lines += [f"    schema: {exchange['schema']}"]
    return "\n".join(lines) + "\n"


def _add_schema(messages: dict[str, str], folder: Path, name: str) -> None:
    """Add a schema and the files to which it refers."""
    if f"messages/{name}" in messages:
        return
    schema = without_prose(json.loads((folder / name).read_bytes()))
    messages[f"messages/{name}"] = json.dumps(schema, indent=2) + "\n"
    for reference in _references(schema):
        if file := reference.partition("#")[0]:
            _add_schema(messages, folder, str(Path(name).parent / file))


def without_prose(schema: Any) -> Any:
    """Return a schema with only the keywords that affect validity."""
    if isinstance(schema, list):
        return [without_prose(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        shape = KEYWORDS.get(keyword, ("", 0))[0]
        if keyword in _PROSE:
            continue
        if shape in _OF_SCHEMAS:
            kept[keyword] = {name: without_prose(inner) for name, inner in value.items()}
        else:
            kept[keyword] = value if shape in {"values", "value"} else without_prose(value)
    return kept


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [found for item in schema for found in _references(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
    return own + [found for value in schema.values() for found in _references(value)]


def derived(schemas: Path) -> dict[Path, str]:
    """Return the files that are made from other files, by their paths below the checkout."""
    from catalogue_types import types_module  # in the folder of this script

    catalogue = compact(schemas)
    return {
        Path("schemas/catalogue.json"): json.dumps(catalogue, separators=(",", ":"), ensure_ascii=False) + "\n",
        Path("pulsekit/catalogue/types.py"): types_module(schemas / "messages", catalogue),
    }


def compact(schemas: Path) -> dict[str, Any]:
    """Return the catalogue as one value: the YAML files with the titles and names of the overlay."""
    overlay = parse_yaml((schemas / "catalogue" / "overlay.yml").read_bytes()).value
    services = []
    for path in sorted((schemas / "catalogue").glob("*.yml")):
        if path.stem != "overlay":
            structured = parse_yaml(path.read_bytes(), source=str(path)).value
            services.append(_merged(path.stem, structured, overlay["services"][path.stem]))
    return {"forms": overlay["forms"], "services": services}


def _merged(name: str, structured: Any, words: Any) -> dict[str, Any]:
    """Return a service with its titles and names. Those of a missing exchange or field are an error."""
    exchanges, used = [], set()
    for exchange, entry in structured["exchanges"].items():
        fields = [_field(text, words["fields"]) for text in entry["key"].split()]
        used |= {field["name"] for field in fields}
        exchanges.append(
            {"name": exchange, **words["exchanges"][exchange], "fields": fields, "schema": entry["schema"]}
        )
    if unknown := (words["exchanges"].keys() - structured["exchanges"].keys()) | (words["fields"].keys() - used):
        raise SystemExit(f"overlay.yml has words for what {name} does not have: {', '.join(sorted(unknown))}")
    more = {key: value for key, value in structured.items() if key != "exchanges"}
    routes = {"routes": True} if words.get("routes") else {}
    return {"name": name, "title": words["title"], **more, **routes, "exchanges": exchanges}


def _field(text: str, words: dict[str, Any]) -> dict[str, Any]:
    bare, _, constant = text.removesuffix("...").removesuffix("?").partition("=")
    field: dict[str, Any] = {"name": bare, **words[bare]}
    if constant:
        field["constant"] = constant
    if text.removesuffix("...").endswith("?"):
        field["optional"] = True
    if text.endswith("..."):
        field["many"] = True
    return field


def refresh(folder: Path | None, as_of: str | None, checkout: Path, *, write: bool) -> list[str]:
    """Bring the catalogue up to date, and return a line for each difference."""
    schemas = checkout / "schemas"
    changes: list[str] = []
    if folder is not None:
        found = structure(folder, as_of or _as_of(schemas))
        old = {*schemas.glob(f"catalogue/{PREFIX}*.yml")}
        for exchange in json.loads((folder / "exchanges.json").read_bytes()):
            old |= {*(schemas / "messages" / exchange["schema"]).parent.glob("*.json")}
        new = {schemas / name: text for name, text in found.items()}
        changes += _changed(new, checkout, write=write)
        for path in sorted(old - new.keys()):
            changes.append(f"removed {path.relative_to(checkout)}")
            if write:
                path.unlink()
    if not changes or write:
        changes += _changed({checkout / path: text for path, text in derived(schemas).items()}, checkout, write=write)
    return changes


def _changed(files: dict[Path, str], checkout: Path, *, write: bool) -> list[str]:
    import difflib

    changes = []
    for path, text in files.items():
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if before == text:
            continue
        changes.append(f"{'changed' if before else 'added'} {path.relative_to(checkout)}")
        difference = difflib.unified_diff(before.splitlines(), text.splitlines(), lineterm="", n=0)
        changes += [f"  {line[:160]}" for line in difference if line[:1] in "+-" and line[:3] not in {"+++", "---"}][
            :40
        ]
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return changes


def _as_of(schemas: Path) -> str:
    path = next(iter(sorted(schemas.glob(f"catalogue/{PREFIX}*.yml"))), None)
    if path is None:
        raise SystemExit("--as-of YYYY-MM is missing: the month of the sources")
    as_of: str = parse_yaml(path.read_bytes()).value["as_of"]
    return as_of


def main() -> int:
    """Run the command line, and return 1 if `--check` found a difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="the checkout of the sources")
    parser.add_argument("--as-of", metavar="YYYY-MM", help="the month of the sources [default: unchanged]")
    parser.add_argument("--check", action="store_true", help="write nothing, and exit 1 if there is a difference")
    given = parser.parse_args()
    changes = refresh(given.folder, given.as_of, SCHEMAS.parent, write=not given.check)
    print("\n".join(changes) or "nothing changed")
    return 1 if given.check and changes else 0


if __name__ == "__main__":
    sys.exit(main())
