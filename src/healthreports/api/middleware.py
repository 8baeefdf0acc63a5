"""The outer edge of every request: its id and duration, the time limit, and errors as answers.

The only place that catches every exception, since it is the last that can answer one.
Follows sections 1.1, 1.7 and 6.
"""

import logging
import re
import secrets
import time
from itertools import count
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from healthreports.api.answer import Answer
from healthreports.api.deadlines import Deadlines
from healthreports.contract.failure import failure_of, is_expected
from healthreports.contract.operations import BASE, SUFFIX
from healthreports.core.errors import StorageUnavailable

log: Final = logging.getLogger("healthreports")

# What a caller's own request id may be, so that it can stand in a header and a log line as it is.
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
# Ids are unique by process and number: random bits for each would be a system call for each.
_PROCESS: Final = secrets.token_hex(8).encode()
_numbers: Final = count(1)


class Edge:
    """Wraps the router. `time_limit_s` is how long a request may take before it is a 504."""

    def __init__(self, app: ASGIApp, time_limit_s: float, *, access_log: bool) -> None:
        self._app = app
        self._deadlines = Deadlines(time_limit_s)
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        status = 0

        async def stamped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                runtime = time.perf_counter() - started
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id),
                    (b"x-runtime", b"%.6f" % runtime),
                ]
            await send(message)

        path = scope["path"]
        if path.endswith(SUFFIX) and path.startswith(BASE):
            scope = {**scope, "path": path.removesuffix(SUFFIX)}
        try:
            with self._deadlines:
                await self._app(scope, receive, stamped)
        except Exception as error:  # the edge: whatever it is, the caller gets an answer
            _note(error, request_id)
            if status:  # the answer is under way; the server closes the connection
                raise
            await Answer.of_failure(failure_of(error))(scope, receive, stamped)
        if self._access_log:
            log.info(
                "%s %s %d %.1f ms id=%s",
                scope["method"],
                path.encode("unicode_escape").decode(),
                status,
                (time.perf_counter() - started) * 1000,
                request_id.decode(),
            )


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return bytes(value)
    return b"%b-%x" % (_PROCESS, next(_numbers))


def _note(error: Exception, request_id: bytes) -> None:
    if isinstance(error, StorageUnavailable):
        log.error("storage unavailable id=%s: %s", request_id.decode(), error.__cause__)
    elif not is_expected(error):
        log.error("unexpected error id=%s", request_id.decode(), exc_info=error)
