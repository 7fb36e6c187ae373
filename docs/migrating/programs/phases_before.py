import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kombu import Connection, Exchange


def publish(key, payload):
    with Connection(os.environ["PULSE_URL"]) as connection:
        exchange = Exchange("exchange/me/releases", type="topic")
        producer = connection.Producer(exchange=exchange, routing_key=key, serializer="json")
        producer.publish({"payload": payload})


class Phases(BaseHTTPRequestHandler):
    def do_POST(self):
        release = self.path.strip("/")
        publish("phase.signed_off", {"release": release})
        self.send_response(200)
        self.end_headers()


with ThreadingHTTPServer(("127.0.0.1", 0), Phases) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
