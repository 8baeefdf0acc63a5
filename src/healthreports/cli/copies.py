"""Export the reports of an account or workspace before it is deleted."""

import logging
import os
from pathlib import Path
from typing import Annotated, Final

import typer

from healthreports.cli.command import read
from healthreports.contract.lines import JSON_LINES
from healthreports.core.model import Record
from healthreports.core.query import Filter, Query
from healthreports.core.vocabulary import Kind
from healthreports.service import ending
from healthreports.settings import Settings
from healthreports.store.engine.database import Transaction

log: Final = logging.getLogger("healthreports")

Export = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the reports to this new file first, as JSON lines."),
]
WithoutExport = Annotated[bool, typer.Option("--without-export", help="Delete without an export.")]


def keep_copy(
    settings: Settings,
    account_id: int,
    filters: tuple[Filter, ...],
    file: Path | None,
    *,
    without_export: bool,
) -> None:
    """Write the reports to `file`, which must not exist yet.

    Raises typer.BadParameter unless exactly one of `file` and `without_export` is given; OSError.
    """
    if (file is None) != without_export:
        raise typer.BadParameter("give either --export FILE or --without-export")
    if file is None:
        return
    query, last_id = Query(Kind.STATUS_REPORTS, filters), 0

    def following(tx: Transaction) -> tuple[Record, ...]:
        return ending.reports_after(tx, account_id, query, last_id)

    with file.open("xb") as opened:
        while found := read(settings, following):
            opened.write(JSON_LINES.write(found, not last_id))
            last_id = found[-1].id
        opened.flush()
        os.fsync(opened.fileno())
