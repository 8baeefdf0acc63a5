"""Commands that let programs in: tokens, and applications that act for users."""

import argparse
from typing import Any

from healthreports.cli.command import account_flag, command, fail, group_of, person, within, write
from healthreports.contract.moments import as_datetime
from healthreports.core.model import Application, Instant
from healthreports.core.vocabulary import (
    ACCESS_TOKEN_LIFETIME_S,
    DAY_US,
    DEFAULT_TOKEN_DAYS,
    HOUR_S,
    MAX_TOKEN_DAYS,
)
from healthreports.service.auth import applications, tokens
from healthreports.service.people import accounts, members
from healthreports.settings import Settings
from healthreports.store.engine.database import Transaction


def add_access_commands(commands: Any) -> None:  # noqa: ANN401  argparse's own type is private
    """Add them to the command line."""
    group = group_of(commands, "token", "bearer tokens of users")
    made = command(group, "create", "create a token and print it, once", _token_create)
    made.add_argument("--user", required=True, metavar="EMAIL")
    made.add_argument("--name", required=True, help="what it is for")
    made.add_argument("--read-only", action="store_true", help="it may read, and not write")
    lasting = made.add_mutually_exclusive_group()
    lasting.add_argument(
        "--days",
        type=within(1, MAX_TOKEN_DAYS),
        default=DEFAULT_TOKEN_DAYS,
        help="how many days it works (default: %(default)s)",
    )
    lasting.add_argument(
        "--never-expires", action="store_true", help="it works until it is revoked"
    )
    account_flag(made)
    command(group, "list", "list the tokens, without their secrets", _token_list)
    revoked = command(group, "revoke", "make a token useless at once", _token_revoke)
    revoked.add_argument("id", type=int)

    group = group_of(commands, "application", "programs that act for users, by OAuth 2")
    made = command(group, "create", "register an application", _application_create)
    made.add_argument("name")
    made.add_argument("--by", required=True, metavar="EMAIL", help="an administrator")
    made.add_argument(
        "--redirect-uri",
        action="append",
        default=[],
        help="where it is sent back to, exactly as it asks for it (may be repeated)",
    )
    made.add_argument("--public", action="store_true", help="it cannot keep a secret")
    made.add_argument("--read-only", action="store_true", help="it may read, and not write")
    made.add_argument("--acts-as", metavar="EMAIL", help="as whom it acts by itself, if it may")
    lifetime = made.add_mutually_exclusive_group()
    lifetime.add_argument(
        "--hours",
        type=within(1, MAX_TOKEN_DAYS * 24),
        default=ACCESS_TOKEN_LIFETIME_S // HOUR_S,
        help="how long an access token works (default: %(default)s)",
    )
    lifetime.add_argument("--for-ever", action="store_true", help="until it is revoked")
    account_flag(made)
    command(group, "list", "list the applications, without their secrets", _application_list)
    revoked = command(
        group, "revoke", "revoke an application and all it was granted", _application_revoke
    )
    revoked.add_argument("client_id")


def _token_create(settings: Settings, options: argparse.Namespace) -> None:
    def work(tx: Transaction, now: Instant) -> str:
        days = None if options.never_expires else options.days
        expires_at = None if days is None else Instant(now + days * DAY_US)
        return tokens.issue(
            tx,
            person(tx, options, options.user),
            options.name,
            now,
            expires_at=expires_at,
            scopes=tokens.scopes_for(read_only=options.read_only),
        )

    print(write(settings, work))


def _token_list(settings: Settings, _options: argparse.Namespace) -> None:
    def show(instant: Instant | None) -> str:
        return "-" if instant is None else f"{as_datetime(instant):%Y-%m-%d %H:%M}"

    listed = write(settings, lambda tx, _now: tokens.with_owners(tx))
    print("id\tuser\tname\tscopes\tcreated\texpires\trevoked\tlast used")
    for owner, one in listed:
        dates = map(show, (one.created_at, one.expires_at, one.revoked_at, one.last_used_at))
        print(one.id, owner, one.name, " ".join(sorted(one.scopes)), *dates, sep="\t")


def _token_revoke(settings: Settings, options: argparse.Namespace) -> int:
    if write(settings, lambda tx, now: tokens.revoke(tx, options.id, now)):
        print(f"token {options.id} is revoked")
        return 0
    return fail(f"there is no token {options.id} that still works")


def _application_create(settings: Settings, options: argparse.Namespace) -> None:
    def work(tx: Transaction, now: Instant) -> tuple[Application, str | None]:
        by = person(tx, options, options.by)
        return applications.register(
            tx,
            by,
            now,
            name=options.name,
            redirect_uris=tuple(options.redirect_uri),
            confidential=not options.public,
            scopes=tokens.scopes_for(read_only=options.read_only),
            acts_as=members.user_of_account(tx, by.account_id, options.acts_as, "acts_as")
            if options.acts_as
            else None,
            token_lifetime_s=None if options.for_ever else options.hours * HOUR_S,
        )

    made, secret = write(settings, work)
    print(f"client id      {made.client_id}")
    if secret is not None:
        print(f"client secret  {secret}")


def _application_list(settings: Settings, _options: argparse.Namespace) -> None:
    print("account\tclient id\tname\tkind\tscopes\tredirect URIs")
    listed = write(
        settings,
        lambda tx, _now: [
            one
            for account, _, _ in accounts.all_accounts(tx)
            for one in applications.of_account(tx, account)
        ],
    )
    for one in listed:
        kind = "with a secret" if one.confidential else "public"
        scopes, uris = " ".join(sorted(one.scopes)), " ".join(one.redirect_uris) or "-"
        print(one.account_id, one.client_id, one.name, kind, scopes, uris, sep="\t")


def _application_revoke(settings: Settings, options: argparse.Namespace) -> int:
    def work(tx: Transaction, now: Instant) -> bool:
        return any(
            applications.revoke(tx, account, options.client_id, now)
            for account, _, _ in accounts.all_accounts(tx)
        )

    if write(settings, work):
        print(f"application {options.client_id} is revoked, and all it was granted")
        return 0
    return fail(f"there is no application {options.client_id}")
