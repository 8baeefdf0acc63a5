"""Texts of reports on pages: each is rendered once, and long ones off the event loop."""

import asyncio
from collections.abc import Iterable
from typing import Final

from markupsafe import Markup, escape

from healthreports.core.model import StatusReport
from healthreports.exports import prose

# Rendering a shorter text takes less time than handing it to a thread.
_SHORT: Final = 500


def shown(text: str) -> Markup:
    """The text as HTML, from a safe subset of Markdown. A very long text is shown as typed."""
    rendered = prose.html(text)
    if rendered is None:
        return Markup('<div class="prose plain">{}</div>').format(escape(text))
    return Markup('<div class="prose">{}</div>').format(Markup(rendered))  # noqa: S704  sanitized


async def prepare(reports: Iterable[StatusReport | None]) -> None:
    """Render the long texts of `reports` in a thread, so that a page finds them in the cache."""
    texts = [
        text
        for report in reports
        if report is not None
        for text in (report.description, *(one.description or "" for one in report.details))
        if len(text) > _SHORT
    ]
    if texts:
        await asyncio.to_thread(lambda: [prose.html(text) for text in texts])
