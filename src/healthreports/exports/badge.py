"""A report's status as a small picture (SVG 1.1): shape, word and color."""

import re
from typing import Final
from xml.sax.saxutils import escape

from healthreports.contract.moments import as_datetime
from healthreports.core.model import StatusReport, Workspace
from healthreports.core.vocabulary import Color

_FILLS: Final = {Color.RED: "#b3261e", Color.YELLOW: "#7a5400", Color.GREEN: "#1c6b3a"}
_SHAPES: Final = {
    Color.RED: '<path d="M6.3 1h7.4L19 6.3v7.4L13.7 19H6.3L1 13.7V6.3z"/>'
    '<path d="M6.5 6.5l7 7M13.5 6.5l-7 7" stroke="{fill}"/>',
    Color.YELLOW: '<path d="M10 1.2L19.4 18.4H.6z"/>'
    '<path d="M10 7.2v5.2M10 14.6v1.4" stroke="{fill}"/>',
    Color.GREEN: '<circle cx="10" cy="10" r="9"/><path d="M5.5 10.5l3 3 6-7" stroke="{fill}"/>',
}
# The characters that XML 1.0 (2.2) does not allow.
_IMPOSSIBLE: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST: Final = 40
_PER_LETTER: Final = 6.6
_SVG: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="24" role="img" '
    'aria-label="{label}"><title>{label}</title>'
    '<rect width="{width}" height="24" rx="4" fill="#2b2f34"/>'
    '<path d="M{left} 0h{rest}a4 4 0 0 1 4 4v16a4 4 0 0 1-4 4h-{rest}z" fill="{fill}"/>'
    '<g font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" fill="#fff">'
    '<text x="8" y="16" textLength="{title_width}">{title}</text>'
    '<g transform="translate({icon} 5) scale(.7)" fill="#fff" fill-rule="evenodd" '
    'stroke-width="2.4">{shape}</g>'
    '<text x="{word_at}" y="16" textLength="{word_width}">{word}</text></g></svg>\n'
)


def of_report(workspace: Workspace, report: StatusReport) -> str:
    """The badge: the title of the workspace, the status, and the day of the report."""
    name = _IMPOSSIBLE.sub("\ufffd", workspace.title)
    title = name if len(name) <= _MOST else f"{name[:_MOST]}…"
    word = f"{report.color.capitalize()} {as_datetime(report.created_at):%Y-%m-%d}"
    title_width, word_width = (round(len(text) * _PER_LETTER) for text in (title, word))
    left = title_width + 16
    fill = _FILLS[report.color]
    return _SVG.format(
        width=left + word_width + 36,
        left=left,
        rest=word_width + 32,
        icon=left + 8,
        word_at=left + 27,
        title_width=title_width,
        word_width=word_width,
        fill=fill,
        shape=_SHAPES[report.color].format(fill=fill),
        title=escape(title),
        word=word,
        label=escape(f"{name}: {word}", {'"': "&quot;"}),
    )
