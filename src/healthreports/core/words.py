"""The words of a text, by which it is found: case and accents do not count. Contract: 4.6, 7.

A word is a run of letters and digits. Scripts that put no space between words (Chinese, Japanese,
Thai, Lao, Khmer, Burmese) have a word beginning at every character: there each two neighbours are a
word. So every word that is asked for, of any length, is found where one of the text begins with it.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

# What is longer is found by its beginning.
MAX_WORD: Final = 64
# Of a longer text the first so many different words are found.
MAX_WORDS: Final = 10_000

_WORD: Final = re.compile(r"[^\W_]+")
# Most texts have no other letters: each becomes a small letter, a digit or a space. That takes a
# third of the time of a pattern.
_PLAIN: Final = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
_UNSPACED: Final = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]+)"
)
# Marks that stand over or under letters of European scripts; in others they are letters' parts.
_ACCENTS: Final = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")


def fold(text: str) -> str:
    """`text` without case and accents, as it is sorted and compared."""
    if text.isascii():
        return text.lower()
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    return unicodedata.normalize("NFC", plain.casefold())


def words_of(text: str) -> list[str]:
    """The different words of `text`, in their order."""
    if text.isascii():
        words = text.translate(_PLAIN).split()
        if len(text) > MAX_WORD:
            words = [word[:MAX_WORD] for word in words]
        found = dict.fromkeys(words)
    else:
        found = dict.fromkeys(_words(text))
    return list(found) if len(found) <= MAX_WORDS else list(found)[:MAX_WORDS]


def parts_of(text: str) -> list[str]:
    """All that a word of `text` ends with: so that any part of a word is found as its beginning."""
    ends = (word[begin:] for word in words_of(text) for begin in range(len(word)))
    return list(dict.fromkeys(ends))[:MAX_WORDS]


def _words(text: str) -> Iterator[str]:
    for run in _WORD.findall(fold(text)):
        for part in _UNSPACED.split(run):
            if _UNSPACED.match(part):
                yield from (part[begin : begin + 2] for begin in range(len(part)))
            elif part:
                yield part[:MAX_WORD]
