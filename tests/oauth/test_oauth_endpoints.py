"""The endpoints for programs: token, revocation, introspection, and the metadata documents."""

import base64
from collections.abc import Callable, Iterator

import httpx
import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from oauth_kit import (
    AUTHORIZE,
    INTROSPECT,
    REVOKE,
    TOKEN,
    App,
    Site,
    assert_refused,
)

from conftest import Server
from expect import assert_failure
from healthreports.core.vocabulary import DEFAULT_BODY_LIMIT_BYTES, Scope
from healthreports.store.engine.database import Database

PROGRAMS = (TOKEN, REVOKE, INTROSPECT)
SERVER_DOCUMENT = "/.well-known/oauth-authorization-server"
RESOURCE_DOCUMENT = "/.well-known/oauth-protected-resource/api/v1"
FORM = "application/x-www-form-urlencoded"

every_program = pytest.mark.parametrize("path", PROGRAMS)


@pytest.fixture(scope="module")
def site(server: Server, database: Database) -> Iterator[Site]:
    made = Site(server, database)
    yield made
    made.close()


def basic(*words: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(':'.join(words).encode()).decode()}"}


# RFC 8414
def test_the_document_of_the_server_is_right(site: Site) -> None:
    document = site.program.get(SERVER_DOCUMENT).json()
    AuthorizationServerMetadata(document).validate()
    assert document["issuer"] == site.server.base
    assert document["authorization_endpoint"] == site.server.base + AUTHORIZE
    assert document["scopes_supported"] == list(Scope)
    assert document["response_types_supported"] == ["code"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert "none" not in document["introspection_endpoint_auth_methods_supported"]


@pytest.mark.parametrize("name", ["token", "revocation", "introspection"])
def test_the_document_names_endpoints_that_answer(site: Site, name: str) -> None:
    document = site.program.get(SERVER_DOCUMENT).json()
    answer = site.program.post(document[f"{name}_endpoint"], data={"token": "x"})
    assert "error" in answer.json()


# RFC 9728
def test_the_document_of_the_api_names_the_server(site: Site) -> None:
    document = site.program.get(RESOURCE_DOCUMENT).json()
    assert document["resource"] == f"{site.server.base}/api/v1"
    assert document["authorization_servers"] == [site.server.base]
    assert document["bearer_methods_supported"] == ["header"]


@pytest.mark.parametrize("path", [SERVER_DOCUMENT, RESOURCE_DOCUMENT])
def test_a_document_is_only_read(site: Site, path: str) -> None:
    answer = site.program.get(path)
    assert answer.headers["content-type"].startswith("application/json")
    head = site.program.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert_failure(site.program.post(path), 405)


@every_program
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_programs_only_post(site: Site, path: str, method: str) -> None:
    answer = site.program.request(method, path, params={"grant_type": "client_credentials"})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


BODIES = {
    "JSON": ("application/json", b'{"grant_type": "client_credentials"}'),
    "multipart": ("multipart/form-data; boundary=x", b"--x--\r\n"),
    "text": ("text/plain", b"grant_type=client_credentials"),
    "a form by a longer name": (f"{FORM}-x", b"grant_type=client_credentials"),
    "no type": (None, b"grant_type=client_credentials"),
    "a bad escape": (FORM, b"grant_type=client_credentials&scope=%zz"),
    "not UTF-8": (FORM, b"grant_type=client_credentials&scope=%ff"),
    "not ASCII": (FORM, b"grant_type=client_credentials&scope=\xff"),
    "too many fields": (FORM, b"&".join(b"x=1" for _ in range(1001))),
}


@every_program
@pytest.mark.parametrize(("kind", "body"), BODIES.values(), ids=BODIES)
def test_what_is_not_a_form_is_not_read(
    site: Site, path: str, kind: str | None, body: bytes
) -> None:
    app = site.app(acts_as="editor")
    headers = {"content-type": kind} if kind else {}
    answer = site.program.post(
        path, content=body, headers=headers, auth=(app.client_id, app.secret or "")
    )
    assert_refused(answer, "invalid_request")


@pytest.mark.parametrize("kind", [f"{FORM};charset=UTF-8", FORM.upper()], ids=["charset", "case"])
def test_a_form_is_read_by_any_of_its_names(site: Site, kind: str) -> None:
    app = site.app(acts_as="editor")
    headers = {"content-type": kind, **basic(app.client_id, app.secret or "")}
    answer = site.program.post(TOKEN, content=b"grant_type=client_credentials", headers=headers)
    assert site.works(answer.json()["access_token"])


@every_program
def test_a_body_can_be_too_large(site: Site, path: str) -> None:
    body = b"token=" + b"x" * DEFAULT_BODY_LIMIT_BYTES
    answer = site.program.post(path, content=body, headers={"content-type": FORM})
    assert_failure(answer, 413)


@pytest.mark.parametrize("grant_type", ["password", "implicit", "code", "Client_Credentials"])
def test_no_other_grant_is_supported(site: Site, grant_type: str) -> None:
    app = site.app(acts_as="editor")
    email = site.email("administrator")
    sent = {"username": email, "password": "correct horse battery"}
    assert_refused(app.call(TOKEN, grant_type=grant_type, **sent), "unsupported_grant_type")


LACKING = {
    "code": {"grant_type": "authorization_code"},
    "refresh_token": {"grant_type": "refresh_token"},
    "a blank code": {"grant_type": "authorization_code", "code": ""},
}


# RFC 6749, 5.2. A blank parameter counts as not sent (3.2).
@pytest.mark.parametrize("sent", LACKING.values(), ids=LACKING)
def test_a_token_needs_its_parameters(site: Site, sent: dict[str, str]) -> None:
    assert_refused(site.app().call(TOKEN, **sent), "invalid_request")


@pytest.mark.parametrize("path", [REVOKE, INTROSPECT])
@pytest.mark.parametrize("sent", [{}, {"token": ""}], ids=["none", "blank"])
def test_a_question_needs_a_token(site: Site, path: str, sent: dict[str, str]) -> None:
    assert_refused(site.app().call(path, **sent), "invalid_request")


REPEATED = {
    TOKEN: ["grant_type", "client_id", "scope", "anything"],
    REVOKE: ["token", "client_id", "token_type_hint"],
    INTROSPECT: ["token", "client_id", "token_type_hint"],
}


# RFC 6749, 3.2
@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path, names in REPEATED.items() for name in names]
)
def test_no_parameter_is_repeated(site: Site, path: str, name: str) -> None:
    app = site.app(acts_as="editor")
    sent = {"grant_type": "client_credentials", "token": "x", "client_id": app.client_id}
    sent[name] = sent.get(name, "read")
    answer = site.program.post(
        path,
        data={**sent, name: [sent[name], sent[name]]},
        headers=basic(app.client_id, app.secret or ""),
    )
    assert_refused(answer, "invalid_request")


WRONG: dict[str, Callable[[App], dict]] = {
    "a wrong secret": lambda app: {"headers": basic(app.client_id, "hrs_wrong")},
    "a wrong secret in the form": lambda app: {
        "data": {"client_id": app.client_id, "client_secret": "hrs_wrong"}
    },
    "a blank secret": lambda app: {"headers": basic(app.client_id, "")},
    "no secret": lambda app: {"data": {"client_id": app.client_id}},
    "an unknown client": lambda app: {"headers": basic("0" * 32, app.secret or "")},
    "an unknown client in the form": lambda app: {
        "data": {"client_id": "0" * 32, "client_secret": app.secret}
    },
    "only the start of the secret": lambda app: {
        "headers": basic(app.client_id, (app.secret or "")[:-1])
    },
    "the secret as a bearer token": lambda app: {
        "headers": {"authorization": f"Bearer {app.secret}"}
    },
    "nothing": lambda _app: {},
}


# RFC 6749, 5.2: a client that used Basic gets 401 and WWW-Authenticate.
@every_program
@pytest.mark.parametrize("made", WRONG.values(), ids=WRONG)
def test_a_client_has_to_prove_itself(site: Site, path: str, made: Callable[[App], dict]) -> None:
    app = site.app(acts_as="editor")
    sent = made(app)
    token = app.act_by_itself().json()["access_token"]
    fields = {"grant_type": "client_credentials", "token": token, **sent.pop("data", {})}
    answer = site.program.post(path, data=fields, **sent)
    with_basic = "Basic" in sent.get("headers", {}).get("authorization", "")
    assert_refused(answer, "invalid_client", 401 if with_basic else answer.status_code)
    assert answer.status_code in (400, 401)
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert site.works(token)


# RFC 6749, 2.3
def test_a_client_proves_itself_in_one_way(site: Site) -> None:
    app = site.app(acts_as="editor")
    assert_refused(app.act_by_itself(client_secret=app.secret or ""), "invalid_request")
    assert app.act_by_itself(client_id=app.client_id).status_code == 200


def test_a_secret_is_of_one_application(site: Site) -> None:
    one, other = site.app(acts_as="editor"), site.app(acts_as="editor")
    mixed = App(site.program, one.client_id, other.secret, one.redirect_uri)
    assert_refused(mixed.act_by_itself(), "invalid_client", 401)


ANSWERS: dict[str, Callable[[Site, App], httpx.Response]] = {
    "a code exchanged": lambda site, app: app.exchange(app.code(site.person())),
    "a refresh": lambda site, app: app.refresh(app.granted(site.person())["refresh_token"]),
    "client credentials": lambda _site, app: app.act_by_itself(),
    "a token described": lambda site, app: app.call(
        INTROSPECT, token=app.granted(site.person())["access_token"]
    ),
    "a token revoked": lambda site, app: app.call(
        REVOKE, token=app.granted(site.person())["access_token"]
    ),
}


# RFC 6749, 5.1
@pytest.mark.parametrize("made", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_not_kept_on_its_way(
    site: Site, made: Callable[[Site, App], httpx.Response]
) -> None:
    answer = made(site, site.app(acts_as="editor"))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"].startswith("application/json")
    assert "set-cookie" not in answer.headers


# RFC 7662
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_an_application_learns_of_its_own_tokens(site: Site, kind: str) -> None:
    app = site.app()
    token = app.granted(site.person("editor"))[kind]
    told = app.introspect(token)
    assert told["active"] is True
    assert told["client_id"] == app.client_id
    assert told["sub"] == str(site.account.users["editor"].id)
    assert told["scope"] == "read write"
    assert told["iat"] < told["exp"]
    assert ("token_type" in told) == (kind == "access_token")


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
@pytest.mark.parametrize("path", [REVOKE, INTROSPECT])
@pytest.mark.parametrize("hint", ["access_token", "refresh_token"])
def test_a_hint_may_be_wrong(site: Site, path: str, kind: str, hint: str) -> None:
    app = site.app()
    token = app.granted(site.person())[kind]
    answer = app.call(path, token=token, token_type_hint=hint)
    assert answer.status_code == 200
    assert app.introspect(token)["active"] is (path == INTROSPECT)


# RFC 7009, 2.2.1: errors have the form of RFC 6749 (5.2), where 401 is for an unknown client.
@pytest.mark.parametrize("path", [REVOKE, INTROSPECT])
def test_an_unknown_hint_is_ignored_or_a_bad_request(site: Site, path: str) -> None:
    app = site.app()
    token = app.granted(site.person())["access_token"]
    answer = app.call(path, token=token, token_type_hint="id_token")
    assert answer.status_code in (200, 400), answer.text


NOT_ITS_OWN: dict[str, Callable[[Site], str]] = {
    "another application's access token": lambda site: site.app().granted(site.person())[
        "access_token"
    ],
    "another application's refresh token": lambda site: site.app().granted(site.person())[
        "refresh_token"
    ],
    "a token of an application that acts by itself": lambda site: (
        site.app(acts_as="editor").act_by_itself().json()["access_token"]
    ),
    "a personal token": lambda site: site.account.secrets["administrator"],
    "another application's code": lambda site: site.app().code(site.person()),
    "another application's secret": lambda site: site.app().secret or "",
    "nobody's": lambda _site: "hr_" + "A" * 43,
    "not a token": lambda _site: "\0é ",
}


@pytest.mark.parametrize("made", NOT_ITS_OWN.values(), ids=NOT_ITS_OWN)
def test_an_application_learns_of_no_other_token(site: Site, made: Callable[[Site], str]) -> None:
    assert site.app().introspect(made(site)) == {"active": False}


def test_a_code_is_not_a_token(site: Site) -> None:
    app = site.app()
    code = app.code(site.person())
    assert app.introspect(code) == {"active": False}
    assert not site.works(code)
    assert app.exchange(code).status_code == 200


def test_a_refresh_token_is_not_an_access_token(site: Site) -> None:
    app = site.app()
    given = app.granted(site.person())
    assert not site.works(given["refresh_token"])
    assert_refused(app.refresh(given["access_token"]), "invalid_grant")


def test_an_expired_token_is_not_active(site: Site) -> None:
    app = site.app()
    given = app.granted(site.person())
    site.age("tokens", "expires_at", given["access_token"], 2 * 60 * 60)
    site.age("oauth_refresh_tokens", "expires_at", given["refresh_token"], 90 * 24 * 60 * 60)
    for token in (given["access_token"], given["refresh_token"]):
        assert app.introspect(token) == {"active": False}


def test_an_application_without_a_secret_learns_nothing(site: Site) -> None:
    app = site.app(confidential=False)
    token = app.granted(site.person())["access_token"]
    answer = app.call(INTROSPECT, token=token)
    assert_refused(answer, "invalid_client", answer.status_code)
    assert answer.status_code in (400, 401)
    assert site.works(token)


# RFC 7009
def test_a_revoked_access_token_stops_alone(site: Site) -> None:
    app = site.app()
    given = app.granted(site.person())
    assert app.call(REVOKE, token=given["access_token"]).status_code == 200
    assert not site.works(given["access_token"])
    assert site.works(app.refresh(given["refresh_token"]).json()["access_token"])


def test_with_a_revoked_refresh_token_all_stops(site: Site) -> None:
    app = site.app()
    first = app.granted(site.person())
    second = app.refresh(first["refresh_token"]).json()
    assert app.call(REVOKE, token=second["refresh_token"]).status_code == 200
    assert not site.works(first["access_token"])
    assert not site.works(second["access_token"])
    assert_refused(app.refresh(second["refresh_token"]), "invalid_grant")


def test_what_is_revoked_already_can_be_revoked(site: Site) -> None:
    app = site.app()
    token = app.granted(site.person())["refresh_token"]
    for sent in (token, token, "hr_nobody's"):
        assert app.call(REVOKE, token=sent).status_code == 200


@pytest.mark.parametrize("confidential", [True, False], ids=["with a secret", "public"])
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_no_application_revokes_a_token_of_another(
    site: Site, kind: str, *, confidential: bool
) -> None:
    app, thief = site.app(), site.app(confidential=confidential)
    given = app.granted(site.person())
    assert_refused(thief.call(REVOKE, token=given[kind]), "invalid_grant")
    assert site.works(given["access_token"])
    assert site.works(app.refresh(given["refresh_token"]).json()["access_token"])


def test_no_application_revokes_a_personal_token(site: Site) -> None:
    token = site.account.secrets["administrator"]
    answer = site.app().call(REVOKE, token=token)
    assert answer.status_code in (200, 400)
    assert site.works(token)


def test_the_question_is_asked_of_a_browser_only(site: Site) -> None:
    app = site.app()
    token = site.account.secrets["administrator"]
    answer = site.program.get(app.address(), headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?next=")
    form = {"decision": "allow"}
    answer = site.program.post(app.address(), data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?expired=yes")
