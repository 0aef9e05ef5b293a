"""It prints as fast as it can, for as long as it lives."""

import threading


def chatter():
    while True:
        print("and another line " * 20, flush=True)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]


threading.Thread(target=chatter, daemon=True).start()
