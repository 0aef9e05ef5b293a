"""What wsgiref's validator has to say about the server, for tests/runtime/test_worker.py."""

from wsgiref.validate import validator


def behave(environ, start_response):
    text = [("Content-Type", "text/plain")]
    path = environ["PATH_INFO"]
    if path == "/write":
        write = start_response("200 OK", text)
        write(b"written,")
        return iter([b"returned"])
    if path == "/nothing":
        start_response("204 No Content", [])
        return iter([])
    if path == "/upload":
        stream = environ["wsgi.input"]
        body = stream.read(3) + stream.readline() + b"".join(stream) + stream.read(10)
        environ["wsgi.errors"].write("")
        start_response("200 OK", text)
        return [body]
    if path == "/file":
        start_response("200 OK", text)
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    start_response("200 OK", text)
    return iter([b"one,", b"two"])


app = validator(behave)
