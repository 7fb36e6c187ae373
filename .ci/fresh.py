"""Run the README's two commands on a fresh Debian 13, as a normal user.

The first command runs without RabbitMQ, the second with it. `debootstrap` makes the root in a temporary folder, which
is removed afterwards. The commit that is checked out is cloned into a folder named `pulsekit`. The mirror of apt, the
settings of pip and the certificates that this machine trusts are read when the script runs.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_CHECKOUT = Path(__file__).parents[1]
_SUITE = "trixie"
_PACKAGES = ("python3", "python3-venv", "git", "ca-certificates")
_USER = "developer"
_HOME = Path("/home") / _USER
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# What a chroot needs from outside to resolve names and verify certificates.
_SHARED_FILES = (Path("/etc/resolv.conf"), Path("/etc/hosts"), _CERTIFICATES)
# Settings that lead to an index. Paths of this machine mean nothing inside.
_PIP_SETTINGS = ("index-url", "extra-index-url", "proxy", "trusted-host", "timeout", "retries")
_ATTEMPTS = 3
_COMMAND_SECONDS = 2400.0


class DownloadFailed(Exception):
    """Raised when the root or a package cannot be downloaded."""


class CommandFailed(Exception):
    """Raised when a command of the README fails."""


class Root:
    """A Debian root in a folder, and the means to run commands inside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def inside(self, path: Path) -> Path:
        """Return where a path of the root lies on this machine."""
        return self.folder / path.relative_to("/")

    def build(self) -> None:
        """Make the root and a normal user in it.

        Raises:
            subprocess.CalledProcessError: Raised when a package cannot be downloaded or installed.
        """
        shutil.rmtree(self.folder, ignore_errors=True)  # what a failed attempt left
        include = f"--include={','.join(_PACKAGES)}"
        _run("debootstrap", "--variant=minbase", include, _SUITE, str(self.folder), *_mirror())
        for path in _SHARED_FILES:
            if path.exists():
                shutil.copyfile(path, self.inside(path))
        self.inside(Path("/etc/pip.conf")).write_text(_pip_settings(), encoding="utf-8")
        # The tests start nodes of their own: the packaged service must not start.
        policy = self.inside(Path("/usr/sbin/policy-rc.d"))
        policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        policy.chmod(0o755)
        self.run("useradd --create-home --shell /bin/bash " + _USER)

    def install(self, package: str) -> None:
        """Install a Debian package.

        Raises:
            subprocess.CalledProcessError: Raised when the package cannot be downloaded or installed.
        """
        self.run("apt-get update --quiet")
        self.run(f"DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends {package}")

    def run(self, command: str, *, user: str = "root", folder: Path = Path("/"), **environment: str) -> None:
        """Run a shell command inside. Processes and mounts end with it.

        Raises:
            subprocess.CalledProcessError: Raised when the command fails.
        """
        home = "/root" if user == "root" else str(_HOME)
        settings = {"HOME": home, "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **environment}
        mounts = 'mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" && shift && exec "$@"'
        _run(
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", mounts, "sh", str(self.folder)),
            *("chroot", f"--userspec={user}:{user}", str(self.folder), "env", "--ignore-environment"),
            *(f"{name}={value}" for name, value in {"LANG": "C.UTF-8", **settings}.items()),
            *("bash", "-euo", "pipefail", "-c", f'cd "{folder}" && {command}'),
        )

    def clone(self) -> Path:
        """Clone the commit that is checked out, and return the path of the clone inside the root."""
        clone = _HOME / "pulsekit"
        _run("git", "clone", "--quiet", "--no-hardlinks", str(_CHECKOUT), str(self.inside(clone)))
        self.run(f"chown --recursive {_USER}:{_USER} {clone}")
        return clone


def main() -> int:
    """Build the root, run both commands, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--optional", action="store_true", help="only warn if the root cannot be downloaded")
    optional = parser.parse_args().optional
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what runs in the root ends, and the folder is removed
    with tempfile.TemporaryDirectory(prefix="fresh-debian-", ignore_cleanup_errors=True) as folder:
        try:
            _try_both(Root(Path(folder) / "root"))
        except DownloadFailed as failure:
            print(f"\nWARNING: nothing was tried on a fresh machine: {failure}\n", file=sys.stderr)
            return 0 if optional else 1
        except CommandFailed as failure:
            print(f"\nFAILED on a fresh Debian 13: {failure}\n", file=sys.stderr)
            return 1
    return 0


def _try_both(root: Root) -> None:
    _download("the Debian root", root.build)
    clone = root.clone()
    _time("the README's first command", lambda: root.run(_command("demo-command"), user=_USER, folder=clone))
    _download("RabbitMQ", lambda: root.install("rabbitmq-server"))
    root.run(f"rm -rf {clone}/.venv")  # both commands are run as on a new clone
    required = {"PULSEKIT_REQUIRE_RABBITMQ": "1"}
    _time(
        "the README's second command",
        lambda: root.run(_command("test-command"), user=_USER, folder=clone, **required),
    )


def _download(name: str, download: Callable[[], None]) -> None:
    """Try a download three times, and print how long it took."""
    began = time.monotonic()
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            download()
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(f"fresh: download of {name} failed (attempt {attempt}): {error}", file=sys.stderr)
        else:
            print(f"fresh: {name} took {time.monotonic() - began:.0f} s", flush=True)
            return
    raise DownloadFailed(f"{name} could not be downloaded")


def _time(name: str, run: Callable[[], None]) -> None:
    began = time.monotonic()
    try:
        run()
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise CommandFailed(f"{name}: {error}") from error
    print(f"fresh: {name} took {time.monotonic() - began:.0f} s", flush=True)


def _command(marker: str) -> str:
    """Return the block of the README that follows a marker."""
    text = (_CHECKOUT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^<!-- {marker} -->\n```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise CommandFailed(f"README.md has no block of code after <!-- {marker} -->")
    return found[1].strip()


def _mirror() -> list[str]:
    """Return the mirror from which this machine's apt gets Debian itself, or nothing if apt names none."""
    listing = ("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian")
    targets = subprocess.run(listing, capture_output=True, text=True, check=False)
    return targets.stdout.split()[:1]


def _pip_settings() -> str:
    """Return this machine's pip settings that are valid inside the root, as a `pip.conf`."""
    pip = (sys.executable, "-m", "pip", "config", "list")
    listed = subprocess.run(pip, capture_output=True, text=True, check=False).stdout
    found = dict(re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", listed, re.MULTILINE))
    kept = {name: value for name, value in found.items() if name in _PIP_SETTINGS and "file:" not in value}
    lines = [f"{name} = {value}" for name, value in {"cert": _CERTIFICATES, **kept}.items()]
    return "\n".join(["[global]", *lines, ""])


def _run(*command: str) -> None:
    sys.stdout.flush()
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True, timeout=_COMMAND_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
