"""Every way to get a token, with an OAuth client library that the server does not use."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from oauth_kit import (
    AUTHORIZE,
    INTROSPECT,
    REDIRECT,
    REVOKE,
    TOKEN,
    App,
    Browser,
    Site,
    assert_refused,
    forms_of,
    leads_to,
    query_of,
)
from oauthlib.oauth2 import BackendApplicationClient, WebApplicationClient
from requests_oauthlib import OAuth2Session

from conftest import Account, Server
from expect import assert_failure
from healthreports.core.errors import Invalid
from healthreports.core.vocabulary import Scope
from healthreports.store.engine.database import Database

READ = frozenset({Scope.READ})
Open = Callable[..., OAuth2Session]


class Kind(NamedTuple):
    confidential: bool
    pkce: str | None


KINDS = {
    "a secret": Kind(confidential=True, pkce=None),
    "a secret and PKCE": Kind(confidential=True, pkce="S256"),
    "PKCE alone": Kind(confidential=False, pkce="S256"),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@pytest.fixture(scope="module")
def site(server: Server, database: Database) -> Iterator[Site]:
    made = Site(server, database)
    yield made
    made.close()


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """A function that opens sessions of the library for an application."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    opened: list[OAuth2Session] = []

    def for_app(app: App, pkce: str | None = None, scope: str = "read write") -> OAuth2Session:
        one = OAuth2Session(
            app.client_id, redirect_uri=app.redirect_uri, scope=scope.split(), pkce=pkce
        )
        opened.append(one)
        return one

    yield for_app
    for one in opened:
        one.close()


def walk(session: OAuth2Session, app: App, browser: Browser, base: str) -> dict[str, Any]:
    address, _ = session.authorization_url(base + AUTHORIZE)
    return session.fetch_token(
        base + TOKEN,
        authorization_response=browser.consent(address),
        client_secret=app.secret,
        include_client_id=app.secret is None,
    )


def renew(session: OAuth2Session, app: App, base: str) -> dict[str, Any]:
    auth = (app.client_id, app.secret) if app.secret else None
    return session.refresh_token(base + TOKEN, auth=auth, client_id=app.client_id)


def write(session: OAuth2Session, account: Account) -> int:
    report = {"workspace_id": account.workspaces[0], "color": "green", "description": "Well."}
    address = f"{account.api.base_url}status_reports"
    return session.post(address, json={"status_report": report}).status_code


@every_kind
def test_a_code_gives_a_token_that_reads_and_writes(site: Site, library: Open, kind: Kind) -> None:
    app = site.app(confidential=kind.confidential)
    session = library(app, kind.pkce)
    token = walk(session, app, site.person(), site.server.base)
    assert token["token_type"] == "Bearer"
    assert token["expires_in"] == 2 * 60 * 60
    assert token["scope"] == ["read", "write"]
    me = session.get(f"{site.server.base}/api/v1/users/me").json()
    assert me["results"][0]["id"] == str(site.account.users["administrator"].id)
    assert write(session, site.account) == 200


@every_kind
def test_a_refresh_gives_another_pair_of_the_same_scope(
    site: Site, library: Open, kind: Kind
) -> None:
    app = site.app(confidential=kind.confidential)
    session = library(app, kind.pkce, scope="read")
    first = dict(walk(session, app, site.person(), site.server.base))
    for _ in range(2):
        second = dict(renew(session, app, site.server.base))
        assert second["access_token"] != first["access_token"]
        assert second["refresh_token"] != first["refresh_token"]
        assert second["scope"] == ["read"]
        assert site.works(second["access_token"])
        assert write(session, site.account) == 403
        first = second


def test_the_scope_read_cannot_write(site: Site, library: Open) -> None:
    app = site.app()
    session = library(app, scope="read")
    token = walk(session, app, site.person(), site.server.base)
    assert token["scope"] == ["read"]
    assert session.get(f"{site.server.base}/api/v1/users/me").status_code == 200
    assert write(session, site.account) == 403


def test_a_user_can_do_no_more_through_an_application(site: Site, library: Open) -> None:
    app = site.app()
    session = library(app)
    walk(session, app, site.person("viewer"), site.server.base)
    assert session.get(f"{site.server.base}/api/v1/users/me").status_code == 200
    assert write(session, site.account) == 403


@pytest.mark.usefixtures("library")
def test_an_application_acts_by_itself_as_the_user_it_was_given(site: Site) -> None:
    app = site.app(acts_as="editor")
    with OAuth2Session(client=BackendApplicationClient(client_id=app.client_id)) as session:
        token = session.fetch_token(
            site.server.base + TOKEN, client_id=app.client_id, client_secret=app.secret
        )
        assert "refresh_token" not in token
        me = session.get(f"{site.server.base}/api/v1/users/me").json()
        assert me["results"][0]["id"] == str(site.account.users["editor"].id)
        assert write(session, site.account) == 200


def test_a_user_sees_what_acts_as_it_without_having_asked(site: Site) -> None:
    app = site.app(acts_as="outsider", name="The nightly import")
    browser = site.person("outsider")
    assert "The nightly import" not in browser.get("/account").text
    assert app.act_by_itself().status_code == 200
    page = browser.get("/account")
    assert "The nightly import" in page.text
    assert not [one for one in forms_of(page) if one.kind == "/account/grants/{}/revoke"]


def test_an_application_that_acts_as_nobody_cannot_act_by_itself(site: Site) -> None:
    assert_refused(site.app().act_by_itself(), "unauthorized_client")


def test_an_application_without_a_secret_cannot_be_given_a_user(site: Site) -> None:
    with pytest.raises(Invalid):
        site.app(confidential=False, acts_as="editor")


def test_an_application_that_may_read_cannot_act_by_itself_to_write(site: Site) -> None:
    app = site.app(acts_as="editor", scopes=READ)
    assert_refused(app.act_by_itself(scope="write"), "invalid_scope")
    given = app.act_by_itself().json()
    assert given["scope"] == "read"
    headers = {"authorization": f"Bearer {given['access_token']}"}
    answer = site.program.post("/api/v1/status_reports", headers=headers, json={})
    assert_failure(answer, 403)


@every_kind
def test_a_revoked_pair_stops(site: Site, library: Open, kind: Kind) -> None:
    app = site.app(confidential=kind.confidential)
    session = library(app, kind.pkce)
    token = walk(session, app, site.person(), site.server.base)
    assert site.works(token["access_token"])
    address, headers, body = WebApplicationClient(app.client_id).prepare_token_revocation_request(
        site.server.base + REVOKE, token["refresh_token"], "refresh_token", client_id=app.client_id
    )
    auth = (app.client_id, app.secret) if app.secret else None
    answer = site.program.post(address, headers=headers, content=body, auth=auth)
    assert answer.status_code == 200, answer.text
    assert not site.works(token["access_token"])
    assert_refused(app.refresh(token["refresh_token"]), "invalid_grant")


def test_a_client_learns_what_its_token_is(site: Site, library: Open) -> None:
    app = site.app()
    session = library(app, scope="read")
    token = walk(session, app, site.person("editor"), site.server.base)
    auth = (app.client_id, app.secret)
    sent = {"token": token["access_token"]}
    answer = site.program.post(INTROSPECT, data=sent, auth=auth)
    told = answer.json()
    assert told["active"] is True
    assert told["scope"] == "read"
    assert told["client_id"] == app.client_id
    assert told["sub"] == str(site.account.users["editor"].id)
    assert told["iss"] == site.server.base
    assert told["exp"] - told["iat"] == token["expires_in"]


def test_a_client_finds_its_way_by_the_documents(site: Site, library: Open) -> None:
    api = f"{site.server.base}/api/v1"
    resource = site.program.get("/.well-known/oauth-protected-resource/api/v1").json()
    assert resource["resource"] == api
    [issuer] = resource["authorization_servers"]
    found = site.program.get(f"{issuer}/.well-known/oauth-authorization-server").json()
    assert found["issuer"] == issuer
    app = site.app()
    session = library(app, *found["code_challenge_methods_supported"])
    address, _ = session.authorization_url(found["authorization_endpoint"])
    back = site.person().consent(address)
    assert query_of(back)["iss"] == issuer
    secret = {"client_secret": app.secret}
    token = session.fetch_token(found["token_endpoint"], authorization_response=back, **secret)
    assert session.get(f"{resource['resource']}/users/me").status_code == 200
    sent = {"token": token["access_token"]}
    auth = (app.client_id, app.secret)
    told = site.program.post(found["introspection_endpoint"], data=sent, auth=auth)
    assert told.json()["active"] is True
    assert site.program.post(found["revocation_endpoint"], data=sent, auth=auth).is_success
    told = site.program.post(found["introspection_endpoint"], data=sent, auth=auth)
    assert told.json() == {"active": False}


def test_who_is_not_signed_in_comes_to_the_question_by_signing_in(site: Site) -> None:
    app, browser = site.app(), site.browser()
    entrance = browser.get(leads_to(browser.get(app.address())))
    [form] = forms_of(entrance)
    typed = {"email_address": site.email("administrator"), "password": "correct horse battery"}
    back = leads_to(browser.http.post(form.action, data={**form.fields, **typed}))
    assert back == app.address()
    assert app.exchange(query_of(browser.consent(back))["code"]).status_code == 200


# RFC 6749, 3.1.2: the query of a redirect URI is retained.
@pytest.mark.parametrize(
    "redirect_uri",
    [
        REDIRECT,
        f"{REDIRECT}?tenant=a%26b&flag=",
        "http://127.0.0.1:8765/cb",
        "http://[::1]:8765/cb",
        "org.example.app:/cb",
    ],
    ids=["https", "with a query", "loopback", "loopback of IPv6", "a scheme of its own"],
)
def test_the_browser_comes_back_to_what_was_registered(site: Site, redirect_uri: str) -> None:
    app = site.app(redirect_uri)
    back = site.person().consent(app.address())
    asked, got = urlsplit(redirect_uri), urlsplit(back)
    assert (got.scheme, got.netloc, got.path) == (asked.scheme, asked.netloc, asked.path)
    query = query_of(back)
    assert app.exchange(query.pop("code")).status_code == 200
    kept = query_of(redirect_uri) if asked.query else {}
    assert query == {**kept, "state": "st-1", "iss": site.server.base}


# RFC 6749, 4.1.2 and 4.1.2.1: exactly as it was sent.
@pytest.mark.parametrize(
    "state",
    ["a b+c", "a&b=c#d", "%41%", '"<é>\\', "x" * 500],
    ids=["spaces", "separators", "percent signs", "not ASCII", "long"],
)
def test_the_state_comes_back_as_it_was(site: Site, state: str) -> None:
    app = site.app()
    assert query_of(site.person().consent(app.address(state=state)))["state"] == state
    assert query_of(site.person().deny(app.address(state=state)))["state"] == state


def test_without_a_state_none_comes_back(site: Site) -> None:
    assert set(query_of(site.person().consent(site.app().address(state=None)))) == {"code", "iss"}


SCOPES = {
    "both": ("read write", "read write"),
    "the other way around": ("write read", "read write"),
    "to read": ("read", "read"),
    "to write, and so to read": ("write", "read write"),
    "none named": (None, "read write"),
}


@pytest.mark.parametrize(("asked", "given"), SCOPES.values(), ids=SCOPES)
def test_a_token_has_the_scope_that_was_asked_for(
    site: Site, asked: str | None, given: str
) -> None:
    assert site.app().granted(site.person(), scope=asked)["scope"] == given


def test_without_a_scope_an_application_gets_what_it_may(site: Site) -> None:
    assert site.app(scopes=READ).granted(site.person(), scope=None)["scope"] == "read"


def test_the_only_address_need_not_be_named(site: Site) -> None:
    app = site.app()
    code = app.code(site.person(), redirect_uri=None)
    assert app.exchange(code, redirect_uri=None).status_code == 200


def test_either_of_two_addresses_can_be_named(site: Site) -> None:
    other = "https://app.example.org/other"
    app = site.app(REDIRECT, other)
    for uri in (REDIRECT, other):
        back = site.person().consent(app.address(redirect_uri=uri))
        assert back.startswith(f"{uri}?")
        assert app.exchange(query_of(back)["code"], redirect_uri=uri).status_code == 200


def test_a_token_without_an_end_has_no_refresh_token(site: Site) -> None:
    given = site.app(token_lifetime_s=None).granted(site.person())
    assert set(given) == {"token_type", "access_token", "scope"}
    assert site.works(given["access_token"])


def test_who_acts_by_itself_gets_no_token_without_an_end(site: Site) -> None:
    app = site.app(acts_as="editor", token_lifetime_s=None)
    assert app.act_by_itself().json()["expires_in"] == 2 * 60 * 60


def test_a_secret_may_stand_in_the_form(site: Site) -> None:
    app = site.app(acts_as="editor")
    sent = {"grant_type": "client_credentials", "client_id": app.client_id}
    answer = site.program.post(TOKEN, data={**sent, "client_secret": app.secret})
    assert site.works(answer.json()["access_token"])


def test_a_refresh_can_ask_for_less(site: Site) -> None:
    app = site.app()
    given = app.granted(site.person())
    less = app.refresh(given["refresh_token"], scope="read").json()
    assert less["scope"] == "read"
    headers = {"authorization": f"Bearer {less['access_token']}"}
    assert_failure(site.program.post("/api/v1/status_reports", headers=headers, json={}), 403)
