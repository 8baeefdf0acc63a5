"""Exceptions as answers: the only table of statuses, types and sentences. Follows section 6."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

from healthreports.core.errors import (
    BadConsentRequest,
    BadKey,
    BadParameter,
    BodyTooLarge,
    Fault,
    FilterNotServed,
    Forbidden,
    HealthReportsError,
    Invalid,
    KeyInUse,
    KeyReused,
    LinkEnded,
    MalformedBody,
    MalformedHttp,
    MethodNotAllowed,
    NotFound,
    NotInstalled,
    Outdated,
    Overtaken,
    PathUnknown,
    Problem,
    ProofNeeded,
    RootMissing,
    ServerStopping,
    SeveralAccounts,
    SignInRefused,
    StaleForm,
    StorageBusy,
    StorageFull,
    StorageReplaced,
    StorageUnavailable,
    TooManyIncluded,
    TooManyRequests,
    TooMuchUnsent,
    Unauthenticated,
    UnsupportedMedia,
)
from healthreports.core.vocabulary import Kind

RETRY_AFTER_S: Final = "1"

_encode: Final = msgspec.json.Encoder().encode


class Failure(NamedTuple):
    """An error answer: the status, the body in the contract's format, and more headers."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


def failure_of(error: Exception) -> Failure:
    """The answer to `error`. For an unexpected error it reveals no details. Contract: 6."""
    if isinstance(error, Invalid):
        return _failure(HTTPStatus.UNPROCESSABLE_ENTITY, *map(_validation, error.problems))
    if isinstance(error, Unauthenticated):
        oauth = {"type": "oauth", "message": "Invalid OAuth 2 Request"}
        return _failure(HTTPStatus.UNAUTHORIZED, oauth, headers={"www-authenticate": "Bearer"})
    status, message, headers = _SYSTEM.get(type(error), _UNEXPECTED)
    return _failure(status, _system(message(error)), headers=headers(error))


def sentence_of(problem: Problem) -> str:
    """The problem as a sentence for people."""
    return _validation(problem)["message"]


def _failure(
    status: HTTPStatus, *errors: dict[str, str], headers: Mapping[str, str] | None = None
) -> Failure:
    return Failure(status.value, _encode({"errors": errors}), headers or {})


def _system(message: str) -> dict[str, str]:
    return {"type": "system", "message": message}


def _validation(problem: Problem) -> dict[str, str]:
    name = problem.field.rpartition(".")[2].partition("[")[0]
    label = name.removesuffix("_id").replace("_", " ").capitalize()
    if problem.field.endswith("]"):
        label = f"Each of {name}"
    says = _SAYS[problem.fault].format(
        label=label, options=_either(problem.options), limit=f"{problem.limit:,}"
    )
    return {"type": "validation", "message": says, "field": problem.field}


def _either(options: tuple[str, ...]) -> str:
    *firsts, last = options or ("",)
    return f"{', '.join(firsts)} or {last}" if firsts else last


_SAYS: Final = {
    Fault.MISSING: "{label} is required",
    Fault.NOT_TEXT: "{label} must be text",
    Fault.NOT_AN_OBJECT: "{label} must be an object",
    Fault.NOT_AN_ARRAY: "{label} must be an array",
    Fault.NOT_A_BOOLEAN: "{label} must be true or false",
    Fault.NOT_IN: "{label} must be {options}",
    Fault.TOO_LONG: "{label} must have at most {limit} characters",
    Fault.TOO_SHORT: "{label} must have at least {limit} characters",
    Fault.TOO_MANY: "{label} must have at most {limit} elements",
    Fault.UNSTORABLE: "{label} must not contain U+0000 or a lone surrogate",
    Fault.UNKNOWN_OBJECT: "{label} was not found",
    Fault.REPEATED: "{label} appears more than once",
    Fault.NOT_A_LINK: "{label} must be an http or https address",
    Fault.NOT_A_REDIRECT: (
        "{label} must be https addresses, http addresses of this machine (127.0.0.1, [::1], "
        "localhost), or addresses of an application's own scheme like org.example.app:/back, "
        "each once, without a fragment"
    ),
    Fault.TAKEN: "{label} already exists",
    Fault.NOT_A_NUMBER: "{label} must be a whole number from 1 to {limit}",
    Fault.NOT_A_DATE: "{label} must be a date like 2026-11-24",
    Fault.NOT_A_TIME: "{label} must be an ISO 8601 date or date-time",
    Fault.NOT_A_LINE: "{label} is not valid",
    Fault.NOT_AN_ADDRESS: "{label} must be an e-mail address",
    Fault.LAST_ADMINISTRATOR: "{label} cannot be changed: the account would have no administrator",
    Fault.NOT_AN_ADMINISTRATOR: "{label} must be an administrator of the account",
    Fault.NOT_CONFIDENTIAL: "{label} requires an application with a client secret",
    Fault.WRONG: "{label} is wrong",
    Fault.EASY_TO_GUESS: (
        "{label} is easy to guess. Do not use a common password, your name or your address"
    ),
    Fault.NOT_AN_ACCOUNT_NAME: (
        "{label} must be lowercase letters and digits with single hyphens, like acme-north"
    ),
    Fault.IN_SEVERAL_ACCOUNTS: "{label} exists in several accounts. Choose one with --account",
    Fault.NOT_SERVED: "{label} is not supported here, because it would change permissions",
    Fault.CONTRADICTS: "{label} contradicts {options}",
    Fault.ON_CLIENT_SIDE: "{label} is on the client side of this workspace",
    Fault.DEMANDED: (
        "{label} is the last one, and the account requires one. Add another before you remove it"
    ),
    Fault.OWN_FIRST: "{label} would lock you out. Set up a second factor for yourself first",
    Fault.NOT_AS_ASKED: "{label} must be exactly: {options}",
    Fault.NOBODY_CONFIRMS: (
        "{label} can already sign in, so a second administrator has to confirm the invitation, and "
        "there is none. On the server, run: healthreports user invite"
    ),
}

_NAMES: Final = {
    Kind.STATUS_REPORTS: "status report",
    Kind.WORKSPACES: "workspace",
    Kind.USERS: "user",
    Kind.EXTERNAL_REFERENCES: "external reference",
    Kind.PARTICIPATIONS: "participation",
    Kind.ACCOUNT_MEMBERSHIPS: "account membership",
    Kind.WORKSPACE_GROUPS: "workspace group",
    Kind.STATUS_REPORT_VERSIONS: "version of a status report",
    Kind.DELETED_STATUS_REPORTS: "deleted status report",
    Kind.AUDIT_EVENTS: "audit event",
}


def _no_headers(_error: Any) -> dict[str, str]:  # noqa: ANN401  the row knows its exception
    return {}


def _retry(_error: Any) -> dict[str, str]:  # noqa: ANN401  the row knows its exception
    return {"retry-after": RETRY_AFTER_S}


def _limited(error: TooManyRequests) -> dict[str, str]:
    """The headers of draft-ietf-httpapi-ratelimit-headers-10, and Retry-After."""
    return {
        "retry-after": str(error.retry_after_s),
        "ratelimit": f'"{error.policy}";r=0;t={error.retry_after_s}',
        "ratelimit-policy": f'"{error.policy}";q={error.limit};w={error.window_s}',
    }


_Row = tuple[HTTPStatus, Callable[[Any], str], Callable[[Any], dict[str, str]]]
_UNEXPECTED: Final[_Row] = (
    HTTPStatus.INTERNAL_SERVER_ERROR,
    lambda _: "Something went wrong on the server",
    _no_headers,
)
_SYSTEM: Final[dict[type[Exception], _Row]] = {
    MalformedHttp: (
        HTTPStatus.BAD_REQUEST,
        lambda _: "The HTTP request is malformed",
        _no_headers,
    ),
    MalformedBody: (
        HTTPStatus.BAD_REQUEST,
        lambda e: f"The body cannot be read: {e.reason}",
        _no_headers,
    ),
    RootMissing: (
        HTTPStatus.BAD_REQUEST,
        lambda e: (
            f'Expected an object under "{e.root}"'
            + (f"; the Content-Type is {e.media}, and JSON is application/json" if e.media else "")
        ),
        _no_headers,
    ),
    BadParameter: (
        HTTPStatus.BAD_REQUEST,
        lambda e: f"The parameter {e.name} must be {e.expected}",
        _no_headers,
    ),
    BadKey: (
        HTTPStatus.BAD_REQUEST,
        lambda _: "The header Idempotency-Key must have 1 to 255 visible characters",
        _no_headers,
    ),
    KeyReused: (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        lambda _: "This Idempotency-Key was used for a different request. Use a new key",
        _no_headers,
    ),
    KeyInUse: (
        HTTPStatus.CONFLICT,
        lambda _: "The first request with this Idempotency-Key is still being processed. Try again",
        _retry,
    ),
    FilterNotServed: (
        HTTPStatus.BAD_REQUEST,
        lambda e: f"The filter {e.name} is not supported by this server",
        _no_headers,
    ),
    TooManyIncluded: (
        HTTPStatus.BAD_REQUEST,
        lambda e: (
            f"The association {e.name} has more than {e.limit:,} objects on this page. Request a "
            f"smaller page, or use the list of {e.kind.value}"
        ),
        _no_headers,
    ),
    BadConsentRequest: (HTTPStatus.BAD_REQUEST, lambda e: e.reason, _no_headers),
    SignInRefused: (HTTPStatus.UNAUTHORIZED, lambda e: e.reason, _no_headers),
    SeveralAccounts: (HTTPStatus.UNAUTHORIZED, lambda e: e.reason, _no_headers),
    TooManyRequests: (
        HTTPStatus.TOO_MANY_REQUESTS,
        lambda e: (
            f"Too many requests: at most {e.limit:,} in {e.window_s:,} s. "
            f"Wait {e.retry_after_s:,} s"
        ),
        _limited,
    ),
    Forbidden: (HTTPStatus.FORBIDDEN, lambda e: f"Not allowed: {e.needs}", _no_headers),
    StaleForm: (HTTPStatus.FORBIDDEN, lambda e: e.needs, _no_headers),
    ProofNeeded: (HTTPStatus.FORBIDDEN, lambda e: f"Not allowed: {e.needs}", _no_headers),
    NotFound: (HTTPStatus.NOT_FOUND, lambda e: f"No such {_NAMES[e.kind]}", _no_headers),
    LinkEnded: (
        HTTPStatus.NOT_FOUND,
        lambda _: "This link is invalid or has expired. Ask the sender for a new link",
        _no_headers,
    ),
    Overtaken: (
        HTTPStatus.CONFLICT,
        lambda _: "Somebody else published a report meanwhile. Nothing was saved; compare both",
        _no_headers,
    ),
    Outdated: (
        HTTPStatus.PRECONDITION_FAILED,
        lambda _: "Somebody else changed this meanwhile. Read it again before you change it",
        _no_headers,
    ),
    PathUnknown: (HTTPStatus.NOT_FOUND, lambda _: "No such path", _no_headers),
    MethodNotAllowed: (
        HTTPStatus.METHOD_NOT_ALLOWED,
        lambda e: f"This path accepts only {', '.join(e.allowed)}",
        lambda e: {"allow": ", ".join(e.allowed)},
    ),
    BodyTooLarge: (
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        lambda e: f"The body is larger than {e.limit:,} bytes",
        _no_headers,
    ),
    UnsupportedMedia: (
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        lambda _: (
            "The body must be application/json, application/x-www-form-urlencoded or "
            "multipart/form-data, in UTF-8 and not compressed"
        ),
        _no_headers,
    ),
    StorageUnavailable: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        lambda _: "The database does not answer. Try again",
        _retry,
    ),
    NotInstalled: (
        HTTPStatus.NOT_IMPLEMENTED,
        lambda e: f"This server cannot do that. Its administrator can {e.remedy}",
        _no_headers,
    ),
    StorageFull: (HTTPStatus.SERVICE_UNAVAILABLE, lambda _: "The disk is full", _retry),
    StorageReplaced: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        lambda _: "The database was replaced. Nothing is saved until the server is restarted",
        _retry,
    ),
    ServerStopping: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        lambda _: "The server is stopping. Try again",
        _retry,
    ),
    TooMuchUnsent: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        lambda _: "The server is sending too many large answers. Try again later",
        _retry,
    ),
    StorageBusy: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        lambda _: "The database is busy. Try again",
        _retry,
    ),
    TimeoutError: (
        HTTPStatus.GATEWAY_TIMEOUT,
        lambda _: "The request took longer than the server allows",
        _no_headers,
    ),
}


def is_expected(error: Exception) -> bool:
    """Whether `error` is an expected answer and not a bug."""
    return isinstance(error, HealthReportsError | TimeoutError)
