"""Read what a browser sent: the fields of a form, a choice, the id in a path, a page number."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple, TypeVar

from starlette.requests import Request

from healthreports.contract.failure import sentence_of
from healthreports.contract.params import read_id
from healthreports.core.errors import Fault, Invalid, KeyReused, NotFound, Problem
from healthreports.core.model import Actor, Instant
from healthreports.core.vocabulary import Kind
from healthreports.edge.middleware import address_of
from healthreports.service import retries
from healthreports.service.gateway import Admitted, Gateway, Transaction
from healthreports.service.retries import Asked
from healthreports.web.kit.session import read_form, secret_of

Fields = Mapping[str, str]
Choice = TypeVar("Choice", bound=StrEnum)

T = TypeVar("T")

# The fields that say when reports are due.
CADENCE_FIELDS: Final = ("report_every", "report_day", "report_paused_until")
# The hidden field with an idempotency key, which is new each time the form is shown.
ONCE: Final = "once"
_MOST_KEY: Final = 255
# The prefix of fields that prove who the user is. They are never part of a stored hash.
PROOF: Final = "proof_"
# The hidden fields that a form has in addition to what the user typed.
_OF_PAGE: Final = ("csrf", ONCE)
_SEE_OTHER: Final = 303
_MOST_PAGES: Final = 1_000_000


class SentForm(NamedTuple):
    """A form from one of our pages: its sender, its fields and its idempotency key, if any."""

    writer: Admitted
    fields: Fields
    asked: Asked | None = None


class AlreadySent(Exception):
    """The form was already sent: a second click, or the page before. `address` is the next page."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


async def sent_form(gateway: Gateway, request: Request) -> SentForm:
    """Read the form that a signed-in user sent. The body of an anonymous request is never read.

    Raises Unauthenticated, Forbidden, MalformedBody.
    """
    writer = await gateway.admit_writer(secret_of(request), address_of(request.scope))
    fields = await read_form(request)
    key = fields.get(ONCE, "")
    if not 0 < len(key) <= _MOST_KEY:
        return SentForm(writer, fields)
    said = sorted(
        (name, text)
        for name, text in fields.items()
        if name not in _OF_PAGE and not name.startswith(PROOF)
    )
    fingerprint = sha256(repr(said).encode()).hexdigest()
    return SentForm(writer, fields, Asked(request.url.path, key, fingerprint))


async def write_once(
    gateway: Gateway,
    form: SentForm,
    work: Callable[[Transaction, Actor, Instant], T],
    leads_to: Callable[[T], str],
) -> T:
    """Run `work` in a transaction and return its result; idempotent for a form that is sent twice.

    `leads_to` returns the address of the next page, which is all that is stored of the answer. A
    form that was changed and sent again runs `work` again. Raises AlreadySent, and what `work`
    raises.
    """

    def once(tx: Transaction, actor: Actor, now: Instant) -> T:
        asked = form.asked
        if asked is None:
            return work(tx, actor, now)
        try:
            kept = retries.first_answer(tx, actor, asked, now)
        except KeyReused:
            return work(tx, actor, now)
        if kept is not None:
            raise AlreadySent((kept.body or b"/").decode())
        result = work(tx, actor, now)
        retries.keep(tx, actor, asked, now, _SEE_OTHER, leads_to(result).encode())
        return result

    return await gateway.write(form.writer, once)


def chosen(options: type[Choice], text: str | None) -> Choice | None:
    """The option that `text` names, or None."""
    try:
        return options(text or "")
    except ValueError:
        return None


def typed(text: str) -> str:
    """A text as it was typed: browsers send line breaks as CR LF (HTML, form submission)."""
    return text.replace("\r\n", "\n").strip()


def faults_of(error: Invalid | None) -> dict[str, str]:
    """The problems of `error` as sentences, by form field."""
    problems: tuple[Problem, ...] = () if error is None else error.problems
    return {one.field: sentence_of(one) for one in problems}


def id_in_path(request: Request, kind: Kind) -> int:
    """The id in the path. Raises NotFound if it is not a valid id."""
    found = read_id(request.path_params["id"])
    if found is None:
        raise NotFound(kind)
    return found


def page_number(request: Request) -> int:
    """The requested page of a list, from the query string. The default is the first."""
    return min(read_id(request.query_params.get("page", "")) or 1, _MOST_PAGES)


def whole_number(fields: Fields, name: str, most: int) -> int | None:
    """The whole number in a field, from 1 to `most`; None if the field is blank. Raises Invalid."""
    text = fields.get(name, "").strip()
    if not text:
        return None
    if (
        text.isascii()
        and text.isdigit()
        and len(text) < len(str(most)) + 1
        and 0 < int(text) <= most
    ):
        return int(text)
    raise Invalid([Problem(name, Fault.NOT_A_NUMBER, limit=most)])
