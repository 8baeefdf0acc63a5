"""PDF documents, cached by their content: two are drawn at a time, and the cache size is limited.

Drawing a long report takes seconds of CPU time, and anybody with a share link may request it.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from healthreports.core.errors import NotInstalled
from healthreports.core.model import StatusReport, User, Workspace
from healthreports.core.vocabulary import Category
from healthreports.exports import pdf
from healthreports.extras import how_to_install, is_installed
from healthreports.service.limits import Limits

_AT_ONCE: Final = 2
_KEPT_BYTES: Final = 16 * 1024 * 1024

_encode: Final = msgspec.json.Encoder().encode


class Documents:
    """The documents of a process. `limits` is the rate limit for those that must be drawn."""

    def __init__(self, limits: Limits, kept_bytes: int = _KEPT_BYTES) -> None:
        self._limits = limits
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._kept_bytes = kept_bytes
        self._bytes = 0
        self._drawing = asyncio.Semaphore(_AT_ONCE)
        # Documents being drawn: other requests for the same document wait for the result.
        self._under_way: dict[bytes, asyncio.Future[bytes]] = {}

    async def of_report(
        self,
        asker: str,
        workspace: Workspace,
        report: StatusReport,
        author: User,
        hidden: Collection[Category] = (),
    ) -> bytes:
        """The report as PDF, without its `hidden` categories, for a session or an address `asker`.

        Raises NotInstalled, TooManyRequests.
        """
        if not is_installed("pdf"):
            raise NotInstalled(how_to_install("pdf"))
        said = _encode((workspace.title, report, author.full_name, sorted(hidden)))
        key = hashlib.sha256(said).digest()
        known = self._kept.get(key)
        if known is not None:
            self._kept.move_to_end(key)
            return known
        drawing = self._under_way.get(key)
        if drawing is None:
            await self._limits.admit_document(asker)
            drawing = self._under_way.get(key)  # another request may have started it meanwhile
        if drawing is None:
            task = asyncio.ensure_future(self._draw(key, workspace, report, author, hidden))
            drawing = self._under_way[key] = task
        # A request that is cancelled must not cancel the drawing for the others.
        return await asyncio.shield(drawing)

    async def of_table(self, asker: str, write: Callable[[], bytes]) -> bytes:
        """Run `write` in a thread, for a session `asker`. Raises TooManyRequests."""
        await self._limits.admit_document(asker)
        async with self._drawing:
            return await asyncio.to_thread(write)

    async def _draw(
        self,
        key: bytes,
        workspace: Workspace,
        report: StatusReport,
        author: User,
        hidden: Collection[Category],
    ) -> bytes:
        try:
            async with self._drawing:
                drawn = await asyncio.to_thread(pdf.of_report, workspace, report, author, hidden)
        finally:
            del self._under_way[key]
        self._keep(key, drawn)
        return drawn

    def _keep(self, key: bytes, drawn: bytes) -> None:
        self._kept[key] = drawn
        self._bytes += len(drawn)
        while self._bytes > self._kept_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest)
