"""Times in records never go back, even if the clock is set back.

Every kind of record that has an `updated_at` is changed here. The test fails for a new kind that
is not changed here.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from healthreports.core.model import KIND_OF, Actor, Instant
from healthreports.core.vocabulary import AccountPermission, Kind
from healthreports.service.auth import tokens
from healthreports.service.people import accounts, groups, members, workspaces
from healthreports.service.reports import references, reports
from healthreports.store.engine.database import Transaction
from healthreports.store.engine.sqlite import SqliteDatabase
from healthreports.store.schema.upgrade import upgrade

THEN = Instant(1_700_000_000_000_000)
DAY_BEFORE = Instant(THEN - 86_400_000_000)
REFERENCE = {
    "subject_type": "StatusReport",
    "service_name": "jira",
    "service_model": "issue",
    "service_model_ref": "K-1",
}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    path = tmp_path / "x.sqlite3"
    upgrade(str(path))
    opened = SqliteDatabase(path, 1.0)
    yield opened
    opened.close()


def an_actor(tx: Transaction) -> Actor:
    user = members.create_user(
        tx,
        accounts.create_account(tx, "A", THEN),
        full_name="U",
        email_address="u@example.org",
        permission=AccountPermission.ADMINISTRATOR,
        now=THEN,
    )
    return tokens.authenticate(tx, tokens.issue(tx, user, "t", THEN), THEN)


def a_workspace(tx: Transaction, actor: Actor) -> int:
    return workspaces.create_workspace(tx, actor, {"title": "W"}, THEN).id


def a_report(tx: Transaction, actor: Actor) -> Any:
    sent = {"workspace_id": a_workspace(tx, actor), "color": "red", "description": "x"}
    return reports.create(tx, actor, sent, THEN)


def change_report(tx: Transaction, actor: Actor, now: Instant) -> tuple[Any, Any]:
    made = a_report(tx, actor)
    return made, reports.change(tx, actor, made.id, {"color": "green"}, now)


def change_workspace(tx: Transaction, actor: Actor, now: Instant) -> tuple[Any, Any]:
    made = workspaces.create_workspace(tx, actor, {"title": "W"}, THEN)
    return made, workspaces.change_workspace(tx, actor, made.id, {"title": "V"}, now)


def change_participation(tx: Transaction, actor: Actor, now: Instant) -> tuple[Any, Any]:
    space = a_workspace(tx, actor)
    user = members.create_user(
        tx,
        actor.account_id,
        full_name="V",
        email_address="v@example.org",
        permission=AccountPermission.COLLABORATOR,
        now=THEN,
    )
    sent = {"workspace_id": space, "user_id": user.id, "permission": "view"}
    made = workspaces.create_participation(tx, actor, sent, THEN)
    return made, workspaces.change_participation(tx, actor, made.id, {"permission": "edit"}, now)


def change_membership(tx: Transaction, actor: Actor, now: Instant) -> tuple[Any, Any]:
    sent = {"full_name": "V", "email_address": "v@example.org", "permission": "collaborator"}
    made = members.create_membership(tx, actor, sent, THEN)
    return made, members.change_membership(tx, actor, made.id, {"disabled": True}, now)


def change_reference(tx: Transaction, actor: Actor, now: Instant) -> tuple[Any, Any]:
    sent = REFERENCE | {"subject_id": a_report(tx, actor).id}
    made = references.create_or_update(tx, actor, sent, THEN)
    return made, references.create_or_update(tx, actor, sent | {"external_status": "late"}, now)


def change_group(tx: Transaction, actor: Actor, now: Instant) -> tuple[Any, Any]:
    made = groups.create_group(tx, actor, {"name": "G"}, THEN)
    return made, groups.change_group(tx, actor, made.id, {"company": True}, now)


CHANGES: dict[Kind, Callable[[Transaction, Actor, Instant], tuple[Any, Any]]] = {
    Kind.STATUS_REPORTS: change_report,
    Kind.WORKSPACES: change_workspace,
    Kind.PARTICIPATIONS: change_participation,
    Kind.ACCOUNT_MEMBERSHIPS: change_membership,
    Kind.EXTERNAL_REFERENCES: change_reference,
    Kind.WORKSPACE_GROUPS: change_group,
}


def test_every_record_that_says_when_it_was_changed_is_tried() -> None:
    said = {
        kind
        for model, kind in KIND_OF.items()
        if "updated_at" in {one.name for one in msgspec.structs.fields(model)}
    }
    assert said == set(CHANGES)


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("now", [DAY_BEFORE, THEN, Instant(THEN + 1)])
def test_updated_at_does_not_go_back(database: SqliteDatabase, kind: Kind, now: Instant) -> None:
    made, changed = database.write_here(lambda tx: CHANGES[kind](tx, an_actor(tx), now))
    assert changed != made
    assert changed.updated_at == max(now, made.updated_at + 1)
