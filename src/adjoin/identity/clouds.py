"""The clouds that Graph is offered in, and the fixed ids that are the same in each of them.

A cloud is data: its Graph root, its login authority and the issuers that its tokens name. Nothing here decides
anything; one more cloud is one more value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

Version: TypeAlias = Literal["1.0", "2.0"]
"""The two forms of a token, as its `ver` claim names them."""

GRAPH_APP_ID: Final = "00000003-0000-0000-c000-000000000000"
"""Graph's own application, the same in each cloud (graph-contract 4.6)."""

PERSONAL_TENANT: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The tenant that stands in every token of a personal Microsoft account (graph-contract 4.3)."""

GRAPH_HOST_CLAIM: Final = "msgraph_host"
"""Names the cloud's Graph in our tokens of all clouds but Global, as a member of Entra's discovery documents does.

The two clouds of US Government share their issuers, some share the v1 one, and all share Graph's application id: by
`iss` and `aud` alone a token of one could pass in another.
"""

# Spelled as Entra spells it in its own discovery documents and in the `issuer` of its keys.
TENANT: Final = "{tenantid}"


@dataclass(frozen=True, slots=True)
class Cloud:
    """One national cloud.

    An issuer is a template with `{tenantid}` in it. Tokens are minted with the first of each tuple; all are accepted.
    """

    name: str
    graph_root: str
    login_authority: str
    issuers_v1: tuple[str, ...]
    issuers_v2: tuple[str, ...]

    @property
    def audiences(self) -> tuple[str, ...]:
        """What `aud` may be in a token for this cloud's Graph (graph-contract 4.1); the first is the usual one."""
        return (self.graph_root, f"{self.graph_root}/", GRAPH_APP_ID)

    @property
    def graph_host(self) -> str:
        """Which of the clouds a token is for, where issuer and audience leave it open: see GRAPH_HOST_CLAIM."""
        return self.graph_root.removeprefix("https://")

    @property
    def issuers(self) -> Mapping[str, tuple[str, ...]]:
        """The accepted issuer templates by the token's `ver`."""
        return {"1.0": self.issuers_v1, "2.0": self.issuers_v2}

    def issuer(self, version: Version, tenant_id: str) -> str:
        """The issuer that a new token of this form names."""
        templates = self.issuers_v1 if version == "1.0" else self.issuers_v2
        return fill(templates[0], tenant_id)


def fill(template: str, tenant_id: str) -> str:
    """An issuer template with a tenant in its place. Plain replacement: `str.format` would read the rest as code."""
    return template.replace(TENANT, tenant_id)


_STS: Final = "https://sts.windows.net/{tenantid}/"

# Roots and authorities: graph-contract 4.6 [V: Microsoft's page on national cloud deployments].
# Issuers of Global: graph-contract 4.2 [V]. Those of the others follow from the login authority; the v1 hosts of
# US Government and China are [U] in 4.6.
GLOBAL: Final = Cloud(
    "Global",
    "https://graph.microsoft.com",
    "https://login.microsoftonline.com",
    (_STS,),
    ("https://login.microsoftonline.com/{tenantid}/v2.0",),
)
US_GOVERNMENT_L4: Final = Cloud(
    "USGov",
    "https://graph.microsoft.us",
    "https://login.microsoftonline.us",
    (_STS,),
    ("https://login.microsoftonline.us/{tenantid}/v2.0",),
)
US_GOVERNMENT_L5: Final = Cloud(
    "USGovDoD",
    "https://dod-graph.microsoft.us",
    "https://login.microsoftonline.us",
    (_STS,),
    ("https://login.microsoftonline.us/{tenantid}/v2.0",),
)
CHINA: Final = Cloud(
    "China",
    "https://microsoftgraph.chinacloudapi.cn",
    "https://login.chinacloudapi.cn",
    ("https://sts.chinacloudapi.cn/{tenantid}/",),
    # The newer host first (4.6): it is the one that China's login names as its issuer today [I].
    ("https://login.partner.microsoftonline.cn/{tenantid}/v2.0", "https://login.chinacloudapi.cn/{tenantid}/v2.0"),
)

# Names are those of PowerShell's built-in environments, which are what people type.
CLOUDS: Final[Mapping[str, Cloud]] = MappingProxyType(
    {cloud.name: cloud for cloud in (GLOBAL, US_GOVERNMENT_L4, US_GOVERNMENT_L5, CHINA)}
)

CloudName: TypeAlias = Literal["global", "usgov-l4", "usgov-l5", "china"]
"""The clouds as settings name them, after the columns of the create call's page."""

NAMED: Final[Mapping[CloudName, Cloud]] = MappingProxyType(
    {"global": GLOBAL, "usgov-l4": US_GOVERNMENT_L4, "usgov-l5": US_GOVERNMENT_L5, "china": CHINA}
)


@dataclass(frozen=True, slots=True)
class Permission:
    """A Graph permission: its name in `roles` and `scp`, and its two ids in an application's manifest."""

    name: str
    app_role_id: str
    scope_id: str


def _by_name(permissions: Iterable[Permission]) -> Mapping[str, Permission]:
    return MappingProxyType({permission.name: permission for permission in permissions})


# graph-contract 4.4 [V]
PERMISSIONS: Final = _by_name(
    (
        Permission(
            "DeviceManagementConfiguration.Read.All",
            "dc377aa6-52d8-4e23-b271-2a7ae04cedf3",
            "f1493658-876a-4c87-8fa7-edb559b3476a",
        ),
        Permission(
            "DeviceManagementConfiguration.ReadWrite.All",
            "9241abd9-d0e6-425a-bd4f-47ba86e767a4",
            "0883f392-0a7a-443d-8c76-16a6d39c7b63",
        ),
    )
)
