"""A machine that refuses: run a command under a filter that answers some system calls with an error (seccomp(2)).

``python refusing.py unshare,landlock COMMAND …`` is how containers and older kernels look to all that COMMAND starts.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

PR_SET_SECCOMP, FILTER, PR_SET_NO_NEW_PRIVS = 22, 2, 38
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ERROR, ALLOW = 0x00050000, 0x7FFF0000
UNSHARE = {"x86_64": 272, "aarch64": 97}
# The number of the call, and what it answers.
REFUSALS = {
    "unshare": (UNSHARE.get(os.uname().machine, 0), errno.EPERM),
    "landlock": (444, errno.ENOSYS),
}


def refuse(names: list[str]) -> None:
    """Have these calls refused from now on, here and in all that is started from here."""
    filters = [struct.pack("HBBI", LOAD, 0, 0, 0)]
    for number, answer in (REFUSALS[name] for name in names):
        filters += [struct.pack("HBBI", EQUAL, 0, 1, number), struct.pack("HBBI", RETURN, 0, 0, ERROR | answer)]
    filters.append(struct.pack("HBBI", RETURN, 0, 0, ALLOW))
    code = ctypes.create_string_buffer(b"".join(filters))
    program = struct.pack("HxxxxxxP", len(filters), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid():
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # Who is not root may take away from himself only for good.
    if libc.prctl(PR_SET_SECCOMP, FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    refuse(sys.argv[1].split(","))
    os.execv(sys.argv[2], sys.argv[2:])
