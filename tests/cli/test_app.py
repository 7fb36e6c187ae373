from __future__ import annotations

import errno
import gc
import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from support.samples import COMPLETED

from cli.conftest import environment
from pulsekit import errors
from pulsekit.cli import main
from pulsekit.cli.app import _COMMANDS
from pulsekit.cli.exit_codes import ExitCode, exit_code, report
from pulsekit.cli.output.output import Format, Output, clean
from pulsekit.errors import PulsekitError
from pulsekit.publisher.receipts import OutcomeUnknown, PublishTimeout

HEAVY = {"aio_pika", "aiormq", "asyncio", "rich", "ruamel", "fastjsonschema", "ssl"}


def loaded_by(*arguments: str) -> set[str]:
    """Return the modules that are loaded after a call."""
    script = f"import sys; from pulsekit.cli import main; main({arguments!r}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(), timeout=30, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


# loading


@pytest.mark.parametrize(
    "arguments",
    [
        ["match", "a", "--binding", "b"],
        ["match", "a"],
        ["match", "--help"],
        ["bindings", "--help"],
        ["--version"],
        ["--help"],
    ],
)
def test_offline_commands_load_no_slow_modules(folder, arguments) -> None:
    assert HEAVY.isdisjoint(loaded_by(*arguments))


@pytest.mark.parametrize(
    ("name", "text", "needed"),
    [
        ("valid.json", json.dumps(COMPLETED), ""),
        (
            "invalid.json",
            json.dumps(COMPLETED | {"state": "Completed"}),
            "pulsekit.schemas.drafts pulsekit.schemas.explain",
        ),
        ("valid.ndjson", json.dumps(COMPLETED), ""),
        ("valid.yml", "\n".join(f"{name}: {json.dumps(value)}" for name, value in COMPLETED.items()), "ruamel"),
        ("record.json", json.dumps({"routing_key": "a", "payload": COMPLETED}), "pulsekit.records.record"),
    ],
)
@pytest.mark.parametrize("profile", ["strict", "treeherder"])
def test_validating_loads_only_what_the_file_needs(folder, name, text, needed, profile) -> None:
    (folder / name).write_text(text)
    rarely = {
        "schemas.drafts", "schemas.explain", "schemas.compiler", "schemas.cache", "records.record", "messages",
        "bindings.registration", "bindings.matching", "publisher.receipts", "_config.targets",
        "_documents.yaml_reader",
    }  # fmt: skip
    heavy = HEAVY | {"hashlib", "decimal", *(f"pulsekit.{module}" for module in rarely)}
    loaded = loaded_by("validate", name, "--profile", profile)
    assert heavy & loaded >= set(needed.split())
    assert heavy & loaded <= {*needed.split(), *_FOLLOWING.get(needed, ())}


# Modules that the modules above import.
_FOLLOWING = {
    "pulsekit.records.record": {"pulsekit.messages"},
    "ruamel": {"pulsekit._documents.yaml_reader"},
}


def test_a_pipe_is_validated_without_an_event_loop(spawn) -> None:
    result = spawn("validate", stdin=json.dumps(COMPLETED), env={"PYTHONVERBOSE": "1"})
    assert result.code == 0
    assert "import 'pulsekit.schemas.compiled._pulse_job'" in result.err
    assert "import 'asyncio'" not in result.err


def in_a_process_of_its_own(script: str, *arguments: str, warnings: str = "") -> str:
    """Run a script of Python with the arguments of a command, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", f"import gc, sys; from pulsekit.cli import main\n{script}", *arguments],
        capture_output=True, text=True, env=environment({"PYTHONWARNINGS": warnings}), timeout=30, check=True,
    )  # fmt: skip
    return done.stdout


def test_a_command_has_its_garbage_collected(folder) -> None:
    patched = "import pulsekit.cli.commands.match as m; m.note = lambda _: print(gc.isenabled())"
    script = f"{patched}; print(main(), gc.isenabled())"
    out = in_a_process_of_its_own(script, "match", "a", "--binding", "a", "-o", "pretty")
    assert (out.splitlines()[0], out.splitlines()[-1]) == ("True", "0 True")


@pytest.mark.parametrize("arguments", [["match", "a", "--binding", "a"], ["--help"], ["--nonsense"]])
def test_no_garbage_collection_runs_at_the_exit(folder, arguments) -> None:
    script = "code = main(); print(gc.isenabled(), gc.get_freeze_count() > len(gc.get_objects()))"
    assert in_a_process_of_its_own(script, *arguments).endswith("True True\n")


def test_no_garbage_collection_runs_during_the_start(folder) -> None:
    script = (
        "looked = lambda: gc.get_stats()[0]['collections']; before = looked(); main(); print(looked() - before <= 1)"
    )
    assert in_a_process_of_its_own(script, "--help").endswith("True\n")


def test_with_warnings_enabled_unclosed_resources_are_reported(folder) -> None:
    script = "before = gc.get_freeze_count(); main(); print(gc.get_freeze_count() == before)"
    assert in_a_process_of_its_own(script, "--help", warnings="error").endswith("True\n")
    assert in_a_process_of_its_own(script, "--help").endswith("False\n")


def test_a_call_within_another_program_keeps_its_garbage_collection(call) -> None:
    before = gc.get_freeze_count()
    call("match", "a")
    assert gc.isenabled()
    assert gc.get_freeze_count() == before


def test_listing_the_commands_loads_no_command(folder) -> None:
    modules = {module for module, _ in _COMMANDS.values()}
    assert modules.isdisjoint(loaded_by("--help"))


def test_completing_the_name_of_a_command_loads_no_command(folder, monkeypatch) -> None:
    monkeypatch.setenv("_PULSEKIT_COMPLETE", "zsh")
    modules = {module for module, _ in _COMMANDS.values()}
    assert modules.isdisjoint(loaded_by("ma"))


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_every_command_is_there_and_its_help_begins_with_examples(call, name) -> None:
    assert find_spec(_COMMANDS[name][0]) is not None
    result = call(name, "--help")
    assert result.code == 0
    summary, _, rest = result.out.partition("Examples:")
    assert summary.startswith(f"Usage: pulsekit {name} [OPTIONS]")
    assert f"pulsekit {name}" in rest.lstrip().partition("\n")[0]
    assert all(len(line) <= 78 for line in rest.partition("\n\n")[0].splitlines())


def test_the_help_of_the_group_lists_every_command_with_a_line(call) -> None:
    out = call("--help").out
    width = max(map(len, _COMMANDS))
    for name, (_, summary) in _COMMANDS.items():
        assert f"  {name.ljust(width)}  {summary}" in out


def test_help_is_the_same_for_the_short_option(call) -> None:
    assert call("-h").out == call("--help").out


# usage


def test_without_a_command_the_help_goes_to_stderr(call) -> None:
    result = call()
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Usage: pulsekit")


def test_the_version_is_that_of_the_package(call) -> None:
    from pulsekit import __version__

    assert call("--version").out == f"pulsekit {__version__}\n"


def test_a_misspelt_command_gets_a_suggestion(call) -> None:
    result = call("macth", "x")
    assert (result.code, result.out) == (2, "")
    assert result.err == "error: No such command 'macth'. Did you mean 'match'?\ntry 'pulsekit --help'\n"


def test_a_misspelt_option_points_to_the_help_of_its_command(call) -> None:
    result = call("match", "x", "--bindings", "y")
    assert result.code == 2
    assert result.err.startswith("error: No such option: --bindings")
    assert result.err.endswith("try 'pulsekit match --help'\n")


def test_the_module_can_be_run(spawn) -> None:
    assert spawn("--version").out.startswith("pulsekit ")


# errors


def all_errors(kind: type[BaseException] = PulsekitError) -> set[type[BaseException]]:
    return {kind}.union(*(all_errors(below) for below in kind.__subclasses__() if below.__module__ == errors.__name__))


@pytest.mark.parametrize("kind", sorted(all_errors() - {PulsekitError}, key=lambda kind: kind.__name__))
def test_every_error_has_an_exit_code(kind) -> None:
    assert exit_code(kind.__new__(kind)) in {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidName("x", "y"), 2),
        (errors.SchemaError("x"), 2),
        (errors.DocumentError("x"), 1),
        (errors.InvalidRegistration("x"), 1),
        (errors.NotFound("x"), 5),
        (errors.ConnectTimeout("x"), 4),
        (OutcomeUnknown("x", None), 3),
        (PublishTimeout("x", None), 4),
        (FileNotFoundError(errno.ENOENT, "no", "f"), 74),
        (OSError(errno.ENOSPC, "full"), 74),
        (TimeoutError(), 4),
        (ConnectionResetError(), 4),
        (BrokenPipeError(), 141),
        (KeyboardInterrupt(), 130),
        (KeyError("x"), 70),
        (PulsekitError("x"), 70),
    ],
)
def test_an_error_exits_with_the_code_of_its_branch(error, code) -> None:
    assert exit_code(error) == code
    assert report(error) == code


def test_the_only_error_of_a_task_group_is_reported(capsys) -> None:
    error = ExceptionGroup("tasks", [ExceptionGroup("inner", [errors.NotFound("no exchange x")])])
    assert report(error) is ExitCode.REFUSED
    assert capsys.readouterr().err == "error: no exchange x\n"


def test_a_message_cannot_control_the_terminal(capsys) -> None:
    report(errors.InvalidInput("a\x1b[2Jb\u202ec\x9bd\nerror: e\ud800"))
    assert capsys.readouterr().err == "error: a\\x1b[2Jb\\u202ec\\x9bd\\x0aerror: e\\ud800\n"


def test_interruptions_and_closed_pipes_are_not_reported(capsys) -> None:
    report(KeyboardInterrupt())
    report(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert capsys.readouterr().err == ""


def test_a_bug_is_reported_without_a_traceback(call, monkeypatch) -> None:
    monkeypatch.setattr("pulsekit.cli.commands.match._judge", lambda *_: {}["gone"])
    result = call("match", "a")
    assert result.code == 70
    assert "error: this is a bug in pulsekit: KeyError: 'gone'\nplease report it" in result.err
    assert "Traceback" not in result.err


def test_a_traceback_is_printed_on_request(call, monkeypatch) -> None:
    monkeypatch.setenv("PULSEKIT_DEBUG", "1")
    result = call("bindings", "nowhere.yml")
    assert result.code == 74
    assert "Traceback (most recent call last)" in result.err
    assert result.err.endswith("error: nowhere.yml: No such file or directory\n")


def test_a_call_that_ends_by_exit_keeps_its_exit_code(monkeypatch) -> None:
    def leave(_) -> None:
        raise SystemExit(9)

    monkeypatch.setattr("pulsekit.cli.app.run", leave)
    with pytest.raises(SystemExit, match="9"):
        main(["match"])


# pipes and files that end badly


def shell(command: str) -> subprocess.CompletedProcess[str]:
    script = command.replace("pulsekit", f"'{sys.executable}' -m pulsekit")
    return subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env=environment(),
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("command", ["match a", "match a -o pretty", "--help", "match --help"])
def test_a_closed_pipe_is_not_reported(folder, command) -> None:
    done = shell(f"pulsekit {command} | true; echo ${{PIPESTATUS[0]}}")
    assert done.stdout == "141\n"
    assert "error" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("command", ["match a", "match a -o pretty", "--help", "--version"])
def test_a_full_disk_is_an_error(folder, command) -> None:
    done = shell(f"pulsekit {command} > /dev/full")
    assert done.returncode == 74
    assert done.stderr.endswith("error: No space left on device\n")
    assert "Exception" not in done.stderr


def test_a_closed_stdout_is_an_error(folder) -> None:
    done = shell("pulsekit match a >&-")
    assert done.returncode == 74
    assert done.stderr.endswith("error: <stdout>: Bad file descriptor\n")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_an_unwritable_stderr_does_not_change_the_output(folder, redirection) -> None:
    done = shell(f"pulsekit match treeherder.mozilla-inbound._ {redirection}")
    assert done.returncode == 0
    assert [json.loads(line)["matched"] for line in done.stdout.splitlines()] == [True, False, True]


def test_a_closed_stdin_is_no_input(folder) -> None:
    done = shell("pulsekit match <&-")
    assert done.returncode == 2
    assert "error: no KEY" in done.stderr


# output


def test_a_pipe_gets_ndjson_and_a_terminal_gets_text(call, on_terminal) -> None:
    assert call("match", "a").out.startswith('{"routing_key":"a",')
    assert "matched by none of 3 bindings" in on_terminal("match", "a").out


def test_a_terminal_gets_colours_unless_they_are_disabled(on_terminal, call) -> None:
    assert "\x1b[31m" in on_terminal("match", "a").out
    assert "\x1b" not in on_terminal("match", "a", env={"NO_COLOR": "1"}).out
    assert "\x1b" not in on_terminal("match", "a", env={"TERM": "dumb"}).out
    assert "\x1b" not in call("match", "a", "-o", "pretty").out


def test_headings_of_the_help_are_coloured_on_a_terminal(on_terminal) -> None:
    assert "\x1b[1m  Examples:\x1b[0m\n    pulsekit match " in on_terminal("match", "--help").out


@pytest.mark.parametrize("columns", [60, 80])
def test_no_output_is_wider_than_the_terminal(on_terminal, columns) -> None:
    for arguments in (["match", "treeherder.autoland._"], ["match"], ["match", "--help"], ["--help"], ["bindings"]):
        lines = on_terminal(*arguments, columns=columns, env={"NO_COLOR": "1"}).out.splitlines()
        assert max(map(len, lines)) <= columns


def test_a_wide_reason_is_below_its_row_on_a_narrow_terminal(on_terminal) -> None:
    out = on_terminal("match", "treeherder.autoland._", columns=60, env={"NO_COLOR": "1"}).out
    assert "no  treeherder.mozilla-inbound._\n    word 2: pattern has 'mozilla-inbound', key has\n" in out


def test_without_a_terminal_a_table_is_one_line_per_row(capsys) -> None:
    Output(Format.PRETTY).table([["no", "a" * 50, "why " * 40], [("match", "good"), "字", ""]])
    out = capsys.readouterr().out
    assert out == f"no     {'a' * 50}  {('why ' * 40).rstrip()}\nmatch  字\n"


def test_untrusted_text_is_shown_with_escapes(capsys) -> None:
    Output(Format.PRETTY).line("a\x1b[0m\x07\x9b\u2067", ("\r\n", "bad"))
    assert capsys.readouterr().out == "a\\x1b[0m\\x07\\x9b\\u2067\\x0d\\x0a\n"
    assert clean("tab\tand \N{RIGHT-TO-LEFT OVERRIDE} é 字") == "tab\\x09and \\u202e é 字"


def test_ndjson_escapes_controls_and_is_utf8_in_any_locale(spawn) -> None:
    result = spawn("match", "é\x1b\u202e", "-o", "ndjson", env={"PYTHONIOENCODING": "ascii"})
    assert result.code == 1
    assert r'"routing_key":"é\u001b\u202e"' in result.out


def test_a_character_that_the_locale_lacks_is_escaped(spawn) -> None:
    result = spawn("match", "é", "-o", "pretty", env={"PYTHONIOENCODING": "ascii"})
    assert result.out.startswith("\\xe9  matched by none")


def test_an_unknown_format_is_refused_with_the_known_ones(call) -> None:
    result = call("match", "a", "-o", "xml")
    assert result.code == 2
    assert "'pretty', 'ndjson'" in result.err


def test_a_configuration_file_is_found_above_or_named_before_the_command(call, folder, monkeypatch) -> None:
    registration = "registrations: [{exchange: exchange/me/x, destinations: [%s], projects: [b]}]\n"
    (folder / "pulsekit.yml").write_text(registration % "above")
    (folder / "other.yml").write_text(registration % "named")
    (folder / "inner").mkdir()
    monkeypatch.chdir(folder / "inner")
    assert '"above.b"' in call("bindings").out
    assert '"named.b"' in call("--config", "../other.yml", "bindings").out
    assert '"above.b"' in call("bindings").out  # the option is not remembered
    done = call("--config", "missing.yml", "bindings")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: cannot read missing.yml: there is no such file\n"
