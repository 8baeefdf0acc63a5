"""Commands that manage accounts."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from healthreports.cli.command import AccountName, AsJson, command, group, read, write
from healthreports.cli.copies import Export, WithoutExport, keep_copy, log
from healthreports.cli.listing import print_list
from healthreports.core.model import Instant
from healthreports.core.vocabulary import FactorDemand
from healthreports.service import ending
from healthreports.service.auth import factors
from healthreports.service.people import accounts
from healthreports.settings import Settings
from healthreports.store.engine.database import Transaction

app = group(
    "account", "Manage accounts. People and reports of one account are invisible to others."
)


@command(app, "create", example='healthreports account create "Acme"')
def create(
    settings: Settings,
    title: Annotated[str, typer.Argument(help="The name of the organisation.")],
    name: Annotated[
        str | None,
        typer.Option(help="The name to sign in to the account by (default: made from the title)."),
    ] = None,
) -> None:
    """Create an account."""

    def work(tx: Transaction, now: Instant) -> tuple[int, str]:
        account_id = accounts.create_account(tx, title, now, name)
        return account_id, accounts.account_name(tx, account_id)

    account_id, made = write(settings, work)
    print(f"account {account_id}, named {made}")


@command(app, "list", example="healthreports account list --json")
def list_(settings: Settings, as_json: AsJson = False) -> None:
    """List the accounts."""
    columns = ("id", "name", "title")

    def rows(tx: Transaction) -> Iterator[dict[str, Any]]:
        return (dict(zip(columns, one, strict=True)) for one in accounts.all_accounts(tx))

    print_list(settings, columns, rows, as_json=as_json)


@command(app, "rename", example="healthreports account rename acme acme-north")
def rename(
    settings: Settings,
    account: AccountName,
    new_name: Annotated[str, typer.Argument(help="The new name to sign in by.")],
) -> None:
    """Change the name that people sign in to an account by."""
    write(
        settings,
        lambda tx, _now: accounts.rename_account(tx, accounts.account_named(tx, account), new_name),
    )
    print(f"{account} is now named {new_name}")


@command(app, "second-factor", example="healthreports account second-factor acme administrators")
def second_factor(
    settings: Settings,
    account: AccountName,
    of: Annotated[FactorDemand, typer.Argument(help="Who must use a second factor.")],
) -> None:
    """Set who must sign in with a second factor."""
    write(
        settings,
        lambda tx, _now: factors.demand_of(tx, accounts.account_named(tx, account), of),
    )
    print(f"{account} requires a second factor of {of}")


@command(
    app,
    "delete",
    example="healthreports account delete acme --confirm acme --export acme.ndjson",
)
def delete(
    settings: Settings,
    account: AccountName,
    confirm: Annotated[
        str, typer.Option(metavar="NAME", help="The name of the account, to confirm.")
    ],
    export: Export = None,
    without_export: WithoutExport = False,
) -> None:
    """Delete an account and everything in it. This cannot be undone."""

    def find(tx: Transaction) -> int:
        account_id = accounts.account_named(tx, account)
        ending.demand_typed("confirm", confirm, accounts.account_name(tx, account_id))
        return account_id

    account_id = read(settings, find)
    keep_copy(settings, account_id, (), export, without_export=without_export)
    write(settings, lambda tx, now: ending.close(tx, account_id, now))
    while write(settings, lambda tx, now: ending.empty_piece(tx, account_id, now)):
        pass
    log.warning("deleted account %d", account_id)
    print(f"{account} is deleted, with everything that was in it")
