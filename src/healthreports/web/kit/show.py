"""Render values as pages, and errors that a use case raises as error pages."""

import hashlib
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.templating import Jinja2Templates
from starlette.types import Receive, Scope, Send

from healthreports.contract.failure import failure_of
from healthreports.contract.moments import as_datetime
from healthreports.core.access import MAY_MANAGE_PEOPLE
from healthreports.core.errors import (
    Forbidden,
    HealthReportsError,
    MethodNotAllowed,
    ProofNeeded,
    StaleForm,
    StorageUnavailable,
    Unauthenticated,
)
from healthreports.core.model import Actor, Instant, StatusReport
from healthreports.core.portfolio import State, state_of, trend
from healthreports.core.vocabulary import DAY_US, AuditAction, Category
from healthreports.edge.rooted import at_root
from healthreports.extras import is_installed
from healthreports.service.auth.sessions import Visitor
from healthreports.service.gateway import Transaction
from healthreports.service.limits import Limits
from healthreports.service.people import accounts, members
from healthreports.web.kit import prose
from healthreports.web.kit.addresses import SIGN_IN
from healthreports.web.kit.forms import AlreadySent
from healthreports.web.kit.session import form_proof, others_of

log: Final = logging.getLogger("healthreports")

SEE_OTHER: Final = 303
FOLDER: Final = Path(__file__).parents[1]

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
_HEADERS: Final = {
    "cache-control": "no-store",
    "x-robots-tag": "noindex, nofollow",
}

Handler = Callable[[Request], Awaitable[Response]]
WhomToAsk = Callable[[Request], Awaitable[Sequence[str]]]
Again = Callable[[Request, Handler], Awaitable[Response]]
_templates: Final = Jinja2Templates(FOLDER / "templates")
_templates.env.trim_blocks = _templates.env.lstrip_blocks = True


def _iso(instant: Instant | None) -> str:
    """A day as URLs and forms write it: YYYY-MM-DD."""
    return "" if instant is None else f"{as_datetime(instant):%Y-%m-%d}"


def _day(day: Instant | str | None) -> str:
    """A day for people to read, from an instant or a calendar date: 4 Jun 2026."""
    if not day:
        return ""
    found = date.fromisoformat(day) if isinstance(day, str) else as_datetime(day)
    return f"{found.day} {found:%b %Y}"


def _short_day(day: Instant | str | None, now: Instant) -> str:
    """`_day` without the year, if the day is near enough to `now` to be unambiguous."""
    if not day:
        return ""
    found = date.fromisoformat(day) if isinstance(day, str) else as_datetime(day).date()
    is_near = abs((found - as_datetime(now).date()).days) < _NEAR_DAYS
    return _day(day).rpartition(" ")[0] if is_near else _day(day)


def _minute(instant: Instant | None) -> Markup | str:
    """An instant in UTC. A script shows it in the time zone of the reader."""
    if instant is None:
        return ""
    moment = as_datetime(instant)
    said = f"{_day(instant)}, {moment:%H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(f"{moment:%Y-%m-%dT%H:%M:%SZ}", said)


def _age(instant: Instant, now: Instant) -> str:
    """How long ago an instant was, in words that fit a table column."""
    days = now // DAY_US - instant // DAY_US
    if days < _IN_WORDS:
        return "today" if days < 1 else "yesterday"
    if days < _IN_DAYS:
        return f"{days} days ago"
    years = days // 365
    return f"{days // 30} months ago" if years < _IN_YEARS else f"{years} years ago"


def _late(overdue_at: Instant | None, now: Instant) -> str:
    """How long a report is overdue, in words; "" if it is not overdue."""
    if overdue_at is None or overdue_at > now:
        return ""
    days = (now - overdue_at) // DAY_US + 1
    return "1 day overdue" if days == 1 else f"{days} days overdue"


def _initials(name: str) -> str:
    """The initials of a person: two letters, one for a single name, "?" for no name."""
    words = name.split()
    letters = [words[0], words[-1]] if len(words) > 1 else words
    return "".join(one[0] for one in letters).upper() if words else "?"


def _first_sentence(text: str) -> str:
    """The first sentence of a text, cut to the length of a line."""
    line = " ".join(_MARKS.sub("", text[:_LINE_OF_TEXT]).split())
    end = _SENTENCE_END.search(line)
    return line[: end.start() + 1] if end else line


# Names in a User-Agent header. The order matters: Edge, for example, also names Chrome and Safari.
_BROWSERS: Final = ("Edg", "OPR", "Firefox", "Chrome", "Safari", "curl")
_SHOWN_AS: Final = {"Edg": "Edge", "OPR": "Opera"}
_SYSTEMS: Final = ("Android", "iPhone", "iPad", "Windows", "Mac OS X", "Linux")


def _device(text: str | None) -> str:
    """The browser and system of a User-Agent header, for example "Firefox on Linux"."""
    text = text or ""
    browser = next((one for one in _BROWSERS if one in text), "")
    system = next((one for one in _SYSTEMS if one in text), "")
    browser = _SHOWN_AS.get(browser, browser) or "A browser"
    return f"{browser} on {system}" if system else browser


def _says(action: AuditAction) -> str:
    """An audit action in words, for example "Status report deleted"."""
    return action.replace(".", " ").replace("_", " ").capitalize()


def _length_class(report: StatusReport) -> str:
    """The CSS class of the font size with which a report fits on one sheet of paper."""
    texts = [report.description, *(detail.description or "" for detail in report.details)]
    length = sum(len(text) + _LINE_LENGTH * text.count("\n") for text in texts)
    return next((name for name, least in _LENGTHS if length >= least), "")


# A line break counts as this many characters. Below: the least length for each class, as printed
# on A4 and Letter.
_LINE_LENGTH: Final = 60
_LENGTHS: Final = (("longer", 6_000), ("long", 2_500))
_LINE_OF_TEXT: Final = 400
_NEAR_DAYS: Final = 300
# Markdown marks, which are removed from a one-line summary.
_MARKS: Final = re.compile(r"\*\*|__|^\s*[-*+] ", re.MULTILINE)
_SENTENCE_END: Final = re.compile(r"[.!?](?=\s)")
# An age is shown in words below the first limit (days), then in days below the second (days), then
# in months below the third (years), then in years.
_IN_WORDS: Final = 2
_IN_DAYS: Final = 100
_IN_YEARS: Final = 2

_templates.env.filters |= {"iso": _iso, "day": _day, "short_day": _short_day, "minute": _minute}
_templates.env.filters |= {"age": _age, "late": _late, "initials": _initials}
_templates.env.filters |= {"first_sentence": _first_sentence, "prose": prose.shown}
_templates.env.filters |= {"length_class": _length_class, "says": _says, "device": _device}
_templates.env.filters["state"] = state_of
_templates.env.filters["trend"] = trend


def _static_files() -> dict[str, str]:
    """The hash of each static file, by file name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in (FOLDER / "static").iterdir()
        if path.suffix in MEDIA_TYPES
    }


MEDIA_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
STATIC_FILES: Final = _static_files()


def static_file(name: str) -> Handler:
    """The handler of a static file. An address with the file's hash can be cached for a year."""

    async def answer(request: Request) -> Response:
        is_named = request.query_params.get("v") == STATIC_FILES[name]
        lasts = "public, max-age=31536000, immutable" if is_named else "no-cache"
        path = FOLDER / "static" / name
        media_type = MEDIA_TYPES[path.suffix]
        return FileResponse(path, media_type=media_type, headers={"cache-control": lasts})

    return answer


def _static(name: str) -> str:
    return f"/static/{name}?v={STATIC_FILES[name]}"


_templates.env.globals |= {"static": _static, "once": lambda: secrets.token_urlsafe(12)}
_templates.env.globals |= {"has_pdf": is_installed("pdf")}
_templates.env.globals |= {"categories": tuple(Category), "states": tuple(State)}


def page(
    request: Request,
    template: str,
    values: dict[str, object],
    error: Exception | None = None,
    forms_lead_to: str = "",
    *,
    has_forms: bool = True,
) -> Response:
    """Render a page, with the messages and the status of `error` if there is one.

    `forms_lead_to` is added to the `form-action` policy: origins to which a form on the page may
    redirect. A page without forms needs no session and sets no cookie.
    """
    said: list[str] = []
    status, headers = 200, dict(_HEADERS)
    if error is not None:
        failure = failure_of(error)
        said = [one["message"] for one in msgspec.json.decode(failure.body)["errors"]]
        status, headers = failure.status, {**_HEADERS, **failure.headers}
    headers["content-security-policy"] = f"{_POLICY} {forms_lead_to}".rstrip()
    proof = form_proof(request) if has_forms else ""
    others = sorted(others_of(request)) if has_forms else []
    values = {"csrf": proof, "wrong": said, "other_accounts": others, **values}
    text = _templates.get_template(template).render({"request": request, **values})
    return HTMLResponse(at_root(text), status, headers)


def file_of(
    content: str | bytes, media_type: str, name: str = "", *, embedded: bool = False
) -> Response:
    """A response that is not a page: shown by itself, or downloaded as the file `name`.

    Only an `embedded` file may be used in pages of other sites.
    """
    headers = {**_HEADERS, "content-security-policy": "default-src 'none'"}
    headers["cross-origin-resource-policy"] = "cross-origin" if embedded else "same-origin"
    if name:
        headers["content-disposition"] = f'attachment; filename="{name}"'
    return Response(content, headers=headers, media_type=media_type)


def lead_to(address: str) -> Response:
    """Redirect with 303: the browser sends a GET without the form's body (RFC 9700, 4.12)."""
    return RedirectResponse(address, SEE_OTHER, _HEADERS)


def address_of(request: Request) -> str:
    """The client address of a request; "" if the server does not know it."""
    return request.client.host if request.client else ""


def visitor_of(request: Request) -> Visitor:
    """The address and the User-Agent header of a request."""
    return Visitor(address_of(request), request.headers.get("user-agent", ""))


def who(tx: Transaction, actor: Actor) -> dict[str, object]:
    """What the header of every page shows about the signed-in user."""
    return {
        "user": members.own_user(tx, actor),
        "account": accounts.account_title(tx, actor),
        "administers": actor.permission in MAY_MANAGE_PEOPLE,
    }


def failed_page(
    request: Request, error: Exception, back: str = "", whom_to_ask: Sequence[str] = ()
) -> Response:
    """The error page. It needs neither a session nor the database.

    It links `back` to a page, or else to the home page, and names `whom_to_ask`.
    """
    status = failure_of(error).status
    values: dict[str, object] = {
        "heading": _HEADINGS.get(status, "This request was refused"),
        "back": back,
        "whom_to_ask": whom_to_ask,
        "request_id": request.scope.get("request_id", b"").decode()
        if status >= _SERVER_ERROR
        else "",
    }
    return page(request, "failed.html", values, error, has_forms=False)


_UNAUTHORIZED: Final = 401
_SERVER_ERROR: Final = 500
_HEADINGS: Final = {
    403: "You may not do that here",
    404: "Page not found",
    405: "This page does not support that request",
    413: "Too large",
    429: "Too many requests",
    500: "Something went wrong",
    503: "The server is not available right now",
    504: "The server took too long",
}


class Methods:
    """The handlers of one path, by HTTP method. Raises MethodNotAllowed for other methods."""

    def __init__(self, path: str, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = dict(handlers)
        if "GET" in handlers:
            self._handlers["HEAD"] = handlers["GET"]  # the server omits the body
        self.methods = tuple(sorted(self._handlers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request for the path."""
        handler = self._handlers.get(scope["method"])
        if handler is None:
            raise MethodNotAllowed(self.methods)
        scope["operation"] = f"{scope['method']} {self._path}"
        answer = await handler(Request(scope, receive))
        await answer(scope, receive, send)


def shown(
    handler: Handler, limits: Limits, again: Again, whom_to_ask: WhomToAsk, *, is_page: bool
) -> Handler:
    """Wrap `handler` so that an error becomes a page; an anonymous user is sent to sign in.

    If a proof is needed, `again` asks for it and then repeats the refused request. A user without
    permission is told what is missing and, from `whom_to_ask`, whom to ask.

    If the session expired, the user is led back to the form, where what was typed is still there,
    if its address `is_page`. A form with a wrong CSRF token counts against the rate limit of the
    client address, because it could be a guess.
    """

    async def answer(request: Request) -> Response:
        try:
            try:
                return await handler(request)
            except ProofNeeded:
                return await again(request, handler)
            except StaleForm:
                await limits.admit_stranger(address_of(request))
                raise
        except AlreadySent as sent:
            return lead_to(sent.address)
        except Unauthenticated:
            return _to_sign_in(request, is_page=is_page)
        except HealthReportsError as error:
            if isinstance(error, StorageUnavailable):
                log.error("storage unavailable: %s", error.__cause__ or error)  # noqa: TRY400  one line is enough
            back = request.url.path if is_page and isinstance(error, StaleForm) else ""
            names = await whom_to_ask(request) if type(error) is Forbidden else ()
            return failed_page(request, error, back, names)

    return answer


def _to_sign_in(request: Request, *, is_page: bool) -> Response:
    if "hx-request" in request.headers:
        # A request of a script for a part of a page cannot sign in; the page shows what to do.
        return Response(status_code=_UNAUTHORIZED, headers=_HEADERS)
    if request.method != "GET":
        back = f"&next={quote(request.url.path, safe='')}" if is_page else ""
        return lead_to(f"{SIGN_IN}?expired=yes{back}")
    wanted = quote(f"{request.url.path}?{request.url.query}".rstrip("?"), safe="")
    return lead_to(f"{SIGN_IN}?next={wanted}")
