"""The people of an account, and those of one workspace with its settings."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from healthreports.contract.failure import sentence_of
from healthreports.contract.params import read_id
from healthreports.core.access import MAY_CREATE_WORKSPACES, NEEDS_CREATOR, Action
from healthreports.core.errors import Fault, Forbidden, Invalid, Problem
from healthreports.core.model import Actor, Instant, Workspace
from healthreports.core.query import Filter, Page, Query, Sort, Window
from healthreports.core.vocabulary import (
    INVITATION_LIFETIME_S,
    MAX_ID,
    AccountPermission,
    Kind,
    ParticipationPermission,
    Side,
)
from healthreports.service.auth.sign_in import SignIn, invite
from healthreports.service.gateway import Gateway
from healthreports.service.lookup import demand, demand_administrator, demand_in, find, visible
from healthreports.service.people import members, workspaces
from healthreports.web.kit import session
from healthreports.web.kit.show import address_of, lead_to, page, who
from healthreports.web.reports.records import WORKSPACES, id_in_path, page_number

Chosen = TypeVar("Chosen", bound=StrEnum)
Tx = Any  # the pages pass the transaction on to services and never look into it

PEOPLE: Final = "/people"
WELCOME: Final = "/welcome"
_INVITATION: Final = "invitation"
_SHOWN: Final = 100
_DAY_S: Final = 86_400
# As few as a page shows; there are seldom more people in one workspace.
_MOST_PARTICIPANTS: Final = 200
_DATES: Final = ("start_date", "due_date")
_FLAGS: Final = ("archived", "clients_see_status_reports")


class PeoplePages:
    """The pages of an account's people and of a workspace's settings, at `origin`."""

    def __init__(self, gateway: Gateway, sign_in: SignIn, origin: str) -> None:
        self._gateway = gateway
        self._sign_in = sign_in
        self._origin = origin

    async def show(self, request: Request) -> Response:
        """All people of the account, for its administrators."""
        return await self._people(request)

    async def add(self, request: Request) -> Response:
        """Add a person, and show its invitation this once."""
        fields = await session.read_form(request)

        def work(tx: Tx, actor: Actor, now: Instant) -> str:
            sent = {name: fields.get(name, "") for name in _OF_PERSON}
            membership = members.create_membership(tx, actor, sent, now)
            return invite(tx, actor, membership.user_id, now)

        return await self._invited(request, work, fields)

    async def invite(self, request: Request) -> Response:
        """Invite a person anew: to choose a first password, or another one."""
        await session.read_form(request)
        user_id = id_in_path(request, Kind.USERS)
        return await self._invited(request, lambda tx, actor, now: invite(tx, actor, user_id, now))

    async def change(self, request: Request) -> Response:
        """Change what a person may do in the account, or whether it may come in."""
        fields = await session.read_form(request)
        membership_id = id_in_path(request, Kind.ACCOUNT_MEMBERSHIPS)
        sent: dict[str, object] = {
            "permission": fields.get("permission", ""),
            "disabled": "disabled" in fields,
        }
        try:
            await self._gateway.write(
                session.secret_of(request),
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
        fields = await session.read_form(request)
        secret = request.query_params.get(_INVITATION, "")
        try:
            opened = await self._sign_in.accept(
                secret, fields.get("password", ""), address_of(request)
            )
        except Invalid as error:
            return await self._welcome(request, error)
        session.sign_in(request, opened)
        return lead_to("/")

    async def ask_workspace(self, request: Request) -> Response:
        """The form of a new workspace."""
        return await self._workspace_form(request, {})

    async def make_workspace(self, request: Request) -> Response:
        """Make a workspace."""
        fields = await session.read_form(request)
        try:
            workspace = await self._gateway.write(
                session.secret_of(request),
                lambda tx, actor, now: workspaces.create_workspace(
                    tx, actor, _workspace_of(fields), now
                ),
            )
        except Invalid as error:
            return await self._workspace_form(request, fields, error)
        return lead_to(f"{WORKSPACES}/{workspace.id}")

    async def show_settings(self, request: Request) -> Response:
        """A workspace's settings and who participates in it."""
        return await self._settings(request)

    async def change_workspace(self, request: Request) -> Response:
        """Change a workspace's settings."""
        fields = await session.read_form(request)
        sent = _workspace_of(fields) | {name: name in fields for name in _FLAGS}
        return await self._change(
            request,
            lambda tx, actor, workspace_id, now: workspaces.change_workspace(
                tx, actor, workspace_id, sent, now
            ),
            {**fields, "of_settings": "yes"},
        )

    async def add_participant(self, request: Request) -> Response:
        """Let a person of the account participate."""
        fields = await session.read_form(request)

        def work(tx: Tx, actor: Actor, workspace_id: int, now: Instant) -> None:
            demand(tx, actor, Action.CHANGE_WORKSPACE, workspace_id)
            address = fields.get("email_address", "")
            user = members.user_of_account(tx, actor.account_id, address, "email_address")
            side = _chosen(Side, fields, "side")
            permission = _chosen(ParticipationPermission, fields, "permission")
            try:
                workspaces.join(tx, workspace_id, user, permission, now, side=side)
            except Invalid as error:
                taken = Problem("email_address", error.problems[0].fault)
                raise Invalid([taken]) from error

        return await self._change(request, work, {"email_address": fields.get("email_address", "")})

    async def remove_participant(self, request: Request) -> Response:
        """End a participation."""
        fields = await session.read_form(request)
        participation_id = read_id(fields.get("participation", "")) or MAX_ID
        return await self._change(
            request,
            lambda tx, actor, _workspace_id, _now: workspaces.delete_participation(
                tx, actor, participation_id
            ),
        )

    async def _change(
        self,
        request: Request,
        work: Callable[..., object],
        fields: Mapping[str, str] | None = None,
    ) -> Response:
        workspace_id = id_in_path(request, Kind.WORKSPACES)

        def change(tx: Tx, actor: Actor, now: Instant) -> None:
            visible(tx, actor, Workspace, workspace_id)
            work(tx, actor, workspace_id, now)

        try:
            await self._gateway.write(session.secret_of(request), change)
        except Invalid as error:
            return await self._settings(request, error, fields)
        return lead_to(f"{WORKSPACES}/{workspace_id}/settings")

    async def _invited(
        self,
        request: Request,
        work: Callable[[Tx, Actor, Instant], str],
        fields: Mapping[str, str] | None = None,
    ) -> Response:
        try:
            secret = await self._gateway.write(session.secret_of(request), work)
        except Invalid as error:
            return await self._people(request, error=error, fields=fields)
        return await self._people(request, made=f"{self._origin}{WELCOME}?{_INVITATION}={secret}")

    async def _people(
        self,
        request: Request,
        *,
        made: str = "",
        error: Invalid | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Response:
        number = page_number(request)
        window = Window(_SHOWN, (number - 1) * _SHOWN, _SHOWN, number)
        query = Query(Kind.ACCOUNT_MEMBERSHIPS, window=window, includes=("user",))

        def work(tx: Tx, actor: Actor) -> tuple[Page, dict[str, Any]]:
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
            "faults": _faults(error),
        }
        return page(request, "people.html", asker | values, error)

    async def _welcome(self, request: Request, error: Invalid | None = None) -> Response:
        secret = request.query_params.get(_INVITATION, "")
        invited = await self._sign_in.invited(secret, address_of(request))
        return page(request, "welcome.html", {"invited": invited, "faults": _faults(error)}, error)

    async def _workspace_form(
        self, request: Request, fields: Mapping[str, str], error: Invalid | None = None
    ) -> Response:
        def work(tx: Tx, actor: Actor) -> dict[str, Any]:
            if actor.permission not in MAY_CREATE_WORKSPACES:
                raise Forbidden(NEEDS_CREATOR)
            return who(tx, actor)

        asker = await self._gateway.read(session.secret_of(request), work)
        values = {"fields": fields, "faults": _faults(error)}
        return page(request, "workspace_new.html", asker | values, error)

    async def _settings(
        self,
        request: Request,
        error: Invalid | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Response:
        workspace_id = id_in_path(request, Kind.WORKSPACES)
        query = Query(
            Kind.PARTICIPATIONS,
            (Filter("workspace_id", (workspace_id,)),),
            Sort(),
            Window(_MOST_PARTICIPANTS, 0, _MOST_PARTICIPANTS, 1),
            includes=("user",),
        )

        def work(tx: Tx, actor: Actor) -> tuple[Workspace, Page, dict[str, Any]]:
            workspace = visible(tx, actor, Workspace, workspace_id)
            # Who may bring an archive back sees its settings.
            open_again = replace(workspace, archived=False)
            demand_in(tx, actor, Action.CHANGE_WORKSPACE, open_again)
            return workspace, find(tx, actor, query), who(tx, actor)

        workspace, found, asker = await self._gateway.read(session.secret_of(request), work)
        values = {
            "workspace": workspace,
            # What was typed, where it could not be saved.
            "of": fields if fields and "of_settings" in fields else workspace,
            "sent": fields or {},
            "participations": found.records,
            "people": found.related["user"].objects.get(Kind.USERS, {}),
            "sides": tuple(Side),
            "permissions": tuple(ParticipationPermission),
            "faults": _faults(error),
        }
        return page(request, "workspace_settings.html", asker | values, error)


_OF_PERSON: Final = ("full_name", "email_address", "permission")


def _chosen(options: type[Chosen], fields: Mapping[str, str], name: str) -> Chosen:
    """What was chosen in a field. Raises Invalid."""
    try:
        return options(fields.get(name, ""))
    except ValueError as error:
        raise Invalid([Problem(name, Fault.NOT_IN, tuple(options))]) from error


def _faults(error: Invalid | None) -> dict[str, str]:
    """What is wrong, by the field of the form where it is."""
    problems: tuple[Problem, ...] = () if error is None else error.problems
    return {one.field: sentence_of(one) for one in problems}


def _workspace_of(fields: Mapping[str, str]) -> dict[str, object]:
    """The fields as the body of a request would have them; a blank date is none."""
    sent: dict[str, object] = {
        "title": fields.get("title", "").strip(),
        "description": fields.get("description", "").replace("\r\n", "\n").strip() or None,
    }
    return sent | {name: fields.get(name, "").strip() or None for name in _DATES}
