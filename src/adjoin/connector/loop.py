"""The connector at work: check in, wait for work, renew the key, and go on through whatever the network does.

What passes by itself is tried again after a while that grows, with chance in it, so that many connectors do not come
back all at once. What does not pass ends the program with words that say what to do.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from adjoin.connector import health, keys, settings
from adjoin.connector.api import Answer, Clocks, KeyNotKnown, Service
from adjoin.connector.faults import Refused, Unreachable, Unusable
from adjoin.connector.settings import Settings

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 120.0
Log = Callable[[str, str], None]
Sleep = Callable[[float], Awaitable[None]]
"""Takes a level (`info`, `warning`) and a sentence."""


@dataclass(slots=True)
class Status:
    """How the connector does, for `adjoin connector status` and its metrics. Times are Unix seconds of this machine."""

    version: str
    server: str = ""
    state: str = "unknown"
    reasons: tuple[str, ...] = ()
    last_check_in: float | None = None
    check_ins: int = 0
    failures: int = 0
    fault: str = ""
    process: int = field(default_factory=os.getpid)


class Connector:
    """One run of the program. `file` is its settings', which is claimed by whoever makes this."""

    def __init__(
        self,
        file: Path,
        service: Service,
        version: str,
        log: Log,
        clocks: Clocks | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._file = file
        self._settings = settings.load(file)
        self._service = service
        self._log = log
        self._clocks = clocks or Clocks()
        self._sleep = sleep
        self._instance = str(uuid.uuid4())
        self._sequence = 0
        self._pause = FIRST_PAUSE
        self._stopping = asyncio.Event()
        self.status = Status(version, service.server)

    def stop(self) -> None:
        """End soon and in order."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped. Raises Refused or Unusable when somebody has to do something."""
        # Any program may begin to count anew. Only from the second check-in on is a count this program's alone, by
        # which the server tells another that has the same key.
        with self._noting_the_end():
            await self._until_stopped(self._next())
            while not self._stopping.is_set():
                answer = await self._until_stopped(self._next())
                if answer is not None:
                    await self._until_stopped(self._wait_for_work(answer))

    async def once(self) -> Answer:
        """Check in once. Raises a Fault."""
        with self._noting_the_end():
            return await self._check_in()

    @contextmanager
    def _noting_the_end(self) -> Iterator[None]:
        """What ends the program for good is what `status` tells from then on, and not how it stood before."""
        try:
            yield
        except (Refused, Unusable) as fault:
            self.status.state, self.status.reasons, self.status.fault = "unknown", (), fault.message
            self._keep_status()
            raise

    async def _next(self) -> Answer:
        """The next check-in, tried until it is taken. The number stays: done twice, it changes nothing twice."""
        while True:
            try:
                answer = await self._check_in()
            except Unreachable as fault:
                await self._rest(fault)
            else:
                self._pause = FIRST_PAUSE
                return answer

    async def _check_in(self) -> Answer:
        skew = self._service.skew
        if skew is None or abs(skew) > health.MOST_SKEW:
            # It may as well be that what was counted on from the server's time stood still, in a suspended machine.
            await self._service.hello()
        await self._renew_key()
        answer = await self._service.check_in(self._settings, self._report(self._sequence + 1), 0)
        self._sequence += 1
        self._note(answer)
        return answer

    def _report(self, sequence: int) -> dict[str, object]:
        """The check-in of this number."""
        return {
            "instance": self._instance,
            "sequence": sequence,
            "version": self.status.version,
            "health": [health.clock(self._service.skew), health.servers(*self._service.reached)],
            "load": {"work": 0},
        }

    def _note(self, answer: Answer) -> None:
        before, status = (self.status.state, self.status.reasons), self.status
        status.server, status.state, status.reasons = self._service.server, answer.state, answer.reasons
        status.last_check_in, status.fault = self._clocks.wall(), ""
        status.check_ins += 1
        if before != (answer.state, answer.reasons):
            level = "warning" if answer.reasons else "info"
            self._log(level, f"The server shows this connector as {answer.state}. {' '.join(answer.reasons)}".rstrip())
        self._keep_status()

    def _keep_status(self) -> None:
        """For `status`, which is another process. Nothing depends on it."""
        beside = settings.beside(self._file, "status")
        with suppress(OSError):
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as written:
                json.dump(asdict(self.status), written)

    async def _rest(self, fault: Unreachable) -> None:
        self.status.failures += 1
        if not self.status.fault:
            self._log("warning", f"{fault.message} Trying again.")
        self.status.fault = fault.message
        self._keep_status()
        pause = max(self._pause, _named(fault))
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        # Chance only adds: who comes before the time that a server named finds it as it was.
        await self._sleep(pause * random.uniform(1.0, 1.5))  # noqa: S311 - to spread the load, not to hide anything

    async def _wait_for_work(self, answer: Answer) -> None:
        """Until the next check-in is due. To ask with the same number again is to wait, and changes nothing."""
        until = self._clocks.steady() + answer.interval * random.uniform(0.9, 1.1)  # noqa: S311
        while (left := until - self._clocks.steady()) > 0:
            if answer.wait < 1 or left < 1:
                await self._sleep(left)
                return
            began = self._clocks.steady()
            try:
                report = self._report(self._sequence)
                answer = await self._service.check_in(self._settings, report, min(answer.wait, int(left)))
            except Unreachable as fault:
                # A server that stops lets everyone go: they come back as they would check in, and not all at once.
                soon, named = min(left, random.uniform(1.0, 10.0)), _named(fault)  # noqa: S311
                await self._sleep(max(soon, named * random.uniform(1.0, 1.5)))  # noqa: S311
                return
            if self._clocks.steady() - began < 1.0:
                answer = replace(answer, wait=0)

    async def _renew_key(self) -> None:
        """Renew the key when it is due, or go on with a renewal that was begun. Each step can be done again.

        Raises a Fault.
        """
        held = self._settings
        if not held.next_key:
            if self._service.now() < held.renew_key_after:
                return
            # On disk before the server knows it, so that it cannot get lost in between.
            held = self._keep(replace(held, next_key=keys.new_key()))
        try:
            expires, renew_after = await self._service.offer_key(held, held.next_key)
        except KeyNotKnown:
            # The server counts on the new key already; what was lost is the word of it.
            await self._service.sign_in(held, held.next_key)
            held = self._keep(replace(held, key=held.next_key, next_key=""))
            expires, renew_after = await self._service.offer_key(held, held.key)
        else:
            await self._service.sign_in(held, held.next_key)
        self._keep(
            replace(
                held,
                key=held.next_key or held.key,
                next_key="",
                key_expires=expires,
                renew_key_after=renew_after,
            )
        )
        self._log("info", "The key was renewed.")

    def _keep(self, changed: Settings) -> Settings:
        settings.save(self._file, changed)
        self._settings = changed
        return changed

    async def _until_stopped(self, act: object) -> Answer | None:
        """What `act` gives, or None when it is time to stop."""
        task: asyncio.Task[Answer | None] = asyncio.ensure_future(act)  # type: ignore[call-overload]
        stop = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not task.done():
            task.cancel()
        with suppress(asyncio.CancelledError):
            return await task
        return None


def _named(fault: Unreachable) -> float:
    """The seconds that a server named before it is to be asked again, as far as they are minded."""
    return min(fault.retry_after or 0.0, LONGEST_PAUSE)
