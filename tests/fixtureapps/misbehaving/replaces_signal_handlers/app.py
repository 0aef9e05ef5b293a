"""It hears no signal that it can shut out, from its import on and again in each answer."""

import signal
import threading

DEAF = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD]

for number in DEAF:
    signal.signal(number, signal.SIG_IGN)


def application(environ, start_response):
    signal.pthread_sigmask(signal.SIG_BLOCK, DEAF)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"well {threading.active_count()}".encode()]
