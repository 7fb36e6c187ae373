from pulsekit import OnFailure, Policy, Worker
from service import call


def on_github(message):
    call("github", message.payload["payload"]["after"])


def on_commit(message):
    push = message.payload["payload"]
    if push["type"] == "changegroup.1":
        call("commit", push["data"]["heads"][0])


def on_group(message):
    call("group", message.payload["taskGroupId"])


policy = Policy(failure=OnFailure.REQUEUE, delay=0.2, growth=2, limit=5, exhausted=OnFailure.RAISE)
groups = "exchange/taskcluster-queue/v1/task-group-resolved:primary.#"
workers = [
    Worker(on_github, "exchange/github-webhooks/v1:web-platform-tests/wpt/push", "queue/me/github", policy),
    Worker(on_commit, "exchange/hgpushes/v2:#", "queue/me/hgmo", policy),
    Worker(on_group, groups, "queue/me/groups", policy),
]
