"""The people of an account, for its administrators; the page that an invitation leads to."""

from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from healthreports.core.errors import Invalid
from healthreports.core.model import Actor, Instant
from healthreports.core.query import Page, Query, Window
from healthreports.core.vocabulary import (
    INVITATION_LIFETIME_S,
    AccountPermission,
    Kind,
)
from healthreports.service.auth.sign_in import SignIn, invite
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.lookup import demand_administrator, find
from healthreports.service.people import members
from healthreports.web.kit import session
from healthreports.web.kit.addresses import HOME, PEOPLE, WELCOME
from healthreports.web.kit.forms import (
    Fields,
    SentForm,
    faults_of,
    id_in_path,
    page_number,
    sent_form,
)
from healthreports.web.kit.show import address_of, lead_to, page, who

_INVITATION: Final = "invitation"
_SHOWN: Final = 100
_DAY_S: Final = 86_400
_OF_PERSON: Final = ("full_name", "email_address", "permission")


class PeoplePages:
    """The pages of an account's people, on the server at `origin`."""

    def __init__(self, gateway: Gateway, sign_in: SignIn, origin: str) -> None:
        self._gateway = gateway
        self._sign_in = sign_in
        self._origin = origin

    async def show(self, request: Request) -> Response:
        """All people of the account, for its administrators."""
        return await self._people(request)

    async def add(self, request: Request) -> Response:
        """Add a person, and show its invitation this once."""
        form = await sent_form(self._gateway, request)

        def work(tx: Transaction, actor: Actor, now: Instant) -> str:
            sent = {name: form.fields.get(name, "") for name in _OF_PERSON}
            membership = members.create_membership(tx, actor, sent, now)
            return invite(tx, actor, membership.user_id, now)

        return await self._invited(request, form, work, form.fields)

    async def invite(self, request: Request) -> Response:
        """Invite a person anew: to choose a first password, or another one."""
        form = await sent_form(self._gateway, request)
        user_id = id_in_path(request, Kind.USERS)
        return await self._invited(
            request, form, lambda tx, actor, now: invite(tx, actor, user_id, now)
        )

    async def change(self, request: Request) -> Response:
        """Change what a person may do in the account, or whether it may come in."""
        writer, fields = await sent_form(self._gateway, request)
        membership_id = id_in_path(request, Kind.ACCOUNT_MEMBERSHIPS)
        sent: dict[str, object] = {
            "permission": fields.get("permission", ""),
            "disabled": "disabled" in fields,
        }
        try:
            await self._gateway.write(
                writer,
                lambda tx, actor, now: members.change_membership(
                    tx, actor, membership_id, sent, now
                ),
            )
        except Invalid as error:
            return await self._people(request, error=error)
        return lead_to(PEOPLE)

    async def welcome(self, request: Request) -> Response:
        """Ask who was invited for a password."""
        return await self._welcome(request)

    async def accept(self, request: Request) -> Response:
        """Keep the password of who was invited, and sign it in."""
        fields = await session.read_stranger_form(request)
        secret = request.query_params.get(_INVITATION, "")
        try:
            opened = await self._sign_in.accept(
                secret, fields.get("password", ""), address_of(request)
            )
        except Invalid as error:
            return await self._welcome(request, error)
        session.sign_in(request, opened)
        return lead_to(HOME)

    async def _invited(
        self,
        request: Request,
        form: SentForm,
        work: Callable[[Transaction, Actor, Instant], str],
        fields: Fields | None = None,
    ) -> Response:
        try:
            secret = await self._gateway.write(form.writer, work)
        except Invalid as error:
            return await self._people(request, error=error, fields=fields)
        return await self._people(request, made=f"{self._origin}{WELCOME}?{_INVITATION}={secret}")

    async def _people(
        self,
        request: Request,
        *,
        made: str = "",
        error: Invalid | None = None,
        fields: Fields | None = None,
    ) -> Response:
        number = page_number(request)
        window = Window(_SHOWN, (number - 1) * _SHOWN, _SHOWN, number)
        query = Query(Kind.ACCOUNT_MEMBERSHIPS, window=window, includes=("user",))

        def work(tx: Transaction, actor: Actor) -> tuple[Page, dict[str, object]]:
            demand_administrator(actor)
            return find(tx, actor, query), who(tx, actor)

        found, asker = await self._gateway.read(session.secret_of(request), work)
        values = {
            "members": found.records,
            "people": found.related["user"].objects.get(Kind.USERS, {}),
            "count": found.count,
            "number": number,
            "pages": -(-found.count // _SHOWN),
            "permissions": tuple(AccountPermission),
            "made": made,
            "days": INVITATION_LIFETIME_S // _DAY_S,
            "fields": fields or {},
            "faults": faults_of(error),
        }
        return page(request, "people.html", asker | values, error)

    async def _welcome(self, request: Request, error: Invalid | None = None) -> Response:
        secret = request.query_params.get(_INVITATION, "")
        invited = await self._sign_in.invited(secret, address_of(request))
        return page(
            request, "welcome.html", {"invited": invited, "faults": faults_of(error)}, error
        )
