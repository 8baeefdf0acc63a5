"""The closed sets and limits of the field, as tables.

Each limit names the section of docs/contract/protocol.md that sets it. What a limit means is in
`rules.py` (bodies) and `contract/params.py` (queries); here are only the values.
"""

from enum import StrEnum
from typing import Final


class Color(StrEnum):
    """How a project, or one category of it, is doing (3.1)."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


class Category(StrEnum):
    """What a detail of a status report speaks of, in the order answers list them (3.3)."""

    SCOPE = "Scope"
    BUDGET = "Budget"
    SCHEDULE = "Schedule"
    CLIENT = "Client"


class SyncStatus(StrEnum):
    """How the last synchronisation of an external reference went (OpenAPI: ExternalReference)."""

    PENDING = "pending"
    SUCCESSFUL = "successful"
    FAILED = "failed"


class VersionEvent(StrEnum):
    """How a version of a report came about (8.3)."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    RESTORED = "restored"


class Purged(StrEnum):
    """What can be purged for good (8.4)."""

    STATUS_REPORT = "status_report"
    USER = "user"
    WORKSPACE = "workspace"
    ACCOUNT = "account"


class Kind(StrEnum):
    """The kinds of object on the wire; the value is the top-level key of the envelope (2.1)."""

    STATUS_REPORTS = "status_reports"
    WORKSPACES = "workspaces"
    USERS = "users"
    EXTERNAL_REFERENCES = "external_references"
    PARTICIPATIONS = "participations"
    ACCOUNT_MEMBERSHIPS = "account_memberships"
    WORKSPACE_GROUPS = "workspace_groups"
    STATUS_REPORT_VERSIONS = "status_report_versions"
    DELETED_STATUS_REPORTS = "deleted_status_reports"
    AUDIT_EVENTS = "audit_events"


class AuditAction(StrEnum):
    """What can be done that is kept: the kind of object, and what happened to it."""

    ACCOUNT_CREATED = "account.created"
    ACCOUNT_RENAMED = "account.renamed"
    ACCOUNT_CHANGED = "account.changed"
    USER_CREATED = "user.created"
    USER_CHANGED = "user.changed"
    USER_PERMITTED = "user.permission_changed"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    USER_PURGED = "user.purged"
    USER_READDRESSED = "user.address_changed"
    USER_HANDED_OVER = "user.handed_over"
    USER_EXPORTED = "user.exported"
    SIGNED_IN = "session.opened"
    SIGNED_OUT = "session.ended"
    SIGN_IN_REFUSED = "session.refused"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105  the name of an action
    FACTOR_ADDED = "factor.added"
    FACTOR_REMOVED = "factor.removed"
    CODES_CREATED = "recovery_codes.created"
    INVITATION_CREATED = "invitation.created"
    INVITATION_CONFIRMED = "invitation.confirmed"
    INVITATION_WITHDRAWN = "invitation.withdrawn"
    INVITATION_ACCEPTED = "invitation.accepted"
    TOKEN_CREATED = "token.created"  # noqa: S105  as above
    TOKEN_REVOKED = "token.revoked"  # noqa: S105  as above
    APPLICATION_REGISTERED = "application.registered"
    APPLICATION_REVOKED = "application.revoked"
    GRANT_GIVEN = "grant.given"
    GRANT_REVOKED = "grant.revoked"
    WORKSPACE_CREATED = "workspace.created"
    WORKSPACE_CHANGED = "workspace.changed"
    WORKSPACE_DELETED = "workspace.deleted"
    PARTICIPATION_CREATED = "participation.created"
    PARTICIPATION_CHANGED = "participation.changed"
    PARTICIPATION_DELETED = "participation.deleted"
    GROUP_CREATED = "workspace_group.created"
    GROUP_CHANGED = "workspace_group.changed"
    GROUP_DELETED = "workspace_group.deleted"
    SHARE_LINK_CREATED = "share_link.created"
    SHARE_LINK_OPENED = "share_link.opened"
    SHARE_LINK_REVOKED = "share_link.revoked"
    REPORT_DELETED = "status_report.deleted"
    REPORT_RESTORED = "status_report.restored"
    REPORT_PURGED = "status_report.purged"
    REPORTS_EXPORTED = "status_reports.exported"
    REPORTS_IMPORTED = "status_reports.imported"
    AUDIT_EXPORTED = "audit_events.exported"
    ACCESS_REFUSED = "access.refused"

    @property
    def subject(self) -> str:
        """The kind of object that it happened to."""
        return self.value.partition(".")[0]


class FactorKind(StrEnum):
    """By what a person proves who it is, beside a password."""

    PASSKEY = "passkey"
    TOTP = "totp"
    RECOVERY_CODE = "recovery_code"
    PROVIDER = "provider"  # an OpenID Connect provider that says that it asked for two


class FactorDemand(StrEnum):
    """Who of an account has to sign in with a second factor."""

    NOBODY = "nobody"
    ADMINISTRATORS = "administrators"
    EVERYBODY = "everybody"


class Through(StrEnum):
    """Through what somebody acted; a grant is what an application acts by."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105  no secret
    GRANT = "grant"
    INVITATION = "invitation"
    SHARE_LINK = "share_link"
    COMMAND_LINE = "command_line"
    SERVER = "server"


class SubjectType(StrEnum):
    """What an external reference may belong to (7)."""

    STATUS_REPORT = "StatusReport"
    WORKSPACE = "Workspace"


# The reference's own word for it where it lists the values of a filter (4.6).
ALSO_FAILED: Final = {"fail": SyncStatus.FAILED.value}

# The attributes of an external reference that lists are filtered by (4.6, 7).
REFERENCE_ATTRIBUTES: Final = (
    "service_name",
    "service_model",
    "service_model_ref",
    "external_status",
    "external_message",
    "status",
)

SUBJECT_KINDS: Final = {
    SubjectType.STATUS_REPORT: Kind.STATUS_REPORTS,
    SubjectType.WORKSPACE: Kind.WORKSPACES,
}


class AccountPermission(StrEnum):
    """What a user may do in the whole account; the names are those of account memberships."""

    ADMINISTRATOR = "administrator"
    REPORTS_VIEWER = "reports_viewer"
    PROJECT_LEAD = "project_lead"
    PROJECT_CREATOR = "project_creator"
    COLLABORATOR = "collaborator"


class Scope(StrEnum):
    """What a token may be used for; every token may read. It narrows what its user may do."""

    READ = "read"
    WRITE = "write"


class Side(StrEnum):
    """For whom a participant is in a workspace: those who do the work, or those it is done for."""

    PROVIDER = "provider"
    CLIENT = "client"


class AccessLevel(StrEnum):
    """Whom a workspace is open to: who was let in (7.1). Others would let people in unasked."""

    INVITATION = "invitation"


class SideRole(StrEnum):
    """The reference's own words for the two sides (7.3)."""

    MAVEN = "maven"
    BUYER = "buyer"


SIDE_OF: Final = {SideRole.MAVEN: Side.PROVIDER, SideRole.BUYER: Side.CLIENT}
ROLE_OF: Final = {side: role for role, side in SIDE_OF.items()}


class ParticipationPermission(StrEnum):
    """What a participant may do in one workspace."""

    ADMIN = "admin"
    EDIT = "edit"
    VIEW = "view"


class ReportEvery(StrEnum):
    """How often a workspace is to be reported on: our extension."""

    WEEK = "week"
    TWO_WEEKS = "2 weeks"
    THREE_WEEKS = "3 weeks"
    FOUR_WEEKS = "4 weeks"
    FIVE_WEEKS = "5 weeks"
    SIX_WEEKS = "6 weeks"
    SEVEN_WEEKS = "7 weeks"
    EIGHT_WEEKS = "8 weeks"
    NINE_WEEKS = "9 weeks"
    TEN_WEEKS = "10 weeks"
    ELEVEN_WEEKS = "11 weeks"
    TWELVE_WEEKS = "12 weeks"
    THIRTEEN_WEEKS = "13 weeks"
    MONTH = "month"
    NEVER = "never"


class Weekday(StrEnum):
    """The day by whose end a report is due, in UTC; of a month the first such day."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


# 2.4, 4.1: paging.
DEFAULT_PAGE_SIZE: Final = 20
MAX_PAGE_SIZE: Final = 200
# 4.6: how many ids, addresses or references one filter may name.
MAX_LISTED: Final = 200
# 2.8: side-loaded objects of one answer.
DEFAULT_INCLUDE_LIMIT: Final = 20_000
# Days that a deleted report can be restored (8.4).
# Thirteen months: the same season of the year before is still there.
DEFAULT_AUDIT_DAYS: Final = 400
DEFAULT_TRASH_DAYS: Final = 30
# 7.3: records that one body may create.
MAX_BULK: Final = 100
# 5.7: lengths in characters.
MAX_DESCRIPTION: Final = 50_000
MAX_DETAIL_DESCRIPTION: Final = 10_000
MAX_NAME: Final = 255
MAX_ACCOUNT_NAME: Final = 60
MAX_LINK: Final = 2_000
# 1.5 and our own choice of depth: no attribute of the contract nests deeper than 4.
DEFAULT_BODY_LIMIT_BYTES: Final = 1024 * 1024
# Answers that wait to be read, of all clients together.
DEFAULT_UNSENT_LIMIT_BYTES: Final = 32 * 1024 * 1024
# A form of somebody who is not signed in.
STRANGER_BODY_LIMIT_BYTES: Final = 64 * 1024
MAX_BODY_DEPTH: Final = 32
MAX_FORM_FIELDS: Final = 1_000
# The largest id either database can hold (a signed 64-bit integer).
MAX_ID: Final = 2**63 - 1

# OAuth 2. A code is exchanged at once or never; RFC 6749 (4.1.2) allows ten minutes.
CODE_LIFETIME_S: Final = 5 * 60
# How long an application's access token works unless the application was registered otherwise.
ACCESS_TOKEN_LIFETIME_S: Final = 2 * 60 * 60
# Counts from the last use: each refresh gives out a new refresh token.
REFRESH_TOKEN_LIFETIME_S: Final = 90 * 24 * 60 * 60
MAX_REDIRECT_URIS: Final = 10
# Sign-in. NIST SP 800-63B (revision 4, 3.1.1.2) wants at least 15 where a password stands alone.
MIN_PASSWORD: Final = 15
MAX_PASSWORD: Final = 1_000
# Of browsers that are left open (OWASP ASVS 5.0, 7.3).
DEFAULT_SESSION_IDLE_H: Final = 12
DEFAULT_SESSION_DAYS: Final = 14
MAX_DEVICE: Final = 255
# Between the password and the second factor.
HALF_SIGN_IN_S: Final = 10 * 60
# How long a proof of who sits at the browser is good for what gives power away.
PROOF_LASTS_S: Final = 15 * 60
# How long a browser has to answer with a passkey.
CHALLENGE_LASTS_S: Final = 5 * 60
MAX_FACTORS: Final = 20
RECOVERY_CODES: Final = 10
# An invitation is sent on by hand; who comes later asks for another.
INVITATION_LIFETIME_S: Final = 7 * 24 * 60 * 60
DEFAULT_SHARE_DAYS: Final = 30
MAX_SHARE_DAYS: Final = 365
# A hundred years.
DEFAULT_TOKEN_DAYS: Final = 90
MAX_TOKEN_DAYS: Final = 36_500
SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US
HOUR_S: Final = 3_600
