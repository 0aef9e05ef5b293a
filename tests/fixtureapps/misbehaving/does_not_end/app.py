"""It does all it can not to end."""

import atexit
import threading


def stay():
    threading.Event().wait()


atexit.register(stay)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]


threading.Thread(target=stay).start()
