"""The search box of the pages: finds workspaces, reports and people that the user may see."""

from typing import Final

import msgspec

from healthreports.core.model import KIND_OF, Actor, R, StatusReport, User, Workspace
from healthreports.core.query import Filter, Query, Sort, Window
from healthreports.core.words import words_of
from healthreports.service.lookup import find
from healthreports.store.engine.database import Transaction
from healthreports.store.lists import pages as records

# Results of each kind. For more, users can filter the portfolio.
FOUND: Final = 10
_FIRST: Final = Window(FOUND, 0, FOUND, 1)


class FoundByWords(msgspec.Struct, frozen=True):
    """The first results of each kind, and their number; each report with its workspace."""

    workspaces: tuple[Workspace, ...] = ()
    workspace_count: int = 0
    reports: tuple[tuple[StatusReport, Workspace], ...] = ()
    report_count: int = 0
    people: tuple[User, ...] = ()
    people_count: int = 0


def search(tx: Transaction, actor: Actor, text: str) -> FoundByWords:
    """Find records with words that begin with the words of `text`; nothing if it has none."""
    if not words_of(text):
        return FoundByWords()
    workspaces, workspace_count = _some(tx, actor, Workspace, "matching", text, Sort("title"))
    newest = Sort("created_at", descending=True)
    reports, report_count = _some(tx, actor, StatusReport, "text", text, newest)
    people, people_count = _some(tx, actor, User, "matching", text, Sort("full_name"))
    ids = {one.workspace_id for one in reports}
    of_reports = records.by_ids(tx, Workspace, actor.account_id, ids)
    return FoundByWords(
        workspaces,
        workspace_count,
        tuple((one, of_reports[one.workspace_id]) for one in reports),
        report_count,
        people,
        people_count,
    )


def _some(  # noqa: PLR0917  the query for a kind
    tx: Transaction, actor: Actor, model: type[R], name: str, text: str, sort: Sort
) -> tuple[tuple[R, ...], int]:
    page = find(tx, actor, Query(KIND_OF[model], (Filter(name, text),), sort, _FIRST))
    return page.records_of(model), page.count
