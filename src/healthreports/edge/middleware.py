"""The outermost middleware: request ids, durations, time and size limits, error answers.

It catches every exception, since no code outside it could answer one. Contract: 1.1, 1.7, 6.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from itertools import count
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from healthreports.contract.failure import is_expected
from healthreports.contract.operations import BASE, SUFFIX
from healthreports.core.errors import (
    BodyTooLarge,
    MalformedBody,
    ServerStopping,
    StorageUnavailable,
    TooManyRequests,
    Unauthenticated,
)
from healthreports.edge.deadlines import Deadlines
from healthreports.edge.unsent import PIECE_BYTES, Unsent
from healthreports.logs import RequestLine, RequestLog
from healthreports.service.gateway import asker
from healthreports.service.limits import Limits

log: Final = structlog.stdlib.get_logger("healthreports")
# The shortest time between two warnings in the log about too many requests.
_SAID_EVERY_S: Final = 10.0

# A request id that the caller may choose: it is safe in a header and in a line of the log.
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_TOO_MANY: Final = 429
_WITHOUT_BODY: Final = ("GET", "HEAD")
# Ids are unique by process and number. Random bits would need a system call for each id.
_PROCESS: Final = secrets.token_hex(8).encode()
_numbers: Final = count(1)


Refuse = Callable[[Scope, Exception], ASGIApp]
# Called for each answer: with the name of the operation or None, the status, and the seconds.
Count = Callable[[str | None, int, float], None]


class Edge:
    """Wraps the router.

    `refuse` makes the answer for an exception. A request that takes longer than `time_limit_s` gets
    a 504. A request with a body over `body_limit_bytes` gets a 413. `unsent_limit_bytes` is how
    much of all large answers together may wait to be read. `count` is called for each answer.
    """

    def __init__(  # noqa: PLR0917  all that the edge needs
        self,
        app: ASGIApp,
        refuse: Refuse,
        limits: Limits,
        time_limit_s: float,
        body_limit_bytes: int,
        unsent_limit_bytes: int,
        *,
        access_log: RequestLog | None,
        count: Count | None = None,
    ) -> None:
        self._app = app
        self._refuse = refuse
        self._limits = limits
        self._body_limit_bytes = body_limit_bytes
        self._deadlines = Deadlines(time_limit_s)
        self._unsent = Unsent(unsent_limit_bytes)
        self._access_log = access_log
        self._count = count
        self._too_many, self._said_at = 0, float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        answer = _Answering(send, self._unsent, _request_id(scope))
        scope["request_id"] = answer.request_id
        scope["deadlines"] = self._deadlines  # so that a long request can renew its limit
        if scope["method"] not in _WITHOUT_BODY:
            receive = _limited(scope, receive, self._body_limit_bytes)
        if path.startswith(BASE) and path.endswith((SUFFIX, "/")):
            scope = {**scope, "path": path.removesuffix("/").removesuffix(SUFFIX)}
        try:
            with self._deadlines:
                await self._app(scope, receive, answer.send)
        except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001  the outermost handler
            # uvicorn cancels the requests that still run when its time to stop is over.
            error = ServerStopping() if isinstance(raised, asyncio.CancelledError) else raised
            _note(error, answer.request_id)
            if answer.status:  # the answer has begun: cut it off
                scope["abort"]()
                await asyncio.sleep(0)  # so that uvicorn notices the abort
                return
            refused = await self._or_too_many(scope, error)
            refusal = self._refuse(scope, refused)
            await refusal(scope, receive, answer.send)
        if answer.status == _TOO_MANY:  # pages answer with it too
            self._count_too_many(scope)
        if self._count is None and self._access_log is None:
            return
        seconds = time.perf_counter() - answer.started
        if self._count is not None:
            self._count(scope.get("operation"), answer.status, seconds)
        if self._access_log is not None:
            self._access_log.add(_line_of(scope, path, answer, seconds))

    def _count_too_many(self, scope: Scope) -> None:
        """Log at times that there are too many requests, without a line for each."""
        self._too_many += 1
        if time.monotonic() - self._said_at > _SAID_EVERY_S:
            log.warning("too many requests", refused=self._too_many, address=address_of(scope))
            self._said_at, self._too_many = time.monotonic(), 0

    async def _or_too_many(self, scope: Scope, error: Exception) -> Exception:
        """`error`, or TooManyRequests if the caller came without a valid token too often."""
        if isinstance(error, Unauthenticated):
            try:
                await self._limits.admit_stranger(address_of(scope))
            except TooManyRequests as too_many:
                return too_many
        return error


def _line_of(scope: Scope, path: str, answer: "_Answering", seconds: float) -> RequestLine:
    """The line in the log for a request that was answered."""
    actor, client = asker.get(), scope["client"]
    shown = path if path.isascii() and path.isprintable() else _escaped(path)
    operation = scope.get("operation")
    if operation is None and "endpoint" in scope:  # a path that exists, without an id
        operation = f"{scope['method']} {shown}"
    return RequestLine(
        answer.request_id.decode(),
        scope["method"],
        shown,
        operation,
        answer.status,
        int(seconds * 10_000) / 10,
        None if actor is None else actor.user_id,
        None if actor is None else actor.token_id,
        client[0] if client else "",
    )


def _escaped(path: str) -> str:
    return path.encode("unicode_escape").decode()


class _Answering:
    """Sends one answer, and adds the headers that every answer has.

    The start of an answer is held back until its body begins and there is room for that. `status`
    is 0 until then.
    """

    __slots__ = ("_held", "_send", "_unsent", "request_id", "started", "status")

    def __init__(self, send: Send, unsent: Unsent, request_id: bytes) -> None:
        self._send = send
        self._unsent = unsent
        self._held: Message | None = None
        self.request_id = request_id
        self.started = time.perf_counter()
        self.status = 0

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self._held = message
            return
        start, self._held = self._held, None
        if start is not None:
            runtime = time.perf_counter() - self.started
            start["headers"] = [
                *start["headers"],
                (b"x-request-id", self.request_id),
                (b"x-runtime", b"%.6f" % runtime),
            ]
        if len(message.get("body", b"")) > PIECE_BYTES:
            await self._unsent.send(self._send_part, start, message)
            return
        if start is not None:
            self.status = start["status"]
            await self._send(start)
        await self._send(message)

    async def _send_part(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def address_of(scope: Scope) -> str:
    """The address of the client, as uvicorn knows it; empty if there is none."""
    return scope["client"][0] if scope["client"] else ""


def _limited(scope: Scope, receive: Receive, limit: int) -> Receive:
    """Wrap `receive`, so that a body that is incomplete or over `limit` bytes raises an error.

    Raises MalformedBody if the body ends too early, and BodyTooLarge. If the caller states the
    length, BodyTooLarge is raised before the body is received. Contract: 1.5.
    """
    size = 0
    more = True

    async def receive_some() -> Message:
        nonlocal size, more
        if not more:  # after the body, the caller may disconnect
            return await receive()
        if not size and _length(scope) > limit:
            raise BodyTooLarge(limit)
        message = await receive()
        if message["type"] == "http.disconnect":
            # A request that arrived completely is carried out, even if its client has left.
            left: bytes | None = scope.get("body_at_end")
            if left is None:
                raise MalformedBody("it ended too early")
            message = {"type": "http.request", "body": left, "more_body": False}
        size += len(message.get("body", b""))
        if size > limit:
            raise BodyTooLarge(limit)
        more = message.get("more_body", False)
        return message

    return receive_some


def _length(scope: Scope) -> int:
    """The length of the body in bytes, as its sender states; the server has checked the number."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return bytes(value)
    return b"%b-%x" % (_PROCESS, next(_numbers))


def _note(error: Exception, request_id: bytes) -> None:
    if isinstance(error, StorageUnavailable):
        says = " ".join(str(error.__cause__ or error).split())
        log.error("storage unavailable", id=request_id.decode(), says=says)
    elif not is_expected(error):
        log.error("unexpected error", id=request_id.decode(), exc_info=error)
