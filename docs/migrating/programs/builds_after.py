import pulsekit.sync
from pulsekit import OnFailure, Policy
from service import call


def on_push(message):
    push = message.payload["payload"]
    if push["type"] == "changegroup.1":
        call("build", push["data"]["heads"][0])


with (
    pulsekit.sync.connect() as pulse,
    pulse.subscribe("exchange/hgpushes/v2", queue="queue/me/builds-2", prefetch=1) as messages,
):
    messages.drain_on(now=True)  # SIGTERM and Ctrl-C finish the current message
    messages.handle(on_push, Policy(failure=OnFailure.REQUEUE, delay=0.2, growth=2, exhausted=OnFailure.RAISE))
