"""Pages for the user's own profile and sign-in, and for the applications of an account."""

from starlette.requests import Request
from starlette.responses import Response

from healthreports.contract.params import read_id
from healthreports.core.errors import Invalid
from healthreports.core.model import Actor, Clock, Instant
from healthreports.core.vocabulary import (
    ACCESS_TOKEN_LIFETIME_S,
    HOUR_S,
    MAX_TOKEN_DAYS,
)
from healthreports.service import auditing
from healthreports.service.auth import (
    addresses,
    applications,
    factors,
    invitations,
    sessions,
    tokens,
)
from healthreports.service.auth.sign_in import SignIn, has_password
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.lookup import demand_administrator, demand_recent_proof
from healthreports.service.people import members
from healthreports.web.kit import session
from healthreports.web.kit.addresses import ACCOUNT, APPLICATIONS
from healthreports.web.kit.forms import Fields, sent_form, whole_number, write_once
from healthreports.web.kit.show import address_of, lead_to, page, who


class AccountPages:
    """The pages below `/account`."""

    def __init__(self, gateway: Gateway, sign_in: SignIn, clock: Clock) -> None:
        self._gateway = gateway
        self._sign_in = sign_in
        self._clock = clock

    async def show(self, request: Request) -> Response:
        """Show the user's own account page."""
        return await self._own_page(request)

    async def revoke_grant(self, request: Request) -> Response:
        """Revoke a grant that the user gave to an application."""
        form = await sent_form(self._gateway, request)
        grant_id = read_id(request.path_params["id"])
        await self._gateway.write(
            form.writer,
            lambda tx, actor, now: applications.revoke_grant(tx, actor.user_id, grant_id, now),
        )
        return lead_to(ACCOUNT)

    async def change_profile(self, request: Request) -> Response:
        """Change the user's name and headline."""
        form = await sent_form(self._gateway, request)
        fields = form.fields
        try:
            await write_once(
                self._gateway,
                form,
                lambda tx, actor, now: members.change_profile(
                    tx, actor, fields.get("full_name", ""), fields.get("headline", ""), now
                ),
                lambda _: ACCOUNT,
            )
        except Invalid as error:
            return await self._own_page(request, error=error)
        return await self._own_page(request, done="The profile is changed.")

    async def want_address(self, request: Request) -> Response:
        """Request a change of the user's e-mail address, or cancel the request."""
        form = await sent_form(self._gateway, request)
        wanted = form.fields.get("email_address", "")

        def work(tx: Transaction, actor: Actor, now: Instant) -> None:
            if "give_up" in form.fields:
                addresses.give_up(tx, actor, actor.user_id)
            else:
                addresses.want(tx, actor, wanted, now)

        try:
            await write_once(self._gateway, form, work, lambda _: ACCOUNT)
        except Invalid as error:
            return await self._own_page(request, error=error)
        return lead_to(ACCOUNT)

    async def ask_address(self, request: Request) -> Response:
        """Ask a user who opened the link sent to the new address to confirm the change."""
        values = await self._gateway.read(session.secret_of(request), who)
        link = request.query_params.get("link", "")
        return page(request, "address.html", values | {"link": link})

    async def take_address(self, request: Request) -> Response:
        """Change the user's e-mail address to the confirmed new one."""
        form = await sent_form(self._gateway, request)
        link = form.fields.get("link", "")
        await self._gateway.write(
            form.writer, lambda tx, actor, now: addresses.prove(tx, actor, link, now)
        )
        return await self._own_page(request, done="Your e-mail address is changed.")

    async def change_password(self, request: Request) -> Response:
        """Change the user's password."""
        writer, fields, _ = await sent_form(self._gateway, request)
        try:
            await self._sign_in.change_password(
                writer.secret,
                fields.get("old_password", ""),
                fields.get("password", ""),
                address_of(request),
                keep_tokens="end_tokens" not in fields,
            )
        except Invalid as error:
            return await self._own_page(request, error=error)
        return await self._own_page(request, done="The password is changed.")

    async def end_session(self, request: Request) -> Response:
        """End one of the user's sessions, for example in another browser."""
        form = await sent_form(self._gateway, request)
        session_id = read_id(request.path_params["id"]) or 0
        await self._gateway.write(
            form.writer, lambda tx, actor, _now: sessions.end(tx, actor, session_id)
        )
        return lead_to(ACCOUNT)

    async def end_other_sessions(self, request: Request) -> Response:
        """End all sessions of the user except this one."""
        form = await sent_form(self._gateway, request)
        await self._gateway.write(form.writer, sessions.end_others)
        return lead_to(ACCOUNT)

    async def withdraw_invitation(self, request: Request) -> Response:
        """Withdraw the invitation with which somebody could sign in as the user."""
        writer, _, _ = await sent_form(self._gateway, request)
        await self._gateway.write(
            writer, lambda tx, actor, _now: invitations.withdraw(tx, actor, actor.user_id)
        )
        return lead_to(ACCOUNT)

    async def show_applications(self, request: Request) -> Response:
        """Show the applications of the account to its administrators."""
        return await self._applications_page(request)

    async def register(self, request: Request) -> Response:
        """Register an application, and show its secret once."""
        form = await sent_form(self._gateway, request)
        fields = form.fields

        def work(tx: Transaction, actor: Actor, now: Instant) -> dict[str, object]:
            demand_administrator(actor)
            demand_recent_proof(actor, now)
            acts_as = fields.get("acts_as", "").strip()
            hours = whole_number(fields, "hours", MAX_TOKEN_DAYS * 24)
            made, secret = applications.register(
                tx,
                members.own_user(tx, actor),
                now,
                name=fields.get("name", ""),
                redirect_uris=tuple(fields.get("redirect_uris", "").split()),
                confidential=fields.get("kind") != "public",
                scopes=tokens.scopes_for(read_only=fields.get("scope") == "read"),
                acts_as=members.user_of_account(tx, actor.account_id, acts_as, "acts_as")
                if acts_as
                else None,
                token_lifetime_s=None if hours is None else hours * HOUR_S,
            )
            return {"client_id": made.client_id, "secret": secret, "name": made.name}

        try:
            made = await write_once(self._gateway, form, work, lambda _: APPLICATIONS)
        except Invalid as error:
            return await self._applications_page(request, error=error, sent=fields)
        return await self._applications_page(request, made=made)

    async def revoke_application(self, request: Request) -> Response:
        """Revoke an application and all its grants."""
        writer, _, _ = await sent_form(self._gateway, request)
        client_id = request.path_params["client_id"]

        def work(tx: Transaction, actor: Actor, now: Instant) -> None:
            demand_administrator(actor)
            applications.revoke(tx, actor.account_id, client_id, now)

        await self._gateway.write(writer, work)
        return lead_to(APPLICATIONS)

    async def _own_page(
        self,
        request: Request,
        *,
        error: Invalid | None = None,
        done: str | None = None,
    ) -> Response:
        now = self._clock()

        def work(tx: Transaction, actor: Actor) -> dict[str, object]:
            return who(tx, actor) | {
                "grants": applications.grants_of(tx, actor.user_id),
                "has_password": self._sign_in.passwords and has_password(tx, actor.user_id),
                "invitation": invitations.own(tx, actor, now),
                "address": addresses.own(tx, actor, now),
                "factors": factors.of_user(tx, actor.user_id),
                "codes_left": factors.codes_left(tx, actor.user_id),
                "sessions": sessions.own(tx, actor, now, self._sign_in.lasting),
                "session_id": actor.session_id,
                "events": auditing.of_own_credentials(tx, actor),
                "now": now,
            }

        values = await self._gateway.read(session.secret_of(request), work)
        return page(request, "account.html", values | {"done": done}, error)

    async def _applications_page(
        self,
        request: Request,
        *,
        made: dict[str, object] | None = None,
        error: Invalid | None = None,
        sent: Fields | None = None,
    ) -> Response:
        def work(tx: Transaction, actor: Actor) -> dict[str, object]:
            demand_administrator(actor)
            return who(tx, actor) | {
                "applications": applications.of_account(tx, actor.account_id),
            }

        values = await self._gateway.read(session.secret_of(request), work)
        values |= {
            "made": made,
            "sent": sent or {},
            "hours": ACCESS_TOKEN_LIFETIME_S // HOUR_S,
        }
        return page(request, "applications.html", values, error)
