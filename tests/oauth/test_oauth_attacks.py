"""Attacks on OAuth: each attack of RFC 9700 that applies, and attacks on pages."""

import base64
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.cookies import SimpleCookie
from time import sleep
from typing import Any, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

import httpx
import pytest
from itsdangerous import TimestampSigner
from oauth_kit import (
    AUTHORIZE,
    CHALLENGE,
    INTROSPECT,
    PASSWORD,
    PKCE,
    REDIRECT,
    STATE,
    TOKEN,
    VERIFIER,
    App,
    Browser,
    Form,
    Site,
    assert_nowhere,
    assert_refused,
    forms_of,
    leads_to,
    query_of,
    serving,
    site_on,
)

from conftest import Server
from expect import assert_failure
from healthreports.app import now
from healthreports.core.vocabulary import Scope
from healthreports.service.auth import sign_in
from healthreports.service.auth.tokens import hash_of
from healthreports.service.people import members
from healthreports.web.kit.show import STATIC_FILES

OTHER_PASSWORD = "another horse battery"
CONFIDENTIAL = {"with a secret": True, "public": False}
either_kind = pytest.mark.parametrize("confidential", CONFIDENTIAL.values(), ids=CONFIDENTIAL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Replaces the shared server: on this one each browser has its own address."""
    with serving(tmp_path_factory.mktemp("attacks")) as running:
        yield running


@pytest.fixture(scope="module")
def site(server: Server) -> Iterator[Site]:
    with site_on(server) as made:
        yield made


@pytest.fixture
def own_site(server: Server) -> Iterator[Site]:
    """A site for one test, which may leave it in any state."""
    with site_on(server) as made:
        yield made


# Redirect manipulation (RFC 9700, 2.1 and 4.1)

MANIPULATED = {
    "a suffix": f"{REDIRECT}x",
    "a prefix": "https://app.example.org.evil.example/cb",
    "another host before it": "https://evil.example/https://app.example.org/cb",
    "another path": "https://app.example.org/evil",
    "a longer path": f"{REDIRECT}/evil",
    "a path back": f"{REDIRECT}/../evil",
    "a slash": f"{REDIRECT}/",
    "no path": "https://app.example.org",
    "a query": f"{REDIRECT}?to=evil",
    "an empty query": f"{REDIRECT}?",
    "a fragment": f"{REDIRECT}#evil",
    "an empty fragment": f"{REDIRECT}#",
    "another port": "https://app.example.org:8443/cb",
    "the same port, named": "https://app.example.org:443/cb",
    "another scheme": "http://app.example.org/cb",
    "a scheme in capitals": "HTTPS://app.example.org/cb",
    "a host in capitals": "https://APP.example.org/cb",
    "a path in capitals": "https://app.example.org/CB",
    "a path in escapes": "https://app.example.org/%63b",
    "a dot after the host": "https://app.example.org./cb",
    "a user": "https://evil@app.example.org/cb",
    "a user that looks like the host": "https://app.example.org@evil.example/cb",
    "a user that looks like a port": "https://app.example.org:443@evil.example/cb",
    "another host": "https://evil.example/cb",
    "a script": "javascript:alert(1)",
    "data": "data:text/html,evil",
    "a space": f"{REDIRECT} ",
    "a space before": f" {REDIRECT}",
    "a backslash": "https://evil.example\\@app.example.org/cb",
    "a quotation mark": f'{REDIRECT}"',
    "a line": f"{REDIRECT}\r\nLocation: https://evil.example",
    "a zero": f"{REDIRECT}\0",
    "a letter that looks like another": "https://\u0430pp.example.org/cb",
    "a list": f"{REDIRECT} https://evil.example/cb",
}


def ask_and_press(browser: Browser, address: str) -> list[httpx.Response]:
    """The answers to the authorization request, and to consent sent without asking the user."""
    return [browser.get(address), browser.post(address, decision="allow")]


@pytest.mark.parametrize("uri", MANIPULATED.values(), ids=MANIPULATED)
def test_no_browser_is_sent_to_a_manipulated_address(site: Site, uri: str) -> None:
    browser, app = site.person(), site.app()
    before = site.stored()
    for answer in ask_and_press(browser, app.address(redirect_uri=uri)):
        assert_nowhere(answer)
        assert AUTHORIZE not in {form.kind for form in forms_of(answer)}
        assert 'href="http' not in answer.text
    assert site.stored() == before


NAMELESS = {
    "none of two": (None, ("https://app.example.org/other",)),
    "a blank one of two": ("", ("https://app.example.org/other",)),
    "both at once": (
        f"{REDIRECT} https://app.example.org/other",
        ("https://app.example.org/other",),
    ),
}


@pytest.mark.parametrize(("uri", "others"), NAMELESS.values(), ids=NAMELESS)
def test_of_two_addresses_one_has_to_be_named(
    site: Site, uri: str | None, others: tuple[str, ...]
) -> None:
    app = site.app(REDIRECT, *others)
    for answer in ask_and_press(site.person(), app.address(redirect_uri=uri)):
        assert_nowhere(answer)


def test_an_address_of_another_application_is_not_ones_own(site: Site) -> None:
    site.app("https://app.example.org/other")
    address = site.app().address(redirect_uri="https://app.example.org/other")
    for answer in ask_and_press(site.person(), address):
        assert_nowhere(answer)


@pytest.mark.parametrize(
    "client_id",
    [None, "", "0" * 32, "\0", "é'\""],
    ids=["none", "a blank one", "an unknown one", "a zero", "not ASCII"],
)
def test_an_unknown_application_has_no_address(site: Site, client_id: str | None) -> None:
    for answer in ask_and_press(site.person(), site.app().address(client_id=client_id)):
        assert_nowhere(answer)


def test_an_application_without_an_address_asks_nobody(site: Site) -> None:
    app = site.app(acts_as="editor")
    with closing(sqlite3.connect(site.server.database)) as connection, connection:
        statement = "UPDATE oauth_applications SET redirect_uris = '' WHERE client_id = ?"
        connection.execute(statement, (app.client_id,))
    for uri in (REDIRECT, None, ""):
        for answer in ask_and_press(site.person(), app.address(redirect_uri=uri)):
            assert_nowhere(answer)


def test_what_the_form_says_beside_the_decision_does_not_count(site: Site) -> None:
    app, other = site.app(), site.app("https://evil.example/cb")
    changed = {"redirect_uri": "https://evil.example/cb", "client_id": other.client_id}
    answer = site.person().post(
        app.address(scope="read"), decision="allow", scope="write", **changed
    )
    back = leads_to(answer)
    assert back.startswith(f"{REDIRECT}?")
    assert app.exchange(query_of(back)["code"]).json()["scope"] == "read"


EXCHANGED_ELSEWHERE = {
    "another": "https://app.example.org/other",
    "unknown": "https://evil.example/cb",
    "none": None,
    "blank": "",
}


# RFC 6749, 4.1.3
@pytest.mark.parametrize("uri", EXCHANGED_ELSEWHERE.values(), ids=EXCHANGED_ELSEWHERE)
def test_a_code_is_exchanged_for_the_address_it_was_sent_to(site: Site, uri: str | None) -> None:
    app = site.app(REDIRECT, "https://app.example.org/other")
    code = app.code(site.person())
    assert_refused(app.exchange(code, redirect_uri=uri), "invalid_grant")


# Errors are reported to the application, with the issuer (RFC 9207) and the state

TOLD = {
    "an implicit grant": ({"response_type": "token"}, "unsupported_response_type"),
    "a hybrid": ({"response_type": "code token"}, "unsupported_response_type"),
    "a quotation mark for a response": ({"response_type": '"'}, "unsupported_response_type"),
    "a backslash for a response": ({"response_type": "\\"}, "unsupported_response_type"),
    "a response not in ASCII": ({"response_type": "é"}, "unsupported_response_type"),
    "an unknown scope": ({"scope": "read admin"}, "invalid_scope"),
    "a scope in capitals": ({"scope": "READ"}, "invalid_scope"),
    "a scope in quotation marks": ({"scope": '"read"'}, "invalid_scope"),
    "a scope not in ASCII": ({"scope": "é"}, "invalid_scope"),
    "plain": ({**PKCE, "code_challenge_method": "plain"}, "invalid_request"),
    "no method": ({**PKCE, "code_challenge_method": None}, "invalid_request"),
    "a blank method": ({**PKCE, "code_challenge_method": ""}, "invalid_request"),
    "an unknown method": ({**PKCE, "code_challenge_method": "S512"}, "invalid_request"),
    "a method in small letters": ({**PKCE, "code_challenge_method": "s256"}, "invalid_request"),
    "a method alone": ({**PKCE, "code_challenge": None}, "invalid_request"),
    "a short challenge": ({**PKCE, "code_challenge": CHALLENGE[:-1]}, "invalid_request"),
    "a long challenge": ({**PKCE, "code_challenge": CHALLENGE * 3}, "invalid_request"),
    "a challenge that is none": ({**PKCE, "code_challenge": '"' * 43}, "invalid_request"),
}


@pytest.mark.parametrize(("changed", "error"), TOLD.values(), ids=TOLD)
@either_kind
def test_an_application_is_told_what_it_did_wrong(
    site: Site, changed: dict[str, str | None], error: str, *, confidential: bool
) -> None:
    browser, app = site.person(), site.app(confidential=confidential)
    before = site.stored()
    for answer in ask_and_press(browser, app.address(**changed)):
        back = leads_to(answer)
        assert back.startswith(f"{REDIRECT}?")
        told = query_of(back)
        assert told.pop("error_description", "")
        assert told == {"error": error, "state": STATE, "iss": site.server.base}
    assert site.stored() == before


def test_an_application_that_may_read_does_not_get_to_write(site: Site) -> None:
    app = site.app(scopes=frozenset({Scope.READ}))
    for answer in ask_and_press(site.person(), app.address(scope="write")):
        assert query_of(leads_to(answer))["error"] == "invalid_scope"


def test_a_refresh_widens_nothing(site: Site) -> None:
    app = site.app()
    given = app.granted(site.person(), scope="read")
    assert_refused(app.refresh(given["refresh_token"], scope="read write"), "invalid_scope")


@either_kind
def test_a_refusal_is_told_to_the_application(site: Site, *, confidential: bool) -> None:
    browser, app = site.person(), site.app(confidential=confidential)
    before = site.stored()
    told = query_of(browser.deny(app.address()))
    assert told.pop("error_description", "")
    assert told == {"error": "access_denied", "state": STATE, "iss": site.server.base}
    assert site.stored() == before


@either_kind
def test_a_code_comes_with_its_issuer(site: Site, *, confidential: bool) -> None:
    app = site.app(confidential=confidential)
    told = query_of(site.person().consent(app.address()))
    assert told.pop("code")
    assert told == {"state": STATE, "iss": site.server.base}


@pytest.mark.parametrize("decision", ["", "deny", "ALLOW", "yes"])
def test_only_allow_allows(site: Site, decision: str) -> None:
    answer = site.person().decide(site.app().address(), decision)
    assert query_of(leads_to(answer))["error"] == "access_denied"


REPEATED = (
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "anything",
)


# RFC 6749, 3.1
@pytest.mark.parametrize("name", REPEATED)
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_no_parameter_is_asked_with_twice(site: Site, name: str, *, first: bool) -> None:
    address = site.app().address(**PKCE, anything="x")
    evil = urlencode({name: "https://evil.example/cb"})
    path, _, query = address.partition("?")
    pairs = [evil, query] if first else [query, evil]
    for answer in ask_and_press(site.person(), f"{path}?{'&'.join(pairs)}"):
        assert_nowhere(answer)


# Codes (RFC 9700, 2.1.1 and 4.5)


@either_kind
def test_a_code_works_once(site: Site, *, confidential: bool) -> None:
    app = site.app(confidential=confidential)
    code = app.code(site.person())
    first = app.exchange(code).json()
    second = app.refresh(first["refresh_token"]).json()
    assert site.works(first["access_token"])
    assert site.works(second["access_token"])
    assert_refused(app.exchange(code), "invalid_grant")
    assert not site.works(first["access_token"])
    assert not site.works(second["access_token"])
    assert_refused(app.refresh(second["refresh_token"]), "invalid_grant")


@pytest.mark.race
def test_of_many_who_come_with_a_code_at_once_one_gets_a_token(site: Site) -> None:
    app = site.app()
    code = app.code(site.person())
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: app.exchange(code), range(8)))
    [given] = [one.json() for one in answers if one.status_code == 200]
    assert {one.json().get("error") for one in answers} == {None, "invalid_grant"}
    assert not site.works(given["access_token"])


AGES = {"just in time": (290, 200), "too late": (300, 400), "much too late": (3600, 400)}


@pytest.mark.parametrize(("seconds", "status"), AGES.values(), ids=AGES)
def test_a_code_works_for_five_minutes(site: Site, seconds: int, status: int) -> None:
    app = site.app()
    code = app.code(site.person())
    site.age("oauth_grants", "code_expires_at", code, seconds)
    assert app.exchange(code).status_code == status


def test_a_guess_is_not_a_code(site: Site) -> None:
    app = site.app()
    code = app.code(site.person())
    for guess in (code[:-1], code + "A", code.swapcase(), hash_of(code), f"{code}\0", "*", "%"):
        assert_refused(app.exchange(guess), "invalid_grant")
    assert app.exchange(code).status_code == 200


THIEVES = {
    "one with a secret": {"confidential": True},
    "a public one": {"confidential": False},
}


@pytest.mark.parametrize("thief", THIEVES.values(), ids=THIEVES)
@either_kind
def test_a_code_is_nothing_in_other_hands(
    site: Site, thief: dict[str, bool], *, confidential: bool
) -> None:
    app, other = site.app(confidential=confidential), site.app(**thief)
    code = app.code(site.person())
    for verifier in (None, VERIFIER):
        answer = other.exchange(code, code_verifier=verifier, redirect_uri=app.redirect_uri)
        assert_refused(answer, "invalid_grant")
    assert site.works(app.exchange(code).json()["access_token"])


def test_a_name_alone_does_not_exchange_a_code(site: Site) -> None:
    app, other = site.app(), site.app()
    code = app.code(site.person())
    sent = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
    named = {**sent, "client_id": app.client_id}
    assert site.program.post(TOKEN, data=named).json()["error"] == "invalid_client"
    answer = site.program.post(TOKEN, data=named, auth=(other.client_id, other.secret or ""))
    assert "access_token" not in answer.json()
    assert app.exchange(code).status_code == 200


# PKCE downgrade (RFC 9700, 2.1.1 and 4.8)


def test_an_application_without_a_secret_needs_a_challenge(site: Site) -> None:
    app = site.app(confidential=False)
    nothing = {"code_challenge": None, "code_challenge_method": None}
    for answer in ask_and_press(site.person(), app.address(**nothing)):
        told = query_of(leads_to(answer))
        assert told["error"] == "invalid_request"
        assert told["iss"] == site.server.base
        assert "code" not in told


def test_a_verifier_without_a_challenge_is_refused(site: Site) -> None:
    app = site.app()
    code = app.code(site.person())
    answer = app.exchange(code, code_verifier=VERIFIER)
    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_request", "invalid_grant")


BAD_VERIFIERS = {
    "none": None,
    "a blank one": "",
    "a wrong one": VERIFIER[::-1],
    "another case": VERIFIER.swapcase(),
    "a start": VERIFIER[:-1],
    "the challenge": CHALLENGE,
    "a line more": f"{VERIFIER}\n",
    "a short one": "x",
    "a long one": VERIFIER * 3,
    "not ASCII": "é" * 43,
}


@pytest.mark.parametrize("verifier", BAD_VERIFIERS.values(), ids=BAD_VERIFIERS)
@either_kind
def test_without_its_verifier_a_code_is_nothing(
    site: Site, verifier: str | None, *, confidential: bool
) -> None:
    app = site.app(confidential=confidential)
    code = app.code(site.person(), **PKCE)
    answer = app.exchange(code, code_verifier=verifier)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] in ("invalid_request", "invalid_grant")
    assert "access_token" not in answer.json()


# Refresh tokens (RFC 9700, 2.2.2 and 4.14)


@either_kind
def test_a_refresh_token_used_twice_ends_everything(site: Site, *, confidential: bool) -> None:
    app = site.app(confidential=confidential)
    first = app.granted(site.person())
    second = app.refresh(first["refresh_token"]).json()
    assert site.works(second["access_token"])
    assert_refused(app.refresh(first["refresh_token"]), "invalid_grant")
    assert_refused(app.refresh(second["refresh_token"]), "invalid_grant")
    assert not site.works(first["access_token"])
    assert not site.works(second["access_token"])


def test_one_grant_ended_leaves_another(site: Site) -> None:
    app = site.app()
    one, other = app.granted(site.person()), app.granted(site.person())
    app.refresh(one["refresh_token"])
    assert_refused(app.refresh(one["refresh_token"]), "invalid_grant")
    assert site.works(app.refresh(other["refresh_token"]).json()["access_token"])


@pytest.mark.race
def test_of_many_who_refresh_at_once_one_gets_a_token(site: Site) -> None:
    app = site.app()
    token = app.granted(site.person())["refresh_token"]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: app.refresh(token), range(8)))
    [given] = [one.json() for one in answers if one.status_code == 200]
    assert not site.works(given["access_token"])
    assert_refused(app.refresh(given["refresh_token"]), "invalid_grant")


@pytest.mark.parametrize("thief", THIEVES.values(), ids=THIEVES)
@either_kind
def test_a_refresh_token_is_nothing_in_other_hands(
    site: Site, thief: dict[str, bool], *, confidential: bool
) -> None:
    app, other = site.app(confidential=confidential), site.app(**thief)
    token = app.granted(site.person())["refresh_token"]
    assert_refused(other.refresh(token), "invalid_grant")
    assert site.works(app.refresh(token).json()["access_token"])


def test_a_refresh_needs_the_secret(site: Site) -> None:
    app = site.app()
    token = app.granted(site.person())["refresh_token"]
    bare = App(site.program, app.client_id, None, app.redirect_uri)
    assert bare.refresh(token).json()["error"] == "invalid_client"
    assert app.refresh(token).status_code == 200


DAY_S = 24 * 60 * 60


def test_a_refresh_token_ends_when_it_is_not_used(site: Site) -> None:
    app = site.app()
    for days, status in ((89, 200), (90, 400)):
        token = app.granted(site.person())["refresh_token"]
        site.age("oauth_refresh_tokens", "expires_at", token, days * DAY_S)
        assert app.refresh(token).status_code == status


def test_an_access_token_works_for_two_hours(site: Site) -> None:
    token = site.app().granted(site.person())["access_token"]
    site.age("tokens", "expires_at", token, 2 * 60 * 60 - 10)
    assert site.works(token)
    site.age("tokens", "expires_at", token, 10)
    assert not site.works(token)


# Secrets in addresses (RFC 9700, 4.3; RFC 6749, 2.3.1; RFC 6750, 5.3)

UNREAD: dict[str, Callable[[str], dict]] = {
    "in the address": lambda token: {"params": {"access_token": token}},
    "in the address, by another name": lambda token: {"params": {"token": token}},
    "in a form": lambda token: {"data": {"access_token": token}},
    "in JSON": lambda token: {"json": {"access_token": token}},
    "in a cookie": lambda token: {"headers": {"cookie": f"access_token={token}"}},
    "as Basic": lambda token: {"auth": ("token", token)},
}


@pytest.mark.parametrize("sent", UNREAD.values(), ids=UNREAD)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_token_is_read_in_its_header_only(
    site: Site, sent: Callable[[str], dict], method: str
) -> None:
    token = site.app().granted(site.person())["access_token"]
    assert site.works(token)
    answer = site.program.request(method, "/api/v1/status_reports", **sent(token))
    assert_failure(answer, 401, "oauth")


def test_nothing_is_read_in_the_address_of_the_token_endpoint(site: Site) -> None:
    app = site.app()
    code = app.code(site.person())
    client = {"client_id": app.client_id, "client_secret": app.secret or ""}
    wanted = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
    auth = (app.client_id, app.secret or "")
    nothing = {"content-type": "application/x-www-form-urlencoded"}
    everything = site.program.post(TOKEN, params={**client, **wanted}, headers=nothing)
    secret = site.program.post(TOKEN, params=client, data=wanted)
    only_code = site.program.post(
        TOKEN,
        params={"code": code},
        data={**wanted, "code": ""},
        auth=auth,
    )
    assert everything.status_code == 400
    assert_refused(secret, "invalid_client", secret.status_code)
    assert_refused(only_code, "invalid_request")
    assert app.exchange(code).status_code == 200


def test_a_secret_in_the_address_introspects_nothing(site: Site) -> None:
    app = site.app()
    token = app.granted(site.person())["access_token"]
    client = {"client_id": app.client_id, "client_secret": app.secret or ""}
    answer = site.program.post(INTROSPECT, params=client, data={"token": token})
    assert_refused(answer, "invalid_client", answer.status_code)
    assert app.call(f"{INTROSPECT}?token={token}", token="hr_x").json() == {"active": False}


HEADERS = {
    "no value": "Basic",
    "not base 64": "Basic !!!",
    "half of base 64": "Basic QQ",
    "not UTF-8": f"Basic {base64.b64encode(bytes([0xFF, 0x3A, 0xFF])).decode()}",
    "not ASCII": b"Basic \xe9",
    "no colon": f"Basic {base64.b64encode(b'abc').decode()}",
    "a zero": f"Basic {base64.b64encode(bytes(3)).decode()}",
    "a long one": f"Basic {'QUFB' * 2000}",
    "another scheme": "Digest username=x",
}


# RFC 6749, 5.2
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_nonsense_does_not_prove_who_a_client_is(site: Site, header: str | bytes) -> None:
    sent = {"grant_type": "client_credentials"}
    answer = site.program.post(TOKEN, data=sent, headers={b"authorization": header})
    assert answer.status_code in (400, 401), answer.text
    assert answer.json()["error"] in ("invalid_client", "invalid_request")


# Accounts and people


def said(answer: httpx.Response) -> str:
    """The text of a page without its CSRF tokens, which differ for each session."""
    return re.sub(r'name="csrf" value="[^"]*"', "", answer.text)


def test_an_application_of_another_account_is_not_there(site: Site, own_site: Site) -> None:
    theirs = own_site.app()
    nobodys = App(site.program, "0" * 32, "x", REDIRECT)
    asked = ask_and_press(site.person(), theirs.address())
    for answer, nothing in zip(asked, ask_and_press(site.person(), nobodys.address()), strict=True):
        assert_nowhere(answer)
        assert said(answer) == said(nothing)


def test_an_application_of_another_account_is_not_revoked(site: Site, own_site: Site) -> None:
    theirs = own_site.app(name="Of others")
    assert "Of others" not in site.person().get("/account/applications").text
    address = f"/account/applications/{theirs.client_id}/revoke"
    assert leads_to(site.person().post(address)) == "/account/applications"
    assert theirs.granted(own_site.person())["access_token"]


def test_no_application_acts_as_a_user_of_another_account(site: Site, own_site: Site) -> None:
    browser, told = site.person(), []
    before = site.stored()
    for email in (own_site.account.users["editor"].email_address, "nobody@example.org"):
        sent = {"name": "Spy", "acts_as": email}
        answer = browser.post("/account/applications", **sent)
        assert answer.status_code == 422
        told.append(re.findall(r"<p>(.*?)</p>", answer.text)[0])
    assert told[0] == told[1]
    assert site.stored() == before


def test_only_an_administrator_has_to_do_with_applications(site: Site) -> None:
    app, browser = site.app(acts_as="editor"), site.person("editor")
    sent = {"name": "Mine", "redirect_uris": REDIRECT, "acts_as": site.email("administrator")}
    before = site.stored()
    assert_nowhere(browser.get("/account/applications"), 403)
    assert_nowhere(browser.post("/account/applications", **sent), 403)
    assert_nowhere(browser.post(f"/account/applications/{app.client_id}/revoke"), 403)
    assert site.stored() == before


def test_nobody_ends_what_is_of_another_user(site: Site) -> None:
    site.app().granted(site.person())
    actions = [
        one.action
        for page in ("/account", "/developers")
        for one in forms_of(site.person().get(page))
    ]
    ending = [one for one in actions if one.endswith("/revoke")]
    assert {Form(one, {}).kind for one in ending} == {
        "/developers/tokens/{}/revoke",
        "/account/grants/{}/revoke",
    }
    browser = site.person("editor")
    before = site.stored()
    for action in ending:
        assert leads_to(browser.post(action)) in ("/account", "/developers")
    assert site.stored() == before


def test_a_user_does_not_end_what_an_administrator_registered(site: Site) -> None:
    app, browser = site.app(acts_as="editor"), site.person("editor")
    token = app.act_by_itself().json()["access_token"]
    newest = max(row[0] for row in site.stored()["oauth_grants"])
    assert leads_to(browser.post(f"/account/grants/{newest}/revoke")) == "/account"
    assert site.works(token)


@pytest.mark.parametrize("kind", ["tokens", "grants", "applications"])
@pytest.mark.parametrize("name", ["0", "-1", "x", "9" * 30, "%C3%A9", "%00", "1%2f2"])
def test_nothing_ends_that_is_not_there(site: Site, kind: str, name: str) -> None:
    browser = site.person()
    before = site.stored()
    assert browser.post(f"/account/{kind}/{name}/revoke").status_code in (303, 404)
    assert site.stored() == before


class Held(NamedTuple):
    """The access that an application and a user in a browser have until it is ended."""

    site: Site
    browser: Browser
    app: App
    code: str
    given: dict[str, Any]
    own_token: str


def held_by(site: Site) -> Held:
    app, browser = site.app(acts_as="editor"), site.person("editor")
    given = app.granted(browser)
    own_token = app.act_by_itself().json()["access_token"]
    return Held(site, browser, app, app.code(browser), given, own_token)


WORKS: dict[str, Callable[[Held], bool]] = {
    "access token": lambda held: held.site.works(held.given["access_token"]),
    "introspection": lambda held: (
        held.app.call(INTROSPECT, token=held.given["access_token"]).json().get("active", False)
    ),
    "refresh token": lambda held: held.app.refresh(held.given["refresh_token"]).status_code == 200,
    "code": lambda held: held.app.exchange(held.code).status_code == 200,
    "own token": lambda held: held.site.works(held.own_token),
    "client credentials": lambda held: held.app.act_by_itself().status_code == 200,
    "consent": lambda held: held.browser.get(held.app.address()).status_code == 200,
    "session": lambda held: held.browser.is_signed_in(),
    "personal token": lambda held: held.site.works(held.site.account.secrets["editor"]),
}


def leave_it(_held: Held) -> None:
    pass


def revoke_application(held: Held) -> None:
    answer = held.site.person().post(f"/account/applications/{held.app.client_id}/revoke")
    assert leads_to(answer) == "/account/applications"


def take_back(held: Held) -> None:
    forms = forms_of(held.browser.get("/account"))
    [form] = [one for one in forms if one.kind == "/account/grants/{}/revoke"]
    assert leads_to(held.browser.post(form.action)) == "/account"


def disable(held: Held) -> None:
    user = held.site.account.users["editor"]
    held.site.database.write_here(lambda tx: members.disable(tx, user, now(), disabled=True))


def set_password(held: Held) -> None:
    user = held.site.account.users["editor"]
    held.site.database.write_here(lambda tx: sign_in.set_password(tx, user, OTHER_PASSWORD, now()))


def sign_out(held: Held) -> None:
    assert leads_to(held.browser.post("/sign-out")) == "/sign-in"


APPLICATION = {
    "access token",
    "introspection",
    "refresh token",
    "code",
    "own token",
    "client credentials",
    "consent",
}
ENDINGS: dict[str, tuple[Callable[[Held], None], set[str]]] = {
    "nothing": (leave_it, set()),
    "the application is revoked": (revoke_application, APPLICATION),
    "the user takes it back": (take_back, {"access token", "introspection", "refresh token"}),
    "the user is disabled": (disable, set(WORKS)),
    "the user gets another password": (set_password, set(WORKS) - {"client credentials"}),
    "the user signs out": (sign_out, {"session", "consent"}),
}


@pytest.mark.parametrize(("end", "ended"), ENDINGS.values(), ids=ENDINGS)
def test_what_is_ended_stops_and_nothing_else(
    own_site: Site, end: Callable[[Held], None], ended: set[str]
) -> None:
    held = held_by(own_site)
    end(held)
    assert {name for name, works in WORKS.items() if not works(held)} == ended


# RFC 6749, 5.2
def test_an_application_is_told_that_a_disabled_user_gives_nothing(own_site: Site) -> None:
    held = held_by(own_site)
    disable(held)
    assert_refused(held.app.exchange(held.code), "invalid_grant")
    assert_refused(held.app.refresh(held.given["refresh_token"]), "invalid_grant")
    assert_refused(held.app.act_by_itself(), "unauthorized_client")


def test_a_disabled_user_does_not_sign_in(own_site: Site) -> None:
    email = own_site.email("editor")
    disable(held_by(own_site))
    browser = own_site.browser()
    assert browser.sign_in(email).status_code == 401
    assert not browser.is_signed_in()


# CSRF (RFC 9700, 4.7)

TYPED = {
    "/sign-in": {"password": PASSWORD},
    "/sign-out": {},
    "/developers/tokens": {"name": "Mine"},
    "/developers/tokens/{}/revoke": {},
    "/account/grants/{}/revoke": {},
    "/account/password": {"old_password": PASSWORD, "password": OTHER_PASSWORD},
    "/account/profile": {"full_name": "Another name", "headline": "Counts bridges"},
    "/account/address/want": {"email_address": "another@example.org"},
    "/account/applications": {"name": "Mine", "redirect_uris": REDIRECT},
    "/account/applications/{}/revoke": {},
    AUTHORIZE: {"decision": "allow"},
}
every_form = pytest.mark.parametrize("kind", TYPED)


class Desk:
    """Each form of each page, and the browser that shows it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        app, stranger, somebody = site.app(), site.browser(), site.person()
        app.granted(somebody)
        self.browsers: dict[str, Browser] = {}
        self.forms: dict[str, Form] = {}
        for browser, path in (
            (stranger, "/sign-in"),
            (somebody, "/account"),
            (somebody, "/developers"),
            (somebody, "/account/applications"),
            (somebody, app.address()),
        ):
            for form in forms_of(browser.get(path)):
                self.browsers[form.kind] = browser
                self.forms[form.kind] = form

    def filled(self, kind: str) -> dict[str, str]:
        typed = {**self.forms[kind].fields, **TYPED[kind]}
        return typed | (
            {"email_address": self.site.email("administrator")} if "next" in typed else {}
        )

    def send(self, kind: str, browser: Browser, fields: dict[str, str]) -> httpx.Response:
        return browser.http.post(self.forms[kind].action, data=fields)


@pytest.fixture(scope="module")
def desk(site: Site) -> Desk:
    return Desk(site)


def test_these_are_all_forms(desk: Desk) -> None:
    assert set(desk.forms) == set(TYPED)
    assert all(len(form.fields["csrf"]) == 43 for form in desk.forms.values())


# The forms that are answered with a page that shows the result; the others redirect.
SHOWING = ("/developers/tokens", "/account/password", "/account/profile", "/account/applications")


# RFC 9700, 4.12: after 303 a browser does not send the form to the next address.
@every_form
def test_a_form_with_its_proof_does_what_it_says(own_site: Site, kind: str) -> None:
    desk = Desk(own_site)
    before = own_site.stored()
    answer = desk.send(kind, desk.browsers[kind], desk.filled(kind))
    assert answer.status_code == (200 if kind in SHOWING else 303)
    assert_kept_to_itself(answer)
    assert own_site.stored() != before


PROOFS: dict[str, Callable[[Site, str], dict[str, str]]] = {
    "none": lambda _site, _right: {},
    "a blank one": lambda _site, _right: {"csrf": ""},
    "a wrong one": lambda _site, right: {"csrf": right[::-1]},
    "a start": lambda _site, right: {"csrf": right[:-1]},
    "one not in ASCII": lambda _site, right: {"csrf": f"{right[:-1]}é"},
    "one of another user": lambda site, _right: {"csrf": site.person("editor").proof()},
    "one of nobody": lambda site, _right: {"csrf": site.browser().proof()},
}


@every_form
@pytest.mark.parametrize("proof", PROOFS.values(), ids=PROOFS)
def test_a_form_without_its_proof_does_nothing(
    desk: Desk, kind: str, proof: Callable[[Site, str], dict[str, str]]
) -> None:
    fields = desk.filled(kind)
    sent = proof(desk.site, fields.pop("csrf"))
    before = desk.site.stored()
    assert_nowhere(desk.send(kind, desk.browsers[kind], fields | sent), 403)
    assert desk.site.stored() == before
    assert desk.browsers[kind].is_signed_in() == (kind != "/sign-in")


@every_form
def test_a_form_without_its_session_does_nothing(desk: Desk, kind: str) -> None:
    fields = desk.filled(kind)
    before = desk.site.stored()
    answer = desk.send(kind, desk.site.browser(), fields)
    if kind in ("/sign-in", "/sign-out", "/welcome"):  # these need no session
        assert_nowhere(answer, 403)
    else:
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in?expired=yes")
    assert desk.site.stored() == before


@every_form
def test_following_a_link_does_nothing(desk: Desk, kind: str) -> None:
    fields = desk.filled(kind)
    before = desk.site.stored()
    address = desk.forms[kind].action
    address += f"{'&' if '?' in address else '?'}{urlencode(fields)}"
    assert desk.browsers[kind].get(address).status_code in (200, 303, 405)
    assert desk.site.stored() == before
    assert desk.browsers[kind].is_signed_in() == (kind != "/sign-in")


# Pages

PAGES: dict[str, Callable[[Site], httpx.Response]] = {
    "signing in": lambda site: site.browser().get("/sign-in"),
    "signing in again": lambda site: site.browser().sign_in("nobody@example.org"),
    "one's own": lambda site: site.person().get("/account"),
    "developers": lambda site: site.person().get("/developers"),
    "a new token": lambda site: site.person().post("/developers/tokens", name="x"),
    "a nameless token": lambda site: site.person().post("/developers/tokens", name=""),
    "applications": lambda site: site.person().get("/account/applications"),
    "a new application": lambda site: site.person().post(
        "/account/applications", name="x", redirect_uris=REDIRECT
    ),
    "the question": lambda site: site.person().get(site.app().address()),
    "no such client": lambda site: site.person().get(AUTHORIZE),
    "not allowed": lambda site: site.person("editor").get("/account/applications"),
    "no proof": lambda site: site.browser().http.post("/sign-in"),
}


def assert_kept_to_itself(answer: httpx.Response) -> None:
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in answer.headers


def policy_of(answer: httpx.Response) -> dict[str, list[str]]:
    parts = answer.headers["content-security-policy"].split(";")
    return {words[0]: words[1:] for words in map(str.split, parts)}


# RFC 9700, 4.16 (clickjacking), 4.2.4 (referrers), 2.6 (no CORS)
@pytest.mark.parametrize("made", PAGES.values(), ids=PAGES)
def test_a_page_stays_in_its_window(site: Site, made: Callable[[Site], httpx.Response]) -> None:
    answer = made(site)
    assert answer.headers["content-type"].startswith("text/html")
    assert_kept_to_itself(answer)
    policy = policy_of(answer)
    assert policy["frame-ancestors"] == ["'none'"]
    assert policy["base-uri"] == ["'none'"]
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == policy["connect-src"] == ["'self'"]
    assert policy["form-action"][0] == "'self'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert SCRIPT.findall(answer.text) == OUR_SCRIPTS


def test_only_the_question_leads_a_form_elsewhere(site: Site) -> None:
    question = policy_of(site.person().get(site.app().address()))
    assert question["form-action"][:2] == ["'self'", "https://app.example.org"]
    assert policy_of(site.person().get("/account"))["form-action"] == ["'self'"]


def test_no_other_site_reads_the_question(site: Site) -> None:
    headers = {"origin": "https://evil.example"}
    answer = site.person().get(site.app().address(), headers=headers)
    assert answer.status_code == 200
    assert_kept_to_itself(answer)
    asked = {**headers, "access-control-request-method": "POST"}
    answer = site.program.request("OPTIONS", AUTHORIZE, headers=asked)
    assert "access-control-allow-origin" not in answer.headers


SCRIPT = re.compile(r"<script\b[^>]*>", re.IGNORECASE)
OUR_SCRIPTS = [f'<script src="/static/pages.js?v={STATIC_FILES["pages.js"]}" defer>']
TAG = "<script>alert(1)</script>"
WRITTEN: dict[str, Callable[[Site], httpx.Response]] = {
    "the name of an application": lambda site: site.person().get(site.app(name=TAG).address()),
    "the name in the list": lambda site: site.person().post(
        "/account/applications", name=TAG, redirect_uris=REDIRECT
    ),
    "the name of a token": lambda site: site.person().post("/developers/tokens", name=TAG),
    "an address that is wrong": lambda site: site.person().post(
        "/account/applications", name="x", redirect_uris=TAG
    ),
    "an e-mail address": lambda site: site.browser().sign_in(TAG),
}


@pytest.mark.parametrize("made", WRITTEN.values(), ids=WRITTEN)
def test_what_others_write_is_text(site: Site, made: Callable[[Site], httpx.Response]) -> None:
    page = made(site).text
    assert SCRIPT.findall(page) == OUR_SCRIPTS
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_question_is_not_written_by_who_asks(site: Site) -> None:
    address = f'{site.app().address()}&x="><script>alert(1)</script>'
    page = site.person().get(address)
    assert page.status_code == 200
    assert SCRIPT.findall(page.text) == OUR_SCRIPTS
    [form] = [one for one in forms_of(page) if one.kind == AUTHORIZE]
    assert "x=" in form.action


# Open redirects (RFC 9700, 4.11)

ELSEWHERE = {
    "another host": "https://evil.example/",
    "two slashes": "//evil.example",
    "three slashes": "///evil.example",
    "four slashes": "////evil.example",
    "a backslash": "/\\evil.example",
    "two backslashes": "\\\\evil.example",
    "a backslash first": "\\/evil.example",
    "a scheme without slashes": "https:evil.example",
    "a scheme with one slash": "https:/evil.example",
    "a script": "javascript:alert(1)",
    "data": "data:text/html,evil",
    "a user": "@evil.example",
    "a longer host": ".evil.example",
    "a name": "evil.example",
    "a tab": "/\t/evil.example",
    "a line": "/\n/evil.example",
    "a space first": " //evil.example",
    "a header": "/account\r\nLocation: https://evil.example",
    "a header in escapes": "/%0d%0aLocation:%20https://evil.example",
    "slashes in escapes": "%2f%2fevil.example",
    "a slash in escapes": "/%2fevil.example",
    "a backslash in escapes": "/%5cevil.example",
    "a path back": "/..//evil.example",
    "a zero": "/\0/evil.example",
    "a slash not in ASCII": "/\uff0fevil.example",
    "nothing": "",
}


def assert_at_home(site: Site, address: str) -> None:
    """A browser that follows `address` from one of our pages stays on our server."""
    # By the URL Standard, control characters are dropped and a backslash is a slash.
    seen = re.sub(r"[\t\r\n]", "", address.strip("\0\t\r\n ")).replace("\\", "/")
    reached = urlsplit(urljoin(f"{site.server.base}/sign-in", seen))
    assert f"{reached.scheme}://{reached.netloc}" == site.server.base, address


@pytest.mark.parametrize("wanted", ELSEWHERE.values(), ids=ELSEWHERE)
def test_signing_in_leads_to_no_other_host(site: Site, wanted: str) -> None:
    browser = site.browser()
    [form] = forms_of(browser.get("/sign-in", params={"next": wanted}))
    assert_at_home(site, form.fields["next"])
    assert_at_home(site, leads_to(browser.sign_in(site.email("administrator"), next=wanted)))
    assert_at_home(site, leads_to(browser.get("/sign-in", params={"next": wanted})))


@pytest.mark.parametrize("wanted", ["//evil.example", "/\\evil.example", "https://evil.example"])
def test_a_second_attempt_leads_to_no_other_host(site: Site, wanted: str) -> None:
    [form] = forms_of(site.browser().sign_in("nobody@example.org", next=wanted))
    assert_at_home(site, form.fields["next"])


@pytest.mark.parametrize("wanted", ["/account/applications", "/oauth/authorize?a=b%20c&d=e"])
def test_signing_in_leads_to_the_page_that_was_wanted(site: Site, wanted: str) -> None:
    browser = site.browser()
    [form] = forms_of(browser.get("/sign-in", params={"next": wanted}))
    assert form.fields["next"] == wanted
    assert leads_to(browser.sign_in(site.email("administrator"), next=wanted)) == wanted


# Sessions


def test_a_session_begins_when_somebody_signs_in(site: Site) -> None:
    browser, thief = site.browser(), site.browser()
    proof = thief.proof()
    planted = thief.cookie
    browser.bears(planted)
    assert leads_to(browser.sign_in(site.email("administrator"))) == "/"
    assert browser.cookie != planted
    assert browser.is_signed_in()
    assert not thief.bears(planted).is_signed_in()
    assert browser.proof() != proof


def test_a_session_planted_by_who_signed_in_before_is_not_kept(site: Site) -> None:
    thief = site.sign_in("editor")
    browser = site.browser().bears(thief.cookie)
    signed_in = {"email_address": site.email("administrator"), "password": PASSWORD}
    assert leads_to(browser.post("/sign-in", **signed_in)) == "/"
    assert "The administrator" in browser.get("/account").text
    assert "The administrator" not in thief.get("/account").text


def cookie_of(answer: httpx.Response) -> Any:
    [header] = answer.headers.get_list("set-cookie")
    [morsel] = SimpleCookie(header).values()
    return morsel


def test_no_script_and_no_other_site_gets_at_the_cookie(site: Site) -> None:
    browser = site.browser()
    before = cookie_of(browser.get("/sign-in"))
    after = cookie_of(browser.sign_in(site.email("administrator")))
    for cookie in (before, after):
        assert cookie.key == "healthreports"
        assert cookie["httponly"] is True
        assert cookie["samesite"].lower() == "lax"
        assert cookie["path"] == "/"
        assert not cookie["domain"]


def test_over_https_the_cookie_is_bound_to_the_host(own_server: Callable[..., Server]) -> None:
    origin = "https://reports.example.org"
    with site_on(own_server(HEALTHREPORTS_PUBLIC_URL=origin)) as site:
        page = site.program.get("/sign-in")
        before = cookie_of(page)
        [form, *_] = forms_of(page)
        typed = {"email_address": site.email("administrator"), "password": PASSWORD}
        headers = {"cookie": f"{before.key}={before.value}"}
        after = cookie_of(site.program.post("/sign-in", data=form.fields | typed, headers=headers))
        for cookie in (before, after):
            assert cookie.key == "__Host-healthreports"
            assert cookie["secure"] is True
            assert cookie["httponly"] is True
            assert cookie["path"] == "/"
            assert not cookie["domain"]
        headers = {"cookie": f"{after.key}={after.value}"}
        answer = site.program.get(site.app().address(scope="x"), headers=headers)
        assert query_of(leads_to(answer))["iss"] == origin


def resigned(cookie: str, key: str) -> str:
    return TimestampSigner(key).sign(cookie.partition(".")[0].encode()).decode()


def with_other_content(cookie: str) -> str:
    content, _, signature = cookie.partition(".")
    changed = json.loads(base64.b64decode(content)) | {"csrf": "A" * 43}
    return f"{base64.b64encode(json.dumps(changed).encode()).decode()}.{signature}"


TAMPERED: dict[str, Callable[[str], str]] = {
    "other content": with_other_content,
    "no signature": lambda cookie: cookie.partition(".")[0],
    "a blank signature": lambda cookie: f"{cookie.rpartition('.')[0]}.",
    "a part of the signature": lambda cookie: cookie[:-2],
    "another signature": lambda cookie: cookie[:-2] + cookie[-2:].swapcase() + "A",
    "another time": lambda cookie: re.sub(r"\.[^.]+\.", ".AAAAAA.", cookie),
    "another key": lambda cookie: resigned(cookie, "secret"),
    "a blank key": lambda cookie: resigned(cookie, ""),
    "nothing": lambda _cookie: "",
    "null": lambda _cookie: "null",
    "dots": lambda _cookie: "...",
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED)
def test_a_tampered_cookie_signs_nobody_in(site: Site, tamper: Callable[[str], str]) -> None:
    cookie = site.person().cookie
    assert site.browser().bears(cookie).is_signed_in()
    assert not site.browser().bears(tamper(cookie)).is_signed_in()


def secret_in(cookie: str) -> str:
    content = json.loads(base64.b64decode(cookie.partition(".")[0]))
    return content["secret"]


def test_a_session_ends_by_itself(site: Site) -> None:
    browser = site.sign_in()
    site.age("sessions", "expires_at", secret_in(browser.cookie), 14 * DAY_S - 60)
    assert browser.is_signed_in()
    site.age("sessions", "expires_at", secret_in(browser.cookie), 60)
    assert not browser.is_signed_in()


def test_the_secret_of_a_session_is_not_a_token(site: Site) -> None:
    assert not site.works(secret_in(site.person().cookie))


def test_who_signed_out_is_out_with_the_old_cookie_too(site: Site) -> None:
    browser, elsewhere = site.sign_in(), site.sign_in()
    cookie = browser.cookie
    assert leads_to(browser.post("/sign-out")) == "/sign-in"
    assert not browser.is_signed_in()
    assert not site.browser().bears(cookie).is_signed_in()
    assert elsewhere.is_signed_in()


def test_a_changed_password_ends_the_other_sessions(own_site: Site) -> None:
    browser, elsewhere = own_site.sign_in(), own_site.sign_in()
    email = own_site.email("administrator")
    sent = {"old_password": PASSWORD, "password": OTHER_PASSWORD}
    assert browser.post("/account/password", **sent).status_code == 200
    assert browser.is_signed_in()
    assert not elsewhere.is_signed_in()
    assert own_site.browser().sign_in(email).status_code == 401
    assert own_site.browser().sign_in(email, OTHER_PASSWORD).status_code == 303


def test_a_password_is_not_changed_without_the_old_one(own_site: Site) -> None:
    browser, elsewhere = own_site.sign_in(), own_site.sign_in()
    before = own_site.stored()
    for old in ("", OTHER_PASSWORD):
        sent = {"old_password": old, "password": OTHER_PASSWORD}
        assert browser.post("/account/password", **sent).status_code == 422
    assert own_site.stored() == before
    assert elsewhere.is_signed_in()


def test_a_password_changed_meanwhile_stays_changed(own_site: Site) -> None:
    user, email = own_site.account.users["editor"], own_site.email("editor")
    crowd = [own_site.browser() for _ in range(8)]
    browser = own_site.browser()
    with ThreadPoolExecutor(len(crowd) + 1) as threads:
        for number, one in enumerate(crowd):  # their passwords are checked first
            threads.submit(one.sign_in, f"nobody{number}@example.org")
        sleep(0.05)
        threads.submit(browser.sign_in, email)
        sleep(0.05)
        own_site.database.write_here(
            lambda tx: sign_in.set_password(tx, user, OTHER_PASSWORD, now())
        )
    assert not browser.is_signed_in()
    assert own_site.browser().sign_in(email).status_code == 401
    assert own_site.browser().sign_in(email, OTHER_PASSWORD).status_code == 303


# What is stored and what is logged

SECRET = re.compile(rb"hr[a-z]?_[A-Za-z0-9_-]{43}")


def use_every_secret(site: Site) -> list[str]:
    """Make a secret of each kind and use it correctly and incorrectly. Returns the secrets."""
    browser = site.sign_in()
    browser.sign_in(site.email("administrator"), OTHER_PASSWORD)
    app = site.app(acts_as="editor")
    code = app.code(browser)
    given = app.exchange(code).json()
    renewed = app.refresh(given["refresh_token"]).json()
    site.program.get("/api/v1/users/me", params={"access_token": renewed["access_token"]})
    site.program.post(TOKEN, params={"client_secret": app.secret, "code": code})
    browser.get(app.address(code=code, state=renewed["refresh_token"]))
    answer = browser.post("/developers/tokens", name="x")
    [made] = set(re.findall(r"hr_[\w-]{43}", answer.text))
    assert site.works(made)
    assert site.works(renewed["access_token"])
    own = app.act_by_itself().json()["access_token"]
    secrets = [PASSWORD, OTHER_PASSWORD, secret_in(browser.cookie), app.secret or "", code, made]
    return [
        *secrets,
        own,
        *(pair[f"{kind}_token"] for pair in (given, renewed) for kind in ("access", "refresh")),
    ]


def test_no_secret_is_kept_or_logged(own_server: Callable[..., Server]) -> None:
    server = own_server(HEALTHREPORTS_ACCESS_LOG="true")
    with site_on(server) as site:
        secrets = use_every_secret(site)
        files = list(server.database.parent.glob("own.sqlite3*"))
        kept = b"".join(one.read_bytes() for one in files)
        log = server.stop()
    assert any(one.name.endswith("-wal") for one in files)
    assert hash_of(secrets[-1]).encode() in kept
    assert 'method=POST path=/oauth/token operation="POST /oauth/token" status=200' in log
    for place in (kept, log.encode()):
        assert not SECRET.findall(place)
        assert [one for one in secrets if one.encode() in place] == []
