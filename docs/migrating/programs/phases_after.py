from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pulsekit.sync


class Phases(BaseHTTPRequestHandler):
    def do_POST(self):
        release = self.path.strip("/")
        try:
            publisher.publish({"payload": {"release": release}}, "phase.signed_off")
        except pulsekit.PulsekitError as error:
            self.send_error(503, explain=str(error))
        else:
            self.send_response(200)
            self.end_headers()


with (
    pulsekit.sync.connect() as pulse,
    pulse.publisher("exchange/me/releases", mandatory=True) as publisher,
    ThreadingHTTPServer(("127.0.0.1", 0), Phases) as server,
):
    print(server.server_port, flush=True)
    server.serve_forever()
