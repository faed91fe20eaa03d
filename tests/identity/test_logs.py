"""No line of the log holds a token, or any part of one longer than 16 characters: bad ones, mixed ones, good ones."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final, Literal

import pytest
import structlog
from structlog.testing import capture_logs
from tests.identity import test_parties, test_plain, test_tokens
from tests.identity.provider import AUDIENCE, ISSUER, Provider
from tests.identity.service import opened

from adjoin.cli import logs

LONGEST: Final = 16
MAIN: Final = {"name": "main", "issuer": ISSUER, "audiences": [AUDIENCE], "tenant": "default"}
EVERY: Final = [
    *(text for text, _ in test_tokens.BAD.values()),
    *(text for text, _ in test_plain.REFUSED.values()),
    *(text for text, _ in test_parties.MIXED.values()),
    *(text for text, *_ in test_parties.GOOD.values()),
]


def shared(text: str, line: str) -> str | None:
    """A part of `text` of more than LONGEST characters that stands in `line`, if there is one."""
    size = LONGEST + 1
    pieces = {line[at : at + size] for at in range(len(line) - size + 1)}
    return next((piece for piece in pieces if piece in text), None)


def test_no_token_in_any_line(tmp_path: Path) -> None:
    assert len(EVERY) > 250

    async def act() -> list[str]:
        provider = Provider()
        async with opened(tmp_path, provider.fetch, issuers=(MAIN,)) as service:
            tokens = [*EVERY, service.mint(), provider.token(), provider.token("unknown")]
            with capture_logs() as logged:
                for token in tokens:
                    before = len(logged)
                    answer = await service.call(token)
                    assert answer.status < 500
                    lines = [str(line) for line in logged[before:]]
                    assert lines, "each request is logged"
                    found = [piece for line in lines if (piece := shared(token, line))]
                    assert not found
            return [str(line) for line in logged]

    lines = asyncio.run(act())
    assert len(lines) >= len(EVERY)
    for token in (text for text in EVERY if 40 < len(text) < 20_000):
        head, *_ = token.split(".")
        assert not [line for line in lines if head[: LONGEST + 1] in line and len(head) > LONGEST]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_fault_is_logged_without_what_was_at_hand(
    monkeypatch: pytest.MonkeyPatch, form: Literal["text", "json"]
) -> None:
    """The trace of a fault shows lines of code, never the values of variables."""
    configured: dict[str, Any] = {}
    monkeypatch.setattr(structlog, "configure", configured.update)
    logs.configure("info", form)

    def fault(token: str) -> None:
        raise RuntimeError(str(len(token)))

    secret = "eyJhbGciOiJSUzI1NiJ9.secret"
    try:
        fault(secret)
    except RuntimeError as error:
        line: Any = {"event": "fault", "exc_info": error}
    for process in configured["processors"]:
        line = process(None, "error", line)
    assert "RuntimeError" in line
    assert shared(secret, line) is None
