"""Print a list: as a table on a terminal, separated by tabs in a pipe, or as JSON lines."""

import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from healthreports.cli.command import read
from healthreports.settings import Settings
from healthreports.store.engine.database import Transaction

# A row of a list: values by column name. A time is a datetime in UTC.
Row = Mapping[str, Any]


def print_list(
    settings: Settings,
    columns: tuple[str, ...],
    rows_of: Callable[[Transaction], Iterable[Row]],
    *,
    as_json: bool,
) -> None:
    """Print the rows of one snapshot, each with the same `columns`, to standard output.

    Raises WrongSchema, and what `rows_of` raises.
    """
    read(settings, lambda tx: _print(columns, rows_of(tx), as_json=as_json))


def _print(columns: tuple[str, ...], rows: Iterable[Row], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")
        return
    cells = ([_shown(row[name]) for name in columns] for row in rows)
    heads = [name.replace("_", " ") for name in columns]
    if sys.stdout.isatty():
        _print_table(heads, cells)
    else:
        for line in (heads, *cells):
            print(*line, sep="\t")


def _print_table(heads: list[str], rows: Iterable[list[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415  loads slowly, needed only on a terminal
    from rich.table import Table  # noqa: PLC0415  as above
    from rich.text import Text  # noqa: PLC0415  as above

    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def _shown(value: Any) -> str:  # noqa: ANN401  a cell
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    # An unprintable character could start another cell or line, or be a terminal control sequence.
    text = "".join(one if one.isprintable() else " " for one in str(value))
    return "-" if value is None else text
