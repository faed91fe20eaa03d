"""Scopes: what a client asks for, and what of that it is given for a person.

A delegated token holds what was asked for, what the application may have, and what the person may do, all three.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from adjoin.identity.clouds import GRAPH_APP_ID, Cloud
from adjoin.service.connectors import AUDIENCE
from adjoin.service.sign_in import SignInRefusal

_OPENID: Final = ("openid", "profile", "email", "offline_access")
_DEFAULT: Final = ".default"
_LONGEST: Final = 2_048


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a client asks for. `prefix` is how it named the resource, to be answered in the same words."""

    permissions: tuple[str, ...]
    openid: tuple[str, ...]
    prefix: str
    default: bool

    @property
    def signs_in(self) -> bool:
        """Nothing but to know who the person is."""
        return not self.default and not self.permissions

    def named(self, application: Iterable[str]) -> tuple[str, ...]:
        """The permissions that are asked for; `.default` alone stands for all that the application may have."""
        return tuple(application) if self.default and not self.permissions else self.permissions

    def answered(self, granted: Iterable[str]) -> str:
        """The `scope` of an answer. Clients file a token under it and look for the words that they asked with."""
        words = [f"{self.prefix}{name}" for name in sorted(granted)]
        return " ".join([*words, *([f"{self.prefix}{_DEFAULT}"] if self.default else []), *self.openid])


def read(scope: str, cloud: Cloud, origin: str) -> Scopes:
    """Take a `scope` apart; `origin` is our own URL. Raises SignInRefusal."""
    words = scope.split()
    if not words or len(scope) > _LONGEST:
        raise _invalid(scope)
    openid = tuple(dict.fromkeys(word for word in words if word in _OPENID))
    permissions: dict[str, None] = {}
    prefix = ""
    for word in words:
        if word in _OPENID:
            continue
        resource, slash, name = word.rpartition("/")
        if slash:
            check_resource(resource, cloud, origin)
            prefix = resource + slash
        if not name:
            raise _invalid(scope)
        permissions[name] = None
    default = permissions.pop(_DEFAULT, 0) is None
    if default and (permissions or not prefix):
        raise SignInRefusal(
            "invalid_scope", 70011, "'.default' stands for all permissions of one resource, and is asked for alone."
        )
    return Scopes(tuple(permissions), openid, prefix, default)


def check_application_scope(scope: str, cloud: Cloud, origin: str) -> None:
    """Refuse what an application cannot ask for as itself: anything but this service's `.default`."""
    if not scope.endswith(f"/{_DEFAULT}"):
        raise SignInRefusal("invalid_scope", 1002012, f"The provided value for scope {scope[:128]} is not valid.")
    check_resource(scope.removesuffix(f"/{_DEFAULT}"), cloud, origin)


def check_connector_scope(scope: str) -> None:
    """Refuse what a connector cannot ask for as itself: anything but the connector API's `.default`."""
    if scope != f"{AUDIENCE}/{_DEFAULT}":
        raise SignInRefusal("invalid_scope", 1002012, f"A connector asks for the scope {AUDIENCE}/{_DEFAULT} alone.")


def check_resource(resource: str, cloud: Cloud, origin: str) -> None:
    """Refuse a resource that is not this service.

    Clients name it by Graph's URL or by the service's own, without its port and as https at times (clients.md item 23).
    """
    plain = resource.rstrip("/")
    if plain not in (cloud.graph_root, GRAPH_APP_ID) and not _is_own(plain, origin):
        raise SignInRefusal("invalid_resource", 500011, f"The resource principal named {resource[:128]} was not found.")


def _is_own(resource: str, origin: str) -> bool:
    try:
        named, own = urlsplit(resource), urlsplit(origin)
        port = named.port
    except ValueError:
        return False
    return (
        named.scheme in ("http", "https")
        and named.hostname == own.hostname
        and port in (None, own.port)
        and not (named.path or named.query or named.fragment or named.username)
    )


def check_registered(scopes: Scopes, application: Iterable[str], name: str) -> None:
    """Refuse what the application was never given: its registration is the administrator's consent."""
    beyond = next((each for each in scopes.permissions if each not in implied(application)), None)
    if beyond is not None:
        raise SignInRefusal(
            "invalid_scope", 650053, f"The application '{name}' asked for scope '{beyond[:128]}' that it was not given."
        )


def granted(scopes: Scopes, application: Iterable[str], person: Iterable[str]) -> frozenset[str]:
    """What a token holds. Who may write and asks, or is asked, for reading only gets that. Raises SignInRefusal."""
    application = tuple(application)
    named = implied(scopes.named(application)) & implied(application)
    within = named & implied(person)
    if not within and not scopes.signs_in:
        raise SignInRefusal(
            "invalid_grant", 50105, "The signed in user has none of the permissions that the application asks for."
        )
    asked = scopes.named(application)
    return frozenset(each for each in within if each in asked or _writing(each) not in within)


def implied(permissions: Iterable[str]) -> frozenset[str]:
    """Permissions with those that they imply: who may write may read (graph-contract 4.3)."""
    given = frozenset(permissions)
    return given | {each.replace(".ReadWrite.", ".Read.", 1) for each in given}


def _writing(permission: str) -> str:
    return permission.replace(".Read.", ".ReadWrite.", 1) if ".Read." in permission else ""


def _invalid(scope: str) -> SignInRefusal:
    return SignInRefusal(
        "invalid_scope", 70011, f"The provided value for the input parameter 'scope' is not valid: '{scope[:128]}'."
    )
