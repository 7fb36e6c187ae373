"""Schemas with payloads, and templates with contexts, mutated at random: the cases of `test_agreement`."""

from __future__ import annotations

import copy
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# The schema of the hooks for pushes to hg.mozilla.org, in the form of fxci-config's `hg_pushes.py`.
PUSH_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["payload"],
    "properties": {
        "payload": {
            "type": "object",
            "description": "a push",
            "required": ["type", "data"],
            "properties": {
                "type": {"enum": ["changegroup.1"], "default": "changegroup.1"},
                "data": {
                    "type": "object",
                    "required": ["repo_url", "heads", "pushlog_pushes"],
                    "properties": {
                        "repo_url": {"enum": ["https://hg.example.org/try"], "format": "uri"},
                        "heads": {"type": "array", "items": [{"type": "string", "pattern": "^[0-9a-z]{40}$"}]},
                        "pushlog_pushes": {
                            "type": "array",
                            "items": [
                                {
                                    "type": "object",
                                    "required": ["time", "pushid", "user"],
                                    "properties": {
                                        "time": {"type": "integer", "default": 0},
                                        "pushid": {"type": "integer"},
                                        "user": {"type": "string", "format": "email"},
                                        "push_json_url": {"type": "string"},
                                    },
                                    "additionalProperties": False,
                                }
                            ],
                        },
                        "source": {},
                    },
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
        "_meta": {},
    },
    "additionalProperties": False,
}
PUSH: dict[str, Any] = {
    "_meta": {},
    "payload": {
        "type": "changegroup.1",
        "data": {
            "repo_url": "https://hg.example.org/try",
            "heads": ["a" * 40],
            "pushlog_pushes": [{"time": 1, "pushid": 2, "user": "me@example.org", "push_json_url": "x"}],
            "source": "serve",
        },
    },
}
OTHERS: list[tuple[dict[str, Any], Any]] = [
    (
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"id": {"type": "string", "format": "uuid"}, "any": {"unknown": 1}, "count": {"minimum": 1}},
            "properties": {
                "a": {"$ref": "#/definitions/id", "maxLength": 40},
                "b": {"type": "integer", "nullable": True, "allOf": [{"$ref": "#/definitions/count"}]},
                "c": {"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"type": "number", "multipleOf": 2}},
                "d": {"type": "array", "contains": {"const": 1}, "uniqueItems": True, "minItems": 1, "maxItems": 3},
                "e": {"oneOf": [{"type": "string"}, {"format": "date"}, {"type": "null"}]},
                "f": {"not": {"anyOf": [{"type": "boolean"}, {"exclusiveMinimum": 5}]}},
            },
            "patternProperties": {"^x-": {"type": "string", "format": "date-time"}},
            "propertyNames": {"pattern": "^[a-z-]+$"},
            "dependencies": {"a": ["b"], "c": {"required": ["d"]}},
        },
        {
            "a": "01234567-89ab-cdef-0123-456789abcdef",
            "b": None,
            "c": "xy",
            "d": [1, 2],
            "e": "text",
            "f": 1,
            "x-y": "2026-11-23T18:00:00Z",
        },
    ),
    (
        {
            "$defs": {
                "task": {"type": "object", "required": ["id", "toString"], "properties": {"id": {"type": "string"}}}
            },
            "type": ["object", "array"],
            "items": {"$ref": "#/$defs/task"},
            "additionalProperties": {"$ref": "#/$defs/task"},
            "minProperties": 1,
            "maxProperties": 2,
        },
        {"one": {"id": "a"}, "two": {"id": "b", "n": 1.5}},
    ),
    (
        {"items": [{"type": "integer"}, {"type": "string", "minLength": 1}], "additionalItems": False, "type": "array"},
        [1, "a"],
    ),
]
KEYWORDS: list[tuple[str, list[Any]]] = [
    ("type", ["object", "string", ["string", "null"], "integer", "array", ["object", "object"], [], "any"]),
    ("nullable", [True, False, "yes"]),
    ("format", ["email", "uri", "date-time", "date", "ipv4", "int32", "made-up", "password", "regex"]),
    ("pattern", [r"^\d+$", r"^a\-b$", "^(?<n>a)$", "[a-z]+", r"\w\s", "(", r"^\/x$", r"(?i)a", "a$"]),
    ("enum", [[1, "a"], [], [1, 1.0], [None, {"a": [1]}]]),
    ("const", [1, "a", None, {"a": 1}]),
    ("minLength", [1, 3, -1, 2.0]), ("maxLength", [1, 45]), ("minimum", [0, 2.5]), ("maximum", [1]),
    ("exclusiveMaximum", [2, True]), ("multipleOf", [2, 0]), ("minItems", [1]), ("maxItems", [1]),
    ("uniqueItems", [True, 1]), ("items", [{"type": "string"}, [{}], True, False, []]), ("additionalItems", [False]),
    ("contains", [{"type": "integer"}, {}]), ("required", [["a"], ["type", "type"], ["constructor"], []]),
    ("properties", [{"a": {"type": "string"}}, {}]), ("additionalProperties", [False, True, {"type": "string"}]),
    ("patternProperties", [{"^a": {"type": "string"}}, {"^a": {}}, {"[": {}}, {r"\d": False}]),
    ("propertyNames", [{"maxLength": 4}, {"enum": ["a"]}]),
    ("dependencies", [{"a": ["b"]}, {"a": {"maxProperties": 1}}]),
    ("if", [{"type": "object"}, True]), ("then", [{"required": ["a"]}, {}]), ("else", [False, {}]),
    ("not", [{"type": "string"}, {}]), ("allOf", [[{"minLength": 1}], []]), ("anyOf", [[{"type": "string"}, {}]]),
    ("oneOf", [[{"type": "string"}, {"type": "object"}]]), ("$ref", ["#", "#/definitions/none", "#/properties/a"]),
    ("title", ["t", 1]), ("description", ["d"]), ("$comment", ["c", 1]), ("default", [1]), ("examples", [[1], 1]),
    ("readOnly", [True, 1]), ("deprecated", [True]), ("unknown", [1]), ("id", ["x"]), ("minContains", [1]),
    ("unevaluatedProperties", [False]), ("$anchor", ["a"]), ("contentEncoding", ["base64"]), ("discriminator", [{}]),
    ("$schema", ["http://json-schema.org/draft-07/schema", "http://json-schema.org/draft-04/schema#", ""]),
]  # fmt: skip
VALUES = [
    None, True, False, 0, 1, 2, -1, 1.0, 2.5, 1e20, "", "a", "ab", "12", "a-b", "changegroup.1", "obsolete.1",
    "x@y.org", "https://example.org/x", "2026-11-23", "2026-11-23T18:00:00Z", "1.2.3.4", "é", "😀😀", "a\n", [],
    ["a"], [1, 1], [1, True], {}, {"a": 1}, {"a": "x", "b": 2}, {"type": "changegroup.1"}, {"constructor": 1},
]  # fmt: skip


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return container and key of every member below a value."""
    members = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [place for key, inner in members for place in [(value, key), *_places(inner)]]


def _mutated(value: Any, dice: random.Random, times: int) -> Any:
    root = [copy.deepcopy(value)]
    for _ in range(times):
        container, key = dice.choice(_places(root))
        if dice.random() < 0.3 and container is not root:
            del container[key]
        elif dice.random() < 0.3 and isinstance(container, dict):
            container[dice.choice("abcde")] = copy.deepcopy(dice.choice(VALUES))
        else:
            container[key] = copy.deepcopy(dice.choice(VALUES))
    return root[0]


def _subschemas(schema: Any) -> list[dict[str, Any]]:
    return [
        schema,
        *(
            within[name]
            for within, name in _places(schema)
            if isinstance(within[name], dict) and name not in {"properties", "$defs"}
        ),
    ]


def schemas(count: int, seed: int, payloads: int = 5) -> Iterator[dict[str, Any]]:
    """Yield questions about schemas, each with several payloads."""
    dice = random.Random(seed)
    pairs = [(PUSH_SCHEMA, PUSH), *OTHERS, ({}, {"a": 1}), ({"type": "object", "additionalProperties": False}, {})]
    for _ in range(count):
        schema, payload = copy.deepcopy(dice.choice(pairs))
        for _ in range(dice.choice([0, 0, 1, 1, 1, 2, 3])):
            inner = dice.choice(_subschemas(schema))
            if dice.random() < 0.15 and inner:
                del inner[dice.choice(list(inner))]
            else:
                keyword, values = dice.choice(KEYWORDS)
                inner[keyword] = copy.deepcopy(dice.choice(values))
        given = [_mutated(payload, dice, dice.choice([0, 1, 1, 2])) for _ in range(payloads)]
        yield {"schema": schema, "payloads": given}


NOW = "2026-11-23T18:00:00.123Z"
PAYLOAD = {
    "payload": PUSH["payload"],
    "status": {"taskId": "abc", "runs": [{"runId": 0, "state": "failed"}, {"runId": 1, "state": "completed"}]},
    "n": 3, "half": 0.5, "whole": 2.0, "big": 1e21, "small": 1e-7, "no": None, "yes": True, "text": "a,b,${c}",
    "é": "ü", "list": [3, 1, 2], "texts": ["b", "a"], "mixed": [1, "a", None], "when": "2026-01-02T03:04:05Z",
    "empty": {}, "none": [],
}  # fmt: skip
TEMPLATES: list[Any] = [
    {
        "taskQueueId": "a/${payload.payload.type}",
        "created": {"$fromNow": ""},
        "deadline": {"$fromNow": "30 minutes"},
        "expires": {"$fromNow": "1 year", "from": {"$eval": "payload.when"}},
        "routes": ["index.${payload.payload.data.heads[0]}", {"$if": "payload.n > 2", "then": "a", "else": "b"}],
        "payload": {"env": {"MESSAGE": {"$json": {"$eval": "payload"}}, "NOW": {"$eval": "now"}}},
        "metadata": {"name": "By ${firedBy} as ${taskId}", "n": "${payload.whole} ${payload.half + 1}"},
    },
    {"$merge": [{"$if": "'status' in payload", "then": {"id": {"$eval": "payload.status.taskId"}}}, {"a": 1}]},
    {"$map": {"$eval": "payload.status.runs"}, "each(run, i)": {"$match": {"run.state == 'failed'": "${i}"}}},
    {"$let": {"x": {"$eval": "payload.list"}}, "in": {"$sort": {"$eval": "x"}, "by(v)": "-v"}},
    {"$switch": {"payload.n == 3": "three", "payload.n == 4": "four", "$default": "other"}},
    {"$find": {"$eval": "payload.texts"}, "each(t)": "t < 'b'"},
    {"$reduce": {"$eval": "payload.list"}, "initial": 0, "each(sum, v)": {"$eval": "sum + v"}},
    {"$flatten": [[1], {"$eval": "payload.mixed"}]},
    {"$mergeDeep": [{"a": [1], "b": {"c": 1}}, {"a": [2], "b": {"d": {"$eval": "now"}}}]},
    {"$reverse": {"$flattenDeep": [[1, [2]], 3]}},
    {"$if": "payload.no || payload.none || payload.empty", "then": {"a": 1}},
    {"$json": {"now": {"$eval": "now"}, "b": [1.0, {"$eval": "payload.half"}]}},
    {"$$keep": "$${literal} ${payload.text}", "key-${payload.n}": {"$eval": "payload"}},
]  # fmt: skip
NAMES = [
    "payload.n", "payload.half", "payload.whole", "payload.list", "payload.texts", "payload.text", "payload.no", "now",
    "payload.yes", "payload.status", "payload.empty", "payload.none", "payload.when", "payload.missing", "firedBy",
    "payload['é']", "payload['none at all']", "0", "1", "2.50", "-1", "'a'", "''", "null", "true", "[]", "{}", "taskId",
    "payload.list[0]", "payload.list[-1]", "payload.text[1:3]", "payload.texts[5]", "payload.big", "payload.small",
    "[1, 'a']", "unknown",
]  # fmt: skip
OPERATORS = ["+", "-", "*", "/", "**", "==", "!=", "<", ">=", "&&", "||", "in"]
FUNCTIONS = [
    "str", "len", "typeof", "lowercase", "uppercase", "strip", "number", "ceil", "floor", "abs", "min", "max",
    "defined", "fromNow",
]  # fmt: skip


def _expression(dice: random.Random, depth: int = 0) -> str:
    kind = dice.random()
    if depth > 2 or kind < 0.4:
        return dice.choice(NAMES)
    if kind < 0.7:
        return f"{_expression(dice, depth + 1)} {dice.choice(OPERATORS)} {_expression(dice, depth + 1)}"
    if kind < 0.75:
        return f"!{_expression(dice, depth + 2)}"
    if kind < 0.8:
        return f"join({_expression(dice, depth + 1)}, {dice.choice(NAMES)})"
    if kind < 0.85:
        return f"split({_expression(dice, depth + 1)}, {dice.choice(NAMES)})"
    if kind < 0.9:
        return f"({_expression(dice, depth + 1)})[{dice.choice(['0', '-1', '1:', ':2', 'payload.n', '-5:2'])}]"
    return f"{dice.choice(FUNCTIONS)}({_expression(dice, depth + 1)})"


def templates(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield questions about templates, each with a context."""
    dice = random.Random(seed)
    times = ["1 day", "-2 hours", "+ 3 weeks 1 min", "1 MONTH", "1 fortnight", "", "1 day 1 year", "2 y 3 mo 1 s"]
    for _ in range(count):
        kind = dice.random()
        if kind < 0.3:
            template: Any = {"a": {"$eval": _expression(dice)}}
        elif kind < 0.5:
            template = ["${" + _expression(dice) + "} and ${" + dice.choice(NAMES) + "}"]
        elif kind < 0.6:
            start = {"$eval": _expression(dice, 1)} if dice.random() < 0.5 else dice.choice(["2026-01-02", "x", "", 5])
            template = {"$fromNow": dice.choice(times), **({"from": start} if dice.random() < 0.5 else {})}
        elif kind < 0.7:
            template = {"$if": _expression(dice), "then": "yes", **({"else": []} if dice.random() < 0.5 else {})}
        else:
            template = copy.deepcopy(dice.choice(TEMPLATES))
            for container, key in dice.sample(_places(template), k=min(len(_places(template)), dice.choice([0, 1, 1]))):
                text = {"$eval": _expression(dice)}
                container[key] = dice.choice([text, _expression(dice), "${" + _expression(dice) + "}", 1, [text]])
        payload = _mutated(PAYLOAD, dice, dice.choice([0, 0, 1, 2]))
        context = {"firedBy": "pulseMessage", "payload": payload, "taskId": "fN1SbArXTPSVFNUvaOlinQ"}
        yield {"template": template, "context": context, "now": NOW}


PIECES = [
    *"abAB01-_.,/ :@é\n()[]{}|?*+^$\\",
    *(
        r"\d",
        r"\w",
        r"\s",
        r"\S",
        r"\W",
        r"\D",
        r"\b",
        r"\B",
        r"\-",
        r"\/",
        r"\.",
        r"\_",
        r"\Z",
        r"\1",
        r"\k<n>",
        r"\cA",
    ),
    *(
        r"\u0041",
        r"\u{1F600}",
        r"\ud83d\ude00",
        r"\x41",
        r"\0",
        "[a-z]",
        "[^a]",
        r"[\w-]",
        r"[\w-a]",
        "[]",
        "[^]",
        "[z-a]",
    ),
    *(
        r"[\b]",
        r"[^\S]",
        r"[\D_]",
        "(?:",
        "(?=",
        "(?!",
        "(?<=",
        "(?<n>",
        "(?i)",
        "(?P<n>",
        "{2}",
        "{1,}",
        "{0,3}",
        "{3,1}",
    ),
    *("a++", ")", "]", "^[0-9a-z]{40}$", "^(foo|bar)$"),
]
MATCHED = [
    *(
        "",
        "a",
        "A",
        "0",
        "ab",
        "foo",
        "a-b",
        "_",
        "é",
        "\u0663",
        " ",
        "\u00a0",
        "\n",
        "a\n",
        "😀",
        "x\u2028",
        "\u017f",
        "aa",
    ),
    *("0a" * 20, "\b", "\x01", "AB01", ".", "/"),
]


def patterns(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield questions about regular expressions, each with many texts."""
    dice = random.Random(seed)
    for _ in range(count):
        pattern = "".join(dice.choice(PIECES) for _ in range(dice.randint(1, 6)))
        yield {"schema": {"pattern": pattern}, "payloads": MATCHED}


_SAMPLES = """\
2024-02-29 2023-02-29 1900-02-29 2026-11-31 12:30:45Z 12:30:45.5+01:00 23:59:60Z 00:59:60+01:00 23:59:60+00
23:29:60-0030 22:59:60-01 12:30:45 2026-11-23T18:00:00Z 2026-11-23t18:00:00+0100 23:59:60 2026-11-23T18:00:00
P1Y2M3DT4H5M6S P1W PT1H P PT P1D https://user:p%41@example.com:80/a/b?c=d#e mailto:a@b.example http://[::1]/
http://[1:2:3::4:1.2.3.4]:8/x urn:a:b /a/b a //h/p ?q #f http://[v1.a:b]/ http://{a}/{+b,c:3}{?d*} https://example.com
ftp://1.2.3.4:21/x http://10.0.0.1/ me@example.com http://ex-ample.org/é a.b+c@x-y.example.org a@b example.com
a-b.example. -a.b 1.2.3.4 256.1.1.1 01.2.3.4 :: ::1 1:: 1::8 1:2:3:4:5:6:7:8 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8
1:2:3:4:5:6:1.2.3.4 ::ffff:1.2.3.4 1:2::3:4:5:6:7 fe80::1%eth0 urn:uuid:01234567-89ab-cdef-0123-456789abcdef
01234567-89ab-cdef-0123-456789abcdef /a~1b/~0 /a~ #/a%20b 0 1# 01 2/a YQ== YWJj
"""
TEXTS = _SAMPLES.split()


def formats(names: Iterable[str], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield a question for each format, with many texts that nearly have one of the formats."""
    dice = random.Random(seed)
    texts: list[str] = ["", "2026-11-23 18:00:00Z", "x\nYWJj", "a" * 64 + ".com", *TEXTS]
    while len(texts) < count:
        text = list(dice.choice(TEXTS))
        for _ in range(dice.choice([1, 1, 2, 3])):
            at = dice.randint(0, len(text))
            text[at : at + dice.randint(0, 1)] = dice.choice("0123456789abcfzZTtWPYMDHS:/.-+%#?@[]{}~,;_ \n\"'<\\|éK")
        texts.append("".join(text))
    yield from ({"schema": {"format": name}, "payloads": texts} for name in names)
