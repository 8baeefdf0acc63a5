"""Reads the body of a form from a caller who is not signed in: only a short one, as bytes."""

from starlette.requests import Request

from healthreports.core.errors import BodyTooLarge
from healthreports.core.vocabulary import STRANGER_BODY_LIMIT_BYTES


async def stranger_body(request: Request) -> bytes:
    """The body of a request from a caller who is not authenticated yet.

    Raises MalformedBody if the body ends too early, and BodyTooLarge. If the sender states the
    length, BodyTooLarge is raised before any of the body is read.
    """
    limit = STRANGER_BODY_LIMIT_BYTES
    if int(request.headers.get("content-length", "0")) > limit:
        raise BodyTooLarge(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(limit)
        chunks.append(chunk)
    return b"".join(chunks)
