from service import call


def on_push(message):
    push = message.payload["payload"]
    if push["type"] == "changegroup.1":
        call("schedules", push["data"]["heads"][0])
