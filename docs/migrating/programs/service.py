"""The work that the other programs do for each message: a request to a service, for whose answer they wait."""

import json
import os
from urllib.request import Request, urlopen


def call(action, data):
    """Send data to the service.

    Raises:
        OSError: Raised when the service cannot be reached, or answers with an error.
    """
    url = f"{os.environ['SERVICE_URL']}/{action}"
    with urlopen(Request(url, json.dumps(data).encode(), {"Content-Type": "application/json"})):
        pass
