"""It writes into its temporary directory as long as it can (its namespace has a limit)."""

import tempfile

MOST = 64


def application(environ, start_response):
    written = 0
    if environ["PATH_INFO"] == "/now":
        with open(tempfile.gettempdir() + "/big", "wb", buffering=0) as file:
            try:
                while written < MOST:
                    file.write(b"x" * (1 << 20))
                    written += 1
            except OSError:
                pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"well {written}".encode()]
