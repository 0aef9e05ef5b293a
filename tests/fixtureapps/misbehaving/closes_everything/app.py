"""It closes every descriptor that it finds, the listening socket among them."""

import os


def application(environ, start_response):
    if environ["PATH_INFO"] == "/now":
        os.closerange(3, 1024)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]
