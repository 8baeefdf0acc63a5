"""The people of an account, for its administrators, and the page that an invitation opens."""

from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from healthreports.core.errors import HealthReportsError, Invalid, SignInRefused
from healthreports.core.model import Actor, Clock, Instant
from healthreports.core.query import Page, Query, Window
from healthreports.core.vocabulary import (
    INVITATION_LIFETIME_S,
    AccountPermission,
    Kind,
)
from healthreports.service.auth import addresses, invitations
from healthreports.service.auth.sign_in import SignIn
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.lookup import demand_administrator, find
from healthreports.service.people import handing, members
from healthreports.web.kit import session
from healthreports.web.kit.addresses import ADDRESS, HOME, INVITATION, PEOPLE, WELCOME
from healthreports.web.kit.forms import (
    Fields,
    SentForm,
    faults_of,
    id_in_path,
    page_number,
    sent_form,
    write_once,
)
from healthreports.web.kit.show import address_of, lead_to, page, visitor_of, who

_SHOWN: Final = 100
_DAY_S: Final = 86_400
_OF_PERSON: Final = ("full_name", "email_address", "permission")


class PeoplePages:
    """The pages of an account's people, on the server at `origin`.

    `provider` is the name of the identity provider that people can sign in with, if there is one.
    """

    def __init__(
        self,
        gateway: Gateway,
        sign_in: SignIn,
        provider: str | None,
        clock: Clock,
        origin: str,
    ) -> None:
        self._gateway = gateway
        self._sign_in = sign_in
        self._clock = clock
        self._provider = provider
        self._origin = origin

    async def show(self, request: Request) -> Response:
        """Show all people of the account, for its administrators."""
        return await self._people(request)

    async def add(self, request: Request) -> Response:
        """Add a person, and show the link of the invitation. It is shown only once."""
        form = await sent_form(self._gateway, request)

        def work(tx: Transaction, actor: Actor, now: Instant) -> str | None:
            sent = {name: form.fields.get(name, "") for name in _OF_PERSON}
            membership = members.create_membership(tx, actor, sent, now)
            return invitations.invite(tx, actor, membership.user_id, now)

        return await self._invited(request, form, work, form.fields)

    async def invite(self, request: Request) -> Response:
        """Invite a person again.

        If that person has signed in before, another administrator must confirm the invitation.
        """
        form = await sent_form(self._gateway, request)
        user_id = id_in_path(request, Kind.USERS)
        return await self._invited(
            request, form, lambda tx, actor, now: invitations.invite(tx, actor, user_id, now)
        )

    async def confirm(self, request: Request) -> Response:
        """Confirm another administrator's invitation, and show its link. It is shown only once."""
        form = await sent_form(self._gateway, request)
        user_id = id_in_path(request, Kind.USERS)
        return await self._invited(
            request, form, lambda tx, actor, now: invitations.confirm(tx, actor, user_id, now)
        )

    async def withdraw(self, request: Request) -> Response:
        """Withdraw an invitation, as an administrator."""
        writer, _, _ = await sent_form(self._gateway, request)
        user_id = id_in_path(request, Kind.USERS)
        await self._gateway.write(
            writer, lambda tx, actor, _now: invitations.withdraw(tx, actor, user_id)
        )
        return lead_to(PEOPLE)

    async def change(self, request: Request) -> Response:
        """Change a user's permission in the account, or disable or enable the user."""
        writer, fields, _ = await sent_form(self._gateway, request)
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

    async def send_address(self, request: Request) -> Response:
        """Show the link to send to a person's new e-mail address. It is shown only once."""
        form = await sent_form(self._gateway, request)
        user_id = id_in_path(request, Kind.USERS)

        def work(tx: Transaction, actor: Actor, now: Instant) -> str:
            return addresses.send(tx, actor, user_id, now)

        secret = await write_once(self._gateway, form, work, lambda _: PEOPLE)
        return await self._people(request, sent=f"{self._origin}{ADDRESS}?link={secret}")

    async def hand_over(self, request: Request) -> Response:
        """Give all participations of one person to another."""
        form = await sent_form(self._gateway, request)
        user_id = id_in_path(request, Kind.USERS)
        taker = form.fields.get("taker", "")

        def piece(tx: Transaction, actor: Actor, now: Instant) -> bool:
            return handing.hand_over(tx, actor, user_id, taker, now)

        try:
            while await self._gateway.write(form.writer, piece):
                pass
        except Invalid as error:
            return await self._people(request, error=error)
        return lead_to(f"{PEOPLE}?handed=yes")

    async def welcome(self, request: Request) -> Response:
        """Ask the invited person to choose how to sign in."""
        return await self._welcome(request)

    async def accept(self, request: Request) -> Response:
        """Set the password of the invited person, and sign that person in."""
        fields = await session.read_stranger_form(request)
        secret = request.query_params.get(INVITATION, "")
        try:
            opened = await self._sign_in.accept(
                secret, fields.get("password", ""), visitor_of(request)
            )
        except (Invalid, SignInRefused) as error:
            return await self._welcome(request, error)
        return lead_to(await session.enter(request, opened, self._sign_in, HOME))

    async def _invited(
        self,
        request: Request,
        form: SentForm,
        work: Callable[[Transaction, Actor, Instant], str | None],
        fields: Fields | None = None,
    ) -> Response:
        try:
            secret = await write_once(self._gateway, form, work, lambda _: PEOPLE)
        except Invalid as error:
            return await self._people(request, error=error, fields=fields)
        if secret is None:
            return await self._people(request, waits=True)
        return await self._people(request, made=f"{self._origin}{WELCOME}?{INVITATION}={secret}")

    async def _people(
        self,
        request: Request,
        *,
        made: str = "",
        sent: str = "",
        waits: bool = False,
        error: Invalid | None = None,
        fields: Fields | None = None,
    ) -> Response:
        number = page_number(request)
        window = Window(_SHOWN, (number - 1) * _SHOWN, _SHOWN, number)
        query = Query(Kind.ACCOUNT_MEMBERSHIPS, window=window, includes=("user",))

        def work(tx: Transaction, actor: Actor) -> tuple[Page, dict[str, object]]:
            demand_administrator(actor)
            shown: dict[str, object] = {
                "waiting": invitations.waiting(tx, actor, self._clock()),
                "wanted": addresses.wanted(tx, actor, self._clock()),
            }
            return find(tx, actor, query), who(tx, actor) | shown

        found, asker = await self._gateway.read(session.secret_of(request), work)
        values = {
            "members": found.records,
            "people": found.related["user"].objects.get(Kind.USERS, {}),
            "count": found.count,
            "number": number,
            "pages": -(-found.count // _SHOWN),
            "permissions": tuple(AccountPermission),
            "made": made,
            "sent_address": sent,
            "handed": "handed" in request.query_params,
            "waits": waits,
            "provider": self._provider,
            "passwords": self._sign_in.passwords,
            "days": INVITATION_LIFETIME_S // _DAY_S,
            "fields": fields or {},
            "faults": faults_of(error),
        }
        return page(request, "people.html", asker | values, error)

    async def _welcome(self, request: Request, error: HealthReportsError | None = None) -> Response:
        secret = request.query_params.get(INVITATION, "")
        invited, account = await self._sign_in.invited(secret, address_of(request))
        values = {
            "invited": invited,
            "of_account": account,
            "secret": secret,
            "passwords": self._sign_in.passwords,
            "provider": self._provider,
            "faults": faults_of(error if isinstance(error, Invalid) else None),
        }
        return page(request, "welcome.html", values, error)
