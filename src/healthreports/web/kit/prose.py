"""Texts of reports on pages: rendered once, and the long ones off the event loop."""

import asyncio
from collections.abc import Iterable
from typing import Final

from markupsafe import Markup, escape

from healthreports.core.model import StatusReport
from healthreports.exports import prose

# Below that it takes less than to ask a thread.
_SHORT: Final = 500


def shown(text: str) -> Markup:
    """The text as HTML, a safe part of Markdown; a very long one as it was typed."""
    rendered = prose.html(text)
    if rendered is None:
        return Markup('<div class="prose plain">{}</div>').format(escape(text))
    return Markup('<div class="prose">{}</div>').format(Markup(rendered))  # noqa: S704  cleaned


async def prepare(reports: Iterable[StatusReport | None]) -> None:
    """Render the long texts of `reports` in a thread, so that a page finds them rendered."""
    texts = [
        text
        for report in reports
        if report is not None
        for text in (report.description, *(one.description or "" for one in report.details))
        if len(text) > _SHORT
    ]
    if texts:
        await asyncio.to_thread(lambda: [prose.html(text) for text in texts])
