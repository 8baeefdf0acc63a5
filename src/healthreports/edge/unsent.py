"""Back-pressure for large answers: sent in pieces, with a limit on the bytes that wait.

uvicorn would accept an answer of any size at once and buffer it until the client has read it. Here
a large answer is sent in pieces, so that the time limit of its request applies to it. All large
answers that are being sent share one limit in bytes.
"""

import asyncio
from typing import Final

from starlette.types import Message, Send

from healthreports.core.errors import TooMuchUnsent

# The size of a piece. A part of an answer up to this size does not count towards the limit.
PIECE_BYTES: Final = 128 * 1024


class Unsent:
    """The large answers being sent, up to `limit_bytes` together; a single one may be larger."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._less = asyncio.Condition()

    async def send(self, send: Send, start: Message | None, body: Message) -> None:
        """Send a large part of an answer, after `start` if it is the first part.

        Raises TooMuchUnsent if there is no room for a first part. A later part waits for room.
        """
        data: bytes = body["body"]
        async with self._less:
            if start is not None and not self._has_room(len(data)):
                raise TooMuchUnsent
            await self._less.wait_for(lambda: self._has_room(len(data)))
            self._bytes += len(data)
        try:
            if start is not None:
                await send(start)
            for begin in range(0, len(data), PIECE_BYTES):
                end = begin + PIECE_BYTES
                more = end < len(data) or body.get("more_body", False)
                await send({**body, "body": data[begin:end], "more_body": more})
        finally:
            self._bytes -= len(data)
            async with self._less:
                self._less.notify_all()

    def _has_room(self, size: int) -> bool:
        return not self._bytes or self._bytes + size <= self._limit_bytes
