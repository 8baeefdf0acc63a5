"""What can stop a request, as one tree.

    HealthReportsError
    ├── MalformedRequest            the request cannot be read
    │   ├── MalformedHttp           not HTTP, or a method that HTTP does not know
    │   ├── MalformedBody           not JSON, not a form, too deep
    │   ├── RootMissing             the root key is not there or not an object
    │   ├── BadParameter            a query parameter has a value it cannot have
    │   ├── BadKey                  an Idempotency-Key that cannot be one
    │   └── BadConsentRequest       an application asks to act for a user, and not as it must
    ├── UnsupportedMedia            a body of a type that we do not read
    ├── BodyTooLarge
    ├── PathUnknown                 no such path
    ├── MethodNotAllowed            the path is there, the method is not
    ├── Unauthenticated             no token that stands for a user
    ├── SignInRefused               no such user, or not its password
    │   └── SeveralAccounts         somebody who has to say in which account
    ├── LinkEnded                   a link that is unknown, expired, revoked or used
    ├── Forbidden                   visible, but this actor may not do that
    │   ├── StaleForm               a form that is not of a page of this session
    │   └── ProofNeeded             who sits at the browser has to prove again who it is
    ├── NotFound                    not there, or not visible: the caller cannot tell
    ├── Overtaken                   somebody else wrote what this was to take the place of
    ├── Outdated                    a record is not in the state that the caller named
    ├── KeyReused                   an Idempotency-Key that another request had
    ├── KeyInUse                    the first request with an Idempotency-Key is under way
    ├── TooManyRequests             more than the limit in its time
    ├── TooMuchUnsent               large answers wait to be read, and there is no room for more
    ├── NotInstalled                an optional part of the program is not installed
    ├── Invalid                     a body with faults, all of them
    └── StorageUnavailable          the database does not answer
        ├── StorageFull             its disk is full
        ├── StorageReplaced         it is not the one that the server was started on
        └── StorageBusy             another writer holds it for too long

Each carries data; `contract/failure` is the only place that makes sentences and statuses of them.
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

    `options` are the values that would be right (NOT_IN), `limit` a length in
    characters (TOO_LONG, TOO_SHORT), a number of elements (TOO_MANY) or the
    largest number (NOT_A_NUMBER).
    """

    field: str
    fault: Fault
    options: tuple[str, ...] = ()
    limit: int = 0


class HealthReportsError(Exception):
    """The root: everything below is expected and has an answer in the contract's form."""


class MalformedRequest(HealthReportsError):
    """The request cannot be read."""


class MalformedHttp(MalformedRequest):
    """Not HTTP, or a method that HTTP does not know."""


class MalformedBody(MalformedRequest):
    """A body that is not what its content type says. `reason` is safe to show."""

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
    """A query parameter whose value cannot be meant. `expected` says what could be."""

    def __init__(self, name: str, expected: str) -> None:
        super().__init__(name, expected)
        self.name = name
        self.expected = expected


class BadKey(MalformedRequest):
    """An Idempotency-Key that is empty, too long, or has characters that are not visible (8.2)."""


class FilterNotServed(MalformedRequest):
    """The original has this filter, and we do not: to ignore it would hand out too much (1.6)."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class TooManyIncluded(MalformedRequest):
    """An association has more objects than an answer may hold (2.8)."""

    def __init__(self, name: str, kind: Kind, limit: int) -> None:
        super().__init__(name)
        self.name = name
        self.kind = kind
        self.limit = limit


class BadConsentRequest(MalformedRequest):
    """An application asks to act for a user so that no answer can be sent to it.

    `reason` is safe to show. RFC 6749, section 4.1.2.1.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnsupportedMedia(HealthReportsError):
    """A body of a type, charset or encoding that we do not read."""


class BodyTooLarge(HealthReportsError):
    """A body over the limit, in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class PathUnknown(HealthReportsError):
    """No such path."""


class MethodNotAllowed(HealthReportsError):
    """The path is there, the method is not."""

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(allowed)
        self.allowed = tuple(allowed)


class Unauthenticated(HealthReportsError):
    """No token, or one that is malformed, unknown, expired or revoked: the caller cannot tell."""


class SignInRefused(HealthReportsError):
    """Who wants to sign in is not known, or did not prove it: the caller cannot tell.

    `reason` is safe to show.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SeveralAccounts(SignInRefused):
    """Who wants to sign in proved who it is, and is known in the accounts of these `names`."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__("Several accounts here know you. Choose the one to sign in to.")
        self.names = names


class LinkEnded(HealthReportsError):
    """A share link or an invitation that leads nowhere (any more): the caller cannot tell why."""


class TooManyRequests(HealthReportsError):
    """More than `limit` in `window_s` seconds; the next may come in `retry_after_s` seconds.

    `policy` is the name of the limit.
    """

    def __init__(self, policy: str, limit: int, window_s: int, retry_after_s: int) -> None:
        super().__init__(policy)
        self.policy = policy
        self.limit = limit
        self.window_s = window_s
        self.retry_after_s = retry_after_s


class TooMuchUnsent(HealthReportsError):
    """Large answers wait for their clients to read them, and there is no room for another."""


class ServerStopping(HealthReportsError):
    """The server was told to stop, and what was under way had its time."""


class Forbidden(HealthReportsError):
    """The actor sees the object but may not do this. `needs` says what is missing."""

    def __init__(self, needs: str) -> None:
        super().__init__(needs)
        self.needs = needs


class StaleForm(Forbidden):
    """A form that does not prove to be of a page that we made for this session."""

    def __init__(self) -> None:
        super().__init__(
            "Your session expired while this form was open. Go back to it: a draft is kept."
        )


class ProofNeeded(Forbidden):
    """Who is signed in has not proved for some minutes who it is, and what it wants needs that."""

    def __init__(self) -> None:
        super().__init__("confirm who you are, and try again")


class NotFound(HealthReportsError):
    """Not there, or not visible."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.kind = kind


class Overtaken(HealthReportsError):
    """Somebody else wrote since this was begun. `report` is what they wrote."""

    def __init__(self, report: StatusReport) -> None:
        super().__init__(report.id)
        self.report = report


class Outdated(HealthReportsError):
    """A record is not in the state that the caller wants to change (8.1)."""


class KeyReused(HealthReportsError):
    """Another request was sent with this Idempotency-Key (8.2)."""


class KeyInUse(HealthReportsError):
    """The first request with this Idempotency-Key may still be under way (8.2)."""


class NotInstalled(HealthReportsError):
    """An optional part of the program is not installed. `remedy` says what to do, in one line."""

    def __init__(self, remedy: str) -> None:
        super().__init__(remedy)
        self.remedy = remedy


class Invalid(HealthReportsError):
    """A body with faults."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)


class StorageUnavailable(HealthReportsError):
    """The database does not answer, or cannot write."""


class StorageFull(StorageUnavailable):
    """The disk of the database is full."""


class StorageReplaced(StorageUnavailable):
    """The database is not the one that the server was started on: another file, another schema.

    `says` is a sentence for whoever runs the server.
    """

    def __init__(self, says: str) -> None:
        super().__init__(says)
        self.says = says


class StorageBusy(StorageUnavailable):
    """Another writer holds the database for longer than we wait."""
