"""Public names that are imported when they are first used (PEP 562).

Importing asyncio and aio-pika takes longer than predicting a route. With such names, a command imports only the modules
that it uses.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["lazy_names"]


def lazy_names(
    package: str, modules: Mapping[str, str], packages: str = ""
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the functions `__getattr__` and `__dir__` of a package.

    Args:
        package: the `__name__` of the package.
        modules: for each module of the package, the public names that it defines, separated by spaces: `{"lint":
            "Finding Linter lint_job"}`.
        packages: the public packages and modules in the package, which are attributes without an import.
    """
    module_of = {name: module for module, names in modules.items() for name in names.split()}
    module_of |= dict.fromkeys(packages.split(), "")

    def __getattr__(name: str) -> object:  # noqa: N807 - it becomes that of the package
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if not module_of[name]:
            return import_module(f"{package}.{name}")
        value: object = getattr(import_module(f"{package}.{module_of[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:  # noqa: N807 - it becomes that of the package
        return sorted({*vars(sys.modules[package]), *module_of})

    return __getattr__, __dir__
