"""Check-ins that are kept together: which ones may be, and that they leave what each alone would have left."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.opened import Place, connector, guid, new_tenant, on

from adjoin.model import CONNECTOR_STATE
from adjoin.odata.values import TICKS_PER_SECOND, Instant
from adjoin.service import connectors as rules
from adjoin.service.connectors import Turn
from adjoin.store import connectors, rows
from adjoin.store.connectors import Heard
from adjoin.store.database import Database, Session
from adjoin.store.silence import NEVER
from adjoin.store.tables import CONNECTORS

NOW: Final = Instant.from_unix(1_800_000_000)
HOUR: Final = 3_600 * TICKS_PER_SECOND
ONE: Final = "11111111-1111-4111-8111-111111111111"
OTHER: Final = "22222222-2222-4222-8222-222222222222"
NUMBERS: Final = count(1)

STATES: Final = st.sampled_from(["active", "error"])
VERSIONS: Final = st.sampled_from(["1.0.0.0", "2.0.0.0"])
COUNTS: Final = st.integers(1, 3)
# A connector as it is kept, and what it says next. Most say what is regular, as most do.
HELD: Final = st.fixed_dictionaries(
    {
        "state": STATES | st.just("inactive"),
        "version": VERSIONS,
        "since": st.sampled_from([0, 1, HOUR - 1, HOUR, 31 * 24 * HOUR, -HOUR, None]),
        "instance": st.sampled_from([None, ONE, OTHER]),
        "sequence": COUNTS,
        "doubled": st.sampled_from([0, 0, 0, 1]),
        "enrolled": st.sampled_from(["2027-01-01T00:00:00Z"] * 3 + [None]),
    }
)
SAID: Final = st.tuples(STATES, VERSIONS, st.sampled_from([ONE, OTHER]), COUNTS)
CROWDS: Final = st.lists(st.tuples(HELD, SAID), min_size=1, max_size=9)

Crowd = Sequence[tuple[dict[str, Any], tuple[str, str, str, int]]]


async def put(session: Session, tenant: int, crowd: Crowd) -> list[Heard]:
    """Rows for a tenant as they are held, and what their connectors say."""
    heard = []
    for number, (held, said) in enumerate(crowd):
        values = connector(number, state=held["state"], version=held["version"], lastConnectionDateTime=NOW)
        await rows.insert(session, CONNECTORS, tenant, values, 1)
        since = NEVER if held["since"] is None else NOW.ticks - held["since"]
        parameters = [tenant, guid(number), since]
        parameters += [held[name] for name in ("instance", "sequence", "doubled", "enrolled")]
        sql = (
            "UPDATE domain_join_connectors SET silent_since = ?3, instance = ?4, sequence = ?5, doubled = ?6, "
            "enrolled = ?7 WHERE tenant = ?1 AND id = ?2"
        )
        await session.fetch(sql, parameters)
        state, version, instance, sequence = said
        heard.append(Heard(guid(number), CONNECTOR_STATE.members[state], version, instance, sequence, f"[{number}]"))
    return heard


async def is_regular(session: Session, tenant: int, heard: Heard, since: int | None) -> bool:
    """Whether a check-in moves the time alone, by the rule over values; `since` is how long there was silence."""
    if since is not None and since >= HOUR:
        return False
    before = await connectors.find(session, tenant, heard.connector, NOW.ticks)
    if before is None or before.enrolled is None or before.doubled:
        return False
    if rules.turn(before, heard.instance, heard.sequence) is not Turn.NEW:
        return False
    shown = before["state"], before["version"]
    return shown == (next(name for name, each in CONNECTOR_STATE.members.items() if each == heard.state), heard.version)


async def held_by(session: Session, tenant: int) -> list[tuple[Any, ...]]:
    columns = (
        f"{CONNECTORS.selected}, last_connection_date_time_ticks, version_folded, row_version, "
        "instance, sequence, doubled, report, enrolled"
    )
    return await session.fetch(f"SELECT {columns} FROM {CONNECTORS.name} WHERE tenant = ?1 ORDER BY id", (tenant,))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(crowd=CROWDS)
def test_those_kept_together_are_the_regular_ones_and_leave_what_each_would_alone(place: Place, crowd: Crowd) -> None:
    at = Instant(NOW.ticks + 1)

    async def act(database: Database) -> None:
        together, alone = [await new_tenant(database, next(NUMBERS)) for _ in range(2)]

        async def write(session: Session) -> None:
            heard = await put(session, together.number, crowd)
            await put(session, alone.number, crowd)
            irregular = await connectors.irregular(session, together.number, NOW.ticks, heard)
            said = zip(heard, crowd, strict=True)
            regular = [
                each for each, (held, _) in said if await is_regular(session, together.number, each, held["since"])
            ]
            assert irregular == {each.connector for each in heard} - {each.connector for each in regular}
            if not regular:
                return
            await connectors.hear_all(session, together.number, at, regular)
            for each in regular:
                before = await connectors.find(session, alone.number, each.connector, NOW.ticks)
                assert before is not None
                await connectors.hear(session, alone.number, at, before, each)
            assert await held_by(session, together.number) == await held_by(session, alone.number)

        await database.write(write)

    on(place, act)


@pytest.mark.parametrize("crowd", [1, 2, 3, 5, 64, 100])
def test_of_any_number_each_is_heard_once(place: Place, crowd: int) -> None:
    async def act(database: Database) -> None:
        tenant = await new_tenant(database, next(NUMBERS))
        held = {"state": "active", "version": "1.0.0.0", "since": 0, "instance": ONE, "sequence": 1, "doubled": 0}
        said = ("active", "1.0.0.0", ONE, 2)

        async def write(session: Session) -> None:
            heard = await put(session, tenant.number, [({**held, "enrolled": "x"}, said)] * crowd)
            assert await connectors.irregular(session, tenant.number, NOW.ticks, heard) == set()
            await connectors.hear_all(session, tenant.number, NOW, heard)
            sql = f"SELECT sequence, row_version, report FROM {CONNECTORS.name} WHERE tenant = ?1 ORDER BY id"
            found = await session.fetch(sql, (tenant.number,))
            assert found == [(2, 2, f"[{number}]") for number in range(crowd)]

        await database.write(write)

    on(place, act)
