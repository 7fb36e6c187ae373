"""The shipped schema 'registration', made by `python -m pulsekit.schemas.compiled`; every change is lost."""

from pulsekit.schemas.runtime import Refused, searcher
NoneType = type(None)
SEARCH_0 = searcher('^exchange/[a-zA-Z][a-zA-Z0-9._-]*/.+(?=\\n?\\Z)')

def strict(data):
    """Raise `Refused` unless the payload is valid."""
    data_any_of_count1 = 0
    if not data_any_of_count1:
        try:
            strict___definitions_0(data)
            data_any_of_count1 += 1
        except (Refused,):
            pass
    if not data_any_of_count1:
        try:
            if not isinstance(data, (list, tuple)):
                raise Refused
            data_len = len(data)
            if data_len < 1:
                raise Refused
            for data_x, data_item in enumerate(data):
                strict___definitions_0(data_item)
            data_any_of_count1 += 1
        except (Refused,):
            pass
    if not data_any_of_count1:
        raise Refused
    return data

def strict___definitions_0(data):
    if not isinstance(data, dict):
        raise Refused
    if 'exchange' not in data or 'projects' not in data:
        raise Refused
    data_known = 2
    data__exchange = data['exchange']
    if not isinstance(data__exchange, str):
        raise Refused
    data__exchange_len = len(data__exchange)
    if data__exchange_len > 255:
        raise Refused
    if not SEARCH_0(data__exchange):
        raise Refused
    if 'destinations' in data:
        data_known += 1
        data__destinations = data['destinations']
        strict___definitions_1(data__destinations)
    data__projects = data['projects']
    strict___definitions_1(data__projects)
    if len(data) != data_known:
        raise Refused
    return data

def strict___definitions_1(data):
    if not isinstance(data, (list, tuple)):
        raise Refused
    data_len = len(data)
    if data_len < 1:
        raise Refused
    for data_x, data_item in enumerate(data):
        if not isinstance(data_item, str):
            raise Refused
        data_item_len = len(data_item)
        if data_item_len < 1:
            raise Refused
        if data_item_len > 255:
            raise Refused
    return data

def treeherder(data):
    """Raise `Refused` unless the payload is valid."""
    data_any_of_count1 = 0
    if not data_any_of_count1:
        try:
            treeherder___definitions_0(data)
            data_any_of_count1 += 1
        except (Refused,):
            pass
    if not data_any_of_count1:
        try:
            if not isinstance(data, (list, tuple)):
                raise Refused
            data_len = len(data)
            if data_len < 1:
                raise Refused
            for data_x, data_item in enumerate(data):
                treeherder___definitions_0(data_item)
            data_any_of_count1 += 1
        except (Refused,):
            pass
    if not data_any_of_count1:
        raise Refused
    return data

def treeherder___definitions_0(data):
    if not isinstance(data, dict):
        raise Refused
    if 'exchange' not in data or 'projects' not in data:
        raise Refused
    data_known = 2
    data__exchange = data['exchange']
    if not isinstance(data__exchange, str):
        raise Refused
    data__exchange_len = len(data__exchange)
    if data__exchange_len > 255:
        raise Refused
    if not SEARCH_0(data__exchange):
        raise Refused
    if 'destinations' in data:
        data_known += 1
        data__destinations = data['destinations']
        treeherder___definitions_1(data__destinations)
    data__projects = data['projects']
    treeherder___definitions_1(data__projects)
    if len(data) != data_known:
        raise Refused
    return data

def treeherder___definitions_1(data):
    if not isinstance(data, (list, tuple)):
        raise Refused
    data_len = len(data)
    if data_len < 1:
        raise Refused
    for data_x, data_item in enumerate(data):
        if not isinstance(data_item, str):
            raise Refused
        data_item_len = len(data_item)
        if data_item_len < 1:
            raise Refused
        if data_item_len > 255:
            raise Refused
    return data

YAML = (
    "# The registration of a publisher with Treeherder, by which Treeherder binds its queue to the publisher's exchange.\n"
    '#\n'
    '# Treeherder creates one binding for each combination of destination and project, by default `<destination>.<project>`.\n'
    '# A project can have several words, such as `mozilla-inbound._`. Both lists can have the wildcards * and #.\n'
    '$schema: http://json-schema.org/draft-06/schema#\n'
    'title: Registration\n'
    'description: One registration, or a list of them.\n'
    'anyOf:\n'
    '  - title: one registration\n'
    "    $ref: '#/definitions/registration'\n"
    '  - title: a list of registrations\n'
    '    type: array\n'
    '    minItems: 1\n'
    '    items:\n'
    "      $ref: '#/definitions/registration'\n"
    '\n'
    'definitions:\n'
    '  words:\n'
    '    type: array\n'
    '    minItems: 1\n'
    '    items:\n'
    '      type: string\n'
    '      minLength: 1\n'
    '      maxLength: 255\n'
    '  registration:\n'
    '    type: object\n'
    '    additionalProperties: false\n'
    '    required: [exchange, projects]\n'
    '    properties:\n'
    '      exchange:\n'
    '        description: The name of the exchange on Pulse.\n'
    '        type: string\n'
    "        pattern: '^exchange/[a-zA-Z][a-zA-Z0-9._-]*/.+$'\n"
    '        maxLength: 255\n'
    '      destinations:\n'
    '        description: The destinations of the jobs, such as "treeherder". Optional if the bindings have only a project.\n'
    "        $ref: '#/definitions/words'\n"
    '      projects:\n'
    '        description: The repositories, as in the routing key.\n'
    "        $ref: '#/definitions/words'\n"
)
JSON = (
    '{"$schema": "http://json-schema.org/draft-06/schema#", "title": "Registration", "description": "One registration, or a list of them.", "anyOf": [{"title": "one registration", "$ref": "#/definitions/registration"}, {"title": "a list of registrations", "type": "array", "minItems": 1, "items": {"$ref": "#/definitions/registration"}}], "definitions": {"words": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1, "maxLength": 255}}, "registration": {"type": "object", "additionalProperties": false, "required": ["exchange", "projects"], "properties": {"exchange": {"description": "The name of the exchange on Pulse.", "type": "string", "pattern": "^exchange/[a-zA-Z][a-zA-Z0-9._-]*/.+$", "maxLength": 255}, "destinations": {"description": "The destinations of the jobs, such as \\"treeherder\\". Optional if the bindings have only a project.", "$ref": "#/definitions/words"}, "projects": {"description": "The repositories, as in the routing key.", "$ref": "#/definitions/words"}}}}}'
)

__all__ = ["JSON", "YAML", "strict", "treeherder"]
