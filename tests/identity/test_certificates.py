"""The private certification authority: what it makes, when it renews, and what it refuses. Each by its files alone."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from adjoin.identity import certificates
from adjoin.identity.certificates import AUTHORITY_FILE, CA_FILE, SERVER_FILE, ensure, general_name
from adjoin.identity.folder import FileBroken, FileUnsafe, FolderRefusal

NOW: Final = datetime(2027, 1, 15, 8, tzinfo=UTC)
NAMES: Final = ("localhost", "127.0.0.1", "::1")
DAY: Final = timedelta(days=1)
FILES: Final = (CA_FILE, AUTHORITY_FILE, SERVER_FILE)


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    return tmp_path / "tls"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "tls"
    ensure(path, NAMES, NOW)
    return path


@pytest.fixture
def copied(made: Path, tls: Path) -> Path:
    shutil.copytree(made, tls)
    return tls


def chain(path: Path) -> list[x509.Certificate]:
    data = (path / SERVER_FILE).read_bytes()
    return x509.load_pem_x509_certificates(data[data.index(b"-----BEGIN CERT") :])


def authorities(path: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((path / CA_FILE).read_bytes())


def contents(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.iterdir()}


def verify(trusted: list[x509.Certificate], served: list[x509.Certificate], now: datetime, name: str) -> None:
    """As a client does: webpki's rules, as the cryptography package has them."""
    general = general_name(name)
    assert isinstance(general, x509.DNSName | x509.IPAddress)
    builder = PolicyBuilder().store(Store(trusted)).time(now)
    builder.build_server_verifier(general).verify(served[0], served[1:])


class TestMade:
    def test_modes(self, made: Path) -> None:
        found = {each.name: stat.S_IMODE(each.stat().st_mode) for each in made.iterdir()}
        assert found == {CA_FILE: 0o644, AUTHORITY_FILE: 0o600, SERVER_FILE: 0o600}
        assert stat.S_IMODE(made.stat().st_mode) == 0o700

    def test_modes_do_not_depend_on_the_umask(self, tls: Path) -> None:
        before = os.umask(0o277)
        try:
            ensure(tls, NAMES, NOW)
        finally:
            os.umask(before)
        assert [stat.S_IMODE((tls / name).stat().st_mode) for name in FILES] == [0o644, 0o600, 0o600]

    def test_no_key_is_in_what_clients_are_given(self, made: Path) -> None:
        assert b"KEY" not in (made / CA_FILE).read_bytes()

    @pytest.mark.parametrize("name", NAMES)
    def test_clients_verify_it(self, made: Path, name: str) -> None:
        verify(authorities(made), chain(made), NOW, name)

    @pytest.mark.parametrize("name", ["example.org", "127.0.0.2", "xlocalhost"])
    def test_for_no_other_name(self, made: Path, name: str) -> None:
        with pytest.raises(VerificationError):
            verify(authorities(made), chain(made), NOW, name)

    @pytest.mark.parametrize("strict", [0, ssl.VERIFY_X509_STRICT])
    def test_openssl_loads_it(self, made: Path, strict: int) -> None:
        client = ssl.create_default_context(cafile=str(made / CA_FILE))
        client.verify_flags |= strict
        assert len(client.get_ca_certs()) == 1
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(made / SERVER_FILE)

    def test_lifetimes(self, made: Path) -> None:
        (authority,), (leaf,) = authorities(made), chain(made)
        assert authority.not_valid_after_utc - NOW == timedelta(days=3_652)
        assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(days=397)
        assert leaf.not_valid_before_utc < NOW

    def test_curves_and_uses(self, made: Path) -> None:
        (authority,), (leaf,) = authorities(made), chain(made)
        for each, is_authority in ((authority, True), (leaf, False)):
            key = each.public_key()
            assert isinstance(key, ec.EllipticCurvePublicKey)
            assert isinstance(key.curve, ec.SECP256R1)
            assert each.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is is_authority
            usage = each.extensions.get_extension_for_class(x509.KeyUsage).value
            assert (usage.key_cert_sign, usage.digital_signature) == (is_authority, not is_authority)
        uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(uses) == [ExtendedKeyUsageOID.SERVER_AUTH]

    def test_a_second_look_changes_nothing(self, copied: Path) -> None:
        before = contents(copied)
        assert ensure(copied, reversed(NAMES), NOW + DAY).serial == chain(copied)[0].serial_number
        assert contents(copied) == before

    def test_drafts_of_a_crash_are_in_nobodys_way(self, tls: Path) -> None:
        tls.mkdir(mode=0o700)
        for name in FILES:
            (tls / f".{name}").write_bytes(b"half")
        ensure(tls, NAMES, NOW)
        assert sorted(contents(tls)) == sorted(FILES)


class TestNames:
    @pytest.mark.parametrize(
        ("text", "held"),
        [
            ("Host.Example", x509.DNSName("host.example")),
            ("*.example.org", x509.DNSName("*.example.org")),
            ("höst.example", x509.DNSName("xn--hst-sna.example")),
            ("a", x509.DNSName("a")),
        ],
    )
    def test_of_hosts(self, text: str, held: x509.GeneralName) -> None:
        assert general_name(text) == held

    @pytest.mark.parametrize("text", ["192.0.2.1", "2001:db8::1", "[2001:db8::1]"])
    def test_of_addresses(self, text: str) -> None:
        assert str(general_name(text).value) == text.strip("[]")

    @pytest.mark.parametrize(
        "text", ["", " ", "a b", "a_b", "-a", "a-", "a..b", ".a", "*", "a.*", "a\n", "https://a", "a:1", "x" * 64]
    )
    def test_of_nothing_are_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r".+"):
            general_name(text)

    def test_a_further_name_is_a_new_certificate(self, copied: Path) -> None:
        before = chain(copied)[0]
        ensure(copied, (*NAMES, "extra.example"), NOW)
        verify(authorities(copied), chain(copied), NOW, "extra.example")
        ensure(copied, NAMES, NOW)
        with pytest.raises(VerificationError):
            verify(authorities(copied), chain(copied), NOW, "extra.example")
        assert chain(copied)[0] != before


class TestRenewal:
    def test_of_the_certificate_begins_before_it_ends(self, copied: Path) -> None:
        before, ca = chain(copied)[0], (copied / CA_FILE).read_bytes()
        due = before.not_valid_after_utc - certificates.LEAF_RENEWAL
        assert ensure(copied, NAMES, due - timedelta(seconds=1)).serial == before.serial_number
        assert ensure(copied, NAMES, due).serial != before.serial_number
        assert (copied / CA_FILE).read_bytes() == ca
        verify(authorities(copied), chain(copied), due, "localhost")

    @pytest.mark.parametrize("late", [DAY, 5 * certificates.LEAF_LIFE])
    def test_after_a_long_pause(self, copied: Path, late: timedelta) -> None:
        now = chain(copied)[0].not_valid_after_utc + late
        ensure(copied, NAMES, now)
        verify(authorities(copied), chain(copied), now, "localhost")

    def test_when_the_clock_was_ahead(self, copied: Path) -> None:
        ensure(copied, NAMES, NOW + 70 * DAY)
        ensure(copied, NAMES, NOW)
        verify(authorities(copied), chain(copied), NOW, "localhost")

    def test_of_the_authority_keeps_the_old_one_beside_it(self, copied: Path) -> None:
        (old,) = authorities(copied)
        due = old.not_valid_after_utc - certificates.CA_RENEWAL
        ensure(copied, NAMES, due - timedelta(seconds=1))
        assert authorities(copied) == [old]
        by_old = chain(copied)
        ensure(copied, NAMES, due)
        new, kept = authorities(copied)
        assert (kept, new.not_valid_after_utc) == (old, due + certificates.CA_LIFE)
        verify([new, kept], by_old, due, "localhost")

    def test_clients_that_trust_the_old_authority_alone_go_on(self, copied: Path) -> None:
        (old,) = authorities(copied)
        now = old.not_valid_after_utc - certificates.CA_RENEWAL
        while now < old.not_valid_after_utc - DAY:
            ensure(copied, NAMES, now)
            verify([old], chain(copied), now, "localhost")
            verify(authorities(copied)[:1], chain(copied), now, "localhost")
            now += 50 * DAY

    def test_the_old_authority_goes_when_the_next_comes(self, copied: Path) -> None:
        (first,) = authorities(copied)
        ensure(copied, NAMES, first.not_valid_after_utc - DAY)
        second = authorities(copied)[0]
        ensure(copied, NAMES, second.not_valid_after_utc - DAY)
        assert authorities(copied)[1:] == [second]

    def test_the_bridge_to_the_old_authority_goes_with_it(self, copied: Path) -> None:
        (old,) = authorities(copied)
        ensure(copied, NAMES, old.not_valid_after_utc - DAY)
        assert len(chain(copied)) == 2
        ensure(copied, NAMES, old.not_valid_after_utc)
        assert len(chain(copied)) == 1
        verify(authorities(copied), chain(copied), old.not_valid_after_utc, "localhost")

    def test_of_an_authority_that_has_ended(self, copied: Path) -> None:
        (old,) = authorities(copied)
        now = old.not_valid_after_utc + DAY
        ensure(copied, NAMES, now)
        assert len(authorities(copied)) == len(chain(copied)) == 1
        verify(authorities(copied), chain(copied), now, "localhost")

    def test_a_crash_between_the_files_is_made_good(self, copied: Path) -> None:
        """After each single file that a renewal writes, the next start finds a way on, and clients lose nothing."""
        now = authorities(copied)[0].not_valid_after_utc - DAY
        before = contents(copied)
        ensure(copied, NAMES, now)
        after = contents(copied)
        for written in ([CA_FILE], [CA_FILE, AUTHORITY_FILE]):
            for name in FILES:
                (copied / name).write_bytes((after if name in written else before)[name])
            ensure(copied, NAMES, now)
            verify(x509.load_pem_x509_certificates(before[CA_FILE]), chain(copied), now, "localhost")
            verify(authorities(copied), chain(copied), now, "localhost")

    @pytest.mark.parametrize("missing", [[SERVER_FILE], [CA_FILE], [CA_FILE, SERVER_FILE]])
    def test_what_a_crash_at_the_first_start_leaves_is_completed(self, copied: Path, missing: list[str]) -> None:
        key = (copied / AUTHORITY_FILE).read_bytes()
        for name in missing:
            (copied / name).unlink()
        ensure(copied, NAMES, NOW)
        assert (copied / AUTHORITY_FILE).read_bytes() == key
        verify(authorities(copied), chain(copied), NOW, "localhost")


def other(path: Path) -> Path:
    """The files of another installation."""
    ensure(path, NAMES, NOW)
    return path


class TestRefused:
    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("content", [b"", b"-----BEGIN", b"\0" * 300_000, "certificate".encode("utf-16")])
    def test_what_is_no_pem(self, copied: Path, name: str, content: bytes) -> None:
        (copied / name).write_bytes(content)
        with pytest.raises(FileBroken, match=name):
            ensure(copied, NAMES, NOW)

    @pytest.mark.parametrize("name", FILES)
    def test_what_is_torn(self, copied: Path, name: str) -> None:
        """Cut anywhere but in the line end that closes it."""
        whole = (copied / name).read_bytes()
        for length in range(0, len(whole) - 1, 29):
            (copied / name).write_bytes(whole[:length])
            with pytest.raises(FileBroken, match=name):
                ensure(copied, NAMES, NOW)

    def test_a_torn_chain(self, copied: Path) -> None:
        now = authorities(copied)[0].not_valid_after_utc - DAY
        ensure(copied, NAMES, now)
        (copied / SERVER_FILE).write_bytes((copied / SERVER_FILE).read_bytes()[:-60])
        with pytest.raises(FileBroken, match=SERVER_FILE):
            ensure(copied, NAMES, now)

    @pytest.mark.parametrize("name", FILES)
    def test_what_is_of_another_authority(self, copied: Path, tmp_path: Path, name: str) -> None:
        shutil.copy(other(tmp_path / "other") / name, copied / name)
        # Of a strange key and a strange `ca.pem`, it is the second that is named: clients hold the first's own.
        with pytest.raises(FileBroken, match=CA_FILE if name == AUTHORITY_FILE else name):
            ensure(copied, NAMES, NOW)

    @pytest.mark.parametrize("name", [AUTHORITY_FILE, SERVER_FILE])
    def test_a_key_of_another_certificate(self, copied: Path, tmp_path: Path, name: str) -> None:
        foreign = (other(tmp_path / "other") / name).read_bytes().partition(b"-----BEGIN CERT")[0]
        ours = (copied / name).read_bytes()
        (copied / name).write_bytes(foreign + ours[ours.index(b"-----BEGIN CERT") :])
        with pytest.raises(FileBroken, match=name):
            ensure(copied, NAMES, NOW)

    def test_a_key_of_another_kind(self, copied: Path) -> None:
        ours = (copied / SERVER_FILE).read_bytes()
        for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
            pem = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            (copied / SERVER_FILE).write_bytes(pem + ours[ours.index(b"-----BEGIN CERT") :])
            with pytest.raises(FileBroken, match=SERVER_FILE):
                ensure(copied, NAMES, NOW)

    def test_an_authority_that_lost_its_key(self, copied: Path) -> None:
        """A new one would leave all clients without trust, and nobody would know why."""
        (copied / AUTHORITY_FILE).unlink()
        with pytest.raises(FileBroken, match=r"ca\.pem: the key to it, authority\.pem, is gone"):
            ensure(copied, NAMES, NOW)

    def test_an_authority_whose_time_has_not_come(self, copied: Path) -> None:
        with pytest.raises(FileBroken, match="is the clock right"):
            ensure(copied, NAMES, NOW - DAY)

    @pytest.mark.parametrize(
        ("name", "mode"),
        [(AUTHORITY_FILE, 0o640), (AUTHORITY_FILE, 0o604), (SERVER_FILE, 0o660), (CA_FILE, 0o664), (CA_FILE, 0o666)],
    )
    def test_files_that_are_too_open(self, copied: Path, name: str, mode: int) -> None:
        (copied / name).chmod(mode)
        with pytest.raises(FileUnsafe, match=rf"{name}: .*{mode:04o}.*chmod go"):
            ensure(copied, NAMES, NOW)

    @pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
    def test_a_folder_that_is_too_open(self, copied: Path, mode: int) -> None:
        copied.chmod(mode)
        with pytest.raises(FileUnsafe, match=rf"tls: .*{mode:04o}"):
            ensure(copied, NAMES, NOW)

    @pytest.mark.parametrize("name", FILES)
    def test_links_pipes_and_folders(self, copied: Path, tmp_path: Path, name: str) -> None:
        moved = tmp_path / "moved"
        (copied / name).rename(moved)
        (copied / name).symlink_to(moved)
        with pytest.raises(FileBroken, match=name):
            ensure(copied, NAMES, NOW)
        (copied / name).unlink()
        os.mkfifo(copied / name, 0o600)
        with pytest.raises(FileBroken, match="not a plain file"):
            ensure(copied, NAMES, NOW)
        (copied / name).unlink()
        (copied / name).mkdir(mode=0o700)
        with pytest.raises(FileBroken, match="not a plain file"):
            ensure(copied, NAMES, NOW)

    def test_a_folder_that_is_none(self, tls: Path) -> None:
        tls.write_bytes(b"")
        with pytest.raises(FileBroken, match="cannot be opened"):
            ensure(tls, NAMES, NOW)

    def test_what_belongs_to_another_account(self, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        if os.getuid() == 0:
            os.chown(copied / AUTHORITY_FILE, 4_711, 4_711)
        monkeypatch.setattr(os, "geteuid", lambda: 4_712)
        if os.getuid() == 0:
            with pytest.raises(FileUnsafe, match=r"authority\.pem: it belongs to another account"):
                ensure(copied, NAMES, NOW)
        else:
            with pytest.raises(FileUnsafe, match="tls: it belongs to another account"):
                ensure(copied, NAMES, NOW)

    def test_a_refusal_holds_no_secret(self, copied: Path) -> None:
        (copied / SERVER_FILE).write_bytes((copied / SERVER_FILE).read_bytes()[:-40])
        with pytest.raises(FolderRefusal) as refused:
            ensure(copied, NAMES, NOW)
        secret = (copied / AUTHORITY_FILE).read_text().splitlines()[1]
        assert secret not in refused.value.message
        assert "PRIVATE" not in repr(certificates._Held) + refused.value.message


def start_at_once(path: Path, barrier: object, answers: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    answers.put(ensure(path, NAMES, NOW).serial)  # type: ignore[attr-defined]


def test_processes_that_start_at_once_make_one_authority(tls: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(4), context.Queue()
    processes = [context.Process(target=start_at_once, args=(tls, barrier, answers)) for _ in range(4)]
    for process in processes:
        process.start()
    serials = {answers.get(timeout=20) for _ in processes}
    for process in processes:
        process.join(20)
    assert serials == {chain(tls)[0].serial_number}
    verify(authorities(tls), chain(tls), NOW, "localhost")
