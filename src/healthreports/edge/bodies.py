"""The body of a form, as bytes: of somebody who is not signed in only a short one is read."""

from starlette.requests import Request

from healthreports.core.errors import BodyTooLarge
from healthreports.core.vocabulary import STRANGER_BODY_LIMIT_BYTES


async def stranger_body(request: Request) -> bytes:
    """The body of somebody who has proved nothing yet.

    Raises MalformedBody where it ends too early, and BodyTooLarge, before any of it is read where
    the sender says how long it is.
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
