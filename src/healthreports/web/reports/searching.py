"""`/search`: find pages, workspaces, reports and people by words."""

from collections.abc import Collection
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from healthreports.core.model import Actor, Clock
from healthreports.core.vocabulary import MAX_NAME
from healthreports.core.words import words_of
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.reports import searching
from healthreports.web.kit import session
from healthreports.web.kit.addresses import (
    ACCOUNT,
    APPLICATIONS,
    AUDIT,
    DEVELOPERS,
    HOME,
    PEOPLE,
    WORKSPACES,
)
from healthreports.web.kit.show import page, who


class Place(NamedTuple):
    """A page that a search finds by its title, or by other `words` for its content."""

    title: str
    address: str
    words: str
    for_administrators: bool = False

    def has(self, wanted: Collection[str]) -> bool:
        """Whether each wanted word is the beginning of a word of this page."""
        own = words_of(f"{self.title} {self.words}")
        return all(any(one.startswith(begin) for one in own) for begin in wanted)


PAGES: Final = (
    Place("Portfolio", HOME, "status overview home workspaces projects"),
    Place("Timeline", f"{HOME}?view=weeks", "weeks history trend"),
    Place("My reports", f"{HOME}?owner=me", "drafts mine own"),
    Place("Clients", f"{HOME}?group=client", "companies customers"),
    Place("Overdue", f"{HOME}?show=overdue", "late missing"),
    Place("Archived workspaces", f"{WORKSPACES}/archived", "archive closed old"),
    Place("Your account", ACCOUNT, "profile name password applications sign"),
    Place("Developers", DEVELOPERS, "api tokens curl oauth openapi base url"),
    Place("API reference", "/docs", "openapi swagger documentation"),
    Place(
        "People", PEOPLE, "users invite invitations administrators roles", for_administrators=True
    ),
    Place("Audit log", AUDIT, "history security events who did what", for_administrators=True),
    Place("Applications", APPLICATIONS, "oauth clients register", for_administrators=True),
)


class SearchPage:
    """The results of the search box that every page has."""

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock

    async def show(self, request: Request) -> Response:
        """Show what the text in the address finds."""
        text = request.query_params.get("q", "").replace("\0", "").strip()[:MAX_NAME]

        def work(tx: Transaction, actor: Actor) -> dict[str, object]:
            return who(tx, actor) | {"found": searching.search(tx, actor, text)}

        wanted = words_of(text)

        values = await self._gateway.read(session.secret_of(request), work)
        places = [
            one
            for one in PAGES
            if wanted and one.has(wanted) and (values["administers"] or not one.for_administrators)
        ]
        values |= {"text": text, "now": self._clock(), "places": places}
        return page(request, "search.html", values)
