import json
from collections.abc import Iterator

import httpx
import pytest
from sharing import open_account

from conftest import Account, Server
from expect import assert_envelope, assert_failure, only_record
from healthreports.store.engine.database import Database

# Requests are checked before a store is used, so one store is enough.
pytestmark = pytest.mark.one_store

LEFT_OUT = object()
REFERENCE = {"service_name": "tracker", "service_model": "Issue", "service_model_ref": "1"}


@pytest.fixture(scope="module")
def shared(server: Server, database: Database) -> Iterator[Account]:
    with open_account(server, database) as account:
        yield account


def whole(account: Account, **changed: object) -> dict:
    """A valid body with these changes; LEFT_OUT removes an attribute."""
    sent = {"workspace_id": account.workspaces[0], "color": "red", "description": "x", **changed}
    return {"status_report": {name: value for name, value in sent.items() if value is not LEFT_OUT}}


def send(account: Account, method: str, body: dict) -> httpx.Response:
    """Create a report, or update a new one; non-ASCII characters are sent as escapes."""
    path = "/status_reports" if method == "POST" else f"/status_reports/{account.report()}"
    headers = {"content-type": "application/json"}
    return account.api.request(method, path, content=json.dumps(body), headers=headers)


def reports(account: Account) -> dict:
    return account.api.get("/status_reports?per_page=200&include=external_references").json()


# 5.2, 5.6
@pytest.mark.parametrize(
    "names",
    [
        ("workspace_id",),
        ("color",),
        ("description",),
        ("color", "description"),
        ("workspace_id", "color", "description"),
    ],
    ids="+".join,
)
def test_create_names_each_attribute_that_is_missing(
    account: Account, names: tuple[str, ...]
) -> None:
    answer = send(account, "POST", whole(account, **dict.fromkeys(names, LEFT_OUT)))
    assert_failure(answer, 422, "validation", *names)
    assert_envelope(account.api.get("/status_reports"), "status_reports", [], count=0)


# 5.2, 5.6
def test_create_of_an_empty_root_names_all_that_is_required(shared: Account) -> None:
    answer = send(shared, "POST", {"status_report": {}})
    assert_failure(answer, 422, "validation", "workspace_id", "color", "description")


# 5.6
def test_a_wrong_color_is_told_in_these_words(shared: Account) -> None:
    for method in ("POST", "PUT", "PATCH"):
        answer = send(shared, method, whole(shared, color="blue"))
        assert assert_failure(answer, 422, "validation", "color") == [
            {
                "type": "validation",
                "message": "Color must be green, yellow or red",
                "field": "color",
            }
        ]


NO_COLORS = [
    "",
    " ",
    "blue",
    "Red",
    "RED",
    "red ",
    " red",
    "red\n",
    "gr\u0435en",
    "\ud800",
    "re\0d",
]
NOT_TEXT = [None, 1, 0, True, 1.5, [], {}, ["red"], {"red": "red"}, 10**30]


# 5.6, 3.1
@pytest.mark.parametrize("color", [*NO_COLORS, *NOT_TEXT], ids=repr)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_color_is_one_of_three(shared: Account, method: str, color: object) -> None:
    answer = send(shared, method, whole(shared, color=color))
    assert_failure(answer, 422, "validation", "color")


# 5.6, 3.1
@pytest.mark.parametrize("color", [*NO_COLORS, *NOT_TEXT], ids=repr)
def test_the_color_of_a_detail_is_one_of_three(shared: Account, color: object) -> None:
    details = [{"category": "Scope", "color": "red"}, {"category": "Budget", "color": color}]
    answer = send(shared, "POST", whole(shared, details=details))
    assert_failure(answer, 422, "validation", "details[1].color")


# 5.6, 5.7
@pytest.mark.parametrize("value", ["", " ", "\n\t ", None, [], {}, ["x"], True], ids=repr)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_description_is_a_text_that_is_not_blank(
    shared: Account, method: str, value: object
) -> None:
    answer = send(shared, method, whole(shared, description=value))
    assert_failure(answer, 422, "validation", "description")


# 5.2
@pytest.mark.parametrize(
    "value",
    ["0", 0, -1, "abc", "1abc", "1.5", 1.5, "", None, True, [], {}, 10**30, "9" * 400, "\ud800"],
    ids=lambda value: repr(value)[:20],
)
def test_a_workspace_that_is_not_there_gets_422(shared: Account, value: object) -> None:
    answer = send(shared, "POST", whole(shared, workspace_id=value))
    assert_failure(answer, 422, "validation", "workspace_id")


BAD_DETAILS = {
    "no array": ("Scope", ["details"]),
    "number": (1, ["details"]),
    "true": (True, ["details"]),
    "element is text": (["Scope"], ["details[0]"]),
    "element is null": ([None], ["details[0]"]),
    "element is an array": ([[]], ["details[0]"]),
    "empty element": ([{}], ["details[0].category", "details[0].color"]),
    "no category": ([{"color": "red"}], ["details[0].category"]),
    "no color": ([{"category": "Scope"}], ["details[0].color"]),
    "description is no text": (
        [{"category": "Scope", "color": "red", "description": [1]}],
        ["details[0].description"],
    ),
    "one of four is wrong": (
        [
            {"category": "Scope", "color": "red"},
            {"category": "Budget", "color": "red"},
            {"category": "Schedule", "color": "pink"},
            {"category": "Client", "color": "red"},
        ],
        ["details[2].color"],
    ),
    "three are wrong": (
        [
            {"category": "Scope", "color": "pink"},
            {"category": "Weather", "color": "red"},
            {"category": "Other", "color": "blue", "description": "x" * 10_001},
        ],
        [
            "details[0].color",
            "details[1].category",
            "details[2].category",
            "details[2].color",
            "details[2].description",
        ],
    ),
}


# 5.2, 5.6
@pytest.mark.parametrize(("details", "fields"), BAD_DETAILS.values(), ids=BAD_DETAILS)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_faults_of_details_name_the_element(
    shared: Account, method: str, details: object, fields: list[str]
) -> None:
    answer = send(shared, method, whole(shared, details=details))
    assert_failure(answer, 422, "validation", *fields)


# 5.2
@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("color", ["red", "green"])
def test_one_detail_a_category_at_most(shared: Account, method: str, color: str) -> None:
    details = [
        {"category": "Scope", "color": "red"},
        {"category": "Budget", "color": "red"},
        {"category": "Scope", "color": color},
    ]
    answer = send(shared, method, whole(shared, details=details))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["type"] == "validation"
    assert error["field"].startswith("details")


# 5.2, 5.6
def test_faults_of_details_in_a_form_name_the_element(shared: Account) -> None:
    form = {
        "status_report[details][][category]": ["Scope", "Weather"],
        "status_report[details][][color]": ["red", "pink"],
    }
    body = "&".join(f"{name}={values[place]}" for place in (0, 1) for name, values in form.items())
    answer = shared.api.put(
        f"/status_reports/{shared.report()}",
        content=body,
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert_failure(answer, 422, "validation", "details[1].category", "details[1].color")


BAD_REFERENCES = {
    "no object": ("tracker", ["external_reference"]),
    "array": ([REFERENCE], ["external_reference"]),
    "number": (1, ["external_reference"]),
    "empty": ({}, [f"external_reference.{name}" for name in REFERENCE]),
    "no service name": (
        {**REFERENCE, "service_name": None},
        ["external_reference.service_name"],
    ),
    "blank service name": (
        {**REFERENCE, "service_name": " "},
        ["external_reference.service_name"],
    ),
    "blank service model": (
        {**REFERENCE, "service_model": ""},
        ["external_reference.service_model"],
    ),
    "no ref": (
        {"service_name": "a", "service_model": "b"},
        ["external_reference.service_model_ref"],
    ),
    "ref is an object": (
        {**REFERENCE, "service_model_ref": {}},
        ["external_reference.service_model_ref"],
    ),
    "link and message": (
        {**REFERENCE, "external_link": "x", "external_message": "m" * 2001},
        ["external_reference.external_link", "external_reference.external_message"],
    ),
    "locked is no boolean": ({**REFERENCE, "locked": "maybe"}, ["external_reference.locked"]),
}


# 5.2, 5.4, 5.6
@pytest.mark.parametrize(("reference", "fields"), BAD_REFERENCES.values(), ids=BAD_REFERENCES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_faults_of_a_reference_name_its_attributes(
    shared: Account, method: str, reference: object, fields: list[str]
) -> None:
    answer = send(shared, method, whole(shared, external_reference=reference))
    assert_failure(answer, 422, "validation", *fields)


# 5.6
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_all_faults_are_told_at_once(shared: Account, method: str) -> None:
    body = whole(
        shared,
        color="blue",
        description=" ",
        details=[{"category": "Scope", "color": "blue"}, {"color": "red"}],
        external_reference={"service_name": "a", "external_link": "ftp://x"},
    )
    fields = [
        "color",
        "description",
        "details[0].color",
        "details[1].category",
        "external_reference.service_model",
        "external_reference.service_model_ref",
        "external_reference.external_link",
    ]
    assert_failure(send(shared, method, body), 422, "validation", *fields)


# 5.6, 5.2
def test_an_unknown_workspace_is_told_with_the_other_faults(shared: Account) -> None:
    answer = send(shared, "POST", whole(shared, workspace_id="0", color="blue"))
    assert_failure(answer, 422, "validation", "workspace_id", "color")


FAULTS = {
    "color": {"color": "blue"},
    "description": {"description": ""},
    "long description": {"description": "x" * 50_001},
    "details": {"details": [{"category": "Scope", "color": "blue"}]},
    "second detail": {
        "details": [{"category": "Client", "color": "red"}, {"category": "x", "color": "red"}]
    },
    "same category": {"details": [{"category": "Client", "color": "red"}] * 2},
    "reference": {"external_reference": {"service_name": "other"}},
    "link": {
        "external_reference": {**REFERENCE, "service_model_ref": "2", "external_link": "ftp://x"}
    },
    "NUL": {"description": "a\0b"},
    "surrogate": {"external_reference": {**REFERENCE, "external_message": "\ud800"}},
}
RIGHT = {
    "color": "red",
    "description": "New",
    "details": [{"category": "Budget", "color": "red"}],
    "external_reference": {**REFERENCE, "service_name": "new"},
}


# 5.6
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_nothing_is_stored_when_anything_is_wrong(account: Account, fault: dict) -> None:
    report_id = account.report(
        details=[{"category": "Scope", "color": "green"}], external_reference=REFERENCE
    )
    before = reports(account)
    body = {"status_report": {**RIGHT, **fault}}
    for method in ("PUT", "PATCH"):
        path = f"/status_reports/{report_id}"
        headers = {"content-type": "application/json"}
        answer = account.api.request(method, path, content=json.dumps(body), headers=headers)
        assert answer.status_code == 422, answer.text
        assert reports(account) == before
    body["status_report"]["workspace_id"] = account.workspaces[0]
    assert send(account, "POST", body).status_code == 422
    assert reports(account) == before
    listed = account.api.get("/external_references?subject_type=StatusReport")
    assert_envelope(listed, "external_references", count=1)


# The fields for text: how to send one, its name in errors, its limit.
def of_detail(text: object) -> dict:
    return {"details": [{"category": "Scope", "color": "red", "description": text}]}


def of_reference(name: str):
    return lambda text: {"external_reference": {**REFERENCE, name: text}}


PLACES = {
    "description": (lambda text: {"description": text}, "description", 50_000),
    "detail": (of_detail, "details[0].description", 10_000),
    **{
        name: (of_reference(name), f"external_reference.{name}", limit)
        for name, limit in {
            "service_name": 255,
            "service_model": 255,
            "service_model_ref": 255,
            "external_message": 2000,
        }.items()
    },
}


def stored(account: Account, answer: httpx.Response, place: str) -> str:
    """The text that a later request returns."""
    report_id = only_record(answer)["id"]
    later = account.api.get(f"/status_reports/{report_id}?include=external_references")
    record = only_record(later)
    if place == "description":
        return record["description"]
    if place == "detail":
        return record["details"][0]["description"]
    (reference,) = later.json()["external_references"].values()
    return reference[place]


# 5.7
@pytest.mark.parametrize("letter", ["a", "é", "\u4e2d", "😀"], ids=["1", "2", "3", "4"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_text_has_its_limit_in_characters(
    shared: Account, method: str, place: str, letter: str
) -> None:
    make, field, limit = PLACES[place]
    answer = send(shared, method, whole(shared, **make(letter * limit)))
    assert stored(shared, answer, place) == letter * limit
    over = send(shared, method, whole(shared, **make(letter * (limit + 1))))
    (error,) = assert_failure(over, 422, "validation", field)
    assert letter * 300 not in error["message"]


# 5.7
def test_a_description_is_measured_after_trimming(shared: Account) -> None:
    blanks = " \n\t"
    for text in ("x", "x" * 50_000):
        answer = send(shared, "PUT", whole(shared, description=f"{blanks}{text}{blanks}"))
        assert stored(shared, answer, "description").strip() == text
    inside = "x" + " " * 49_999 + "x"
    answer = send(shared, "PUT", whole(shared, description=inside))
    assert_failure(answer, 422, "validation", "description")


# 5.7
def test_a_link_has_2000_characters_at_most(shared: Account) -> None:
    link = "https://example.org/".ljust(2000, "a")
    answer = send(shared, "PUT", whole(shared, **of_reference("external_link")(link)))
    assert stored(shared, answer, "external_link") == link
    answer = send(shared, "PUT", whole(shared, **of_reference("external_link")(link + "a")))
    assert_failure(answer, 422, "validation", "external_reference.external_link")


BROKEN = {
    "NUL": "a\0b",
    "NUL alone": "\0",
    "high surrogate": "a\ud83d",
    "low surrogate": "\ude00b",
    "pair the wrong way round": "\ude00\ud83d",
    "surrogate after a pair": "😀\ud83d",
}


# 5.7
@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_nul_and_lone_surrogates_get_422(
    shared: Account, method: str, place: str, text: str
) -> None:
    make, field, _ = PLACES[place]
    answer = send(shared, method, whole(shared, **make(text)))
    assert_failure(answer, 422, "validation", field)


# 5.7
@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_category_or_link_gets_422(shared: Account, text: str) -> None:
    details = [{"category": f"Scope{text}", "color": "red"}]
    answer = send(shared, "POST", whole(shared, details=details))
    assert_failure(answer, 422, "validation", "details[0].category")
    link = of_reference("external_link")(f"https://example.org/{text}")
    answer = send(shared, "POST", whole(shared, **link))
    assert_failure(answer, 422, "validation", "external_reference.external_link")


# 5.7
@pytest.mark.parametrize("place", ["description", "external_message"])
def test_a_pair_of_surrogates_is_one_character(shared: Account, place: str) -> None:
    make, _, _ = PLACES[place]
    answer = send(shared, "POST", whole(shared, **make("\ud83d\ude00")))
    assert stored(shared, answer, place) == "😀"


# 5.7, 1.5
def test_nul_in_a_form_gets_422(shared: Account) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    path = f"/status_reports/{shared.report()}"
    form = "status_report[description]=a%00b"
    answer = shared.api.put(path, content=form, headers=headers)
    assert_failure(answer, 422, "validation", "description")
    form = "status_report[description]=%ED%A0%80"
    assert_failure(shared.api.put(path, content=form, headers=headers), 400)


# 5.6
def test_an_error_does_not_repeat_a_long_value(shared: Account) -> None:
    for body in (whole(shared, color="b" * 100_000), whole(shared, workspace_id="b" * 100_000)):
        assert len(send(shared, "POST", body).content) < 2000
