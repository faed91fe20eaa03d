"""The archive of a backup: what is not exactly what was written is refused, whatever it is."""

from __future__ import annotations

import contextlib
import io
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjoin.service import archive
from adjoin.service.archive import BadArchive, Manifest

FILES = {"adjoin.db": b"rows " * 700, "keys/key-000001.pem": b"a key", "tls/ca.pem": b""}


def packed(folder: Path, contents: dict[str, bytes], **changes: Any) -> bytes:
    sources = {}
    for number, (name, content) in enumerate(contents.items()):
        sources[name] = folder / str(number)
        sources[name].write_bytes(content)
    entries = tuple(archive.entry_of(name, path) for name, path in sources.items())
    output = io.BytesIO()
    said = {"format": 1, "adjoin": "1", "created": "now", "schema": "1", "files": entries, **changes}
    archive.write(output, Manifest(**said), sources)
    return output.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    """What comes out of an archive; everything that was written is looked at, wherever it went."""
    with tempfile.TemporaryDirectory() as folder:
        root, archived = Path(folder) / "root", Path(folder) / "in.tar"
        for name in ("keys", "tls"):
            (root / name).mkdir(parents=True)
        archived.write_bytes(data)
        archive.read(archived, {each: root / each for each in ("adjoin.db", "keys", "tls")})
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return packed(tmp_path_factory.mktemp("whole"), FILES)


def test_gives_back_what_was_written(whole: bytes) -> None:
    assert unpacked(whole) == FILES


def test_keeps_times(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "in.tar").write_bytes(whole)
    for name in ("keys", "tls"):
        (tmp_path / name).mkdir()
    place = {each: tmp_path / each for each in ("adjoin.db", "keys", "tls")}
    manifest = archive.read(tmp_path / "in.tar", place)
    assert (tmp_path / "adjoin.db").stat().st_mtime == pytest.approx(manifest.files[0].modified)


@given(at=st.integers(0, 11_000))
def test_torn_anywhere_is_refused(whole: bytes, at: int) -> None:
    # Behind its files an archive has nothing but blocks of zeros.
    if len(whole[at:].rstrip(b"\0")):
        with pytest.raises(BadArchive):
            unpacked(whole[:at])


@given(at=st.integers(0, 11_000), byte=st.integers(1, 255))
def test_a_changed_byte_never_changes_what_is_unpacked(whole: bytes, at: int, byte: int) -> None:
    at %= len(whole)
    changed = whole[:at] + bytes([whole[at] ^ byte]) + whole[at + 1 :]
    with contextlib.suppress(BadArchive):
        assert unpacked(changed) == FILES


@given(st.binary(max_size=3_000))
def test_any_other_file_is_refused(data: bytes) -> None:
    with pytest.raises(BadArchive):
        unpacked(data)


def _with(whole: bytes, change: Callable[[tarfile.TarFile], None]) -> bytes:
    output = io.BytesIO(whole)
    with tarfile.open(fileobj=output, mode="a") as opened:
        change(opened)
    return output.getvalue()


def test_more_than_the_manifest_says_is_refused(whole: bytes) -> None:
    with pytest.raises(BadArchive, match="more than its manifest says"):
        unpacked(_with(whole, lambda opened: opened.addfile(tarfile.TarInfo("keys/other.pem"))))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_what_is_no_plain_file_is_refused(whole: bytes, kind: bytes) -> None:
    member = tarfile.TarInfo("keys/link")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(BadArchive, match="no plain file"):
        unpacked(_with(whole, lambda opened: opened.addfile(member)))


@pytest.mark.parametrize(
    "name", ["../adjoin.db", "keys/../../x", "/etc/cron.d/x", "keys/a/b", "keys/.hidden", "var/x", "tls/", "keys/x\n"]
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadArchive, match="none of a backup"):
        unpacked(packed(tmp_path, {**FILES, name: b"x"}))


@pytest.mark.parametrize("missing", ["adjoin.db", "keys/key-000001.pem"])
def test_half_a_backup_is_refused(tmp_path: Path, missing: str) -> None:
    with pytest.raises(BadArchive, match="lacks the database or the signing keys"):
        unpacked(packed(tmp_path, {name: content for name, content in FILES.items() if name != missing}))


def test_a_name_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0").write_bytes(FILES["adjoin.db"])
    entry = archive.entry_of("adjoin.db", tmp_path / "0")
    with pytest.raises(BadArchive, match="none of a backup"):
        unpacked(packed(tmp_path, FILES, files=(entry, entry)))


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="format 2, which this version does not know"):
        unpacked(packed(tmp_path, FILES, format=2))


@pytest.mark.parametrize("text", [b"{}", b"[]", b'{"format": "1"}', b"\xff", msgspec.json.encode({"format": 1})])
def test_a_manifest_that_is_none_is_refused(text: bytes) -> None:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as opened:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(text)
        opened.addfile(member, io.BytesIO(text))
    with pytest.raises(BadArchive, match="manifest cannot be read"):
        unpacked(output.getvalue())
