"""Each request leaves a process behind, which leaves its session."""

import subprocess


def application(environ, start_response):
    if environ["PATH_INFO"] == "/now":
        subprocess.Popen(["sleep", "600"], start_new_session=True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]
