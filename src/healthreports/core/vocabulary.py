"""The fixed sets of values and the limits of the domain, as tables.

Each limit states the section of docs/reference/contract/protocol.md that defines it. `core/rules`
(bodies) and `contract/params.py` (queries) apply the limits; this module has only the values.
"""

from enum import StrEnum
from typing import Final


class Color(StrEnum):
    """How a project, or one category of it, is doing (3.1)."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


class Category(StrEnum):
    """The subject of a detail of a status report, in the order in which answers list them (3.3)."""

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
    """The event that made a version of a report (8.3)."""

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
    """The actions that the audit log records: the kind of object, and what happened to it."""

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
        """The kind of object that the action was on."""
        return self.value.partition(".")[0]


class FactorKind(StrEnum):
    """The kinds of second factor, used in addition to a password."""

    PASSKEY = "passkey"
    TOTP = "totp"
    RECOVERY_CODE = "recovery_code"
    PROVIDER = "provider"  # an OpenID Connect provider that states that it asked for two factors


class FactorDemand(StrEnum):
    """Which users of an account must sign in with a second factor."""

    NOBODY = "nobody"
    ADMINISTRATORS = "administrators"
    EVERYBODY = "everybody"


class Through(StrEnum):
    """The credential with which somebody acted. An application acts with a grant."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105  not a secret
    GRANT = "grant"
    INVITATION = "invitation"
    SHARE_LINK = "share_link"
    COMMAND_LINE = "command_line"
    SERVER = "server"


class SubjectType(StrEnum):
    """The kinds of object that an external reference may belong to (7)."""

    STATUS_REPORT = "StatusReport"
    WORKSPACE = "Workspace"


# The word that the reference uses in the list of values of a filter (4.6).
ALSO_FAILED: Final = {"fail": SyncStatus.FAILED.value}

# The attributes of an external reference that lists can be filtered by (4.6, 7).
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
    """What a token may be used for, within the permissions of its user. Every token may read."""

    READ = "read"
    WRITE = "write"


class Side(StrEnum):
    """The side of a participant in a workspace: the provider does the work for the client."""

    PROVIDER = "provider"
    CLIENT = "client"


class AccessLevel(StrEnum):
    """Who can join a workspace: only invited users (7.1).

    The other levels of the reference would admit users without an invitation.
    """

    INVITATION = "invitation"


class SideRole(StrEnum):
    """The reference's names for the two sides (7.3)."""

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
    """How often a report of a workspace is due. This is an extension of the contract."""

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
    """A report is due by the end of this day, in UTC; if monthly, of the first such day."""

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
# 4.6: the most ids, addresses or references in one filter.
MAX_LISTED: Final = 200
# 2.8: included objects in one answer.
DEFAULT_INCLUDE_LIMIT: Final = 20_000
# Thirteen months, so that the same season of the previous year is still available.
DEFAULT_AUDIT_DAYS: Final = 400
# Days during which a deleted report can be restored (8.4).
DEFAULT_TRASH_DAYS: Final = 30
# 7.3: records that one body may create.
MAX_BULK: Final = 100
# 5.7: lengths in characters.
MAX_DESCRIPTION: Final = 50_000
MAX_DETAIL_DESCRIPTION: Final = 10_000
MAX_NAME: Final = 255
MAX_ACCOUNT_NAME: Final = 60
MAX_LINK: Final = 2_000
# 1.5; the limit on depth is our own choice: no attribute of the contract nests deeper than 4.
DEFAULT_BODY_LIMIT_BYTES: Final = 1024 * 1024
# Answers that wait to be sent, of all clients together.
DEFAULT_UNSENT_LIMIT_BYTES: Final = 32 * 1024 * 1024
# A form from a client that is not signed in.
STRANGER_BODY_LIMIT_BYTES: Final = 64 * 1024
MAX_BODY_DEPTH: Final = 32
MAX_FORM_FIELDS: Final = 1_000
# The largest id either database can hold (a signed 64-bit integer).
MAX_ID: Final = 2**63 - 1

# OAuth 2. Clients exchange a code at once; RFC 6749 (4.1.2) allows ten minutes.
CODE_LIFETIME_S: Final = 5 * 60
# How long an application's access token is valid, unless the application sets another time.
ACCESS_TOKEN_LIFETIME_S: Final = 2 * 60 * 60
# Starts again at each use, because each refresh issues a new refresh token.
REFRESH_TOKEN_LIFETIME_S: Final = 90 * 24 * 60 * 60
MAX_REDIRECT_URIS: Final = 10
# Sign-in. NIST SP 800-63B (revision 4, 3.1.1.2) requires at least 15 for a password as the only
# factor.
MIN_PASSWORD: Final = 15
MAX_PASSWORD: Final = 1_000
# For browsers that are left open (OWASP ASVS 5.0, 7.3).
DEFAULT_SESSION_IDLE_H: Final = 12
DEFAULT_SESSION_DAYS: Final = 14
MAX_DEVICE: Final = 255
# Between the password and the second factor.
HALF_SIGN_IN_S: Final = 10 * 60
# For how long a proof of identity is enough for actions that give away permissions.
PROOF_LASTS_S: Final = 15 * 60
# How long a browser may take to answer with a passkey.
CHALLENGE_LASTS_S: Final = 5 * 60
MAX_FACTORS: Final = 20
RECOVERY_CODES: Final = 10
# An invitation is forwarded by hand. After it expires, the person asks for another one.
INVITATION_LIFETIME_S: Final = 7 * 24 * 60 * 60
DEFAULT_SHARE_DAYS: Final = 30
MAX_SHARE_DAYS: Final = 365
DEFAULT_TOKEN_DAYS: Final = 90
# A hundred years.
MAX_TOKEN_DAYS: Final = 36_500
SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US
HOUR_S: Final = 3_600
