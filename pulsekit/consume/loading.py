"""Load the object that `pulsekit consume` runs: `MODULE:OBJECT` or `FILE.py:OBJECT`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pulsekit._documents.suggestions import Guesses, either
from pulsekit.consume.worker import Worker, check, is_context
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["load"]

_FORM = "write MODULE:OBJECT or FILE.py:OBJECT"


def load(target: str, folder: str | Path = ".") -> list[Worker] | Any:
    """Import a module, and return the object with a name: a list of workers, or a handler.

    Python then looks for modules first in the folder, or for `FILE.py:OBJECT` in the folder of the file.

    Args:
        target: `MODULE:OBJECT` or `FILE.py:OBJECT`, where OBJECT is a `Worker`, several of them, or a handler. OBJECT
            may contain dots.
        folder: the folder of the module.

    Returns:
        A list of workers if the object is a `Worker`, or a list or tuple of them; otherwise the handler.

    Raises:
        ConfigurationError: Raised when there is no such module or object, the module cannot be imported, or the object
            is neither a worker nor a handler.
    """
    module_name, colon, path = target.rpartition(":")
    if not colon or not module_name or not path:
        name = (target.strip(":") or "listener").removesuffix(".py")
        raise ConfigurationError(f"{target!r} does not name an object: {_FORM}, such as {name}:on_message")
    folder = Path(folder)
    module = _file(folder / module_name) if module_name.endswith(".py") else _module(module_name, folder)
    found: Any = module
    where = module_name
    for name in path.split("."):
        found, where = _attribute(found, name, where, module_name), f"{where}{':' if found is module else '.'}{name}"
    several = list(found) if isinstance(found, list | tuple) else [found]
    if several and all(isinstance(one, Worker) for one in several):
        return several
    if isinstance(found, list | tuple):
        problem = "a list, and some items are not workers" if several else "an empty list"
        raise ConfigurationError(f"{target} is {problem}: write [pulsekit.Worker(…), …]")
    if not callable(found) and not is_context(found):
        kind = type(found).__name__
        raise ConfigurationError(
            f"{target} is of type {kind}, not a handler: name a function, a class or a pulsekit.Worker"
        )
    try:
        check(found)
    except TypeError as error:
        raise ConfigurationError(f"{target}: {error}") from error
    return found


def _module(name: str, folder: Path) -> ModuleType:
    if "/" in name or not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(f"{name!r} is not the name of a module: {_FORM}, such as {name}.py:on_message")
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}: name the folder of the module with --app-dir")
    _look_in(folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _failed(name, error) from error
        raise ConfigurationError(
            f"there is no module {error.name} in {folder.resolve()}, and none is installed: run the command in the "
            "folder of the module, or give --app-dir FOLDER"
        ) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error


def _file(path: Path) -> ModuleType:
    """Import a file under its own name, unless a module has this name: `queue.py` must not replace `queue`."""
    if not path.is_file():
        raise ConfigurationError(f"there is no file {path}: {_FORM}")
    _look_in(path.parent)
    name = f"_pulsekit_{path.stem}" if path.stem in sys.modules else path.stem
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None  # because the name ends with .py
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _failed(str(path), error) from error
    return module


def _look_in(folder: Path) -> None:
    place = str(folder.resolve())
    if place not in sys.path:
        sys.path.insert(0, place)
        importlib.invalidate_caches()


def _attribute(owner: Any, name: str, where: str, module_name: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError as error:
        # Properties are not called: their exceptions would hide the mistake.
        values = {one: inspect.getattr_static(owner, one, None) for one in dir(owner) if not one.startswith("_")}
        names = [one for one, value in values.items() if _is_candidate(value, module_name)]
        near = Guesses().nearest(name, names)
        hint = f"did you mean {near}?" if near else f"it has {either(names)}"
        raise ConfigurationError(f"{where} has no {name}: {hint}") from error
    except Exception as error:
        raise _failed(f"{name} of {where}", error) from error


def _is_candidate(value: Any, module_name: str) -> bool:
    """Return whether a value can be a handler or workers, and is defined in this module."""
    own = {module_name, Path(module_name).stem, f"_pulsekit_{Path(module_name).stem}"}
    return isinstance(value, Worker | list) or (callable(value) and getattr(value, "__module__", module_name) in own)


def _failed(name: str, error: BaseException) -> ConfigurationError:
    """Return the error for a module that cannot be imported, with the line in the user's code."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if len(frames) > 1 else ""
    if isinstance(error, SystemExit):
        return ConfigurationError(
            f"{name} ended the program while it was imported{place}: put what it runs under "
            "`if __name__ == '__main__':`"
        )
    if isinstance(error, OSError) and not place:  # of the file itself, and not of its code
        return ConfigurationError(f"{error.filename or name} cannot be read: {error.strerror or error}")
    return ConfigurationError(f"{name} cannot be imported: {type(error).__name__}: {error}{place}")
