"""It shuts down all sockets that listen: that reaches the socket itself, whoever else holds it."""

import os
import socket
import stat


def listening(fd):
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return None
        sock = socket.socket(fileno=os.dup(fd))
        return sock if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) else None
    except OSError:
        return None


def application(environ, start_response):
    if environ["PATH_INFO"] == "/now":
        for sock in filter(None, map(listening, range(3, 256))):
            sock.shutdown(socket.SHUT_RDWR)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]
