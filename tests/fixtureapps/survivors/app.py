"""Starts processes that mean to outlive it, each in another way; all of them carry a word on their command line."""

import ctypes
import json
import os
import shutil
import signal
from urllib.parse import parse_qs

SLEEP = shutil.which("sleep")
PR_SET_NAME = 15


def sleep(word, environment=None):
    """Go on as another program, whose command line has the word."""
    os.execve(SLEEP, [f"sleep-{word}", "3600"], dict(os.environ) if environment is None else environment)


def child(word):
    sleep(word)


def session(word):
    os.setsid()
    sleep(word)


def double_fork(word):
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        sleep(word)


def empty_environment(word):
    os.setsid()
    if os.fork() == 0:
        sleep(word, {})


def daemon(word):
    """By the book (daemon(7)): in no session, directory or descriptor of ours."""
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        os.umask(0)
        for number in range(1, signal.NSIG):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        os.closerange(0, 1024)
        sleep(word, {})


def without_a_program(word):
    """As a copy of the application, which has closed all and heeds no signal."""
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ctypes.CDLL(None).prctl(PR_SET_NAME, f"sleep-{word}".encode(), 0, 0, 0)
        os.closerange(0, 1024)
        while True:
            signal.pause()


WAYS = (child, session, double_fork, empty_environment, daemon, without_a_program)


def begin(word):
    for number, way in enumerate(WAYS):
        pid = os.fork()
        if pid == 0:
            try:
                way(f"{word}{number}")
            finally:
                os._exit(0)
    return [way.__name__ for way in WAYS]


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    asked = parse_qs(environ["QUERY_STRING"])
    return [json.dumps(begin(asked["word"][0]) if "word" in asked else "well").encode()]
