"""Random requests from a seed: near enough to good ones to get far in, and wrong in every way that bytes allow."""

# ruff: noqa: SIM905 - words in one string are easier to add to than a list of quoted words

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

LIST: Final = "/beta/deviceManagement/domainJoinConnectors"
ID: Final = "77296cf7-6cf7-7729-f76c-2977f76c2977"
PUBLISHED: Final[dict[str, Any]] = {
    "@odata.type": "#microsoft.graph.deviceManagementDomainJoinConnector",
    "displayName": "Display Name value",
    "lastConnectionDateTime": "2016-12-31T23:58:36.6670033-08:00",
    "state": "error",
    "version": "Version value",
}

_METHODS: Final = (
    ("GET",) * 8 + ("POST",) * 5 + ("PATCH",) * 3 + ("DELETE", "PUT", "HEAD", "OPTIONS", "TRACE", "get", "X")
)
_TAME_METHODS: Final = ("GET",) * 8 + ("POST",) * 4 + ("PATCH",) * 3 + ("DELETE",)
_STARTS: Final = (
    *(LIST,) * 5,
    *"/beta/deviceManagement /beta /v1.0 /v1.0/deviceManagement /default/oauth2/v2.0/token".split(),
    *"/default/v2.0/.well-known/openid-configuration /default/discovery/keys /openapi.json /readyz /metrics".split(),
    "",
)
_SEGMENTS: Final = (
    *"$count $value $metadata $batch $ref state displayName lastConnectionDateTime id version .. . ~ * ;x=1".split(),
    *"microsoft.graph.entity graph.deviceManagement deviceManagement domainJoinConnectors".split(),
    *"%2e%2e %2F % %zz %ff %00 %C0%AF ('') (id='x') () \x7f é".split(),
    *(f"('{ID}')", f"({ID})", "$filter(state eq 'error')", "a" * 1_100),
)
_OPTIONS: Final = (
    *"filter filter filter orderby orderby select expand top skip count search format skiptoken".split(),
    *"apply compute deltatoken index levels id schemaversion nonsense @p custom".split(),
)
_LITERALS: Final = (
    *"null true 'error' 'it''s' '' 5 -0 1.5 1e309 NaN INF 2016-12-31 2016-12-31T23:58:36.6670033-08:00".split(),
    *"0001-01-01T00:00:00Z 23:59:59 duration'P1D' @p $it binary'AA' '%' [1,2] ('a','b') {\"a\":1} now()".split(),
    *("microsoft.graph.deviceManagementDomainJoinConnectorState'active'", "'\U0001f600'", "9" * 400, ID),
)
_NAMES: Final = "state displayName lastConnectionDateTime version id nope State a/b $it/state".split()
_OPERATORS: Final = "eq ne gt ge lt le and or add sub mul div mod has in xx".split()
_FUNCTIONS: Final = (
    *"contains startswith endswith length indexof substring tolower toupper trim concat matchesPattern".split(),
    *"year month day hour minute second fractionalseconds date time totaloffsetminutes".split(),
    *"round floor ceiling cast isof nope not".split(),
)
# Expressions that are right, for the random ones are mostly refused before they reach the database.
_GOOD: Final = (
    "state eq 'error'",
    "state in ('active','inactive') or not (displayName eq null)",
    "contains(tolower(displayName),'value') and version ne 'x'",
    "lastConnectionDateTime ge 2016-01-01T00:00:00Z",
    "year(lastConnectionDateTime) gt 2015",
    "length(displayName) mod 2 eq 0",
    "startswith(displayName,'Dis') eq true",
    "indexof(version,'v') ge 0 and substring(version,1,2) ne ''",
)
_ACCEPTS: Final = (
    *"*/* application/json;odata.metadata=full application/json;odata.metadata=none application/json".split(),
    *"application/json;odata.metadata=x application/xml text/plain image/png , ;q=2".split(),
    "a" * 9_000,
)
_PREFERS: Final = (
    *"return=minimal return=representation odata.maxpagesize=1 maxpagesize=0 maxpagesize=99999999999".split(),
    *"respond-async odata.continue-on-error = ,,; return=x,odata.maxpagesize=2".split(),
)
_TYPES: Final = (
    *("application/json",) * 12,
    *"application/json;charset=utf-16 text/plain application/x-www-form-urlencoded application/json;;;".split(),
    *("multipart/form-data; boundary=x", "\xff", ""),
)
_VERSIONS: Final = ("4.0", "4.01", "3.0", "5.0", "", "x", "4.0.0", "9" * 50)
_ETAGS: Final = ("*", 'W/"1"', '"x"', "W/", "", 'W/"1", W/"2"', '"', 'W/"\'"')
_NUMBERS: Final = (*"0 1 2 5 1000 1001 -1 1.5 x 0x1 1e3 \u0661".split(), "", " 3 ", "9" * 15, "9" * 5_000)
_VALUES: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        0,
        -1,
        2**63,
        10**400,
        1e308,
        float("inf"),
        "",
        "\x00",
        "\ud800",
        "x" * 600,
        [],
        {},
        {"a": []},
        [[[]]],
    ),
    *(*_LITERALS, "2", "active", "\U0001f600", "#microsoft.graph.entity", "9999-12-31T23:59:59.9999999-23:59"),
)


# Which headers are sent, with which values, and how often.
_HEADERS: Final[tuple[tuple[str, tuple[str, ...], float], ...]] = (
    ("accept", _ACCEPTS, 0.3),
    ("prefer", _PREFERS, 0.2),
    ("odata-version", _VERSIONS, 0.08),
    ("odata-maxversion", _VERSIONS, 0.08),
    ("if-match", _ETAGS, 0.1),
    ("if-none-match", _ETAGS, 0.1),
    ("client-request-id", (ID, "", "x" * 200, "a\tb"), 0.1),
    ("origin", ("https://x", "null", ""), 0.05),
    ("content-length", ("0", "5", "x", "-1", "9" * 30), 0.02),
    ("x-forwarded-host", ("evil", ""), 0.05),
    ("access-control-request-headers", ("authorization", "\xff", ""), 0.05),
    ("consistencylevel", ("eventual",), 0.05),
    ("accept", _ACCEPTS, 0.02),
    ("host", ("twice",), 0.01),
    ("x", ("y" * 70_000,), 0.005),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a server would hand it to the application."""

    method: str
    path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass(slots=True)
class Generator:
    """Requests from one source of randomness; `seen` holds what answers gave, to be used again."""

    rng: random.Random
    token: str
    seen: list[str] = field(default_factory=lambda: [ID])

    def next(self) -> Asked:
        """A request that is wrong in one part, if at all; or, half the time, perhaps in every part."""
        rng = self.rng
        tame = rng.random() < 0.5
        method = rng.choice(_TAME_METHODS if tame else _METHODS)
        body = self._body() if method in ("POST", "PATCH", "PUT") or rng.random() < 0.05 else b""
        if tame:
            path, query = self._tame_path(method), self._query() if method == "GET" else b""
            return Asked(method, path.encode(), query, self._tame_headers(), body)
        headers = self._headers(bool(body))
        if body and rng.random() < 0.05:
            headers.append((b"content-encoding", rng.choice((b"gzip", b"gzip", b"br", b"identity", b"x"))))
            body = gzip.compress(body, 1) if rng.random() < 0.7 else body
        return Asked(method, self._path(method), self._query() if rng.random() < 0.6 else b"", headers, body)

    def _tame_path(self, method: str) -> str:
        if method == "POST" or (method == "GET" and self.rng.random() < 0.6):
            return LIST
        return f"{LIST}/{self.rng.choice(self.seen)}"

    def _tame_headers(self) -> list[tuple[bytes, bytes]]:
        headers = [
            ("host", "localhost"),
            ("authorization", f"Bearer {self.token}"),
            ("content-type", "application/json"),
        ]
        return [(name.encode(), value.encode()) for name, value in headers]

    def _path(self, method: str) -> bytes:
        rng = self.rng
        path = rng.choice(_STARTS) if rng.random() < 0.6 else LIST
        if method in ("PATCH", "DELETE", "PUT") and rng.random() < 0.7:
            key = rng.choice(self.seen)
            path = f"{LIST}/{key}" if rng.random() < 0.7 else f"{LIST}('{key}')"
        elif rng.random() < 0.4:
            below = (
                rng.choice(self.seen if rng.random() < 0.3 else _SEGMENTS) for _ in range(rng.choice((1, 1, 2, 3)))
            )
            path = "/".join([path, *below])
        if rng.random() < 0.1:
            path = self._mutated(path)
        if rng.random() < 0.01:
            path += "/a" * rng.choice((31, 40, 9_000))
        # A server hands over what stands in the request line: any byte but blanks and controls.
        return bytes(each for each in path.encode("utf-8", "replace") if each > 0x20 and each not in b"?#") or b"/"

    def _query(self) -> bytes:
        rng = self.rng
        parts = []
        for _ in range(rng.choice((1, 2, 3, 70)) if rng.random() < 0.1 else rng.choice((0, 1, 1, 2))):
            name = rng.choice(_OPTIONS)
            prefix = rng.choice(("$", "$", "$", "", "%24", "$$"))
            parts.append(f"{prefix}{self._case(name)}={self._encoded(self._option(name))}")
        query = "&".join(parts)
        if rng.random() < 0.1:
            query = self._mutated(query)
        return bytes(each for each in query.encode("utf-8", "replace") if each > 0x20 and each not in b"#")

    def _option(self, name: str) -> str:
        rng = self.rng
        simple: dict[str, Callable[[], str]] = {
            "filter": lambda: rng.choice(_GOOD) if rng.random() < 0.4 else self._expression(rng.choice((1, 2, 3, 5))),
            "orderby": lambda: ",".join(self._sort_key() for _ in range(rng.choice((1, 2, 5)))),
            "select": lambda: ",".join(rng.choice((*_NAMES, "*", "")) for _ in range(rng.choice((1, 2, 9)))),
            "top": lambda: rng.choice(_NUMBERS),
            "skip": lambda: rng.choice(_NUMBERS),
            "count": lambda: rng.choice(("true", "false", "TRUE", "1", "")),
            "search": lambda: rng.choice(("a", '"a b"', "a AND b", "NOT a", "(a OR b)", "AND", '"', "a" * 300, "é*")),
            "format": lambda: rng.choice(("json", "xml", "atom", "", "application/json;odata.metadata=full", "json;x")),
            "skiptoken": lambda: rng.choice((*self.seen, "", "x", "A" * 3_000)),
            "@p": lambda: rng.choice(_LITERALS),
        }
        return simple.get(name, lambda: rng.choice((*_NAMES, *_LITERALS)))()

    def _sort_key(self) -> str:
        by = self.rng.choice(_NAMES[:5]) if self.rng.random() < 0.7 else self._expression(2)
        return f"{by} {self.rng.choice(('asc', 'desc', '', 'x'))}"

    def _expression(self, depth: int) -> str:
        rng = self.rng
        if depth <= 0 or rng.random() < 0.2:
            return rng.choice(_NAMES if rng.random() < 0.5 else _LITERALS)
        kind = rng.random()
        if kind < 0.6:
            return f"{self._expression(depth - 1)} {rng.choice(_OPERATORS)} {self._expression(depth - 1)}"
        if kind < 0.85:
            arguments = ",".join(self._expression(depth - 2) for _ in range(rng.choice((0, 1, 1, 2, 2, 3))))
            return f"{rng.choice(_FUNCTIONS)}({arguments})"
        if kind < 0.98:
            return f"{rng.choice(('not ', '-', ''))}({self._expression(depth - 1)})"
        return "(" * rng.choice((50, 2_000)) + "1"

    def _headers(self, with_body: bool) -> list[tuple[bytes, bytes]]:
        rng = self.rng
        wrong = ("", "Bearer", "Basic eDp5", "Bearer x.y.z", f"Bearer {self._mutated(self.token)}")
        headers = [("host", rng.choice(("localhost:8365",) * 9 + ("", "a b", "[::1]:1", "x" * 300, "h:99999999")))]
        headers += [("authorization", f"Bearer {self.token}" if rng.random() < 0.9 else rng.choice(wrong))]
        headers += [("content-type", rng.choice(_TYPES))] if with_body else []
        headers += [(name, rng.choice(values)) for name, values, often in _HEADERS if rng.random() < often]
        return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]

    def _body(self) -> bytes:
        rng = self.rng
        kind = rng.random()
        if kind < 0.75:
            body = dict(PUBLISHED)
            for _ in range(rng.choice((0, 0, 1, 1, 2, 5))):
                self._change(body)
            text = json.dumps(body, ensure_ascii=rng.random() < 0.5)
            text = self._mutated(text) if rng.random() < 0.15 else text
            return text.encode("utf-8", "surrogatepass")
        return rng.choice(_BODIES)(rng)

    def _change(self, body: dict[str, Any]) -> None:
        rng = self.rng
        name = rng.choice((*PUBLISHED, "id", "@odata.context", "state@odata.type", "@type", "nope", "", "\ud800", "@"))
        if rng.random() < 0.3:
            body.pop(name, None)
        else:
            body[name] = rng.choice((*_VALUES, *self.seen))

    def _mutated(self, text: str) -> str:
        rng = self.rng
        for _ in range(rng.choice((1, 1, 2, 4))):
            at = rng.randrange(len(text) + 1)
            change = rng.random()
            if change < 0.4:
                text = text[:at] + chr(rng.choice((*range(0x21, 0x7F), 0x00, 0x7F, 0xE9, 0x1F600))) + text[at + 1 :]
            elif change < 0.7:
                text = text[:at] + text[at + rng.randrange(1, 8) :]
            else:
                text = text[:at] + text[max(0, at - 10) : at] + text[at:]
        return text

    def _case(self, text: str) -> str:
        return self.rng.choice((text, text, text, text.upper(), text.title()))

    def _encoded(self, text: str) -> str:
        unsafe = "%&=+# " if self.rng.random() < 0.9 else ""
        return "".join(f"%{ord(each):02X}" if each in unsafe or ord(each) < 0x20 else each for each in text)


_BODIES: Final[tuple[Callable[[random.Random], bytes], ...]] = (
    lambda _: b"",
    lambda _: b"{}",
    lambda _: b"null",
    lambda _: b"\xef\xbb\xbf" + json.dumps(PUBLISHED).encode(),
    lambda rng: rng.randbytes(rng.choice((1, 50, 3_000))),
    lambda rng: b"[" * rng.choice((10, 900, 100_000)),
    lambda rng: b'{"a":' * rng.choice((10, 900, 100_000)),
    lambda rng: b'{"state":' + b"9" * rng.choice((20, 4_299, 5_000, 500_000)) + b"}",
    lambda rng: b'{"displayName":"' + b"x" * rng.choice((512, 513, 1_000_000, 1_100_000)) + b'"}',
    lambda rng: ("{" + ",".join(f'"a@{at}":0' for at in range(rng.choice((5, 5_000)))) + "}").encode(),
    lambda rng: ("{" + ",".join(f'"{at}":0' for at in range(rng.choice((5, 5_000)))) + ',"x":1,"x":2}').encode(),
    lambda _: b'{"requests":[{"id":"1","method":"GET","url":"/deviceManagement/domainJoinConnectors"}]}',
    lambda _: b"grant_type=client_credentials&client_id=x&client_secret=%00%ff&scope=https%3A%2F%2Fx%2F.default",
    lambda _: b"&" * 200,
    lambda _: gzip.compress(b"0" * 3_000_000),
)  # fmt: skip
