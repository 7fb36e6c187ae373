"""The layers of the package: no import runs upwards, and no modules import one another in a loop.

A new package gets a place in LAYERS. An import that only type checkers see counts like any other: it ties the two
modules for a reader just as well.
"""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
# From the ground up: a line imports from the lines above it. `__version__` and `__init__` are those of pulsekit itself.
LAYERS = """
    __version__ _lazy errors
    _amqp _documents
    bindings schemas _http
    catalogue
    messages
    records
    treeherder hooks
    sandbox instrumentation
    publisher consumer _config
    pulse recordings
    queues stand_in job_run
    diagnosis why sync consume inspector
    cli testing
    __main__ __init__
    pytest_plugin
"""
RANKS = {package: rank for rank, line in enumerate(LAYERS.strip().splitlines()) for package in line.split()}


class Import(NamedTuple):
    place: str
    importer: str
    imported: str


def imports(folder: str) -> Iterator[Import]:
    """Yield every import of every module below a folder; `imported` is a module, or a name in a module."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        package = ".".join(parts[:-1])
        importer = package if parts[-1] == "__init__" else ".".join(parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                module = resolve_name("." * node.level + (node.module or ""), package)
                found = [f"{module}.{alias.name}" for alias in node.names]
            else:
                found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for imported in found:
                yield Import(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", importer, imported)


def top(name: str) -> str:
    """Return the package or module directly below `pulsekit` that a full name belongs to."""
    return f"{name}.__init__".split(".")[1]


def test_every_package_has_a_layer() -> None:
    entries = {
        path.stem for path in (ROOT / "pulsekit").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert entries == RANKS.keys() - {"__version__"}


def test_no_import_runs_upwards() -> None:
    upwards = [
        f"{found.place}: {importer} imports {imported}"
        for found in imports("pulsekit")
        if found.imported.split(".")[0] == "pulsekit"
        and (importer := top(found.importer)) != (imported := top(found.imported))
        and RANKS[importer] <= RANKS[imported]
    ]
    assert not upwards, "\n".join(upwards)


def test_no_modules_import_one_another_in_a_loop() -> None:
    found = [*imports("pulsekit"), *imports("benchmarks")]
    modules = {each.importer for each in found} - {"pulsekit"}  # its names are resolved on first use, see `_lazy`
    graph: dict[str, set[str]] = {module: set() for module in modules}
    for each in found:
        imported = each.imported if each.imported in modules else each.imported.rpartition(".")[0]
        if each.importer in modules and imported in modules:
            graph[each.importer].add(imported)
    TopologicalSorter(graph).prepare()  # raises CycleError, which lists the modules of the loop
