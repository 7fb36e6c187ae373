"""The shipped schema 'treeherder-task', made by `python -m pulsekit.schemas.compiled`; every change is lost."""

from pulsekit.schemas.runtime import Refused, searcher
NoneType = type(None)
SEARCH_0 = searcher('^[A-Za-z0-9_-]+(?=\\n?\\Z)')

def strict(data):
    """Raise `Refused` unless the payload is valid."""
    if not isinstance(data, dict):
        raise Refused
    if 'symbol' not in data:
        raise Refused
    data_known = 1
    data__symbol = data['symbol']
    if not isinstance(data__symbol, str):
        raise Refused
    data__symbol_len = len(data__symbol)
    if data__symbol_len < 0:
        raise Refused
    if data__symbol_len > 25:
        raise Refused
    if 'groupSymbol' in data:
        data__groupSymbol = data['groupSymbol']
        if not isinstance(data__groupSymbol, str):
            raise Refused
        data__groupSymbol_len = len(data__groupSymbol)
        if data__groupSymbol_len < 1:
            raise Refused
        if data__groupSymbol_len > 25:
            raise Refused
    if 'groupName' in data:
        data__groupName = data['groupName']
        if not isinstance(data__groupName, str):
            raise Refused
        data__groupName_len = len(data__groupName)
        if data__groupName_len < 1:
            raise Refused
        if data__groupName_len > 255:
            raise Refused
    if 'machine' in data:
        data__machine = data['machine']
        if not isinstance(data__machine, dict):
            raise Refused
        if 'platform' not in data__machine:
            raise Refused
        data__machine_known = 1
        data__machine__platform = data__machine['platform']
        if not isinstance(data__machine__platform, str):
            raise Refused
        data__machine__platform_len = len(data__machine__platform)
        if data__machine__platform_len < 1:
            raise Refused
        if data__machine__platform_len > 50:
            raise Refused
        if not SEARCH_0(data__machine__platform):
            raise Refused
        if 'os' in data__machine:
            data__machine_known += 1
            data__machine__os = data__machine['os']
            if not isinstance(data__machine__os, str):
                raise Refused
            data__machine__os_len = len(data__machine__os)
            if data__machine__os_len < 1:
                raise Refused
            if data__machine__os_len > 25:
                raise Refused
            if not SEARCH_0(data__machine__os):
                raise Refused
        if 'architecture' in data__machine:
            data__machine_known += 1
            data__machine__architecture = data__machine['architecture']
            if not isinstance(data__machine__architecture, str):
                raise Refused
            data__machine__architecture_len = len(data__machine__architecture)
            if data__machine__architecture_len < 1:
                raise Refused
            if data__machine__architecture_len > 25:
                raise Refused
            if not SEARCH_0(data__machine__architecture):
                raise Refused
        if len(data__machine) != data__machine_known:
            raise Refused
    if 'labels' in data:
        data__labels = data['labels']
        if not isinstance(data__labels, (list, tuple)):
            raise Refused
        data__labels_len = len(data__labels)
        for data__labels_x, data__labels_item in enumerate(data__labels):
            if not isinstance(data__labels_item, str):
                raise Refused
            data__labels_item_len = len(data__labels_item)
            if data__labels_item_len < 1:
                raise Refused
            if data__labels_item_len > 50:
                raise Refused
            if not SEARCH_0(data__labels_item):
                raise Refused
    if 'tier' in data:
        data__tier = data['tier']
        if not isinstance(data__tier, int) and (not (isinstance(data__tier, float) and data__tier.is_integer())) or isinstance(data__tier, bool):
            raise Refused
        if data__tier < 1:
            raise Refused
        if data__tier > 3:
            raise Refused
    if 'jobKind' in data:
        data__jobKind = data['jobKind']
        if not isinstance(data__jobKind, str):
            raise Refused
        if not (isinstance(data__jobKind, str) and data__jobKind == 'build' or (isinstance(data__jobKind, str) and data__jobKind == 'test') or (isinstance(data__jobKind, str) and data__jobKind == 'other')):
            raise Refused
    if 'reason' in data:
        data__reason = data['reason']
        if not isinstance(data__reason, str):
            raise Refused
        data__reason_len = len(data__reason)
        if data__reason_len < 1:
            raise Refused
        if data__reason_len > 125:
            raise Refused
    if 'productName' in data:
        data__productName = data['productName']
        if not isinstance(data__productName, str):
            raise Refused
        data__productName_len = len(data__productName)
        if data__productName_len < 1:
            raise Refused
        if data__productName_len > 125:
            raise Refused
    return data

def treeherder(data):
    """Raise `Refused` unless the payload is valid."""
    if not isinstance(data, dict):
        raise Refused
    if 'symbol' not in data:
        raise Refused
    data_known = 1
    data__symbol = data['symbol']
    if not isinstance(data__symbol, str):
        raise Refused
    data__symbol_len = len(data__symbol)
    if data__symbol_len < 0:
        raise Refused
    if data__symbol_len > 25:
        raise Refused
    if 'groupSymbol' in data:
        data__groupSymbol = data['groupSymbol']
        if not isinstance(data__groupSymbol, str):
            raise Refused
        data__groupSymbol_len = len(data__groupSymbol)
        if data__groupSymbol_len < 1:
            raise Refused
        if data__groupSymbol_len > 25:
            raise Refused
    if 'groupName' in data:
        data__groupName = data['groupName']
        if not isinstance(data__groupName, str):
            raise Refused
        data__groupName_len = len(data__groupName)
        if data__groupName_len < 1:
            raise Refused
        if data__groupName_len > 255:
            raise Refused
    if 'machine' in data:
        data__machine = data['machine']
        if not isinstance(data__machine, dict):
            raise Refused
        if 'platform' not in data__machine:
            raise Refused
        data__machine_known = 1
        data__machine__platform = data__machine['platform']
        if not isinstance(data__machine__platform, str):
            raise Refused
        data__machine__platform_len = len(data__machine__platform)
        if data__machine__platform_len < 1:
            raise Refused
        if data__machine__platform_len > 50:
            raise Refused
        if not SEARCH_0(data__machine__platform):
            raise Refused
        if 'os' in data__machine:
            data__machine_known += 1
            data__machine__os = data__machine['os']
            if not isinstance(data__machine__os, str):
                raise Refused
            data__machine__os_len = len(data__machine__os)
            if data__machine__os_len < 1:
                raise Refused
            if data__machine__os_len > 25:
                raise Refused
            if not SEARCH_0(data__machine__os):
                raise Refused
        if 'architecture' in data__machine:
            data__machine_known += 1
            data__machine__architecture = data__machine['architecture']
            if not isinstance(data__machine__architecture, str):
                raise Refused
            data__machine__architecture_len = len(data__machine__architecture)
            if data__machine__architecture_len < 1:
                raise Refused
            if data__machine__architecture_len > 25:
                raise Refused
            if not SEARCH_0(data__machine__architecture):
                raise Refused
        if len(data__machine) != data__machine_known:
            raise Refused
    if 'labels' in data:
        data__labels = data['labels']
        if not isinstance(data__labels, (list, tuple)):
            raise Refused
        data__labels_len = len(data__labels)
        for data__labels_x, data__labels_item in enumerate(data__labels):
            if not isinstance(data__labels_item, str):
                raise Refused
            data__labels_item_len = len(data__labels_item)
            if data__labels_item_len < 1:
                raise Refused
            if data__labels_item_len > 50:
                raise Refused
            if not SEARCH_0(data__labels_item):
                raise Refused
    if 'tier' in data:
        data__tier = data['tier']
        if not isinstance(data__tier, int) and (not (isinstance(data__tier, float) and data__tier.is_integer())) or isinstance(data__tier, bool):
            raise Refused
        if data__tier < 1:
            raise Refused
        if data__tier > 3:
            raise Refused
    if 'jobKind' in data:
        data__jobKind = data['jobKind']
        if not isinstance(data__jobKind, str):
            raise Refused
        if not (isinstance(data__jobKind, str) and data__jobKind == 'build' or (isinstance(data__jobKind, str) and data__jobKind == 'test') or (isinstance(data__jobKind, str) and data__jobKind == 'other')):
            raise Refused
    if 'reason' in data:
        data__reason = data['reason']
        if not isinstance(data__reason, str):
            raise Refused
        data__reason_len = len(data__reason)
        if data__reason_len < 1:
            raise Refused
        if data__reason_len > 125:
            raise Refused
    if 'productName' in data:
        data__productName = data['productName']
        if not isinstance(data__productName, str):
            raise Refused
        data__productName_len = len(data__productName)
        if data__productName_len < 1:
            raise Refused
        if data__productName_len > 125:
            raise Refused
    return data

YAML = (
    '# How a Taskcluster task appears on Treeherder: the object `extra.treeherder` of its definition.\n'
    '#\n'
    "# The structure and all limits are from Treeherder's schema (`schemas/task-treeherder-config.yml`); the descriptions are\n"
    "# pulsekit's. If the object is invalid, Treeherder drops the messages of the task and writes one line to its log.\n"
    '$schema: http://json-schema.org/draft-07/schema#\n'
    'title: extra.treeherder of a task\n'
    'description: The symbol, group and platform under which Treeherder shows a task.\n'
    'type: object\n'
    'additionalProperties: true # ignored, except `collection`: its keys are the labels if `labels` is empty or absent\n'
    'required: [symbol]\n'
    '\n'
    'properties:\n'
    '  # The symbol, and the group around it.\n'
    '  symbol:\n'
    '    title: Symbol\n'
    '    description: The text of the link to the job, such as "bc3". Quote a number in YAML.\n'
    '    type: string\n'
    '    minLength: 0\n'
    '    maxLength: 25\n'
    '  groupSymbol:\n'
    '    title: Group symbol\n'
    '    description: The symbol before the brackets around the jobs of a group, such as "M". By default, there is no group.\n'
    '    type: string\n'
    '    minLength: 1\n'
    '    maxLength: 25\n'
    '  groupName:\n'
    '    title: Group name\n'
    '    description: The full name of the group, such as "Mochitests".\n'
    '    type: string\n'
    '    minLength: 1\n'
    '    maxLength: 255\n'
    '\n'
    '  # The row of the job in its push.\n'
    '  machine:\n'
    '    title: Machine\n'
    '    description: The machine, whose platform is the title of the row. The default is the worker type of the task.\n'
    '    type: object\n'
    '    additionalProperties: false\n'
    '    required: [platform]\n'
    '    properties:\n'
    '      platform:\n'
    '        title: Platform\n'
    '        description: The name of the platform, such as "linux64". Treeherder has an order for the usual platforms.\n'
    '        type: string\n'
    "        pattern: '^[A-Za-z0-9_-]+$'\n"
    '        minLength: 1\n'
    '        maxLength: 50\n'
    '      os:\n'
    '        title: Operating system\n'
    '        type: string\n'
    "        pattern: '^[A-Za-z0-9_-]+$'\n"
    '        minLength: 1\n'
    '        maxLength: 25\n'
    '      architecture:\n'
    '        title: Architecture\n'
    '        type: string\n'
    "        pattern: '^[A-Za-z0-9_-]+$'\n"
    '        minLength: 1\n'
    '        maxLength: 25\n'
    '  labels:\n'
    '    title: Labels\n'
    '    description: The options of the platform, such as "debug" or "asan". The default is "opt".\n'
    '    type: array\n'
    '    uniqueItems: false\n'
    '    items:\n'
    '      title: Label\n'
    '      type: string\n'
    "      pattern: '^[A-Za-z0-9_-]+$'\n"
    '      minLength: 1\n'
    '      maxLength: 50\n'
    '\n'
    '  # The importance and the kind of the job.\n'
    '  tier:\n'
    '    title: Tier\n'
    '    description: 1 for jobs whose failure closes the tree. Treeherder hides tier 3 by default. The default is 1.\n'
    '    type: integer\n'
    '    minimum: 1\n'
    '    maximum: 3\n'
    '  jobKind:\n'
    '    title: Kind of job\n'
    '    description: Treeherder shows a failed "test" as testfailed, other failed jobs as busted. The default is "other".\n'
    '    type: string\n'
    '    default: other\n'
    '    enum: [build, test, other]\n'
    '  reason:\n'
    '    title: Reason\n'
    '    description: The reason why the job ran. The default is "scheduled".\n'
    '    type: string\n'
    '    minLength: 1\n'
    '    maxLength: 125\n'
    '  productName:\n'
    '    title: Product\n'
    '    description: The product, such as "firefox".\n'
    '    type: string\n'
    '    minLength: 1\n'
    '    maxLength: 125\n'
)
JSON = (
    '{"$schema": "http://json-schema.org/draft-07/schema#", "title": "extra.treeherder of a task", "description": "The symbol, group and platform under which Treeherder shows a task.", "type": "object", "additionalProperties": true, "required": ["symbol"], "properties": {"symbol": {"title": "Symbol", "description": "The text of the link to the job, such as \\"bc3\\". Quote a number in YAML.", "type": "string", "minLength": 0, "maxLength": 25}, "groupSymbol": {"title": "Group symbol", "description": "The symbol before the brackets around the jobs of a group, such as \\"M\\". By default, there is no group.", "type": "string", "minLength": 1, "maxLength": 25}, "groupName": {"title": "Group name", "description": "The full name of the group, such as \\"Mochitests\\".", "type": "string", "minLength": 1, "maxLength": 255}, "machine": {"title": "Machine", "description": "The machine, whose platform is the title of the row. The default is the worker type of the task.", "type": "object", "additionalProperties": false, "required": ["platform"], "properties": {"platform": {"title": "Platform", "description": "The name of the platform, such as \\"linux64\\". Treeherder has an order for the usual platforms.", "type": "string", "pattern": "^[A-Za-z0-9_-]+$", "minLength": 1, "maxLength": 50}, "os": {"title": "Operating system", "type": "string", "pattern": "^[A-Za-z0-9_-]+$", "minLength": 1, "maxLength": 25}, "architecture": {"title": "Architecture", "type": "string", "pattern": "^[A-Za-z0-9_-]+$", "minLength": 1, "maxLength": 25}}}, "labels": {"title": "Labels", "description": "The options of the platform, such as \\"debug\\" or \\"asan\\". The default is \\"opt\\".", "type": "array", "uniqueItems": false, "items": {"title": "Label", "type": "string", "pattern": "^[A-Za-z0-9_-]+$", "minLength": 1, "maxLength": 50}}, "tier": {"title": "Tier", "description": "1 for jobs whose failure closes the tree. Treeherder hides tier 3 by default. The default is 1.", "type": "integer", "minimum": 1, "maximum": 3}, "jobKind": {"title": "Kind of job", "description": "Treeherder shows a failed \\"test\\" as testfailed, other failed jobs as busted. The default is \\"other\\".", "type": "string", "default": "other", "enum": ["build", "test", "other"]}, "reason": {"title": "Reason", "description": "The reason why the job ran. The default is \\"scheduled\\".", "type": "string", "minLength": 1, "maxLength": 125}, "productName": {"title": "Product", "description": "The product, such as \\"firefox\\".", "type": "string", "minLength": 1, "maxLength": 125}}}'
)

__all__ = ["JSON", "YAML", "strict", "treeherder"]
