"""Public names that are imported when they are first used (PEP 562).

Importing asyncio and aio-pika takes longer than predicting a route. A package that resolves its names lazily costs a
command only the modules that the command uses.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["lazy_names"]


def lazy_names(
    package: str, modules: Mapping[str, Sequence[str]], packages: Sequence[str] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the functions `__getattr__` and `__dir__` of a package.

    Args:
        package: the `__name__` of the package.
        modules: the public names that each module defines, by the module's full name.
        packages: the public packages and modules in the package, which are attributes without an import.
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def __getattr__(name: str) -> object:  # noqa: N807 - it becomes the package's own
        if name in packages:
            return import_module(f"{package}.{name}")
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(module_of[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:  # noqa: N807 - it becomes the package's own
        return sorted({*vars(sys.modules[package]), *module_of, *packages})

    return __getattr__, __dir__
