"""A database as seen from inside an open transaction: several changes that are kept together or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from adjoin.store.database import Session

T = TypeVar("T")


class Within:
    """A Database over the session of a write under way; what is read sees what was written before it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def reader(self) -> Session:
        return self._session

    @property
    def scanner(self) -> Session:
        return self._session

    def generation(self) -> None:
        """What is written within the transaction shows at once, and is nobody else's to remember."""
        return

    async def write(self, act: Callable[[Session], Awaitable[T]]) -> T:
        return await act(self._session)

    async def close(self) -> None:
        """Whoever opened the transaction ends it."""
