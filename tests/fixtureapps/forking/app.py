"""A fork within a request, whose child goes back to whoever has called the application, as no child should."""

import os
import sys
import time


def _begin(path):
    """Return what is answered: in the parent how the child ended, or its process id where it works on."""
    child = os.fork()
    if child == 0:
        if path == "/exits":
            sys.exit(3)
        if path == "/raises":
            raise RuntimeError("this child does not know how to go on")
        if path == "/works":
            time.sleep(600)
        return b"the child"
    if path == "/works":
        return str(child).encode()
    return str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode()


def app(*given):
    """Answer as WSGI or ASGI, whichever way it is called."""
    return _wsgi(*given) if len(given) == 2 else _asgi(*given)


def _wsgi(environ, start_response):
    answer = _begin(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]


async def _asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    answer = _begin(scope["path"])
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
