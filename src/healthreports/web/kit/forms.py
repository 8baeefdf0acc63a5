"""What a browser sent, read: the fields of a form, a choice, the id in a path, a page number."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from starlette.requests import Request

from healthreports.contract.failure import sentence_of
from healthreports.contract.params import read_id
from healthreports.core.errors import Fault, Invalid, NotFound, Problem
from healthreports.core.vocabulary import Kind
from healthreports.service.gateway import Admitted, Gateway
from healthreports.web.kit.session import read_form, secret_of

Fields = Mapping[str, str]
Choice = TypeVar("Choice", bound=StrEnum)

_MOST_PAGES: Final = 1_000_000


class SentForm(NamedTuple):
    """A form of a page of ours: who sent it, and its fields."""

    writer: Admitted
    fields: Fields


async def sent_form(gateway: Gateway, request: Request) -> SentForm:
    """The form that somebody who is signed in sent; a stranger's body is never read.

    Raises Unauthenticated, Forbidden, MalformedBody.
    """
    writer = await gateway.admit_writer(secret_of(request))
    return SentForm(writer, await read_form(request))


def chosen(options: type[Choice], text: str | None) -> Choice | None:
    """The option that `text` names, or None."""
    try:
        return options(text or "")
    except ValueError:
        return None


def demand_choice(options: type[Choice], fields: Fields, name: str) -> Choice:
    """The option that the field `name` names. Raises Invalid."""
    found = chosen(options, fields.get(name))
    if found is None:
        raise Invalid([Problem(name, Fault.NOT_IN, tuple(options))])
    return found


def typed(text: str) -> str:
    """A text as it was typed: browsers send the ends of lines as CR LF (HTML, form submission)."""
    return text.replace("\r\n", "\n").strip()


def faults_of(error: Invalid | None) -> dict[str, str]:
    """What is wrong, as a sentence, by the field of the form."""
    problems: tuple[Problem, ...] = () if error is None else error.problems
    return {one.field: sentence_of(one) for one in problems}


def id_in_path(request: Request, kind: Kind) -> int:
    """The id that the path names. Raises NotFound where it cannot be one."""
    found = read_id(request.path_params["id"])
    if found is None:
        raise NotFound(kind)
    return found


def page_number(request: Request) -> int:
    """Which page of a list the address asks for; the first where it names none."""
    return min(read_id(request.query_params.get("page", "")) or 1, _MOST_PAGES)
