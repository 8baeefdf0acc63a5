import contextlib
import re
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import pytest
from sharing import open_account

import command_line
from conftest import Account, Server
from expect import assert_envelope, assert_failure, assert_stamped, only_record
from healthreports.store.engine.database import Database
from raw import execute

pytestmark = pytest.mark.one_store

MIB = 1024 * 1024
FORM = "application/x-www-form-urlencoded"
GOOD = '{"status_report": {"color": "red"}}'


@pytest.fixture(scope="module")
def shared(server: Server, database: Database) -> Iterator[Account]:
    with open_account(server, database) as account:
        yield account


def change(account: Account, content: bytes | str, kind: str = FORM) -> httpx.Response:
    """Update a new report with this body."""
    path = f"/status_reports/{account.report()}"
    return account.api.put(path, content=content, headers={"content-type": kind})


def assert_no_server_error(response: httpx.Response) -> None:
    assert response.status_code < 500, response.text
    if response.status_code != 200:
        kind = "validation" if response.status_code == 422 else "system"
        assert {error["type"] for error in response.json()["errors"]} == {kind}


READS = {
    "reports": "/status_reports{json}",
    "report": "/status_reports/{report}{json}",
    "workspaces": "/workspaces{json}",
    "workspace": "/workspaces/{workspace}{json}",
    "users": "/users{json}",
    "user": "/users/{user}{json}",
    "me": "/users/me{json}",
    "references": "/external_references{json}?subject_type=StatusReport",
}


# 1.1
@pytest.mark.parametrize("path", READS.values(), ids=READS)
def test_a_path_reads_the_same_with_json_at_its_end(shared: Account, path: str) -> None:
    names = {
        "report": shared.report(),
        "workspace": shared.workspaces[0],
        "user": str(shared.users["editor"].id),
    }
    plain = shared.api.get(path.format(json="", **names))
    assert plain.status_code == 200, plain.text
    ended = shared.api.get(path.format(json=".json", **names))
    assert ended.status_code == 200, ended.text
    assert ended.json() == plain.json()


# 1.1
def test_every_write_works_with_json_at_its_end(account: Account) -> None:
    api, sent = account.api, {"workspace_id": account.workspaces[0], "color": "green"}
    made = api.post("/status_reports.json", json={"status_report": {**sent, "description": "A"}})
    path = f"/status_reports/{only_record(made)['id']}.json"
    for method, color in (("PUT", "red"), ("PATCH", "yellow")):
        changed = api.request(method, path, json={"status_report": {"color": color}})
        assert only_record(changed)["color"] == color
    assert api.delete(path).status_code == 204
    reference = {
        "subject_type": "Workspace",
        "subject_id": account.workspaces[0],
        "service_name": "tracker",
        "service_model": "Project",
        "service_model_ref": "1",
    }
    upserted = api.post(
        "/external_references/create_or_update.json", json={"external_reference": reference}
    )
    reference_id = only_record(upserted, "external_references")["id"]
    assert api.delete(f"/external_references/{reference_id}.json").status_code == 204


# 1.1
@pytest.mark.parametrize("ending", [".xml", ".JSON", ".json.json", ".jso", "json"])
def test_no_other_ending_is_a_path(shared: Account, ending: str) -> None:
    assert_failure(shared.api.get(f"/status_reports{ending}"), 404)


# 1.1
@pytest.mark.parametrize("path", ["/status_reports", "/api/status_reports", "/api/v2/users/me"])
def test_nothing_answers_outside_the_base(shared: Account, server: Server, path: str) -> None:
    assert_failure(shared.api.get(server.base + path), 404)


def assert_no_token(response: httpx.Response) -> None:
    errors = assert_failure(response, 401, "oauth")
    assert errors == [{"type": "oauth", "message": "Invalid OAuth 2 Request"}]
    assert response.headers["www-authenticate"] == "Bearer"


CREDENTIALS = {
    "missing": None,
    "empty": "",
    "scheme alone": "Bearer",
    "secret alone": "{secret}",
    "another scheme": "Basic {secret}",
    "scheme of one word with the secret": "Bearer{secret}",
    "unknown secret": "Bearer nobody",
    "cut short": "Bearer {short}",
    "one letter more": "Bearer {secret}x",
    "letters of the other case": "Bearer {swapped}",
    "quoted": 'Bearer "{secret}"',
    "said twice": "Bearer {secret} {secret}",
    "as a parameter": "Bearer token={secret}",
    "very long": "Bearer " + "a" * 5000,
    "not ASCII": "Bearer ünïcödé",
    "SQL": "Bearer ' OR '1'='1",
    "wildcard": "Bearer %",
}


# 1.2, 6
@pytest.mark.parametrize("value", CREDENTIALS.values(), ids=CREDENTIALS)
def test_a_call_without_a_valid_token_gets_401(
    shared: Account, server: Server, value: str | None
) -> None:
    secret = shared.secrets["administrator"]
    with server.client(None) as api:
        headers = {}
        if value is not None:
            text = value.format(secret=secret, short=secret[:-1], swapped=secret.swapcase())
            headers["authorization"] = text.encode()
        assert_no_token(api.get("/status_reports", headers=headers))


CALLS = {
    "list": ("GET", "/status_reports"),
    "show": ("GET", "/status_reports/1"),
    "create": ("POST", "/status_reports"),
    "update": ("PUT", "/status_reports/1"),
    "patch": ("PATCH", "/status_reports/1"),
    "delete": ("DELETE", "/status_reports/1"),
    "workspaces": ("GET", "/workspaces"),
    "workspace": ("GET", "/workspaces/1"),
    "users": ("GET", "/users"),
    "user": ("GET", "/users/1"),
    "me": ("GET", "/users/me"),
    "references": ("GET", "/external_references?subject_type=Workspace"),
    "upsert": ("POST", "/external_references/create_or_update"),
    "delete reference": ("DELETE", "/external_references/1"),
}


# 1.2
@pytest.mark.parametrize(("method", "path"), CALLS.values(), ids=CALLS)
def test_every_call_asks_for_a_token(server: Server, method: str, path: str) -> None:
    with server.client(None) as api:
        body = {"json": {"status_report": {}}} if method in ("POST", "PUT", "PATCH") else {}
        assert_no_token(api.request(method, path, **body))


# 1.2
def test_nothing_is_written_without_a_token(account: Account, server: Server) -> None:
    report_id = account.report()
    with server.client(None) as api:
        sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "No"}
        assert_no_token(api.post("/status_reports", json={"status_report": sent}))
        assert_no_token(
            api.put(f"/status_reports/{report_id}", json={"status_report": {"color": "red"}})
        )
        assert_no_token(api.delete(f"/status_reports/{report_id}"))
    body = assert_envelope(account.api.get("/status_reports"), "status_reports", [report_id])
    assert body["status_reports"][report_id]["color"] == "green"


# 1.2
@pytest.mark.parametrize("name", ["access_token", "token", "bearer_token", "oauth_token"])
def test_a_token_in_the_url_is_not_read(shared: Account, server: Server, name: str) -> None:
    with server.client(None) as api:
        secret = shared.secrets["administrator"]
        assert_no_token(api.get("/status_reports", params={name: secret}))


# 1.2
@pytest.mark.parametrize("kind", ["json", "data"])
def test_a_token_in_the_body_is_not_read(shared: Account, server: Server, kind: str) -> None:
    body = {kind: {"access_token": shared.secrets["administrator"]}}
    with server.client(None) as api:
        assert_no_token(api.post("/status_reports", **body))


# 1.2
def test_an_unknown_token_is_not_saved_by_a_good_one_in_the_url(
    account: Account, server: Server
) -> None:
    with server.client("nobody") as api:
        secret = account.secrets["administrator"]
        assert_no_token(api.get("/status_reports", params={"access_token": secret}))


def command(server: Server, *words: str) -> str:
    done = command_line.execute(*words, "--database", server.database)
    assert done.returncode == 0, done.stderr
    return done.stdout


def new_token(account: Account, server: Server) -> tuple[str, str]:
    """A token of the editor that is valid for one day: its id and secret."""
    email = account.users["editor"].email_address
    words = ("--user", email, "--name", "short", "--days", "1")
    secret = command(server, "token", "create", *words).strip()
    listed = [line.split("\t") for line in command(server, "token", "list").splitlines()]
    return next(line[0] for line in listed if line[1:3] == [email, "short"]), secret


# 1.2
def test_a_revoked_token_gets_401_at_once(account: Account, server: Server) -> None:
    token_id, secret = new_token(account, server)
    with server.client(secret) as api:
        assert api.get("/users/me").status_code == 200
        command(server, "token", "revoke", token_id)
        assert_no_token(api.get("/users/me"))
    assert account.clients["editor"].get("/users/me").status_code == 200


# 1.2
def test_an_expired_token_gets_401(account: Account, server: Server) -> None:
    token_id, secret = new_token(account, server)
    with server.client(secret) as api:
        assert api.get("/users/me").status_code == 200
        execute(
            server.database,
            "UPDATE tokens SET expires_at = created_at - 1 WHERE id = ?",
            int(token_id),
        )
        assert_no_token(api.get("/users/me"))


def detail(category: str, color: str, description: str | None = None) -> dict[str, str | None]:
    return {"category": category, "color": color, "description": description}


D = "status_report[details]"
BUDGET = f"{D}[][category]=Budget&{D}[][color]=green"
DETAIL_FORMS = {
    "one": (f"{D}[][category]=Scope&{D}[][color]=red", [detail("Scope", "red")]),
    "a repeated category starts the next": (
        f"{D}[][category]=Scope&{D}[][color]=red&{D}[][category]=Client&{D}[][color]=green",
        [detail("Scope", "red"), detail("Client", "green")],
    ),
    "only one of them has a description": (
        f"{D}[][category]=Scope&{D}[][color]=red&{D}[][description]=Late&{BUDGET}",
        [detail("Scope", "red", "Late"), detail("Budget", "green")],
    ),
    "the second one has a description": (
        f"{D}[][category]=Scope&{D}[][color]=red&{BUDGET}&{D}[][description]=Late",
        [detail("Scope", "red"), detail("Budget", "green", "Late")],
    ),
    "color comes first": (
        f"{D}[][color]=red&{D}[][category]=Scope&{D}[][color]=green&{D}[][category]=Budget",
        [detail("Scope", "red"), detail("Budget", "green")],
    ),
    "all four": (
        "&".join(
            f"{D}[][category]={name}&{D}[][color]=red"
            for name in ("Client", "Schedule", "Budget", "Scope")
        ),
        [detail(name, "red") for name in ("Scope", "Budget", "Schedule", "Client")],
    ),
    "indices": (
        f"{D}[0][category]=Scope&{D}[0][color]=red&{D}[1][category]=Client&{D}[1][color]=green",
        [detail("Scope", "red"), detail("Client", "green")],
    ),
    "indices with a gap": (
        f"{D}[3][category]=Scope&{D}[3][color]=red&{D}[70][category]=Client&{D}[70][color]=green",
        [detail("Scope", "red"), detail("Client", "green")],
    ),
    "indices in turns": (
        f"{D}[1][category]=Scope&{D}[0][category]=Client&{D}[1][color]=red&{D}[0][color]=green",
        [detail("Scope", "red"), detail("Client", "green")],
    ),
    "brackets in percent signs": (
        f"{D}[][category]=Scope&{D}[][color]=red".replace("[", "%5B").replace("]", "%5d"),
        [detail("Scope", "red")],
    ),
}


# 1.3
@pytest.mark.parametrize(("form", "details"), DETAIL_FORMS.values(), ids=DETAIL_FORMS)
def test_a_form_can_say_details(shared: Account, form: str, details: list) -> None:
    assert only_record(change(shared, form))["details"] == details


TEXTS = {
    "plus is a blank": ("a+b", "a b"),
    "percent 20 is a blank": ("a%20b", "a b"),
    "percent 2B is a plus": ("a%2Bb", "a+b"),
    "ampersand and equals": ("a%26b%3Dc", "a&b=c"),
    "a second equals sign": ("a=b", "a=b"),
    "UTF-8": ("%C3%A9%F0%9F%98%80", "é😀"),
    "lines": ("a%0D%0Ab", "a\r\nb"),
    "brackets": ("[x][]", "[x][]"),
}


# 1.3
@pytest.mark.parametrize(("sent", "stored"), TEXTS.values(), ids=TEXTS)
def test_a_form_is_decoded(shared: Account, sent: str, stored: str) -> None:
    record = only_record(change(shared, f"status_report[description]={sent}"))
    assert record["description"] == stored


# 1.3, 1.4
def test_a_form_creates_a_report_with_all_it_can_have(account: Account) -> None:
    made = account.api.post(
        "/status_reports?include=external_references",
        data={
            "status_report[workspace_id]": account.workspaces[0],
            "status_report[color]": "red",
            "status_report[description]": "By form",
            "status_report[details][][category]": "Scope",
            "status_report[details][][color]": "yellow",
            "status_report[external_reference][service_name]": "tracker",
            "status_report[external_reference][service_model]": "Issue",
            "status_report[external_reference][service_model_ref]": "7",
            "status_report[external_reference][locked]": "true",
        },
    )
    record = only_record(made)
    assert record["description"] == "By form"
    assert record["details"] == [detail("Scope", "yellow")]
    (reference,) = made.json()["external_references"].values()
    assert reference["service_model_ref"] == "7"
    assert reference["locked"] is True


# 1.3
def test_multipart_fields_work_like_a_form(account: Account) -> None:
    fields = [
        ("status_report[color]", "red"),
        ("status_report[description]", "Größe 😀 a+b %41"),
        (f"{D}[][category]", "Client"),
        (f"{D}[][color]", "red"),
        (f"{D}[][category]", "Scope"),
        (f"{D}[][color]", "green"),
        (f"{D}[][description]", "Late"),
    ]
    answer = account.api.put(
        f"/status_reports/{account.report()}",
        files=[(name, (None, value)) for name, value in fields],
    )
    record = only_record(answer)
    assert record["color"] == "red"
    assert record["description"] == "Größe 😀 a+b %41"
    assert record["details"] == [detail("Scope", "green", "Late"), detail("Client", "red")]


BAD_FORMS = {
    "percent without digits": b"status_report[description]=%zz",
    "percent at the end": b"status_report[description]=50%",
    "half a percent escape": b"status_report[description]=%4",
    "bad escape in a name": b"status_report[%zz]=1&status_report[color]=red",
    "escaped bytes that are not UTF-8": b"status_report[description]=%ff%fe",
    "bytes that are not UTF-8": b"status_report[description]=\xff\xfe",
    "half a UTF-8 letter": b"status_report[description]=%C3",
    "name that is not UTF-8": b"status_report[color]=red&%ff=1",
    "root is text and object": b"status_report=1&status_report[color]=red",
    "root is object and text": b"status_report[color]=red&status_report=1",
    "attribute is text and object": b"status_report[color]=red&status_report[color][x]=1",
    "attribute is text and array": b"status_report[color]=red&status_report[color][]=1",
    "attribute is array and object": (
        b"status_report[details][][category]=Scope&status_report[details][x]=1"
    ),
    "too deep": b"status_report" + b"[a]" * 5000 + b"=1",
    "too deep in arrays": b"status_report" + b"[]" * 5000 + b"=1",
}


# 1.5
@pytest.mark.parametrize("form", BAD_FORMS.values(), ids=BAD_FORMS)
def test_a_malformed_form_gets_400(shared: Account, form: bytes) -> None:
    assert_failure(change(shared, form), 400)


ODD_FORMS = {
    "open bracket": "status_report[color=red",
    "closed bracket": "status_report]color[=red",
    "nested brackets": "status_report[[color]]=red",
    "text after brackets": "status_report[color]x=red",
    "no name": "=red&status_report[color]=red",
    "only separators": "&&&;;&",
    "no value": "status_report[color]",
    "huge index": f"{D}[99999999999999999999][category]=Scope",
    "negative index": f"{D}[-1][category]=Scope&{D}[-1][color]=red",
    "indices and none": f"{D}[0][category]=Scope&{D}[][color]=red",
    "array of arrays": f"{D}[][][category]=Scope",
    "blank array": f"{D}[]=",
    "blank array for a text": "status_report[color][]=red",
    "NUL in a name": "status_report[a%00b]=1",
    "many fields": "&".join(["status_report[color]=red"] * 20_000),
    "many elements": "&".join([f"{D}[][category]=Scope"] * 10_000),
    "many indices": "&".join(f"{D}[{n}][category]=Scope" for n in range(10_000)),
}


# 1.5
@pytest.mark.parametrize("form", ODD_FORMS.values(), ids=ODD_FORMS)
def test_an_odd_form_is_no_server_error(shared: Account, form: str) -> None:
    assert_no_server_error(change(shared, form))


PART = b'--x\r\ncontent-disposition: form-data; name="status_report[description]"'
BAD_MULTIPART = {
    "no boundary": ("multipart/form-data", b"--x\r\n\r\n--x--\r\n"),
    "another boundary": ("multipart/form-data; boundary=y", b"--x\r\n\r\n\r\n--x--\r\n"),
    "cut short": (
        "multipart/form-data; boundary=x",
        PART + b"\r\n\r\nre",
    ),
    "no name": ("multipart/form-data; boundary=x", b"--x\r\n\r\nred\r\n--x--\r\n"),
    "not UTF-8": (
        "multipart/form-data; boundary=x",
        PART + b"\r\n\r\n\xff\xfe\r\n--x--\r\n",
    ),
}


# 1.5
@pytest.mark.parametrize(("kind", "body"), BAD_MULTIPART.values(), ids=BAD_MULTIPART)
def test_a_malformed_multipart_body_gets_400(shared: Account, kind: str, body: bytes) -> None:
    assert_failure(change(shared, body, kind), 400)


# 1.3
def test_a_file_in_a_multipart_body_is_no_server_error(account: Account) -> None:
    files = {"status_report[description]": ("a.bin", bytes(range(256)))}
    answer = account.api.put(f"/status_reports/{account.report()}", files=files)
    assert_no_server_error(answer)


ROOTLESS = {
    "empty object": "{}",
    "another root": '{"report": {"color": "red"}}',
    "attributes without a root": '{"color": "red"}',
    "root of another case": '{"Status_Report": {"color": "red"}}',
    "root is null": '{"status_report": null}',
    "root is a list": '{"status_report": [{"color": "red"}]}',
    "root is text": '{"status_report": "red"}',
    "root is a number": '{"status_report": 1}',
    "root is true": '{"status_report": true}',
    "body is a list": '[{"status_report": {"color": "red"}}]',
    "body is text": '"status_report"',
    "body is a number": "5",
    "body is null": "null",
}


# 1.4
@pytest.mark.parametrize("body", ROOTLESS.values(), ids=ROOTLESS)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_missing_root_gets_400_that_names_it(shared: Account, method: str, body: str) -> None:
    path = "/status_reports" if method == "POST" else f"/status_reports/{shared.report()}"
    headers = {"content-type": "application/json"}
    answer = shared.api.request(method, path, content=body, headers=headers)
    (error,) = assert_failure(answer, 400)
    assert "status_report" in error["message"]


# 1.4
@pytest.mark.parametrize("form", ["", "color=red", "status_report=red", "status_report[]=red"])
def test_a_form_without_the_root_gets_400_that_names_it(shared: Account, form: str) -> None:
    (error,) = assert_failure(change(shared, form), 400)
    assert "status_report" in error["message"]


# 1.4
def test_a_write_without_a_body_gets_400_that_names_the_root(account: Account) -> None:
    for method, path in (("POST", ""), ("PUT", f"/{account.report()}")):
        (error,) = assert_failure(account.api.request(method, f"/status_reports{path}"), 400)
        assert "status_report" in error["message"]


# 1.4
def test_unknown_attributes_are_ignored(account: Account) -> None:
    report_id = account.report(
        id="77",
        creator_id="1",
        updater_id="1",
        created_at="2001-01-01T00:00:00Z",
        account_id=1,
        mood={"a": [1, None, {}]},
        details=[{"category": "Scope", "color": "red", "mood": "good", "id": 5}],
        external_reference={
            "service_name": "tracker",
            "service_model": "Issue",
            "service_model_ref": "1",
            "mood": "good",
        },
    )
    record = only_record(account.api.get(f"/status_reports/{report_id}"))
    assert "mood" not in record
    assert record["creator_id"] == str(account.users["administrator"].id)
    assert record["updater_id"] is None
    assert not record["created_at"].startswith("2001")
    assert record["details"] == [detail("Scope", "red")]


# 1.4
def test_attributes_beside_the_root_are_ignored(account: Account) -> None:
    path = f"/status_reports/{account.report()}"
    sent = {"color": "yellow", "status_report": {"description": "New"}, "access_token": "x"}
    record = only_record(account.api.put(path, json=sent))
    assert (record["color"], record["description"]) == ("green", "New")


# 1.4
@pytest.mark.parametrize("kind", [str, int])
def test_an_id_may_be_text_or_an_integer(shared: Account, kind: type) -> None:
    report_id = shared.report(workspace_id=kind(shared.workspaces[1]))
    record = only_record(shared.api.get(f"/status_reports/{report_id}"))
    assert record["workspace_id"] == shared.workspaces[1]


BAD_JSON = {
    "cut short": "{",
    "text": "color=red",
    "single quotes": "{'status_report': {'color': 'red'}}",
    "comma at the end": '{"status_report": {"color": "red",}}',
    "two values": GOOD + GOOD,
    "comment": GOOD + " // red",
    "NaN": '{"status_report": {"color": NaN}}',
    "Infinity": '{"status_report": {"color": Infinity}}',
    "minus Infinity": '{"status_report": {"color": -Infinity}}',
    "leading zero": '{"status_report": {"color": 01}}',
    "bare control character": '{"status_report": {"description": "a\nb"}}',
    "bare NUL": '{"status_report": {"description": "a\0b"}}',
    "unknown escape": r'{"status_report": {"description": "\x41"}}',
    "half an escape": r'{"status_report": {"description": "\u12"}}',
    "not UTF-8": b'{"status_report": {"description": "\xff"}}',
    "UTF-16": GOOD.encode("utf-16"),
    "deep and open": "[" * 100_000,
    "deep and open objects": '{"status_report":' * 50_000,
    "only blanks": "   ",
}


# 1.5
@pytest.mark.parametrize("body", BAD_JSON.values(), ids=BAD_JSON)
def test_malformed_json_gets_400(shared: Account, body: bytes | str) -> None:
    assert_failure(change(shared, body, "application/json"), 400)


ODD_JSON = {
    "deep list": '{"status_report": {"details": ' + "[" * 100_000 + "]" * 100_000 + "}}",
    "deep in an unknown attribute": (
        '{"status_report": {"mood": ' + '{"a":' * 5000 + "1" + "}" * 5000 + "}}"
    ),
    "huge integer": '{"status_report": {"color": ' + "9" * 10_000 + "}}",
    "huge exponent": '{"status_report": {"color": 1e999999}}',
    "huge exponent down": '{"status_report": {"color": 1e-999999}}',
    "same key twice": '{"status_report": {"color": "red", "color": "green"}}',
    "byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "NUL in a key": r'{"status_report": {"a\u0000": 1}}',
    "lone surrogate in a key": r'{"status_report": {"\ud800": 1}}',
    "many elements": '{"status_report": {"details": [' + ",".join("1" * 100_000) + "]}}",
    "many keys": (
        '{"status_report": {' + ",".join(f'"k{number}": 1' for number in range(50_000)) + "}}"
    ),
}


# 1.5
@pytest.mark.parametrize("body", ODD_JSON.values(), ids=ODD_JSON)
def test_odd_json_is_no_server_error(shared: Account, body: bytes | str) -> None:
    assert_no_server_error(change(shared, body, "application/json"))


# 1.5
def test_a_body_of_exactly_the_limit_is_read(account: Account) -> None:
    answer = change(account, GOOD.ljust(MIB), "application/json")
    assert only_record(answer)["color"] == "red"


def pieces(size: int) -> Iterator[bytes]:
    """A body whose length no header states."""
    yield GOOD.encode()
    for _ in range(size // 65536):
        yield b" " * 65536


OVER_LIMIT = {
    "one byte": (GOOD.ljust(MIB + 1).encode(), "application/json"),
    "five times": (GOOD.ljust(5 * MIB).encode(), "application/json"),
    "form": (b"status_report[description]=" + b"a" * MIB, FORM),
}


# 1.5
@pytest.mark.parametrize(("body", "kind"), OVER_LIMIT.values(), ids=OVER_LIMIT)
def test_a_body_over_the_limit_gets_413(shared: Account, body: bytes, kind: str) -> None:
    assert_failure(change(shared, body, kind), 413)


# 1.5
def test_a_body_in_pieces_over_the_limit_gets_413(account: Account) -> None:
    path = f"/status_reports/{account.report()}"
    headers = {"content-type": "application/json"}
    answer = account.api.put(path, content=pieces(2 * MIB), headers=headers)
    assert_failure(answer, 413)
    assert only_record(account.api.get(path))["color"] == "green"


# 1.5
def test_a_body_in_pieces_under_the_limit_is_read(account: Account) -> None:
    path = f"/status_reports/{account.report()}"
    headers = {"content-type": "application/json"}
    answer = account.api.put(path, content=pieces(MIB // 2), headers=headers)
    assert only_record(answer)["color"] == "red"


OTHER_KINDS = [
    "text/plain",
    "text/json",
    "text/html; charset=utf-8",
    "application/xml",
    "application/octet-stream",
    "application/jsonp",
    "multipart/mixed; boundary=x",
    "image/png",
    "json",
    "/",
]


# 1.5
@pytest.mark.parametrize("kind", OTHER_KINDS)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_body_of_another_content_type_gets_415(shared: Account, method: str, kind: str) -> None:
    path = "/status_reports" if method == "POST" else f"/status_reports/{shared.report()}"
    headers = {"content-type": kind}
    assert_failure(shared.api.request(method, path, content=GOOD, headers=headers), 415)


# 1.5
@pytest.mark.parametrize("headers", [{}, {"content-type": ""}], ids=["missing", "blank"])
def test_a_body_without_a_content_type_is_no_server_error(
    shared: Account, headers: dict[str, str]
) -> None:
    path = f"/status_reports/{shared.report()}"
    assert_no_server_error(shared.api.put(path, content=GOOD, headers=headers))


# 1.3
@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "Application/JSON",
    ],
)
def test_a_content_type_is_read_as_http_reads_it(shared: Account, kind: str) -> None:
    assert only_record(change(shared, GOOD, kind))["color"] == "red"


METHODS = {
    "reports": ("/status_reports", {"GET", "POST"}, ("PUT", "PATCH", "DELETE")),
    "report": ("/status_reports/{report}", {"GET", "PUT", "PATCH", "DELETE"}, ("POST",)),
    "reports with json": ("/status_reports.json", {"GET", "POST"}, ("DELETE",)),
    "workspaces": ("/workspaces", {"GET"}, ("DELETE",)),
    "users": ("/users", {"GET"}, ("DELETE",)),
    "me": ("/users/me", {"GET"}, ("POST", "DELETE")),
    "references": ("/external_references", {"GET"}, ("PUT", "DELETE")),
    "upsert": ("/external_references/create_or_update", {"POST"}, ("PUT", "PATCH")),
    "reference": ("/external_references/1", {"DELETE"}, ("POST",)),
}


# 1.5
@pytest.mark.parametrize(("path", "allowed", "refused"), METHODS.values(), ids=METHODS)
def test_a_method_that_is_not_there_gets_405_with_the_others(
    shared: Account, path: str, allowed: set[str], refused: tuple[str, ...]
) -> None:
    path = path.format(report=shared.report())
    for method in refused:
        answer = shared.api.request(method, path)
        assert_failure(answer, 405)
        named = {word.strip() for word in answer.headers["allow"].split(",")}
        assert named >= allowed
        assert method not in named


# 1.5
@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "CONNECT", "PROPFIND"])
def test_a_method_that_the_path_does_not_know_gets_405(shared: Account, method: str) -> None:
    answer = shared.api.request(method, "/status_reports")
    assert_failure(answer, 405)
    assert {"GET", "POST"} <= {word.strip() for word in answer.headers["allow"].split(",")}


# 1.5: the HTTP parser refuses unknown methods before any path is looked at
@pytest.mark.parametrize("method", ["FOO", "BREW"])
def test_a_word_that_is_no_method_is_a_400_in_the_same_form(shared: Account, method: str) -> None:
    assert_failure(shared.api.request(method, "/status_reports"), 400)


# 1.5
@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/status_report",
        "/Status_Reports",
        "/status_reports/1/details",
        "/status_reports/1/2/3",
        "/users/me/me",
        "/%00",
        "/%ff",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/" + "a" * 5000,
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_path_gets_404(shared: Account, method: str, path: str) -> None:
    assert_failure(shared.api.request(method, path), 404)


# 1.5
def test_head_is_get_without_the_body(account: Account) -> None:
    path = f"/status_reports/{account.report()}"
    for one in (path, "/status_reports", "/users/me"):
        got, head = account.api.get(one), account.api.head(one)
        assert head.status_code == 200
        assert head.content == b""
        assert head.headers["content-type"] == got.headers["content-type"]
        assert_stamped(head)
    assert account.api.head("/status_reports/0").status_code == 404


UNKNOWN_PARAMETERS = [
    "nobody=1",
    "updater_id=1",
    "description=x",
    "status_report[color]=red",
    "filters[]=x",
    "=x",
    "&&&",
    "x",
    "%00=%00",
    "updated_since=nonsense",
    "PAGE=9",
    "page[]=0",
]


# 1.6
@pytest.mark.parametrize("query", UNKNOWN_PARAMETERS)
def test_unknown_parameters_are_ignored(account: Account, query: str) -> None:
    report_id = account.report()
    answer = account.api.get(f"/status_reports?{query}")
    assert_envelope(answer, "status_reports", [report_id], count=1, page_number=1)


# 1.6
@pytest.mark.parametrize("query", ["page=%ff", "%ff=1", "page=%", "include=%zz", "page[]=%00"])
def test_a_broken_query_is_no_server_error(shared: Account, query: str) -> None:
    assert_no_server_error(shared.api.get(f"/status_reports?{query}"))


# 1.6
def test_the_last_of_a_repeated_parameter_counts(account: Account) -> None:
    first, second = account.report(), account.report(workspace_id=account.workspaces[1])
    spaces = account.workspaces

    def ids(query: str, *expected: str) -> dict:
        return assert_envelope(
            account.api.get(f"/status_reports?{query}"), "status_reports", list(expected)
        )

    ids(f"workspace_id={spaces[0]}&workspace_id={spaces[1]}", second)
    ids(f"only={second}&only={first}", first)
    ids("page=2&per_page=1&page=1", first)
    ids("per_page=1&page=1&per_page=2", first, second)
    ids("limit=2&offset=0&limit=1&offset=1", second)
    ids("order=id:desc&order=id:asc", first, second)
    ids("has_external_references=true&has_external_references=false", first, second)
    ids("created_after=nonsense&created_after=2001-01-01", first, second)
    body = ids("include=creator&include=workspace", first, second)
    assert "workspaces" in body
    assert "users" not in body


# 1.7
@pytest.mark.parametrize("value", ["abc-123", "5e1f6a52-0f8c-4c6b-9d5b-3f6f0ad2f6a1", "A_b.9", "7"])
def test_a_sane_request_id_is_kept(shared: Account, value: str) -> None:
    headers = {"x-request-id": value}
    assert shared.api.get("/users/me", headers=headers).headers["x-request-id"] == value
    failed = shared.api.get("/status_reports/0", headers=headers)
    assert failed.headers["x-request-id"] == value


# 1.7
@pytest.mark.parametrize(
    "value",
    [b"a" * 5000, b"\xff\xfe", "é😀".encode(), b"a\tb", b""],
    ids=["long", "not UTF-8", "not ASCII", "tab", "empty"],
)
def test_an_insane_request_id_is_replaced(shared: Account, value: bytes) -> None:
    answer = shared.api.get("/users/me", headers={"x-request-id": value})
    assert answer.status_code == 200
    assert re.fullmatch(r"[\x21-\x7e]{1,255}", answer.headers["x-request-id"])


# 1.7
def test_each_request_gets_an_id_of_its_own(account: Account) -> None:
    answers = [account.api.get("/users/me") for _ in range(5)]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 5


# 1.7
def test_an_answer_without_a_body_is_stamped_too(account: Account) -> None:
    answer = account.api.delete(f"/status_reports/{account.report()}")
    assert answer.status_code == 204
    assert_stamped(answer)


# 1.7
@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*", "nonsense", ""])
def test_answers_are_json_whatever_is_accepted(shared: Account, accept: str) -> None:
    answer = shared.api.get("/users/me", headers={"accept": accept})
    assert_envelope(answer, "users")


# 1.7
@pytest.mark.parametrize("size", [10_000, 60_000, 70_000, 200_000])
def test_a_long_url_is_answered_in_json(shared: Account, server: Server, size: int) -> None:
    # httpx itself refuses to send more than 65,536 characters.
    connection = HTTPConnection(urlsplit(server.base).netloc, timeout=10)
    headers = {"authorization": f"Bearer {shared.secrets['administrator']}"}
    with contextlib.closing(connection):
        connection.request("GET", f"/api/v1/users/me?nobody={'a' * size}", headers=headers)
        got = connection.getresponse()
        answer = httpx.Response(got.status, headers=got.getheaders(), content=got.read())
    if answer.status_code == 200:
        assert_envelope(answer, "users")
    else:
        assert 400 <= answer.status_code < 500
        assert_failure(answer, answer.status_code)


# 1.5, 1.7
@pytest.mark.parametrize("size", [70_000, 1_000_000])
def test_a_long_header_is_answered_in_json(shared: Account, size: int) -> None:
    answer = shared.api.get("/users/me", headers={"x-nobody": "a" * size})
    if answer.status_code == 200:
        assert_envelope(answer, "users")
    else:
        assert 400 <= answer.status_code < 500
        assert_failure(answer, answer.status_code)


BROKEN_WIRE = {
    "no HTTP": b"GARBAGE\r\n\r\n",
    "leaves in the head": b"GET /api/v1/users/me HTTP/1.1\r\nHost:",
    "leaves in the body": b"{put}Content-Length: 100\r\n\r\n{",
    "leaves in a piece": b"{put}Transfer-Encoding: chunked\r\n\r\nff\r\n{",
    "broken piece": b"{put}Transfer-Encoding: chunked\r\n\r\nzz\r\n{\r\n",
    "two lengths": b"{put}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
    "length below 0": b"{put}Content-Length: -5\r\n\r\n",
    "length is no number": b"{put}Content-Length: abc\r\n\r\n{}",
    "huge length": b"{put}Content-Length: 99999999999999999999999\r\n\r\n{}",
}


# 1.5
@pytest.mark.parametrize("data", BROKEN_WIRE.values(), ids=BROKEN_WIRE)
def test_a_broken_connection_does_no_harm(shared: Account, server: Server, data: bytes) -> None:
    report_id, address = shared.report(), urlsplit(server.base)
    head = (
        f"PUT /api/v1/status_reports/{report_id} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {shared.secrets['administrator']}\r\n"
        "Content-Type: application/json\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(data.replace(b"{put}", head.encode()))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    assert only_record(shared.api.get(f"/status_reports/{report_id}"))["color"] == "green"


# 1.7
def test_answers_are_utf_8(account: Account) -> None:
    report_id = account.report(description="Größe \u2028 😀")
    answer = account.api.get(f"/status_reports/{report_id}")
    assert only_record(answer)["description"] == "Größe \u2028 😀"
    answer.content.decode("utf-8", errors="strict")
