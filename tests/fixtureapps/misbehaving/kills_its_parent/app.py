"""It kills the process that has started it."""

import os
import signal


def application(environ, start_response):
    if environ["PATH_INFO"] == "/now":
        os.kill(os.getppid(), signal.SIGKILL)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]
