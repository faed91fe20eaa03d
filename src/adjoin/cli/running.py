"""The running service: from its settings to an orderly stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
import typer
from msgspec.structs import replace

from adjoin import __version__
from adjoin.cli import logs, supervisor
from adjoin.cli.options import run
from adjoin.cli.output import Unprinted, let_go, print_line
from adjoin.cli.workers import Tie, Workers, pass_over
from adjoin.config import Config
from adjoin.odata.tokens import words
from adjoin.store.address import shown
from adjoin.store.database import StoreRefusal

if TYPE_CHECKING:
    from adjoin.cli.listener import Listener
    from adjoin.service.installation import Installation
    from adjoin.service.world import World
    from adjoin.store.database import Session
    from adjoin.web.app import Application

_BODY: Final = (
    '{"@odata.type": "#microsoft.graph.deviceManagementDomainJoinConnector", "displayName": "Display Name value", '
    '"lastConnectionDateTime": "2016-12-31T23:58:36.6670033-08:00", "state": "error", "version": "Version value"}'
)


def start(loaded: Config, quiet: bool) -> None:
    """Run the service until SIGINT or SIGTERM; `quiet` leaves out the greeting. Raises what keeps it from starting."""
    # What it asks for is done at the start anyway, but it would end a process that does not listen yet.
    signal.signal(signal.SIGHUP, pass_over)
    logs.configure(loaded.log_level, loaded.log_format)
    from adjoin.cli.listener import claim_address  # noqa: PLC0415 - loading it takes long, and SIGHUP may come meanwhile

    loaded = replace(loaded, port=claim_address(loaded.host, loaded.port))
    if loaded.workers > 1:
        run(
            loaded, _nothing, making=True
        )  # what keeps it from starting is said once, and what a first start makes is made once
        raise typer.Exit(Workers(loaded.workers, lambda tie: _work(loaded, quiet or tie.number > 0, tie)).run())
    _work(loaded, quiet)


async def _nothing(_: Installation, __: World) -> None:
    pass


def _work(loaded: Config, quiet: bool, tie: Tie | None = None) -> None:
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(loaded, quiet, tie))


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - there is none on some platforms
    except ImportError:
        return None
    return uvloop.Loop


async def _serve(loaded: Config, quiet: bool, tie: Tie | None) -> None:
    from adjoin.cli.listener import Listener, look_of  # noqa: PLC0415 - see start
    from adjoin.web.app import create  # noqa: PLC0415 - see start

    application = create(loaded)
    await application.open()
    try:
        await compare_clocks(application.installation.database.reader)
        await _listen(Listener(application, loaded, look_of(loaded, time.time)), application, loaded, quiet, tie)
    finally:
        await application.close()
    structlog.get_logger("adjoin.serve").info("stopped")


async def compare_clocks(session: Session) -> None:
    """Say so if ours is not that of the server, which other nodes go by as well."""
    if session.embedded:
        return
    from adjoin.store.health import APART, ahead, clock_says  # noqa: PLC0415 - not needed with SQLite

    with contextlib.suppress(StoreRefusal):
        if abs(seconds := await ahead(session, time.time)) > APART:
            structlog.get_logger("adjoin.serve").warning("clock is off", reason=clock_says(seconds))


async def _listen(listener: Listener, application: Application, loaded: Config, quiet: bool, tie: Tie | None) -> None:
    log = structlog.get_logger("adjoin.serve")
    loop = asyncio.get_running_loop()

    def stop() -> None:
        log.info("stopping")
        supervisor.tell(supervisor.STOPPING)
        if tie is not None:
            loop.remove_reader(tie.leash)
        listener.stop()
        application.release()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, listener.look_now)
    if tie is not None:
        loop.add_reader(tie.leash, stop)
    running = loop.create_task(listener.run())
    lives = loop.create_task(supervisor.live())
    if await listener.listening():
        supervisor.tell(supervisor.READY)
        if tie is not None:
            tie.serves()
        log.info("listening", version=__version__, url=_url(loaded))
        if not quiet:
            # Whoever reads it may be gone.
            with contextlib.suppress(OSError, Unprinted):
                print_line(_greeting(loaded))
                let_go()
        # Once the first callers have been served, and before the first $filter.
        loop.call_later(1.0, lambda: loop.run_in_executor(None, words).add_done_callback(_settle))
    await running
    lives.cancel()


def _settle(_: object) -> None:
    """Tell the collector that what is there now is there to stay: else it looks through all of it, now and then."""
    gc.collect()
    gc.freeze()


def _url(loaded: Config) -> str:
    host = f"[{loaded.host}]" if ":" in loaded.host else loaded.host
    return loaded.public_url or f"{loaded.scheme}://{host}:{loaded.port}"


def _greeting(loaded: Config) -> str:
    """The URL, and the published create call ready to be pasted. It fetches its token itself: none is printed."""
    program = Path(sys.argv[0]).resolve()
    start = [sys.executable, "-m", "adjoin"] if program.suffix == ".py" else [str(program)]
    words = [*start, "token", "--data-dir", str(loaded.data_dir.resolve())]
    if loaded.database_url is not None:
        # A password is not printed: it is left to the environment, or to ~/.pgpass.
        words += ["--database", shown(loaded.database_url)]
    elif loaded.database is not None:
        words += ["--database", str(loaded.database_file.resolve())]
    if loaded.cloud != "global":
        words += ["--cloud", loaded.cloud]
    command = shlex.join(words)
    # Our own authority is nobody's but who is given its certificate.
    own = loaded.tls and loaded.tls_cert is None
    trusting = f"--cacert {shlex.quote(str(_authority(loaded)))} " if own else ""
    url = _url(loaded)
    return f"""adjoin {__version__} on {url}

Create a connector:

curl -i {trusting}{shlex.quote(url + "/beta/deviceManagement/domainJoinConnectors")} \\
  -H "Authorization: Bearer $({command})" \\
  -H 'Content-Type: application/json' \\
  -d '{_BODY}'
"""


def _authority(loaded: Config) -> Path:
    from adjoin.identity.certificates import CA_FILE  # noqa: PLC0415 - not needed to serve plain http

    return (loaded.tls_dir / CA_FILE).resolve()
