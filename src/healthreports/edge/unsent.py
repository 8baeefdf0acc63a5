"""Answers that wait to be sent: in pieces as the client reads them, and only so many bytes in all.

The server program would take an answer of any size at once and keep it until it is read. Here a
large one is sent piece by piece, so that the time limit of its request ends it, and all that are
under way share a bound in bytes.
"""

import asyncio
from typing import Final

from starlette.types import Message, Send

from healthreports.core.errors import TooMuchUnsent

# A piece; what is no larger needs no place in the bound.
PIECE_BYTES: Final = 128 * 1024


class Unsent:
    """The answers under way, of `limit_bytes` in all; one alone may be larger than that."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._less = asyncio.Condition()

    async def send(self, send: Send, start: Message | None, body: Message) -> None:
        """Send a large part of an answer; `start` comes before it where it is the first.

        Raises TooMuchUnsent for a first part that there is no room for. A later one waits.
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
