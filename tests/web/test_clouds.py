"""The four national clouds: each takes its own tokens, names its own issuers, and refuses the others' tokens."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from adjoin.config import BadConfig, Config, load
from adjoin.identity import issuer
from adjoin.identity.clouds import CLOUDS, GRAPH_APP_ID, NAMED, CloudName, Version
from adjoin.identity.issuer import Grant
from adjoin.identity.keys import KeyRing
from adjoin.service.world import World
from adjoin.store import tenants
from adjoin.web.app import Application, create

NOW: Final = 1_800_000_000
LIST: Final = "/beta/deviceManagement/domainJoinConnectors"
NAMES: Final[tuple[CloudName, ...]] = get_args(CloudName)
VERSIONS: Final[tuple[Version, ...]] = ("1.0", "2.0")


class Clouds:
    """One installation, served as each of the clouds: the same keys, tenants and database."""

    def __init__(self, folder: Path) -> None:
        world = World(now=lambda: NOW)
        self._runner = asyncio.Runner()
        self.served: dict[CloudName, Application] = {}
        for name in NAMES:
            application = create(Config(data_dir=folder, cloud=name, log_requests=False), world)
            self._runner.run(application.open())
            self.served[name] = application
        installation = self.served["global"].installation
        self.ring: KeyRing = installation.ring
        self.tenant = self._runner.run(self._first_tenant())

    async def _first_tenant(self) -> str:
        return (await tenants.every(self.served["global"].installation.database.reader))[0].id

    def close(self) -> None:
        for application in self.served.values():
            self._runner.run(application.close())
        self._runner.close()

    def token(self, name: CloudName, version: Version, audience: str | None = None) -> str:
        grant = Grant(
            tenant_id=self.tenant,
            subject="aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
            client_id=issuer.CLI_CLIENT,
            permissions=frozenset({"DeviceManagementConfiguration.Read.All"}),
            version=version,
            audience=audience,
            cloud=NAMED[name],
        )
        return issuer.mint(self.ring.signing, grant, NOW, "u")

    def get(self, name: CloudName, path: str, token: str | None = None) -> tuple[int, Any]:
        sent: list[dict[str, Any]] = []
        headers = [(b"host", b"localhost")] + ([(b"authorization", f"Bearer {token}".encode())] if token else [])
        scope = {"type": "http", "method": "GET", "scheme": "http", "path": path, "query_string": b""}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        async def call() -> None:
            await self.served[name]({**scope, "headers": headers, "client": ("127.0.0.1", 1)}, receive, send)

        self._runner.run(call())
        return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clouds]:
    opened = Clouds(tmp_path_factory.mktemp("clouds") / "data")
    yield opened
    opened.close()


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("served", NAMES)
@pytest.mark.parametrize("minted", NAMES)
def test_a_token_is_good_in_its_own_cloud_alone(
    clouds: Clouds, minted: CloudName, served: CloudName, version: Version
) -> None:
    status, body = clouds.get(served, LIST, clouds.token(minted, version))
    if minted == served:
        assert status == 200, body
    else:
        assert (status, body["error"]["code"]) == (401, "InvalidAuthenticationToken")
        assert "Invalid audience" in body["error"]["message"] or "Invalid issuer" in body["error"]["message"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("served", NAMES)
@pytest.mark.parametrize("minted", NAMES)
def test_nor_does_graphs_id_as_audience_open_another(
    clouds: Clouds, minted: CloudName, served: CloudName, version: Version
) -> None:
    """The id is the same in all clouds, and some share their issuers: it is the one hard case."""
    status, _ = clouds.get(served, LIST, clouds.token(minted, version, GRAPH_APP_ID))
    assert status == (200 if minted == served else 401)


@pytest.mark.parametrize("name", NAMES)
def test_both_spellings_of_a_root_are_its_audience(clouds: Clouds, name: CloudName) -> None:
    for audience in (NAMED[name].graph_root, f"{NAMED[name].graph_root}/"):
        assert clouds.get(name, LIST, clouds.token(name, "1.0", audience))[0] == 200


@pytest.mark.parametrize(
    ("name", "audience", "v1", "v2"),
    [
        ("global", "https://graph.microsoft.com", "sts.windows.net", "login.microsoftonline.com"),
        ("usgov-l4", "https://graph.microsoft.us", "sts.windows.net", "login.microsoftonline.us"),
        ("usgov-l5", "https://dod-graph.microsoft.us", "sts.windows.net", "login.microsoftonline.us"),
        (
            "china",
            "https://microsoftgraph.chinacloudapi.cn",
            "sts.chinacloudapi.cn",
            "login.partner.microsoftonline.cn",
        ),
    ],
)
def test_what_tokens_and_discovery_name(clouds: Clouds, name: CloudName, audience: str, v1: str, v2: str) -> None:
    """graph-contract 4.6."""
    old, new = claims(clouds.token(name, "1.0")), claims(clouds.token(name, "2.0"))
    assert (old["aud"], old["iss"]) == (audience, f"https://{v1}/{clouds.tenant}/")
    assert (new["aud"], new["iss"]) == (GRAPH_APP_ID, f"https://{v2}/{clouds.tenant}/v2.0")
    assert ("msgraph_host" in old) is ("msgraph_host" in new) is (name != "global")
    status, document = clouds.get(name, f"/{clouds.tenant}/v2.0/.well-known/openid-configuration")
    assert (status, document["issuer"]) == (200, new["iss"])


def test_settings_name_each_cloud() -> None:
    assert set(NAMED) == set(NAMES)
    assert list(NAMED.values()) == list(CLOUDS.values())
    for name in NAMES:
        assert load({}, {"ADJOIN_CLOUD": name}, None).national_cloud is NAMED[name]
    assert load({}, {}, None).cloud == "global"


@pytest.mark.parametrize("name", ["Global", "usgov", "germany", "usgov-l6"])
def test_another_cloud_is_refused(name: str) -> None:
    with pytest.raises(BadConfig, match="cloud"):
        load({"cloud": name}, {}, None)
