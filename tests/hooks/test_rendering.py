from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hooks.pairs import PAYLOAD
from pulsekit.hooks import TemplateError, render

NOW = datetime(2026, 11, 23, 18, 0, 0, 123456, UTC)
CONTEXT = {"firedBy": "pulseMessage", "payload": PAYLOAD, "now": NOW, "taskId": "fN1SbArXTPSVFNUvaOlinQ"}


def test_now_is_a_date_of_javascript() -> None:
    template = {
        "text": {"$eval": "now"},
        "in-json": {"$json": {"$eval": "[now]"}},
        "later": {"$fromNow": "2 hours"},
        "earlier": {"$fromNow": "-1 DAY", "from": {"$eval": "now"}},
        "type": {"$eval": "typeof(now)"},
        "true": {"$if": "now", "then": 1, "else": 2},
        "called": {"$eval": "fromNow('1 year')"},
    }
    assert render(template, CONTEXT) == {
        "text": "2026-11-23T18:00:00.123Z",
        "in-json": '["2026-11-23T18:00:00.123Z"]',
        "later": "2026-11-23T20:00:00.123Z",
        "earlier": "2026-11-22T18:00:00.123Z",
        "type": "object",
        "true": 2,
        "called": "2027-11-23T18:00:00.123Z",
    }
    for failing in ("${now}", {"$eval": "str(now)"}, {"$eval": "fromNow('1 day', now)"}, {"$eval": "now + '1'"}):
        with pytest.raises(TemplateError):
            render(failing, CONTEXT)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("4 / 2", 2),
        ("payload.whole", 2),
        ("1 == true", False),
        ("1 == 1.0", True),
        ("true in [1]", False),
        ("2 < 2.5", True),
        ("2 ** 3", 8),
        ("9 ** 9 ** 9 ** 9", None),
        ("payload.list[-5]", 3),
        ("payload.text[3:1]", ""),
        ("join([1, null, true, [2, 3]], '-')", "1--true-2,3"),
        ("number('x')", None),
        ("number('')", 0),
        ("str(0.0000001)", "1e-7"),
        ("str(1000000000000000000000 + 0)", "1e+21"),
        ("str(300000000000000000000 / 1)", "300000000000000000000"),
        ("split('a1b', 1)", ["a", "b"]),
        ("max(1, 2.5)", 2.5),
    ],
)
def test_expressions_have_the_results_of_javascript(expression: str, value: Any) -> None:
    rendered = render({"$eval": expression}, CONTEXT)
    assert rendered == value
    assert type(rendered) is type(value)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ({"$find": {"$eval": "['${a}', 'b']"}, "each(x, i)": "i == 0"}, "${a}"),  # not rendered again
        ({"$sort": [3, 1.5, 2]}, [1.5, 2, 3]),
        ({"$sort": [{"a": 2}, {"a": 1}], "by(x)": "x.a"}, [{"a": 1}, {"a": 2}]),
        ({"$json": {"b": 1.0, "a": [0.5, None]}}, '{"a":[0.5,null],"b":1}'),
        ({"$fromNow": "1 day", "from": "2026-01-02T03:04:05Z"}, "2026-01-03T03:04:05.000Z"),
        ({"$fromNow": "1 day", "from": "no date"}, None),
        ({"$if": "false", "then": 1}, None),
        ({"$$keep": "$${x} ${payload.whole}"}, {"$keep": "${x} 2"}),
    ],
)
def test_operators_have_the_results_of_javascript(template: Any, value: Any) -> None:
    assert render(template, CONTEXT) == value


def test_an_error_has_its_position_in_the_template() -> None:
    with pytest.raises(TemplateError, match=r"at template\.routes\[1\]: TemplateError: index out of bounds") as caught:
        render({"routes": ["a", "${payload.none[0]}"]}, CONTEXT)
    assert caught.value.place == ".routes[1]"


@pytest.mark.parametrize("template", [{"$eval": "len"}, {"a": {"$eval": "("}}, {"$eval": "1 / 0"}, {"$unknown": 1}])
def test_every_failure_is_a_template_error(template: Any) -> None:
    with pytest.raises(TemplateError):
        render(template, CONTEXT)


@pytest.mark.parametrize("template", [{"$eval": ""}, {"$if": " ", "then": 1}, ["a", {"b": "${"}]])
def test_an_empty_expression_is_an_error_of_the_template(template: Any) -> None:
    with pytest.raises(TemplateError, match="Unexpected end of input"):
        render({"routes": template}, {})


def test_a_template_is_rendered_twice_if_it_is_generated() -> None:
    generated = render(
        {"route": "${alias}.$${payload.n}", "when": {"$fromNow": "0 s", "from": "2026-01-02"}}, {"alias": "try"}
    )
    assert generated == {"route": "try.${payload.n}", "when": "2026-01-02T00:00:00.000Z"}
    assert render(generated, CONTEXT)["route"] == "try.3"
    assert render({"$fromNow": "1 day"}, {}).endswith("Z")


def test_other_users_of_json_e_in_the_process_are_not_affected() -> None:
    import jsone

    assert render({"$eval": "4 / 2"}, CONTEXT) == 2
    assert repr(jsone.render({"$eval": "4 / 2"}, {})) == "2.0"
