"""Its answer has no end."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] != "/now":
        return [b"well"]
    return iter(lambda: b"more " * 10_000, None)
