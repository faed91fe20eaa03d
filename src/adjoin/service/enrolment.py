"""How a connector comes to be one, gets new keys, and leaves: by invitations that each work once.

Of an invitation only a digest is kept. What is sent again after a lost answer is answered alike and done once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from adjoin.identity import assertions, possession
from adjoin.identity.assertions import BadAssertion
from adjoin.identity.possession import BadProof, Proven
from adjoin.model import CONNECTOR
from adjoin.odata.errors import InvalidValue
from adjoin.odata.values import Instant
from adjoin.service import connectors as rules
from adjoin.service import removal
from adjoin.service.audit import Recorder
from adjoin.service.errors import ConnectorRemoved, InvitationRefused, NotLicensed, NotProven
from adjoin.service.world import World
from adjoin.store import connectors, grants, rows, tenants
from adjoin.store.columns import Value
from adjoin.store.connectors import Key
from adjoin.store.database import Database, Session
from adjoin.store.grants import Kept
from adjoin.store.tables import CONNECTORS
from adjoin.store.tenants import Tenant

LONGEST_INVITATION: Final = 30 * 86_400
_CODE_BYTES: Final = 20
_NAME_LENGTH: Final = 255
_DAY: Final = 86_400
_NO_APPROVAL: Final = "The approval is not a JWT that is signed by ES256 and names its key."
# By the numbers that the token endpoint has for the same of client assertions.
_APPROVAL_FAULTS: Final = {
    700021: "The approval's 'iss' and 'sub' are not both the connector.",
    700023: "The approval's audience is not this API.",
    700024: "The approval is not within its valid time range.",
    700027: "The approval is not signed by the key that it names.",
}


class Invitation(msgspec.Struct, frozen=True, array_like=True):
    """What an invitation holds. Once used: the connector that it made, and the key that it was used with."""

    domain: str | None
    connector: str | None = None
    thumbprint: str | None = None


_INVITATION: Final = msgspec.msgpack.Decoder(Invitation)

Tell = Callable[[Session], Awaitable[None]]


async def invite(
    database: Database, tenant: Tenant, domain: str | None, expires_in: int, world: World, tell: Tell | None = None
) -> str:
    """A new code, good once and for so many seconds; `tell` records it, in the same transaction."""
    # 160 random bits: nothing to guess, and so nothing that a slow digest would protect.
    code = base64.b32encode(world.random(_CODE_BYTES)).decode()
    now = int(world.now())
    content = msgspec.msgpack.encode(Invitation(domain))
    new = Kept(_digest(code), grants.INVITATION, grants.READY, "", None, content, now, now + expires_in)

    async def act(session: Session) -> None:
        await grants.add(session, tenant.number, new)
        if tell is not None:
            await tell(session)

    await database.write(act)
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))


def _digest(code: str) -> bytes:
    return hashlib.sha256(b"invitation " + code.replace("-", "").upper().encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A connector that is enrolled: where it belongs, and until when its key is good (Unix seconds)."""

    tenant: Tenant
    connector: str
    key_expires: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a machine brings to be enrolled: its code, what it is called, its version, and a proof of its key."""

    code: str
    name: str
    version: str
    proof: str


async def enrol(database: Database, candidate: Candidate, recorder: Recorder, world: World) -> Enrolled:
    """Make a connector of who has an invitation. Raises InvalidValue, NotProven, InvitationRefused or NotLicensed."""
    rules.read_version(candidate.version)
    if not candidate.name.isprintable() or not 0 < len(candidate.name.strip()) <= _NAME_LENGTH:
        raise InvalidValue(f"The name has 1 to {_NAME_LENGTH} printable characters.")
    proven = _proven(candidate.proof, "code", _digest(candidate.code).hex())
    connector, created, at = world.new_id(), world.timestamp(), Instant.from_unix(world.now())
    now = int(world.now())

    async def act(session: Session) -> Enrolled:
        tenant, kept, invitation = await _invitation(session, candidate.code, now)
        if invitation.connector is not None:
            return await _again(session, tenant, invitation, proven, at.ticks)
        too_old = rules.too_old(candidate.version, tenant.least_connector_version)
        values: dict[str, Value] = {
            "id": connector,
            "displayName": candidate.name,
            "lastConnectionDateTime": at,
            "state": "error" if too_old else "active",
            "version": candidate.version,
        }
        made = await rows.insert(session, CONNECTORS, tenant.number, values, int(world.now() * 1_000))
        await connectors.enrol(session, tenant.number, connector, invitation.domain, at, created)
        key = Key(proven.thumbprint, proven.public_key, True, now + rules.KEY_DAYS * _DAY, created)
        await connectors.add_key(session, tenant.number, connector, key)
        used = msgspec.msgpack.encode(Invitation(invitation.domain, connector, proven.thumbprint))
        await grants.replace(session, tenant.number, kept, used, kept.expires)
        await recorder.change(session, tenant.number, CONNECTOR, "Create", None, made.row)
        await removal.drop(session, CONNECTORS, tenant.number, at.ticks, recorder)
        return Enrolled(tenant, connector, key.expires)

    return await database.write(act)


async def _invitation(session: Session, code: str, now: int) -> tuple[Tenant, Kept, Invitation]:
    digest = _digest(code)
    number = await grants.tenant_of_invitation(session, digest)
    kept = None if number is None else await grants.find(session, number, grants.INVITATION, digest)
    tenant = None if number is None else await tenants.find_by_number(session, number)
    if kept is None or tenant is None or kept.expires <= now:
        raise InvitationRefused
    if not tenant.licensed(now):
        raise NotLicensed
    return tenant, kept, _INVITATION.decode(kept.content)


async def _again(session: Session, tenant: Tenant, used: Invitation, proven: Proven, now: int) -> Enrolled:
    """The answer to the same machine's asking again; to any other the code is of no use."""
    if used.connector is None or used.thumbprint != proven.thumbprint:
        raise InvitationRefused
    if await connectors.find(session, tenant.number, used.connector, now) is None:
        raise ConnectorRemoved
    for key in await connectors.keys(session, tenant.number, used.connector):
        if key.thumbprint == proven.thumbprint:
            return Enrolled(tenant, used.connector, key.expires)
    raise InvitationRefused


def _proven(text: str, claim: str, wanted: str) -> Proven:
    """A key whose holder signed that it is for this. Raises NotProven."""
    try:
        proven = possession.verify(text)
    except BadProof as fault:
        raise NotProven(str(fault)) from None
    if not _same(proven.claims.get(claim), wanted):
        raise NotProven("The proof is for something else.")
    return proven


@dataclass(frozen=True, slots=True)
class NextKey:
    """What a connector brings to renew its key: a proof of the next one, and the approval of the one in use."""

    connector: str
    proof: str
    approval: str


async def renew_key(database: Database, tenant: Tenant, offered: NextKey, recorder: Recorder, world: World) -> Key:
    """Take a connector's next key. It takes the old one's place when it is first used (`confirm`).

    A token alone is not enough: who found one would have a key of its own for good. Raises NotProven or
    ConnectorRemoved.
    """
    connector = offered.connector
    proven = _proven(offered.proof, "connector", connector)
    now, created = world.now(), world.timestamp()
    ticks = Instant.from_unix(now).ticks

    async def act(session: Session) -> Key:
        found = await connectors.find(session, tenant.number, connector, ticks)
        if found is None or found.enrolled is None:
            raise ConnectorRemoved
        held = await connectors.keys(session, tenant.number, connector)
        spent = _approved(offered, proven, held, now)
        for each in held:
            if each.thumbprint == proven.thumbprint:
                return each
        if not await grants.add(session, tenant.number, spent):
            raise NotProven("The approval was used before.")
        new = Key(proven.thumbprint, proven.public_key, False, int(now) + rules.KEY_DAYS * _DAY, created)
        await connectors.add_key(session, tenant.number, connector, new)
        await recorder.act(session, tenant.number, CONNECTOR, "Renew key of", found.shown.row)
        return new

    return await database.write(act)


def _approved(offered: NextKey, proven: Proven, held: Sequence[Key], now: float) -> Kept:
    """What keeps the approval of a next key from being used twice. Raises NotProven.

    It is by a key in use, and so neither by one that waits for its first use nor by one that a renewal ended.
    """
    in_use = {each.thumbprint: each for each in held if each.confirmed and each.expires > now}
    try:
        approval = assertions.read(offered.approval)
        subject = approval.subject
        key = next((in_use[name] for name in approval.names if name in in_use), None)
        if key is None:
            raise NotProven("The approval is not signed by a key of this connector that is in use.")
        expires = assertions.verify(approval, key.public_key, frozenset({rules.AUDIENCE}), now)
    except BadAssertion as fault:
        raise NotProven(_APPROVAL_FAULTS.get(fault.number, _NO_APPROVAL)) from None
    if not _same(subject, offered.connector) or not _same(approval.claims.get("key"), proven.thumbprint):
        raise NotProven("The approval is for something else.")
    whole = b"\x00".join((b"approval", subject.encode(), approval.token_id.encode("utf-8", "surrogatepass")))
    digest = hashlib.sha256(whole).digest()
    return Kept(digest, grants.ASSERTION, grants.SPENT, offered.connector, None, b"", int(now), expires)


def _same(claim: object, wanted: str) -> bool:
    return hmac.compare_digest(str(claim).encode("utf-8", "surrogatepass"), wanted.encode())


async def leave(database: Database, tenant: Tenant, connector: str, recorder: Recorder, now: float) -> None:
    """Remove a connector's entry at its own wish; one that is gone already has left."""
    ticks = Instant.from_unix(now).ticks

    async def act(session: Session) -> None:
        found = await connectors.find(session, tenant.number, connector, ticks)
        if found is not None and found.enrolled is not None:
            await rows.delete(session, CONNECTORS, tenant.number, connector, ticks)
            await recorder.change(session, tenant.number, CONNECTOR, "Delete", found.shown.row, None)

    await database.write(act)
