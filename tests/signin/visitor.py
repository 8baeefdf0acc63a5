"""A simple browser for the tests of signing in: cookies, redirects, forms."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx

from conftest import Server

_SIGNED_IN = re.compile(r'<p class="note">(\S+@[^\s,]+),')


@dataclass
class Form:
    """A form of a page, with the values of its fields."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(values["action"]))
        elif tag == "input":
            self.found[-1].fields[values["name"]] = values.get("value", "")


def all_forms(page: httpx.Response) -> list[Form]:
    """The forms of a page, with absolute addresses."""
    reader = _Forms()
    reader.feed(page.text)
    return [Form(urljoin(str(page.url), one.action), one.fields) for one in reader.found]


def form_on(page: httpx.Response, action: str = "") -> Form:
    """The only form of a page, or the only one with that action."""
    [form] = [one for one in all_forms(page) if one.action.endswith(action)]
    return form


def browser(server: Server, address: str = "") -> httpx.Client:
    """A browser without cookies; a proxy reports `address` as its address."""
    return httpx.Client(
        base_url=server.base,
        headers={"x-forwarded-for": address} if address else {},
        follow_redirects=True,
        timeout=30,
        verify=False,
    )


def send_form(
    at: httpx.Client, page: httpx.Response, action: str = "", **fields: str
) -> httpx.Response:
    """Fill in a form of a page and send it."""
    form = form_on(page, action)
    return at.post(form.action, data=form.fields | fields)


def who_is_at(at: httpx.Client) -> str | None:
    """The e-mail address of the user who is signed in at a browser."""
    page = at.get("/account")
    if page.url.path == "/sign-in":
        return None
    signed_in = _SIGNED_IN.search(page.text)
    assert signed_in, page.text
    return signed_in[1]
