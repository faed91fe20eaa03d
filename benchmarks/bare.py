"""The bare server: the same embedded granian as `adjoin serve` runs, over an application that answers a constant.

What it reaches is what the service could reach at most; it reads the request's body, as it must be read, and no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

Message = MutableMapping[str, Any]

BODY: Final = b'{"value":"' + b"x" * 288 + b'"}'
_START: Final = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())],
}


async def application(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer 300 bytes of JSON, whatever is asked."""
    if scope["type"] != "http":
        raise RuntimeError(f"{scope['type']} is not spoken here")
    if scope["method"] == "POST":
        while (await receive()).get("more_body", False):
            pass
    await send(_START)
    await send({"type": "http.response.body", "body": BODY})


async def _serve(port: int) -> None:
    # The settings of adjoin.cli.listener, as far as they touch plain http.
    server = Server(
        application,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        backlog=1_024,
        backpressure=4_096,
        http1_settings=HTTP1Settings(header_read_timeout=15_000, max_buffer_size=90_112),
        log_enabled=False,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.serve()


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - there is none on some platforms
    except ImportError:
        return None
    return uvloop.Loop


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(int(sys.argv[1])))
