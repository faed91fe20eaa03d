"""The refusals of the HTTP edge: a closed list. What status and code each gets is in `web/failures.py`."""

from __future__ import annotations

from adjoin.odata.errors import Refusal


class WebRefusal(Refusal):
    """A request that is refused for what it is as HTTP."""


class BadHost(WebRefusal):
    """A header that steers the request is missing, doubled or malformed."""


class TargetTooLong(WebRefusal):
    """The path and query are longer than is read here, or those of a link to the next page would be."""

    def __init__(self, limit: int, what: str = "The URL") -> None:
        super().__init__(f"{what} is longer than {limit} characters.")


class HeadersTooLarge(WebRefusal):
    """The headers are larger than is read here."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request's headers are larger than {limit} bytes.")


class BodyTooLarge(WebRefusal):
    """The body, as sent or unpacked, is larger than is read here."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is larger than {limit} bytes.")


class BodyCut(WebRefusal):
    """The body ended before it was whole, or in chunks that are none."""

    def __init__(self) -> None:
        super().__init__("The request body ended before it was whole, or its chunks cannot be read.")


class BodyTooSlow(WebRefusal):
    """The body did not arrive in time."""

    def __init__(self) -> None:
        super().__init__("The request body did not arrive in time.")


class UnknownVersion(WebRefusal):
    """The first segment of the path is no version of the API, nor anything else that is served."""

    def __init__(self, segment: str) -> None:
        super().__init__(f"Invalid version: {segment}")


class MethodNotAllowed(WebRefusal):
    """A method that Graph's gateway lets through to nothing; `allowed` are those it does let through."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__("Specified HTTP method is not allowed for the request target.")
        self.allowed = allowed


class NoRoute(WebRefusal):
    """A method that this resource does not take; the words are Intune's."""

    def __init__(self, template: str, method: str, path: str) -> None:
        super().__init__(
            f"No OData route exists that match template {template} with http verb {method} for request {path}."
        )


class Crowded(WebRefusal):
    """As many requests are under way as the service works on at a time."""

    def __init__(self) -> None:
        super().__init__("More requests are under way than the service takes on.")


class Stopping(WebRefusal):
    """The service is stopping, or not open yet, and takes nothing new."""

    def __init__(self) -> None:
        super().__init__("The service is not taking requests now.")
