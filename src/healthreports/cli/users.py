"""Commands that manage the people of an account."""

import getpass
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from healthreports.cli.command import (
    AsJson,
    Email,
    OfAccount,
    command,
    group,
    person,
    write,
)
from healthreports.cli.listing import print_list
from healthreports.core.model import AccountMembership, Instant, User
from healthreports.core.query import Page
from healthreports.core.vocabulary import AccountPermission, Kind
from healthreports.service.auth import addresses, factors
from healthreports.service.auth.invitations import invite_as_operator
from healthreports.service.auth.sign_in import set_password
from healthreports.service.people import accounts, handing, members
from healthreports.service.upkeep import every_page
from healthreports.settings import Settings
from healthreports.store.engine.database import Transaction
from healthreports.web.kit.addresses import ADDRESS, INVITATION, WELCOME

app = group("user", "Manage the people of an account.")

# Commands that print a link need one more setting: the public URL of the server.
_LINKS = ("database", "public_url")


@command(
    app,
    "create",
    example='healthreports user create --account acme --name "Ann Lee" --email ann@example.org',
)
def create(
    settings: Settings,
    account: Annotated[
        str, typer.Option(metavar="ACCOUNT", help="The name or the id of the account.")
    ],
    name: Annotated[str, typer.Option(help="The full name.")],
    email: Annotated[str, typer.Option(help="The e-mail address.")],
    headline: Annotated[
        str | None, typer.Option(help="What the person does, in a few words.")
    ] = None,
    photo_path: Annotated[str | None, typer.Option(help="The address of a picture.")] = None,
    permission: Annotated[
        AccountPermission, typer.Option(help="What the user may do in the account.")
    ] = AccountPermission.COLLABORATOR,
) -> None:
    """Create a user of an account."""

    def work(tx: Transaction, now: Instant) -> int:
        return members.create_user(
            tx,
            accounts.account_named(tx, account),
            full_name=name,
            email_address=email,
            permission=permission,
            now=now,
            headline=headline,
            photo_path=photo_path,
        ).id

    print(f"user {write(settings, work)}")


@command(app, "list", example="healthreports user list --account acme")
def list_(
    settings: Settings,
    account: Annotated[
        str | None,
        typer.Option(metavar="ACCOUNT", help="List the users of this account only."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the users with their accounts and permissions."""

    def rows(tx: Transaction) -> Iterator[dict[str, Any]]:
        for name, page in every_page(tx, Kind.ACCOUNT_MEMBERSHIPS, account, ("user",)):
            yield from _rows(name, page)

    columns = ("id", "account", "full_name", "email_address", "permission", "disabled")
    print_list(settings, columns, rows, as_json=as_json)


def _rows(account: str, page: Page) -> Iterator[dict[str, Any]]:
    users = page.related["user"].objects[Kind.USERS]
    for one in page.records_of(AccountMembership):
        user = users[one.user_id]
        assert isinstance(user, User)
        yield {
            "id": user.id,
            "account": account,
            "full_name": user.full_name,
            "email_address": user.email_address,
            "permission": str(one.permission),
            "disabled": one.disabled_at is not None,
        }


@command(app, "permit", example="healthreports user permit ann@example.org administrator")
def permit(
    settings: Settings,
    user: Email,
    permission: Annotated[
        AccountPermission, typer.Argument(help="What the user may do in the account.")
    ],
    account: OfAccount = None,
) -> None:
    """Change what a user may do in the account."""
    write(
        settings,
        lambda tx, now: members.change_permission(tx, person(tx, user, account), permission, now),
    )
    print(f"{user} is {permission}")


@command(app, "password", example="healthreports user password ann@example.org")
def password(
    settings: Settings,
    user: Email,
    keep_tokens: Annotated[
        bool,
        typer.Option("--keep-tokens", help="Do not revoke the user's tokens and applications."),
    ] = False,
    account: OfAccount = None,
) -> None:
    """Set the password of a user, from a prompt or from standard input."""
    # Never an argument: every process on the machine can read a command line.
    from_person = sys.stdin.isatty()
    new = getpass.getpass("Password: ") if from_person else sys.stdin.readline().rstrip("\n")
    write(
        settings,
        lambda tx, now: set_password(
            tx, person(tx, user, account), new, now, keep_tokens=keep_tokens
        ),
    )
    print(f"{user} has a new password")


@command(app, "invite", example="healthreports user invite ann@example.org", settings=_LINKS)
def invite(settings: Settings, user: Email, account: OfAccount = None) -> None:
    """Print a link with which a user chooses how to sign in. Send it to the user."""
    secret = write(settings, lambda tx, now: invite_as_operator(tx, person(tx, user, account), now))
    print(f"{_origin(settings)}{WELCOME}?{INVITATION}={secret}")


@command(
    app,
    "change-address",
    example="healthreports user change-address ann@example.org ann.lee@example.org",
    settings=_LINKS,
)
def change_address(
    settings: Settings,
    user: Email,
    new_address: Annotated[
        str, typer.Argument(metavar="NEW_EMAIL", help="The new e-mail address.")
    ],
    account: OfAccount = None,
) -> None:
    """Print a link that changes the e-mail address of a user. Send it to the new address."""
    secret = write(
        settings,
        lambda tx, now: addresses.want_as_operator(tx, person(tx, user, account), new_address, now),
    )
    print(f"{_origin(settings)}{ADDRESS}?link={secret}")


def _origin(settings: Settings) -> str:
    return settings.public_url or f"http://{settings.host}:{settings.port}"


@command(app, "hand-over", example="healthreports user hand-over ann@example.org bob@example.org")
def hand_over(
    settings: Settings,
    user: Email,
    taker: Annotated[
        str, typer.Argument(metavar="TO_EMAIL", help="The user who takes the participations.")
    ],
    account: OfAccount = None,
) -> None:
    """Give all participations of a user to another user of the account."""

    def piece(tx: Transaction, now: Instant) -> bool:
        giver = person(tx, user, account)
        to = members.user_of_account(tx, giver.account_id, taker, "taker")
        return handing.hand_over_as_operator(tx, giver, to, now)

    while write(settings, piece):
        pass
    print(f"{taker} has the participations of {user}")


@command(app, "reset-factors", example="healthreports user reset-factors ann@example.org")
def reset_factors(settings: Settings, user: Email, account: OfAccount = None) -> None:
    """Remove the second factors of a user who lost them."""
    removed = write(settings, lambda tx, _now: factors.reset(tx, person(tx, user, account)))
    print(f"{user} had {removed}, and has no second factor now")


@command(app, "disable", example="healthreports user disable ann@example.org")
def disable(
    settings: Settings,
    user: Email,
    undo: Annotated[
        bool, typer.Option("--undo", help="Enable the user and the tokens again.")
    ] = False,
    account: OfAccount = None,
) -> None:
    """Disable a user: sessions end, and tokens stop working at once."""
    write(
        settings,
        lambda tx, now: members.disable(tx, person(tx, user, account), now, disabled=not undo),
    )
    print(f"{user} is {'back' if undo else 'disabled'}")
