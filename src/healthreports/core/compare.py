"""What changed from one report to the next, and what its author may want to check again.

None of this blocks a report. The contract defines what is valid (5.2); these are hints for the
author.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from healthreports.core.model import StatusReport
from healthreports.core.portfolio import SEVERITY, State, Trend, state_of, trend
from healthreports.core.vocabulary import Category, Color

# Longer texts are compared line by line.
_MOST_WORDS: Final = 1_500
# How many pairs of equal words may be examined, which takes about 10 ms. If a text repeats the same
# few words, the number of pairs grows with the cube of its length.
_MOST_PAIRS: Final = 200_000
# If a smaller share of the shorter text stayed, marking single words makes neither text readable.
_LEAST_THAT_STAYED: Final = 0.4
# A word includes the space after it; otherwise every space would equal every other space.
_WORD: Final = re.compile(r"\S+\s*|\s+")
_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")
# Words of a sentence that states what is needed. Only English: a missing hint does no harm.
_NEED: Final = re.compile(
    r"\b(need|require|ask|request|decide|decision|approv|help|support|must|should|want|wait|"
    r"escalat|recover|action|plan|propos)",
    re.IGNORECASE,
)
# Shorter texts ("On track.") may be the same each time without a hint.
_WORTH_REPEATING: Final = 25


class Move(msgspec.Struct, frozen=True):
    """A changed state, of the whole report or of one category."""

    category: Category | None
    before: State
    after: State

    @property
    def trend(self) -> Trend | None:
        """The direction; None if a category is new or no longer reported."""
        if State.NONE in (self.before, self.after):
            return None
        return trend(Color(self.after), Color(self.before))


class Piece(msgspec.Struct, frozen=True):
    """A piece of text: in both versions (`new` is None), or only in the new or the old one."""

    text: str
    new: bool | None


class Rewording(msgspec.Struct, frozen=True):
    """How the text of the whole report, or of one category, was changed."""

    category: Category | None
    pieces: tuple[Piece, ...]


class Look(StrEnum):
    """Why a report may be worth a second look."""

    BETTER_THAN_WORST = "better_than_worst"
    GREEN_TO_RED = "green_to_red"
    REPEATED = "repeated"
    NO_NEED_NAMED = "no_need_named"
    DROPPED = "dropped"


class Hint(msgspec.Struct, frozen=True):
    """A reason for a second look at the whole report, or at `categories`."""

    look: Look
    categories: tuple[Category, ...] = ()


def moves(before: StatusReport, after: StatusReport) -> tuple[Move, ...]:
    """The states that changed: first the whole report, then the categories in their order."""
    places = (None, *Category)
    all_moves = (Move(one, state_of(before, one), state_of(after, one)) for one in places)
    return tuple(move for move in all_moves if move.before is not move.after)


def rewordings(before: StatusReport, after: StatusReport) -> tuple[Rewording, ...]:
    """The texts that changed, of those that both reports have, and how."""
    found = []
    for category in (None, *Category):
        old, new = _text(before, category), _text(after, category)
        if old and new and old != new:
            found.append(Rewording(category, difference(old, new)))
    return tuple(found)


def difference(old: str, new: str) -> tuple[Piece, ...]:
    """The pieces of both texts in order: unchanged, removed and added.

    If a text was largely rewritten, or takes too long to compare, the pieces are the whole old text
    and the whole new text.
    """
    whole = (Piece(old, new=False), Piece(new, new=True))
    unit = _WORD if len(old) + len(new) < 6 * _MOST_WORDS else _LINE
    before, after = unit.findall(old), unit.findall(new)
    if max(len(before), len(after)) > _MOST_WORDS:
        return whole
    try:
        changes = _Bounded(before, after).get_opcodes()
    except _TooMuch:
        return whole
    pieces = []
    for tag, i1, i2, j1, j2 in changes:
        gone, come = "".join(before[i1:i2]), "".join(after[j1:j2])
        if tag == "equal":
            pieces.append(Piece(gone, None))
            continue
        pieces += [Piece(text, is_new) for text, is_new in ((gone, False), (come, True)) if text]
    stayed = "".join(piece.text for piece in pieces if piece.new is None)
    if _letters(stayed) < _LEAST_THAT_STAYED * min(_letters(old), _letters(new)):
        return whole
    return tuple(pieces)


class _TooMuch(Exception):
    """Two texts take too long to compare."""


class _Bounded(difflib.SequenceMatcher[str]):
    """The library's comparison with a limit on its work, and with its `autojunk` heuristic off."""

    def __init__(self, before: list[str], after: list[str]) -> None:
        super().__init__(None, before, after, autojunk=False)
        self._before = before
        self._counts = Counter(after)
        self._left = _MOST_PAIRS

    def find_longest_match(
        self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None
    ) -> difflib.Match:
        """The same as in the library, which examines every pair of equal words for it."""
        self._left -= sum(self._counts[one] for one in self._before[alo:ahi])
        if self._left < 0:
            raise _TooMuch
        return super().find_longest_match(alo, ahi, blo, bhi)


def _letters(text: str) -> int:
    return len("".join(text.split()))


def hints(before: StatusReport | None, after: StatusReport) -> tuple[Hint, ...]:
    """What in `after` is worth a second look. `before` is the report that it replaces, if any."""
    found = [*_hints_of(after)]
    if before is not None:
        found += _hints_of_change(before, after)
    return tuple(found)


def _hints_of(report: StatusReport) -> Iterator[Hint]:
    severities = [SEVERITY[detail.color] for detail in report.details]
    if max(severities, default=0) > SEVERITY[report.color]:
        worst = tuple(
            detail.category
            for detail in report.details
            if SEVERITY[detail.color] > SEVERITY[report.color]
        )
        yield Hint(Look.BETTER_THAN_WORST, worst)
    silent = tuple(
        detail.category
        for detail in report.details
        if detail.color is Color.RED and not _NEED.search(detail.description or "")
    )
    reds = [detail for detail in report.details if detail.color is Color.RED]
    is_said_there = reds and not silent
    is_red = silent or (report.color is Color.RED and not is_said_there)
    if is_red and not _NEED.search(report.description):
        yield Hint(Look.NO_NEED_NAMED, silent)


def _hints_of_change(before: StatusReport, after: StatusReport) -> Iterator[Hint]:
    moved = moves(before, after)
    fell = [one for one in moved if (one.before, one.after) == (State.GREEN, State.RED)]
    if fell:
        yield Hint(Look.GREEN_TO_RED, tuple(one.category for one in fell if one.category))
    same = [one for one in (None, *Category) if _is_repeated(before, after, one)]
    if same:
        yield Hint(Look.REPEATED, tuple(one for one in same if one is not None))
    dropped = tuple(one.category for one in moved if one.after is State.NONE and one.category)
    if dropped:
        yield Hint(Look.DROPPED, dropped)


def _is_repeated(before: StatusReport, after: StatusReport, category: Category | None) -> bool:
    text = _text(after, category)
    return len(text) >= _WORTH_REPEATING and text == _text(before, category)


def _text(report: StatusReport, category: Category | None) -> str:
    if category is None:
        return report.description
    return next((d.description or "" for d in report.details if d.category is category), "")
