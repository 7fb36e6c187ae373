"""The tasks of the project: `nox` runs those that every change has to pass; `nox --list` shows all."""

from __future__ import annotations

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "tests"]

_PROJECT = nox.project.load_toml("pyproject.toml")
_DEMO = ("pulsekit", "demo")
# So that `import pulsekit` finds the wheel and not the checkout; tests/conftest.py refuses the latter.
_ON_THE_WHEEL = {"PYTHONSAFEPATH": "1", "PULSEKIT_TEST_INSTALLED": "1"}
_PYTHONS = nox.project.python_versions(_PROJECT)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and types."""
    session.install(".", "nox", *nox.project.dependency_groups(_PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Test the wheel that users get, on the Python that runs nox; pass arguments for pytest after `--`."""
    _test(session)


@nox.session(python=_PYTHONS)
def tests_all(session: nox.Session) -> None:
    """Test the wheel on every Python that pyproject.toml names."""
    _test(session)


@nox.session
def coverage(session: nox.Session) -> None:
    """Test, and list the lines and branches that no test reaches."""
    _install(session)
    session.run("coverage", "run", "-m", "pytest", *session.posargs, env=_ON_THE_WHEEL)
    session.run("coverage", "report", "--show-missing", "--skip-covered")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure side by side with the peers; pass arguments for the benchmarks after `--`."""
    _install(session)
    session.run("python", "-m", "benchmarks", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def demo(session: nox.Session) -> None:
    """Show the whole journey of a job on this machine."""
    session.install(".")
    session.run(*_DEMO, *session.posargs)


def _test(session: nox.Session) -> None:
    _install(session)
    session.run("pytest", *session.posargs, env=_ON_THE_WHEEL)


def _install(session: nox.Session) -> None:
    session.install(".", *nox.project.dependency_groups(_PROJECT, "test"))
