"""A report as PDF, on one page if its text fits there at a readable size.

The library (fpdf) draws and shapes the text. The font is DejaVu Sans and, for scripts that it does
not have, a font of the machine (`letters`). The end of the document names the characters that no
font has.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from healthreports.contract.moments import as_datetime
from healthreports.core.model import StatusReport, User, Workspace
from healthreports.core.portfolio import State, state_of
from healthreports.core.vocabulary import Category
from healthreports.exports.letters import OWN, OWN_BOLD, is_shaped, letters_of, runs_left
from healthreports.exports.prose import plain
from healthreports.extras import is_installed

if TYPE_CHECKING:
    from fpdf import FPDF

_INK: Final = {
    State.RED: (207, 58, 50),
    State.YELLOW: (199, 125, 8),
    State.GREEN: (31, 138, 76),
    State.NONE: (90, 90, 90),
}
_MARGIN_MM: Final = 15
# Text sizes in points, largest first. At the last size the text may take several pages.
_SIZES: Final = (10.5, 9.5, 8.5, 7.5, 6.5, 6.0)
# The number of characters times the square of their size. If it is larger, the text does not fit on
# a page, and the size is not tried.
_MOST_ON_A_PAGE: Final = 800_000
_LINE: Final = 0.48  # height of a line, in mm for each point of the text size
_OCTAGON: Final = (
    (6.3, 1),
    (13.7, 1),
    (19, 6.3),
    (19, 13.7),
    (13.7, 19),
    (6.3, 19),
    (1, 13.7),
    (1, 6.3),
)
_TRIANGLE: Final = ((10, 1.2), (19.4, 18.4), (0.6, 18.4))


def of_report(
    workspace: Workspace,
    report: StatusReport,
    author: User,
    hidden: Collection[Category] = (),
    paper: str = "A4",
) -> bytes:
    """The report on `paper`, "A4" or "Letter", as if there were no `hidden` categories."""
    shown = [category for category in Category if category not in hidden]
    texts = (report.description, *(detail.description or "" for detail in report.details))
    length = sum(map(len, texts))
    likely = [size for size in _SIZES if length * size**2 < _MOST_ON_A_PAGE]
    for size in likely or _SIZES[-1:]:
        document = _drawn(workspace, report, author, shown, paper, size)
        fits = document.page_no() == 1
        content = bytes(document.output()) if fits or size == _SIZES[-1] else b""
        for font in document.fonts.values():
            if hasattr(font, "close"):
                font.close()
        if fits:
            break
    return content


def _drawn(  # noqa: PLR0917  all that is on the paper
    workspace: Workspace,
    report: StatusReport,
    author: User,
    shown: Collection[Category],
    paper: str,
    size: float,
) -> "FPDF":
    texts = {detail.category: detail.description or "" for detail in report.details}
    shown_texts = [texts.get(category, "") for category in shown]
    said = [workspace.title, author.full_name, report.description, *shown_texts]
    letters = letters_of(*map(_printable, said))
    document = _new(paper, letters.fonts)
    document.set_title(f"{workspace.title}: status report")
    document.set_author(author.full_name)
    moment = as_datetime(report.created_at)
    day = f"{moment.day} {moment:%b %Y}"
    _text(document, workspace.title, size * 1.7, bold=True)
    _text(document, f"Status report of {day}, by {author.full_name}", size)
    document.ln(size * 0.3)
    _status(document, state_of(report), size * 1.9)
    _text(document, plain(report.description), size)
    for category in shown:
        document.ln(size * 0.25)
        state = state_of(report, category)
        _status(document, state, size * 1.15, f"{category}: ")
        if text := texts.get(category):
            _text(document, plain(text), size)
    if letters.missing:
        document.ln(size * 0.5)
        _text(document, lacking(letters.missing), size * 0.9)
    return document


def texts_of(workspace: Workspace, report: StatusReport) -> tuple[str, ...]:
    """All texts in a PDF of a report that people wrote."""
    details = [detail.description or "" for detail in report.details]
    return (workspace.title, report.description, *details)


def missing_in(*texts: str) -> str:
    """A sentence about characters that a PDF of these texts cannot show; empty if it has all."""
    if not is_installed("pdf"):
        return ""
    missing = letters_of(*texts).missing
    return lacking(missing) if missing else ""


def lacking(missing: str) -> str:
    """The sentence about characters that no font has."""
    codes = ", ".join(f"U+{ord(one):04X}" for one in missing[:_MOST_NAMED])
    more = len(missing) - _MOST_NAMED
    return (
        f"No font on this server has {len(missing)} of the characters: {codes}"
        f"{f' and {more} more' if more > 0 else ''}."
    )


_MOST_NAMED: Final = 5


def _new(paper: str, fonts: Sequence[Path]) -> "FPDF":
    from fpdf import FPDF  # noqa: PLC0415  imported only if needed

    logging.getLogger("fpdf").setLevel(logging.ERROR)
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    document = FPDF(format=paper)
    document.set_margin(_MARGIN_MM)
    document.set_auto_page_break(auto=True, margin=_MARGIN_MM)
    for style, path in (("", OWN), ("B", OWN_BOLD)):
        document.add_font("DejaVu", style, path)
    names = [f"other{number}" for number in range(len(fonts))]
    for name, path in zip(names, fonts, strict=True):
        document.add_font(name, "", path)
    document.set_fallback_fonts(names, exact_match=False)
    document.set_lang("en")
    document.add_page()
    return document


def _text(document: "FPDF", text: str, size: float, *, bold: bool = False) -> None:
    document.set_font("DejaVu", "B" if bold else "", size)
    document.set_text_color(20)
    if not is_shaped(text):
        _paragraph(document, _printable(text), size, "L")
        return
    for line in text.split("\n"):
        left = runs_left(line)
        document.set_text_shaping(True, direction="rtl" if left else "ltr")
        _paragraph(document, _printable(line), size, "R" if left else "L")
    document.set_text_shaping(False)


def _paragraph(document: "FPDF", text: str, size: float, align: str) -> None:
    document.multi_cell(0, size * _LINE, text, align=align, new_x="LMARGIN", new_y="NEXT")


def _printable(text: str) -> str:
    """`text` without control characters and the like, which would be drawn as boxes."""
    return "".join(one for one in text.replace("\t", "    ") if one == "\n" or one.isprintable())


def _status(document: "FPDF", state: State, size: float, before: str = "") -> None:
    """A line with the state: its shape, then the word."""
    height = size * _LINE
    side = size * 0.36
    if document.will_page_break(height * 2):
        document.add_page()
    left, top = document.get_x(), document.get_y() + (height - side) / 2
    _shape(document, state, left, top, side / 20)
    document.set_x(left + side + 2)
    document.set_font("DejaVu", "B", size)
    document.set_text_color(20)
    word = "no report" if state is State.NONE else state.value.capitalize()
    document.cell(0, height, f"{before}{word}", new_x="LMARGIN", new_y="NEXT")


def _shape(document: "FPDF", state: State, left: float, top: float, scale: float) -> None:
    def placed(points: tuple[tuple[float, float], ...]) -> Iterator[tuple[float, float]]:
        return ((left + x * scale, top + y * scale) for x, y in points)

    document.set_fill_color(*_INK[state])
    document.set_draw_color(*_INK[state])
    document.set_line_width(0.2)
    if state is State.RED:
        document.polygon(list(placed(_OCTAGON)), style="F")
        marks = [((6.5, 6.5), (13.5, 13.5)), ((13.5, 6.5), (6.5, 13.5))]
    elif state is State.YELLOW:
        document.polygon(list(placed(_TRIANGLE)), style="F")
        marks = [((10, 7.2), (10, 12.4)), ((10, 14.6), (10, 16))]
    elif state is State.GREEN:
        document.circle(left + 10 * scale, top + 10 * scale, 9 * scale, style="F")
        marks = [((5.5, 10.5), (8.5, 13.5)), ((8.5, 13.5), (14.5, 6.5))]
    else:
        document.circle(left + 10 * scale, top + 10 * scale, 8 * scale, style="D")
        return
    document.set_draw_color(255)
    document.set_line_width(2.4 * scale)
    for start, end in marks:
        (x1, y1), (x2, y2) = placed((start, end))
        document.line(x1, y1, x2, y2)
