"""It starts processes as long as it can (its namespace has a limit)."""

import subprocess

STARTED = []


def application(environ, start_response):
    while environ["PATH_INFO"] == "/now":
        try:
            STARTED.append(subprocess.Popen(["sleep", "600"]))
        except OSError:
            break
        if len(STARTED) >= 300:
            break  # Where nothing limits it, the machine that tests it shall live.
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"well {len(STARTED)}".encode()]
