"""It replaces of the standard library what gevent and eventlet do, with what does not work at all."""

import _thread
import os
import select
import socket
import threading
import time

hold = threading.Event()
# gevent patches the threads that there are, and fails with those that it does not know.
assert threading.enumerate() == [threading.main_thread()]


def useless(*_args, **_named):
    raise AssertionError("this has been replaced")


del select.epoll, select.poll
select.select = socket.socket = socket.create_connection = useless
_thread.start_new_thread = _thread.allocate_lock = useless
threading.Lock = threading.RLock = threading.Event = threading.Condition = useless
threading.Thread = threading._start_new_thread = threading.get_ident = useless
time.sleep = os.read = os.write = useless
os.close = lambda fd: None


def app(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        hold.wait(20)
    if environ["PATH_INFO"] == "/go":
        hold.set()
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % len(body)]
