"""Connectors in numbers, made by plain HTTP."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

import httpx

CONNECTORS: Final = "deviceManagement/domainJoinConnectors"
_AT_ONCE: Final = 20


def row_name(at: int) -> str:
    """The display name of the row at this place."""
    return f"row {at:04}"


def fill(url: str, token: str, number: int, authority: Path | None = None) -> None:
    """Make connectors named `row 0000`, `row 0001` and so on, through `$batch`."""
    verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=str(authority)) if authority else True
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, verify=verify, timeout=60) as client:
        for start in range(0, number, _AT_ONCE):
            requests = [_request(at) for at in range(start, min(start + _AT_ONCE, number))]
            response = client.post(f"{url}/$batch", json={"requests": requests})
            statuses = [each["status"] for each in response.raise_for_status().json()["responses"]]
            assert statuses == [201] * len(requests)


def _request(at: int) -> dict[str, object]:
    body = {
        "displayName": row_name(at),
        "lastConnectionDateTime": f"2026-01-01T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}Z",
        "state": ("active", "error", "inactive")[at % 3],
        "version": f"6.{at}",
    }
    return {"id": str(at), "method": "POST", "url": f"/{CONNECTORS}", "body": body}
