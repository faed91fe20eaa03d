"""Several processes that serve one address: started, watched, started again when one ends by itself, stopped in order.

The kernel shares new connections out among them. Each holds the read end of a pipe; when this process is gone, however
that came about, the pipe ends and they stop by themselves.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

import structlog

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SHORT_LIVED: Final = 2.0
_SHORT_LIVES: Final = 5
_LOG: Final = structlog.get_logger("adjoin.serve")

Work = Callable[[int, int], None]
"""What a worker does until it is told to stop: it is given its number, and a descriptor that ends with the parent."""


def pass_over(_number: int, _frame: FrameType | None) -> None:
    """Take a signal, and do nothing. Programs that are started do not inherit this, as they would SIG_IGN."""


class Workers:
    """The processes of one service. Make it before there are threads or an event loop: it forks."""

    def __init__(self, count: int, work: Work) -> None:
        self._count = count
        self._work = work
        self._leash, self._held = os.pipe()
        self._running: dict[int, tuple[int, float]] = {}
        self._stopping = False
        self._short_lives = 0

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; gives the exit code: 0 if all ended in order."""
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._stop)
        signal.signal(signal.SIGHUP, self._pass_on)
        for worker in range(self._count):
            self._start(worker)
        code = 0
        while self._running:
            pid, status = os.wait()
            number, started = self._running.pop(pid)
            ended = os.waitstatus_to_exitcode(status)
            if self._stopping:
                code = code or (0 if ended == -signal.SIGTERM else abs(ended))
            elif not self._again(number, started, ended):
                code = 1
        return code

    def _start(self, number: int) -> None:
        # A signal that comes meanwhile waits: it reaches the child as its own, and the parent when it knows the child.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid:
            self._running[pid] = (number, time.monotonic())
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            return
        for each in _SIGNALS:
            signal.signal(each, pass_over if each == signal.SIGHUP else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(self._held)
        code = 1
        try:
            self._work(number, self._leash)
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # What the parent has registered for its own end is not the child's to run.
            os._exit(code)

    def _again(self, number: int, started: float, ended: int) -> bool:
        """Put another in the place of a worker that ended by itself, unless that goes on and on."""
        _LOG.error("worker ended", worker=number, code=ended)
        self._short_lives = self._short_lives + 1 if time.monotonic() - started < _SHORT_LIVED else 0
        if self._short_lives >= _SHORT_LIVES:
            _LOG.error("workers end as soon as they start; giving up")
            self._stop(signal.SIGTERM, None)
            return False
        self._start(number)
        return True

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True
        self._tell(signal.SIGTERM)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._tell(signal.Signals(number))

    def _tell(self, what: signal.Signals) -> None:
        for pid in list(self._running):
            os.kill(pid, what)
