"""The key folder: who may read it, what may lie in it, and what happens when two processes make it at once."""

from __future__ import annotations

import base64
import hashlib
import json
import multiprocessing
import os
import stat
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from adjoin.identity.keys import (
    KeyFileBroken,
    KeyFileUnsafe,
    KeyInUse,
    KeyRefusal,
    add_key,
    files,
    open_ring,
    remove_key,
    tried,
)

FIRST: Final = "key-000001.pem"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def made(folder: Path) -> Path:
    """A folder with its first key."""
    open_ring(folder)
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def pem(key: Any, password: bytes | None = None, form: Any = serialization.PrivateFormat.PKCS8) -> bytes:
    hiding = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    data: bytes = key.private_bytes(serialization.Encoding.PEM, form, hiding)
    return data


# --- making and reading


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_folder_and_key_are_the_services_alone(folder: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        open_ring(folder)
    finally:
        os.umask(before)
    assert (mode(folder), mode(folder / FIRST)) == (0o700, 0o600)
    assert os.listdir(folder) == [FIRST]


def test_the_file_is_pkcs8_rsa_2048(made: Path) -> None:
    data = (made / FIRST).read_bytes()
    assert data.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    key = serialization.load_pem_private_key(data, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert (key.key_size, key.public_key().public_numbers().e) == (2048, 65537)


def test_opening_again_gives_the_same_key(made: Path) -> None:
    assert open_ring(made).jwks() == open_ring(made).jwks()
    assert os.listdir(made) == [FIRST]


def test_folders_above_are_made_too(tmp_path: Path) -> None:
    assert open_ring(tmp_path / "var" / "lib" / "keys").signing.kid


def test_kid_is_the_thumbprint(made: Path) -> None:
    """RFC 7638, 3: SHA-256 over the required members, sorted, without spaces."""
    ring = open_ring(made)
    (jwk,) = ring.jwks()["keys"]
    text = json.dumps({"e": jwk["e"], "kty": "RSA", "n": jwk["n"]}, separators=(",", ":"))
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    assert [thumbprint] == list(ring.verification)
    assert ring.signing.kid == jwk["kid"] == thumbprint


def test_jwks_is_as_entra_prints_it_and_holds_nothing_private(made: Path) -> None:
    ring = open_ring(made)
    (jwk,) = ring.jwks()["keys"]
    assert list(jwk) == ["kty", "use", "kid", "n", "e", "alg"]
    assert (jwk["kty"], jwk["use"], jwk["e"], jwk["alg"], len(jwk["n"])) == ("RSA", "sig", "AQAB", "RS256", 342)
    (jwk,) = ring.jwks("https://sts.windows.net/{tenantid}/")["keys"]
    assert jwk["issuer"] == "https://sts.windows.net/{tenantid}/"


def test_a_ring_that_is_shown_holds_no_key(made: Path) -> None:
    ring = open_ring(made)
    shown = f"{ring!r} {ring.signing!r}"
    assert "PRIVATE" not in shown
    assert "RSAKey" not in shown


# --- rotation


def test_the_newest_signs_and_all_verify(made: Path) -> None:
    first = open_ring(made).signing.kid
    ring = add_key(made)
    assert ring.signing.kid != first
    assert list(ring.verification) == [ring.signing.kid, first]
    assert [jwk["kid"] for jwk in ring.jwks()["keys"]] == [ring.signing.kid, first]
    assert sorted(os.listdir(made)) == [FIRST, "key-000002.pem"]


def test_numbers_go_on_after_an_old_key_was_removed(made: Path) -> None:
    newest = add_key(made).signing.kid
    (made / FIRST).unlink()
    ring = add_key(made)
    assert list(ring.verification) == [ring.signing.kid, newest]
    assert sorted(os.listdir(made)) == ["key-000002.pem", "key-000003.pem"]


def test_rotating_an_empty_folder_makes_the_first(folder: Path) -> None:
    add_key(folder)
    assert os.listdir(folder) == [FIRST]


# --- refused


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o610, 0o601, 0o644, 0o777])
def test_a_key_that_others_may_read_is_refused(made: Path, bits: int) -> None:
    (made / FIRST).chmod(bits)
    with pytest.raises(KeyFileUnsafe, match=rf"{FIRST}.*{bits:04o}"):
        open_ring(made)


@pytest.mark.parametrize("bits", [0o750, 0o705, 0o711, 0o722, 0o755, 0o777])
def test_a_folder_that_others_may_enter_is_refused(made: Path, bits: int) -> None:
    made.chmod(bits)
    with pytest.raises(KeyFileUnsafe, match=rf"{made}.*{bits:04o}"):
        open_ring(made)
    made.chmod(0o700)


def test_a_folder_that_is_open_gets_no_key(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(KeyFileUnsafe):
        open_ring(folder)
    assert os.listdir(folder) == []


def _as(user: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)


def test_a_key_of_another_account_is_refused(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = made.stat().st_uid
    _as(owner + 1, monkeypatch)
    if owner == 0:
        assert open_ring(made)  # root's files are anyone's to trust
        return
    with pytest.raises(KeyFileUnsafe, match="another account"):
        open_ring(made)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_given_away(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(made / FIRST, 4242, 4242)
    assert open_ring(made)  # root reads the service's key: `sudo adjoin token`
    _as(4243, monkeypatch)
    with pytest.raises(KeyFileUnsafe, match="4242"):
        open_ring(made)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_key_that_root_makes_belongs_to_the_folders_owner(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 4242, 4243)
    open_ring(folder)
    status = (folder / FIRST).stat()
    assert (status.st_uid, status.st_gid, mode(folder / FIRST)) == (4242, 4243, 0o600)


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:900])


def _writing(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def _symlink(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere.pem")
    path.symlink_to(path.parent.parent / "elsewhere.pem")


def _instead(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


_RSA: Final = rsa.generate_private_key(65537, 2048)
_PUBLIC: Final = _RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


@pytest.mark.parametrize(
    "spoil",
    [
        _torn,
        _writing(b""),
        _writing(b"\0" * 1704),
        _writing(b"not a key\n"),
        _writing(_PUBLIC),
        _writing(pem(_RSA, b"password")),
        _writing(pem(rsa.generate_private_key(65537, 1024))),
        _writing(pem(ec.generate_private_key(ec.SECP256R1()))),
        _symlink,
        _instead(lambda path: path.mkdir(mode=0o700)),
        _instead(lambda path: os.mkfifo(path, 0o600)),
        _instead(lambda path: path.symlink_to("/dev/zero")),
    ],
    ids=[
        *("torn", "empty", "zeros", "words", "public", "encrypted", "short", "elliptic"),
        *("symlink", "folder", "pipe", "device"),
    ],
)
def test_what_is_no_key_is_refused_by_name(made: Path, spoil: Callable[[Path], object]) -> None:
    spoil(made / FIRST)
    with pytest.raises(KeyFileBroken, match=FIRST) as caught:
        open_ring(made)
    assert caught.value.path == made / FIRST
    assert "PRIVATE KEY" not in str(caught.value)


def test_a_key_whose_numbers_do_not_fit_is_refused_each_time(made: Path) -> None:
    """Also where a sound one was read before, which is not looked at as closely again."""
    sound = (made / FIRST).read_bytes()
    key = serialization.load_pem_private_key(sound, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    numbers = key.private_numbers()
    spoilt = rsa.RSAPrivateNumbers(
        p=numbers.p,
        q=numbers.q,
        d=numbers.d + 2,
        dmp1=numbers.dmp1,
        dmq1=numbers.dmq1,
        iqmp=numbers.iqmp,
        public_numbers=numbers.public_numbers,
    ).private_key(unsafe_skip_rsa_key_validation=True)
    for _ in range(2):
        assert open_ring(made)
        (made / FIRST).write_bytes(
            spoilt.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        with pytest.raises(KeyFileBroken):
            open_ring(made)
        (made / FIRST).write_bytes(sound)


def test_a_torn_key_is_refused_although_a_newer_one_is_whole(made: Path) -> None:
    """Tokens signed by it may be about: the operator is to decide, not the service."""
    add_key(made)
    _torn(made / FIRST)
    with pytest.raises(KeyFileBroken, match=FIRST):
        open_ring(made)


@pytest.mark.parametrize(
    "name", ["notes.txt", "key-1.pem", "key-000001.pem~", "key-000001.PEM", "key-0000001.pem", "key-٠٠٠٠٠٢.pem", "tls"]
)
def test_a_foreign_file_is_refused_by_name(made: Path, name: str) -> None:
    (made / name).write_bytes(pem(_RSA))
    (made / name).chmod(0o600)
    with pytest.raises(KeyFileBroken, match="does not belong") as caught:
        open_ring(made)
    assert caught.value.path == made / name


def test_what_a_crash_left_behind_is_passed_over(made: Path) -> None:
    (made / ".zwX3kQ").write_bytes(b"-----BEGIN")
    assert len(open_ring(made).verification) == 1


@pytest.mark.parametrize("make", [lambda path: path.write_text(""), lambda path: path.symlink_to("/nowhere")])
def test_a_file_or_dead_link_in_place_of_the_folder(folder: Path, make: Callable[[Path], object]) -> None:
    make(folder)
    with pytest.raises(KeyFileBroken, match="folder cannot be opened"):
        open_ring(folder)


def test_a_link_in_place_of_the_folder(made: Path, tmp_path: Path) -> None:
    """Whoever can lay a link could lead the service to keys of their own."""
    link = tmp_path / "link"
    link.symlink_to(made)
    with pytest.raises(KeyFileBroken, match="folder cannot be opened"):
        open_ring(link)


def test_a_disk_that_takes_no_links(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(KeyFileBroken, match="cannot be written"):
        open_ring(folder)
    assert os.listdir(folder) == []


def test_every_refusal_of_the_folder_is_one_to_catch() -> None:
    assert {KeyFileUnsafe, KeyFileBroken, KeyInUse} == set(KeyRefusal.__subclasses__())


# --- at once


def _open_many(folder: Path) -> list[str]:
    return list(open_ring(folder).verification)


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    """All race for the folder as well as for the key; several rounds, since a race is lost only now and then."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=context) as pool:
        for number in range(6):
            folder = tmp_path / f"keys-{number}"
            seen = list(pool.map(_open_many, [folder] * 8))
            assert len({tuple(kids) for kids in seen}) == 1
            assert os.listdir(folder) == [FIRST]


def test_the_loser_of_the_race_takes_the_winners_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process finishes between our look into the empty folder and our link."""
    link, winners = os.link, []

    def late(*args: Any, **named: Any) -> None:
        monkeypatch.setattr(os, "link", link)
        winners.append(open_ring(folder).signing.kid)
        link(*args, **named)

    monkeypatch.setattr(os, "link", late)
    assert [open_ring(folder).signing.kid] == winners
    assert os.listdir(folder) == [FIRST]


def test_a_crash_before_the_link_leaves_no_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crash(BaseException):
        pass

    def crash(*_: object, **__: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", crash)
        patch.setattr(os, "unlink", crash)
        with pytest.raises(Crash):
            open_ring(folder)
    assert not [name for name in os.listdir(folder) if not name.startswith(".")]
    assert len(open_ring(folder).verification) == 1


# --- trying a change


def test_a_change_that_is_tried_leaves_the_keys_and_the_folder_as_they_are(made: Path) -> None:
    before, held = open_ring(made), files(made)
    ring, left = tried(made, held, add_key)
    assert ring.signing.kid not in before.verification
    assert [each.name for each in left] == [FIRST, "key-000002.pem"]
    assert left[0] == held[0]
    assert open_ring(made).jwks() == before.jwks()
    assert os.listdir(made) == [FIRST]


def test_a_key_that_cannot_go_is_refused_by_the_folder_that_it_is_in(made: Path) -> None:
    kid = open_ring(made).signing.kid
    with pytest.raises(KeyInUse) as refused:
        tried(made, files(made), lambda folder: remove_key(folder, kid, 0))
    assert refused.value.message.startswith(f"{made}: the key {kid} signs")
    assert os.listdir(made) == [FIRST]


def test_a_disk_on_which_nothing_can_be_tried(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = files(made)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(KeyFileBroken, match=r"cannot be changed \(Read-only file system\)"):
        tried(made, held, add_key)
