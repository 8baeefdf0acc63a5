"""The errors that can end a request, as one tree.

    HealthReportsError
    ├── MalformedRequest            the request cannot be read
    │   ├── MalformedHttp           malformed HTTP, or an unknown method
    │   ├── MalformedBody           not valid JSON, not a valid form, or nested too deeply
    │   ├── RootMissing             the root key is missing or not an object
    │   ├── BadParameter            a query parameter has an invalid value
    │   ├── BadKey                  an Idempotency-Key is invalid
    │   └── BadConsentRequest       an invalid OAuth 2 authorization request of an application
    ├── UnsupportedMedia            a body of a type that is not supported
    ├── BodyTooLarge
    ├── PathUnknown                 no such path
    ├── MethodNotAllowed            the path exists, but not with this method
    ├── Unauthenticated             no valid token
    ├── SignInRefused               no such user, or a wrong password
    │   └── SeveralAccounts         the user must first choose an account
    ├── LinkEnded                   a link that is unknown, expired, revoked or used
    ├── Forbidden                   visible, but the actor may not do that
    │   ├── StaleForm               a form that was not made for this session
    │   └── ProofNeeded             the user must authenticate again
    ├── NotFound                    does not exist or is not visible: the caller cannot tell
    ├── Overtaken                   somebody else wrote a newer version first
    ├── Outdated                    a record is not in the state that the caller stated
    ├── KeyReused                   an Idempotency-Key that was used for another request
    ├── KeyInUse                    the first request with an Idempotency-Key is still running
    ├── TooManyRequests             over a rate limit
    ├── TooMuchUnsent               too many large answers wait to be sent
    ├── NotInstalled                an optional part of the program is not installed
    ├── Invalid                     an invalid body, with all its problems
    └── StorageUnavailable          the database does not answer
        ├── StorageFull             its disk is full
        ├── StorageReplaced         it is not the database that the server was started with
        └── StorageBusy             another writer holds it for too long

Errors carry data. Only `contract/failure` turns them into status codes and sentences.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from healthreports.core.model import StatusReport
from healthreports.core.vocabulary import Kind


class Fault(StrEnum):
    """What can be wrong with one attribute of a body (5.6)."""

    MISSING = "missing"
    NOT_TEXT = "not_text"
    NOT_AN_OBJECT = "not_an_object"
    NOT_AN_ARRAY = "not_an_array"
    NOT_A_BOOLEAN = "not_a_boolean"
    NOT_IN = "not_in"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    TOO_MANY = "too_many"
    UNSTORABLE = "unstorable"
    UNKNOWN_OBJECT = "unknown_object"
    REPEATED = "repeated"
    NOT_A_LINK = "not_a_link"
    NOT_A_REDIRECT = "not_a_redirect"
    TAKEN = "taken"
    NOT_A_NUMBER = "not_a_number"
    NOT_A_DATE = "not_a_date"
    NOT_A_TIME = "not_a_time"
    NOT_A_LINE = "not_a_line"
    NOT_AN_ADDRESS = "not_an_address"
    LAST_ADMINISTRATOR = "last_administrator"
    NOT_AN_ADMINISTRATOR = "not_an_administrator"
    NOT_CONFIDENTIAL = "not_confidential"
    WRONG = "wrong"
    EASY_TO_GUESS = "easy_to_guess"
    NOT_AN_ACCOUNT_NAME = "not_an_account_name"
    IN_SEVERAL_ACCOUNTS = "in_several_accounts"
    NOBODY_CONFIRMS = "nobody_confirms"
    NOT_SERVED = "not_served"
    CONTRADICTS = "contradicts"
    ON_CLIENT_SIDE = "on_client_side"
    DEMANDED = "demanded"
    OWN_FIRST = "own_first"
    NOT_AS_ASKED = "not_as_asked"


class Problem(msgspec.Struct, frozen=True):
    """One fault in one attribute: `details[0].color` is not in (green, yellow, red).

    `options` are the valid values (NOT_IN). `limit` is a length in characters (TOO_LONG,
    TOO_SHORT), a number of elements (TOO_MANY) or the largest number (NOT_A_NUMBER).
    """

    field: str
    fault: Fault
    options: tuple[str, ...] = ()
    limit: int = 0


class HealthReportsError(Exception):
    """The root: all errors below are expected and have an answer in the contract's format."""


class MalformedRequest(HealthReportsError):
    """The request cannot be read."""


class MalformedHttp(MalformedRequest):
    """Malformed HTTP, or an unknown method."""


class MalformedBody(MalformedRequest):
    """A body that does not match its content type. `reason` is safe to show."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RootMissing(MalformedRequest):
    """A body, read as `media`, without an object under its root key (1.4)."""

    def __init__(self, root: str, media: str) -> None:
        super().__init__(root, media)
        self.root = root
        self.media = media


class BadParameter(MalformedRequest):
    """A query parameter with an invalid value. `expected` says what is valid."""

    def __init__(self, name: str, expected: str) -> None:
        super().__init__(name, expected)
        self.name = name
        self.expected = expected


class BadKey(MalformedRequest):
    """An Idempotency-Key that is empty, too long, or has characters that are not visible (8.2)."""


class FilterNotServed(MalformedRequest):
    """A filter of the original API that we do not support (1.6).

    If the server ignored it, the answer would contain too much.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class TooManyIncluded(MalformedRequest):
    """An association has more objects than an answer may include (2.8)."""

    def __init__(self, name: str, kind: Kind, limit: int) -> None:
        super().__init__(name)
        self.name = name
        self.kind = kind
        self.limit = limit


class BadConsentRequest(MalformedRequest):
    """An authorization request with which no answer can be sent to the application.

    `reason` is safe to show. RFC 6749, section 4.1.2.1.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnsupportedMedia(HealthReportsError):
    """A body of a type, charset or encoding that is not supported."""


class BodyTooLarge(HealthReportsError):
    """A body over the limit, in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class PathUnknown(HealthReportsError):
    """No such path."""


class MethodNotAllowed(HealthReportsError):
    """The path exists, but not with this method. `allowed` are its methods."""

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(allowed)
        self.allowed = tuple(allowed)


class Unauthenticated(HealthReportsError):
    """No token, or one that is malformed, unknown, expired or revoked: the caller cannot tell."""


class SignInRefused(HealthReportsError):
    """The user is unknown or did not prove who they are: the caller cannot tell which.

    `reason` is safe to show.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SeveralAccounts(SignInRefused):
    """The user proved who they are, but belongs to several accounts with these `names`."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__("You are in several accounts here. Choose the one to sign in to.")
        self.names = names


class LinkEnded(HealthReportsError):
    """A share link or an invitation that is not valid (any more): the caller cannot tell why."""


class TooManyRequests(HealthReportsError):
    """More than `limit` requests in `window_s` seconds. Retry after `retry_after_s` seconds.

    `policy` is the name of the limit.
    """

    def __init__(self, policy: str, limit: int, window_s: int, retry_after_s: int) -> None:
        super().__init__(policy)
        self.policy = policy
        self.limit = limit
        self.window_s = window_s
        self.retry_after_s = retry_after_s


class TooMuchUnsent(HealthReportsError):
    """The memory for large answers that wait to be sent has no room for another one."""


class ServerStopping(HealthReportsError):
    """The server is stopping, and the time for requests to finish is over."""


class Forbidden(HealthReportsError):
    """The actor sees the object but may not do this. `needs` says what is missing."""

    def __init__(self, needs: str) -> None:
        super().__init__(needs)
        self.needs = needs


class StaleForm(Forbidden):
    """A form without a valid CSRF token of this session."""

    def __init__(self) -> None:
        super().__init__(
            "Your session expired while this form was open. Go back to it: your draft is saved."
        )


class ProofNeeded(Forbidden):
    """The action needs a recent proof of identity, and the last one is too old."""

    def __init__(self) -> None:
        super().__init__("confirm who you are, and try again")


class NotFound(HealthReportsError):
    """The object does not exist or is not visible."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.kind = kind


class Overtaken(HealthReportsError):
    """Somebody else published since the user began to write. `report` is theirs."""

    def __init__(self, report: StatusReport) -> None:
        super().__init__(report.id)
        self.report = report


class Outdated(HealthReportsError):
    """A record is not in the state that the caller wants to change (8.1)."""


class KeyReused(HealthReportsError):
    """Another request was sent with this Idempotency-Key (8.2)."""


class KeyInUse(HealthReportsError):
    """The first request with this Idempotency-Key may still be running (8.2)."""


class NotInstalled(HealthReportsError):
    """An optional part of the program is not installed. `remedy` says what to do, in one line."""

    def __init__(self, remedy: str) -> None:
        super().__init__(remedy)
        self.remedy = remedy


class Invalid(HealthReportsError):
    """An invalid body. `problems` are all its problems."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)


class StorageUnavailable(HealthReportsError):
    """The database does not answer, or cannot write."""


class StorageFull(StorageUnavailable):
    """The disk of the database is full."""


class StorageReplaced(StorageUnavailable):
    """The database is not the one that the server was started with: another file or schema.

    `says` is a sentence for the administrator of the server.
    """

    def __init__(self, says: str) -> None:
        super().__init__(says)
        self.says = says


class StorageBusy(StorageUnavailable):
    """Another writer holds the database for longer than the timeout."""
