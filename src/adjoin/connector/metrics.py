"""The connector's own `/metrics`, on this machine alone, in Prometheus' text form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from adjoin.connector.faults import Unusable
from adjoin.connector.loop import Status

_STATES: Final = ("active", "error", "inactive", "unknown")
_SECONDS: Final = 5.0


def text(status: Status) -> str:
    """The metrics of a connector."""
    lines = [
        "# HELP adjoin_connector_check_ins_total Check-ins that the server took.",
        "# TYPE adjoin_connector_check_ins_total counter",
        f"adjoin_connector_check_ins_total {status.check_ins}",
        "# HELP adjoin_connector_failures_total Attempts that reached no server.",
        "# TYPE adjoin_connector_failures_total counter",
        f"adjoin_connector_failures_total {status.failures}",
        "# HELP adjoin_connector_last_check_in_seconds When the last check-in was taken, in Unix seconds.",
        "# TYPE adjoin_connector_last_check_in_seconds gauge",
        f"adjoin_connector_last_check_in_seconds {status.last_check_in or 0:.3f}",
        "# HELP adjoin_connector_state The state that the server shows, as 1.",
        "# TYPE adjoin_connector_state gauge",
        *(f'adjoin_connector_state{{state="{each}"}} {int(each == status.state)}' for each in _STATES),
    ]
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def served(port: int, status: Status) -> AsyncIterator[None]:
    """Serve the metrics on this port of the loopback while this lasts; 0: not at all. Raises Unusable."""
    if not port:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_answer(head, status))
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, "127.0.0.1", port, limit=16_384)
    except OSError as error:
        raise Unusable(f"The metrics cannot be served on port {port}: {error.strerror}.") from None
    async with server:
        yield


def _answer(head: bytes, status: Status) -> bytes:
    known = head.startswith((b"GET /metrics ", b"HEAD /metrics "))
    body = text(status).encode() if known else b"There is only /metrics here.\n"
    line = b"HTTP/1.1 200 OK" if known else b"HTTP/1.1 404 Not Found"
    kind = b"text/plain; version=0.0.4; charset=utf-8"
    start = b"\r\n".join(
        [line, b"content-type: " + kind, b"content-length: %d" % len(body), b"connection: close", b"", b""]
    )
    return start if head.startswith(b"HEAD") else start + body
