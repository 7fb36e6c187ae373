"""Links in the path of a file that is replaced.

Linux does not follow a link that another user has put into a shared sticky folder such as `/tmp`
(`fs.protected_symlinks`, https://docs.kernel.org/admin-guide/sysctl/fs.html): such a link can lead to any file of the
victim. To replace a file, this process resolves the links in its path. So this module applies the rule of Linux itself,
even if the system has disabled it.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["end_of_links"]


def end_of_links(path: Path) -> Path:
    """Return the file to which a path leads.

    Raises:
        PermissionError: Raised when the path contains a link of another user in a sticky folder.
    """
    path = path.absolute()
    for part in (path, *path.parents):
        if not part.is_symlink():
            continue
        folder, link = part.parent.stat(), part.lstat()
        shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if shared and link.st_uid not in {os.geteuid(), folder.st_uid}:
            raise PermissionError(errno.EACCES, "another user has put this link into a shared folder", str(part))
    return path.resolve()
