"""Assertions about answers for all tests: one form of success, one form of failure."""

from typing import Any

import httpx

SIZE = 20


def assert_envelope(
    response: httpx.Response, key: str, ids: list[str] | None = None, **meta: int
) -> dict[str, Any]:
    """Assert a valid envelope of `key`, with `ids` and `meta` as given. Returns its JSON."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert_stamped(response)
    body = response.json()
    assert isinstance(body["count"], int)
    assert list(body["meta"]) == ["count", "page_count", "page_number", "page_size"]
    assert body["meta"]["count"] == body["count"]
    assert body["meta"]["page_count"] == -(-body["count"] // body["meta"]["page_size"])
    for result in body["results"]:
        assert result == {"key": key, "id": result["id"]}
        assert body[key][result["id"]]["id"] == result["id"]
    assert set(body[key]) >= {result["id"] for result in body["results"]}
    if ids is not None:
        assert [result["id"] for result in body["results"]] == ids
    for name, value in meta.items():
        assert body["meta"][name] == value, name
    return body


def assert_failure(
    response: httpx.Response, status: int, kind: str = "system", *fields: str
) -> list[dict[str, str]]:
    """Assert a failure in the contract's form, for these fields. Returns its errors."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert_stamped(response)
    body = response.json()
    assert list(body) == ["errors"]
    errors = body["errors"]
    assert errors
    for error in errors:
        assert error["type"] == kind
        assert error["message"]
        assert set(error) == ({"type", "message", "field"} if fields else {"type", "message"})
    if fields:
        assert sorted(error["field"] for error in errors) == sorted(fields)
    return errors


def assert_stamped(response: httpx.Response) -> None:
    """Assert that an answer has an id and states how long it took."""
    assert response.headers["x-request-id"]
    assert float(response.headers["x-runtime"]) >= 0


def only_record(response: httpx.Response, key: str = "status_reports") -> dict[str, Any]:
    """The one record of a show, create or update."""
    body = assert_envelope(response, key, count=1, page_count=1, page_number=1, page_size=SIZE)
    return body[key][body["results"][0]["id"]]
