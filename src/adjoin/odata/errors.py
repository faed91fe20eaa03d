"""The protocol's refusals: a closed list of exceptions, each naming what was wrong with a request.

They carry words for people and, where there is one, the place of the fault. What HTTP status and Graph code
each gets is decided in `web/failures.py` alone.
"""

from __future__ import annotations


class Refusal(Exception):
    """A request that is refused.

    `message` is a plain sentence that may be shown to the caller; `detail` says more where the message has to be in
    another's words.
    """

    def __init__(self, message: str, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class ProtocolRefusal(Refusal):
    """A refusal that OData itself calls for; every class below is one."""


class Malformed(ProtocolRefusal):
    """Text in a URL that does not follow the OData grammar.

    `position` counts characters from 0 in the text that was read (the decoded option or path segment);
    it is None where no single place is to blame.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class UnknownSegment(ProtocolRefusal):
    """A path segment that the model does not have (graph-contract 3.2, "Unknown path segment")."""

    def __init__(self, segment: str) -> None:
        super().__init__(f"Resource not found for the segment '{segment}'.")
        self.segment = segment


class UnknownName(ProtocolRefusal):
    """A property, function or type named in a query option that the model does not have."""


class UnknownOption(ProtocolRefusal):
    """A system query option that OData does not define."""


class OptionNotAllowed(ProtocolRefusal):
    """A system query option that OData defines and this resource does not take."""


class NotServed(ProtocolRefusal):
    """Well-formed OData that this service does not carry out (501 in OData 4.01 part 1, 9.3.1)."""


class WrongType(ProtocolRefusal):
    """An expression whose operands have types that its operator or function does not take."""


class MalformedBody(ProtocolRefusal):
    """A request body that is not the JSON it has to be."""


class UnknownType(ProtocolRefusal):
    """An `@odata.type` that names no type of the model, or one that does not fit here."""


class UnknownProperty(ProtocolRefusal):
    """A member of a request body that its closed type does not declare."""


class InvalidValue(ProtocolRefusal):
    """A member of a request body that is missing or has a value its type does not take."""


class TooManyItems(ProtocolRefusal):
    """A batch of more requests than are taken at once; the words are Graph's (graph-contract 3.9)."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"Number of batch request steps exceeds the maximum value of {limit}.")


class FailedDependency(ProtocolRefusal):
    """A request of a batch that was not run, since one that it depends on failed."""


class UnsupportedMediaType(ProtocolRefusal):
    """A request body whose Content-Type is not one that is read here."""


class UnsupportedEncoding(ProtocolRefusal):
    """A request body in a Content-Encoding that is not read here; clients resend it plain (clients.md item 4)."""


class NotAcceptable(ProtocolRefusal):
    """No representation served here is among those that the caller accepts."""


class UnsupportedVersion(ProtocolRefusal):
    """OData-Version or OData-MaxVersion asks for a version that is not spoken here."""


class PreconditionFailed(ProtocolRefusal):
    """If-Match or If-None-Match does not hold for the resource as it is."""
