"""Commands for the credentials of programs: tokens, and OAuth 2 applications that act for users."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer

from healthreports.cli.command import (
    AsJson,
    OfAccount,
    command,
    fail,
    group,
    person,
    write,
)
from healthreports.cli.listing import print_list
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

token_app = group("token", "Manage the bearer tokens of users.")
application_app = group("application", "Manage OAuth 2 applications, which act for users.")

ReadOnly = Annotated[bool, typer.Option("--read-only", help="Allow reading only.")]


@command(
    token_app,
    "create",
    example='healthreports token create --user ann@example.org --name "nightly export"',
)
def create_token(
    settings: Settings,
    user: Annotated[str, typer.Option(metavar="EMAIL", help="The user that the token acts as.")],
    name: Annotated[str, typer.Option(help="What the token is for.")],
    read_only: ReadOnly = False,
    days: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_TOKEN_DAYS,
            help=f"Days until the token expires (default: {DEFAULT_TOKEN_DAYS}).",
        ),
    ] = None,
    never_expires: Annotated[
        bool, typer.Option("--never-expires", help="The token is valid until it is revoked.")
    ] = False,
    account: OfAccount = None,
) -> None:
    """Create a token and print it. It cannot be printed again."""
    if never_expires and days is not None:
        raise typer.BadParameter("give either --days or --never-expires")
    lifetime = (days or DEFAULT_TOKEN_DAYS) * DAY_US

    def work(tx: Transaction, now: Instant) -> str:
        expires_at = None if never_expires else Instant(now + lifetime)
        return tokens.issue(
            tx,
            person(tx, user, account),
            name,
            now,
            expires_at=expires_at,
            scopes=tokens.scopes_for(read_only=read_only),
        )

    print(write(settings, work))


@command(token_app, "list", example="healthreports token list --json")
def list_tokens(settings: Settings, as_json: AsJson = False) -> None:
    """List the tokens with their last use (to the hour), without their secrets."""

    def moment(instant: Instant | None) -> datetime | None:
        return None if instant is None else as_datetime(instant)

    def rows(tx: Transaction) -> Iterator[dict[str, Any]]:
        for owner, one in tokens.with_owners(tx):
            yield {
                "id": one.id,
                "user": owner,
                "name": one.name,
                "scopes": sorted(one.scopes),
                "created": moment(one.created_at),
                "expires": moment(one.expires_at),
                "revoked": moment(one.revoked_at),
                "last_used": moment(one.last_used_at),
            }

    columns = ("id", "user", "name", "scopes", "created", "expires", "revoked", "last_used")
    print_list(settings, columns, rows, as_json=as_json)


@command(token_app, "revoke", example="healthreports token revoke 3")
def revoke_token(
    settings: Settings,
    token_id: Annotated[
        int, typer.Argument(metavar="TOKEN_ID", help="See: healthreports token list")
    ],
) -> int:
    """Revoke a token. It stops working at once."""
    if write(settings, lambda tx, now: tokens.revoke(tx, token_id, now)):
        print(f"token {token_id} is revoked")
        return 0
    return fail(f"there is no token {token_id} that still works")


@command(
    application_app,
    "create",
    example='healthreports application create "Tracker" --by ann@example.org'
    " --redirect-uri https://tracker.example.org/callback",
)
def create_application(
    settings: Settings,
    name: Annotated[str, typer.Argument(help="The name that users see.")],
    by: Annotated[str, typer.Option(metavar="EMAIL", help="The administrator who registers it.")],
    redirect_uri: Annotated[
        list[str] | None,
        typer.Option(help="A redirect URI, exactly as the application sends it. Can be repeated."),
    ] = None,
    public: Annotated[
        bool,
        typer.Option("--public", help="The application cannot keep a secret; it must use PKCE."),
    ] = False,
    read_only: ReadOnly = False,
    acts_as: Annotated[
        str | None,
        typer.Option(metavar="EMAIL", help="The user that it acts as with client credentials."),
    ] = None,
    hours: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_TOKEN_DAYS * 24,
            help="Hours until an access token expires "
            f"(default: {ACCESS_TOKEN_LIFETIME_S // HOUR_S}).",
        ),
    ] = None,
    for_ever: Annotated[
        bool, typer.Option("--for-ever", help="Access tokens are valid until they are revoked.")
    ] = False,
    account: OfAccount = None,
) -> None:
    """Register an application and print its client id and client secret."""
    if for_ever and hours is not None:
        raise typer.BadParameter("give either --hours or --for-ever")
    lifetime_s = ACCESS_TOKEN_LIFETIME_S if hours is None else hours * HOUR_S

    def work(tx: Transaction, now: Instant) -> tuple[Application, str | None]:
        administrator = person(tx, by, account)
        return applications.register(
            tx,
            administrator,
            now,
            name=name,
            redirect_uris=tuple(redirect_uri or ()),
            confidential=not public,
            scopes=tokens.scopes_for(read_only=read_only),
            acts_as=members.user_of_account(tx, administrator.account_id, acts_as, "acts_as")
            if acts_as
            else None,
            token_lifetime_s=None if for_ever else lifetime_s,
        )

    made, secret = write(settings, work)
    print(f"client id      {made.client_id}")
    if secret is not None:
        print(f"client secret  {secret}")


@command(application_app, "list", example="healthreports application list")
def list_applications(settings: Settings, as_json: AsJson = False) -> None:
    """List the applications, without their secrets."""

    def rows(tx: Transaction) -> Iterator[dict[str, Any]]:
        for account_id, account, _ in accounts.all_accounts(tx):
            for one in applications.of_account(tx, account_id):
                yield {
                    "account": account,
                    "client_id": one.client_id,
                    "name": one.name,
                    "kind": "confidential" if one.confidential else "public",
                    "scopes": sorted(one.scopes),
                    "redirect_uris": list(one.redirect_uris),
                }

    columns = ("account", "client_id", "name", "kind", "scopes", "redirect_uris")
    print_list(settings, columns, rows, as_json=as_json)


@command(application_app, "revoke", example="healthreports application revoke CLIENT_ID")
def revoke_application(
    settings: Settings,
    client_id: Annotated[
        str, typer.Argument(metavar="CLIENT_ID", help="See: healthreports application list")
    ],
) -> int:
    """Revoke an application and everything that it was granted."""

    def work(tx: Transaction, now: Instant) -> bool:
        return any(
            applications.revoke(tx, account, client_id, now)
            for account, _, _ in accounts.all_accounts(tx)
        )

    if write(settings, work):
        print(f"application {client_id} is revoked, with everything that it was granted")
        return 0
    return fail(f"there is no application {client_id}")
