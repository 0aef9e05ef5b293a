"""It leaves its directory, also while it is imported, and imports more afterwards."""

import os

os.chdir("/")


def application(environ, start_response):
    os.chdir("/")
    import later

    start_response("200 OK", [("Content-Type", "text/plain")])
    return [later.WORD]
