"""What each kind of object shows and answers to, declared once.

Parsing (`params`), the envelope (`envelope`) and the OpenAPI document (`openapi`) read these
declarations; `store/lists/selections` holds the column for each name, and a start-up check demands
that both name the same. A new resource is a new declaration here and one there. Follows sections
3, 4 and 7.
"""

from enum import StrEnum, auto
from typing import Final

import msgspec

from healthreports.core.query import Sort
from healthreports.core.vocabulary import (
    REFERENCE_ATTRIBUTES,
    SUBJECT_KINDS,
    AccountPermission,
    Color,
    Kind,
    ParticipationPermission,
    Side,
    SyncStatus,
)


class FieldType(StrEnum):
    """How an attribute is written on the wire; `envelope` and `openapi` have a row for each."""

    ID = auto()
    INTEGER = auto()
    TEXT = auto()
    COLOR = auto()
    SYNC_STATUS = auto()
    SIDE = auto()
    PARTICIPATION_PERMISSION = auto()
    ACCOUNT_PERMISSION = auto()
    FLAG = auto()
    DATE = auto()
    TIME = auto()
    DETAILS = auto()


class FilterType(StrEnum):
    """How the value of a filter is read; `params` and `openapi` have a row for each."""

    TIME = auto()
    FLAG = auto()
    IDS = auto()
    TEXT = auto()
    TEXTS = auto()


class Field(msgspec.Struct, frozen=True):
    """An attribute that every answer has, or where it is `optional` those that ask for it (4.4).

    It has the same name in the model.
    """

    name: str
    type: FieldType
    nullable: bool = False
    optional: bool = False


class Association(msgspec.Struct, frozen=True):
    """What `include` may name.

    `kinds` are the top-level keys that it opens; more than one where the target differs from
    record to record. `link` is the attribute that names the targets, and `column` says that it is
    always there because the record itself holds it (3.2).
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
    """What a list can be narrowed by. One with a `default` applies unless sent, on show too."""

    name: str
    type: FilterType
    says: str
    required: bool = False
    default: bool | None = None


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """The declaration of one kind. `root` is the key around the attributes of a body (1.4)."""

    kind: Kind
    root: str
    fields: tuple[Field, ...]
    associations: tuple[Association, ...] = ()
    filters: tuple[FilterSpec, ...] = ()
    sorts: tuple[str, ...] = ("id",)
    default_sort: Sort = Sort()

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
        FilterSpec("has_external_references", FilterType.FLAG, "with, or without, any reference"),
        *(
            FilterSpec(f"external_reference_{name}", FilterType.TEXT, _REFERENCE.format(name))
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
        Field("clients_see_status_reports", FieldType.FLAG, optional=True),
    ),
    associations=(
        Association("creator", (Kind.USERS,), "creator_id", column=True),
        Association("participants", (Kind.USERS,), "participant_ids", many=True),
        Association("status_reports", (Kind.STATUS_REPORTS,), "status_report_ids", many=True),
        Association("current_status_report", (Kind.STATUS_REPORTS,), "current_status_report_id"),
    ),
    filters=(
        FilterSpec(
            "include_archived",
            FilterType.FLAG,
            "archived workspaces are left out unless this is true",
            default=False,
        ),
        *_dates("created", "updated"),
    ),
    sorts=("id", "created_at", "updated_at", "title"),
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
    sorts=("id", "full_name"),
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
            FilterType.TEXT,
            "what the reference belongs to: StatusReport or Workspace",
            required=True,
        ),
        *_dates("created", "last_synced"),
        *(FilterSpec(name, FilterType.TEXT, "exact match") for name in REFERENCE_ATTRIBUTES),
    ),
    sorts=("id", "created_at", "last_synced_at"),
    default_sort=Sort("last_synced_at", descending=True),
)

PARTICIPATIONS: Final = Resource(
    kind=Kind.PARTICIPATIONS,
    root="participation",
    fields=(
        Field("id", FieldType.ID),
        Field("workspace_id", FieldType.ID),
        Field("user_id", FieldType.ID),
        Field("side", FieldType.SIDE),
        Field("permission", FieldType.PARTICIPATION_PERMISSION),
        Field("team_lead", FieldType.FLAG),
        Field("created_at", FieldType.TIME),
        Field("updated_at", FieldType.TIME),
    ),
    associations=(
        Association("user", (Kind.USERS,), "user_id", column=True),
        Association("workspace", (Kind.WORKSPACES,), "workspace_id", column=True),
    ),
    filters=(
        FilterSpec("workspace_id", FilterType.IDS, "in these workspaces, comma-separated"),
        FilterSpec("user_id", FilterType.IDS, "of these users, comma-separated"),
    ),
    sorts=("id", "created_at", "updated_at"),
)

ACCOUNT_MEMBERSHIPS: Final = Resource(
    kind=Kind.ACCOUNT_MEMBERSHIPS,
    root="account_membership",
    fields=(
        Field("id", FieldType.ID),
        Field("user_id", FieldType.ID),
        Field("permission", FieldType.ACCOUNT_PERMISSION),
        Field("disabled_at", FieldType.TIME, nullable=True),
        Field("created_at", FieldType.TIME),
        Field("updated_at", FieldType.TIME),
    ),
    associations=(Association("user", (Kind.USERS,), "user_id", column=True),),
    filters=(FilterSpec("user_id", FilterType.IDS, "of these users, comma-separated"),),
    sorts=("id", "created_at", "updated_at"),
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
    )
}

CHOICES: Final = {
    FieldType.COLOR: tuple(Color),
    FieldType.SYNC_STATUS: tuple(SyncStatus),
    FieldType.SIDE: tuple(Side),
    FieldType.PARTICIPATION_PERMISSION: tuple(ParticipationPermission),
    FieldType.ACCOUNT_PERMISSION: tuple(AccountPermission),
}
