"""Clients that hang up, send without end, or send what no client should."""

import socket
from contextlib import closing
from urllib.parse import quote, urlsplit

import pytest

from conftest import Account, Server
from expect import assert_envelope, assert_failure

# Requests are read before a store is used, so one store is enough.
pytestmark = pytest.mark.one_store


def open_to(server: Server) -> socket.socket:
    address = urlsplit(server.base)
    return socket.create_connection((address.hostname, address.port), timeout=10)


# 1.5, 5.6
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_form_that_is_cut_short_stores_nothing(
    server: Server, account: Account, method: str
) -> None:
    report_id = account.report(description="Before.")
    form = (
        f"status_report[workspace_id]={account.workspaces[0]}&status_report[color]=red"
        "&status_report[description]=Do not pay the supplier"
    ).replace(" ", "+")
    path = "/api/v1/status_reports" + (f"/{report_id}" if method == "PUT" else "")
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: x\r\n"
        f"authorization: Bearer {account.secrets['administrator']}\r\n"
        f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(form)}\r\n\r\n"
    )
    with closing(open_to(server)) as connection:
        connection.sendall((head + form[:-13]).encode())
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)
    answer = account.api.get("/status_reports")
    body = assert_envelope(answer, "status_reports", [report_id], count=1)
    assert body["status_reports"][report_id]["description"] == "Before."


# 1.3
@pytest.mark.parametrize("charset", ["foo", "base64", "punycode", "latin-1"])
def test_a_part_of_another_charset_is_a_400(account: Account, charset: str) -> None:
    body = (
        '--b\r\ncontent-disposition: form-data; name="status_report[description]"\r\n'
        f"content-type: text/plain; charset={charset}\r\n\r\nText\r\n--b--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert_failure(account.api.post("/status_reports", content=body, headers=headers), 400)


def taken_of(connection: socket.socket, piece: bytes, most: int = 8 * 1024 * 1024) -> int:
    """How many bytes of an endless request the server reads before it closes the connection."""
    taken = 0
    try:
        while taken < most:
            taken += connection.send(piece)
    except ConnectionError:
        return taken
    pytest.fail(f"the server took {taken:,} bytes")


@pytest.mark.parametrize("line", [b"x: " + b"a" * 1000, b"x: a"], ids=["long", "short"])
def test_headers_that_never_end_are_cut_off(server: Server, line: bytes) -> None:
    with closing(open_to(server)) as connection:
        connection.sendall(b"GET /api/v1/users/me HTTP/1.1\r\n")
        assert taken_of(connection, (line + b"\r\n") * 64)


def test_trailers_that_never_end_are_cut_off(server: Server) -> None:
    with closing(open_to(server)) as connection:
        connection.sendall(
            b"POST /api/v1/status_reports HTTP/1.1\r\nhost: x\r\n"
            b"transfer-encoding: chunked\r\n\r\n0\r\n"
        )
        assert taken_of(connection, b"x: " + b"a" * 4096 + b"\r\n")


def test_many_requests_in_one_piece_are_all_answered(server: Server, account: Account) -> None:
    request = (
        f"GET /api/v1/users/me HTTP/1.1\r\nhost: x\r\nx-padding: {'p' * 900}\r\n"
        f"authorization: Bearer {account.secrets['viewer']}\r\n\r\n"
    ).encode()
    wanted, answers = 150, b""
    with closing(open_to(server)) as connection:
        connection.sendall(request * wanted)
        while answers.count(b"HTTP/1.1 200 ") < wanted:
            chunk = connection.recv(65536)
            assert chunk, answers[-300:]
            answers += chunk


# 4.6
def test_a_filter_reads_escaped_utf8(account: Account) -> None:
    reference = {"service_name": "café", "service_model": "m", "service_model_ref": "r"}
    report_id = account.report(external_reference=reference)
    path = f"/status_reports?external_reference_service_name={quote('café')}"
    assert_envelope(account.api.get(path), "status_reports", [report_id])


# 4.6
def test_at_most_200_workspaces_can_be_named(account: Account) -> None:
    few = ",".join(["1"] * 199 + [account.workspaces[0]])
    report_id = account.report()
    answer = account.api.get(f"/status_reports?workspace_id={few}")
    assert_envelope(answer, "status_reports", [report_id])
    [error] = assert_failure(account.api.get(f"/status_reports?workspace_id={few},2"), 400)
    assert "workspace_id" in error["message"]


# 1.5
def test_a_large_body_of_nothing_is_read_off_the_loop_and_refused(account: Account) -> None:
    headers = {"content-type": "application/json"}
    body = b"[" + b"[]," * 300_000 + b"[]]"
    assert_failure(account.api.post("/status_reports", content=body, headers=headers), 400)
