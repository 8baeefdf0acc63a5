"""What every command needs: its parser, a transaction, one line where it fails."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeVar

from healthreports.core.audit import By
from healthreports.core.model import Instant, User
from healthreports.service.people import accounts, members
from healthreports.settings import Settings
from healthreports.store.engine.database import Database, Transaction
from healthreports.store.schema.upgrade import demand_current

T = TypeVar("T")


def fail(says: str) -> int:
    """Say why not, in one line. Returns the exit code."""
    print(f"healthreports: {says}", file=sys.stderr)
    return 1


def write(settings: Settings, work: Callable[[Transaction, Instant], T]) -> T:
    """What `work` returns, once it is on disk. Raises WrongSchema, and what `work` raises."""
    from healthreports.app import now  # noqa: PLC0415  as for serve

    def as_operator(tx: Transaction) -> T:
        by = By.command_line(now())
        tx.by = by
        return work(tx, by.now)

    with _opened(settings) as database:
        return database.write_here(as_operator)


def read(settings: Settings, work: Callable[[Transaction], T]) -> T:
    """What `work` finds in one snapshot. Raises WrongSchema, and what `work` raises."""
    with _opened(settings) as database:
        return database.read_here(work)


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    from healthreports.app import open_database  # noqa: PLC0415  as for serve

    demand_current(settings.database)
    with closing(open_database(settings)) as database:
        yield database


def group_of(commands: Any, name: str, says: str) -> Any:  # noqa: ANN401  argparse's own type is private
    """A group of commands, for more commands."""
    group = commands.add_parser(name, help=says, description=says.capitalize() + ".")
    return group.add_subparsers(title="commands", metavar="COMMAND", required=True)


def command(
    commands: Any,  # noqa: ANN401  argparse's own type is private
    name: str,
    says: str,
    run: Callable[[Settings, argparse.Namespace], int | None],
    *,
    database: bool = True,
) -> argparse.ArgumentParser:
    """The parser of a command that calls `run`; most name their database."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=says, description=says.capitalize() + "."
    )
    parser.set_defaults(run=run)
    if database:
        parser.add_argument("--database", metavar="FILE", help="the SQLite file, or postgresql://…")
    return parser


def permission_flag(parser: argparse.ArgumentParser, options: Any, default: str) -> None:  # noqa: ANN401  an enum class
    """`--permission`, one of `options`."""
    parser.add_argument(
        "--permission",
        choices=[str(option) for option in options],
        default=default,
        help="(default: %(default)s)",
    )


def account_flag(parser: argparse.ArgumentParser) -> None:
    """`--account`, for a command that names a person by an e-mail address."""
    parser.add_argument(
        "--account",
        metavar="NAME",
        help="the account of the person, where several know the address",
    )


def person(tx: Transaction, options: argparse.Namespace, email_address: str) -> User:
    """The user with that address, in the account that the command names. Raises Invalid."""
    within = None if options.account is None else accounts.account_named(tx, options.account)
    return members.named_user(tx, email_address, within)


def within(least: int, most: int) -> Callable[[str], int]:
    """The reader of a whole number from `least` to `most`."""

    def read(text: str) -> int:
        number = int(text)
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"from {least} to {most:,}")
        return number

    read.__name__ = "whole number"  # argparse says this of what is no number at all
    return read
