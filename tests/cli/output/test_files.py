from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pulsekit.cli.output.files import write_new, write_whole

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_file_never_replaces_another(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    write_new(path, "one\r\n")
    with pytest.raises(FileExistsError):
        write_new(path, "two")
    assert path.read_bytes() == b"one\r\n"


@pytest.mark.parametrize("write", [write_new, write_whole])
def test_a_failed_write_leaves_no_partial_file(tmp_path: Path, write) -> None:
    path = tmp_path / "a.yml"
    with pytest.raises(UnicodeEncodeError):
        write(path, "text" * 10_000 + "\ud800")
    assert list(tmp_path.iterdir()) == []


def test_a_file_stays_if_its_replacement_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_atomically(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("old")
    with path.open() as reading:
        write_whole(path, "new")
        assert reading.read() == "old"
    assert path.read_text() == "new"
