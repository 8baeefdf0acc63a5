"""The declarations of the kinds of objects: their fields, associations, filters and orders.

Parsing (`params`), the envelope (`envelope`) and the OpenAPI document (`openapi`) read these
declarations. `store/lists/selections` has the column for each name, and a check at start-up
requires that both have the same names. A new resource needs a declaration here and one there.
Follows sections 3, 4 and 7.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum, auto
from typing import Any, Final

import msgspec

from healthreports.core import access
from healthreports.core.model import Participation
from healthreports.core.query import Sort
from healthreports.core.vocabulary import (
    REFERENCE_ATTRIBUTES,
    ROLE_OF,
    SUBJECT_KINDS,
    AccountPermission,
    AuditAction,
    Category,
    Color,
    Kind,
    ParticipationPermission,
    ReportEvery,
    Side,
    SideRole,
    SyncStatus,
    Through,
    VersionEvent,
    Weekday,
)


class FieldType(StrEnum):
    """How an attribute is written in an answer; `envelope` and `schemas` use it."""

    ID = auto()
    INTEGER = auto()
    TEXT = auto()
    COLOR = auto()
    VERSION_EVENT = auto()
    SYNC_STATUS = auto()
    SIDE = auto()
    ROLE = auto()
    PARTICIPATION_PERMISSION = auto()
    ACCOUNT_PERMISSION = auto()
    REPORT_EVERY = auto()
    WEEKDAY = auto()
    FLAG = auto()
    DATE = auto()
    TIME = auto()
    DETAILS = auto()
    PERMISSIONS = auto()
    AUDIT_ACTION = auto()
    THROUGH = auto()
    # An object whose values are each a text, a number, true, false or null.
    VALUES = auto()


class FilterType(StrEnum):
    """How the value of a filter is read; `params` and `schemas` use it."""

    TIME = auto()
    DATE = auto()
    FLAG = auto()
    # True narrows the list; false does not.
    ONLY = auto()
    ID = auto()
    IDS = auto()
    TEXT = auto()
    TEXTS = auto()
    ADDRESS = auto()
    ADDRESSES = auto()
    WORDS = auto()
    # One of the filter's `choices`, or several.
    CHOICE = auto()
    CHOICES = auto()
    SYNC_STATUS = auto()
    CATEGORY_COLOR = auto()


class Field(msgspec.Struct, frozen=True):
    """An attribute of every answer or, if `optional`, only of answers that ask for it (4.4).

    Its value is the attribute of the same name in the model, or the result of `made_by` for the
    record. If `of_caller` is true, it depends on the caller and is not in the record at all.
    """

    name: str
    type: FieldType
    nullable: bool = False
    optional: bool = False
    made_by: Callable[[Any], Any] | None = None
    of_caller: bool = False


class Association(msgspec.Struct, frozen=True):
    """An association that `include` may name.

    `kinds` are the top-level keys of its targets; there are several if the kind of the target
    differs from record to record. `link` is the attribute with the ids of the targets. `column`
    means that the attribute is always there, because it is part of the record itself (3.2).
    """

    name: str
    kinds: tuple[Kind, ...]
    link: str
    many: bool = False
    column: bool = False

    @property
    def is_polymorphic(self) -> bool:
        """Whether the target's kind differs from record to record; its link is {key, id}."""
        return len(self.kinds) > 1


class FilterSpec(msgspec.Struct, frozen=True):
    """A filter of a list.

    A filter with a `default` applies unless it is sent, or one of those in `replaced_by` is sent.
    It also applies if a single record is requested.
    """

    name: str
    type: FilterType
    says: str
    required: bool = False
    default: bool | None = None
    replaced_by: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """The declaration of one kind. `root` is the key around the attributes of a body (1.4).

    `not_served` are the filters that the original API has and this one does not. Each has its
    default value in the original, or an empty text (1.6).
    """

    kind: Kind
    root: str
    fields: tuple[Field, ...]
    associations: tuple[Association, ...] = ()
    filters: tuple[FilterSpec, ...] = ()
    sorts: tuple[str, ...] = ("id",)
    default_sort: Sort = Sort()
    not_served: Mapping[str, str] = {}

    def association(self, name: str) -> Association | None:
        """The association of that name, or None."""
        return next((one for one in self.associations if one.name == name), None)


def _dates(*columns: str) -> tuple[FilterSpec, ...]:
    return tuple(
        FilterSpec(f"{column}_{side}", FilterType.TIME, f"{column}_at strictly {side} this instant")
        for column in columns
        for side in ("after", "before")
    )


_REFERENCE: Final = "one external reference has this {} (exact match)"
_BY_REFERENCE: Final = (
    FilterSpec("has_external_references", FilterType.FLAG, "with, or without, any reference"),
    *(
        FilterSpec(
            f"external_reference_{name}",
            FilterType.SYNC_STATUS if name == "status" else FilterType.TEXT,
            _REFERENCE.format(name),
        )
        for name in REFERENCE_ATTRIBUTES
    ),
    FilterSpec(
        "external_reference_service_model_refs",
        FilterType.TEXTS,
        "any of these refs, comma-separated, at most 200",
    ),
    FilterSpec(
        "without_external_reference_service_name",
        FilterType.TEXT,
        "no external reference has this service_name",
    ),
)


def _not_served(*names: str, **defaults: str) -> Mapping[str, str]:
    return dict.fromkeys(names, "") | defaults


_BY_CUSTOM_FIELD: Final = (
    "by_custom_choice_value",
    "by_custom_currency_value",
    "by_custom_date_value",
    "by_custom_number_value",
    "by_custom_text_value",
    "has_value_for_custom_field_ids",
)

STATUS_REPORTS: Final = Resource(
    kind=Kind.STATUS_REPORTS,
    root="status_report",
    fields=(
        Field("id", FieldType.ID),
        Field("color", FieldType.COLOR),
        Field("description", FieldType.TEXT),
        Field("details", FieldType.DETAILS),
        Field("created_at", FieldType.TIME),
        Field("updated_at", FieldType.TIME),
        Field("workspace_id", FieldType.ID),
        Field("creator_id", FieldType.ID),
        Field("updater_id", FieldType.ID, nullable=True),
    ),
    associations=(
        Association("creator", (Kind.USERS,), "creator_id", column=True),
        Association("updater", (Kind.USERS,), "updater_id", column=True),
        Association("workspace", (Kind.WORKSPACES,), "workspace_id", column=True),
        Association(
            "external_references", (Kind.EXTERNAL_REFERENCES,), "external_reference_ids", many=True
        ),
    ),
    filters=(
        *_dates("created", "updated"),
        FilterSpec("workspace_id", FilterType.IDS, "reports of these workspaces, comma-separated"),
        *_BY_REFERENCE,
        FilterSpec(
            "color",
            FilterType.CHOICES,
            "extension: of these colors, comma-separated",
            choices=tuple(Color),
        ),
        FilterSpec("creator_id", FilterType.IDS, "extension: by these users, comma-separated"),
        FilterSpec(
            "category_color",
            FilterType.CATEGORY_COLOR,
            "extension: a detail has this color, like Budget:red",
            choices=tuple(f"{category}:{color}" for category in Category for color in Color),
        ),
        FilterSpec(
            "current",
            FilterType.FLAG,
            "extension: true for the newest report of each workspace, false for the others",
        ),
        FilterSpec(
            "text",
            FilterType.WORDS,
            "extension: each of these words begins a word of the report's texts",
        ),
    ),
    sorts=("id", "created_at", "updated_at"),
)

WORKSPACES: Final = Resource(
    kind=Kind.WORKSPACES,
    root="workspace",
    fields=(
        Field("id", FieldType.ID),
        Field("title", FieldType.TEXT),
        Field("description", FieldType.TEXT, nullable=True),
        Field("archived", FieldType.FLAG),
        Field("access_level", FieldType.TEXT),
        Field("start_date", FieldType.DATE, nullable=True),
        Field("due_date", FieldType.DATE, nullable=True),
        Field("account_id", FieldType.INTEGER),
        Field("creator_id", FieldType.ID, nullable=True),
        Field("created_at", FieldType.TIME),
        Field("updated_at", FieldType.TIME),
        Field("permissions", FieldType.PERMISSIONS, of_caller=True),
        Field("clients_see_status_reports", FieldType.FLAG, optional=True),
        Field("report_every", FieldType.REPORT_EVERY, optional=True),
        Field("report_day", FieldType.WEEKDAY, optional=True),
        Field("report_paused_until", FieldType.DATE, nullable=True, optional=True),
    ),
    associations=(
        Association("creator", (Kind.USERS,), "creator_id", column=True),
        Association("participants", (Kind.USERS,), "participant_ids", many=True),
        Association("participations", (Kind.PARTICIPATIONS,), "participation_ids", many=True),
        Association(
            "current_user_participation", (Kind.PARTICIPATIONS,), "current_user_participation_id"
        ),
        Association("primary_maven", (Kind.USERS,), "primary_maven_id"),
        Association("primary_counterpart", (Kind.USERS,), "primary_counterpart_id"),
        Association("status_reports", (Kind.STATUS_REPORTS,), "status_report_ids", many=True),
        Association("current_status_report", (Kind.STATUS_REPORTS,), "current_status_report_id"),
        Association(
            "external_references", (Kind.EXTERNAL_REFERENCES,), "external_reference_ids", many=True
        ),
        Association("workspace_groups", (Kind.WORKSPACE_GROUPS,), "workspace_group_ids", many=True),
    ),
    filters=(
        FilterSpec(
            "include_archived",
            FilterType.FLAG,
            "archived workspaces are left out unless this is true",
            default=False,
            replaced_by=("archived",),
        ),
        FilterSpec(
            "archived",
            FilterType.CHOICE,
            "archived workspaces: only, exclude or include",
            choices=("only", "exclude", "include"),
        ),
        FilterSpec("matching", FilterType.WORDS, "each of these words begins a word of the title"),
        FilterSpec(
            "search",
            FilterType.WORDS,
            "each of these words begins a word of title or description, or the id",
        ),
        FilterSpec("has_participant", FilterType.ID, "this user participates"),
        FilterSpec("has_participation", FilterType.FLAG, "the caller participates, or does not"),
        FilterSpec("user_not_participating", FilterType.ID, "this user does not participate"),
        FilterSpec("except", FilterType.IDS, "not these workspaces, comma-separated"),
        FilterSpec("creator", FilterType.IDS, "created by these users, comma-separated"),
        FilterSpec("provider_lead", FilterType.IDS, "led by these users, comma-separated"),
        FilterSpec(
            "on_my_account", FilterType.ONLY, "only of the caller's account; always true here"
        ),
        FilterSpec("workspace_groups", FilterType.IDS, "in these groups, comma-separated"),
        *(
            FilterSpec(f"{name}_date_{side}", FilterType.DATE, f"{name}_date strictly {side} it")
            for name in ("start", "due")
            for side in ("after", "before")
        ),
        *_dates("created", "updated"),
        *_BY_REFERENCE,
    ),
    sorts=("id", "created_at", "updated_at", "title", "start_date", "due_date"),
    default_sort=Sort("updated_at", descending=True),
    not_served=_not_served(
        "has_maven_participant",
        "current_user_is_maven_participant",
        "created_at",
        "stage",
        "budgeted",
        "has_approvers",
        "require_time_approvals",
        "requiring_expense_approval",
        "can_create_line_items",
        "with_organizations",
        "only_joinable",
        "only_participating_or_joinable",
        "only_project_manager_in",
        "on_account_by_orgs",
        "participant_or_org_member_in",
        "viewable_for_time_administration",
        "for_approver",
        "account_color_ids",
        "milestone_weight_percentage_complete",
        "pending_timesheet_submissions",
        "custom_date_range",
        "custom_integer_ranges",
        "selected_choices",
        *_BY_CUSTOM_FIELD,
        financials_viewable_by_user="false",
    ),
)

USERS: Final = Resource(
    kind=Kind.USERS,
    root="user",
    fields=(
        Field("id", FieldType.ID),
        Field("full_name", FieldType.TEXT),
        Field("email_address", FieldType.TEXT),
        Field("headline", FieldType.TEXT, nullable=True),
        Field("photo_path", FieldType.TEXT, nullable=True),
    ),
    associations=(
        Association("account_membership", (Kind.ACCOUNT_MEMBERSHIPS,), "account_membership_id"),
    ),
    filters=(
        FilterSpec(
            "show_disabled",
            FilterType.FLAG,
            "disabled users are left out unless this is true",
            default=False,
        ),
        FilterSpec("by_email_address", FilterType.ADDRESS, "with this e-mail address"),
        FilterSpec(
            "by_email_addresses",
            FilterType.ADDRESSES,
            "with one of these addresses, comma-separated, at most 200",
        ),
        FilterSpec("by_full_name", FilterType.WORDS, "this is a part of the name"),
        FilterSpec("search", FilterType.WORDS, "each word is a part of the name or the address"),
        FilterSpec("matching", FilterType.WORDS, "each word is a part of the name or the address"),
        FilterSpec("participant_in", FilterType.ID, "participates in this workspace"),
        FilterSpec("not_participant_in", FilterType.ID, "does not participate in this workspace"),
        FilterSpec(
            "on_my_account", FilterType.ONLY, "only of the caller's account; always true here"
        ),
        FilterSpec("with_users", FilterType.IDS, "these users, comma-separated"),
        FilterSpec("without_users", FilterType.IDS, "not these users, comma-separated"),
        *_dates("created", "updated"),
    ),
    sorts=("id", "alphabetical", "full_name"),
    default_sort=Sort("alphabetical"),
    not_served=_not_served(
        "by_full_name_or_account_role",
        "account_id",
        "on_my_account_or_participant_in_workspace",
        "all_contacts",
        "contacts_on_different_account",
        "write_access_in",
        "clients_only",
        "consultants_only",
        "provider_leads_on_account_projects",
        "is_project_lead",
        "can_view_reports",
        "account_role_ids",
        "belonging_to_orgs",
        "with_organizations",
        "assignable_to_resource",
        "can_be_approver_in_workspace",
        "not_assigned_to",
        "not_following",
        "potential_followers_for_story",
        "not_on_calendars",
        "only_possible_managees",
        "only_possible_managers",
        "show_users_in_insights_groups",
        "with_skills",
        "without_skills",
        "without_timesheet_submission",
        *(one.name for one in _BY_REFERENCE),
        *_BY_CUSTOM_FIELD,
        managers="false",
        with_created_estimates="false",
    ),
)

EXTERNAL_REFERENCES: Final = Resource(
    kind=Kind.EXTERNAL_REFERENCES,
    root="external_reference",
    fields=(
        Field("id", FieldType.ID),
        Field("subject_type", FieldType.TEXT),
        Field("subject_id", FieldType.INTEGER),
        Field("service_name", FieldType.TEXT),
        Field("service_model", FieldType.TEXT),
        Field("service_model_ref", FieldType.TEXT),
        Field("status", FieldType.SYNC_STATUS),
        Field("external_status", FieldType.TEXT, nullable=True),
        Field("external_message", FieldType.TEXT, nullable=True),
        Field("external_link", FieldType.TEXT, nullable=True),
        Field("locked", FieldType.FLAG, nullable=True),
        Field("created_at", FieldType.TIME),
        Field("updated_at", FieldType.TIME),
        Field("last_synced_at", FieldType.TIME, nullable=True),
    ),
    associations=(Association("subject", tuple(SUBJECT_KINDS.values()), "subject_ref"),),
    filters=(
        FilterSpec(
            "subject_type",
            FilterType.CHOICE,
            "what the reference belongs to",
            required=True,
            # Users have no references here, but a client may ask for them.
            choices=(*SUBJECT_KINDS, "User"),
        ),
        FilterSpec("subject_id", FilterType.IDS, "of the subjects with these ids"),
        *_dates("created", "updated", "last_synced"),
        *(
            FilterSpec(
                name,
                FilterType.SYNC_STATUS if name == "status" else FilterType.TEXT,
                "exact match",
            )
            for name in REFERENCE_ATTRIBUTES
        ),
    ),
    sorts=("id", "created_at", "last_synced_at"),
    default_sort=Sort("last_synced_at", descending=True),
)


def _role(participation: Participation) -> SideRole:
    return ROLE_OF[participation.side]


PARTICIPATIONS: Final = Resource(
    kind=Kind.PARTICIPATIONS,
    root="participation",
    fields=(
        Field("id", FieldType.ID),
        Field("workspace_id", FieldType.ID),
        Field("user_id", FieldType.ID),
        Field("role", FieldType.ROLE, made_by=_role),
        Field("side", FieldType.SIDE),
        Field("permission", FieldType.PARTICIPATION_PERMISSION),
        Field("is_team_lead", FieldType.FLAG, made_by=lambda one: one.team_lead),
        Field("team_lead", FieldType.FLAG),
        Field("can_edit", FieldType.FLAG, made_by=access.can_edit),
        Field("created_at", FieldType.TIME),
        Field("updated_at", FieldType.TIME),
    ),
    associations=(
        Association("user", (Kind.USERS,), "user_id", column=True),
        Association("workspace", (Kind.WORKSPACES,), "workspace_id", column=True),
    ),
    filters=(
        FilterSpec("workspace_id", FilterType.IDS, "in these workspaces, comma-separated"),
        FilterSpec("by_user", FilterType.IDS, "of these users, comma-separated"),
        FilterSpec("user_id", FilterType.IDS, "extension: the same as by_user"),
        FilterSpec("mavens_only", FilterType.ONLY, "only of the provider side"),
        *_dates("created", "updated"),
    ),
    sorts=("id", "created_at", "updated_at", "user_name"),
    default_sort=Sort("updated_at", descending=True),
    not_served=_not_served(
        "by_user_full_name",
        "not_assigned_to_story",
        "not_following_story",
        *(one.name for one in _BY_REFERENCE),
    ),
)

ACCOUNT_MEMBERSHIPS: Final = Resource(
    kind=Kind.ACCOUNT_MEMBERSHIPS,
    root="account_membership",
    fields=(
        Field("id", FieldType.ID),
        Field("user_id", FieldType.ID),
        Field("permission", FieldType.ACCOUNT_PERMISSION),
        *(
            Field(made_by.__name__, FieldType.FLAG, made_by=made_by)
            for made_by in (
                access.is_administrator,
                access.is_project_lead,
                access.can_view_reports,
                access.can_create_workspace,
            )
        ),
        Field("disabled_at", FieldType.TIME, nullable=True),
        Field("created_at", FieldType.TIME),
        Field("updated_at", FieldType.TIME),
    ),
    associations=(Association("user", (Kind.USERS,), "user_id", column=True),),
    filters=(
        FilterSpec(
            "only_active",
            FilterType.ONLY,
            "disabled users are left out unless this is false",
            default=True,
            replaced_by=("only_inactive",),
        ),
        FilterSpec("only_inactive", FilterType.ONLY, "only disabled users"),
        FilterSpec("by_user_id", FilterType.IDS, "of these users, comma-separated"),
        FilterSpec("user_id", FilterType.IDS, "extension: the same as by_user_id"),
        FilterSpec("by_full_name", FilterType.WORDS, "this is a part of the user's name"),
        *_dates("created", "updated"),
    ),
    sorts=("id", "created_at", "updated_at"),
    default_sort=Sort("created_at", descending=True),
    not_served=_not_served("with_user_ids", "can_log_in", "search", "with_skills"),
)

WORKSPACE_GROUPS: Final = Resource(
    kind=Kind.WORKSPACE_GROUPS,
    root="workspace_group",
    fields=(
        Field("id", FieldType.ID),
        Field("name", FieldType.TEXT),
        Field("company", FieldType.FLAG),
        *(
            Field(name, FieldType.TEXT, nullable=True)
            for name in ("notes", "contact_name", "email", "website")
        ),
        Field("created_at", FieldType.TIME),
        Field("updated_at", FieldType.TIME),
    ),
    associations=(Association("workspaces", (Kind.WORKSPACES,), "workspace_ids", many=True),),
    filters=(
        FilterSpec("companies_only", FilterType.ONLY, "only companies"),
        FilterSpec("matching", FilterType.WORDS, "each of these words begins a word of the name"),
        *_dates("created", "updated"),
    ),
    sorts=("id", "name", "created_at", "updated_at"),
    default_sort=Sort("name"),
    not_served=_not_served(*(one.name for one in _BY_REFERENCE), *_BY_CUSTOM_FIELD),
)

RESOURCES: Final = {
    resource.kind: resource
    for resource in (
        STATUS_REPORTS,
        WORKSPACES,
        USERS,
        EXTERNAL_REFERENCES,
        PARTICIPATIONS,
        ACCOUNT_MEMBERSHIPS,
        WORKSPACE_GROUPS,
    )
}

# The versions of a report, and deleted reports: lists without filters and orders (8.3, 8.4).
STATUS_REPORT_VERSIONS: Final = Resource(
    kind=Kind.STATUS_REPORT_VERSIONS,
    root="status_report_version",
    fields=(
        Field("id", FieldType.ID),
        Field("number", FieldType.INTEGER),
        Field("event", FieldType.VERSION_EVENT),
        Field("user_id", FieldType.ID),
        Field("created_at", FieldType.TIME),
        Field("color", FieldType.COLOR),
        Field("description", FieldType.TEXT),
        Field("details", FieldType.DETAILS),
    ),
)
DELETED_STATUS_REPORTS: Final = Resource(
    kind=Kind.DELETED_STATUS_REPORTS,
    root="deleted_status_report",
    fields=(
        *STATUS_REPORTS.fields,
        Field("deleter_id", FieldType.ID),
        Field("deleted_at", FieldType.TIME),
    ),
)
# The audit log, for administrators (9).
AUDIT_EVENTS: Final = Resource(
    kind=Kind.AUDIT_EVENTS,
    root="audit_event",
    fields=(
        Field("id", FieldType.ID),
        Field("created_at", FieldType.TIME),
        Field("action", FieldType.AUDIT_ACTION, nullable=True),
        Field("subject_type", FieldType.TEXT, nullable=True),
        Field("subject_id", FieldType.ID, nullable=True),
        Field("user_id", FieldType.ID, nullable=True),
        Field("through", FieldType.THROUGH, nullable=True),
        Field("through_id", FieldType.ID, nullable=True),
        Field("address", FieldType.TEXT, nullable=True),
        Field("before", FieldType.VALUES, nullable=True),
        Field("after", FieldType.VALUES, nullable=True),
    ),
    filters=(
        FilterSpec("action", FilterType.CHOICE, "what was done", choices=tuple(AuditAction)),
        FilterSpec("user_id", FilterType.ID, "by this user"),
        FilterSpec(
            "subject_type",
            FilterType.CHOICE,
            "to this kind of object",
            choices=tuple(dict.fromkeys(one.subject for one in AuditAction)),
        ),
        FilterSpec("subject_id", FilterType.ID, "to the object with this id"),
        *_dates("created"),
        FilterSpec("before_id", FilterType.ID, "cursor: entries older than the one with this id"),
    ),
)
# All kinds of objects that an answer may contain.
SHOWN: Final = {
    **RESOURCES,
    Kind.STATUS_REPORT_VERSIONS: STATUS_REPORT_VERSIONS,
    Kind.DELETED_STATUS_REPORTS: DELETED_STATUS_REPORTS,
    Kind.AUDIT_EVENTS: AUDIT_EVENTS,
}

CHOICES: Final = {
    FieldType.COLOR: tuple(Color),
    FieldType.VERSION_EVENT: tuple(VersionEvent),
    FieldType.SYNC_STATUS: tuple(SyncStatus),
    FieldType.SIDE: tuple(Side),
    FieldType.ROLE: tuple(SideRole),
    FieldType.PARTICIPATION_PERMISSION: tuple(ParticipationPermission),
    FieldType.ACCOUNT_PERMISSION: tuple(AccountPermission),
    FieldType.REPORT_EVERY: tuple(ReportEvery),
    FieldType.WEEKDAY: tuple(Weekday),
    FieldType.AUDIT_ACTION: tuple(AuditAction),
    FieldType.THROUGH: tuple(Through),
}
