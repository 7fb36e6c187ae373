"""The tasks of the project. `nox` runs the checks that every change must pass, and `nox --list` lists all tasks."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tarfile
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "tests"]

_PROJECT = nox.project.load_toml("pyproject.toml")
_DEMO = ("pulsekit", "demo")
# `import pulsekit` must import the wheel and not the checkout; tests/conftest.py checks it.
_ON_THE_WHEEL = {"PYTHONSAFEPATH": "1", "PULSEKIT_TEST_INSTALLED": "1"}
# A process for each core, up to four, because each process starts brokers. A process without tests gets tests of
# another one.
_IN_PARALLEL = ("--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal")
# The clients whose test suites run against the sandbox, and the dependencies of these suites.
_PEERS = ("amqp==5.4.2", "kombu==5.7.0", "aiormq==7.2.4")
_PEER_TOOLS = ("aiomisc-pytest>=2,<3", "pytest>=8.4,<10", "pytest-rerunfailures", "uvloop>=0.23,<0.24")
# The packages with which Taskcluster's hooks service decides whether a hook fires.
_HOOKS_SERVICE = ("ajv@8", "ajv-formats@3", "json-e@4")
_PUBLIC = (
    "pulsekit",
    *(f"pulsekit.{name}" for name in ("bindings", "catalogue", "consume", "consumer", "diagnosis", "hooks")),
    *(f"pulsekit.{name}" for name in ("publisher", "pytest_plugin", "queues", "recordings", "records", "sandbox")),
    *(f"pulsekit.{name}" for name in ("inspector", "instrumentation", "schemas", "sync", "testing", "treeherder")),
)
_IN_A_LOOP = (
    *("tests/_amqp", "tests/consume", "tests/consumer", "tests/instrumentation", "tests/publisher", "tests/sandbox"),
    "tests/sync",
    *("tests/test_cancellation.py", "tests/test_pulse.py"),
)
_WITH_EXTRAS = f".[{','.join(_PROJECT['project'].get('optional-dependencies', {}))}]"
_PYTHONS = nox.project.python_versions(_PROJECT)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and types."""
    session.install(".", "nox", *nox.project.dependency_groups(_PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    _verify_types(session)


@nox.session
def tests(session: nox.Session) -> None:
    """Test the wheel, on the Python that runs nox. Pass arguments for pytest after `--`."""
    _test(session)


@nox.session
def tests_slow(session: nox.Session) -> None:
    """Run the long searches. `tests` runs a short form of each."""
    _install(session)
    session.run("pytest", *_IN_PARALLEL, "--slow", "-m", "slow or hypothesis", *session.posargs, env=_ON_THE_WHEEL)


@nox.session
def faults(session: nox.Session) -> None:
    """Test faults of brokers and networks, including the long tests, such as hundreds of reconnects."""
    _install(session)
    session.run("pytest", "tests/faults", "--faults", "--timeout=300", *session.posargs, env=_ON_THE_WHEEL)


@nox.session(python=_PYTHONS)
def tests_all(session: nox.Session) -> None:
    """Test the wheel on every version of Python that pyproject.toml lists."""
    _test(session)


@nox.session
def tests_lowest(session: nox.Session) -> None:
    """Test the wheel with the oldest release of each direct dependency that pyproject.toml allows."""
    session.install("uv")
    session.run(
        *("uv", "pip", "install", "--quiet", "--resolution", "lowest-direct"),
        *(".", *nox.project.dependency_groups(_PROJECT, "test")),
        env=_index_for_uv(session),
    )
    session.run("uv", "pip", "list", "--quiet")
    session.run("pytest", *_IN_PARALLEL, *session.posargs, env=_ON_THE_WHEEL)


@nox.session
def tests_loops(session: nox.Session) -> None:
    """Run the tests that use an event loop on uvloop, and with eager tasks, which Python 3.12 and newer have.

    asyncio's debug mode finds calls from wrong threads. It makes each test several times as long, so `tests` omits it.
    """
    _install(session)
    session.install(*nox.project.dependency_groups(_PROJECT, "uvloop"))
    # The signal with which pytest-timeout ends a test never reaches one that runs on uvloop.
    lanes = {"uvloop": ("--timeout-method=thread",), "eager": ()}
    if sys.version_info < (3, 12):
        del lanes["eager"]
    for loop, options in lanes.items():
        run = ("pytest", *_IN_PARALLEL, "-o", "asyncio_debug=true", "--loop", loop, *options, *_IN_A_LOOP)
        session.run(*run, *session.posargs, env=_ON_THE_WHEEL)


@nox.session
def hooks_agreement(session: nox.Session) -> None:
    """Compare the verdicts and tasks of `pulsekit hook` with Ajv and JSON-e from npm. Needs node and npm."""
    if not all(map(shutil.which, ("node", "npm"))):
        session.skip("comparing with Ajv and JSON-e for JavaScript needs node and npm")
    _install(session)
    folder = Path(session.create_tmp()).resolve()
    try:
        session.run("npm", "install", "--silent", "--no-save", "--prefix", str(folder), *_HOOKS_SERVICE, external=True)
    except CommandFailed:  # the folder with the packages is not in this checkout
        session.skip("npm could not install Ajv and JSON-e: is its registry reachable?")
    env = _ON_THE_WHEEL | {"PULSEKIT_NODE_MODULES": str(folder)}
    session.run("pytest", "tests/hooks/test_agreement.py", *session.posargs, env=env)


@nox.session
def browser(session: nox.Session) -> None:
    """Test the page of `pulsekit inspector` in Debian's Chromium, which must be installed."""
    _install(session)
    session.install(*nox.project.dependency_groups(_PROJECT, "browser"))
    environment = {"PULSEKIT_REQUIRE_BROWSER": "1", **_ON_THE_WHEEL}
    session.run("pytest", "tests/inspector", "-m", "browser", *session.posargs, env=environment)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the tests, and list the lines and branches that no test executes."""
    _install(session)
    session.run("coverage", "run", "-m", "pytest", *session.posargs, env=_ON_THE_WHEEL)
    session.run("coverage", "report", "--show-missing", "--skip-covered")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure pulsekit and other clients. Pass arguments for the benchmarks after `--`."""
    session.install(".", *nox.project.dependency_groups(_PROJECT, "bench"))
    session.run("python", "benchmarks", *session.posargs, env={"PYTHONSAFEPATH": "1"})


@nox.session
def soak(session: nox.Session) -> None:
    """Run `pulsekit tail` for ten minutes at 2,000 messages a second. Pass `--minutes` or `--rate` after `--`."""
    session.install(".", *nox.project.dependency_groups(_PROJECT, "bench"))
    session.run("python", "benchmarks/soak.py", *session.posargs, env={"PYTHONSAFEPATH": "1"})


@nox.session
def pictures(session: nox.Session) -> None:
    """Draw the pictures of the README, or the pictures that are named after `--`."""
    session.install(".")
    session.run("python", "docs/pictures", *session.posargs, env={"PYTHONSAFEPATH": "1"})


@nox.session
def page_pictures(session: nox.Session) -> None:
    """Draw the pictures of the page in the browser. Needs chromium."""
    session.install(".[inspector]", *nox.project.dependency_groups(_PROJECT, "browser"))
    session.run("python", "docs/pictures/page.py", env={"PYTHONSAFEPATH": "1"})


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation in build/docs, and check its links. Warnings are errors."""
    session.install(_WITH_EXTRAS, *nox.project.dependency_groups(_PROJECT, "docs"))
    _build_docs(session)
    session.log("The first page is build/docs/index.html.")


@nox.session
def docs_browser(session: nox.Session) -> None:
    """Build the documentation, and test it in Chromium: search, widths, colour schemes, accessibility."""
    session.install(_WITH_EXTRAS, *nox.project.dependency_groups(_PROJECT, "docs", "browser", "test"))
    _build_docs(session)
    site = {"PULSEKIT_TEST_SITE": "build/docs", **_ON_THE_WHEEL}
    session.run("pytest", "tests/docs_site", *session.posargs, env=site)


def _build_docs(session: nox.Session) -> None:
    strict = ("--nitpicky", "--fail-on-warning", "--keep-going", "--quiet")
    session.run("sphinx-build", *strict, "docs", "build/docs", env={"PYTHONSAFEPATH": "1"})
    session.run("python", "docs/_site/links.py", "build/docs")


@nox.session
def demo(session: nox.Session) -> None:
    """Run `pulsekit demo`, which follows a job from publish to delivery on this machine."""
    session.install(".")
    session.run(*_DEMO, *session.posargs)


def _test(session: nox.Session) -> None:
    _install(session)
    session.run("pytest", *_IN_PARALLEL, *session.posargs, env=_ON_THE_WHEEL)


def _install(session: nox.Session) -> None:
    session.install(".", *nox.project.dependency_groups(_PROJECT, "test"))


@nox.session(venv_backend="none")
def fresh(session: nox.Session) -> None:
    """Run the two commands of README.md on a fresh Debian 13, as a normal user. Needs root and debootstrap."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("debootstrap", "unshare", "chroot"))):
        session.skip("creating a Debian root folder needs root, debootstrap, unshare and chroot")
    session.run(sys.executable, ".ci/fresh.py", *session.posargs, external=True)


def _verify_types(session: nox.Session) -> None:
    """Check that every public name has type annotations, so that pyright need not infer its type."""
    with session.chdir(session.create_tmp()):  # in the checkout, pyright would check its sources
        report = session.run(
            *("pyright", "--verifytypes", "pulsekit", "--ignoreexternal", "--outputjson"),
            silent=True,
            success_codes=[0, 1],  # 1 if only private names lack an annotation
        )
    symbols = json.loads(str(report))["typeCompleteness"]["symbols"]
    named = [(symbol, *symbol["name"].rpartition(".")[::2]) for symbol in symbols]
    public = [symbol for symbol, home, name in named if home in _PUBLIC and not name.startswith("_")]
    if unknown := [symbol["name"] for symbol in public if symbol["isTypeAmbiguous"] or not symbol["isTypeKnown"]]:
        session.error(f"these names lack type annotations, see `pyright --verifytypes pulsekit`: {', '.join(unknown)}")
    if not public:
        session.error("pyright found no public names")
    session.log(f"The types of all {len(public)} public names are known.")


def _index_for_uv(session: nox.Session) -> dict[str, str]:
    """Return the environment variable with pip's index for uv, which does not read pip's configuration."""
    if {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & os.environ.keys():
        return {}
    settings = str(session.run("python", "-m", "pip", "config", "list", silent=True, log=False))
    found = dict(re.findall(r"^(.+)\.index-url='(.+)'$", settings, re.MULTILINE))
    urls = [found[level] for level in (":env:", "install", "global") if level in found]  # in the order of pip
    return {"UV_DEFAULT_INDEX": urls[0]} if urls else {}


@nox.session
def peers(session: nox.Session) -> None:
    """Run the unchanged test suites of py-amqp, kombu and aiormq against the sandbox."""
    session.install(".")
    folder = Path(session.create_tmp()).resolve()
    # In a separate environment, because pulsekit's pytest plugin would change these suites.
    suites = f"{session.virtualenv.location}/suites"
    session.run("python", "-m", "venv", suites, silent=True)
    python = f"{suites}/bin/python"
    session.run(python, "-m", "pip", "install", "--quiet", *_PEERS, *_PEER_TOOLS, external=True)
    for peer in _PEERS:
        only = peer.partition("==")[0]  # their build dependencies may be wheels
        session.run(
            python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", only, "--dest", str(folder), peer,
            external=True,
        )  # fmt: skip
    for sdist in folder.glob("*.tar.gz"):
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
    session.run("python", "tests/sandbox/peers.py", str(folder), python, *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz each function that reads untrusted bytes for twenty seconds, or one target with `-- TARGET COUNT`."""
    _install(session)
    session.install("atheris")
    session.run(
        "python", "tests/security/fuzz.py", *session.posargs, env={"PYTHONPATH": "tests", "PULSEKIT_NO_CACHE": "1"}
    )
