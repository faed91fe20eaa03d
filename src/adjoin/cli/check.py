"""`adjoin check`: is this installation healthy? Each finding is one line; any fault is exit code 1."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography import x509

from adjoin.cli.options import Database, DataDir, Json, Settings, load, run
from adjoin.cli.output import print_json, print_line
from adjoin.config import Config
from adjoin.identity.certificates import AUTHORITY_FILE, CA_FILE, SERVER_FILE
from adjoin.identity.folder import FileBroken, opened
from adjoin.odata.errors import Refusal
from adjoin.service.installation import Installation
from adjoin.service.restore import draft_of
from adjoin.service.world import World
from adjoin.store import counts, tenants, text_index, texts
from adjoin.store.database import Session
from adjoin.store.health import signs
from adjoin.store.statements import Everywhere

_LOW_SPACE: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    healthy: bool
    says: str


Full = Annotated[
    bool,
    typer.Option(
        "--full",
        help="Hold kept counts and indexes (PostgreSQL: the text index) against their rows, too; takes longer.",
    ),
]
Recount = Annotated[bool, typer.Option("--recount", help="Count connectors anew first; writes wait meanwhile.")]


def check(
    full: Full = False,
    recount: Recount = False,
    json: Json = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Look at the data directory, the database, the keys and the tenants, and say what is wrong."""
    loaded = load(config, data_dir=data_dir, database=database)
    findings, disk = _looked_at("data directory", _files, loaded), _looked_at("disk", _disk, loaded)
    if all(each.healthy for each in findings):
        try:
            if recount:
                run(loaded, _recount)
            inside = _inside if loaded.database_url is None else _inside_postgresql
            findings += run(loaded, partial(inside, full))
            if recount and not full:
                findings.append(run(loaded, _recounted))
        except Refusal as refusal:
            findings.append(Finding("installation", False, refusal.message))
    findings += disk + _looked_at("certificates", _certificates, loaded) + _looked_at("drafts", _drafts, loaded)
    healthy = all(each.healthy for each in findings)
    if json:
        print_json({"healthy": healthy, "findings": [asdict(each) for each in findings]})
    else:
        for each in findings:
            print_line(f"{'ok   ' if each.healthy else 'FAULT'}  {each.what}: {each.says}")
    if not healthy:
        raise typer.Exit(1)


def _looked_at(what: str, look: Callable[[Config], list[Finding]], loaded: Config) -> list[Finding]:
    """What `look` finds; what may not be looked at is a finding, too."""
    try:
        return look(loaded)
    except Refusal as refusal:
        return [Finding(what, False, refusal.message)]
    except OSError as error:
        return [Finding(what, False, f"{error.filename} cannot be looked at: {error.strerror}")]


def _files(loaded: Config) -> list[Finding]:
    if loaded.data_dir.exists() and not loaded.data_dir.is_dir():
        return [Finding("data directory", False, f"{loaded.data_dir} is no directory")]
    if not loaded.data_dir.is_dir():
        says = f"{loaded.data_dir} is not there; `adjoin serve` makes it at the first start"
        return [Finding("data directory", False, says)]
    found = [_private(loaded.data_dir, "data directory")]
    if loaded.database_url is not None:
        return found  # its files are on its server
    if loaded.database_file.exists():
        found.append(_private(loaded.database_file, "database file"))
        found += _beside(loaded.database_file)
    else:
        found.append(Finding("database file", False, f"{loaded.database_file} is not there"))
    return found


def _certificates(loaded: Config) -> list[Finding]:
    """The folder of our own authority, if it is there: what is wrong with it keeps https and backups from working."""
    if not loaded.tls_dir.exists():
        return []
    with opened(loaded.tls_dir) as folder:
        for name in sorted(os.listdir(folder.handle)):
            data = None if name.startswith(".") else folder.read(name, public=name == CA_FILE)
            if data is not None and name in (CA_FILE, AUTHORITY_FILE, SERVER_FILE):
                _check_pem(folder.path / name, data)
    return [Finding("certificates", True, f"the files in {loaded.tls_dir} are as they should be")]


def _check_pem(file: Path, data: bytes) -> None:
    try:
        x509.load_pem_x509_certificates(data)
    except ValueError:
        raise FileBroken(file, "it is torn, or holds no certificates in PEM form") from None


def _drafts(loaded: Config) -> list[Finding]:
    """What a restore that was killed has left, which may hold keys."""
    drafts = [draft_of(each) for each in (loaded.database_file, loaded.keys_dir, loaded.tls_dir)]
    says = "{} was left by a restore that was killed, or is in use by one; if none runs, delete it"
    return [Finding(each.name, False, says.format(each)) for each in drafts if each.exists()]


def _beside(database: Path) -> list[Finding]:
    """SQLite gives the files beside its own the mode that this has, and leaves it to them when this gets another."""
    beside = [database.with_name(database.name + suffix) for suffix in ("-wal", "-shm")]
    closed = [each for each in beside if each.exists() and not each.stat().st_mode & stat.S_IWUSR]
    return [Finding(each.name, False, f"{each} cannot be written; chmod u+w {each}") for each in closed]


def _disk(loaded: Config) -> list[Finding]:
    """Room where the database is; nothing where nothing is."""
    folder = loaded.database_file.parent
    if not folder.is_dir():
        return []
    free = shutil.disk_usage(folder).free
    return [Finding("disk", free >= _LOW_SPACE, f"{free // (1024 * 1024)} MiB free")]


def _private(path: Path, what: str) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Finding(what, False, f"{path} can be read by others (mode {mode:04o}); chmod go= {path}")
    return Finding(what, True, f"{path} is private (mode {mode:04o})")


async def _recount(installation: Installation, _: World) -> None:
    await installation.database.write(counts.recount)


async def _recounted(installation: Installation, _: World) -> Finding:
    return await _counts(installation.database.reader)


async def _inside(full: bool, installation: Installation, world: World) -> list[Finding]:
    found = [await _database(installation.database.reader, full)]
    return [*found, *await _also_inside(full, installation, world)]


async def _inside_postgresql(full: bool, installation: Installation, world: World) -> list[Finding]:
    found = [
        Finding(each.what, each.healthy, each.says) for each in await signs(installation.database.reader, world.now)
    ]
    return [*found, *await _also_inside(full, installation, world)]


async def _also_inside(full: bool, installation: Installation, world: World) -> list[Finding]:
    found = [await _writing(installation)]
    if full:
        found.append(await _counts(installation.database.reader))
    if full and await text_index.state(installation.database.reader) != text_index.OFF:
        whole = await texts.sound(installation.database.reader)
        says = "whole" if whole else "damaged; make it anew: adjoin text-index off, then adjoin text-index on"
        found.append(Finding("text index", whole, says))
    return [*found, *await _contents(installation, world)]


async def _counts(reader: Session) -> Finding:
    """What keeps the counts can be passed by: by a copy that runs no triggers, for one."""
    if wrong := await counts.wrong(reader):
        return Finding("counts", False, f"{wrong} are not those of the rows; put them right: adjoin check --recount")
    return Finding("counts", True, "those of the rows")


async def _contents(installation: Installation, world: World) -> list[Finding]:
    reader = installation.database.reader
    every = await tenants.every(reader)
    licensed = sum(each.licensed(world.now()) for each in every)
    keys = len(installation.ring.verification)
    return [
        Finding("signing keys", keys > 0, f"{keys} in use"),
        Finding("tenants", licensed > 0, f"{len(every)}, {licensed} with an active licence"),
    ]


async def _database(reader: Session, full: bool) -> Finding:
    """Pages and rows, and with `full` the indexes; then that every reference leads somewhere."""
    ((verdict,), *_more) = await reader.fetch("PRAGMA integrity_check(1)" if full else "PRAGMA quick_check(1)")
    if verdict == "ok" and (orphans := await reader.fetch("PRAGMA foreign_key_check")):
        verdict = f"{len(orphans)} rows refer to what is not there, the first in {orphans[0][0]}"
    return Finding("database", verdict == "ok", "sound and up to date" if verdict == "ok" else str(verdict))


async def _writing(installation: Installation) -> Finding:
    """Whether a change would be taken: a file or a disk can be for reading alone."""

    async def change_nothing(session: Session) -> None:
        # A statement that could: SQLite begins and ends a transaction on a file that it may not write.
        await session.fetch(Everywhere("UPDATE settings SET value = value WHERE name = ''"))

    try:
        await installation.database.write(change_nothing)
    except Refusal as refusal:
        return Finding("writing", False, refusal.message)
    return Finding("writing", True, "the database takes changes")
