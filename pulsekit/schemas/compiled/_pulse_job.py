"""The shipped schema 'pulse-job', made by `python -m pulsekit.schemas.compiled`; every change is lost."""

from pulsekit.schemas.runtime import Refused, searcher
NoneType = type(None)
SEARCH_0 = searcher('^[A-Za-z0-9/+-]+(?=\\n?\\Z)')
SEARCH_1 = searcher('^[\\w-]+(?=\\n?\\Z)')
SEARCH_2 = searcher('^[0-9a-f]+(?=\\n?\\Z)')
SEARCH_3 = searcher('^[\\w/+-]+(?=\\n?\\Z)')
SEARCH_4 = searcher('\\A(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])\\Z')
SEARCH_5 = searcher("\\A[A-Za-z][A-Za-z0-9+.-]*+:(?://(?:(?:[A-Za-z0-9\\-._~!\\$&'()*+,;=:]++|%[0-9A-Fa-f]{2})*+@)?(?:\\[[A-Za-z0-9\\-._~!\\$&'()*+,;=:]++\\]|(?:[A-Za-z0-9\\-._~!\\$&'()*+,;=]++|%[0-9A-Fa-f]{2})*+)(?::[0-9]*+)?(?:/(?:[A-Za-z0-9\\-._~!\\$&'()*+,;=:@/]++|%[0-9A-Fa-f]{2})*+)?|(?!//)(?:[A-Za-z0-9\\-._~!\\$&'()*+,;=:@/]++|%[0-9A-Fa-f]{2})*+)(?:\\?(?:[A-Za-z0-9\\-._~!\\$&'()*+,;=:@/?]++|%[0-9A-Fa-f]{2})*+)?(?:#(?:[A-Za-z0-9\\-._~!\\$&'()*+,;=:@/?]++|%[0-9A-Fa-f]{2})*+)?\\Z")

def strict(data):
    """Raise `Refused` unless the payload is valid."""
    if not isinstance(data, dict):
        raise Refused
    if 'taskId' not in data or 'origin' not in data or 'buildSystem' not in data or ('display' not in data) or ('state' not in data) or ('jobKind' not in data) or ('version' not in data):
        raise Refused
    data_known = 7
    data__taskId = data['taskId']
    if not isinstance(data__taskId, str):
        raise Refused
    data__taskId_len = len(data__taskId)
    if data__taskId_len < 1:
        raise Refused
    if data__taskId_len > 50:
        raise Refused
    if not SEARCH_0(data__taskId):
        raise Refused
    if 'retryId' in data:
        data_known += 1
        data__retryId = data['retryId']
        if not isinstance(data__retryId, int) and (not (isinstance(data__retryId, float) and data__retryId.is_integer())) or isinstance(data__retryId, bool):
            raise Refused
        if data__retryId < 0:
            raise Refused
    if 'isRetried' in data:
        data_known += 1
        data__isRetried = data['isRetried']
        if not isinstance(data__isRetried, bool):
            raise Refused
    data__buildSystem = data['buildSystem']
    if not isinstance(data__buildSystem, str):
        raise Refused
    data__buildSystem_len = len(data__buildSystem)
    if data__buildSystem_len < 1:
        raise Refused
    if data__buildSystem_len > 25:
        raise Refused
    if not SEARCH_1(data__buildSystem):
        raise Refused
    data__origin = data['origin']
    if not isinstance(data__origin, dict):
        raise Refused
    if 'project' not in data__origin or 'revision' not in data__origin:
        raise Refused
    data__origin_known = 2
    data__origin__project = data__origin['project']
    if not isinstance(data__origin__project, str):
        raise Refused
    data__origin__project_len = len(data__origin__project)
    if data__origin__project_len < 1:
        raise Refused
    if data__origin__project_len > 50:
        raise Refused
    if not SEARCH_1(data__origin__project):
        raise Refused
    data__origin__revision = data__origin['revision']
    if not isinstance(data__origin__revision, str):
        raise Refused
    data__origin__revision_len = len(data__origin__revision)
    if data__origin__revision_len < 40:
        raise Refused
    if data__origin__revision_len > 40:
        raise Refused
    if not SEARCH_2(data__origin__revision):
        raise Refused
    if 'id' in data__origin:
        data__origin_known += 1
        data__origin__id = data__origin['id']
        if not isinstance(data__origin__id, int) and (not (isinstance(data__origin__id, float) and data__origin__id.is_integer())) or isinstance(data__origin__id, bool):
            raise Refused
    if len(data__origin) != data__origin_known:
        raise Refused
    data__display = data['display']
    if not isinstance(data__display, dict):
        raise Refused
    if 'jobName' not in data__display or 'jobSymbol' not in data__display or 'groupSymbol' not in data__display:
        raise Refused
    data__display_known = 3
    data__display__jobSymbol = data__display['jobSymbol']
    if not isinstance(data__display__jobSymbol, str):
        raise Refused
    data__display__jobSymbol_len = len(data__display__jobSymbol)
    if data__display__jobSymbol_len < 0:
        raise Refused
    if data__display__jobSymbol_len > 25:
        raise Refused
    if 'chunkId' in data__display:
        data__display_known += 1
        data__display__chunkId = data__display['chunkId']
        if not isinstance(data__display__chunkId, int) and (not (isinstance(data__display__chunkId, float) and data__display__chunkId.is_integer())) or isinstance(data__display__chunkId, bool):
            raise Refused
        if data__display__chunkId < 1:
            raise Refused
    if 'chunkCount' in data__display:
        data__display_known += 1
        data__display__chunkCount = data__display['chunkCount']
        if not isinstance(data__display__chunkCount, int) and (not (isinstance(data__display__chunkCount, float) and data__display__chunkCount.is_integer())) or isinstance(data__display__chunkCount, bool):
            raise Refused
        if data__display__chunkCount < 1:
            raise Refused
    data__display__groupSymbol = data__display['groupSymbol']
    if not isinstance(data__display__groupSymbol, str):
        raise Refused
    data__display__groupSymbol_len = len(data__display__groupSymbol)
    if data__display__groupSymbol_len < 1:
        raise Refused
    if data__display__groupSymbol_len > 25:
        raise Refused
    data__display__jobName = data__display['jobName']
    if not isinstance(data__display__jobName, str):
        raise Refused
    data__display__jobName_len = len(data__display__jobName)
    if data__display__jobName_len < 1:
        raise Refused
    if data__display__jobName_len > 140:
        raise Refused
    if 'groupName' in data__display:
        data__display_known += 1
        data__display__groupName = data__display['groupName']
        if not isinstance(data__display__groupName, str):
            raise Refused
        data__display__groupName_len = len(data__display__groupName)
        if data__display__groupName_len < 1:
            raise Refused
        if data__display__groupName_len > 255:
            raise Refused
    if len(data__display) != data__display_known:
        raise Refused
    data__state = data['state']
    if not isinstance(data__state, str):
        raise Refused
    if not (isinstance(data__state, str) and data__state == 'unscheduled' or (isinstance(data__state, str) and data__state == 'pending') or (isinstance(data__state, str) and data__state == 'running') or (isinstance(data__state, str) and data__state == 'completed')):
        raise Refused
    if 'result' in data:
        data_known += 1
        data__result = data['result']
        if not isinstance(data__result, str):
            raise Refused
        if not (isinstance(data__result, str) and data__result == 'success' or (isinstance(data__result, str) and data__result == 'fail') or (isinstance(data__result, str) and data__result == 'exception') or (isinstance(data__result, str) and data__result == 'retry') or (isinstance(data__result, str) and data__result == 'canceled') or (isinstance(data__result, str) and data__result == 'superseded') or (isinstance(data__result, str) and data__result == 'unknown')):
            raise Refused
    data__jobKind = data['jobKind']
    if not isinstance(data__jobKind, str):
        raise Refused
    if not (isinstance(data__jobKind, str) and data__jobKind == 'build' or (isinstance(data__jobKind, str) and data__jobKind == 'test') or (isinstance(data__jobKind, str) and data__jobKind == 'other')):
        raise Refused
    if 'tier' in data:
        data_known += 1
        data__tier = data['tier']
        if not isinstance(data__tier, int) and (not (isinstance(data__tier, float) and data__tier.is_integer())) or isinstance(data__tier, bool):
            raise Refused
        if data__tier < 1:
            raise Refused
        if data__tier > 3:
            raise Refused
    if 'coalesced' in data:
        data_known += 1
        data__coalesced = data['coalesced']
        if not isinstance(data__coalesced, (list, tuple)):
            raise Refused
        data__coalesced_len = len(data__coalesced)
        for data__coalesced_x, data__coalesced_item in enumerate(data__coalesced):
            if not isinstance(data__coalesced_item, str):
                raise Refused
            data__coalesced_item_len = len(data__coalesced_item)
            if data__coalesced_item_len < 1:
                raise Refused
            if data__coalesced_item_len > 50:
                raise Refused
            if not SEARCH_3(data__coalesced_item):
                raise Refused
    if 'timeScheduled' in data:
        data_known += 1
        data__timeScheduled = data['timeScheduled']
        if not isinstance(data__timeScheduled, str):
            raise Refused
        if isinstance(data__timeScheduled, str):
            if not SEARCH_4(data__timeScheduled):
                raise Refused
    if 'timeStarted' in data:
        data_known += 1
        data__timeStarted = data['timeStarted']
        if not isinstance(data__timeStarted, str):
            raise Refused
        if isinstance(data__timeStarted, str):
            if not SEARCH_4(data__timeStarted):
                raise Refused
    if 'timeCompleted' in data:
        data_known += 1
        data__timeCompleted = data['timeCompleted']
        if not isinstance(data__timeCompleted, str):
            raise Refused
        if isinstance(data__timeCompleted, str):
            if not SEARCH_4(data__timeCompleted):
                raise Refused
    if 'labels' in data:
        data_known += 1
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
            if not SEARCH_1(data__labels_item):
                raise Refused
    if 'owner' in data:
        data_known += 1
        data__owner = data['owner']
        if not isinstance(data__owner, str):
            raise Refused
        data__owner_len = len(data__owner)
        if data__owner_len < 1:
            raise Refused
        if data__owner_len > 50:
            raise Refused
    if 'reason' in data:
        data_known += 1
        data__reason = data['reason']
        if not isinstance(data__reason, str):
            raise Refused
        data__reason_len = len(data__reason)
        if data__reason_len < 1:
            raise Refused
        if data__reason_len > 125:
            raise Refused
    if 'productName' in data:
        data_known += 1
        data__productName = data['productName']
        if not isinstance(data__productName, str):
            raise Refused
        data__productName_len = len(data__productName)
        if data__productName_len < 1:
            raise Refused
        if data__productName_len > 125:
            raise Refused
    if 'buildMachine' in data:
        data_known += 1
        data__buildMachine = data['buildMachine']
        strict___definitions_0(data__buildMachine)
    if 'runMachine' in data:
        data_known += 1
        data__runMachine = data['runMachine']
        strict___definitions_0(data__runMachine)
    if 'jobInfo' in data:
        data_known += 1
        data__jobInfo = data['jobInfo']
        if not isinstance(data__jobInfo, dict):
            raise Refused
        data__jobInfo_known = 0
        if 'summary' in data__jobInfo:
            data__jobInfo_known += 1
            data__jobInfo__summary = data__jobInfo['summary']
            if not isinstance(data__jobInfo__summary, str):
                raise Refused
        if 'links' in data__jobInfo:
            data__jobInfo_known += 1
            data__jobInfo__links = data__jobInfo['links']
            if not isinstance(data__jobInfo__links, (list, tuple)):
                raise Refused
            data__jobInfo__links_len = len(data__jobInfo__links)
            for data__jobInfo__links_x, data__jobInfo__links_item in enumerate(data__jobInfo__links):
                if not isinstance(data__jobInfo__links_item, dict):
                    raise Refused
                if 'url' not in data__jobInfo__links_item or 'linkText' not in data__jobInfo__links_item or 'label' not in data__jobInfo__links_item:
                    raise Refused
                data__jobInfo__links_item_known = 3
                data__jobInfo__links_item__url = data__jobInfo__links_item['url']
                if not isinstance(data__jobInfo__links_item__url, str):
                    raise Refused
                if isinstance(data__jobInfo__links_item__url, str):
                    if not SEARCH_5(data__jobInfo__links_item__url):
                        raise Refused
                data__jobInfo__links_item__url_len = len(data__jobInfo__links_item__url)
                if data__jobInfo__links_item__url_len > 512:
                    raise Refused
                data__jobInfo__links_item__linkText = data__jobInfo__links_item['linkText']
                if not isinstance(data__jobInfo__links_item__linkText, str):
                    raise Refused
                data__jobInfo__links_item__linkText_len = len(data__jobInfo__links_item__linkText)
                if data__jobInfo__links_item__linkText_len < 1:
                    raise Refused
                if data__jobInfo__links_item__linkText_len > 125:
                    raise Refused
                data__jobInfo__links_item__label = data__jobInfo__links_item['label']
                if not isinstance(data__jobInfo__links_item__label, str):
                    raise Refused
                data__jobInfo__links_item__label_len = len(data__jobInfo__links_item__label)
                if data__jobInfo__links_item__label_len < 1:
                    raise Refused
                if data__jobInfo__links_item__label_len > 70:
                    raise Refused
                if len(data__jobInfo__links_item) != data__jobInfo__links_item_known:
                    raise Refused
        if len(data__jobInfo) != data__jobInfo_known:
            raise Refused
    if 'logs' in data:
        data_known += 1
        data__logs = data['logs']
        if not isinstance(data__logs, (list, tuple)):
            raise Refused
        data__logs_len = len(data__logs)
        for data__logs_x, data__logs_item in enumerate(data__logs):
            if not isinstance(data__logs_item, dict):
                raise Refused
            if 'url' not in data__logs_item or 'name' not in data__logs_item:
                raise Refused
            data__logs_item_known = 2
            data__logs_item__url = data__logs_item['url']
            if not isinstance(data__logs_item__url, str):
                raise Refused
            if isinstance(data__logs_item__url, str):
                if not SEARCH_5(data__logs_item__url):
                    raise Refused
            data__logs_item__url_len = len(data__logs_item__url)
            if data__logs_item__url_len < 1:
                raise Refused
            if data__logs_item__url_len > 255:
                raise Refused
            data__logs_item__name = data__logs_item['name']
            if not isinstance(data__logs_item__name, str):
                raise Refused
            data__logs_item__name_len = len(data__logs_item__name)
            if data__logs_item__name_len < 1:
                raise Refused
            if data__logs_item__name_len > 50:
                raise Refused
            if len(data__logs_item) != data__logs_item_known:
                raise Refused
    data__version = data['version']
    if not isinstance(data__version, int) and (not (isinstance(data__version, float) and data__version.is_integer())) or isinstance(data__version, bool):
        raise Refused
    if not (isinstance(data__version, (int, float)) and (not isinstance(data__version, bool)) and (data__version == 1)):
        raise Refused
    if len(data) != data_known:
        raise Refused
    return data

def strict___definitions_0(data):
    if not isinstance(data, dict):
        raise Refused
    if 'platform' not in data or 'os' not in data or 'architecture' not in data:
        raise Refused
    data_known = 3
    if 'name' in data:
        data_known += 1
        data__name = data['name']
        if not isinstance(data__name, str):
            raise Refused
        data__name_len = len(data__name)
        if data__name_len < 1:
            raise Refused
        if data__name_len > 50:
            raise Refused
        if not SEARCH_1(data__name):
            raise Refused
    data__platform = data['platform']
    if not isinstance(data__platform, str):
        raise Refused
    data__platform_len = len(data__platform)
    if data__platform_len < 1:
        raise Refused
    if data__platform_len > 100:
        raise Refused
    if not SEARCH_1(data__platform):
        raise Refused
    data__os = data['os']
    if not isinstance(data__os, str):
        raise Refused
    data__os_len = len(data__os)
    if data__os_len < 1:
        raise Refused
    if data__os_len > 25:
        raise Refused
    if not SEARCH_1(data__os):
        raise Refused
    data__architecture = data['architecture']
    if not isinstance(data__architecture, str):
        raise Refused
    data__architecture_len = len(data__architecture)
    if data__architecture_len < 1:
        raise Refused
    if data__architecture_len > 25:
        raise Refused
    if not SEARCH_1(data__architecture):
        raise Refused
    if len(data) != data_known:
        raise Refused
    return data

def treeherder(data):
    """Raise `Refused` unless the payload is valid."""
    if not isinstance(data, dict):
        raise Refused
    if 'taskId' not in data or 'origin' not in data or 'buildSystem' not in data or ('display' not in data) or ('state' not in data) or ('jobKind' not in data) or ('version' not in data):
        raise Refused
    data_known = 7
    data__taskId = data['taskId']
    if not isinstance(data__taskId, str):
        raise Refused
    data__taskId_len = len(data__taskId)
    if data__taskId_len < 1:
        raise Refused
    if data__taskId_len > 50:
        raise Refused
    if not SEARCH_0(data__taskId):
        raise Refused
    if 'retryId' in data:
        data_known += 1
        data__retryId = data['retryId']
        if not isinstance(data__retryId, int) and (not (isinstance(data__retryId, float) and data__retryId.is_integer())) or isinstance(data__retryId, bool):
            raise Refused
        if data__retryId < 0:
            raise Refused
    if 'isRetried' in data:
        data_known += 1
        data__isRetried = data['isRetried']
        if not isinstance(data__isRetried, bool):
            raise Refused
    data__buildSystem = data['buildSystem']
    if not isinstance(data__buildSystem, str):
        raise Refused
    data__buildSystem_len = len(data__buildSystem)
    if data__buildSystem_len < 1:
        raise Refused
    if data__buildSystem_len > 25:
        raise Refused
    if not SEARCH_1(data__buildSystem):
        raise Refused
    data__origin = data['origin']
    if not isinstance(data__origin, dict):
        raise Refused
    if 'project' not in data__origin or 'revision' not in data__origin:
        raise Refused
    data__origin_known = 2
    data__origin__project = data__origin['project']
    if not isinstance(data__origin__project, str):
        raise Refused
    data__origin__project_len = len(data__origin__project)
    if data__origin__project_len < 1:
        raise Refused
    if data__origin__project_len > 50:
        raise Refused
    if not SEARCH_1(data__origin__project):
        raise Refused
    data__origin__revision = data__origin['revision']
    if not isinstance(data__origin__revision, str):
        raise Refused
    data__origin__revision_len = len(data__origin__revision)
    if data__origin__revision_len < 40:
        raise Refused
    if data__origin__revision_len > 40:
        raise Refused
    if not SEARCH_2(data__origin__revision):
        raise Refused
    if 'id' in data__origin:
        data__origin_known += 1
        data__origin__id = data__origin['id']
        if not isinstance(data__origin__id, int) and (not (isinstance(data__origin__id, float) and data__origin__id.is_integer())) or isinstance(data__origin__id, bool):
            raise Refused
    if len(data__origin) != data__origin_known:
        raise Refused
    data__display = data['display']
    if not isinstance(data__display, dict):
        raise Refused
    if 'jobName' not in data__display or 'jobSymbol' not in data__display or 'groupSymbol' not in data__display:
        raise Refused
    data__display_known = 3
    data__display__jobSymbol = data__display['jobSymbol']
    if not isinstance(data__display__jobSymbol, str):
        raise Refused
    data__display__jobSymbol_len = len(data__display__jobSymbol)
    if data__display__jobSymbol_len < 0:
        raise Refused
    if data__display__jobSymbol_len > 25:
        raise Refused
    if 'chunkId' in data__display:
        data__display_known += 1
        data__display__chunkId = data__display['chunkId']
        if not isinstance(data__display__chunkId, int) and (not (isinstance(data__display__chunkId, float) and data__display__chunkId.is_integer())) or isinstance(data__display__chunkId, bool):
            raise Refused
        if data__display__chunkId < 1:
            raise Refused
    if 'chunkCount' in data__display:
        data__display_known += 1
        data__display__chunkCount = data__display['chunkCount']
        if not isinstance(data__display__chunkCount, int) and (not (isinstance(data__display__chunkCount, float) and data__display__chunkCount.is_integer())) or isinstance(data__display__chunkCount, bool):
            raise Refused
        if data__display__chunkCount < 1:
            raise Refused
    data__display__groupSymbol = data__display['groupSymbol']
    if not isinstance(data__display__groupSymbol, str):
        raise Refused
    data__display__groupSymbol_len = len(data__display__groupSymbol)
    if data__display__groupSymbol_len < 1:
        raise Refused
    if data__display__groupSymbol_len > 25:
        raise Refused
    data__display__jobName = data__display['jobName']
    if not isinstance(data__display__jobName, str):
        raise Refused
    data__display__jobName_len = len(data__display__jobName)
    if data__display__jobName_len < 1:
        raise Refused
    if data__display__jobName_len > 140:
        raise Refused
    if 'groupName' in data__display:
        data__display_known += 1
        data__display__groupName = data__display['groupName']
        if not isinstance(data__display__groupName, str):
            raise Refused
        data__display__groupName_len = len(data__display__groupName)
        if data__display__groupName_len < 1:
            raise Refused
        if data__display__groupName_len > 255:
            raise Refused
    if len(data__display) != data__display_known:
        raise Refused
    data__state = data['state']
    if not isinstance(data__state, str):
        raise Refused
    if not (isinstance(data__state, str) and data__state == 'unscheduled' or (isinstance(data__state, str) and data__state == 'pending') or (isinstance(data__state, str) and data__state == 'running') or (isinstance(data__state, str) and data__state == 'completed')):
        raise Refused
    if 'result' in data:
        data_known += 1
        data__result = data['result']
        if not isinstance(data__result, str):
            raise Refused
        if not (isinstance(data__result, str) and data__result == 'success' or (isinstance(data__result, str) and data__result == 'fail') or (isinstance(data__result, str) and data__result == 'exception') or (isinstance(data__result, str) and data__result == 'retry') or (isinstance(data__result, str) and data__result == 'canceled') or (isinstance(data__result, str) and data__result == 'superseded') or (isinstance(data__result, str) and data__result == 'unknown')):
            raise Refused
    data__jobKind = data['jobKind']
    if not isinstance(data__jobKind, str):
        raise Refused
    if not (isinstance(data__jobKind, str) and data__jobKind == 'build' or (isinstance(data__jobKind, str) and data__jobKind == 'test') or (isinstance(data__jobKind, str) and data__jobKind == 'other')):
        raise Refused
    if 'tier' in data:
        data_known += 1
        data__tier = data['tier']
        if not isinstance(data__tier, int) and (not (isinstance(data__tier, float) and data__tier.is_integer())) or isinstance(data__tier, bool):
            raise Refused
        if data__tier < 1:
            raise Refused
        if data__tier > 3:
            raise Refused
    if 'coalesced' in data:
        data_known += 1
        data__coalesced = data['coalesced']
        if not isinstance(data__coalesced, (list, tuple)):
            raise Refused
        data__coalesced_len = len(data__coalesced)
        for data__coalesced_x, data__coalesced_item in enumerate(data__coalesced):
            if not isinstance(data__coalesced_item, str):
                raise Refused
            data__coalesced_item_len = len(data__coalesced_item)
            if data__coalesced_item_len < 1:
                raise Refused
            if data__coalesced_item_len > 50:
                raise Refused
            if not SEARCH_3(data__coalesced_item):
                raise Refused
    if 'timeScheduled' in data:
        data_known += 1
        data__timeScheduled = data['timeScheduled']
        if not isinstance(data__timeScheduled, str):
            raise Refused
    if 'timeStarted' in data:
        data_known += 1
        data__timeStarted = data['timeStarted']
        if not isinstance(data__timeStarted, str):
            raise Refused
    if 'timeCompleted' in data:
        data_known += 1
        data__timeCompleted = data['timeCompleted']
        if not isinstance(data__timeCompleted, str):
            raise Refused
    if 'labels' in data:
        data_known += 1
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
            if not SEARCH_1(data__labels_item):
                raise Refused
    if 'owner' in data:
        data_known += 1
        data__owner = data['owner']
        if not isinstance(data__owner, str):
            raise Refused
        data__owner_len = len(data__owner)
        if data__owner_len < 1:
            raise Refused
        if data__owner_len > 50:
            raise Refused
    if 'reason' in data:
        data_known += 1
        data__reason = data['reason']
        if not isinstance(data__reason, str):
            raise Refused
        data__reason_len = len(data__reason)
        if data__reason_len < 1:
            raise Refused
        if data__reason_len > 125:
            raise Refused
    if 'productName' in data:
        data_known += 1
        data__productName = data['productName']
        if not isinstance(data__productName, str):
            raise Refused
        data__productName_len = len(data__productName)
        if data__productName_len < 1:
            raise Refused
        if data__productName_len > 125:
            raise Refused
    if 'buildMachine' in data:
        data_known += 1
        data__buildMachine = data['buildMachine']
        treeherder___definitions_0(data__buildMachine)
    if 'runMachine' in data:
        data_known += 1
        data__runMachine = data['runMachine']
        treeherder___definitions_0(data__runMachine)
    if 'jobInfo' in data:
        data_known += 1
        data__jobInfo = data['jobInfo']
        if not isinstance(data__jobInfo, dict):
            raise Refused
        data__jobInfo_known = 0
        if 'summary' in data__jobInfo:
            data__jobInfo_known += 1
            data__jobInfo__summary = data__jobInfo['summary']
            if not isinstance(data__jobInfo__summary, str):
                raise Refused
        if 'links' in data__jobInfo:
            data__jobInfo_known += 1
            data__jobInfo__links = data__jobInfo['links']
            if not isinstance(data__jobInfo__links, (list, tuple)):
                raise Refused
            data__jobInfo__links_len = len(data__jobInfo__links)
            for data__jobInfo__links_x, data__jobInfo__links_item in enumerate(data__jobInfo__links):
                if not isinstance(data__jobInfo__links_item, dict):
                    raise Refused
                if 'url' not in data__jobInfo__links_item or 'linkText' not in data__jobInfo__links_item or 'label' not in data__jobInfo__links_item:
                    raise Refused
                data__jobInfo__links_item_known = 3
                data__jobInfo__links_item__url = data__jobInfo__links_item['url']
                if not isinstance(data__jobInfo__links_item__url, str):
                    raise Refused
                data__jobInfo__links_item__url_len = len(data__jobInfo__links_item__url)
                if data__jobInfo__links_item__url_len > 512:
                    raise Refused
                data__jobInfo__links_item__linkText = data__jobInfo__links_item['linkText']
                if not isinstance(data__jobInfo__links_item__linkText, str):
                    raise Refused
                data__jobInfo__links_item__linkText_len = len(data__jobInfo__links_item__linkText)
                if data__jobInfo__links_item__linkText_len < 1:
                    raise Refused
                if data__jobInfo__links_item__linkText_len > 125:
                    raise Refused
                data__jobInfo__links_item__label = data__jobInfo__links_item['label']
                if not isinstance(data__jobInfo__links_item__label, str):
                    raise Refused
                data__jobInfo__links_item__label_len = len(data__jobInfo__links_item__label)
                if data__jobInfo__links_item__label_len < 1:
                    raise Refused
                if data__jobInfo__links_item__label_len > 70:
                    raise Refused
                if len(data__jobInfo__links_item) != data__jobInfo__links_item_known:
                    raise Refused
        if len(data__jobInfo) != data__jobInfo_known:
            raise Refused
    if 'logs' in data:
        data_known += 1
        data__logs = data['logs']
        if not isinstance(data__logs, (list, tuple)):
            raise Refused
        data__logs_len = len(data__logs)
        for data__logs_x, data__logs_item in enumerate(data__logs):
            if not isinstance(data__logs_item, dict):
                raise Refused
            if 'url' not in data__logs_item or 'name' not in data__logs_item:
                raise Refused
            data__logs_item_known = 2
            data__logs_item__url = data__logs_item['url']
            if not isinstance(data__logs_item__url, str):
                raise Refused
            data__logs_item__url_len = len(data__logs_item__url)
            if data__logs_item__url_len < 1:
                raise Refused
            if data__logs_item__url_len > 255:
                raise Refused
            data__logs_item__name = data__logs_item['name']
            if not isinstance(data__logs_item__name, str):
                raise Refused
            data__logs_item__name_len = len(data__logs_item__name)
            if data__logs_item__name_len < 1:
                raise Refused
            if data__logs_item__name_len > 50:
                raise Refused
            if len(data__logs_item) != data__logs_item_known:
                raise Refused
    data__version = data['version']
    if not isinstance(data__version, int) and (not (isinstance(data__version, float) and data__version.is_integer())) or isinstance(data__version, bool):
        raise Refused
    if not (isinstance(data__version, (int, float)) and (not isinstance(data__version, bool)) and (data__version == 1)):
        raise Refused
    if len(data) != data_known:
        raise Refused
    return data

def treeherder___definitions_0(data):
    if not isinstance(data, dict):
        raise Refused
    if 'platform' not in data or 'os' not in data or 'architecture' not in data:
        raise Refused
    data_known = 3
    if 'name' in data:
        data_known += 1
        data__name = data['name']
        if not isinstance(data__name, str):
            raise Refused
        data__name_len = len(data__name)
        if data__name_len < 1:
            raise Refused
        if data__name_len > 50:
            raise Refused
        if not SEARCH_1(data__name):
            raise Refused
    data__platform = data['platform']
    if not isinstance(data__platform, str):
        raise Refused
    data__platform_len = len(data__platform)
    if data__platform_len < 1:
        raise Refused
    if data__platform_len > 100:
        raise Refused
    if not SEARCH_1(data__platform):
        raise Refused
    data__os = data['os']
    if not isinstance(data__os, str):
        raise Refused
    data__os_len = len(data__os)
    if data__os_len < 1:
        raise Refused
    if data__os_len > 25:
        raise Refused
    if not SEARCH_1(data__os):
        raise Refused
    data__architecture = data['architecture']
    if not isinstance(data__architecture, str):
        raise Refused
    data__architecture_len = len(data__architecture)
    if data__architecture_len < 1:
        raise Refused
    if data__architecture_len > 25:
        raise Refused
    if not SEARCH_1(data__architecture):
        raise Refused
    if len(data) != data_known:
        raise Refused
    return data

YAML = (
    '# The payload of a job that is sent to Treeherder, as Treeherder accepts it since April 2026.\n'
    '#\n'
    "# The structure and all limits are from Treeherder's schema; the descriptions are pulsekit's. Treeherder validates jobs\n"
    '# without a format checker, so it does not enforce `date-time` and `uri`. pulsekit enforces them with the profile\n'
    '# `strict`. Treeherder drops an invalid job without an error to its publisher: validate a job before you publish it.\n'
    '$schema: http://json-schema.org/draft-06/schema#\n'
    'title: Treeherder job\n'
    'description: One job, or one change of its state. Publish the same taskId again to report progress.\n'
    'type: object\n'
    'additionalProperties: false\n'
    'required: [taskId, origin, buildSystem, display, state, jobKind, version]\n'
    '\n'
    'properties:\n'
    '  # The identity of the job.\n'
    '  taskId:\n'
    '    title: Task\n'
    '    description: >-\n'
    '      The id of the job, in the form <uuid>/<retry number>. With another form, Treeherder shows no link to the\n'
    '      Taskcluster task.\n'
    '    type: string\n'
    "    pattern: '^[A-Za-z0-9/+-]+$'\n"
    '    minLength: 1\n'
    '    maxLength: 50\n'
    '  retryId:\n'
    '    title: Retry\n'
    '    description: The number of times that the infrastructure restarted this job; 0 for the first run.\n'
    '    type: integer\n'
    '    default: 0\n'
    '    minimum: 0\n'
    '  isRetried:\n'
    '    description: Whether another run replaces this one. Treeherder then shows a completed job as retried.\n'
    '    type: boolean\n'
    '  buildSystem:\n'
    '    description: The name of the system that ran the job, such as "taskcluster".\n'
    '    type: string\n'
    "    pattern: '^[\\w-]+$'\n"
    '    minLength: 1\n'
    '    maxLength: 25\n'
    '\n'
    '  # The commit that was built or tested.\n'
    '  origin:\n'
    '    title: Origin\n'
    '    description: The push that the job belongs to. Treeherder must have the push.\n'
    '    type: object\n'
    '    additionalProperties: false\n'
    '    required: [project, revision]\n'
    '    properties:\n'
    '      project:\n'
    '        description: The name of the repository in Treeherder, such as "autoland".\n'
    '        type: string\n'
    "        pattern: '^[\\w-]+$'\n"
    '        minLength: 1\n'
    '        maxLength: 50\n'
    '      revision:\n'
    '        description: The 40 hexadecimal digits of the commit, in lower case. Without letters, quote the value in YAML.\n'
    '        type: string\n'
    "        pattern: '^[0-9a-f]+$'\n"
    '        minLength: 40\n'
    '        maxLength: 40\n'
    '      id:\n'
    '        description: The number of the push (Mercurial) or of the pull request (Git).\n'
    '        type: integer\n'
    '\n'
    '  # The appearance of the job.\n'
    '  display:\n'
    '    title: Display\n'
    '    description: The symbols and names that Treeherder shows.\n'
    '    type: object\n'
    '    additionalProperties: false\n'
    '    required: [jobName, jobSymbol, groupSymbol]\n'
    '    properties:\n'
    '      jobSymbol:\n'
    '        title: Job symbol\n'
    '        description: The text of the link to the job, such as "bc". Treeherder appends the chunk number.\n'
    '        type: string\n'
    '        minLength: 0\n'
    '        maxLength: 25\n'
    '      chunkId:\n'
    '        title: Chunk\n'
    '        description: The number of this part of a divided job, from 1.\n'
    '        type: integer\n'
    '        minimum: 1\n'
    '      chunkCount:\n'
    '        title: Chunks\n'
    '        description: The number of parts of a divided job.\n'
    '        type: integer\n'
    '        minimum: 1\n'
    '      groupSymbol:\n'
    '        title: Group symbol\n'
    '        description: The symbol before the brackets around the jobs of a group, such as "M"; "?" for no group.\n'
    '        type: string\n'
    '        minLength: 1\n'
    '        maxLength: 25\n'
    '      jobName:\n'
    '        title: Job name\n'
    '        description: The full name of the job.\n'
    '        type: string\n'
    '        minLength: 1\n'
    '        maxLength: 140\n'
    '      groupName:\n'
    '        title: Group name\n'
    '        description: The full name of the group, such as "Mochitests".\n'
    '        type: string\n'
    '        minLength: 1\n'
    '        maxLength: 255\n'
    '\n'
    '  # The progress of the job.\n'
    '  state:\n'
    '    title: State\n'
    '    description: The progress of the job. The state "completed" is final.\n'
    '    type: string\n'
    '    enum:\n'
    '      - unscheduled # not requested yet\n'
    '      - pending # waits for a machine\n'
    '      - running\n'
    '      - completed # ended, with any result\n'
    '  result:\n'
    '    title: Result\n'
    '    description: How a completed job ended. Treeherder ignores it in other states.\n'
    '    type: string\n'
    '    enum:\n'
    '      - success\n'
    '      - fail # shown as testfailed for a test, otherwise as busted\n'
    '      - exception # the infrastructure failed\n'
    '      - retry # will run again automatically\n'
    '      - canceled # by a user\n'
    '      - superseded # replaced by another job\n'
    '      - unknown\n'
    '  jobKind:\n'
    '    description: The kind of job. Treeherder shows a failed test as testfailed, and other failed jobs as busted.\n'
    '    type: string\n'
    '    default: other\n'
    '    enum: [build, test, other]\n'
    '  tier:\n'
    '    description: The importance of a failure; 1 is the highest, and the default. Treeherder hides tier 3 by default.\n'
    '    type: integer\n'
    '    minimum: 1\n'
    '    maximum: 3\n'
    '  coalesced:\n'
    '    title: Superseded jobs\n'
    '    description: The taskId of each job that this job supersedes.\n'
    '    type: array\n'
    '    items:\n'
    '      title: Task of a superseded job\n'
    '      type: string\n'
    "      pattern: '^[\\w/+-]+$'\n"
    '      minLength: 1\n'
    '      maxLength: 50\n'
    '\n'
    '  # The times of the job. Include a time zone: Treeherder reads a time without a time zone as UTC.\n'
    '  timeScheduled:\n'
    '    type: string\n'
    '    format: date-time\n'
    '  timeStarted:\n'
    '    type: string\n'
    '    format: date-time\n'
    '  timeCompleted:\n'
    '    type: string\n'
    '    format: date-time\n'
    '\n'
    '  # Other properties of the job.\n'
    '  labels:\n'
    '    title: Labels\n'
    '    description: The variants of the platform, such as "debug", "opt" or "asan". Treeherder calls them options.\n'
    '    type: array\n'
    '    items:\n'
    '      title: Label\n'
    '      type: string\n'
    '      minLength: 1\n'
    '      maxLength: 50\n'
    "      pattern: '^[\\w-]+$'\n"
    '  owner:\n'
    '    title: Owner\n'
    '    description: The user or system that requested the job. The field is optional here, but Treeherder requires it.\n'
    '    type: string\n'
    '    minLength: 1\n'
    '    maxLength: 50\n'
    '  reason:\n'
    '    description: The reason why the job ran, such as "scheduled".\n'
    '    type: string\n'
    '    minLength: 1\n'
    '    maxLength: 125\n'
    '  productName:\n'
    '    description: The product that was built or tested, such as "firefox". Treeherder stores 100 characters.\n'
    '    type: string\n'
    '    minLength: 1\n'
    '    maxLength: 125\n'
    '  buildMachine:\n'
    "    $ref: '#/definitions/machine'\n"
    '  runMachine:\n'
    "    $ref: '#/definitions/machine'\n"
    '\n'
    '  # The output of the job.\n'
    '  jobInfo:\n'
    '    description: The content of the details panel of the job.\n'
    '    type: object\n'
    '    additionalProperties: false\n'
    '    properties:\n'
    '      summary:\n'
    '        description: A text that Treeherder accepts but does not show.\n'
    '        type: string\n'
    '      links:\n'
    '        type: array\n'
    '        items:\n'
    '          title: Link\n'
    '          description: Treeherder shows the label, followed by a link with the text.\n'
    '          type: object\n'
    '          additionalProperties: false\n'
    '          required: [url, linkText, label]\n'
    '          properties:\n'
    '            url:\n'
    '              type: string\n'
    '              format: uri\n'
    '              maxLength: 512\n'
    '            linkText:\n'
    '              type: string\n'
    '              minLength: 1\n'
    '              maxLength: 125\n'
    '            label:\n'
    '              type: string\n'
    '              minLength: 1\n'
    '              maxLength: 70\n'
    '  logs:\n'
    '    description: The logs. Treeherder parses logs named "live_backing_log" and "errorsummary_json".\n'
    '    type: array\n'
    '    items:\n'
    '      title: Log\n'
    '      type: object\n'
    '      additionalProperties: false\n'
    '      required: [url, name]\n'
    '      properties:\n'
    '        url:\n'
    '          type: string\n'
    '          format: uri\n'
    '          minLength: 1\n'
    '          maxLength: 255\n'
    '        name:\n'
    '          type: string\n'
    '          minLength: 1\n'
    '          maxLength: 50\n'
    '\n'
    '  version:\n'
    '    description: The version of this format, which is always 1.\n'
    '    type: integer\n'
    '    enum: [1]\n'
    '\n'
    'definitions:\n'
    '  machine:\n'
    '    title: Machine\n'
    '    description: The machine that built or ran the job. If one machine is missing, Treeherder uses the other for both.\n'
    '    type: object\n'
    '    additionalProperties: false\n'
    '    required: [platform, os, architecture]\n'
    '    properties:\n'
    '      name:\n'
    '        description: The name of the machine.\n'
    '        type: string\n'
    "        pattern: '^[\\w-]+$'\n"
    '        minLength: 1\n'
    '        maxLength: 50\n'
    '      platform:\n'
    '        description: The platform, in whose row the job appears, such as "linux64".\n'
    '        type: string\n'
    "        pattern: '^[\\w-]+$'\n"
    '        minLength: 1\n'
    '        maxLength: 100\n'
    '      os:\n'
    '        description: The name of the operating system, such as "linux".\n'
    '        type: string\n'
    "        pattern: '^[\\w-]+$'\n"
    '        minLength: 1\n'
    '        maxLength: 25\n'
    '      architecture:\n'
    '        description: The name of the processor architecture, such as "x86_64".\n'
    '        type: string\n'
    "        pattern: '^[\\w-]+$'\n"
    '        minLength: 1\n'
    '        maxLength: 25\n'
)
JSON = (
    '{"$schema": "http://json-schema.org/draft-06/schema#", "title": "Treeherder job", "description": "One job, or one change of its state. Publish the same taskId again to report progress.", "type": "object", "additionalProperties": false, "required": ["taskId", "origin", "buildSystem", "display", "state", "jobKind", "version"], "properties": {"taskId": {"title": "Task", "description": "The id of the job, in the form <uuid>/<retry number>. With another form, Treeherder shows no link to the Taskcluster task.", "type": "string", "pattern": "^[A-Za-z0-9/+-]+$", "minLength": 1, "maxLength": 50}, "retryId": {"title": "Retry", "description": "The number of times that the infrastructure restarted this job; 0 for the first run.", "type": "integer", "default": 0, "minimum": 0}, "isRetried": {"description": "Whether another run replaces this one. Treeherder then shows a completed job as retried.", "type": "boolean"}, "buildSystem": {"description": "The name of the system that ran the job, such as \\"taskcluster\\".", "type": "string", "pattern": "^[\\\\w-]+$", "minLength": 1, "maxLength": 25}, "origin": {"title": "Origin", "description": "The push that the job belongs to. Treeherder must have the push.", "type": "object", "additionalProperties": false, "required": ["project", "revision"], "properties": {"project": {"description": "The name of the repository in Treeherder, such as \\"autoland\\".", "type": "string", "pattern": "^[\\\\w-]+$", "minLength": 1, "maxLength": 50}, "revision": {"description": "The 40 hexadecimal digits of the commit, in lower case. Without letters, quote the value in YAML.", "type": "string", "pattern": "^[0-9a-f]+$", "minLength": 40, "maxLength": 40}, "id": {"description": "The number of the push (Mercurial) or of the pull request (Git).", "type": "integer"}}}, "display": {"title": "Display", "description": "The symbols and names that Treeherder shows.", "type": "object", "additionalProperties": false, "required": ["jobName", "jobSymbol", "groupSymbol"], "properties": {"jobSymbol": {"title": "Job symbol", "description": "The text of the link to the job, such as \\"bc\\". Treeherder appends the chunk number.", "type": "string", "minLength": 0, "maxLength": 25}, "chunkId": {"title": "Chunk", "description": "The number of this part of a divided job, from 1.", "type": "integer", "minimum": 1}, "chunkCount": {"title": "Chunks", "description": "The number of parts of a divided job.", "type": "integer", "minimum": 1}, "groupSymbol": {"title": "Group symbol", "description": "The symbol before the brackets around the jobs of a group, such as \\"M\\"; \\"?\\" for no group.", "type": "string", "minLength": 1, "maxLength": 25}, "jobName": {"title": "Job name", "description": "The full name of the job.", "type": "string", "minLength": 1, "maxLength": 140}, "groupName": {"title": "Group name", "description": "The full name of the group, such as \\"Mochitests\\".", "type": "string", "minLength": 1, "maxLength": 255}}}, "state": {"title": "State", "description": "The progress of the job. The state \\"completed\\" is final.", "type": "string", "enum": ["unscheduled", "pending", "running", "completed"]}, "result": {"title": "Result", "description": "How a completed job ended. Treeherder ignores it in other states.", "type": "string", "enum": ["success", "fail", "exception", "retry", "canceled", "superseded", "unknown"]}, "jobKind": {"description": "The kind of job. Treeherder shows a failed test as testfailed, and other failed jobs as busted.", "type": "string", "default": "other", "enum": ["build", "test", "other"]}, "tier": {"description": "The importance of a failure; 1 is the highest, and the default. Treeherder hides tier 3 by default.", "type": "integer", "minimum": 1, "maximum": 3}, "coalesced": {"title": "Superseded jobs", "description": "The taskId of each job that this job supersedes.", "type": "array", "items": {"title": "Task of a superseded job", "type": "string", "pattern": "^[\\\\w/+-]+$", "minLength": 1, "maxLength": 50}}, "timeScheduled": {"type": "string", "format": "date-time"}, "timeStarted": {"type": "string", "format": "date-time"}, "timeCompleted": {"type": "string", "format": "date-time"}, "labels": {"title": "Labels", "description": "The variants of the platform, such as \\"debug\\", \\"opt\\" or \\"asan\\". Treeherder calls them options.", "type": "array", "items": {"title": "Label", "type": "string", "minLength": 1, "maxLength": 50, "pattern": "^[\\\\w-]+$"}}, "owner": {"title": "Owner", "description": "The user or system that requested the job. The field is optional here, but Treeherder requires it.", "type": "string", "minLength": 1, "maxLength": 50}, "reason": {"description": "The reason why the job ran, such as \\"scheduled\\".", "type": "string", "minLength": 1, "maxLength": 125}, "productName": {"description": "The product that was built or tested, such as \\"firefox\\". Treeherder stores 100 characters.", "type": "string", "minLength": 1, "maxLength": 125}, "buildMachine": {"$ref": "#/definitions/machine"}, "runMachine": {"$ref": "#/definitions/machine"}, "jobInfo": {"description": "The content of the details panel of the job.", "type": "object", "additionalProperties": false, "properties": {"summary": {"description": "A text that Treeherder accepts but does not show.", "type": "string"}, "links": {"type": "array", "items": {"title": "Link", "description": "Treeherder shows the label, followed by a link with the text.", "type": "object", "additionalProperties": false, "required": ["url", "linkText", "label"], "properties": {"url": {"type": "string", "format": "uri", "maxLength": 512}, "linkText": {"type": "string", "minLength": 1, "maxLength": 125}, "label": {"type": "string", "minLength": 1, "maxLength": 70}}}}}}, "logs": {"description": "The logs. Treeherder parses logs named \\"live_backing_log\\" and \\"errorsummary_json\\".", "type": "array", "items": {"title": "Log", "type": "object", "additionalProperties": false, "required": ["url", "name"], "properties": {"url": {"type": "string", "format": "uri", "minLength": 1, "maxLength": 255}, "name": {"type": "string", "minLength": 1, "maxLength": 50}}}}, "version": {"description": "The version of this format, which is always 1.", "type": "integer", "enum": [1]}}, "definitions": {"machine": {"title": "Machine", "description": "The machine that built or ran the job. If one machine is missing, Treeherder uses the other for both.", "type": "object", "additionalProperties": false, "required": ["platform", "os", "architecture"], "properties": {"name": {"description": "The name of the machine.", "type": "string", "pattern": "^[\\\\w-]+$", "minLength": 1, "maxLength": 50}, "platform": {"description": "The platform, in whose row the job appears, such as \\"linux64\\".", "type": "string", "pattern": "^[\\\\w-]+$", "minLength": 1, "maxLength": 100}, "os": {"description": "The name of the operating system, such as \\"linux\\".", "type": "string", "pattern": "^[\\\\w-]+$", "minLength": 1, "maxLength": 25}, "architecture": {"description": "The name of the processor architecture, such as \\"x86_64\\".", "type": "string", "pattern": "^[\\\\w-]+$", "minLength": 1, "maxLength": 25}}}}}'
)

__all__ = ["JSON", "YAML", "strict", "treeherder"]
