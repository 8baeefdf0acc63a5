"""A list of any length as a stream, in pieces, so that memory does not grow with its length.

Each piece is a read of its own, with the permissions of that moment. So a stream is not a snapshot,
but a report that exists all the time is in it exactly once. Where something fails, the connection
ends before the end of the stream, and the client knows that it is not complete.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.responses import StreamingResponse

Piece = tuple[bytes, bool]


async def streamed(
    media_type: str, name: str, next_piece: Callable[[], Awaitable[Piece]], *, with_body: bool
) -> StreamingResponse:
    """The response, to be kept as `name`, of the pieces that `next_piece` gives.

    Each piece comes with whether there may be more.

    The first is asked for before the response begins: what it raises is an answer of its own.
    """
    first, more = await next_piece()

    async def pieces() -> AsyncIterator[bytes]:
        yield first
        goes_on = more
        while goes_on:
            piece, goes_on = await next_piece()
            yield piece

    headers = {
        "cache-control": "no-store",
        "content-disposition": f'attachment; filename="{name}"',
        "content-security-policy": "default-src 'none'",
    }
    body = pieces() if with_body else _nothing()
    return StreamingResponse(body, media_type=media_type, headers=headers)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield
