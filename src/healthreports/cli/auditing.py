"""Commands that read and verify the audit log."""

import argparse
import sys
from typing import Any

from healthreports.cli.command import command, fail, group_of, read
from healthreports.contract.lines import AUDIT_JSON_LINES
from healthreports.core.audit import BEGINNING, Head
from healthreports.service import auditing
from healthreports.service.people import accounts
from healthreports.settings import Settings
from healthreports.store.engine.database import Transaction


def add_audit_commands(commands: Any) -> None:  # noqa: ANN401  argparse's own type is private
    """Add them to the command line."""
    group = group_of(commands, "audit", "who did what")
    listed = command(group, "list", "print the audit log of an account as JSON lines", _list)
    listed.add_argument("account", metavar="NAME")
    verified = command(
        group, "verify", "find what was changed in the audit log after it was written", _verify
    )
    verified.add_argument("--account", metavar="NAME", help="of this account alone")
    verified.add_argument(
        "--head",
        type=_head,
        metavar="NUMBER:HASH",
        help="the last entry as it was printed before: those up to it must still be there",
    )


def _head(text: str) -> Head:
    number, _, digest = text.partition(":")
    if len(digest) != 2 * len(BEGINNING):
        raise ValueError
    return Head(int(number), bytes.fromhex(digest))


def _list(settings: Settings, options: argparse.Namespace) -> None:
    def work(tx: Transaction) -> None:
        account_id = accounts.account_named(tx, options.account)
        for piece in auditing.pieces(tx, account_id):
            sys.stdout.buffer.write(AUDIT_JSON_LINES.write(piece, False))  # noqa: FBT003  as it has it

    read(settings, work)


def _verify(settings: Settings, options: argparse.Namespace) -> int:
    if options.head is not None and options.account is None:
        return fail("--head is of one account: name it with --account")

    def work(tx: Transaction) -> tuple[list[str], list[str]]:
        names = dict(auditing.every_account(tx))
        if options.account is not None:
            chosen = accounts.account_named(tx, options.account)
            names = {chosen: names[chosen]}
        wrong, heads = [], []
        for account_id, name in names.items():
            wrong += [f"{name}: {one}" for one in auditing.verify(tx, account_id, options.head)]
            heads.append(f"{name} {auditing.head(tx, account_id)}")
        return wrong, heads

    wrong, heads = read(settings, work)
    for one in heads:
        print(one)
    for one in wrong:
        fail(one)
    return 1 if wrong else 0
