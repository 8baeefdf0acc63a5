"""Helpers for commands: declaration, flags for settings, transactions, one-line errors."""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import wraps
from typing import Annotated, Any, Final, TypeVar

import typer

from healthreports import logs
from healthreports.core.audit import By
from healthreports.core.model import Instant, User
from healthreports.service.people import accounts, members
from healthreports.settings import Settings, every_setting, load
from healthreports.store.engine.database import Database, Transaction
from healthreports.store.schema.upgrade import demand_current

T = TypeVar("T")
# The settings given as flags, by name.
Flags = Mapping[str, Any]
Run = Callable[..., int | None]

# Parameters that several commands have.
Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The e-mail address of the user.")]
AccountName = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="The name or the id of the account.")
]
WorkspaceId = Annotated[
    int, typer.Argument(metavar="WORKSPACE_ID", help="See: healthreports workspace list")
]
OfAccount = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="ACCOUNT",
        help="The account of the user, if users of several accounts have this e-mail address.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on each line.")]

_SETTINGS: Final = {one.name: one for one in every_setting()}
ALL_SETTINGS: Final = tuple(name for name, one in _SETTINGS.items() if one.flag is not None)
_PANEL: Final = "Settings"


def group(name: str, says: str) -> typer.Typer:
    """A group of commands. `says` is its help text: a sentence about what they manage."""
    return typer.Typer(name=name, help=says, no_args_is_help=True)


def command(
    parent: typer.Typer,
    name: str,
    *,
    example: str,
    settings: tuple[str, ...] = ("database",),
    defaults: Flags | None = None,
) -> Callable[[Run], Run]:
    """Make a function a command of `parent`.

    The function takes a Settings first, then the parameters of the command. It returns the exit
    code, or None for 0. `settings` names the settings that the command has flags for; `defaults`
    replaces defaults of settings. `example` is the command line that the help shows.

    The command raises BadSetting, and what the function raises.
    """

    def read(flags: Flags) -> Settings:
        found = load(flags, defaults or {})
        logs.configure(found.log_format, found.log_level)
        return found

    return command_of_flags(parent, name, example=example, settings=settings, read=read)


def command_of_flags(
    parent: typer.Typer,
    name: str,
    *,
    example: str,
    settings: tuple[str, ...],
    read: Callable[[Flags], object],
) -> Callable[[Run], Run]:
    """Like `command`, but the first argument of the function is the result of `read(flags)`."""

    def register(run: Run) -> Run:
        @wraps(run)
        def called(context: typer.Context, **given: object) -> int | None:
            flags = {one: given.pop(one) for one in settings}
            before = context.find_root().obj or {}
            said = {**before, **{key: one for key, one in flags.items() if one is not None}}
            return run(read(said), **given)

        own = list(inspect.signature(run, eval_str=True).parameters.values())[1:]
        _set_signature(called, [*own, *map(_flag, settings)])
        parent.command(name, epilog=f"Example: {example}")(called)
        return run

    return register


def with_setting_flags(run: Callable[..., None]) -> Callable[..., None]:
    """Add a flag for each setting to the root command, for use before any command."""

    @wraps(run)
    def called(context: typer.Context, **given: object) -> None:
        flags = {one: given.pop(one) for one in ALL_SETTINGS}
        context.obj = {key: one for key, one in flags.items() if one is not None}
        run(**given)

    own = list(inspect.signature(run, eval_str=True).parameters.values())
    _set_signature(called, [*own, *map(_flag, ALL_SETTINGS)])
    return called


def _set_signature(called: Callable[..., Any], parameters: list[inspect.Parameter]) -> None:
    """Set `__signature__`, from which Typer reads the parameters of a command."""
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    named = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    called.__signature__ = inspect.Signature([context, *named])  # type: ignore[attr-defined]


def _flag(name: str) -> inspect.Parameter:
    setting = _SETTINGS[name]
    is_switch = isinstance(setting.default, bool)
    assert setting.flag is not None  # ALL_SETTINGS contains only settings with a flag
    decl = f"{setting.flag}/--no-{setting.flag.removeprefix('--')}" if is_switch else setting.flag
    default = "" if is_switch or setting.default == "" else f" (default: {setting.default})"
    option = typer.Option(
        decl,
        help=f"{setting.says[0].upper()}{setting.says[1:]}{default}.",
        metavar=None if is_switch else "VALUE",
        show_default=False,
        rich_help_panel=_PANEL,
    )
    kind = bool if is_switch else str
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def fail(says: str) -> int:
    """Print an error on one line of standard error. Returns the exit code."""
    print(f"healthreports: {says}", file=sys.stderr)
    return 1


def write(settings: Settings, work: Callable[[Transaction, Instant], T]) -> T:
    """Run `work` in a transaction and return its result after the commit.

    Raises WrongSchema, and what `work` raises.
    """
    from healthreports.app import now  # noqa: PLC0415  loads slowly

    def as_operator(tx: Transaction) -> T:
        by = By.command_line(now())
        tx.by = by
        return work(tx, by.now)

    with _opened(settings) as database:
        return database.write_here(as_operator)


def read(settings: Settings, work: Callable[[Transaction], T]) -> T:
    """Run `work` on one snapshot and return its result. Raises WrongSchema, what `work` raises."""
    with _opened(settings) as database:
        return database.read_here(work)


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    from healthreports.app import open_database  # noqa: PLC0415  loads slowly

    demand_current(settings.database)
    with closing(open_database(settings)) as database:
        yield database


def person(tx: Transaction, email_address: str, account: str | None) -> User:
    """The user with that e-mail address, in the account of that name if one is given.

    Raises Invalid.
    """
    within = None if account is None else accounts.account_named(tx, account)
    return members.named_user(tx, email_address, within)
