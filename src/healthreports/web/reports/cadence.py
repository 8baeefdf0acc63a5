"""The page that sets when reports are due, for several workspaces at once."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from healthreports.contract.params import read_id
from healthreports.core.errors import Fault, Invalid, Problem
from healthreports.core.model import Actor, Clock, Instant
from healthreports.core.vocabulary import ReportEvery, Weekday
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.people import workspaces
from healthreports.service.reports import portfolio
from healthreports.web.kit import session
from healthreports.web.kit.addresses import CADENCE, HOME
from healthreports.web.kit.forms import CADENCE_FIELDS, faults_of, sent_form, write_once
from healthreports.web.kit.show import lead_to, page, who
from healthreports.web.reports.portfolio import query_of

_WORKSPACE: Final = "workspace_"


class CadencePage:
    """`/cadence`, for the workspaces that the portfolio shows with the same query."""

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock

    async def show(self, request: Request) -> Response:
        """Show the workspaces and the form."""
        return await self._page(request, {})

    async def save(self, request: Request) -> Response:
        """Set when reports are due for all chosen workspaces, or for none if one fails."""
        form = await sent_form(self._gateway, request)
        fields = form.fields
        sent = {name: fields.get(name, "").strip() or None for name in CADENCE_FIELDS}
        params = dict(request.query_params)

        def work(tx: Transaction, actor: Actor, now: Instant) -> str:
            chosen = _chosen(fields)
            if not 0 < len(chosen) <= portfolio.MOST_CHANGED:
                raise Invalid([Problem("workspaces", Fault.MISSING)])
            for workspace_id in chosen:
                workspaces.change_workspace(tx, actor, workspace_id, sent, now)
            return f"{CADENCE}?{urlencode({**params, 'changed': len(chosen)})}"

        try:
            return lead_to(await write_once(self._gateway, form, work, str))
        except Invalid as error:
            return await self._page(request, fields, error)

    async def _page(
        self, request: Request, fields: Mapping[str, str], error: Invalid | None = None
    ) -> Response:
        params = {name: text for name, text in request.query_params.items() if text}
        changed, now = read_id(params.pop("changed", "")), self._clock()

        def work(tx: Transaction, actor: Actor) -> dict[str, object]:
            query = query_of(params, actor, now)
            found, matching = portfolio.changeable(tx, actor, query, now)
            return who(tx, actor) | {"found": found, "matching": matching}

        values = await self._gateway.read(session.secret_of(request), work)
        values |= {
            "of": fields or {"report_every": ReportEvery.WEEK, "report_day": Weekday.FRIDAY},
            "chosen": _chosen(fields),
            "changed": changed,
            "most": portfolio.MOST_CHANGED,
            "report_every": tuple(ReportEvery),
            "weekdays": tuple(Weekday),
            "faults": faults_of(error),
            "back": f"{HOME}?{urlencode(params)}" if params else HOME,
        }
        return page(request, "cadence.html", values, error)


def _chosen(fields: Mapping[str, str]) -> list[int]:
    """The ids of the workspaces that are chosen."""
    names = (name.removeprefix(_WORKSPACE) for name in fields if name.startswith(_WORKSPACE))
    return [found for name in names if (found := read_id(name)) is not None]
