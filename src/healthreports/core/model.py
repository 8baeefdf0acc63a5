"""The objects of the domain, as frozen values.

They are `msgspec.Struct`s, which are frozen and slotted like a frozen dataclass. Making one costs a
twelfth of what a dataclass costs (80 ns against 1,000 ns for nine fields), and a page of a list
makes a hundred of them. None can be part of a reference cycle, so the garbage collector does not
need to track them (`gc=False`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NewType, TypeVar

import msgspec

from healthreports.core.vocabulary import (
    AccountPermission,
    AuditAction,
    Category,
    Color,
    FactorKind,
    Kind,
    ParticipationPermission,
    ReportEvery,
    Scope,
    Side,
    SubjectType,
    SyncStatus,
    Through,
    VersionEvent,
    Weekday,
)

# A moment: microseconds since 1970-01-01T00:00:00Z. An integer means the same in both databases,
# has no time zone, and sorts correctly. `contract/` converts it to text and back (3.4).
Instant = NewType("Instant", int)


def later(now: Instant, last: Instant) -> Instant:
    """The time of a change to a record: `now`, or a microsecond after its `last` change if later.

    So the time of a record never goes back, even if the clock was set back (3.5), and two changes
    of a record never have the same time.
    """
    return Instant(max(now, last + 1))


# Returns the current time; only the composition root has the real clock.
Clock = Callable[[], Instant]


class Detail(msgspec.Struct, frozen=True, gc=False):
    """The part of a report about one category. `description` is None if there is no text (3.3)."""

    category: Category
    color: Color
    description: str | None = None


class StatusReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The status of a workspace at one moment (3). `details` are in the order of `Category`."""

    id: int
    account_id: int
    workspace_id: int
    creator_id: int
    updater_id: int | None
    color: Color
    description: str
    details: tuple[Detail, ...]
    created_at: Instant
    updated_at: Instant


class DeletedReport(StatusReport, frozen=True, kw_only=True, gc=False):
    """A deleted report that can be restored (8.4)."""

    deleter_id: int
    deleted_at: Instant


class ReportVersion(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A version of a report: its contents from `created_at` on, and who wrote it (8.3).

    `id` is the `number` of the version within its report, from 1.
    """

    id: int
    account_id: int
    event: VersionEvent
    user_id: int
    created_at: Instant
    color: Color
    description: str
    details: tuple[Detail, ...]

    @property
    def number(self) -> int:
        """The number of this version within its report."""
        return self.id


class Workspace(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A project (7). Dates are ISO 8601 calendar dates or None."""

    id: int
    account_id: int
    creator_id: int | None
    title: str
    description: str | None
    archived: bool
    access_level: str
    clients_see_status_reports: bool
    start_date: str | None
    due_date: str | None
    created_at: Instant
    updated_at: Instant
    # When reports are due (`core/cadence`). `report_paused_until` is a calendar date or None.
    report_every: ReportEvery = ReportEvery.TWO_WEEKS
    report_day: Weekday = Weekday.FRIDAY
    report_paused_until: str | None = None


class User(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A person of an account (7)."""

    id: int
    account_id: int
    full_name: str
    email_address: str
    headline: str | None
    photo_path: str | None


class ExternalReference(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The link between an object of this server and its counterpart in another system (7).

    `workspace_id` is the workspace that the subject belongs to, or the subject itself.
    """

    id: int
    account_id: int
    workspace_id: int
    subject_type: SubjectType
    subject_id: int
    service_name: str
    service_model: str
    service_model_ref: str
    status: SyncStatus
    external_status: str | None
    external_message: str | None
    external_link: str | None
    locked: bool | None
    created_at: Instant
    updated_at: Instant
    last_synced_at: Instant | None


class Token(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A bearer token as its owner may see it, without the secret.

    `grant_id` is the application's grant under which it was issued; None for a personal token.
    """

    id: int
    user_id: int
    grant_id: int | None = None
    name: str
    scopes: frozenset[Scope]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    last_used_at: Instant | None


class Session(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A signed-in browser, as its user may see it, without the secret.

    `device` is the name that the browser sends. `last_used_at` is exact to some minutes.
    """

    id: int
    account_id: int
    user_id: int
    created_at: Instant
    expires_at: Instant
    last_used_at: Instant
    address: str | None
    device: str | None


class Application(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A program that users of its account may allow to act for them (OAuth 2: a client).

    A `confidential` application has a secret. `user_id` is the user as whom it acts on its own with
    the client-credentials grant; None if it may not. Its access tokens are valid for
    `token_lifetime_s` seconds; if that is None, until they are revoked.
    """

    id: int
    account_id: int
    name: str
    client_id: str
    confidential: bool
    redirect_uris: tuple[str, ...]
    scopes: frozenset[Scope]
    user_id: int | None
    token_lifetime_s: int | None
    created_at: Instant
    revoked_at: Instant | None


class Grant(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a user allowed an application to do, or what an application may do on its own.

    A grant of a user has an authorization code, valid until `code_expires_at`, that was exchanged
    for tokens once, at `exchanged_at`. If the grant ends, all its tokens end too.
    """

    id: int
    account_id: int
    application_id: int
    user_id: int
    scopes: frozenset[Scope]
    redirect_uri: str | None
    code_challenge: str | None
    code_expires_at: Instant | None
    exchanged_at: Instant | None
    created_at: Instant
    revoked_at: Instant | None


class RefreshToken(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A token that an application exchanges for its next access token, once."""

    id: int
    account_id: int
    grant_id: int
    created_at: Instant
    expires_at: Instant
    used_at: Instant | None


class ShareLink(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A link with which anybody can read one report, without the categories `hidden`.

    Without a `report_id` it shows the report that is current in the workspace when it is opened. It
    does not show a report that its `creator_id` may no longer see.
    """

    id: int
    account_id: int
    creator_id: int
    workspace_id: int
    report_id: int | None
    hidden: frozenset[Category]
    created_at: Instant
    expires_at: Instant
    revoked_at: Instant | None
    first_opened_at: Instant | None
    last_opened_at: Instant | None


class Actor(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The caller: the user that a token, or a session in the browser, authenticates.

    `token_id` is None for a session, and `session_id` is None for a token. `grant_id` is the grant
    under which an application acts. `scopes` limit what the user may do. `last_used_at` is when the
    token was last used, exact to an hour, or the session, exact to some minutes.
    """

    user_id: int
    account_id: int
    permission: AccountPermission
    token_id: int | None
    grant_id: int | None = None
    session_id: int | None = None
    scopes: frozenset[Scope]
    last_used_at: Instant | None
    # When the user of the session last proved their identity; None for a token.
    proven_at: Instant | None = None


class Factor(msgspec.Struct, frozen=True, kw_only=True):
    """A second factor of a user, without its secret. Each recovery code is a factor."""

    id: int
    account_id: int
    user_id: int
    kind: FactorKind
    name: str
    created_at: Instant
    last_used_at: Instant | None


class AccountMembership(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user's membership in its account. To disable it has the effect of revoking all tokens."""

    id: int
    account_id: int
    user_id: int
    permission: AccountPermission
    created_at: Instant
    updated_at: Instant
    disabled_at: Instant | None


class Participation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user's membership in a workspace."""

    id: int
    account_id: int
    workspace_id: int
    user_id: int
    side: Side
    permission: ParticipationPermission
    team_lead: bool
    created_at: Instant
    updated_at: Instant


class WorkspaceGroup(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Workspaces that belong together (7.6). A `company` is a client."""

    id: int
    account_id: int
    name: str
    company: bool
    notes: str | None
    contact_name: str | None
    email: str | None
    website: str | None
    created_at: Instant
    updated_at: Instant


class WorkspacePermissions(msgspec.Struct, frozen=True, gc=False):
    """The role flags and permissions of the caller in a workspace (7.1)."""

    is_participant: bool
    team_lead: bool
    user_is_client: bool
    can_edit: bool


Value = str | int | bool | None
Values = Mapping[str, Value]


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the audit log. `id` is its number in the account, from 1.

    `before` and `after` are the old and new values of the attributes that were changed. Values that
    were removed are None: those of a person who was purged, and those of expired entries (there
    `action` is None too).
    """

    id: int
    account_id: int
    created_at: Instant
    action: AuditAction | None
    subject_id: int | None
    user_id: int | None
    through: Through | None
    through_id: int | None
    address: str | None
    before: Values | None
    after: Values | None

    @property
    def subject_type(self) -> str | None:
        """The kind of object that the action was on."""
        return None if self.action is None else self.action.subject

    @property
    def what(self) -> Sequence[Value]:
        """What was done."""
        return self.action, self.subject_id

    @property
    def who(self) -> Sequence[Value]:
        """Who did it."""
        return self.user_id, self.through, self.through_id, self.address

    @property
    def changes(self) -> Sequence[Values | None]:
        """What was changed."""
        return self.before, self.after


Record = (
    StatusReport
    | Workspace
    | User
    | ExternalReference
    | Participation
    | AccountMembership
    | WorkspaceGroup
    | DeletedReport
    | ReportVersion
    | AuditEvent
)
# One of the record classes, for functions that take the class as an argument.
R = TypeVar("R", bound=Record)

KIND_OF: Final[Mapping[type, Kind]] = {
    StatusReport: Kind.STATUS_REPORTS,
    Workspace: Kind.WORKSPACES,
    User: Kind.USERS,
    ExternalReference: Kind.EXTERNAL_REFERENCES,
    Participation: Kind.PARTICIPATIONS,
    AccountMembership: Kind.ACCOUNT_MEMBERSHIPS,
    WorkspaceGroup: Kind.WORKSPACE_GROUPS,
}
