"""Links to a file that is replaced."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pulsekit.cli.output.files import write_whole
from pulsekit.recordings.recorder import Recorder

if TYPE_CHECKING:
    from pathlib import Path

STRANGER = 65_534


def record(path: Path) -> None:
    with Recorder(path, replace=True):
        pass


def write(path: Path) -> None:
    write_whole(path, "{}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link to another user")
@pytest.mark.parametrize("replace", [record, write])
@pytest.mark.parametrize("place", ["file", "folder"])
def test_a_link_of_another_user_in_a_sticky_folder_is_not_followed(tmp_path: Path, replace, place) -> None:
    shared, private = tmp_path / "shared", tmp_path / "private"
    for folder, mode in ((shared, 0o1777), (private, 0o700)):
        folder.mkdir()
        folder.chmod(mode)
    precious = private / "a.ndjson"
    precious.write_text("precious")
    link = shared / ("a.ndjson" if place == "file" else "folder")
    link.symlink_to(precious if place == "file" else private)
    path = link if place == "file" else link / "a.ndjson"
    os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(PermissionError, match="another user has put this link") as caught:
        replace(path)
    assert caught.value.filename == str(link)
    assert precious.read_text() == "precious"
    shared.chmod(0o755)  # only its owner creates links here
    replace(path)
    assert precious.read_text() != "precious"


def test_a_link_of_the_same_user_is_followed_everywhere(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / "link.ndjson").symlink_to(tmp_path / "a.ndjson")
    (tmp_path / "a.ndjson").write_text("old")
    write(tmp_path / "link.ndjson")
    assert (tmp_path / "a.ndjson").read_text() == "{}"
    assert (tmp_path / "link.ndjson").is_symlink()
