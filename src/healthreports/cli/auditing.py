"""Commands that read and verify the audit log."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from healthreports.cli.command import AccountName, AsJson, command, fail, group, read
from healthreports.cli.listing import print_list
from healthreports.contract.lines import AUDIT_JSON_LINES
from healthreports.contract.moments import as_datetime
from healthreports.core.audit import BEGINNING, Head
from healthreports.core.model import AuditEvent
from healthreports.service import auditing
from healthreports.service.people import accounts
from healthreports.settings import Settings
from healthreports.store.engine.database import Transaction

app = group("audit", "Read and verify the audit log: who did what.")


def _head(text: str) -> Head:
    number, _, digest = text.partition(":")
    if len(digest) != 2 * len(BEGINNING):
        raise typer.BadParameter("write NUMBER:HASH as it was printed")
    try:
        return Head(int(number), bytes.fromhex(digest))
    except ValueError as error:
        raise typer.BadParameter("write NUMBER:HASH as it was printed") from error


@command(app, "list", example="healthreports audit list acme --json")
def list_(settings: Settings, account: AccountName, as_json: AsJson = False) -> None:
    """List the audit log of an account. With --json, with what was before and after each change."""

    def pieces(tx: Transaction) -> Iterator[list[AuditEvent]]:
        return auditing.pieces(tx, accounts.account_named(tx, account))

    def write_lines(tx: Transaction) -> None:
        for piece in pieces(tx):
            sys.stdout.buffer.write(AUDIT_JSON_LINES.write(piece, False))  # noqa: FBT003  the signature of LineFormat.write

    def rows(tx: Transaction) -> Iterator[dict[str, Any]]:
        return (_row(one) for piece in pieces(tx) for one in piece)

    if as_json:
        read(settings, write_lines)
    else:
        print_list(settings, _COLUMNS, rows, as_json=False)


_COLUMNS = ("id", "created_at", "action", "subject_id", "user_id", "through", "address")


def _row(event: AuditEvent) -> dict[str, Any]:
    row = {name: getattr(event, name) for name in _COLUMNS}
    return {**row, "created_at": as_datetime(event.created_at)}


@command(app, "verify", example="healthreports audit verify --account acme")
def verify(
    settings: Settings,
    account: Annotated[
        str | None, typer.Option(metavar="ACCOUNT", help="Verify the log of this account only.")
    ] = None,
    head: Annotated[
        Head | None,
        typer.Option(
            parser=_head,
            metavar="NUMBER:HASH",
            help="The last entry, as an earlier run printed it: it must still be there.",
        ),
    ] = None,
) -> int:
    """Find entries that were changed or removed after they were written.

    Prints the last entry of each log. The exit code is 1 if anything was changed.
    """
    if head is not None and account is None:
        raise typer.BadParameter("--head is the head of one account; add --account")

    def work(tx: Transaction) -> tuple[list[str], list[str]]:
        names = dict(auditing.every_account(tx))
        if account is not None:
            chosen = accounts.account_named(tx, account)
            names = {chosen: names[chosen]}
        wrong, heads = [], []
        for account_id, name in names.items():
            wrong += [f"{name}: {one}" for one in auditing.verify(tx, account_id, head)]
            heads.append(f"{name} {auditing.head(tx, account_id)}")
        return wrong, heads

    wrong, heads = read(settings, work)
    for one in heads:
        print(one)
    for one in wrong:
        fail(one)
    return 1 if wrong else 0
