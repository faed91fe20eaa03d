"""Tells systemd, or whoever else started this program, that it is ready, lives and stops (sd_notify).

A datagram goes to the socket that `NOTIFY_SOCKET` names; where none is named, nothing happens.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
_ALIVE: Final = "WATCHDOG=1"


def tell(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Say how this program does. That nobody listens is no fault of its own."""
    address = environment.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        # A name that begins with @ is no file, but one that the kernel alone knows.
        notify.sendto(state.encode(), f"\0{address[1:]}" if address[0] == "@" else address)


def watched(environment: Mapping[str, str] = os.environ) -> float | None:
    """How often, in seconds, it is to be heard that this process lives; None: nobody asks that of it.

    What is asked of a process is asked of its workers, too: as long as one lives, it is of use.
    """
    asked, whom = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", str(os.getpid()))
    if not asked.isdecimal() or int(asked) == 0 or whom not in (str(os.getpid()), str(os.getppid())):
        return None
    return int(asked) / 2_000_000


async def live(environment: Mapping[str, str] = os.environ) -> None:
    """Say so while the event loop turns, until this is cancelled, if anybody asks."""
    while (pause := watched(environment)) is not None:
        tell(_ALIVE, environment)
        await asyncio.sleep(pause)
