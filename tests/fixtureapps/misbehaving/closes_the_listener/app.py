"""It closes all sockets that listen, and no other."""

import os
import socket
import stat


def listens(fd):
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return False
        with socket.socket(fileno=os.dup(fd)) as sock:
            return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


def application(environ, start_response):
    if environ["PATH_INFO"] == "/now":
        for fd in range(3, 256):
            if listens(fd):
                os.close(fd)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]
