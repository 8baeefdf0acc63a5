"""The audit log of an account, for its administrators: as a page and as files."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from healthreports.contract.lines import AUDIT_CSV, AUDIT_JSON_LINES, LineFormat
from healthreports.contract.moments import read_instant
from healthreports.contract.params import read_id
from healthreports.core.model import Actor, AuditEvent, Instant, User
from healthreports.core.query import Window
from healthreports.core.vocabulary import DAY_US, AuditAction
from healthreports.service import auditing
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.people import members
from healthreports.web.kit import session
from healthreports.web.kit.forms import chosen
from healthreports.web.kit.show import address_of, file_of, page, who

_SHOWN: Final = 50
# Most entries in a file, and how many of them are read at a time.
_MOST_IN_FILE: Final = 50_000
_AT_ONCE: Final = 1_000
# The subject types whose subject id is the id of a user.
_OF_PEOPLE: Final = ("user", "session", "password", "invitation", "access")
_FIELDS: Final = ("action", "person", "from", "to")


class AuditPage:
    """`/audit`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def show(self, request: Request) -> Response:
        """Show the newest entries that match the filters, or those before the entry `before_id`."""
        params = request.query_params
        before_id = read_id(params.get("before_id", ""))

        def work(tx: Transaction, actor: Actor) -> dict[str, object]:
            filters = _filters(tx, actor, params)
            if before_id is not None:
                filters["before_id"] = before_id
            found = auditing.page(tx, actor, filters, Window(_SHOWN, 0, _SHOWN, 1))
            events = found.records_of(AuditEvent)
            return who(tx, actor) | {
                "events": events,
                "count": found.count,
                "people": _people(tx, actor, events),
                "head": auditing.head(tx, actor.account_id),
            }

        values = await self._gateway.read(session.secret_of(request), work)
        asked = {name: params[name] for name in _FIELDS if params.get(name)}
        values |= {
            "asked": asked,
            "actions": tuple(AuditAction),
            "is_later_page": before_id is not None,
            "shown": _SHOWN,
            "of_people": _OF_PEOPLE,
        }
        return page(request, "audit.html", values)

    async def download_csv(self, request: Request) -> Response:
        """Download the entries that match the filters as CSV."""
        return await self._download(request, AUDIT_CSV, "csv")

    async def download_json_lines(self, request: Request) -> Response:
        """Download the entries that match the filters as JSON lines."""
        return await self._download(request, AUDIT_JSON_LINES, "ndjson")

    async def _download(self, request: Request, form: LineFormat, ending: str) -> Response:
        params, asker = request.query_params, session.secret_of(request)

        def work(tx: Transaction, actor: Actor) -> list[AuditEvent]:
            filters, found = _filters(tx, actor, params), list[AuditEvent]()
            while len(found) < _MOST_IN_FILE:
                window = Window(_AT_ONCE, 0, _AT_ONCE, 1)
                some = auditing.page(tx, actor, filters, window).records_of(AuditEvent)
                found += some
                if len(some) < _AT_ONCE:
                    break
                filters["before_id"] = some[-1].id
            return found

        found = await self._gateway.read_on(asker, work)
        after = {"file": f"audit.{ending}", "filters": [one for one in _FIELDS if params.get(one)]}
        await self._gateway.note(asker, address_of(request), AuditAction.AUDIT_EXPORTED, after)
        content = await asyncio.to_thread(form.write, found, True)  # noqa: FBT003  `write` takes it by position
        return file_of(content, form.media_type, f"audit.{ending}")


def _filters(tx: Transaction, actor: Actor, params: Mapping[str, str]) -> dict[str, Any]:
    """The filters that an address asks for.

    An unknown person matches no entry; an unknown action or an invalid day is ignored.
    """
    filters: dict[str, Any] = {}
    if (action := chosen(AuditAction, params.get("action"))) is not None:
        filters["action"] = action
    if address := params.get("person", "").strip():
        filters["user_id"] = members.visible_by_email(tx, actor, address)
    for name, column, further in (("from", "created_after", -1), ("to", "created_before", DAY_US)):
        try:
            day = read_instant(params.get(name, ""))
        except ValueError:
            continue
        filters[column] = Instant(day + further)
    return filters


def _people(tx: Transaction, actor: Actor, events: tuple[AuditEvent, ...]) -> dict[int, User]:
    """The users who acted and those who were acted on, by id."""
    ids = {one.user_id for one in events}
    ids |= {one.subject_id for one in events if one.subject_type in _OF_PEOPLE}
    return members.of_account(tx, actor, {one for one in ids if one is not None})
