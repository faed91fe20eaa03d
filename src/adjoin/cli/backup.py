"""`adjoin backup` and `adjoin restore`: an installation into one file, while it runs, and back from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adjoin.cli.options import Database, DataDir, Json, Settings, load
from adjoin.cli.output import print_json, print_line
from adjoin.config import BadConfig, Config
from adjoin.service import backup as backing_up
from adjoin.service import restore as restoring
from adjoin.service.backup import Parts
from adjoin.service.world import World

Written = Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.", show_default=False)]
Read = Annotated[Path, typer.Argument(metavar="FILE", help="A file that `adjoin backup` wrote.", show_default=False)]


def backup(
    file: Written,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    json: Json = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Write the database, the signing keys and the certificates into one file; the service may run meanwhile.

    The file holds secrets: whoever has it can sign tokens of this installation. It is readable for its owner alone;
    keep it so, and encrypt it where it leaves the machine.
    """
    loaded = load(config, data_dir=data_dir, database=database)
    manifest = backing_up.back_up(_parts(loaded), file, World().timestamp(), replace=force)
    size = file.stat().st_size
    if json:
        names = [each.name for each in manifest.files]
        print_json(
            {"file": str(file), "bytes": size, "created": manifest.created, "schema": manifest.schema, "files": names}
        )
        return
    print_line(f"{file}: {_size(size)}, {len(manifest.files)} files, verified. It holds secrets; keep it safe.")


def restore(
    file: Read,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the installation that is there, and keep it aside.")
    ] = False,
    json: Json = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Put a backup in place, once all of it is unpacked and verified. The service must not run meanwhile.

    What has been done since the backup is undone, revocations and removals too: tokens and sign-ins that were ended
    since are good again.
    """
    loaded = load(config, data_dir=data_dir, database=database)
    now = World().timestamp()
    restored = restoring.restore(_parts(loaded), file, now.replace("-", "").replace(":", ""), replace=force)
    kept = [str(each) for each in restored.aside]
    if json:
        made = {"created": restored.manifest.created, "schema": restored.manifest.schema}
        print_json({"data_dir": str(loaded.data_dir), "database": str(loaded.database_file), **made, "kept": kept})
        return
    print_line(f"The backup of {restored.manifest.created} is in place in {loaded.data_dir}.")
    for each in kept:
        print_line(f"What was there before is kept as {each}.")


def _parts(loaded: Config) -> Parts:
    if loaded.database_url is not None:
        raise BadConfig("The database is on a PostgreSQL server: back it up there, with pg_dump (docs/operations.md).")
    return Parts(loaded.data_dir, loaded.database_file, loaded.keys_dir, loaded.tls_dir)


def _size(count: int) -> str:
    return f"{count / (1024 * 1024):.1f} MiB"
