from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt  # comes with rich

from pulsekit._config.target import Target
from pulsekit.bindings.registration import Registration, expand, read_registrations
from pulsekit.bindings.rules import Rule
from pulsekit.treeherder.registration_bug import Bug

if TYPE_CHECKING:
    from markdown_it.token import Token

JOBS = "exchange/me/v1/jobs"
MAIN = Registration(JOBS, ["treeherder"], ["autoland._", "try._"])
TRIAL = Registration(JOBS, ["th-staging"], ["#"])
BOTH = Bug({Target.STAGING: MAIN, Target.PRODUCTION: MAIN})
APART = Bug({Target.STAGING: TRIAL, Target.PRODUCTION: MAIN})


def fields(link: str) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(urlsplit(link).query, strict_parsing=True).items()}


def test_the_description_names_bindings_and_publisher() -> None:
    assert BOTH.text == (
        "Please have Treeherder load the jobs we publish on Pulse.\n"
        "\n"
        "For staging and production:\n"
        "\n"
        "```json\n"
        "{\n"
        f'  "exchange": "{JOBS}",\n'
        '  "destinations": ["treeherder"],\n'
        '  "projects": ["autoland._", "try._"]\n'
        "}\n"
        "```\n"
        "\n"
        "The bindings that follow from it:\n"
        "\n"
        f"- `{JOBS}:treeherder.autoland._`\n"
        f"- `{JOBS}:treeherder.try._`\n"
        "\n"
        "Pulse user: `me`\n"
        "\n"
        "Routing keys: `<destination>.<project>`\n"
        "\n"
        "Messages: schemas/pulse-job.yml\n"
    )


def test_different_targets_are_requested_separately() -> None:
    assert APART.text.index("For staging:") < APART.text.index("For production:")
    blocks = re.findall(r"```json\n(.*?)```", APART.text, re.DOTALL)
    assert [read_registrations(block, source="bug") for block in blocks] == [(TRIAL,), (MAIN,)]


@pytest.mark.parametrize(
    ("registration", "keys"),
    [
        (Registration(JOBS, ["th"], ["try"], Rule.PROJECT_DESTINATION), "`<project>.<destination>`"),
        (Registration(JOBS, [], ["try"], Rule.ANY_PROJECT), "`<any words>.<project>`"),
    ],
)
def test_a_registration_by_a_former_rule_keeps_its_rule(registration: Registration, keys: str) -> None:
    bug = Bug({Target.STAGING: registration})
    assert f"Routing keys: {keys}\n" in bug.text
    (block,) = re.findall(r"```json\n(.*?)```", bug.text, re.DOTALL)
    assert read_registrations(block, source="bug") == (registration,)
    assert read_registrations(json.dumps(bug.record()["registrations"]), source="bug") == (registration,)


def test_the_summary_names_the_exchange_and_the_only_target() -> None:
    assert BOTH.summary == f"Load the jobs of {JOBS} from Pulse"
    assert Bug({Target.STAGING: MAIN}).summary == f"Load the jobs of {JOBS} from Pulse on staging"
    other = Registration("exchange/me/trial", ["th"], ["#"])
    assert (
        Bug({Target.STAGING: other, Target.PRODUCTION: MAIN}).summary
        == f"Load the jobs of exchange/me/trial and {JOBS} from Pulse"
    )


def test_the_link_opens_the_form_of_treeherders_component_filled_in() -> None:
    assert BOTH.link.startswith("https://bugzilla.mozilla.org/enter_bug.cgi?product=Tree%20Management&")
    assert fields(BOTH.link) == {
        "product": "Tree Management",
        "component": "Treeherder: Data Ingestion",
        "short_desc": BOTH.summary,
        "comment": BOTH.text,
    }
    assert BOTH.is_whole


# RabbitMQ removes line breaks from names, so pulsekit refuses them.
texts = st.text(
    alphabet=st.characters(exclude_categories=("Cs",), exclude_characters=".\0\r\n"), min_size=1, max_size=8
)


@given(name=texts, destination=texts, project=texts)
def test_the_link_can_contain_any_name_and_is_escaped(name, destination, project) -> None:
    bug = Bug({Target.PRODUCTION: Registration(f"exchange/me/{name}", [destination], [f"{project}._"])})
    assert re.fullmatch(r"https://[A-Za-z0-9./_?=&%~-]*", bug.link)
    assert fields(bug.link)["comment"] == bug.text
    assert fields(bug.link)["short_desc"] == bug.summary


_HOSTILE = st.text(st.sampled_from("a.`[]()<>!*_#-&|~\\ \n\r\t\u2028\u202e"), max_size=12).map(
    lambda text: f"x{text}`[click](http://evil)<b>www.evil.com`{text}"
)


def _tokens(text: str) -> list[Token]:
    """Return what Markdown understands: blocks, and the parts of their lines."""
    return [
        part for block in MarkdownIt().parse(text) for part in (block, *(block.children or [])) if part.type != "inline"
    ]


@given(_HOSTILE, _HOSTILE, _HOSTILE)
def test_no_name_becomes_a_link_or_a_paragraph_of_the_bug(name: str, destination: str, project: str) -> None:
    name = name.translate(dict.fromkeys(b"\r\n"))  # refused in the name of an exchange
    registration = Registration(f"exchange/www.evil.com/{name}", [destination], [project])
    bug = Bug({Target.PRODUCTION: registration})
    usual = Bug({Target.PRODUCTION: TRIAL})
    assert [one.type for one in _tokens(bug.text)] == [one.type for one in _tokens(usual.text)]
    assert not any("evil" in one.content for one in _tokens(bug.text) if one.type == "text")
    assert bug.summary.isprintable()
    assert fields(bug.link)["short_desc"] == bug.summary


def test_a_link_too_long_for_web_servers_omits_the_description() -> None:
    bug = Bug({Target.PRODUCTION: Registration(JOBS, ["th"], [f"project-{n}._" for n in range(400)])})
    assert not bug.is_whole
    assert len(bug.link) < 8000
    assert fields(bug.link)["short_desc"] == bug.summary
    assert "- and 380 more" in bug.text


def test_the_record_can_be_read_as_registrations() -> None:
    record = APART.record()
    assert read_registrations(json.dumps(record), source="bug") == (TRIAL, MAIN)
    assert record["targets"]["staging"] == {"exchange": JOBS, "destinations": ["th-staging"], "projects": ["#"]}
    assert (record["summary"], record["text"], record["link"]) == (APART.summary, APART.text, APART.link)
    assert len(expand(read_registrations(json.dumps(record), source="bug"))) == 3
