from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import pulsekit

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(pulsekit.__path__, "pulsekit.")
    if not module.name.endswith("__main__")
)


def test_every_public_name_of_the_package_is_there() -> None:
    for name in pulsekit.__all__:
        assert getattr(pulsekit, name) is not None
    assert set(pulsekit.__all__) <= set(dir(pulsekit))


def test_a_name_that_is_not_public_is_not_there() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = pulsekit.nonsense  # type: ignore[attr-defined] # that is the point


@pytest.mark.parametrize("name", MODULES)
def test_a_module_lists_its_public_names_each_once(name: str) -> None:
    module = importlib.import_module(name)
    assert len(module.__all__) == len(set(module.__all__))  # that they are sorted is for ruff to see
    for public in module.__all__:
        assert hasattr(module, public)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_says_what_it_is_for(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    for public in module.__all__:
        value = getattr(module, public)
        if not (inspect.isclass(value) or inspect.isfunction(value)) or value.__module__ != name:
            continue
        assert inspect.getdoc(value), public
        if inspect.isclass(value):
            for member_name, member in vars(value).items():
                if inspect.isfunction(member) and not member_name.startswith("_"):
                    assert inspect.getdoc(member), f"{public}.{member_name}"


@pytest.mark.parametrize(
    "name",
    [
        "_documents.document",
        "bindings.table",
        "bindings.registration",
        "schemas.schema",
        "treeherder.lint",
        "records.record",
        "sandbox.protocol.sessions",
    ],
)
def test_the_core_imports_neither_asyncio_nor_aio_pika(name: str) -> None:
    import subprocess
    import sys

    heavy = ("asyncio", "aio_pika", "ruamel", "rich")
    check = f"import sys, pulsekit.{name}; print([heavy for heavy in {heavy} if heavy in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
