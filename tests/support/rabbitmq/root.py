"""The system whose RabbitMQ the tests run: that of this machine, or a Debian in a folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PATH", "SCRIPTS", "Root"]

PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SCRIPTS = "/usr/lib/rabbitmq/bin"  # not the wrappers in /usr/sbin, which insist on user rabbitmq

# Runs a command inside, in the current folder if it has the same path inside, otherwise in /. The mounts are in a mount
# namespace that only the command and its children have, so they end with the last of these processes. Each program
# replaces the one before it, so the command has the process id that the caller sees.
_ENTER = """
for folder in /dev /proc /sys /tmp; do mount --rbind "$folder" "$1$folder"; done
root=$1 here=$PWD
[ -d "$root$here" ] || here=/
shift
exec chroot "$root" env --chdir="$here" "$@"
"""


@dataclass(frozen=True, slots=True)
class Root:
    """A root folder with RabbitMQ, `/` or one made by debootstrap, and how to run a command inside."""

    folder: Path

    @classmethod
    def chosen(cls) -> Root:
        """Return the root that `PULSEKIT_TEST_RABBITMQ_ROOT` names, or else that of this machine."""
        return cls(Path(os.environ.get("PULSEKIT_TEST_RABBITMQ_ROOT") or "/").resolve())

    @property
    def temporary(self) -> str:
        """The folder for temporary files: its path is the same inside and outside."""
        usual = tempfile.gettempdir()
        return usual if self._is_this_machine or Path(usual).is_relative_to("/tmp") else "/tmp"

    def command(self, *words: str) -> tuple[str, ...]:
        """Return the words that run a command inside, with the caller's environment and current folder."""
        if self._is_this_machine:
            return words
        return ("/usr/bin/unshare", "--mount", "/bin/sh", "-ec", _ENTER, "enter", str(self.folder), *words)

    def lacking(self) -> str | None:
        """Return in one line what is missing to run RabbitMQ, or None."""
        if not self._is_this_machine and os.geteuid() != 0:
            return f"only root can run the RabbitMQ of PULSEKIT_TEST_RABBITMQ_ROOT={self.folder}: it needs chroot"
        inside = os.pathsep.join(f"{self.folder}/{entry}" for entry in (SCRIPTS, *PATH.split(os.pathsep)))
        if all(shutil.which(tool, path=inside) for tool in ("rabbitmq-server", "epmd", "erl_call")):
            return None
        if self._is_this_machine:
            return "RabbitMQ is not installed: apt-get install rabbitmq-server (or set PULSEKIT_TEST_RABBITMQ)"
        return f"there is no RabbitMQ in PULSEKIT_TEST_RABBITMQ_ROOT={self.folder}: make it with debootstrap"

    @property
    def _is_this_machine(self) -> bool:
        return self.folder == Path("/")
