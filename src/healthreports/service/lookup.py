"""Finding and showing records of any kind, within what the actor may see."""

from healthreports.core.access import Action, may, reach
from healthreports.core.errors import Forbidden, NotFound
from healthreports.core.model import Actor, Record
from healthreports.core.query import Page, Query
from healthreports.core.vocabulary import Kind
from healthreports.store import people, records
from healthreports.store.database import Transaction


def find(tx: Transaction, actor: Actor, query: Query) -> Page:
    """One page of what `actor` may see. Contract: 4."""
    return records.page(tx, query, reach(actor), actor.account_version)


def get(tx: Transaction, actor: Actor, query: Query) -> Page:
    """The page around the one record that `query` names. Raises NotFound. Contract: 2.5, 5.1."""
    page = records.page(tx, query, reach(actor))
    if not page.records:
        raise NotFound(query.kind)
    return page


def visible(tx: Transaction, actor: Actor, kind: Kind, record_id: int) -> Record:
    """The record, if `actor` may see it. Raises NotFound."""
    return get(tx, actor, Query(kind, only=(record_id,))).records[0]


def demand_write(tx: Transaction, actor: Actor, workspace_id: int) -> None:
    """Raise Forbidden unless `actor` may write in a workspace that it sees. Contract: 5.2, 6."""
    if not may(actor, Action.WRITE, people.participation(tx, workspace_id, actor.user_id)):
        raise Forbidden("this needs the permission to edit in the workspace")
