from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

import pulsekit.schemas.compiled
from pulsekit.schemas import schema as schemas
from pulsekit.schemas.compiled.__main__ import NAMES, module_path, module_source
from pulsekit.schemas.schema import load_schema


@pytest.mark.parametrize("name", NAMES)
def test_a_module_equals_its_compiled_schema(name: str) -> None:
    """If this fails, run `python -m pulsekit.schemas.compiled` in the checkout."""
    shipped = module_path(name).read_text(encoding="utf-8")
    # Compared as code, because versions of Python write the text differently.
    assert ast.dump(ast.parse(shipped)) == ast.dump(ast.parse(module_source(name)))


def test_every_module_has_a_schema() -> None:
    folder = Path(pulsekit.schemas.compiled.__path__[0])
    assert set(folder.glob("_[a-z]*.py")) == {module_path(name) for name in NAMES}


@pytest.mark.parametrize("text", ["type: integer\n", None])
def test_a_changed_schema_is_not_judged_by_its_old_code(text: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("pulsekit.schemas.compiled._registration")
    registration = {"exchange": "exchange/me/v1/jobs", "projects": ["try"]}
    monkeypatch.setattr(schemas, "shipped_text", lambda _: text or module.YAML)
    monkeypatch.setattr(module, "strict", lambda _: None)
    schemas._load_shipped.cache_clear()
    try:
        schema = load_schema("registration")
        assert schema.name == "registration"
        assert schema.is_valid(registration) is (text is None)
        assert schema.is_valid(7)
    finally:
        schemas._load_shipped.cache_clear()


def test_a_schema_whose_module_is_missing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "schema_names", lambda: ("unknown",))
    monkeypatch.setattr(schemas, "shipped_text", lambda _: "type: integer\n")
    try:
        assert load_schema("unknown").is_valid(7)
        assert not load_schema("unknown").is_valid("7")
    finally:
        schemas._load_shipped.cache_clear()
