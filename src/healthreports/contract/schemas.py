"""The JSON Schemas of attributes, filters and bodies, with the limits that the rules enforce."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from healthreports.contract.resources import CHOICES, FieldType, FilterType
from healthreports.core.model import WorkspacePermissions
from healthreports.core.vocabulary import (
    MAX_BULK,
    MAX_DESCRIPTION,
    MAX_DETAIL_DESCRIPTION,
    MAX_LINK,
    MAX_LISTED,
    MAX_NAME,
    AccessLevel,
    AccountPermission,
    Category,
    Color,
    ParticipationPermission,
    Side,
    SideRole,
    SubjectType,
    SyncStatus,
)

Json = dict[str, Any]


def object_of(properties: Json, *required: str) -> Json:
    """The schema of an object with these properties, some of them required."""
    return {"type": "object", "properties": properties, "required": list(required)}


def nullable(schema: Json) -> Json:
    """The schema of a value of `schema` or null."""
    return {**schema, "type": [schema["type"], "null"]}


def one_of(choices: Iterable[str]) -> Json:
    """The schema of a text that is one of these."""
    return {"type": "string", "enum": list(choices)}


def _text(most: int) -> Json:
    return {"type": "string", "maxLength": most}


def form_of(root: str, body: Json) -> Json:
    """The schema of a body as a form, in which attributes have Rails-style names (1.4).

    Arrays of objects are left out: their fields repeat, which the schema of a form cannot express.
    """
    properties, required = dict(_fields(root, body)), body.get("required", [])
    return object_of(properties, *(f"{root}[{name}]" for name in required))


def _fields(at: str, schema: Json) -> Iterator[tuple[str, Json]]:
    for name, one in schema["properties"].items():
        place = f"{at}[{name}]"
        if one["type"] == "object":
            yield from _fields(place, one)
        elif one["type"] != "array":
            yield place, one
        elif one["items"]["type"] != "object":
            yield f"{place}[]", one


TEXT: Final[Json] = {"type": "string"}
_LONG_TEXT: Final = nullable(_text(MAX_LINK))
_COLOR: Final[Json] = one_of(Color)
ID: Final[Json] = {"type": "string", "pattern": "^[0-9]+$", "examples": ["1"]}
_TIME: Final[Json] = {"type": "string", "format": "date-time"}
_DATE: Final[Json] = {"type": "string", "format": "date"}
_FLAG: Final[Json] = {"type": "boolean"}
_NAME: Final[Json] = {"type": "string", "minLength": 1, "maxLength": MAX_NAME}
_ADDRESS: Final[Json] = {**_NAME, "format": "email", "pattern": r"^\s*[^@\s]+@[^@\s]+\s*$"}
_DETAIL: Final = object_of(
    {
        "category": one_of(Category),
        "color": _COLOR,
        "description": nullable(_text(MAX_DETAIL_DESCRIPTION)),
    },
    "category",
    "color",
)
# At most one detail for each category. JSON Schema needs a condition for each category.
_DETAILS: Final[Json] = {
    "type": "array",
    "items": _DETAIL,
    "maxItems": len(Category),
    "allOf": [
        {
            "contains": {"properties": {"category": {"const": one}}, "required": ["category"]},
            "minContains": 0,
            "maxContains": 1,
        }
        for one in Category
    ],
}
FIELD_SCHEMAS: Final[dict[FieldType, Json]] = {
    FieldType.ID: ID,
    FieldType.INTEGER: {"type": "integer"},
    FieldType.TEXT: TEXT,
    FieldType.FLAG: _FLAG,
    FieldType.DATE: _DATE,
    FieldType.TIME: _TIME,
    FieldType.VALUES: {
        "type": "object",
        "additionalProperties": {"type": ["string", "integer", "boolean", "null"]},
    },
    FieldType.DETAILS: _DETAILS,
    FieldType.PERMISSIONS: object_of(
        dict.fromkeys(WorkspacePermissions.__struct_fields__, _FLAG),
        *WorkspacePermissions.__struct_fields__,
    ),
    **{field_type: one_of(choices) for field_type, choices in CHOICES.items()},
}
FILTER_SCHEMAS: Final[dict[FilterType, Json]] = {
    FilterType.TIME: _TIME,
    FilterType.DATE: _DATE,
    FilterType.FLAG: _FLAG,
    FilterType.ONLY: _FLAG,
    FilterType.ID: ID,
    FilterType.IDS: {"type": "string", "pattern": "^[0-9]+(,[0-9]+)*$"},
    FilterType.TEXT: TEXT,
    FilterType.TEXTS: TEXT,
    FilterType.ADDRESS: TEXT,
    FilterType.ADDRESSES: TEXT,
    FilterType.WORDS: TEXT,
    FilterType.SYNC_STATUS: TEXT,
}


_REFERENCE_BODY: Final = object_of(
    {
        "service_name": _NAME,
        "service_model": _NAME,
        "service_model_ref": {**_NAME, "type": ["string", "integer"]},
        "external_status": nullable(_text(MAX_NAME)),
        "external_message": _LONG_TEXT,
        "external_link": {**_LONG_TEXT, "format": "uri", "pattern": "^(https?://.+)?$"},
        "locked": nullable(_FLAG),
        "status": one_of(SyncStatus),
    },
    "service_name",
    "service_model",
    "service_model_ref",
)
_REPORT_PROPERTIES: Final[Json] = {
    "color": _COLOR,
    "description": {"type": "string", "minLength": 1, "maxLength": MAX_DESCRIPTION},
    "details": _DETAILS,
    "external_reference": _REFERENCE_BODY,
}
_IDS: Final[Json] = {"type": "array", "items": ID, "maxItems": MAX_LISTED}
_WORKSPACE_PROPERTIES: Final[Json] = {
    "title": _NAME,
    "description": nullable(_text(MAX_DESCRIPTION)),
    "archived": _FLAG,
    "clients_see_status_reports": _FLAG,
    "start_date": nullable(_DATE),
    "due_date": nullable(_DATE),
    "access_level": one_of(AccessLevel),
    "primary_maven_id": nullable(ID),
    "workspace_group_ids": _IDS,
    "external_reference": _REFERENCE_BODY,
}
_PARTICIPATION_PROPERTIES: Final[Json] = {
    "role": {**one_of(SideRole), "default": SideRole.MAVEN},
    "side": {**one_of(Side), "default": Side.PROVIDER},
    "permission": {
        **one_of(ParticipationPermission),
        "default": ParticipationPermission.VIEW,
    },
    "team_lead": _FLAG,
}
_MEMBERSHIP_PROPERTIES: Final[Json] = {
    "permission": one_of(AccountPermission),
    "disabled": _FLAG,
}
_GROUP_PROPERTIES: Final[Json] = {
    "name": _NAME,
    "company": _FLAG,
    "notes": nullable(_text(MAX_DESCRIPTION)),
    "contact_name": nullable(_text(MAX_NAME)),
    "email": nullable(_text(MAX_NAME)),
    "website": _LONG_TEXT,
    "add_workspace_ids": _IDS,
}
_NEW_PARTICIPATION: Final = object_of(
    {"workspace_id": ID, "user_id": ID, **_PARTICIPATION_PROPERTIES},
    "workspace_id",
    "user_id",
)
# The schema of the array that can replace the root key, for several records at once.
MANY: Final[dict[str, Json]] = {
    "CreateParticipation": {"type": "array", "items": _NEW_PARTICIPATION, "maxItems": MAX_BULK},
}
_REPORT_CHANGE: Final = object_of(_REPORT_PROPERTIES)
# The schema of the object under the root key, by the name of the operation.
BODIES: Final[dict[str, Json]] = {
    "CreateStatusReport": object_of(
        {"workspace_id": ID, **_REPORT_PROPERTIES}, "workspace_id", "color", "description"
    ),
    "UpdateStatusReport": _REPORT_CHANGE,
    "PatchStatusReport": _REPORT_CHANGE,
    "CreateWorkspace": object_of(
        {**_WORKSPACE_PROPERTIES, "creator_role": one_of(SideRole)},
        "title",
    ),
    "UpdateWorkspace": object_of(_WORKSPACE_PROPERTIES),
    "CreateParticipation": _NEW_PARTICIPATION,
    "UpdateParticipation": object_of(_PARTICIPATION_PROPERTIES),
    "CreateAccountMembership": object_of(
        {"full_name": _NAME, "email_address": _ADDRESS, **_MEMBERSHIP_PROPERTIES},
        "full_name",
        "email_address",
        "permission",
    ),
    "UpdateAccountMembership": object_of(_MEMBERSHIP_PROPERTIES),
    "ChangeAddressOfAccountMembership": object_of({"email_address": _ADDRESS}, "email_address"),
    "DeleteAccount": object_of({"account_name": _NAME}, "account_name"),
    "HandOverAccountMembership": object_of({"taker_id": ID}, "taker_id"),
    "DeleteWorkspaceForGood": object_of({"title": _NAME}, "title"),
    "CreateWorkspaceGroup": object_of(_GROUP_PROPERTIES, "name"),
    "UpdateWorkspaceGroup": object_of({**_GROUP_PROPERTIES, "remove_workspace_ids": _IDS}),
    "CreateOrUpdateExternalReference": object_of(
        {
            "subject_type": one_of(SubjectType),
            "subject_id": ID,
            **_REFERENCE_BODY["properties"],
        },
        "subject_type",
        "subject_id",
        *_REFERENCE_BODY["required"],
    ),
}
