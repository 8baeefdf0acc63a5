"""How often a token is looked up, and that a revoked token writes nothing."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from healthreports.app import now
from healthreports.core.errors import Forbidden, Unauthenticated
from healthreports.core.model import Actor, Instant
from healthreports.core.tags import Tags
from healthreports.core.vocabulary import AccountPermission
from healthreports.service.auth import tokens
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.limits import MEMORY, Limits
from healthreports.service.people import accounts, members
from healthreports.store.engine.sqlite import SqliteDatabase
from healthreports.store.schema.upgrade import upgrade


class Desk:
    """A gateway that counts how often it looks up a token."""

    def __init__(self, path: Path) -> None:
        upgrade(str(path))
        self.database = SqliteDatabase(path, 1.0)
        self.looked_up = 0

        def authenticate(tx: Transaction, secret: str, at: Instant) -> Actor:
            self.looked_up += 1
            return tokens.authenticate(tx, secret, at)

        self.gateway = Gateway(self.database, now, Limits(MEMORY, 0, 0), Tags("test"), authenticate)

    def token(self, *, read_only: bool = False) -> str:
        def work(tx: Transaction) -> str:
            user = members.create_user(
                tx,
                accounts.create_account(tx, "A", now()),
                full_name="U",
                email_address="u@example.org",
                permission=AccountPermission.ADMINISTRATOR,
                now=now(),
            )
            scopes = tokens.scopes_for(read_only=read_only)
            return tokens.issue(tx, user, "t", now(), scopes=scopes)

        secret = self.database.write_here(work)
        # The first use of a token is recorded, for which the token is looked up once more.
        asyncio.run(self.gateway.read(secret, lambda _tx, _actor: None))
        self.looked_up = 0
        return secret


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "x.sqlite3")
    yield made
    made.database.close()


def test_a_write_looks_its_token_up_twice(desk: Desk) -> None:
    secret = desk.token()

    async def write() -> int:
        writer = await desk.gateway.admit_writer(secret)
        assert desk.looked_up == 1, "once before the body is read"
        return await desk.gateway.write(writer, lambda _tx, actor, _now: actor.user_id)

    assert asyncio.run(write()) == 1
    assert desk.looked_up == 2, "and once in the transaction that commits"


def test_a_token_that_is_revoked_between_the_two_looks_writes_nothing(desk: Desk) -> None:
    secret = desk.token()
    written = []

    async def write() -> None:
        writer = await desk.gateway.admit_writer(secret)
        await asyncio.to_thread(desk.database.write_here, lambda tx: tokens.revoke(tx, 1, now()))
        await desk.gateway.write(writer, lambda _tx, _actor, _now: written.append(1))

    with pytest.raises(Unauthenticated):
        asyncio.run(write())
    assert written == []


def test_a_token_that_may_only_read_is_refused_before_the_body_is_read(desk: Desk) -> None:
    secret = desk.token(read_only=True)
    with pytest.raises(Forbidden):
        asyncio.run(desk.gateway.admit_writer(secret))
    assert desk.looked_up == 1
