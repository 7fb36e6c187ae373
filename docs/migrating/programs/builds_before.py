import os
import traceback
from urllib.parse import unquote, urlsplit

from mozillapulse.config import PulseConfiguration
from mozillapulse.consumers import GenericConsumer
from service import call


def on_push(body, message):
    try:
        push = body["payload"]
        if push["type"] == "changegroup.1":
            call("build", push["data"]["heads"][0])
    except Exception:
        traceback.print_exc()
    message.ack()


url = urlsplit(os.environ["PULSE_URL"])
config = PulseConfiguration(
    user=unquote(url.username),
    password=unquote(url.password),
    host=url.hostname,
    port=url.port,
    ssl=url.scheme == "amqps",
)
consumer = GenericConsumer(config, "exchange/hgpushes/v2", applabel="builds", topic="#")
consumer.listen(on_push)
