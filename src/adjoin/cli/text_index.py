"""`adjoin text-index`: the switch of the index that answers `contains` and `$search`, whether a server runs or not."""

from __future__ import annotations

import sys

import typer

from adjoin.cli.options import Database, DataDir, Json, Settings, load, run
from adjoin.cli.output import print_json, print_line
from adjoin.service.installation import Installation
from adjoin.service.world import World
from adjoin.store import texts
from adjoin.store.text_index import BUILDING, OFF, Status

group = typer.Typer(
    help="The text index: contains, endswith and $search without looking at every row.", no_args_is_help=True
)


@group.command("on")
def on(data_dir: DataDir = None, database: Database = None, config: Settings = None) -> None:
    """Make the index; the server goes on meanwhile. Creates cost more from now on, and the file grows.

    If it is interrupted, run it again: it goes on.
    """

    async def act(installation: Installation, _: World) -> Status:
        await texts.switch_on(installation.database, _told)
        return await texts.status(installation.database.reader)

    _print(run(load(config, data_dir=data_dir, database=database), act))


@group.command("off")
def off(data_dir: DataDir = None, database: Database = None, config: Settings = None) -> None:
    """Drop the index; the room it took is used for other rows."""

    async def act(installation: Installation, _: World) -> Status:
        await texts.switch_off(installation.database)
        return await texts.status(installation.database.reader)

    _print(run(load(config, data_dir=data_dir, database=database), act))


@group.command("status")
def status(json: Json = False, data_dir: DataDir = None, database: Database = None, config: Settings = None) -> None:
    """Print whether the index is on, how many connectors it holds, and how many wait to be put in."""

    async def act(installation: Installation, _: World) -> Status:
        return await texts.status(installation.database.reader)

    found = run(load(config, data_dir=data_dir, database=database), act)
    if json:
        print_json({"state": found.state.decode(), "rows": found.rows, "waiting": found.waiting})
    else:
        _print(found)


def _told(done: int) -> None:
    """How far it has come, for people who wait."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done} connectors")
        sys.stderr.flush()


def _print(found: Status) -> None:
    if found.state == OFF:
        print_line("The text index is off.")
        return
    begun = "is being made; `adjoin text-index on` goes on with it" if found.state == BUILDING else "is on"
    print_line(f"The text index {begun}: {found.rows} connectors in it, {found.waiting} wait to be put in.")
