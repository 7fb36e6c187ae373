from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.children import Child

from pulsekit.schemas.cache import MAX_ENTRIES, MAX_SIZE, VARIABLE, remembered

# A user that is neither root nor the user who runs the tests.
STRANGER = 54321


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no other setting of the cache."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def folder(home: Path) -> Path:
    return home / ".cache" / "pulsekit"


class Work:
    """Work whose result is cached, and how often it was done."""

    def __init__(self, result: bytes = b"result") -> None:
        self.result = result
        self.done = 0

    def __call__(self) -> bytes:
        self.done += 1
        return self.result


def entry(folder: Path) -> Path:
    (only,) = folder.iterdir()
    return only


def times_done(repetitions: int = 2) -> int:
    """Request the same result several times, and return how often it was computed."""
    work = Work()
    assert [remembered(work, b"key") for _ in range(repetitions)] == [work.result] * repetitions
    return work.done


def test_equal_inputs_are_computed_once(folder: Path) -> None:
    assert times_done(3) == 1
    assert times_done() == 0
    assert entry(folder)


@pytest.mark.parametrize("inputs", [(b"k", b"ey"), (b"key", b""), (b"", b"key"), (b"Key",), ()])
def test_other_inputs_are_computed_separately(home: Path, inputs: tuple[bytes, ...]) -> None:
    times_done()
    assert remembered(Work(b"other"), *inputs) == b"other"
    assert times_done() == 0


def test_only_the_user_can_read_the_cache(folder: Path) -> None:
    before = os.umask(0)
    try:
        times_done()
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder, entry(folder))] == [
        0o700,
        0o700,
        0o600,
    ]


def test_the_environment_sets_the_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "caches"))
    assert times_done() == 1
    assert entry(home / "caches" / "pulsekit")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # a relative path is ignored
    assert times_done() == 1
    assert entry(home / ".cache" / "pulsekit")


def test_a_home_behind_a_link_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "home").symlink_to("real")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert times_done() == 1
    assert entry(tmp_path / "real" / "pulsekit")


def test_it_can_be_disabled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    assert times_done() == 2
    assert not folder.exists()


@pytest.mark.parametrize("home_is", [None, "", "relative", "/dev/null", "/proc/nowhere"])
def test_without_a_home_the_work_is_repeated(home: Path, monkeypatch: pytest.MonkeyPatch, home_is: str | None) -> None:
    monkeypatch.chdir(home)
    if home_is is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", home_is)
    assert times_done() == 2
    assert list(home.iterdir()) == []


def test_a_loop_of_links_is_not_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "a").symlink_to("b")
    (home / "b").symlink_to("a")
    monkeypatch.setenv("HOME", str(home / "a"))
    assert times_done() == 2


@pytest.mark.parametrize("call", ["open", "rename", "listdir", "mkdir"])
def test_a_disk_that_accepts_nothing_is_not_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    if call != "mkdir":
        times_done()
        entry(folder).unlink()

    def full(*args: Any, **options: Any) -> Any:
        if call == "open" and not args[1] & os.O_WRONLY:
            return real(*args, **options)
        raise OSError(errno.ENOSPC, "No space left on device")

    real = getattr(os, call)
    monkeypatch.setattr(os, call, full)
    assert times_done() == 2
    monkeypatch.undo()
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_full_disk_leaves_no_partial_entry(folder: Path) -> None:
    times_done()
    entry(folder).unlink()
    script = (
        "import resource, signal; from pulsekit.schemas.cache import remembered;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "assert remembered(lambda: bytes(2000), b'key') == bytes(2000)"
    )
    environment = os.environ | {"HOME": str(folder.parents[1]), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=30)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "grown", "empty", "flipped", "renamed"])
def test_a_damaged_entry_is_computed_again(folder: Path, damage: str) -> None:
    times_done()
    path = entry(folder)
    data = path.read_bytes()
    for at in range(len(data)):
        match damage:
            case "cut":
                path.write_bytes(data[:at])
            case "grown":
                path.write_bytes(data[:at] + b"x" + data[at:])
            case "empty":
                path.write_bytes(b"")
            case "flipped":
                path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            case "renamed":
                remembered(Work(b"other"), b"%d" % at)
                (other,) = set(folder.iterdir()) - {path}
                other.rename(path)
        assert times_done() == 1
        assert path.read_bytes() == data


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o602, 0o620, 0o601, 0o610])
def test_a_file_with_access_for_others_is_not_read(folder: Path, mode: int) -> None:
    times_done()
    entry(folder).chmod(mode)
    assert times_done(1) == 1
    assert times_done() == 0  # it was replaced


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707, 0o702, 0o720, 0o755, 0o1777])
def test_a_folder_with_access_for_others_is_not_used(folder: Path, mode: int) -> None:
    times_done()
    before = entry(folder).stat()
    folder.chmod(mode)
    assert times_done() == 2
    assert entry(folder).stat() == before
    folder.chmod(0o700)
    assert times_done() == 0


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707, 0o720, 0o702])
@pytest.mark.parametrize("level", [0, 1])
def test_nothing_is_read_below_a_folder_writable_by_others(folder: Path, level: int, mode: int) -> None:
    times_done()
    folder.parents[level].chmod(mode)
    assert times_done() == 2


def test_below_a_sticky_folder_other_users_cannot_replace_entries(home: Path, folder: Path) -> None:
    home.chmod(0o1777)
    assert times_done() == 1
    assert times_done() == 0


@pytest.mark.parametrize("owned", ["home", "folder", "entry"])
def test_entries_of_another_user_are_not_read(folder: Path, owned: str, monkeypatch: pytest.MonkeyPatch) -> None:
    times_done()
    path = {"home": folder.parents[1], "folder": folder, "entry": entry(folder)}[owned]
    inode = path.stat().st_ino

    def stranger(real: Any) -> Any:
        def call(*args: Any, **options: Any) -> os.stat_result:
            found = real(*args, **options)
            return os.stat_result([*found[:4], STRANGER, *found[5:]]) if found.st_ino == inode else found

        return call

    monkeypatch.setattr(os, "lstat", stranger(os.lstat))
    monkeypatch.setattr(os, "fstat", stranger(os.fstat))
    monkeypatch.setattr(Path, "lstat", stranger(Path.lstat))
    assert times_done(1) == 1


def test_another_user_with_the_same_home_does_not_read_the_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times_done()
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    assert times_done() == 2


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_a_regular_file_is_read(folder: Path, kind: str) -> None:
    times_done()
    path = entry(folder)
    aside = path.rename(folder.parent / "aside")
    data = aside.read_bytes()
    match kind:
        case "link":
            path.symlink_to(aside)
        case "pipe":
            os.mkfifo(path, 0o600)
        case "folder":
            path.mkdir(0o700)
    assert times_done(1) == 1
    assert aside.read_bytes() == data


def test_a_linked_folder_is_used_only_if_its_target_is_safe(home: Path, folder: Path) -> None:
    folder.parent.mkdir(mode=0o700)
    (home / "elsewhere").mkdir(mode=0o777)
    (home / "elsewhere").chmod(0o777)
    folder.symlink_to(home / "elsewhere")
    assert times_done() == 2
    (home / "elsewhere").chmod(0o700)
    assert times_done() == 1


def test_the_number_of_entries_is_bounded(folder: Path) -> None:
    for number in range(MAX_ENTRIES):
        remembered(Work(b"%d" % number), b"%d" % number)
        os.utime(max(folder.iterdir(), key=lambda path: path.stat().st_ctime_ns), (number, number))
    (folder / "unfinished").write_bytes(b"")
    os.utime(folder / "unfinished", (0, 0))
    for number in range(MAX_ENTRIES, MAX_ENTRIES + 5):
        remembered(Work(b"%d" % number), b"%d" % number)
        assert len(list(folder.iterdir())) == MAX_ENTRIES
    assert not (folder / "unfinished").exists()
    newest = Work()
    for number in range(10, MAX_ENTRIES + 5):
        assert remembered(newest, b"%d" % number) == b"%d" % number
    assert newest.done == 0


def test_large_results_are_not_cached(folder: Path) -> None:
    work = Work(bytes(MAX_SIZE + 1))
    assert remembered(work, b"key") == remembered(work, b"key") == work.result
    assert work.done == 2
    assert list(folder.iterdir()) == []
    work = Work(bytes(MAX_SIZE))
    assert remembered(work, b"key") == remembered(work, b"key") == work.result
    assert work.done == 1


def test_failures_are_not_cached(folder: Path) -> None:
    def fail() -> bytes:
        raise KeyError("no")

    for _ in range(2):
        with pytest.raises(KeyError):
            remembered(fail, b"key")
    assert list(folder.iterdir()) == []
    assert times_done() == 1


def test_many_processes_can_share_it(folder: Path) -> None:
    script = (
        "import random; from pulsekit.schemas.cache import remembered\n"
        f"keys = [b'%d' % random.randrange({2 * MAX_ENTRIES}) for _ in range(500)]\n"
        "assert all(remembered(lambda: key * 1000, key) == key * 1000 for key in keys)"
    )
    environment = os.environ | {"HOME": str(folder.parents[1]), "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [Child([sys.executable, "-c", script], env=environment) for _ in range(4)]
    assert [process.wait(timeout=50) for process in processes] == [0] * 4
    assert all(len(path.name) == 64 for path in folder.iterdir())
    assert len(list(folder.iterdir())) <= MAX_ENTRIES + len(processes)


def test_no_descriptor_is_left_open(folder: Path) -> None:
    times_done()
    before = len(list(Path("/proc/self/fd").iterdir()))
    times_done()
    path = entry(folder)
    path.unlink()
    path.mkdir()
    times_done()
    folder.chmod(0o755)
    times_done()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
