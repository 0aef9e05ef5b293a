"""It starts, and ends a moment later, again and again."""

import os
import threading


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"for a moment"]


threading.Timer(0.3, os._exit, [3]).start()
