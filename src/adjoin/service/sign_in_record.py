"""The record of refused sign-ins: of those that tell of a guess, a stolen copy, or an account that is locked."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from adjoin.service.audit import Recorder
from adjoin.service.sign_in import SignInRefusal, TokenService
from adjoin.service.sign_in_attempts import Attempts, Patience
from adjoin.service.sign_in_people import folded
from adjoin.service.sign_in_tokens import principal_name
from adjoin.store import users
from adjoin.store.database import StoreRefusal
from adjoin.store.tenants import Tenant

_RECORDED: Final = frozenset(
    {
        *(50126, 50053, 50057, 50105),  # names, passwords, accounts
        *(7000215, 700021, 700023, 700024, 700027, 50013),  # secrets and assertions
        *(54005, 50173, 501481),  # codes and refresh tokens that somebody else may have
    }
)
# Anyone can be refused, so there are only so many events in a minute for each tenant.
_IN_A_MINUTE: Final = Patience(60, 60, 60)


class Record:
    """The record of refused sign-ins. One for a running service."""

    def __init__(self) -> None:
        self._written = Attempts(size=1_000)

    async def refused(
        self,
        service: TokenService,
        tenant: Tenant,
        refusal: SignInRefusal,
        *,
        client_id: str | None,
        address: str | None,
        correlation: str,
        name: str | None = None,
    ) -> None:
        """Record a refusal, if it is one of those. `name` is what a person typed; it is recorded if it is a name."""
        now = service.world.now()
        key = (tenant.number, now // 60)
        if refusal.number not in _RECORDED or self._written.wait(key, _IN_A_MINUTE, now):
            return
        self._written.count(key, now)
        reader = service.installation.database.reader
        # People type passwords where names belong, so what is nobody's name is not kept.
        person = None if name is None else await users.find_by_name(reader, tenant.number, folded(name, tenant))
        actor: dict[str, object] = {
            "auditActorType": "Application" if name is None else "ItPro",
            "userPermissions": [],
            "applicationId": client_id[:64] if client_id else None,
            "applicationDisplayName": None,
            "userPrincipalName": principal_name(person, tenant) if person else None,
            "servicePrincipalName": None,
            "ipAddress": address,
            "userId": person.id if person else None,
        }
        kept = service.installation
        recorder = Recorder(actor, correlation, service.world.new_id, now, kept.audit_days, kept.turns)
        with suppress(StoreRefusal):  # refused it is, whether there is room to say so or not
            await service.installation.database.write(
                lambda session: recorder.refused_sign_in(session, tenant.number, refusal.message)
            )
