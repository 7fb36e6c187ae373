"""The topics of `pulsekit help`, which concern several commands. The pages in `docs/` have the same tables."""

from __future__ import annotations

from typing import NamedTuple

from pulsekit._config.file_schema import login_keys, project_keys, read_schema

__all__ = [
    "CONFIGURATION",
    "CONFIG_SCHEMA",
    "ENVIRONMENT",
    "FILTERS",
    "LOGIN",
    "RECORD",
    "RECORD_LINES",
    "RECORD_OF_TAIL",
    "RULES",
    "TOPICS",
    "Topic",
]

Rows = tuple[tuple[str, ...], ...]

ENVIRONMENT: Rows = (
    ("PULSE_URL", "broker and login, as amqps://USER:PASSWORD@HOST/VHOST"),
    ("PULSE_USER, PULSE_PASSWORD", "login; without PULSE_URL, the broker is pulse.mozilla.org"),
    ("PULSE_DATA_INGESTION_SOURCES", "registrations, in the form of Treeherder's variable"),
    ("PULSE_JOB_SOURCES", "registrations, in an older form of Treeherder"),
    ("PULSE_JOB_EXCHANGES", "the exchanges of registrations, in the oldest form of Treeherder"),
    ("PULSE_JOB_DESTINATIONS", "the destinations of registrations, in the oldest form of Treeherder"),
    ("PULSE_JOB_PROJECTS", "the projects of registrations, in the oldest form of Treeherder"),
    ("CI", "if set, commands do not look for a sandbox on this machine"),
    ("XDG_CONFIG_HOME", "folder of your configuration instead of ~/.config"),
    ("XDG_CACHE_HOME", "folder of compiled schemas instead of ~/.cache"),
    ("PULSEKIT_NO_CACHE", "if set, compiled schemas are not stored"),
    (
        "PULSEKIT_DEBUG",
        "1: print the traceback of an error; frames: print each AMQP frame, without bodies and passwords",
    ),
    ("NO_COLOR", "if set, output has no colours"),
    ("FORCE_COLOR", "if set, output has colours even in a pipe; NO_COLOR has priority"),
)

CONFIGURATION: Rows = tuple(
    (key, about["description"], about.get("default", "none")) for key, about in project_keys().items()
)

LOGIN: Rows = (
    *((key, about["description"]) for key, about in login_keys().items()),
    ("logins", read_schema(user=True)["properties"]["logins"]["description"]),
)

RECORD: Rows = (
    ("v", "the version of the format"),
    ("exchange, routing_key, cc", "the exchange, the routing key, and the CC keys (the keys in the header CC)"),
    ("redelivered", "whether the broker has delivered the message before"),
    ("received", "when pulsekit received the message, in UTC"),
    ("properties, headers", "the AMQP properties that are set, and the headers"),
    ("payload", "the body, if it is JSON"),
    ("key", "the fields of the routing key that have a value, by name, if the exchange is known"),
    ("unreadable", "the reason, if the headers and properties could not be read"),
    ("body, body_b64", "if the body is not JSON: the body as text, or in base64 if it is not text"),
)

RECORD_OF_TAIL: Rows = (
    ("size", "the bytes of the body", ""),
    ("bindings", "the bindings of this command that matched the message", ""),
    (
        "valid, problem",
        "whether the payload is valid, or null without a schema for the exchange; the first error",
        "--schema",
    ),
    ("reasons", "for each binding that matched, the key and the reason", "--explain"),
    ("envelope", "what mozillapulse's envelope contained besides the payload", "--unwrap"),
)

RECORD_LINES: Rows = (
    ("header", "the first line of a recording: when it began, and the bindings"),
    (
        "gap",
        "a lost connection: from, to, and whether messages may be missing; created means that the queue was new",
    ),
    (
        "trailer",
        "the last line of a recording: the number of messages, and a SHA-256 digest of all previous lines",
    ),
    ("rate", "a report of tail --rate"),
)

FILTERS: Rows = (
    ("payload.result == 'fail'", "jobs with this result"),
    ("payload.tier == `1`", "jobs of this tier: a number is in backquotes"),
    ("payload.state != 'pending' && redelivered", "both conditions are true; || is or, ! is not"),
    ("contains(cc, 'route.x')", "messages with this CC key"),
    ("starts_with(routing_key, 'treeherder.autoland.')", "messages whose key begins with these words"),
    ("key.workerType == 't-linux'", "a field of the key, of a known exchange"),
    ("payload.jobInfo.links[0].url", "with --filter, messages that have this value; with --query, the value"),
)


_PLACES = """\
A setting is read from the first of these places that has it: an option, the environment, pulsekit.yml,
~/.config/pulsekit/config.yml."""
_PROJECT_FILE = """\
pulsekit.yml belongs to a project. Commands read it from the current folder, or else from the nearest parent folder that
has this file, up to the root of the repository. --config FILE before the command names another file. pulsekit.yml has
these keys, each with its default in parentheses:"""
_USER_FILE = """\
~/.config/pulsekit/config.yml belongs to you. This file may have the same keys, and a login:"""
_LOGINS = """\
--login NAME uses the login NAME under logins. Each login under logins has the first five of these keys. Because --login
is an option, it has priority over PULSE_URL, PULSE_USER and PULSE_PASSWORD. The command prints which of these variables
it ignores. --url and --login cannot be combined."""
_RECORDS = """\
tail, 'queue peek' and 'queue take' write one record per line. Recordings have the same format. publish, validate,
preview, match, 'bindings --keys' and replay read records."""
_EXPRESSIONS = """\
An expression is JMESPath (https://jmespath.org) over the record, see 'pulsekit help records'. Quote an expression,
because
the shell expands backquotes and exclamation marks."""


class Topic(NamedTuple):
    """A topic: its summary, and paragraphs and tables in the order in which they are shown."""

    summary: str
    parts: tuple[str | Rows, ...]


RULES, CONFIG_SCHEMA = "rules", "config-schema"

TOPICS = {
    "environment": Topic("Variables that pulsekit reads.", (ENVIRONMENT,)),
    "exit-codes": Topic("What the exit code of a command means.", ()),
    "configuration": Topic(
        "The files pulsekit.yml and config.yml.", (_PLACES, _PROJECT_FILE, CONFIGURATION, _USER_FILE, LOGIN, _LOGINS)
    ),
    CONFIG_SCHEMA: Topic("The JSON Schema of pulsekit.yml for an editor; with config.yml, that of config.yml.", ()),
    "records": Topic(
        "The line of JSON that is written for a message.",
        (
            _RECORDS,
            RECORD,
            "tail adds these members, some of them with an option:",
            RECORD_OF_TAIL,
            "A line that is not a message has a type:",
            RECORD_LINES,
        ),
    ),
    "filters": Topic("The expressions of --filter and --query.", (_EXPRESSIONS, FILTERS)),
    RULES: Topic("What Treeherder does with a valid job; 'help rules RULE' for one rule.", ()),
}
