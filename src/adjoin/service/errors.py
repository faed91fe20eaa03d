"""The refusals of the service's rules: a closed list. What status and code each gets is in `web/failures.py`."""

from __future__ import annotations

from adjoin.odata.errors import Refusal


class ServiceRefusal(Refusal):
    """A request that is understood and may not, or cannot, be carried out."""


class PersonalAccount(ServiceRefusal):
    """A personal Microsoft account called (graph-contract 3.2)."""

    def __init__(self) -> None:
        super().__init__(
            "This API is not supported for MSA accounts (no addressUrl for Microsoft.Management.Services,False)."
        )


class UnknownTenant(ServiceRefusal):
    """A good token of a tenant that is not kept here."""

    def __init__(self) -> None:
        super().__init__("Access token validation failure. The tenant of the token is not known to this service.")


class NotLicensed(ServiceRefusal):
    """The tenant has no active licence (DESIGN section 4)."""

    def __init__(self) -> None:
        super().__init__("Request not applicable to target tenant")


class NotPermitted(ServiceRefusal):
    """The token carries none of the permissions that the operation takes; they are named, least first."""

    def __init__(self, accepted: tuple[str, ...]) -> None:
        super().__init__(
            "Application is not authorized to perform this operation. "
            f"Application must have one of the following scopes: {', '.join(accepted)}"
        )
        self.accepted = accepted


class Throttled(ServiceRefusal):
    """One call too many; `retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many requests.")
        self.retry_after = retry_after


class NotFound(ServiceRefusal):
    """There is no such entity in the caller's tenant. The words are Intune's, which say no more."""

    def __init__(self) -> None:
        super().__init__("An error has occurred")


class RepeatRejected(ServiceRefusal):
    """A repeatable request that is too old, or whose id was used for another (OASIS Repeatable Requests 1.0)."""


class Taken(ServiceRefusal):
    """An entity with the id that a create asks for is there already."""

    def __init__(self, key: str) -> None:
        super().__init__(f"An entity with the id '{key}' already exists")


class Stale(ServiceRefusal):
    """A link to changes that are no longer kept. The way out is to begin again (graph-contract 3.11)."""

    def __init__(self) -> None:
        super().__init__("The sync state is not found: it is too old. Begin again with a delta query without a token.")


class NotSubscribed(ServiceRefusal):
    """A subscription that is not taken: for what it asks, or because its receiver did not consent."""


class InvitationRefused(ServiceRefusal):
    """A code that enrols nobody. Which of the reasons it is would help only who guesses."""

    def __init__(self) -> None:
        super().__init__(
            "The invitation code is not known, was used before, or is over. `adjoin connector invite` makes a new one."
        )


class NotProven(ServiceRefusal):
    """A connector's key comes without the proof that the connector holds it."""


class ConnectorRemoved(ServiceRefusal):
    """The connector that calls has no entry any more."""

    def __init__(self) -> None:
        super().__init__(
            "This connector was removed from the registry. To use it again, get an invitation with `adjoin "
            "connector invite` on the server; on its machine, `adjoin connector leave`, then `adjoin connector enroll`."
        )


class UsedElsewhere(ServiceRefusal):
    """A connector's key is used by another program, too."""

    def __init__(self) -> None:
        super().__init__(
            "The key of this connector is used by another program, too, which checked in meanwhile. If you copied this "
            "machine, enrol the copy anew; if not, the key was stolen: delete the connector and enrol it anew."
        )


class UnknownWork(ServiceRefusal):
    """There is no such piece of work for this connector."""

    def __init__(self) -> None:
        super().__init__("There is no such work for this connector.")
