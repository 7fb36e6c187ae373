from __future__ import annotations

import json
import stat
from urllib.parse import parse_qs, urlsplit

import pytest

JOBS = "exchange/me/v1/jobs"
FLAGS = ["--exchange", JOBS, "--destination", "treeherder", "--project", "autoland._"]
MAIN = {"exchange": JOBS, "destinations": ["treeherder"], "projects": ["autoland._"]}


def test_flags_give_the_bug_the_json_and_the_link_as_a_record(call) -> None:
    result = call("register", *FLAGS)
    assert result.code == 0
    record = json.loads(result.out)
    assert record["targets"] == {"staging": MAIN, "production": MAIN}
    assert record["registrations"] == [MAIN]
    query = parse_qs(urlsplit(record["link"]).query)
    assert query["product"] == ["Tree Management"]
    assert query["component"] == ["Treeherder: Data Ingestion"]
    assert query["comment"] == [record["text"]]
    assert "nothing was sent" in result.err
    assert "since 2019" in result.err


def test_text_output_has_the_description_and_a_link(call) -> None:
    result = call("register", *FLAGS, "-o", "pretty")
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[:2] == ["Summary", f"Load the jobs of {JOBS} from Pulse"]
    assert '  "projects": ["autoland._"]' in lines
    assert lines[-1].startswith("https://bugzilla.mozilla.org/enter_bug.cgi?product=Tree%20Management&component=")


def test_a_record_can_be_expanded_at_once(call) -> None:
    record = call("register", *FLAGS, "-p", "try._").out
    expanded = call("bindings", stdin=record).out
    assert [json.loads(line)["pattern"] for line in expanded.splitlines()] == [
        "treeherder.autoland._",
        "treeherder.try._",
    ]


@pytest.mark.parametrize(
    ("flags", "targets"),
    [
        ([], ["staging", "production"]),
        (["--staging"], ["staging"]),
        (["--production"], ["production"]),
        (["--production", "--staging"], ["staging", "production"]),
        (["--staging-project", "#"], ["staging", "production"]),
        (["--production", "--staging-exchange", "exchange/me/trial"], ["staging", "production"]),
        (["--staging", "--staging-destination", "x"], ["staging"]),
    ],
)
def test_flags_say_which_treeherder(call, flags, targets) -> None:
    assert list(json.loads(call("register", *FLAGS, *flags).out)["targets"]) == targets


def test_staging_can_have_other_values(call) -> None:
    flags = ["--staging-exchange", "exchange/me/trial", "--staging-destination", "x", "--staging-project", "#"]
    record = json.loads(call("register", *FLAGS, *flags).out)
    assert record["targets"] == {
        "staging": {"exchange": "exchange/me/trial", "destinations": ["x"], "projects": ["#"]},
        "production": MAIN,
    }


def test_exchange_and_destinations_default_to_those_of_the_project(call, folder) -> None:
    (folder / "pulsekit.yml").write_text(
        f"exchange: {JOBS}\ndestinations: [treeherder]\ntargets: {{staging: {{destinations: [th-staging]}}}}\n"
    )
    targets = json.loads(call("register", "-p", "try._").out)["targets"]
    assert targets["staging"]["destinations"] == ["th-staging"]
    assert targets["production"]["destinations"] == ["treeherder"]
    assert json.loads(call("register", "-p", "try._", "-d", "x").out)["registrations"][0]["destinations"] == ["x"]


# wrong input


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "error: no exchange: add --exchange, as in 'pulsekit register --exch"),
        (FLAGS[:2], 2, "no destination: add --destination, as in 'pulsekit register"),
        (FLAGS[:4], 2, "no project: add --project, as in 'pulsekit register --exchange exchange/me/v1/jobs --dest"),
        (["-e", "v1/jobs", *FLAGS[2:]], 2, "did you mean 'exchange/<user>/v1/jobs'?"),
        (["-e", "v1/jobs", "--user", "me", *FLAGS[2:]], 2, "did you mean 'exchange/me/v1/jobs'?"),
        (
            [*FLAGS, "--user", "you"],
            2,
            "only to exchange/you/…; did you mean 'exchange/you/v1/jobs'? (if another user publishes, add",
        ),
        ([*FLAGS, "--user", "1you"], 2, "'1you' is not a Pulse user name"),
        ([*FLAGS, "-d", ""], 2, "'-d' / '--destination': it is empty; is a variable of the shell not set?"),
        ([*FLAGS, "-p", "x" * 250], 1, "destination and project together: pattern 'treeherder.xxx"),
        ([*FLAGS, "-p", "moz-*._"], 1, "'treeherder.moz-*._': the word 'moz-*' matches only itself"),
        ([*FLAGS, "--staging-project", "moz-*._"], 1, "'treeherder.moz-*._': the word 'moz-*' matches only itself"),
        ([*FLAGS, "-d", "a\n[b](c)", "--force"], 2, "'a\\n[b](c)' has a control character"),
        ([*FLAGS, "extra"], 2, "unexpected extra argument"),
    ],
)
def test_an_invalid_registration_is_refused(call, folder, arguments, code, words) -> None:
    result = call("register", *arguments, "--write")
    assert (result.code, result.out) == (code, "")
    assert words in result.err
    assert list(folder.iterdir()) == []


def test_the_logged_in_user_is_the_publisher(call, monkeypatch) -> None:
    monkeypatch.setenv("PULSE_USER", "you")
    assert call("register", *FLAGS).code == 2
    assert call("register", *FLAGS, "--user", "me").code == 0
    monkeypatch.setenv("PULSE_URL", "amqps://me:secret@pulse.mozilla.org/")
    assert call("register", *FLAGS).code == 0


def test_force_accepts_a_finding_and_prints_it(call) -> None:
    result = call("register", *FLAGS, "-p", "moz-*._", "--force")
    assert result.code == 0
    assert "warning: 'treeherder.moz-*._': the word 'moz-*' matches only itself" in result.err


def test_a_key_without_the_reserved_word_is_only_a_hint(call) -> None:
    result = call("register", *FLAGS, "-p", "try")
    assert result.code == 0
    assert "'treeherder.try': matches only keys of 2 words" in result.err
    assert "use project 'try._'" in result.err
    assert call("match", "treeherder.try", "--registration", "-", stdin=result.out).code == 0


def test_useless_bindings_are_reported_and_wildcards_explained(call) -> None:
    result = call("register", *FLAGS, "-p", "#")
    assert result.code == 0
    assert "warning: 'treeherder.autoland._': 'treeherder.#' matches every key that this binding matches" in result.err
    everything = call("register", "-e", JOBS, "-d", "#", "-p", "#")
    assert "'#.#': matches every message of the exchange, whatever its key, as '#' does" in everything.err


# --write


def test_write_stores_the_registration_for_every_other_command(call, folder) -> None:
    assert "stored in pulsekit.yml" in call("register", *FLAGS, "--staging-project", "#", "--write").err
    for target, pattern in (("staging", "treeherder.#"), ("production", "treeherder.autoland._")):
        assert json.loads(call("bindings", "--target", target).out) == {"exchange": JOBS, "pattern": pattern}
    assert call("match", "treeherder.autoland._").code == 0
    assert "already contains this registration" in call("register", *FLAGS, "--staging-project", "#", "--write").err


def test_write_keeps_comments_and_permissions_and_follows_a_link(call, folder) -> None:
    real = folder / "real.yml"
    real.write_text(f"# mine\nexchange:   {JOBS}  # ours\n")
    real.chmod(0o640)
    (folder / "pulsekit.yml").symlink_to(real)
    assert call("register", *FLAGS, "--write").code == 0
    assert real.read_text().startswith(f"# mine\nexchange:   {JOBS}  # ours\ndestinations: [treeherder]\n")
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert (folder / "pulsekit.yml").is_symlink()
    assert sorted(path.name for path in folder.iterdir()) == ["pulsekit.yml", "real.yml"]


def test_write_warns_if_publish_still_uses_another_exchange(call, folder) -> None:
    (folder / "pulsekit.yml").write_text("exchange: exchange/me/other\n")
    assert "without --target, publish still uses exchange/me/other" in call("register", *FLAGS, "--write").err


def test_a_folder_that_is_not_writable_is_reported(call, folder) -> None:
    (folder / "pulsekit.yml").mkdir()
    result = call("register", *FLAGS, "--write")
    assert result.code == 2
    assert "pulsekit.yml" in result.err


# at a terminal


def test_on_a_terminal_it_asks_until_the_answer_is_valid(on_terminal, folder) -> None:
    typed = "v1/jobs\n\n\nmoz-*._\nautoland._, try._\nprod\nstaging\n"
    result = on_terminal("register", "--write", typed=typed, env={"NO_COLOR": "1"})
    assert result.code == 0
    output = " ".join(result.out.split())
    assert "Exchange [exchange/me/v1/jobs]:" in output
    assert "did you mean 'exchange/<user>/v1/jobs'?" in output
    assert "the word 'moz-*' matches only itself" in output
    assert "error: 'prod' is not staging, production or both" in output
    assert '"projects": ["autoland._", "try._"]' in output
    assert "For staging:" in output
    assert "projects: [autoland._, try._]" in (folder / "pulsekit.yml").read_text()


def test_on_a_terminal_staging_can_differ(on_terminal, folder) -> None:
    result = on_terminal("register", "--write", columns=60, typed="\n\ntry._\n\nn\n\nth-staging\n#\n")
    assert result.code == 0
    assert "destinations: [th-staging]\n    projects: ['#']\n" in (folder / "pulsekit.yml").read_text()


def test_on_a_terminal_the_configuration_supplies_defaults(on_terminal, folder) -> None:
    (folder / "pulsekit.yml").write_text(
        f"registrations:\n- {{exchange: {JOBS}, destinations: [a, b], projects: [try._, x._]}}\n"
        f"exchange: {JOBS}\ndestinations: [a, b]\n"
    )
    result = on_terminal("register", typed="\n\n\n\n\n")
    assert result.code == 0
    assert '"destinations": ["a", "b"]' in result.out
    assert '"projects": ["try._", "x._"]' in result.out


def test_on_a_terminal_it_asks_only_for_missing_values(on_terminal) -> None:
    result = on_terminal("register", *FLAGS)
    assert result.code == 0
    assert "[" + JOBS + "]" not in result.out
    half = on_terminal("register", "-e", JOBS, "-p", "try._", typed="th\n")
    assert half.code == 0
    assert '"destinations": ["th"]' in half.out


def test_ending_the_questions_registers_nothing(on_terminal, folder) -> None:
    result = on_terminal("register", "--write", typed="\n\x04")
    assert result.code == 130
    assert "Traceback" not in result.out
    assert list(folder.iterdir()) == []
