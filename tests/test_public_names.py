from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import itertools
import pkgutil
import re
import subprocess
import sys
import textwrap

import pytest

import pulsekit
from pulsekit.testing import PulseSandbox

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(pulsekit.__path__, "pulsekit.")
    if not module.name.endswith("__main__")
)


def test_every_public_name_of_the_package_exists() -> None:
    for name in pulsekit.__all__:
        assert getattr(pulsekit, name) is not None
    assert set(pulsekit.__all__) <= set(dir(pulsekit))


def test_public_packages_need_no_import() -> None:
    code = (
        "import pulsekit; print(pulsekit.catalogue.pattern('task-failed', runId='0'), pulsekit.treeherder.Job.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "primary.*.0.# Job\n"


def test_a_private_name_is_not_exported() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = pulsekit.nonsense  # type: ignore[attr-defined] # that is the point


def example_of_the_package() -> str:
    """Return the first indented block of the docstring."""
    assert pulsekit.__doc__
    blocks = ["\n".join(lines) for _, lines in itertools.groupby(pulsekit.__doc__.splitlines(), _is_code)]
    return textwrap.dedent(next(block for block in blocks if block.startswith(("    ", "\n    "))))


def _is_code(line: str) -> bool:
    return not line or line.startswith("    ")


def test_the_help_of_the_package_begins_with_an_example_of_public_names() -> None:
    tree = ast.parse(example_of_the_package())
    compile(tree, "help(pulsekit)", "exec")
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pulsekit"
    }
    assert used
    assert used <= set(pulsekit.__all__)


def test_the_example_in_the_help_of_the_package_runs(capsys: pytest.CaptureFixture[str]) -> None:
    url = "amqp://me:me@127.0.0.1:5672/"
    example = example_of_the_package()
    assert url in example
    with PulseSandbox() as sandbox:
        exec(example.replace(url, sandbox.url("me")), {})
    assert capsys.readouterr().out == "treeherder.autoland._ running\n"


def test_the_help_of_the_package_names_only_public_names() -> None:
    assert pulsekit.__doc__
    listed = [name for line in re.findall(r"^- (.*?): ", pulsekit.__doc__, re.MULTILINE) for name in line.split(", ")]
    assert len(listed) > 10
    assert {name.strip("`") for name in listed} <= set(pulsekit.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_lists_its_public_names_each_once(name: str) -> None:
    module = importlib.import_module(name)
    assert len(module.__all__) == len(set(module.__all__))  # that they are sorted is for ruff to see
    for public in module.__all__:
        assert hasattr(module, public)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_a_docstring(name: str) -> None:
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


def test_the_docstring_of_a_public_dataclass_describes_each_field_on_a_line_of_its_own() -> None:
    public = [getattr(pulsekit, name) for name in pulsekit.__all__]
    missing = [
        f"{value.__name__}.{field.name}"
        for value in public
        if inspect.isclass(value) and dataclasses.is_dataclass(value) and "Attributes:" in (inspect.getdoc(value) or "")
        for field in dataclasses.fields(value)
        if not (field.name.startswith("_") or re.search(rf"^ +{field.name}\b.*:", value.__doc__ or "", re.MULTILINE))
    ]
    assert not missing


@pytest.mark.parametrize(
    "name",
    [
        "_documents.document",
        "bindings.table",
        "bindings.registration",
        "schemas.schema",
        "treeherder.lint",
        "records.record",
        "hooks.firing",
        "sandbox.protocol.sessions",
    ],
)
def test_the_core_imports_neither_asyncio_nor_aio_pika(name: str) -> None:
    heavy = ("asyncio", "aio_pika", "ruamel", "rich")
    check = f"import sys, pulsekit.{name}; print([heavy for heavy in {heavy} if heavy in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
