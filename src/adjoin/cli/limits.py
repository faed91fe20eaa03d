"""What the operating system is asked for, so that no client holds the service: descriptors, and an end to silence."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from typing import Final

import structlog

CONNECTIONS: Final = 4_096
"""Connections that are open at a time, at most; more wait to be taken."""

# Files of the database, logs, listening sockets, and what the runtime opens for itself.
_OWN_DESCRIPTORS: Final = 128
_UNREAD_SECONDS: Final = 60
_LOG: Final = structlog.get_logger("adjoin.serve")


def connections() -> int:
    """How many connections the process may have, once it has all the descriptors that it can get."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # some systems call a limit infinite and do not grant it
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft == resource.RLIM_INFINITY or soft >= CONNECTIONS + _OWN_DESCRIPTORS:
        return CONNECTIONS
    allowed = max(soft - _OWN_DESCRIPTORS, 16)
    _LOG.warning("few descriptors", limit=soft, connections=allowed, wanted=CONNECTIONS + _OWN_DESCRIPTORS)
    return allowed


def end_unread(port: int) -> int:
    """Have the kernel end connections on `port` whose other end has taken nothing for a minute; gives how many sockets.

    The server itself waits without an end for a client that does not read. It shows nobody its listening sockets, from
    which accepted ones inherit the option, so they are looked for among the process's own.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    found = 0
    for name in os.listdir("/proc/self/fd") if option is not None and os.path.isdir("/proc/self/fd") else ():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(name))) as each:
            if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and each.getsockname()[1] == port:
                each.setsockopt(socket.IPPROTO_TCP, option or 0, _UNREAD_SECONDS * 1_000)
                found += 1
    return found
