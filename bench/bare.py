"""The peer `bare`: an ASGI application that only sends, as fast as the server program can.

It sends response bodies of our server, which `run.py` saved in the folder BENCH_BARE_BODIES, with
as many headers as ours. It checks no token and uses no database, no routing and no JSON.
"""

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

_FOLDER = Path(os.environ["BENCH_BARE_BODIES"])


def _answer(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    body = (_FOLDER / name).read_bytes()
    headers = [
        (b"cache-control", b"private, no-cache"),
        (b"vary", b"Authorization"),
        (b"etag", b'"00000000-000000000000000000000000"'),
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", b"0" * 32),
        (b"x-runtime", b"0.000000"),
    ]
    return (
        {"type": "http.response.start", "status": 200, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


_GET_ONE = _answer("get-one")
# By path and query string.
_LISTS = {
    tuple(asked): _answer(name)
    for name, asked in json.loads((_FOLDER / "lists.json").read_text()).items()
}


async def app(
    scope: dict[str, Any],
    _receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    asked = scope["path"], scope["query_string"].decode()
    start, body = _LISTS.get(asked, _GET_ONE)
    await send(start)
    await send(body)
