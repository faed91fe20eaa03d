"""`adjoin key`: the keys that the built-in issuer signs tokens with. A server that runs notices within a second."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from adjoin.cli.options import Database, DataDir, Json, Settings, load, run
from adjoin.cli.output import print_json, print_line, print_listed
from adjoin.identity.keys import KeyRing, add_key, open_ring, remove_key
from adjoin.odata.errors import Refusal
from adjoin.service.installation import Installation
from adjoin.service.world import World

group = typer.Typer(help="Signing keys of the built-in token service.", no_args_is_help=True)


class NoSuchKey(Refusal):
    """The installation has no such key."""


@group.command("rotate")
def rotate(json: Json = False, data_dir: DataDir = None, database: Database = None, config: Settings = None) -> None:
    """Make a new key, which signs from now on. The older ones verify until their tokens have ended."""
    loaded = load(config, data_dir=data_dir, database=database)

    async def act(installation: Installation, world: World) -> KeyRing:
        return await installation.change_keys(lambda folder: add_key(folder, world.now()))

    kid = run(loaded, act).signing.kid
    if json:
        print_json({"kid": kid})
    else:
        print_line(kid)


@group.command("list")
def list_(json: Json = False, data_dir: DataDir = None, database: Database = None, config: Settings = None) -> None:
    """Print the keys, newest first, with what each is for and when it is no longer needed."""
    loaded = load(config, data_dir=data_dir, database=database)

    async def act(_: Installation, world: World) -> list[dict[str, object]]:
        return _described(open_ring(loaded.keys_dir, world.now()), world.now())

    found = run(loaded, act)
    print_listed(("kid", "use", "created", "verifies_until"), found, json)


# A key id may begin with a hyphen, and hold an h.
@group.command("retire", context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
def retire(
    kid: Annotated[str, typer.Argument(metavar="KID", help="A key, as `adjoin key list` shows it.")],
    now: Annotated[
        bool, typer.Option("--now", help="Refuse its tokens from now on, although some are in date.")
    ] = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Remove a key that is no longer needed; with --now, one that has become known to others."""
    loaded = load(config, data_dir=data_dir, database=database)

    async def act(installation: Installation, world: World) -> bool:
        return await installation.change_keys(lambda folder: remove_key(folder, kid, world.now(), at_once=now))

    if not run(loaded, act):
        raise NoSuchKey(f"There is no key '{kid}'; `adjoin key list` shows those there are.")


def _described(ring: KeyRing, now: float) -> list[dict[str, object]]:
    ends = ring.ends()
    return [
        {
            "kid": kid,
            "use": "signs" if kid == ring.signing.kid else "verifies" if now < ends.get(kid, 0) else "ended",
            "created": _time(ring.made[kid]),
            "verifies_until": _time(ends[kid]) if kid in ends else None,
        }
        for kid in ring.verification
    ]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
