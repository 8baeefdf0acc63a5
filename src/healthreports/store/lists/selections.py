"""How each kind of record is stored: its table, columns, filters, orders and associations.

The names are those of `contract/resources`; `app` checks at start-up that both modules declare the
same ones. Contract: sections 4 and 7.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    FromClause,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    exists,
    func,
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
    WorkspaceGroup,
)
from healthreports.core.query import Filter
from healthreports.core.vocabulary import (
    REFERENCE_ATTRIBUTES,
    AccountPermission,
    Category,
    Color,
    Kind,
    ParticipationPermission,
    ReportEvery,
    Side,
    SubjectType,
    SyncStatus,
    Weekday,
)
from healthreports.core.words import fold
from healthreports.store.engine.database import Row
from healthreports.store.engine.statement import Either, among, unindexed, unindexed_text
from healthreports.store.lists.words import WordsIn, asked, has_words
from healthreports.store.schema.tables import (
    account_memberships,
    color_column,
    current_reports,
    description_column,
    external_references,
    group_workspaces,
    participations,
    status_reports,
    users,
    workspace_groups,
    workspaces,
)

Condition = ColumnElement[bool]


class Direct(NamedTuple):
    """An association by a column of the record itself."""

    kind: Kind
    column: str


class Beside(NamedTuple):
    """An association by another table: rows of `origin` whose `owner` is the record's id."""

    kind: Kind
    owner: Column[int]
    origin: Any
    condition: Condition


class Found(NamedTuple):
    """A filter whose records can be found by an index.

    `finding` is the condition that uses the index. `walking` is the same condition for a statement
    that reads records in some order and tests each row. If that is the order of `column`, `finding`
    is used there too.
    """

    finding: Condition
    walking: Condition
    column: ColumnElement[Any] | None = None


class Worded(NamedTuple):
    """A filter by words: the record whose id is in the column `record_id` has them in `scope`.

    `others` are the further conditions of the filter.
    """

    scope: WordsIn
    record_id: Column[int]
    others: tuple[Condition, ...] = ()


class SubjectOf(NamedTuple):
    """The association of an external reference with the object it belongs to."""


# Suffix for a filter that takes several values: names its condition for a single value.
_ONE: Final = "=one"

R_co = TypeVar("R_co", bound=Record, covariant=True)


class Selection(msgspec.Struct, Generic[R_co], frozen=True, kw_only=True):
    """How one kind of record is stored.

    `within_reach` tests each row: whether the user `reach_user` may see the record. `reached` finds
    the records for which that may be so, starting from the workspaces of the user.

    A filter with few possible values has one condition for each of them, named `name=value`; a
    value without a condition matches every record. A filter that takes several values may have
    another condition for a single value. The filters in `on_reference` must all hold for the same
    external reference, of a subject of the type `refers_as` (4.6).

    `steady` names the filters on attributes that never change: a record that matches them matches
    until it is deleted. All other filters are evaluated again whenever the account has changed.
    """

    table: Table
    read: Callable[[Row], R_co]
    columns: tuple[Column[Any], ...]
    within_reach: Condition
    reached: Condition | None = None
    sorts: Mapping[str, Column[Any]]
    filters: Mapping[str, Condition | Found | Worded]
    steady: frozenset[str] = frozenset()
    on_reference: Mapping[str, Condition] = {}
    refers_as: SubjectType | None = None
    associations: Mapping[str, Direct | Beside | SubjectOf] = {}

    @property
    def filter_names(self) -> frozenset[str]:
        """The names of all filters."""
        names = (name.partition("=")[0] for name in self.filters)
        return frozenset(names) | frozenset(self.on_reference)

    def shape(self, one: Filter) -> str | None:
        """The name of the condition for a filter; None if the filter matches every record."""
        for_one = f"{one.name}{_ONE}"
        if isinstance(one.value, tuple) and len(one.value) == 1 and for_one in self.filters:
            return for_one
        if one.name in self.filters or one.name in self.on_reference:
            return one.name
        value = str(one.value).lower() if isinstance(one.value, bool) else one.value
        shape = f"{one.name}={value}"
        return shape if shape in self.filters else None

    def shapes(self, filters: Iterable[Filter]) -> tuple[str, ...]:
        """The names of the conditions for these filters."""
        return tuple([name for name in map(self.shape, filters) if name is not None])

    def values(self, account_id: int, filters: Iterable[Filter]) -> dict[str, Any]:
        """The parameters of the conditions for these filters."""
        values: dict[str, Any] = {}
        for one in filters:
            found = self.filters.get(one.name)
            if isinstance(found, Worded) and isinstance(one.value, str):
                values |= asked(account_id, found.scope, one.name, one.value)
                values[one.name] = fold(one.value.strip())
            else:
                values[one.name] = one.value
                if isinstance(one.value, tuple) and len(one.value) == 1:
                    values[f"{one.name}_one"] = one.value[0]
        return values


def in_account(table: FromClause) -> Condition:
    """The row belongs to the account; required of every table with an account, without a join.

    A distributed database then knows where the rows are before it reads any.
    """
    return table.c.account_id == bindparam("reach_account")


def there_is(table: FromClause, *conditions: Condition) -> Condition:
    """A row of `table` exists in the account for which the conditions hold.

    The subquery is run for each row of the outer statement. On PostgreSQL it has an OFFSET of 0,
    which skips nothing: without it, PostgreSQL turns the subquery into a join and may start with
    `table`, and so read all that a user sees to find the twenty records of a page.
    """
    found: Select[Any] = select(literal_column("1")).select_from(table)
    found = found.where(in_account(table), *conditions)
    return Either(exists(found), exists(found.offset(literal_column("0"))))


# The attributes of external references that have an index.
_INDEXED_ATTRIBUTES: Final = frozenset(
    f"external_reference_{name}"
    for name in ("service_name", "service_model_ref", "service_model_refs")
)


def is_found(name: str, one: Condition | Found | Worded | None) -> bool:
    """Whether an index can find the records that match a filter."""
    return isinstance(one, (Found, Worded)) or name in _INDEXED_ATTRIBUTES


def walking(name: str, one: Condition | Found | Worded) -> Condition:
    """The condition of the filter `name` for a statement that tests each row."""
    if isinstance(one, Worded):
        return and_(has_words(one.record_id, one.scope, name), *one.others)
    return one.walking if isinstance(one, Found) else one


def refers(subject: Column[Any], subject_type: SubjectType, *conditions: Condition) -> Found:
    """A subject has an external reference for which all the conditions hold."""
    references = external_references.c
    return _with(
        subject, references.subject_id, references.subject_type == subject_type, *conditions
    )


def has_reference(
    *conditions: Condition,
    subject: Column[Any] = status_reports.c.id,
    subject_type: SubjectType = SubjectType.STATUS_REPORT,
) -> Condition:
    """A subject, by default a report, has a reference for which all the conditions hold."""
    return there_is(
        external_references,
        external_references.c.subject_type == subject_type,
        external_references.c.subject_id == subject,
        *conditions,
    )


def _in_time(column: Column[Any], name: str) -> dict[str, Found]:
    """The filters by a column with a time or a date, which has an index."""
    hidden = unindexed_text(column) if isinstance(column.type, Text) else unindexed(column)
    after: BindParameter[Any] = bindparam(f"{name}_after")
    before: BindParameter[Any] = bindparam(f"{name}_before")
    return {
        f"{name}_after": Found(column > after, hidden > after, column),
        f"{name}_before": Found(column < before, hidden < before, column),
    }


def _among_found(column: Column[Any], name: str) -> Found:
    """The filter for one of several values of an indexed column."""
    hidden = unindexed_text(column) if isinstance(column.type, Text) else unindexed(column)
    return Found(among(column, name), among(hidden, name))


def _equal_found(column: Column[Any], name: str) -> Found:
    """The filter for one value of an indexed column."""
    hidden = unindexed_text(column) if isinstance(column.type, Text) else unindexed(column)
    return Found(column == bindparam(name), hidden == bindparam(name))


def _with(owner: Column[Any], beside: Column[Any], *conditions: Condition) -> Found:
    """A row of another table exists whose `beside` is `owner` and for which conditions hold."""
    table = beside.table
    ids = select(beside).where(in_account(table), *conditions)
    return Found(owner.in_(ids), there_is(table, beside == owner, *conditions))


def _by_reference(subject: Column[Any], subject_type: SubjectType) -> dict[str, Condition]:
    """The filters of 4.6 by whether a reference exists."""

    def has(*conditions: Condition) -> Condition:
        return has_reference(*conditions, subject=subject, subject_type=subject_type)

    return {
        "has_external_references=true": has(),
        "has_external_references=false": ~has(),
        "without_external_reference_service_name": ~has(
            external_references.c.service_name
            == bindparam("without_external_reference_service_name")
        ),
    }


def _strictly(column: Column[Any], name: str) -> dict[str, Condition]:
    return {
        f"{name}_after": column > bindparam(f"{name}_after"),
        f"{name}_before": column < bindparam(f"{name}_before"),
    }


# The filters of 4.6 that must all hold for the same reference.
def _on_reference() -> dict[str, Condition]:
    return {
        **_equal(external_references, "external_reference_", *REFERENCE_ATTRIBUTES),
        "external_reference_service_model_refs": among(
            external_references.c.service_model_ref, "external_reference_service_model_refs"
        ),
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
    # Written out in the order of `_REPORT_COLUMNS`: this takes half the time of loops over the
    # columns, and a page reads a hundred details.
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


_WORKSPACE_NAMES: Final = Workspace.__struct_fields__
_WORKSPACE_COLUMNS: Final = tuple(workspaces.c[name] for name in _WORKSPACE_NAMES)


_EVERY: Final = {str(one): one for one in ReportEvery}
_WEEKDAYS: Final = {str(one): one for one in Weekday}


def _read_workspace(row: Row) -> Workspace:
    values = dict(zip(_WORKSPACE_NAMES, row, strict=True))
    values["archived"] = _FLAGS[values["archived"]]
    values["clients_see_status_reports"] = _FLAGS[values["clients_see_status_reports"]]
    values["report_every"] = _EVERY[values["report_every"]]
    values["report_day"] = _WEEKDAYS[values["report_day"]]
    return Workspace(**values)


_USER_NAMES: Final = User.__struct_fields__
_USER_COLUMNS: Final = tuple(users.c[name] for name in _USER_NAMES)


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
# The id of the newest report of a workspace, read from the end of an index.
_CURRENT: Final = (
    select(_newest.c.id)
    .where(in_account(_newest), _newest.c.workspace_id == workspaces.c.id)
    .order_by(_newest.c.created_at.desc(), _newest.c.id.desc())
    .limit(literal_column("1"))
    .correlate(workspaces)
    .scalar_subquery()
)
_PARTICIPATION_NAMES: Final = Participation.__struct_fields__
_PARTICIPATION_COLUMNS: Final = tuple(participations.c[name] for name in _PARTICIPATION_NAMES)


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


_GROUP_NAMES: Final = WorkspaceGroup.__struct_fields__
_GROUP_COLUMNS: Final = tuple(workspace_groups.c[name] for name in _GROUP_NAMES)


def _read_group(row: Row) -> WorkspaceGroup:
    values = dict(zip(_GROUP_NAMES, row, strict=True))
    values["company"] = _FLAGS[values["company"]]
    return WorkspaceGroup(**values)


_own: Final = participations.alias("own")
_own_workspace: Final = workspaces.alias("own_workspace")


def shows_reports(own: FromClause) -> Condition:
    """The participation lets its user see the reports, and not only the workspace itself."""
    return or_(
        own.c.side == Side.PROVIDER,
        there_is(
            _own_workspace,
            _own_workspace.c.id == own.c.workspace_id,
            _own_workspace.c.clients_see_status_reports == 1,
        ),
    )


def _participates(workspace_id: Column[Any], *conditions: Condition) -> Condition:
    """The user `reach_user` has a participation in the workspace for which `conditions` hold."""
    return there_is(
        _own,
        _own.c.workspace_id == workspace_id,
        _own.c.user_id == bindparam("reach_user"),
        *conditions,
    )


_places: Final = participations.alias("places")
# The workspaces of the user `reach_user`.
_PLACES: Final = select(_places.c.workspace_id).where(
    in_account(_places), _places.c.user_id == bindparam("reach_user")
)
_reached_group: Final = group_workspaces.alias("reached_group")
_SHARES_A_WORKSPACE: Final = there_is(
    participations,
    participations.c.user_id == users.c.id,
    _participates(participations.c.workspace_id),
)
_current: Final = current_reports.alias("current_one")
_IS_CURRENT: Final = there_is(_current, _current.c.report_id == status_reports.c.id)


def _has_participant(name: str) -> Found:
    """One of the users given by the filter `name` participates in the workspace."""
    place = participations.alias("place")
    return _with(workspaces.c.id, place.c.workspace_id, among(place.c.user_id, name))


def _leads(side: Side) -> Condition:
    return and_(participations.c.side == side, participations.c.team_lead == literal_column("1"))


_PEOPLE: Final = users.join(participations, participations.c.user_id == users.c.id)
_caller_place: Final = participations.alias("caller_place")
_CALLER_PARTICIPATES: Final = _with(
    workspaces.c.id,
    _caller_place.c.workspace_id,
    _caller_place.c.user_id == bindparam("caller"),
)
_lead: Final = participations.alias("lead")
_place: Final = participations.alias("place")
_grouped: Final = group_workspaces.alias("grouped")

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
        **_by_reference(status_reports.c.id, SubjectType.STATUS_REPORT),
        "color": among(status_reports.c.color, "color"),
        "color=one": status_reports.c.color == bindparam("color_one"),
        "creator_id": among(status_reports.c.creator_id, "creator_id"),
        "creator_id=one": status_reports.c.creator_id == bindparam("creator_id_one"),
        **{
            f"category_color={category}:{color}": status_reports.c[color_column(category)]
            == literal_column(f"'{color}'")
            for category in Category
            for color in Color
        },
        "current=true": _IS_CURRENT,
        "current=false": ~_IS_CURRENT,
        "text": Worded(WordsIn.REPORT, status_reports.c.id),
    },
    # The filters by references are among them, since a change of a reference raises `reshaped` of
    # the account's version: results that were remembered before it are not used any more.
    steady=frozenset(
        {"created_after", "created_before", "workspace_id", "creator_id"}
        | _on_reference().keys()
        | _by_reference(status_reports.c.id, SubjectType.STATUS_REPORT).keys()
    ),
    on_reference=_on_reference(),
    refers_as=SubjectType.STATUS_REPORT,
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

# Written exactly as in the partial indexes for what a list shows by default.
_IN_USE: Final = workspaces.c.archived == literal_column("0")
WORKSPACES: Final = Selection[Workspace](
    table=workspaces,
    columns=_WORKSPACE_COLUMNS,
    read=_read_workspace,
    reached=workspaces.c.id.in_(_PLACES),
    within_reach=_participates(workspaces.c.id),
    sorts={
        **{
            name: workspaces.c[name]
            for name in ("id", "created_at", "updated_at", "start_date", "due_date")
        },
        "title": workspaces.c.title_key,
    },
    filters={
        "include_archived=false": _IN_USE,
        "archived=exclude": _IN_USE,
        "archived=only": workspaces.c.archived == literal_column("1"),
        "archived=include": true(),
        "matching": Worded(WordsIn.TITLE, workspaces.c.id),
        "search": Worded(WordsIn.WORKSPACE, workspaces.c.id),
        "has_participant": _has_participant("has_participant"),
        "user_not_participating": ~_has_participant("user_not_participating").walking,
        "has_participation=true": _CALLER_PARTICIPATES,
        "has_participation=false": ~_CALLER_PARTICIPATES.walking,
        "except": ~among(workspaces.c.id, "except"),
        "creator": _among_found(workspaces.c.creator_id, "creator"),
        "provider_lead": _with(
            workspaces.c.id,
            _lead.c.workspace_id,
            _lead.c.side == Side.PROVIDER,
            _lead.c.team_lead == literal_column("1"),
            among(_lead.c.user_id, "provider_lead"),
        ),
        "on_my_account=true": true(),
        "workspace_groups": _with(
            workspaces.c.id,
            _grouped.c.workspace_id,
            among(_grouped.c.group_id, "workspace_groups"),
        ),
        **_in_time(workspaces.c.start_date, "start_date"),
        **_in_time(workspaces.c.due_date, "due_date"),
        **_in_time(workspaces.c.created_at, "created"),
        **_in_time(workspaces.c.updated_at, "updated"),
        **_by_reference(workspaces.c.id, SubjectType.WORKSPACE),
    },
    on_reference=_on_reference(),
    refers_as=SubjectType.WORKSPACE,
    associations={
        "creator": Direct(Kind.USERS, "creator_id"),
        "participants": Beside(Kind.USERS, participations.c.workspace_id, _PEOPLE, true()),
        "participations": Beside(
            Kind.PARTICIPATIONS, participations.c.workspace_id, participations, true()
        ),
        "current_user_participation": Beside(
            Kind.PARTICIPATIONS,
            participations.c.workspace_id,
            participations,
            participations.c.user_id == bindparam("caller"),
        ),
        "primary_maven": Beside(
            Kind.USERS, participations.c.workspace_id, _PEOPLE, _leads(Side.PROVIDER)
        ),
        "primary_counterpart": Beside(
            Kind.USERS, participations.c.workspace_id, _PEOPLE, _leads(Side.CLIENT)
        ),
        "external_references": Beside(
            Kind.EXTERNAL_REFERENCES,
            external_references.c.subject_id,
            external_references,
            external_references.c.subject_type == SubjectType.WORKSPACE,
        ),
        "workspace_groups": Beside(
            Kind.WORKSPACE_GROUPS,
            group_workspaces.c.workspace_id,
            group_workspaces.join(
                workspace_groups, group_workspaces.c.group_id == workspace_groups.c.id
            ),
            in_account(workspace_groups),
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


# The user's name contains the text, ignoring case and accents. The index of words finds the names
# with all its words; this tests that they follow each other as in the text.
_part: Final[BindParameter[str]] = bindparam("by_full_name", type_=Text)
_HAS_IN_NAME: Final = Either(
    func.instr(users.c.name_key, _part) > 0, func.strpos(users.c.name_key, _part) > 0
)


def _participates_in(name: str) -> Found:
    """The user participates in a workspace that the filter `name` gives and the caller sees.

    A caller must not learn who participates in a workspace that it does not see.
    """
    return _with(
        users.c.id,
        _place.c.user_id,
        among(_place.c.workspace_id, name),
        or_(
            bindparam("reach_user", type_=BigInteger).is_(None),
            _participates(_place.c.workspace_id),
        ),
    )


USERS: Final = Selection[User](
    table=users,
    columns=_USER_COLUMNS,
    read=_read_user,
    within_reach=or_(users.c.id == bindparam("reach_user"), _SHARES_A_WORKSPACE),
    sorts={"id": users.c.id, "alphabetical": users.c.name_key, "full_name": users.c.name_key},
    filters={
        "show_disabled=false": users.c.disabled == literal_column("0"),
        "by_email_address": _equal_found(users.c.email_address, "by_email_address"),
        "by_email_addresses": _among_found(users.c.email_address, "by_email_addresses"),
        "by_full_name": Worded(WordsIn.USER, users.c.id, (_HAS_IN_NAME,)),
        "search": Worded(WordsIn.USER, users.c.id),
        "matching": Worded(WordsIn.USER, users.c.id),
        "participant_in": _participates_in("participant_in"),
        "not_participant_in": ~_participates_in("not_participant_in").walking,
        "on_my_account=true": true(),
        "with_users": _among_found(users.c.id, "with_users"),
        "without_users": ~among(users.c.id, "without_users"),
        **_in_time(users.c.created_at, "created"),
        **_in_time(users.c.updated_at, "updated"),
    },
    associations={
        "account_membership": Beside(
            Kind.ACCOUNT_MEMBERSHIPS, account_memberships.c.user_id, account_memberships, true()
        ),
    },
)

REFERENCES: Final = Selection[ExternalReference](
    table=external_references,
    columns=_EXTERNAL_COLUMNS,
    read=_read_reference,
    reached=external_references.c.workspace_id.in_(_PLACES),
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
        **{
            name: _equal_found(external_references.c[name], name)
            for name in ("service_name", "service_model_ref")
        },
        "subject_id": _among_found(external_references.c.subject_id, "subject_id"),
        **_in_time(external_references.c.created_at, "created"),
        **_in_time(external_references.c.updated_at, "updated"),
        **_in_time(external_references.c.last_synced_at, "last_synced"),
    },
    associations={"subject": SubjectOf()},
)

PARTICIPATIONS: Final = Selection[Participation](
    table=participations,
    columns=_PARTICIPATION_COLUMNS,
    read=_read_participation,
    reached=participations.c.workspace_id.in_(_PLACES),
    within_reach=_participates(participations.c.workspace_id),
    sorts={
        **{name: participations.c[name] for name in ("id", "created_at", "updated_at")},
        "user_name": participations.c.user_name_key,
    },
    filters={
        "workspace_id": _among_found(participations.c.workspace_id, "workspace_id"),
        "by_user": _among_found(participations.c.user_id, "by_user"),
        "user_id": _among_found(participations.c.user_id, "user_id"),
        "mavens_only=true": participations.c.side == Side.PROVIDER,
        **_in_time(participations.c.created_at, "created"),
        **_in_time(participations.c.updated_at, "updated"),
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
    filters={
        "only_active=true": account_memberships.c.disabled_at.is_(None),
        "only_inactive=true": account_memberships.c.disabled_at.is_not(None),
        "by_user_id": _among_found(account_memberships.c.user_id, "by_user_id"),
        "user_id": _among_found(account_memberships.c.user_id, "user_id"),
        "by_full_name": Worded(
            WordsIn.USER,
            account_memberships.c.user_id,
            (there_is(users, users.c.id == account_memberships.c.user_id, _HAS_IN_NAME),),
        ),
        **_in_time(account_memberships.c.created_at, "created"),
        **_in_time(account_memberships.c.updated_at, "updated"),
    },
    associations={"user": Direct(Kind.USERS, "user_id")},
)

GROUPS: Final = Selection[WorkspaceGroup](
    table=workspace_groups,
    columns=_GROUP_COLUMNS,
    read=_read_group,
    reached=workspace_groups.c.id.in_(
        select(_reached_group.c.group_id).where(
            in_account(_reached_group), _reached_group.c.workspace_id.in_(_PLACES)
        )
    ),
    within_reach=there_is(
        _grouped,
        _grouped.c.group_id == workspace_groups.c.id,
        _participates(_grouped.c.workspace_id),
    ),
    sorts={
        **{name: workspace_groups.c[name] for name in ("id", "created_at", "updated_at")},
        "name": workspace_groups.c.name_key,
    },
    filters={
        "companies_only=true": workspace_groups.c.company == literal_column("1"),
        "matching": Worded(WordsIn.GROUP, workspace_groups.c.id),
        **_in_time(workspace_groups.c.created_at, "created"),
        **_in_time(workspace_groups.c.updated_at, "updated"),
    },
    associations={
        "workspaces": Beside(
            Kind.WORKSPACES,
            group_workspaces.c.group_id,
            group_workspaces.join(workspaces, group_workspaces.c.workspace_id == workspaces.c.id),
            in_account(workspaces),
        ),
    },
)

SELECTIONS: Final[Mapping[Kind, Selection[Record]]] = {
    Kind.STATUS_REPORTS: REPORTS,
    Kind.WORKSPACES: WORKSPACES,
    Kind.USERS: USERS,
    Kind.EXTERNAL_REFERENCES: REFERENCES,
    Kind.PARTICIPATIONS: PARTICIPATIONS,
    Kind.ACCOUNT_MEMBERSHIPS: MEMBERSHIPS,
    Kind.WORKSPACE_GROUPS: GROUPS,
}
