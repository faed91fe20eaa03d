"""The application around its handlers: its life, faults of its own, its log, its pages, and its end."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlencode

import pytest
import structlog
from structlog.testing import capture_logs
from tests.conftest import Opens
from tests.server import HOST, LIST, NOWHERE, PUBLISHED, Answer, Server, config_of, exchange, scope_of

from adjoin import __version__
from adjoin.cli import logs
from adjoin.service import entities, sign_in_scopes
from adjoin.store import tenants
from adjoin.store.database import Unavailable
from adjoin.web import app, failures
from adjoin.web import exchange as exchanging
from adjoin.web.app import Application

ITEM: Final = f"{LIST}/{NOWHERE}"
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(autouse=True)
def _usual_log() -> Iterator[None]:
    yield
    structlog.reset_defaults()


# --- its life


async def lifespan(application: Application, *events: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    waiting = [{"type": f"lifespan.{event}"} for event in events]

    async def receive() -> dict[str, str]:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await application({"type": "lifespan"}, receive, send)
    return sent


def test_lifespan_opens_and_closes(tmp_path: Path) -> None:
    application = app.create(config_of(tmp_path / "data"))
    sent = asyncio.run(lifespan(application, "startup", "shutdown"))
    assert [each["type"] for each in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert (tmp_path / "data" / "adjoin.db").exists()
    with pytest.raises(RuntimeError):
        _ = application.installation


def foreign(folder: Path) -> None:
    (folder / "adjoin.db").write_bytes(b"this is no database, and it is long enough not to be taken for an empty one")


def torn(folder: Path) -> None:
    (folder / "keys").mkdir(mode=0o700)
    (folder / "keys" / "key-000001.pem").write_text("torn")
    (folder / "keys" / "key-000001.pem").chmod(0o600)


def directory(folder: Path) -> None:
    (folder / "adjoin.db").mkdir()


@pytest.mark.parametrize("spoil", [foreign, torn, directory])
def test_start_that_fails_says_why(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    tmp_path.chmod(0o700)
    spoil(tmp_path)
    (sent,) = asyncio.run(lifespan(app.create(config_of(tmp_path)), "startup"))
    assert sent["type"] == "lifespan.startup.failed"
    assert str(tmp_path) in sent["message"]


def test_request_before_the_start_is_put_off(tmp_path: Path) -> None:
    application = app.create(config_of(tmp_path / "data"))
    scope = {"type": "http", "method": "GET", "scheme": "http", "path": LIST, "raw_path": LIST.encode()}
    usual = {"query_string": b"", "headers": [(b"host", HOST.encode())]}
    for target in (LIST, "/healthz", "/nothing"):
        asked = {**scope, **usual, "path": target, "raw_path": target.encode()}
        assert asyncio.run(exchange(application, asked, [b""])).status == 503


def test_websockets_are_not_spoken(server: Server) -> None:
    with pytest.raises(RuntimeError):
        server.run(exchange(server.application, {"type": "websocket"}, [b""]))


def test_server_that_gives_no_raw_path(server: Server) -> None:
    server.create()
    scope = {"type": "http", "method": "GET", "scheme": "http", "path": f"{LIST}/$count", "query_string": b""}
    headers = [(b"host", HOST.encode()), (b"authorization", f"Bearer {server.token()}".encode())]
    assert server.run(exchange(server.application, {**scope, "headers": headers}, [b""])).body == b"1"


def test_data_outlive_the_service(opens: Opens) -> None:
    first = opens()
    made = first.create()
    first.run(first.application.close())
    second = opens()
    token = second.token()
    assert second.call("GET", f"{LIST}/{made['id']}", token=token).json == made


# --- its end


async def create(server: Server, token: str, receive: Callable[[], Awaitable[Any]]) -> list[Any]:
    """A create call whose body comes as `receive` gives it, and what was sent in answer."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = {"host": HOST, "authorization": f"Bearer {token}", "content-type": "application/json"}
    scope = {"type": "http", "method": "POST", "scheme": "http", "path": LIST, "query_string": b""}
    scope |= {"headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    await server.application(scope, receive, send)
    return sent


def test_close_finishes_what_is_under_way_and_refuses_the_rest(server: Server) -> None:
    token, content = server.token(), json.dumps(dict(PUBLISHED)).encode()

    async def act() -> tuple[list[Any], Answer]:
        gate = asyncio.Event()

        async def body() -> dict[str, Any]:
            await gate.wait()
            return {"type": "http.request", "body": content, "more_body": False}

        under_way = asyncio.create_task(create(server, token, body))
        await asyncio.sleep(0)
        closing = asyncio.create_task(server.application.close())
        await asyncio.sleep(0)
        late = await server.answer("GET", LIST, token=token)
        assert not closing.done()
        gate.set()
        await closing
        return await under_way, late

    (start, rest), late = server.run(act())
    assert (start["status"], json.loads(rest["body"])["version"]) == (201, "Version value")
    assert (late.status, late.error["code"], late.said) == (
        503,
        "ServiceUnavailable",
        "The service is not taking requests now.",
    )
    assert late.headers["retry-after"] == "2"


def test_body_that_ends_too_early_is_refused_and_leaves_nothing(server: Server) -> None:
    """Whether its client is gone or listens on nobody can tell; unanswered, the server would tell it of a fault."""
    messages = [{"type": "http.request", "body": b'{"displayName"', "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    start, rest = server.run(create(server, server.token(), receive))
    assert (start["status"], json.loads(rest["body"])["error"]["code"]) == (400, "BadRequest")
    assert server.call("GET", f"{LIST}/$count").body == b"0"


def test_body_that_does_not_arrive_in_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanging, "_BODY_SECONDS", 0.0)

    async def receive() -> None:
        await asyncio.Event().wait()

    start, rest = server.run(create(server, server.token(), receive))
    assert (start["status"], json.loads(rest["body"])["error"]["code"]) == (408, "RequestTimeout")


@pytest.mark.parametrize(
    ("headers", "left"),
    [
        ({}, 0),
        ({"content-encoding": "br"}, 0),
        ({"content-length": str(exchanging.MAX_BODY + 1)}, 3),
        ({"expect": "100-continue"}, 3),
    ],
    ids=["usual", "of a kind that is not read", "too large", "held back"],
)
def test_refusal_waits_for_a_body_that_may_come(server: Server, headers: dict[str, str], left: int) -> None:
    """What is refused before its body is read: answered too early, HTTP/2 clients lose the answer."""
    waiting = [{"type": "http.request", "body": b"{}", "more_body": more} for more in (True, True, False)]
    sent: list[Any] = []

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        assert len(waiting) == left
        sent.append(message)

    scope = {"type": "http", "method": "POST", "scheme": "http", "path": LIST, "query_string": b""}
    scope |= {"headers": [(name.encode(), value.encode()) for name, value in {"host": HOST, **headers}.items()]}
    server.run(server.application(scope, receive, send))
    assert sent[0]["status"] == 401


def test_refusal_does_not_wait_for_ever_for_a_body(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanging, "_UNREAD_SECONDS", 0.0)

    async def receive() -> None:
        await asyncio.Event().wait()

    start, _ = server.run(create(server, "no token", receive))
    assert start["status"] == 401


def test_refusal_does_not_take_in_a_body_without_end(server: Server) -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": bytes(65_536), "more_body": True}

    start, _ = server.run(create(server, "no token", receive))
    assert start["status"] == 401


# --- faults


class Broken(Exception):
    """What no code expects."""


def break_down(*_: object) -> None:
    raise Broken("secrets of the trade")


@pytest.fixture
def broken(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A service that breaks down when it gets or makes an entity."""
    monkeypatch.setattr(entities, "get", break_down)
    monkeypatch.setattr(entities, "create", break_down)
    return server


def test_fault_is_graphs_500_which_tells_nothing(broken: Server) -> None:
    with capture_logs() as lines:
        answer = broken.call("GET", ITEM)
    assert (answer.status, answer.error["code"]) == (500, "InternalServerError")
    assert "secrets" not in answer.body.decode()
    assert answer.error["innerError"]["request-id"] == answer.headers["request-id"]
    assert answer.headers["content-type"] == "application/json"
    (line,) = (each for each in lines if each["log_level"] == "error")
    assert isinstance(line["exc_info"], Broken)
    assert line["request_id"] == answer.headers["request-id"]


def test_service_goes_on_after_a_fault(broken: Server) -> None:
    with capture_logs():
        assert broken.call("POST", LIST, PUBLISHED).status == 500
    assert broken.call("GET", LIST).status == 200


# --- its log


def every_kind_of_request(server: Server) -> list[str]:
    """Calls of all kinds, and the secrets that went with them."""
    token, lapsed = server.token(), server.token(expires_in=-1)
    added, secret = server.add_app("tool")
    made = server.create()
    batch = {"requests": [{"id": "1", "method": "GET", "url": f"/deviceManagement/domainJoinConnectors/{NOWHERE}"}]}
    for method, target, body in (
        ("GET", LIST, None),
        ("GET", ITEM, None),
        ("POST", LIST, PUBLISHED),
        ("POST", LIST, b"{"),
        ("PATCH", f"{LIST}/{made['id']}", {"state": "active"}),
        ("DELETE", f"{LIST}/{made['id']}", None),
        ("POST", "/beta/$batch", batch),
        ("TRACE", LIST, None),
        ("GET", "/nothing", None),
    ):
        for each in (token, lapsed, f"{token}x", None):
            server.call(method, target, body, {"Content-Type": "application/json"}, token=each)
    for given in (secret, "wrong-secret-of-a-client"):
        form = {"grant_type": "client_credentials", "client_id": added.id, "client_secret": given}
        body = urlencode({**form, "scope": "https://graph.microsoft.com/.default"}).encode()
        granted = server.call("POST", "/default/oauth2/v2.0/token", body, FORM, token=None)
    return [token, lapsed, secret, "wrong-secret-of-a-client", str(granted.json.get("access_token"))]


def parts(secret: str) -> list[str]:
    """Pieces by which a secret is known, even cut short."""
    return [piece[-24:] for piece in secret.split(".")] if secret.startswith("ey") else [secret[:16]]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("faulty", [False, True], ids=["well", "with faults"])
def test_no_secret_is_logged(
    opens: Opens, monkeypatch: pytest.MonkeyPatch, form: Literal["text", "json"], faulty: bool
) -> None:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    logs.configure("debug", form)
    # The module's own logger may have been bound to the log of an earlier test.
    monkeypatch.setattr(failures, "_LOG", structlog.get_logger())
    server = opens(log_requests=True)
    if faulty:
        monkeypatch.setattr(entities, "get", break_down)
        monkeypatch.setattr(entities, "alter", break_down)
        monkeypatch.setattr(sign_in_scopes, "check_application_scope", break_down)
    secrets = every_kind_of_request(server)
    assert ("Broken" in written.getvalue()) == faulty
    assert LIST in written.getvalue()
    for secret in secrets:
        for part in parts(secret):
            assert part not in written.getvalue()
    assert "Bearer ey" not in written.getvalue()


def test_each_request_is_a_line_of_the_log(opens: Opens) -> None:
    server = opens(log_requests=True)
    with capture_logs() as lines:
        answer = server.call("GET", f"{ITEM}?$select=id")
    (line,) = lines
    assert line["event"] == "request"
    assert (line["method"], line["path"], line["status"]) == ("GET", ITEM, 404)
    assert line["request_id"] == answer.headers["request-id"]


# --- its pages


@pytest.mark.parametrize("target", ["/healthz", "/readyz", "/HealthZ"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health(shared: Server, target: str, method: str) -> None:
    answer = shared.call(method, target, token=None)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "target", ["/", "/healthz", "/openapi.json", "/nothing", "/default/v2.0/.well-known/keys", LIST]
)
def test_to_head_only_the_length_of_a_body_is_told(shared: Server, target: str) -> None:
    """Every status counts: HTTP/2 clients take a body there for a fault of the protocol."""
    answer = shared.call("HEAD", target, token=None)
    assert (answer.body, int(answer.headers["content-length"]) > 0) == (b"", True)


def test_not_ready_without_a_database(shared: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unavailable(_: object) -> None:
        raise Unavailable("The database is gone.")

    monkeypatch.setattr(tenants, "every", unavailable)
    assert shared.call("GET", "/healthz", token=None).status == 200
    refused = shared.call("GET", "/readyz", token=None)
    assert (refused.status, refused.error["code"]) == (503, "ServiceUnavailable")
    assert refused.headers["retry-after"] == "2"


def test_front_page(shared: Server) -> None:
    page = shared.call("GET", "/", headers={"Host": "graph.example.com"}, token=None)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert f"adjoin {__version__}" in page.body.decode()
    assert "http://graph.example.com/beta/" in page.body.decode()


def test_front_page_takes_no_markup_from_outside(opens: Opens) -> None:
    page = opens(public_url="https://x/<script>").call("GET", "/", token=None)
    assert b"<script>" not in page.body


def test_openapi_document(shared: Server) -> None:
    document = shared.call("GET", "/openapi.json", token=None).json
    assert document["openapi"].startswith("3.")
    assert document["servers"][0]["url"] == f"http://{HOST}/beta"
    assert "/deviceManagement/domainJoinConnectors" in document["paths"]


@pytest.mark.parametrize("target", ["/", "/healthz", "/readyz", "/openapi.json"])
def test_pages_are_read_alone(shared: Server, target: str) -> None:
    assert shared.call("POST", target, b"", token=None).status == 405


# --- the order in which answers leave


def test_the_answers_of_a_turn_are_sent_in_a_row_but_for_the_first(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sending wakes others: the thread that writes to the network, and whoever reads what it writes."""
    server, events = opens(), list[str]()
    respond = server.application._response

    async def responding(*asked: Any) -> Any:
        answer = await respond(*asked)
        events.append("made")
        return answer

    async def receive() -> Any:
        raise AssertionError("a GET has no body")

    async def send(message: Any) -> None:
        events.append("sent" if message["type"] == "http.response.body" else "begun")

    async def ask(count: int) -> None:
        scope = scope_of("GET", "/healthz", [("host", HOST)])
        await asyncio.gather(*(server.application(scope, receive, send) for _ in range(count)))

    monkeypatch.setattr(server.application, "_response", responding)
    for count in (1, 4, 1):
        server.run(ask(count))
    one = ["made", "begun", "sent"]
    assert events == [*one, *one, *["made"] * 3, *["begun", "sent"] * 3, *one]


def test_every_operation_of_the_document_has_an_id_of_its_own(shared: Server) -> None:
    paths = shared.call("GET", "/openapi.json", token=None).json["paths"]
    verbs = ("get", "post", "put", "patch", "delete")
    ids = [item[verb].get("operationId") for item in paths.values() for verb in verbs if verb in item]
    assert None not in ids
    assert len(set(ids)) == len(ids)
    assert {each for each in ids if each.startswith("connector.")} == {
        f"connector.{name}" for name in ("Hello", "Enroll", "Key", "CheckIn", "Work", "Leave")
    }
