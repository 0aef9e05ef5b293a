"""It ends in the middle of an answer: a segmentation fault, as an extension module makes one."""

import os
import signal


def application(environ, start_response):
    if environ["PATH_INFO"] == "/now":
        os.kill(os.getpid(), signal.SIGSEGV)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]
