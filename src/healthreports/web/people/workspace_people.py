"""Pages that create a workspace, change its settings, and manage its participants."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from healthreports.contract.params import read_id
from healthreports.core.access import (
    MAY_CREATE_WORKSPACES,
    MAY_MANAGE_GROUPS,
    NEEDS_CREATOR,
    Action,
)
from healthreports.core.errors import Forbidden, Invalid, Problem
from healthreports.core.model import (
    Actor,
    Instant,
    Participation,
    Record,
    User,
    Workspace,
    WorkspaceGroup,
)
from healthreports.core.query import Filter, Page, Query, Sort, Window
from healthreports.core.vocabulary import (
    MAX_ID,
    Kind,
    ParticipationPermission,
    ReportEvery,
    Side,
    Weekday,
)
from healthreports.service.gateway import Gateway, Transaction
from healthreports.service.lookup import demand, demand_in, find, visible
from healthreports.service.people import groups, members, workspaces
from healthreports.web.kit import session
from healthreports.web.kit.addresses import WORKSPACES
from healthreports.web.kit.forms import (
    CADENCE_FIELDS,
    Fields,
    SentForm,
    faults_of,
    id_in_path,
    sent_form,
    typed,
    write_once,
)
from healthreports.web.kit.show import lead_to, page, who

# The page shows at most this many; a workspace seldom has more participants.
_MOST_PARTICIPANTS: Final = 200
_DATES: Final = ("start_date", "due_date")
# The fields that name groups, and whether these groups are companies.
_GROUPS: Final = {"clients": True, "programmes": False}
_FLAGS: Final = ("archived", "clients_see_status_reports")


class WorkspacePages:
    """The pages of a workspace's settings and its people."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def ask_workspace(self, request: Request) -> Response:
        """Show the form for a new workspace."""
        return await self._workspace_form(request, {})

    async def make_workspace(self, request: Request) -> Response:
        """Create a workspace."""
        form = await sent_form(self._gateway, request)
        fields = form.fields

        def work(tx: Transaction, actor: Actor, now: Instant) -> str:
            made = workspaces.create_workspace(tx, actor, _workspace_of(fields), now)
            return f"{WORKSPACES}/{made.id}"

        try:
            return lead_to(await write_once(self._gateway, form, work, str))
        except Invalid as error:
            return await self._workspace_form(request, fields, error)

    async def show_settings(self, request: Request) -> Response:
        """Show a workspace's settings and participants."""
        return await self._settings(request)

    async def change_workspace(self, request: Request) -> Response:
        """Change a workspace's settings."""
        form = await sent_form(self._gateway, request)
        fields = form.fields
        sent = _workspace_of(fields) | {name: name in fields for name in _FLAGS}
        sent |= {name: fields[name].strip() or None for name in CADENCE_FIELDS if name in fields}

        def work(tx: Transaction, actor: Actor, workspace_id: int, now: Instant) -> None:
            more: dict[str, object] = {}
            if fields.get("owner", "").strip():
                more["primary_maven_id"] = members.visible_by_email(tx, actor, fields["owner"])
            try:
                changed = workspaces.change_workspace(tx, actor, workspace_id, sent | more, now)
            except Invalid as error:
                raise Invalid([_of_owner(one) for one in error.problems]) from error
            if actor.permission in MAY_MANAGE_GROUPS and _GROUPS.keys() <= fields.keys():
                groups.set_groups(tx, changed, _named_groups(tx, actor, fields, now))

        return await self._change(request, form, work, {**fields, "of_settings": "yes"})

    async def add_participant(self, request: Request) -> Response:
        """Add a person of the account as a participant."""
        form = await sent_form(self._gateway, request)
        fields = form.fields

        def work(tx: Transaction, actor: Actor, workspace_id: int, now: Instant) -> None:
            demand(tx, actor, Action.CHANGE_WORKSPACE, workspace_id)
            address = fields.get("email_address", "")
            sent = {
                "workspace_id": workspace_id,
                "user_id": members.visible_by_email(tx, actor, address),
                "side": fields.get("side", ""),
                "permission": fields.get("permission", ""),
            }
            try:
                workspaces.create_participation(tx, actor, sent, now)
            except Invalid as error:
                raise Invalid([_of_form(one) for one in error.problems]) from error

        typed_address = {"email_address": fields.get("email_address", "")}
        return await self._change(request, form, work, typed_address)

    async def remove_participant(self, request: Request) -> Response:
        """Remove a participant."""
        form = await sent_form(self._gateway, request)
        participation_id = read_id(form.fields.get("participation", "")) or MAX_ID
        return await self._change(
            request,
            form,
            lambda tx, actor, _workspace_id, _now: workspaces.delete_participation(
                tx, actor, participation_id
            ),
        )

    async def _change(
        self,
        request: Request,
        form: SentForm,
        work: Callable[[Transaction, Actor, int, Instant], object],
        fields: Fields | None = None,
    ) -> Response:
        workspace_id = id_in_path(request, Kind.WORKSPACES)

        def change(tx: Transaction, actor: Actor, now: Instant) -> str:
            visible(tx, actor, Workspace, workspace_id)
            work(tx, actor, workspace_id, now)
            return f"{WORKSPACES}/{workspace_id}/settings"

        try:
            return lead_to(await write_once(self._gateway, form, change, str))
        except Invalid as error:
            return await self._settings(request, error, fields)

    async def _workspace_form(
        self, request: Request, fields: Fields, error: Invalid | None = None
    ) -> Response:
        def work(tx: Transaction, actor: Actor) -> dict[str, object]:
            if actor.permission not in MAY_CREATE_WORKSPACES:
                raise Forbidden(NEEDS_CREATOR)
            return who(tx, actor)

        asker = await self._gateway.read(session.secret_of(request), work)
        values = {"fields": fields, "faults": faults_of(error)}
        return page(request, "workspace_new.html", asker | values, error)

    async def _settings(
        self,
        request: Request,
        error: Invalid | None = None,
        fields: Fields | None = None,
    ) -> Response:
        workspace_id = id_in_path(request, Kind.WORKSPACES)
        query = Query(
            Kind.PARTICIPATIONS,
            (Filter("workspace_id", (workspace_id,)),),
            Sort(),
            Window(_MOST_PARTICIPANTS, 0, _MOST_PARTICIPANTS, 1),
            includes=("user",),
        )

        def work(tx: Transaction, actor: Actor) -> tuple[Workspace, Page, dict[str, object]]:
            workspace = visible(tx, actor, Workspace, workspace_id)
            # A user who may unarchive the workspace may see its settings while it is archived.
            open_again = replace(workspace, archived=False)
            demand_in(tx, actor, Action.CHANGE_WORKSPACE, open_again)
            of_it = {
                "manages_groups": actor.permission in MAY_MANAGE_GROUPS,
                "groups": groups.of_workspace(tx, workspace),
            }
            return workspace, find(tx, actor, query), who(tx, actor) | of_it

        workspace, found, asker = await self._gateway.read(session.secret_of(request), work)
        people = found.related["user"].objects.get(Kind.USERS, {})
        values = {
            **_named(asker, found.records_of(Participation), people, fields or {}),
            "report_every": tuple(ReportEvery),
            "weekdays": tuple(Weekday),
            "workspace": workspace,
            # What the user typed, if it could not be saved.
            "of": fields if fields and "of_settings" in fields else workspace,
            "sent": fields or {},
            "participations": found.records,
            "people": people,
            "sides": tuple(Side),
            "permissions": tuple(ParticipationPermission),
            "faults": faults_of(error),
        }
        return page(request, "workspace_settings.html", asker | values, error)


def _of_form(problem: Problem) -> Problem:
    """The problem under the form's field name: the form names a person by e-mail address."""
    is_of_person = problem.field == "user_id"
    return replace(problem, field="email_address") if is_of_person else problem


def _of_owner(problem: Problem) -> Problem:
    """The problem under the form's field name: the form calls the provider's lead the owner."""
    return replace(problem, field="owner") if problem.field == "primary_maven_id" else problem


def _named_groups(
    tx: Transaction, actor: Actor, fields: Fields, now: Instant
) -> dict[int, WorkspaceGroup]:
    """The groups that the form names, one per line, by id. Missing groups are created."""
    found: dict[int, WorkspaceGroup] = {}
    for field, company in _GROUPS.items():
        for name in filter(None, map(str.strip, fields[field].splitlines())):
            try:
                one = groups.named(tx, actor, name, now, company=company)
                found[one.id] = one
            except Invalid as error:
                problems = [replace(one, field=field) for one in error.problems]
                raise Invalid(problems) from error
    return found


def _named(
    asker: dict[str, object],
    places: Sequence[Participation],
    people: Mapping[int, Record],
    fields: Fields,
) -> dict[str, str]:
    """The owner, clients and programmes for the form: as they were typed, or else as stored."""
    leads = [one for one in places if one.team_lead and one.side is Side.PROVIDER]
    owner = people.get(leads[0].user_id) if leads else None
    its_groups = asker["groups"]
    assert isinstance(its_groups, list)
    kept = {"owner": owner.email_address if isinstance(owner, User) else ""} | {
        name: "\n".join(one.name for one in its_groups if one.company is company)
        for name, company in _GROUPS.items()
    }
    return kept | {name: fields[name] for name in kept if name in fields}


def _workspace_of(fields: Fields) -> dict[str, object]:
    """The fields in the form of a request body; a blank date becomes None."""
    sent: dict[str, object] = {
        "title": fields.get("title", "").strip(),
        "description": typed(fields.get("description", "")) or None,
    }
    return sent | {name: fields.get(name, "").strip() or None for name in _DATES}
