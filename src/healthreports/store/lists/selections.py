"""How each kind of record is stored: its table, columns, filters, orders and associations.

The names are those of `contract/resources`; `app` demands at start-up that both name the same.
Contract: sections 4 and 7.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    FromClause,
    Select,
    Table,
    and_,
    bindparam,
    exists,
    literal_column,
    or_,
    select,
    true,
)

from healthreports.core.model import (
    AccountMembership,
    Detail,
    ExternalReference,
    Participation,
    Record,
    StatusReport,
    User,
    Workspace,
)
from healthreports.core.vocabulary import (
    REFERENCE_ATTRIBUTES,
    AccountPermission,
    Category,
    Color,
    Kind,
    ParticipationPermission,
    Side,
    SubjectType,
    SyncStatus,
)
from healthreports.store.engine.database import Row
from healthreports.store.engine.statement import Either, among
from healthreports.store.schema.tables import (
    account_memberships,
    color_column,
    description_column,
    external_references,
    participations,
    status_reports,
    users,
    workspaces,
)

Condition = ColumnElement[bool]


class Direct(NamedTuple):
    """An association by a column of the record itself."""

    kind: Kind
    column: str


class Beside(NamedTuple):
    """An association by a column elsewhere: rows of `origin` whose `owner` is the record's id."""

    kind: Kind
    owner: Column[int]
    origin: Any
    condition: Condition


class SubjectOf(NamedTuple):
    """The association of an external reference with the object it belongs to."""


R_co = TypeVar("R_co", bound=Record, covariant=True)


class Selection(msgspec.Struct, Generic[R_co], frozen=True, kw_only=True):
    """How one kind is kept.

    `within_reach` says which records of the account the user `reach_user` sees. The filters in
    `on_reference` must hold for one and the same external reference (4.6).
    """

    table: Table
    read: Callable[[Row], R_co]
    columns: tuple[Column[Any], ...]
    within_reach: Condition
    sorts: Mapping[str, Column[Any]]
    filters: Mapping[str, Condition]
    on_reference: Mapping[str, Condition] = {}
    associations: Mapping[str, Direct | Beside | SubjectOf] = {}

    @property
    def filter_names(self) -> frozenset[str]:
        """Every filter that it knows."""
        return frozenset(self.filters) | frozenset(self.on_reference)


def in_account(table: FromClause) -> Condition:
    """The row belongs to the account; asked of every table that has one, not by a join.

    A distributed database then knows where to look before it reads a row.
    """
    return table.c.account_id == bindparam("reach_account")


def there_is(table: FromClause, *conditions: Condition) -> Condition:
    """There is a row of `table` in the account for which the conditions hold.

    It is looked for row by row. Without an OFFSET, though it skips nothing, PostgreSQL makes a join
    of it and may begin with `table`: with all that a user sees, to find the twenty on a page.
    """
    found: Select[Any] = select(literal_column("1")).select_from(table)
    found = found.where(in_account(table), *conditions)
    return Either(exists(found), exists(found.offset(literal_column("0"))))


def has_reference(*conditions: Condition) -> Condition:
    """A report has an external reference for which all the conditions hold."""
    return there_is(
        external_references,
        external_references.c.subject_type == SubjectType.STATUS_REPORT,
        external_references.c.subject_id == status_reports.c.id,
        *conditions,
    )


def _strictly(column: Column[Any], name: str) -> dict[str, Condition]:
    return {
        f"{name}_after": column > bindparam(f"{name}_after"),
        f"{name}_before": column < bindparam(f"{name}_before"),
    }


def _equal(table: Table, prefix: str, *columns: str) -> dict[str, Condition]:
    return {prefix + name: table.c[name] == bindparam(prefix + name) for name in columns}


_COLORS: Final = {color.value: color for color in Color}
_SYNC_STATUSES: Final = {status.value: status for status in SyncStatus}
_SUBJECT_TYPES: Final = {subject_type.value: subject_type for subject_type in SubjectType}
PERMISSIONS: Final = {permission.value: permission for permission in AccountPermission}
_FLAGS: Final = {None: None, 0: False, 1: True}
_REPORT_COLUMNS: Final = (
    *(
        status_reports.c[name]
        for name in (
            "id",
            "account_id",
            "workspace_id",
            "creator_id",
            "updater_id",
            "color",
            "description",
            "created_at",
            "updated_at",
        )
    ),
    *(
        status_reports.c[name(category)]
        for category in Category
        for name in (color_column, description_column)
    ),
)
_SCOPE, _BUDGET, _SCHEDULE, _CLIENT = Category


def _read_report(row: Row) -> StatusReport:
    # Spelled out, in the order of `_REPORT_COLUMNS`: half the time of loops over the places, and a
    # page reads a hundred details.
    report_id, account_id, workspace_id, creator_id, updater_id, color, description = row[:7]
    created_at, updated_at, scope, on_scope, budget, on_budget = row[7:13]
    schedule, on_schedule, client, on_client = row[13:]
    details = []
    if scope is not None:
        details.append(Detail(_SCOPE, _COLORS[scope], on_scope))
    if budget is not None:
        details.append(Detail(_BUDGET, _COLORS[budget], on_budget))
    if schedule is not None:
        details.append(Detail(_SCHEDULE, _COLORS[schedule], on_schedule))
    if client is not None:
        details.append(Detail(_CLIENT, _COLORS[client], on_client))
    return StatusReport(
        id=report_id,
        account_id=account_id,
        workspace_id=workspace_id,
        creator_id=creator_id,
        updater_id=updater_id,
        color=_COLORS[color],
        description=description,
        details=tuple(details),
        created_at=created_at,
        updated_at=updated_at,
    )


_WORKSPACE_COLUMNS: Final = tuple(workspaces.columns)
_WORKSPACE_NAMES: Final = tuple(column.name for column in _WORKSPACE_COLUMNS)


def _read_workspace(row: Row) -> Workspace:
    values = dict(zip(_WORKSPACE_NAMES, row, strict=True))
    values["archived"] = _FLAGS[values["archived"]]
    values["clients_see_status_reports"] = _FLAGS[values["clients_see_status_reports"]]
    return Workspace(**values)


_USER_COLUMNS: Final = tuple(column for column in users.columns if column.name != "created_at")
_USER_NAMES: Final = tuple(column.name for column in _USER_COLUMNS)


def _read_user(row: Row) -> User:
    values = dict(zip(_USER_NAMES, row, strict=True))
    return User(**values)


_EXTERNAL_COLUMNS: Final = tuple(external_references.columns)
_EXTERNAL_NAMES: Final = tuple(column.name for column in _EXTERNAL_COLUMNS)


def _read_reference(row: Row) -> ExternalReference:
    values = dict(zip(_EXTERNAL_NAMES, row, strict=True))
    values["subject_type"] = _SUBJECT_TYPES[values["subject_type"]]
    values["status"] = _SYNC_STATUSES[values["status"]]
    values["locked"] = _FLAGS[values["locked"]]
    return ExternalReference(**values)


_newest: Final = status_reports.alias("newest")
# The id of the newest report of a workspace, sought from the end of an index.
_CURRENT: Final = (
    select(_newest.c.id)
    .where(in_account(_newest), _newest.c.workspace_id == workspaces.c.id)
    .order_by(_newest.c.created_at.desc(), _newest.c.id.desc())
    .limit(literal_column("1"))
    .correlate(workspaces)
    .scalar_subquery()
)
_PARTICIPATION_COLUMNS: Final = tuple(participations.columns)
_PARTICIPATION_NAMES: Final = tuple(column.name for column in _PARTICIPATION_COLUMNS)


def _read_participation(row: Row) -> Participation:
    values = dict(zip(_PARTICIPATION_NAMES, row, strict=True))
    values["side"] = Side(values["side"])
    values["permission"] = ParticipationPermission(values["permission"])
    values["team_lead"] = _FLAGS[values["team_lead"]]
    return Participation(**values)


_MEMBERSHIP_COLUMNS: Final = tuple(account_memberships.columns)
_MEMBERSHIP_NAMES: Final = tuple(column.name for column in _MEMBERSHIP_COLUMNS)


def _read_membership(row: Row) -> AccountMembership:
    values = dict(zip(_MEMBERSHIP_NAMES, row, strict=True))
    values["permission"] = PERMISSIONS[values["permission"]]
    return AccountMembership(**values)


_own: Final = participations.alias("own")
_own_workspace: Final = workspaces.alias("own_workspace")


def shows_reports(own: FromClause) -> Condition:
    """The participation shows its user the reports, and not only that the workspace is there."""
    return or_(
        own.c.side == Side.PROVIDER,
        there_is(
            _own_workspace,
            _own_workspace.c.id == own.c.workspace_id,
            _own_workspace.c.clients_see_status_reports == 1,
        ),
    )


def _participates(workspace_id: Column[Any], *conditions: Condition) -> Condition:
    """The user `reach_user` participates in the workspace, in a way for which `conditions` hold."""
    return there_is(
        _own,
        _own.c.workspace_id == workspace_id,
        _own.c.user_id == bindparam("reach_user"),
        *conditions,
    )


_SHARES_A_WORKSPACE: Final = there_is(
    participations,
    participations.c.user_id == users.c.id,
    _participates(participations.c.workspace_id),
)
REPORTS: Final = Selection[StatusReport](
    table=status_reports,
    columns=_REPORT_COLUMNS,
    read=_read_report,
    within_reach=_participates(status_reports.c.workspace_id, shows_reports(_own)),
    sorts={name: status_reports.c[name] for name in ("id", "created_at", "updated_at")},
    filters={
        **_strictly(status_reports.c.created_at, "created"),
        **_strictly(status_reports.c.updated_at, "updated"),
        "workspace_id": among(status_reports.c.workspace_id, "workspace_id"),
        "has_external_references": has_reference() == bindparam("has_external_references"),
        "without_external_reference_service_name": ~has_reference(
            external_references.c.service_name
            == bindparam("without_external_reference_service_name")
        ),
    },
    on_reference={
        **_equal(external_references, "external_reference_", *REFERENCE_ATTRIBUTES),
        "external_reference_service_model_refs": among(
            external_references.c.service_model_ref, "external_reference_service_model_refs"
        ),
    },
    associations={
        "creator": Direct(Kind.USERS, "creator_id"),
        "updater": Direct(Kind.USERS, "updater_id"),
        "workspace": Direct(Kind.WORKSPACES, "workspace_id"),
        "external_references": Beside(
            Kind.EXTERNAL_REFERENCES,
            external_references.c.subject_id,
            external_references,
            external_references.c.subject_type == SubjectType.STATUS_REPORT,
        ),
    },
)

WORKSPACES: Final = Selection[Workspace](
    table=workspaces,
    columns=_WORKSPACE_COLUMNS,
    read=_read_workspace,
    within_reach=_participates(workspaces.c.id),
    sorts={name: workspaces.c[name] for name in ("id", "created_at", "updated_at", "title")},
    filters={
        "include_archived": or_(
            workspaces.c.archived == 0, bindparam("include_archived") == true()
        ),
        **_strictly(workspaces.c.created_at, "created"),
        **_strictly(workspaces.c.updated_at, "updated"),
    },
    associations={
        "creator": Direct(Kind.USERS, "creator_id"),
        "participants": Beside(
            Kind.USERS,
            participations.c.workspace_id,
            users.join(participations, participations.c.user_id == users.c.id),
            true(),
        ),
        "status_reports": Beside(
            Kind.STATUS_REPORTS,
            status_reports.c.workspace_id,
            status_reports,
            true(),
        ),
        "current_status_report": Beside(
            Kind.STATUS_REPORTS,
            workspaces.c.id,
            workspaces.join(status_reports, status_reports.c.id == _CURRENT),
            in_account(status_reports),
        ),
    },
)

USERS: Final = Selection[User](
    table=users,
    columns=_USER_COLUMNS,
    read=_read_user,
    within_reach=or_(users.c.id == bindparam("reach_user"), _SHARES_A_WORKSPACE),
    sorts={name: users.c[name] for name in ("id", "full_name")},
    filters={},
)

REFERENCES: Final = Selection[ExternalReference](
    table=external_references,
    columns=_EXTERNAL_COLUMNS,
    read=_read_reference,
    within_reach=or_(
        _participates(external_references.c.workspace_id, shows_reports(_own)),
        and_(
            external_references.c.subject_type == SubjectType.WORKSPACE,
            _participates(external_references.c.workspace_id),
        ),
    ),
    sorts={name: external_references.c[name] for name in ("id", "created_at", "last_synced_at")},
    filters={
        **_equal(external_references, "", "subject_type", *REFERENCE_ATTRIBUTES),
        **_strictly(external_references.c.created_at, "created"),
        **_strictly(external_references.c.last_synced_at, "last_synced"),
    },
    associations={"subject": SubjectOf()},
)

PARTICIPATIONS: Final = Selection[Participation](
    table=participations,
    columns=_PARTICIPATION_COLUMNS,
    read=_read_participation,
    within_reach=_participates(participations.c.workspace_id),
    sorts={name: participations.c[name] for name in ("id", "created_at", "updated_at")},
    filters={
        "workspace_id": among(participations.c.workspace_id, "workspace_id"),
        "user_id": among(participations.c.user_id, "user_id"),
    },
    associations={
        "user": Direct(Kind.USERS, "user_id"),
        "workspace": Direct(Kind.WORKSPACES, "workspace_id"),
    },
)

MEMBERSHIPS: Final = Selection[AccountMembership](
    table=account_memberships,
    columns=_MEMBERSHIP_COLUMNS,
    read=_read_membership,
    within_reach=account_memberships.c.user_id == bindparam("reach_user"),
    sorts={name: account_memberships.c[name] for name in ("id", "created_at", "updated_at")},
    filters={"user_id": among(account_memberships.c.user_id, "user_id")},
    associations={"user": Direct(Kind.USERS, "user_id")},
)

SELECTIONS: Final[Mapping[Kind, Selection[Record]]] = {
    Kind.STATUS_REPORTS: REPORTS,
    Kind.WORKSPACES: WORKSPACES,
    Kind.USERS: USERS,
    Kind.EXTERNAL_REFERENCES: REFERENCES,
    Kind.PARTICIPATIONS: PARTICIPATIONS,
    Kind.ACCOUNT_MEMBERSHIPS: MEMBERSHIPS,
}
