"""`adjoin connector`, on a connector's machine: enrol it, run it, ask how it does, and let it leave."""

from __future__ import annotations

import asyncio
import json as json_text
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from adjoin import __version__
from adjoin.cli import supervisor
from adjoin.cli.options import Json
from adjoin.cli.output import print_json, print_line
from adjoin.cli.words import check_text
from adjoin.connector import keys, metrics, settings
from adjoin.connector.api import REMOVED, Service, seconds_of
from adjoin.connector.faults import Fault, Refused, Unreachable, Unusable
from adjoin.connector.loop import Connector
from adjoin.odata.errors import Refusal

FOR_GOOD: Final = 78
"""The exit status when somebody has to do something first (EX_CONFIG); a supervisor need not start it again."""

LONGEST_NAME: Final = 255
"""The longest name that a server takes."""

File = Annotated[
    Path, typer.Option("--config", metavar="FILE", envvar="ADJOIN_CONNECTOR_CONFIG", help="The connector's one file.")
]


class ConnectorRefusal(Refusal):
    """What a connector's command could not do; the words are its fault's."""


def version() -> str:
    """This program's version as connectors tell it: four numbers."""
    numbers = [part for part in __version__.split(".") if part.isdecimal()]
    return ".".join([*numbers, "0", "0", "0", "0"][:4])


def enroll(
    server: Annotated[
        list[str], typer.Option("--server", metavar="URL", help="The server; repeated: further ones, in their order.")
    ],
    code: Annotated[str, typer.Option("--code", metavar="CODE", help="What `adjoin connector invite` printed.")],
    ca: Annotated[
        Path | None, typer.Option("--ca", metavar="PEM", help="The authority to believe. [default: this machine's]")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What to be called. [default: the host name]")
    ] = None,
    config: File = settings.DEFAULT,
    json: Json = False,
) -> None:
    """Make this machine a connector: its key is made here, and never leaves."""
    if not keys.is_code(code):
        raise ConnectorRefusal(
            "That is no invitation code: it has 32 letters and digits, as `adjoin connector invite` prints."
        )
    called = _own_name() if name is None else check_text(name, "--name", LONGEST_NAME)
    made = _carried_out(lambda: _enrolled(tuple(server), code, ca, called, config))
    if json:
        print_json(made)
    else:
        print_line(f"{made['name']} is connector {made['connector']}. Start it with `adjoin connector run`.")


def _own_name() -> str:
    """The machine's full name where it knows one."""
    full = socket.getfqdn()
    return full if "." in full and not full.startswith("localhost") else socket.gethostname()


def _enrolled(servers: tuple[str, ...], code: str, ca: Path | None, name: str, config: Path) -> dict[str, Any]:
    for each in servers:
        settings.check_server(each)
    with settings.claimed(config):
        if config.exists():
            raise Unusable(
                f"This machine is a connector already: there is {config}. To enrol it anew, let it `adjoin connector "
                "leave` first."
            )
        key, authority = _kept_key(config), str(ca.resolve()) if ca else ""
        said = asyncio.run(_asked(servers, authority, code, name, key))
        held = settings.Settings(
            servers=servers,
            tenant=str(said["tenant"]),
            connector=str(said["connector"]),
            name=name,
            token_path=str(said["tokenPath"]),
            audience=str(said["audience"]),
            scope=str(said["scope"]),
            key=key,
            key_expires=seconds_of(said["keyExpires"]),
            renew_key_after=seconds_of(said["renewKeyAfter"]),
            ca=authority,
        )
        settings.save(config, held)
        settings.beside(config, "key").unlink(missing_ok=True)
    return {"connector": held.connector, "tenant": held.tenant, "name": name, "config": str(config)}


async def _asked(servers: tuple[str, ...], ca: str, code: str, name: str, key: str) -> dict[str, Any]:
    async with Service(servers, ca) as service:
        return await service.enrol(code, name, version(), key)


def _kept_key(config: Path) -> str:
    """The key of an attempt whose answer was lost, or a new one, on disk before it is used: the code knows it by it."""
    file = settings.beside(config, "key")
    with suppress(OSError, UnicodeDecodeError, keys.BadKey):
        found = file.read_text("ascii")
        keys.thumbprint(found)
        return found
    key = keys.new_key()
    settings.write(file, key)
    return key


def run(
    config: File = settings.DEFAULT,
    once: Annotated[bool, typer.Option("--once", help="Check in once, and end.")] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port", metavar="PORT", min=0, max=65_535, help="Serve /metrics on this machine. [default: no]"
        ),
    ] = None,
) -> None:
    """Be a connector until SIGINT or SIGTERM: check in, and wait for work."""
    try:
        settings.load(config)  # where nobody enrolled, no lock is made either
        with settings.claimed(config):
            asyncio.run(_run(config, once, metrics_port))
    except Fault as fault:
        sys.stderr.write(f"adjoin: {fault.message}\n")
        raise typer.Exit(1 if isinstance(fault, Unreachable) else FOR_GOOD) from None


async def _run(config: Path, once: bool, metrics_port: int | None) -> None:
    held = settings.load(config)
    async with Service(held.servers, held.ca) as service:
        connector = Connector(config, service, version(), _log)
        if once:
            answer = await connector.once()
            print_line(f"{held.name}: {answer.state}{''.join(f'; {each}' for each in answer.reasons)}")
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop, connector)
        port = held.metrics_port if metrics_port is None else metrics_port
        async with metrics.served(port, connector.status):
            _log("info", f"{held.name} is connector {held.connector}, version {version()}.")
            supervisor.tell(supervisor.READY)
            lives = loop.create_task(supervisor.live())
            await connector.run()
            lives.cancel()
            _log("info", "Stopped.")


def _stop(connector: Connector) -> None:
    supervisor.tell(supervisor.STOPPING)
    connector.stop()


def _log(level: str, sentence: str) -> None:
    """One line for the journal, which puts the time to it."""
    sys.stderr.write(f"{level}: {sentence}\n" if level != "info" else f"{sentence}\n")
    sys.stderr.flush()


def status(config: File = settings.DEFAULT, json: Json = False) -> None:
    """Print how this machine's connector does. The exit status is 0 where it runs and the server shows it as active."""
    held = _carried_out(lambda: settings.load(config))
    found = _noted(config)
    runs = _carried_out(lambda: settings.acts(config))
    shown: dict[str, Any] = {
        "connector": held.connector,
        "name": held.name,
        "servers": held.servers,
        "runs": runs,
        **found,
    }
    if json:
        print_json(shown)
    else:
        for member, value in shown.items():
            print_line(f"{member:<16} {_words(value)}")
    if not runs or found.get("state") != "active" or found.get("fault"):
        raise typer.Exit(1)


def _noted(config: Path) -> dict[str, Any]:
    try:
        found = json_text.loads(settings.beside(config, "status").read_text("utf-8"))
    except (OSError, ValueError):
        return {"state": "unknown"}
    last = found.get("last_check_in")
    found["last_check_in"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(last)) if last else None
    return {name: value for name, value in found.items() if value not in ("", [])}


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else "-" if value is None else str(value)


def leave(
    config: File = settings.DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Forget the key even if the server cannot be told.")] = False,
) -> None:
    """Remove this machine's connector from the server, and its file from here."""
    _carried_out(lambda: _left(config, force))


def _left(config: Path, force: bool) -> None:
    settings.load(config)  # as `run` does
    with settings.claimed(config):
        held = settings.load(config)
        try:
            asyncio.run(_told(held))
        except Refused as fault:
            # Nothing is left there to be removed, or not by this key: what is here is of no use any more.
            told = "The server had removed it already." if fault.message == REMOVED else fault.message
            sys.stderr.write(f"adjoin: {told}\n")
        except Unreachable as fault:
            if not force:
                raise Unreachable(f"{fault.message} Nothing was removed here; --force does it anyway.") from None
        settings.forget(config)
        print_line(f"{held.name} is no connector any more.")


async def _told(held: settings.Settings) -> None:
    async with Service(held.servers, held.ca) as service:
        await service.leave(held)


def _carried_out(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except Fault as fault:
        raise ConnectorRefusal(fault.message) from None
