"""Several processes that serve one address: started, watched, started again when one ends by itself, stopped in order.

The kernel shares new connections out among them. Each holds the read end of a pipe; when this process is gone, however
that came about, the pipe ends and they stop by themselves.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Final, NoReturn

import structlog

from adjoin.odata.errors import Refusal

_PASSED_ON: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SIGNALS: Final = (*_PASSED_ON, signal.SIGCHLD)
_TRIES: Final = 3
"""How often each may end before any has served: what none of them can do will not be done by trying."""

_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
# One that has served for so long does not end for what it met at its start.
_STEADY: Final = 10.0
_PID_BYTES: Final = 4
_LOG: Final = structlog.get_logger("adjoin.serve")


def pass_over(_number: int, _frame: FrameType | None) -> None:
    """Take a signal, and do nothing. Programs that are started do not inherit this, as they would SIG_IGN."""


@dataclass(frozen=True, slots=True)
class Tie:
    """What ties a worker to the process that watches it: its number, and two descriptors.

    The `leash` ends with that process; on `up` a worker tells that it serves.
    """

    number: int
    leash: int
    up: int

    def serves(self) -> None:
        """Tell that this worker takes connections."""
        # Whoever would hear it may be gone: the leash tells of that.
        with contextlib.suppress(OSError):
            os.write(self.up, os.getpid().to_bytes(_PID_BYTES))


Work = Callable[[Tie], None]
"""What a worker does until it is told to stop."""


@dataclass(slots=True)
class _Worker:
    number: int
    due: float = 0.0
    started: float = 0.0
    served: bool = False
    failed: int = 0


class Workers:
    """The processes of one service. Make it before there are threads or an event loop: it forks."""

    def __init__(self, count: int, work: Work) -> None:
        self._work = work
        self._waiting = [_Worker(number) for number in range(count)]
        self._running: dict[int, _Worker] = {}
        self._leash, self._held = os.pipe()
        self._heard, self._up = os.pipe()
        self._arrived, self._arrive = os.pipe()
        for each in (self._heard, self._up, self._arrived, self._arrive):
            os.set_blocking(each, False)
        self._stopping = False
        self._any_served = False
        self._code = 0

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; gives the exit code: 0 if all ended in order."""
        # A signal does nothing but wake this loop, so none can come between two steps that belong together.
        signal.set_wakeup_fd(self._arrive, warn_on_full_buffer=False)
        for each in _SIGNALS:
            signal.signal(each, pass_over)
        while self._running or not self._stopping:
            self._start_those_due()
            for number in self._signals():
                if number in (signal.SIGTERM, signal.SIGINT):
                    self._stop()
                elif number == signal.SIGHUP:
                    self._tell(signal.SIGHUP)
            self._reap()
        return self._code

    def _signals(self) -> bytes:
        """Those that have arrived, or arrive before the next worker is due."""
        next_due = min((each.due for each in self._waiting), default=None)
        pause = None if self._stopping or next_due is None else max(0.0, next_due - time.monotonic())
        found, _, _ = select.select([self._arrived], [], [], pause)
        return os.read(self._arrived, 4_096) if found else b""

    def _start_those_due(self) -> None:
        now = time.monotonic()
        for worker in [each for each in self._waiting if each.due <= now]:
            if self._stopping:
                return
            self._waiting.remove(worker)
            worker.started, worker.served = now, False
            try:
                self._start(worker)
            except OSError as error:
                _LOG.error("worker not started", worker=worker.number, reason=str(error))
                self._again(worker)

    def _start(self, worker: _Worker) -> None:
        # A signal to the child waits until it is not taken for one to this process, whose descriptor it would wake.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                self._be(worker.number)
            self._running[pid] = worker
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _be(self, number: int) -> NoReturn:
        """What a worker does, from its first moment to its last."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for each in _SIGNALS:
                signal.signal(each, pass_over if each == signal.SIGHUP else signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            for descriptor in (self._held, self._heard, self._arrived, self._arrive):
                os.close(descriptor)
            self._work(Tie(number, self._leash, self._up))
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except Refusal as refusal:
            _LOG.error("worker cannot serve", worker=number, reason=refusal.message)
        except BaseException as error:  # noqa: BLE001 - nobody is told of it but by the log
            _LOG.error("fault", worker=number, exc_info=error)
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            # What the parent has registered for its own end is not the child's to run.
            os._exit(code)

    def _reap(self) -> None:
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._hear()
            worker = self._running.pop(pid, None)
            # As the first process of a container, this one is given the orphans of others.
            if worker is not None:
                self._ended(worker, os.waitstatus_to_exitcode(status))

    def _hear(self) -> None:
        """Learn which workers have come to serve."""
        with contextlib.suppress(BlockingIOError):
            while told := os.read(self._heard, _PID_BYTES):
                worker = self._running.get(int.from_bytes(told))
                if worker is not None:
                    worker.served = self._any_served = True

    def _ended(self, worker: _Worker, code: int) -> None:
        if not self._stopping:
            _LOG.error("worker ended", worker=worker.number, code=code)
            self._again(worker)
        elif worker.served and code not in (-signal.SIGTERM, -signal.SIGINT):
            self._code = self._code or abs(code)

    def _again(self, worker: _Worker) -> None:
        """Have it tried once more, after a pause that grows; unless no worker has ever served."""
        self._hear()
        steady = worker.served and time.monotonic() - worker.started > _STEADY
        worker.failed = 1 if steady else worker.failed + 1
        worker.due = time.monotonic() + min(_PAUSE * 2 ** min(worker.failed - 1, 10), _LONGEST_PAUSE)
        self._waiting.append(worker)
        known = (*self._waiting, *self._running.values())
        if not self._any_served and all(each.failed >= _TRIES for each in known):
            _LOG.error("workers end as soon as they start; giving up")
            self._code = 1
            self._stop()

    def _stop(self) -> None:
        self._stopping = True
        self._tell(signal.SIGTERM)

    def _tell(self, what: signal.Signals) -> None:
        for pid in self._running:
            os.kill(pid, what)
