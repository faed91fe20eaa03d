"""The ASGI application, and the one place that knows the order of things.

Ids, limits, the route, the handler, and whatever is refused on the way; then the headers of every answer, and the log.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import structlog

from adjoin.config import Config
from adjoin.identity import issuer
from adjoin.identity.discovery import Fetch
from adjoin.identity.parties import Parties
from adjoin.odata import path
from adjoin.odata.errors import Refusal
from adjoin.service.courier import Carry, Courier
from adjoin.service.deliveries import Deliveries
from adjoin.service.installation import Installation, open_installation
from adjoin.service.receivers import Allowed
from adjoin.service.subscriptions import Desk
from adjoin.service.throttle import Limits, Throttle
from adjoin.service.world import World
from adjoin.web import connector_wire, failures, front, login
from adjoin.web.connector_api import ConnectorApi
from adjoin.web.errors import BadHost, Crowded, MethodNotAllowed, Stopping, TargetTooLong, UnknownVersion
from adjoin.web.exchange import MAX_TARGET, ClientGone, Request, Response, echoed, headers_of
from adjoin.web.graph import Graph, located
from adjoin.web.heads import Heads, Known, digest_of, own_id
from adjoin.web.issuers import sources
from adjoin.web.login import Login
from adjoin.web.login.hosts import own_hosts
from adjoin.web.meter import Meter, may_read
from adjoin.web.proxies import Proxies, address_of, origin_of
from adjoin.web.timing import Stopwatch

if TYPE_CHECKING:
    from adjoin.web.tracing import Traces

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_ALWAYS: Final = (
    (
        b"x-ms-ags-diagnostic",
        b'{"ServerInfo":{"DataCenter":"adjoin","Slice":"E","Ring":"5","ScaleUnit":"000","RoleInstance":"adjoin"}}',
    ),
    (b"odata-version", b"4.0"),
    (b"x-content-type-options", b"nosniff"),
)
_TO_OTHER_ORIGINS: Final = (
    (b"access-control-allow-origin", b"*"),
    (
        b"access-control-expose-headers",
        (
            b"ETag, Location, Preference-Applied, Content-Range, request-id, client-request-id, "
            b"ReadWriteConsistencyToken, SdkVersion, WWW-Authenticate, x-ms-client-gcc-tenant, Retry-After"
        ),
    ),
)
_WITHOUT_BODY: Final = (204, 304)
_NOT_CACHED: Final = (b"cache-control", b"no-cache")
_ONLY_HTTPS: Final = (b"strict-transport-security", b"max-age=31536000")
_PREFLIGHT: Final = [
    ("access-control-allow-methods", "GET, POST, PATCH, PUT, DELETE, OPTIONS"),
    ("access-control-max-age", "3600"),
]
_DRAIN_SECONDS: Final = 20.0
_CONNECTORS: Final = f"/{connector_wire.ROOT}/"
_UNREAD: Final[tuple[Mapping[str, str], str, str | None, Known | None]] = ({}, "", None, None)


class Application:
    """The service as ASGI sees it. Open it before it answers (a lifespan does), close it after."""

    def __init__(
        self, config: Config, world: World | None = None, fetch: Fetch | None = None, carry: Carry | None = None
    ) -> None:
        self._config = config
        self._world = world or World()
        self._fetch = fetch
        self._carry = carry
        self._courier: Courier | None = None
        self._deliveries: Deliveries | None = None
        self._proxies = Proxies(config.trusted_networks, local=config.behind_proxy and not config.trusted_proxies)
        self._log = structlog.get_logger("adjoin.web")
        self._installation: Installation | None = None
        self._parties: Parties | None = None
        self._graph: Graph | None = None
        self._login: Login | None = None
        self._meter = Meter(config.max_requests)
        self._heads = Heads()
        self._traces: Traces | None = None
        self._watches = config.server_timing or config.traces
        self._logs = config.log_requests
        self._only_https = (config.public_url or "").startswith("https:")
        self._connectors: ConnectorApi | None = None
        self._stopping = False
        self._has_sent = False
        """Whether an answer was sent in this turn of the event loop."""

    @property
    def installation(self) -> Installation:
        if self._installation is None:
            raise RuntimeError("the application is not open")
        return self._installation

    @property
    def deliveries(self) -> Deliveries:
        if self._deliveries is None:
            raise RuntimeError("the application is not open")
        return self._deliveries

    async def open(self) -> None:
        """Open the installation. Raises what keeps it from opening (Unusable, KeyRefusal, BadIssuer)."""
        config = self._config
        self._installation = await open_installation(
            config.data_dir, config.database_place, config.keys_dir, self._world, config.audit_days
        )
        if self._installation.sharing is not None:
            self._installation.sharing.start()
        if config.traces:
            # Here, and not above: it need not be installed.
            from adjoin.web.tracing import Traces  # noqa: PLC0415

            self._traces = Traces()
        self._parties = await self._trusted(self._installation)
        limits = Limits.parse(config.throttle)
        throttle = Throttle(limits) if limits else None
        desk = self._desk()
        self._deliveries = Deliveries(self._installation.database, self._world, desk.carry)
        self._graph = Graph(
            self._installation, self._parties, self._world, desk, self._deliveries, self._heads, throttle
        )
        self._deliveries.start()
        hosts = own_hosts(config, socket.gethostname())
        self._login = Login(self._installation, self._world, config.national_cloud, hosts)
        self._connectors = ConnectorApi(self._installation, self._world, config.national_cloud)

    def _desk(self) -> Desk:
        """What takes subscriptions, and what carries notifications."""
        allowed = Allowed.parse(self._config.webhook_allow)
        if self._carry is not None:
            return Desk(allowed, self._carry, self._world)
        self._courier = Courier(allowed, self._config.webhook_ca)
        return Desk(allowed, self._courier, self._world)

    async def _trusted(self, installation: Installation) -> Parties:
        """Whose tokens are accepted."""
        config = self._config
        try:
            external = await sources(config.issuers, installation.database.reader, self._fetch)
        except BaseException:
            await self.close()
            raise
        cloud, audiences = config.national_cloud, config.audiences
        parties = Parties(
            installation.keys, lambda ring: issuer.trust(ring, cloud, audiences), external, self._world.now
        )
        parties.start()
        return parties

    async def close(self) -> None:
        """Refuse what is new, wait for what is under way, and let go of the database."""
        self._stopping = True
        self.release()
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self._meter.under_way and time.monotonic() < deadline:  # noqa: ASYNC110 - once, at the end of its life
            await asyncio.sleep(0.01)
        if self._deliveries is not None:
            await self._deliveries.stop()
        if self._courier is not None:
            await self._courier.close()
        if self._parties is not None:
            await self._parties.stop()
        if self._traces is not None:
            await asyncio.to_thread(self._traces.close)
            self._traces = None
        if self._installation is not None:
            if self._installation.sharing is not None:
                await self._installation.sharing.stop()
            await self._installation.close()
            self._installation = None

    def release(self) -> None:
        """Let requests go that wait for something to happen: the service is about to stop."""
        if self._connectors is not None:
            self._connectors.release()
        if self._graph is not None:
            self._graph.desk.questions.close()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            return self._answer(scope, receive, send)
        if scope["type"] == "lifespan":
            return self._live(receive, send)
        raise RuntimeError(f"{scope['type']} is not spoken here")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.open()
        except Refusal as refusal:
            await send({"type": "lifespan.startup.failed", "message": refusal.message})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, meter = time.perf_counter(), self._meter
        meter.under_way += 1
        try:
            request = self._request(scope, receive)
            try:
                response = await self._response(request, scope)
            except ClientGone:
                raise
            except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, the caller gets an answer
                response = failures.answer_to(error, request, self._world.now())
            if request.method != "GET":
                await request.pass_over()
            if request.watch is not None and self._config.server_timing:
                response.headers.append(request.watch.header())
            status, headers = response.status, _headers(request, response, self._only_https)
            # Those of a turn of the loop are sent in a row: sending wakes the thread that writes, and whoever reads.
            # The first may be the only one, and waits for no others.
            if self._has_sent:
                await meter.rest()
            else:
                self._has_sent = True
                asyncio.get_running_loop().call_soon(self._begin_turn)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            # HTTP/2 has no place for the body of an answer to HEAD, and the server would send it all the same.
            await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else response.body})
            taken = time.perf_counter() - started
            meter.count(request.operation, status, taken)
            if self._logs or self._traces is not None:
                self._tell(request, response, scope["scheme"], taken)
        except ClientGone:
            self._log.debug("client gone")
        finally:
            meter.under_way -= 1

    def _begin_turn(self) -> None:
        self._has_sent = False

    def _request(self, scope: Scope, receive: Receive) -> Request:
        raw, request_id = scope["headers"], self._world.new_request_id()
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        if path.startswith(_CONNECTORS):
            # Each connector has a token of its own, so that nobody's headers come twice in a while.
            digest, own, head = None, own_id(raw), None
        else:
            digest, own = digest_of(raw, scope["scheme"], scope.get("client"))
            head = self._heads.find(digest)
        headers, origin, address, known = head or _UNREAD
        return Request(
            scope["method"],
            path,
            scope["query_string"].decode("latin-1"),
            headers,
            origin,
            receive,
            request_id,
            request_id if own is None else echoed(own) or request_id,
            address,
            meter=self._meter,
            watch=Stopwatch() if self._watches else None,
            raw=raw,
            digest=digest,
            known=known,
        )

    async def _response(self, request: Request, scope: Scope) -> Response:
        fault = self._read_head(request, scope) if request.known is None else None
        if len(request.path) + len(request.query) > MAX_TARGET:
            raise TargetTooLong(MAX_TARGET)
        if fault is not None:
            raise fault
        graph, meter = self._graph, self._meter
        if graph is None or self._stopping:
            raise Stopping
        if meter.crowded and request.path not in front.ALWAYS:
            raise Crowded
        if request.method == "OPTIONS":
            return _preflight(request)
        found = None if request.path.startswith(_CONNECTORS) else located(request.path, request.method)
        if found is not None:
            return await graph.respond(request, *found)
        return await self._beside(request, path.segments(request.path))

    def _read_head(self, request: Request, scope: Scope) -> Refusal | None:
        """Fill in what the headers say, as far as it can be read, and give what they are to be refused for."""
        request.headers, fault = headers_of(request.raw)
        client = scope.get("client")
        request.address = address_of(request.headers, client, self._proxies)
        bad_host: BadHost | None = None
        try:
            request.origin = origin_of(request.headers, scope["scheme"], client, self._config.public_url, self._proxies)
        except BadHost as refusal:
            bad_host = refusal
        # Health checks of the plainest kind send no Host.
        return fault or (bad_host if request.path not in front.WITHOUT_HOST else None)

    async def _beside(self, request: Request, parts: tuple[str, ...]) -> Response:
        """Answer what is asked of something else than a version of Graph."""
        name = parts[0].lower() if parts else ""
        if self._parties is None:
            raise Stopping
        self._parties.notice(self._world.now())
        if name == connector_wire.ROOT and self._connectors is not None:
            return await self._connectors.respond(request, parts[1:])
        if login.serves(parts) and self._login is not None:
            return await self._login.respond(request, parts)
        counts = name == "metrics" and may_read(self._config.metrics, request.headers, request.address)
        if len(parts) < 2 and (name in front.PAGES or counts):
            request.operation = name or "root"
            if request.method not in ("GET", "HEAD"):
                raise MethodNotAllowed(("GET", "HEAD", "OPTIONS"))
            if counts:
                return self._counts(self._parties)
            return await front.PAGES[name](request, self.installation)
        raise UnknownVersion(parts[0][:128] if parts else "")

    def _counts(self, parties: Parties) -> Response:
        # Here, and not above: importing Prometheus' library is a good part of what a start would otherwise wait for.
        from adjoin.web import metrics  # noqa: PLC0415

        return metrics.page(self._meter, self.installation.commits, parties)

    def _tell(self, request: Request, response: Response, scheme: str, taken: float) -> None:
        """Tell log and traces of an answer that took so many seconds."""
        if self._traces is not None:
            self._traces.add(request, response, scheme, taken)
        if self._logs:
            self._log.info(
                "request",
                method=request.method,
                path=request.path,
                status=response.status,
                ms=round(taken * 1000, 2),
                request_id=request.id,
            )


def _headers(request: Request, response: Response, only_https: bool) -> list[tuple[bytes, bytes]]:
    """The headers of an answer: those of every one (graph-contract 3.4), and its own."""
    own, request_id = response.headers, request.id.encode()
    client_id = request_id if request.client_id is request.id else request.client_id.encode()
    cached = bool(own) and "cache-control" in dict(own)
    standing = _standing(only_https, "origin" in request.headers, cached, response.content_type)
    headers = [(b"request-id", request_id), (b"client-request-id", client_id), *standing]
    for name, value in own:
        headers.append((name.encode(), value.encode("latin-1", "replace")))
    if response.status not in _WITHOUT_BODY:
        headers.append((b"content-length", b"%d" % len(response.body)))
    return headers


@lru_cache(maxsize=256)
def _standing(
    only_https: bool, from_elsewhere: bool, cached: bool, content_type: str | None
) -> tuple[tuple[bytes, bytes], ...]:
    """The headers that answers of one kind share.

    `only_https`: the operator's URL is https, so that browsers may be told never to try its host without, by any port.
    `cached`: they say themselves how they may be.
    """
    return (
        *_ALWAYS,
        *((_ONLY_HTTPS,) if only_https else ()),
        *(_TO_OTHER_ORIGINS if from_elsewhere else ()),
        *(() if cached else (_NOT_CACHED,)),
        *(() if content_type is None else ((b"content-type", content_type.encode("latin-1", "replace")),)),
    )


def _preflight(request: Request) -> Response:
    """The answer to a browser that asks before a call from another origin; bearer tokens make any origin safe."""
    asked = request.headers.get("access-control-request-headers", "authorization, content-type, client-request-id")
    return Response(204, headers=[*_PREFLIGHT, ("access-control-allow-headers", asked)])


def create(
    config: Config, world: World | None = None, fetch: Fetch | None = None, carry: Carry | None = None
) -> Application:
    """The ASGI application for these settings.

    For tests, `world` replaces clock and randomness, `fetch` the network that external issuers are reached over, and
    `carry` the one that receivers of notifications are.
    """
    return Application(config, world, fetch, carry)
