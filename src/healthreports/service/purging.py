"""Permanent deletion of people and reports, and export of all data about a person."""

from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from healthreports.core.access import Reach
from healthreports.core.model import Instant, Record, User
from healthreports.core.query import Filter, Query, Window
from healthreports.core.vocabulary import MAX_ID, AuditAction, Kind, Purged
from healthreports.service import auditing, ending
from healthreports.service.auth import factors
from healthreports.service.people import members
from healthreports.service.reports import history
from healthreports.store.auth import addresses, answers, credentials, invitations, oauth, tokens
from healthreports.store.engine.database import Transaction
from healthreports.store.lists import pages
from healthreports.store.people import accounts, views
from healthreports.store.people import members as stored
from healthreports.store.people import workspaces as stored_workspaces
from healthreports.store.reports import drafts, trash

_AT_ONCE: Final = 1_000


def purge_user(tx: Transaction, user: User, now: Instant) -> None:
    """Erase a user's identity: name, address, credentials, and granted access.

    The user's reports stay, with "Former user" and a number as author. Raises Invalid for the last
    administrator.
    """
    members.disable(tx, user, now, disabled=True)
    tokens.revoke_all(tx, user.id, now)
    tokens.forget_names(tx, user.id)
    oauth.revoke_grants(tx, user.id, now)
    credentials.delete_proofs(tx, user.id)
    invitations.remove(tx, user.id)
    addresses.remove(tx, user.id)
    views.drop_all(tx, user.account_id, user.id)
    drafts.drop_of_user(tx, user.account_id, user.id)
    nobody = replace(
        user,
        full_name=f"Former user {user.id}",
        email_address=f"user{user.id}@purged.invalid",
        headline=None,
        photo_path=None,
    )
    stored.replace_user(tx, user, nobody, now)
    answers.forget_user(tx, user.account_id, user.id)
    parts = (f'"{Kind.USERS}"'.encode(), f'"{user.id}"'.encode())
    answers.empty_those_with(tx, user.account_id, parts)
    trash.note_purge(tx, user.account_id, Purged.USER, user.id, now)
    auditing.forget_person(tx, user.account_id, user.id)
    auditing.note(tx, user.account_id, AuditAction.USER_PURGED, user.id)


def purges(tx: Transaction) -> list[tuple[int, Purged, int, Instant]]:
    """Everything that was ever purged: the account, what it was, its id, and when."""
    ids = [*(one for one, _, _ in accounts.accounts_by_id(tx)), *accounts.closed(tx)]
    return [(account_id, *one) for account_id in ids for one in trash.purged(tx, account_id)]


def replay(tx: Transaction, account_id: int, what: Purged, record_id: int, now: Instant) -> bool:
    """Purge again a record that a restored backup brought back. Returns whether it was there."""
    if what is Purged.USER:
        user = stored.user(tx, record_id)
        is_back = user is not None and user.account_id == account_id and not _is_nobody(user)
        if user is not None and is_back:
            purge_user(tx, user, now)
        trash.note_purge(tx, account_id, what, record_id, now)
        return is_back
    if what is Purged.WORKSPACE:
        was_there = stored_workspaces.workspace(tx, account_id, record_id) is not None
        while ending.delete_piece(tx, account_id, record_id, now):
            pass
        trash.note_purge(tx, account_id, what, record_id, now)
        return was_there
    if what is Purged.ACCOUNT:
        was_open = account_id not in accounts.closed(tx)
        ending.close(tx, account_id, now)
        while ending.empty_piece(tx, account_id, now):
            pass
        return was_open
    was_back = history.purge_wherever(tx, account_id, record_id, now)
    trash.note_purge(tx, account_id, what, record_id, now)
    return was_back


def _is_nobody(user: User) -> bool:
    return user.email_address == f"user{user.id}@purged.invalid"


def known_of(tx: Transaction, user: User) -> dict[str, Any]:
    """All stored data about a person, for that person to read, without secrets."""
    invitation, wanted = invitations.of_user(tx, user.id), addresses.of_user(tx, user.id)
    seen = Query(Kind.PARTICIPATIONS, (Filter("user_id", (user.id,)),), window=Window(MAX_ID))
    within = Reach(user.account_id, None)
    return {
        "user": user,
        "account": accounts.account_title(tx, user.account_id),
        "membership": stored.membership(tx, user.id),
        "wanted_address": None if wanted is None else wanted.email_address,
        "factors": factors.of_user(tx, user.id),
        "has_password": credentials.password_hash(tx, user.id) is not None,
        "participations": pages.page(tx, seen, within).records,
        "tokens": tokens.personal(tx, user.id),
        "granted": [
            {"application": name, "grant": one} for name, one in oauth.grants_of_user(tx, user.id)
        ],
        "invitation": None if invitation is None else invitation._asdict(),
        "views": dict(views.all_of(tx, user.account_id, user.id)),
        "drafts": [one._asdict() for one in drafts.all_of(tx, user.account_id, user.id)],
        "reports": list(_written_by(tx, user)),
    }


def _written_by(tx: Transaction, user: User) -> Iterator[Record]:
    query = Query(Kind.STATUS_REPORTS, (Filter("creator_id", (user.id,)),))
    within, version = Reach(user.account_id, None), accounts.version(tx, user.account_id)
    last = 0
    while found := pages.after(tx, query, within, version, after_id=last, number=_AT_ONCE):
        yield from found
        last = found[-1].id
