"""Schemas of several files: the files that a `$ref` may read, and may not read."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from pulsekit.errors import SchemaError
from pulsekit.schemas.schema import load_schema

if TYPE_CHECKING:
    from pathlib import Path

META = "/schemas/common/metaschema.json#"


def _write(folder: Path, **files: Any) -> Path:
    for name, schema in files.items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(schema))
    return folder / "job.json"


@pytest.mark.parametrize("identified", [True, False], ids=["with $id", "without"])
def test_a_reference_names_a_file_beside_the_schema_or_below(tmp_path: Path, identified: bool) -> None:
    own = (lambda name: {"$id": f"/schemas/queue/v1/{name}.json#"}) if identified else (lambda _: {})
    path = _write(
        tmp_path,
        job={**own("job"), "$schema": META, "properties": {"status": {"$ref": "status.json#"}}},
        status={
            **own("status"),
            "properties": {"id": {"$ref": "parts/task.json#/properties/id"}, "again": {"$ref": "#"}},
        },
        parts__task={**own("parts/task"), "properties": {"id": {"$ref": "../size.json"}}},
        size={"type": "integer", "maximum": 3},
    )
    schema = load_schema(path)
    assert schema.is_valid({"status": {"id": 3, "again": {"id": 1}}})
    (problem,) = schema.problems({"status": {"again": {"id": 4}}})
    assert (problem.pointer, problem.rule) == ("/status/again/id", "maximum")


def test_a_changed_file_of_a_set_is_used_at_once(tmp_path: Path) -> None:
    path = _write(tmp_path, job={"$ref": "size.json"}, size={"type": "integer"})
    assert load_schema(path).is_valid(1)
    _write(tmp_path, size={"type": "string"})
    assert not load_schema(path).is_valid(1)


def test_a_set_can_be_yaml(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("items: {$ref: b.yaml#/definitions/x}")
    (tmp_path / "b.yaml").write_text("definitions: {x: {type: integer}}")
    assert not load_schema(tmp_path / "a.yml").is_valid(["x"])


@pytest.mark.parametrize(
    "reference",
    [
        "../secret.json",
        "%2e%2e/secret.json",
        "link.json",
        "linked/secret.json",
        "file:///{outside}",
        "{outside}",
        "//127.0.0.1:9/secret.json",
        "http://127.0.0.1:9/secret.json",
        "a%00b.json",
        "pipe.json",
        "loop.json",
        "missing.json",
        "linked",
    ],
)
def test_a_reference_never_leaves_the_folder(tmp_path: Path, reference: str) -> None:
    folder = tmp_path / "schemas"
    folder.mkdir()
    secret = tmp_path / "secret.json"
    secret.write_text('{"type": "integer"}')
    (folder / "link.json").symlink_to(secret)
    (folder / "linked").symlink_to(tmp_path)
    (folder / "loop.json").symlink_to(folder / "loop.json")
    os.mkfifo(folder / "pipe.json")
    path = _write(folder, job={"properties": {"a": {"$ref": reference.format(outside=secret)}}})
    with pytest.raises(SchemaError, match=r"job\.json: the schema is invalid at /properties/a/\$ref: it names"):
        load_schema(path)


def test_a_file_of_another_draft_is_refused(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        job={"$schema": "http://json-schema.org/draft-04/schema#", "items": {"$ref": "x.json"}},
        x={"$schema": "http://json-schema.org/draft-07/schema#"},
    )
    with pytest.raises(SchemaError, match=r"names 'x\.json', whose draft is 7; this schema is of draft 4"):
        load_schema(path)


def test_an_error_in_a_file_of_a_set_names_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path, job={"items": {"$ref": "x.json"}}, x={"maxLength": "1"})
    with pytest.raises(SchemaError, match=r"the schema is invalid at /definitions/x.json/maxLength: "):
        load_schema(path)


def test_a_chain_of_files_is_limited(tmp_path: Path) -> None:
    chain = {f"n{number}": {"items": {"$ref": f"n{number + 1}.json"}} for number in range(300)}
    path = _write(tmp_path, job={"items": {"$ref": "n0.json"}}, **chain)
    with pytest.raises(SchemaError, match="refers to more than 200 files"):
        load_schema(path)


@pytest.mark.parametrize("whole", [True, False])
def test_a_file_can_be_true_or_false(tmp_path: Path, whole: bool) -> None:
    path = _write(tmp_path, job={"properties": {"x": {"$ref": "any.json"}}}, any=whole)
    assert load_schema(path).is_valid({"x": 1}) == whole
