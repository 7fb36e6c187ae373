"""Read a configuration file, with the position of each value."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.secret import Secret
from pulsekit._config.file_schema import find_problem, login_keys
from pulsekit._documents.values import pointer_token
from pulsekit.errors import ConfigurationError, DocumentError, place_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pulsekit._documents.document import Document

__all__ = ["ConfigurationFile", "read_file"]

_MAX_FILE = 1024 * 1024  # bytes of a configuration file


@dataclass(frozen=True, slots=True)
class ConfigurationFile:
    """The values of a configuration file.

    Attributes:
        path: the path, for messages.
        values: the values, empty if there is no file.
        places: for each key, and for each key of a login as `logins.NAME.KEY`, `file:line:column` of its value.
        unreadable: the reason why it is unknown whether the file exists; empty if that is known.
    """

    path: Path
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    places: Mapping[str, str] = field(default_factory=dict)
    unreadable: str = ""
    _documents: Mapping[str, Document] = field(default_factory=dict, repr=False)  # without those of the login

    def document(self, key: str) -> Document | None:
        """Return the value of a key with its positions, or None if the file does not have the key."""
        return self._documents.get(key)

    def locate(self, pointer: str) -> tuple[int, int] | None:
        """Return line and column of the value at a JSON pointer, or None if it is unknown."""
        key, slash, rest = pointer.removeprefix("/").partition("/")
        document = self._documents.get(key)
        return None if document is None else document.locate(f"{slash}{rest}")

    def beside(self, name: str) -> str:
        """Return the path of a file whose name is relative to the folder of this file."""
        return str(self.path.parent / name)


def read_file(path: Path, *, user: bool = False) -> ConfigurationFile:
    """Read a configuration file. A file that does not exist or has no values is empty.

    A file in a folder that this user may not search is empty, too: after `sudo -u`, this can be the home or the current
    folder.

    Args:
        path: the path.
        user: whether this is the user's file, which may contain a login.

    Raises:
        ConfigurationError: Raised when the file cannot be read, or violates its schema.
    """
    searchable = False
    try:
        mode = path.stat().st_mode
        searchable = True
        if not stat.S_ISREG(mode):  # a link may lead to a device that never ends
            raise ConfigurationError(f"cannot read {path}: it is not a file")
        with path.open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):  # the home of a system user can be /dev/null
        if path.is_symlink():
            raise ConfigurationError(f"cannot read {path}: it is a link to a file that does not exist") from None
        for name in (path.with_suffix(".yaml"), path.with_name(f".{path.name}")):
            if name.is_file():
                raise ConfigurationError(f"{name} is not read: rename it to {path.name}") from None
        return ConfigurationFile(path)
    except OSError as error:
        reason = f"cannot read {path}: {error.strerror}"
        if isinstance(error, PermissionError) and not searchable:
            return ConfigurationFile(path, unreadable=reason)
        raise ConfigurationError(reason) from error
    if len(data) > _MAX_FILE:
        raise ConfigurationError(f"cannot read {path}: it has more than {_MAX_FILE >> 20} MiB")
    from pulsekit._documents.document import parse_documents_of_yaml  # takes longer than most commands

    # A parse error quotes the text. The user's file may contain a password, and a project's file may be a link to it.
    quoting = not user and not path.is_symlink()
    failure = ""
    documents: list[Document] = []
    try:
        documents = parse_documents_of_yaml(data, source=str(path))
    except DocumentError as error:
        place = place_text(path, error.line, error.column)
        failure = str(error) if quoting else f"{place}: this is not YAML; put values in quotes"
    del data
    if failure:
        raise ConfigurationError(failure)
    if len(documents) > 1:
        del documents
        raise ConfigurationError(f"{path}: write one document, without a line '---' between values")
    document = documents[0] if documents else None
    del documents
    value: Any = None if document is None else document.value
    if document is None or value is None:
        return ConfigurationFile(path)
    if not isinstance(value, dict):
        del value, document
        raise ConfigurationError(f"{path}:1: write a mapping, such as `exchange: exchange/me/v1/jobs`")
    if problem := find_problem(document, user=user, quoting=quoting):
        del value, document
        raise ConfigurationError(problem)
    login = {*login_keys(), "logins"}
    keys: list[tuple[str, ...]] = [(key,) for key in value]
    for name, inner in (value.get("logins") or {}).items():
        keys += [("logins", name), *(("logins", name, key) for key in inner)]
    places = {
        ".".join(one): place_text(path, *document.place("".join(f"/{pointer_token(key)}" for key in one)))
        for one in keys
    }
    children = {key: document.child(key) for key in value if key not in login}
    found = {key: _hidden(item) if key in login or isinstance(item, str) else item for key, item in value.items()}
    del value, document
    return ConfigurationFile(path, found, places, _documents=children)


def _hidden(value: Any) -> Any:
    """Return a value in which each text is a `Secret`."""
    if isinstance(value, dict):
        return {key: _hidden(item) for key, item in value.items()}
    return Secret(value) if isinstance(value, str) else value
