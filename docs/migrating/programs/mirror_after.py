from pulsekit import OnFailure, Policy, Queue, Reject, Worker
from service import call


def mirror(message):
    push = message.payload["payload"]
    if push["type"] != "push":
        raise Reject(f"unsupported type {push['type']}")
    call("mirror", push["push_id"])


worker = Worker(
    mirror,
    "exchange/landoprod/pushes:#",
    Queue("queue/me/mirror-2", dead_letters="exchange/me/dead"),
    Policy(failure=OnFailure.REQUEUE, delay=0.2, growth=2, limit=2),
)
