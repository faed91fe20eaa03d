"""The refusals of tokens: a closed list. The words are Graph's where it has some (graph-contract 3.2).

None of them holds any part of a token, so that a refusal may go into a log as it is.
"""

from __future__ import annotations

from adjoin.odata.errors import Refusal


class TokenRefusal(Refusal):
    """A token that isn't accepted; every class below is one."""


class EmptyToken(TokenRefusal):
    """No token at all."""

    def __init__(self) -> None:
        super().__init__("Access token is empty.")


class NotAToken(TokenRefusal):
    """Text without a single dot, so nothing that was ever a token."""

    def __init__(self) -> None:
        super().__init__(
            "IDX14100: JWT is not well formed, there are no dots (.).\n"
            "The token needs to be in JWS or JWE Compact Serialization Format. (JWS): "
            "'EncodedHeader.EncodedPayload.EncodedSignature'. (JWE): 'EncodedProtectedHeader.EncodedEncryptedKey."
            "EncodedInitializationVector.EncodedCiphertext.EncodedAuthenticationTag'."
        )


class InvalidToken(TokenRefusal):
    """A token whose form or claims are not what an access token has. `reason` is a sentence of ours, never its text."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Access token validation failure. {reason}")


class InvalidSignature(TokenRefusal):
    """A signature, algorithm or key that isn't trusted. Which of them is not told: it would help a forger alone."""

    def __init__(self) -> None:
        super().__init__("Access token validation failure. Invalid signature.")


class UnknownKey(InvalidSignature):
    """The token names a key that isn't known (yet): the sign that the keys were rotated and may be read again."""


class ExpiredToken(TokenRefusal):
    """The token's time is over."""

    def __init__(self) -> None:
        super().__init__("Lifetime validation failed, the token is expired.")


class TokenNotYetValid(TokenRefusal):
    """The token's time has not come."""

    def __init__(self) -> None:
        super().__init__("Lifetime validation failed, the token is not yet valid.")


class InvalidAudience(TokenRefusal):
    """A token for another service."""

    def __init__(self) -> None:
        super().__init__("Access token validation failure. Invalid audience.")


class InvalidIssuer(TokenRefusal):
    """A token whose issuer isn't trusted, or isn't the one of its own tenant, form or key."""

    def __init__(self) -> None:
        super().__init__("Access token validation failure. Invalid issuer.")


class RevokedToken(TokenRefusal):
    """A token in date whose application or person was revoked, disabled or removed since it was issued.

    `not_before` is the time from which a token has to be to be taken again. `challenge`: the client declared that it
    can take a claims challenge, and only then is it sent one (graph-contract 4.5).
    """

    def __init__(self, not_before: int, challenge: bool) -> None:
        # Graph's words, as msgraph-sdk-powershell issue 1741 shows them.
        super().__init__(
            "Continuous access evaluation resulted in claims challenge with result: InteractionRequired and code: "
            "TokenIssuedBeforeRevocationTimestamp"
        )
        self.not_before = not_before
        self.challenge = challenge
