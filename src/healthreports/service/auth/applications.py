"""Applications that act for users: registration, their grants, and revoking."""

import secrets
from typing import Final

from healthreports.core.errors import Fault, Invalid, Problem
from healthreports.core.model import Application, Grant, Instant, User
from healthreports.core.rules.people import check_names, check_redirect_uris
from healthreports.core.vocabulary import (
    ACCESS_TOKEN_LIFETIME_S,
    AuditAction,
    Scope,
)
from healthreports.service.auditing import note
from healthreports.service.auth.tokens import ALL_SCOPES, hash_of, new_secret
from healthreports.store.auth import oauth
from healthreports.store.engine.database import Transaction
from healthreports.store.people import members

_PREFIX: Final = "hrs_"


def register(
    tx: Transaction,
    administrator: User,
    now: Instant,
    *,
    name: str,
    redirect_uris: tuple[str, ...] = (),
    confidential: bool = True,
    scopes: frozenset[Scope] = ALL_SCOPES,
    acts_as: User | None = None,
    token_lifetime_s: int | None = ACCESS_TOKEN_LIFETIME_S,
) -> tuple[Application, str | None]:
    """Register an application in the account of `administrator`.

    Returns it with its secret, of which only the hash is stored. Without redirect URIs no user can
    authorize it; without `acts_as` it cannot use the client credentials grant. Raises Invalid.
    """
    problems = check_names(name=name) + check_redirect_uris(redirect_uris)
    problems += _who(tx, administrator, acts_as)
    if acts_as is not None and not confidential:
        problems.append(Problem("acts_as", Fault.NOT_CONFIDENTIAL))
    if not redirect_uris and acts_as is None:
        problems.append(Problem("redirect_uris", Fault.MISSING))
    if problems:
        raise Invalid(problems)
    secret = new_secret(_PREFIX) if confidential else None
    new = Application(
        id=0,
        account_id=administrator.account_id,
        name=name.strip(),
        client_id=secrets.token_hex(16),
        confidential=confidential,
        redirect_uris=redirect_uris,
        scopes=scopes | {Scope.READ},
        user_id=None if acts_as is None else acts_as.id,
        token_lifetime_s=token_lifetime_s,
        created_at=now,
        revoked_at=None,
    )
    hashed = None if secret is None else hash_of(secret)
    application_id = oauth.insert_application(tx, new, hashed)
    names = ("name", "client_id", "redirect_uris", "scopes", "user_id", "token_lifetime_s")
    after = {name: getattr(new, name) for name in names}
    note(tx, new.account_id, AuditAction.APPLICATION_REGISTERED, application_id, after=after)
    return new, secret


def _who(tx: Transaction, administrator: User, acts_as: User | None) -> list[Problem]:
    problems = []
    if administrator.id not in members.administrators(tx, administrator.account_id):
        problems.append(Problem("administrator", Fault.NOT_AN_ADMINISTRATOR))
    if acts_as is not None and acts_as.account_id != administrator.account_id:
        problems.append(Problem("acts_as", Fault.UNKNOWN_OBJECT))
    return problems


def of_account(tx: Transaction, account_id: int) -> list[Application]:
    """The applications of an account that are not revoked."""
    return [one for one in oauth.applications(tx, account_id) if one.revoked_at is None]


def revoke(tx: Transaction, account_id: int, client_id: str, now: Instant) -> bool:
    """Revoke an application and all its grants. Returns False if the account has no such one."""
    for one in of_account(tx, account_id):
        if one.client_id == client_id:
            oauth.revoke_application(tx, one.id, now)
            before = {"name": one.name, "client_id": one.client_id}
            note(tx, account_id, AuditAction.APPLICATION_REVOKED, one.id, before)
            return True
    return False


def grants_of(tx: Transaction, user_id: int) -> list[tuple[str, Grant]]:
    """The grants of a user to applications, each with the application's name."""
    return oauth.grants_of_user(tx, user_id)


def revoke_grant(tx: Transaction, user_id: int, grant_id: int | None, now: Instant) -> None:
    """Revoke a grant that a user gave to an application.

    It does nothing to a grant of another user, or to one that was made without the user's consent.
    """
    for _, one in oauth.grants_of_user(tx, user_id):
        if one.id == grant_id and one.code_expires_at is not None:
            oauth.revoke_grant(tx, one.id, now)
            before = {"application_id": one.application_id, "user_id": user_id}
            note(tx, one.account_id, AuditAction.GRANT_REVOKED, one.id, before)
