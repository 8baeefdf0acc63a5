"""Streams a list of any length in pieces, so that memory use does not grow with its length.

Each piece is a separate read, with the permissions at that moment. So a stream is not a snapshot,
but a report that exists during the whole stream is in it exactly once. If something fails, the
connection is closed before the end of the stream, so the client knows that it is incomplete.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.responses import StreamingResponse

Piece = tuple[bytes, bool]


async def streamed(
    media_type: str, name: str, next_piece: Callable[[], Awaitable[Piece]], *, with_body: bool
) -> StreamingResponse:
    """The response with the pieces that `next_piece` returns, as a download called `name`.

    `next_piece` returns a piece, and whether there may be more.

    The first piece is read before the response begins, so an error in it still gets an error
    answer.
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
