"""What can be repeated no more is forgotten, a little at a time."""

from __future__ import annotations

from tests.server import Server

from adjoin.service import repeats as rules
from adjoin.service.repeats import WINDOW
from adjoin.store import repeats
from adjoin.store.database import Session
from adjoin.store.repeats import FORGOTTEN_AT_ONCE, Kept


def test_it_goes_some_at_a_time_and_what_can_be_repeated_stays(server: Server) -> None:
    number, now = server.tenant().number, int(server.clock.time)

    async def keep(session: Session) -> None:
        for each in range(FORGOTTEN_AT_ONCE + 5):
            await repeats.keep(session, number, "client", f"old {each}", Kept(b"", b""), now - WINDOW - 3_600)
        await repeats.keep(session, number, "client", "new", Kept(b"", b""), now)

    async def left() -> int:
        sql = "SELECT count(*) FROM repeated_requests WHERE tenant = ?1"
        ((count,),) = await server.application.installation.database.reader.fetch(sql, (number,))
        return int(count)

    server.write(keep)
    found = []
    for _ in range(3):
        server.run(rules.tidy(server.application.installation.database, now))
        found.append(server.run(left()))
    assert found == [6, 1, 1]
