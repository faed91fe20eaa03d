"""The same list as its tutorial would have it, over SQLite in WAL mode; the token of every request is verified."""

import os
import uuid
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import event
from sqlmodel import Field, Session, SQLModel, create_engine, select

KEY = os.environ["PEER_KEY"]
app = FastAPI()
# The default pool deadlocks under 64 clients.
engine = create_engine(
    f"sqlite:///{os.environ['PEER_FILE']}", connect_args={"check_same_thread": False}, pool_size=64, max_overflow=0
)


@event.listens_for(engine, "connect")
def pragmas(connection, _):
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=10000")


class Values(SQLModel):
    displayName: str | None
    lastConnectionDateTime: str
    state: str
    version: str


class Connector(Values, table=True):
    id: str = Field(default_factory=lambda: str(uuid.uuid4()), primary_key=True)


SQLModel.metadata.create_all(engine)


def caller(token: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]):
    try:
        return jwt.decode(token.credentials, KEY, ["RS256"], options={"verify_aud": False})
    except jwt.PyJWTError:
        raise HTTPException(401) from None


def session():
    with Session(engine) as opened:
        yield opened


Db = Annotated[Session, Depends(session)]
LIST = "/beta/deviceManagement/domainJoinConnectors"


@app.get(LIST, dependencies=[Depends(caller)])
def listed(db: Db, top: Annotated[int, Query(le=1000)] = 100, skip: int = 0, state: str = "", contains: str = "") -> list[Connector]:
    wanted = select(Connector)
    if state:
        wanted = wanted.where(Connector.state == state)
    if contains:
        wanted = wanted.where(Connector.displayName.contains(contains))
    return db.exec(wanted.order_by(Connector.id).offset(skip).limit(top)).all()


@app.get(LIST + "/{key}", dependencies=[Depends(caller)])
def got(db: Db, key: str) -> Connector:
    if found := db.get(Connector, key):
        return found
    raise HTTPException(404)


@app.post(LIST, status_code=201, dependencies=[Depends(caller)])
def created(db: Db, values: Values) -> Connector:
    made = Connector.model_validate(values)
    db.add(made)
    db.commit()
    db.refresh(made)
    return made
