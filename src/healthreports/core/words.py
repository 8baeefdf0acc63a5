"""The words of a text, for searching it without regard to case and accents. Contract: 4.6, 7.

A word is a run of letters and digits. In scripts without spaces between words (Chinese, Japanese,
Thai, Lao, Khmer, Burmese) a word begins at every character and has two characters. A search for a
word, of any length, finds the texts that have a word which begins with it.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

# A longer word is found by its beginning.
MAX_WORD: Final = 64
# Only the first MAX_WORDS different words of a text are found.
MAX_WORDS: Final = 10_000

_WORD: Final = re.compile(r"[^\W_]+")
# Most texts have only ASCII characters: each becomes a lowercase letter, a digit or a space. This
# takes a third of the time of a regular expression.
_PLAIN: Final = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
_UNSPACED: Final = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]+)"
)
# Marks above or below letters of European scripts. In other scripts marks are parts of letters.
_ACCENTS: Final = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")


def fold(text: str) -> str:
    """`text` without case and accents, for sorting and comparing."""
    if text.isascii():
        return text.lower()
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    return unicodedata.normalize("NFC", plain.casefold())


def words_of(text: str) -> list[str]:
    """The different words of `text`, in the order of their first occurrence."""
    if text.isascii():
        words = text.translate(_PLAIN).split()
        if len(text) > MAX_WORD:
            words = [word[:MAX_WORD] for word in words]
        found = dict.fromkeys(words)
    else:
        found = dict.fromkeys(_words(text))
    return list(found) if len(found) <= MAX_WORDS else list(found)[:MAX_WORDS]


def parts_of(text: str) -> list[str]:
    """All suffixes of the words of `text`, so that a search finds any part of a word."""
    ends = (word[begin:] for word in words_of(text) for begin in range(len(word)))
    return list(dict.fromkeys(ends))[:MAX_WORDS]


def _words(text: str) -> Iterator[str]:
    for run in _WORD.findall(fold(text)):
        for part in _UNSPACED.split(run):
            if _UNSPACED.match(part):
                yield from (part[begin : begin + 2] for begin in range(len(part)))
            elif part:
                yield part[:MAX_WORD]
