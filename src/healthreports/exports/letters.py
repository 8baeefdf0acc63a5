"""Which fonts a text needs: DejaVu Sans, which is included here, and the fonts of the machine.

DejaVu has the scripts of Europe, Arabic and Hebrew. For other scripts the font folders of the
system are searched, fonts of the Noto family first. Characters that no font has are reported.
"""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, NamedTuple

FOLDER: Final = Path(__file__).parent / "fonts"
OWN: Final = FOLDER / "DejaVuSans.ttf"
OWN_BOLD: Final = FOLDER / "DejaVuSans-Bold.ttf"
_PLACES: Final = (
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path("/Library/Fonts"),
    Path("/System/Library/Fonts"),
    Path.home() / ".local/share/fonts",
)
_ENDINGS: Final = (".ttf", ".otf", ".ttc")
# Variants of fonts, such as italic and narrow ones, do not help, and make the search slower.
_LEFT_OUT: Final = ("italic", "oblique", "mono", "serif", "bold", "condensed", "light", "thin")
_MOST_FILES: Final = 500
# Only a text that was written to strain the server needs more fonts.
_MOST_FONTS: Final = 8


class Letters(NamedTuple):
    """The fonts that a text needs in addition to DejaVu, and the characters that no font has."""

    fonts: tuple[Path, ...]
    missing: str


def letters_of(*texts: str) -> Letters:
    """What `texts` need. Each font is searched for the characters that no font before it has."""
    wanted = {ord(one) for one in set().union(*texts) if _is_drawn(one)} - _covered(OWN)
    if not wanted:
        return Letters((), "")
    found: list[Path] = []
    for path in _files():
        if len(found) == _MOST_FONTS:
            break
        covered = wanted & _covered(path)
        if covered:
            found.append(path)
            wanted -= covered
        if not wanted:
            break
    return Letters(tuple(found), "".join(map(chr, sorted(wanted))))


def is_shaped(text: str) -> bool:
    """Whether the letters of `text` may depend on their neighbours, or run from right to left."""
    return any(one > _LAST_SIMPLE for one in text)


def runs_left(paragraph: str) -> bool:
    """Whether a paragraph runs from right to left: its first letter decides (UAX #9, P2)."""
    for one in paragraph:
        direction = unicodedata.bidirectional(one)
        if direction in _STRONG:
            return direction != "L"
    return False


# The last character of the Latin, Greek, Cyrillic and Armenian scripts.
_LAST_SIMPLE: Final = "\u058f"
_STRONG: Final = ("L", "R", "AL")


def _is_drawn(character: str) -> bool:
    return character.isprintable() and not character.isspace()


@cache
def _files() -> Sequence[Path]:
    """The font files of this machine, in the order in which they are searched."""
    found = [path for place in _PLACES for path in _below(place)][:_MOST_FILES]
    return sorted(found, key=lambda path: ("noto" not in path.name.lower(), path.name))


def _below(place: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(place):
        for name in sorted(names):
            small = name.lower()
            if small.endswith(_ENDINGS) and not any(one in small for one in _LEFT_OUT):
                yield Path(folder) / name


@lru_cache(maxsize=64)
def _covered(path: Path) -> frozenset[int]:
    """The characters that a font has; none if it cannot be read or used for drawing."""
    from fontTools.ttLib import (  # type: ignore[import-untyped]  # noqa: PLC0415  imported only if needed
        TTFont,
        TTLibError,
    )

    try:
        with TTFont(path, fontNumber=0, lazy=True) as font:
            # A font with pictures instead of outlines cannot be embedded in a PDF.
            if "glyf" not in font and "CFF " not in font:
                return frozenset()
            return frozenset(font.getBestCmap() or ())
    except (TTLibError, OSError, KeyError, ValueError, AssertionError):
        return frozenset()
