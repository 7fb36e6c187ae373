from service import call


def investigate(message):
    call("investigate", message.payload["status"]["taskId"])
