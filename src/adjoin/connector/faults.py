"""What can go wrong for a connector: a closed list, told apart by what is to be done about it."""

from __future__ import annotations


class Fault(Exception):
    """Something that went wrong; `message` is for whoever runs the connector."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unusable(Fault):
    """The configuration cannot be used, or is used by another process."""


class Unreachable(Fault):
    """No server answered, or none can serve now: to be tried again. `retry_after` is in seconds, where one said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(Fault):
    """The server refuses what was asked, and will go on to; somebody has to do something about it."""
