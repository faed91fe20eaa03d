"""Structured logs on stderr: lines for people on a terminal, JSON elsewhere."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any, Final, Literal, TextIO, cast

import msgspec
import structlog

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class _Forgiving:
    """A stream to log to. Whoever read it may be gone: no reason to end, nor to go on when told to stop."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def configure(level: str, form: Literal["auto", "text", "json"]) -> None:
    """Send everything that is logged at `level` and above to stderr in this form."""
    for_people = form == "text" or (form == "auto" and sys.stderr.isatty())
    stamped = structlog.processors.TimeStamper(fmt="iso", utc=True)
    processors: list[Any] = [structlog.processors.add_log_level, stamped]
    if for_people:
        # A plain trace: structlog's own, by rich, prints the local variables, and tokens and secrets are among them.
        trace = structlog.dev.plain_traceback
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=trace))
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Forgiving(sys.stderr))),
        cache_logger_on_first_use=True,
    )


def _json(event: Any, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
