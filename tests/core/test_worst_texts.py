"""The worst texts that the contract allows, in everything that the event loop makes of a text.

Work that is quadratic in the length of a text would block all requests for many seconds. The limit
is far above what a slow machine needs, and far below those seconds.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest

from healthreports.core.compare import difference, hints
from healthreports.core.model import Detail, Instant, StatusReport, User, Workspace
from healthreports.core.vocabulary import (
    MAX_DESCRIPTION,
    MAX_DETAIL_DESCRIPTION,
    Category,
    Color,
)
from healthreports.core.words import fold
from healthreports.exports import badge, markdown, prose
from healthreports.web.kit import show

LIMIT_S = 1.0


def repeated(part: str, length: int = MAX_DESCRIPTION) -> str:
    return "a" + (part * (length // len(part)))[: length - 2] + "b"


TEXTS = {
    "line breaks": "\n",
    "blanks": " ",
    "blanks and breaks": " \n",
    "words": "a ",
    "two words": "a b ",
    "digits": "1",
    "stars": "*",
    "brackets": "[",
    "links": "[a](",
    "backticks": "`",
    "quotes": "> ",
    "lists": "\n- a",
    "nested lists": "\n  - a",
    "sentences": "a. ",
    "letters of two marks": "e\u0301",
    "right to left": "\u05d0 ",
    "outside the BMP": "\U0001f600",
    "zero width": "\u200b",
}


def report(text: str) -> StatusReport:
    said = text[:MAX_DETAIL_DESCRIPTION]
    return StatusReport(
        id=1,
        account_id=1,
        workspace_id=1,
        creator_id=1,
        updater_id=None,
        color=Color.RED,
        description=text,
        details=tuple(Detail(one, Color.RED, said) for one in Category),
        created_at=Instant(0),
        updated_at=Instant(0),
    )


WORKSPACE = Workspace(
    id=1,
    account_id=1,
    creator_id=1,
    title="W",
    description=None,
    archived=False,
    access_level="invitation",
    clients_see_status_reports=True,
    start_date=None,
    due_date=None,
    created_at=Instant(0),
    updated_at=Instant(0),
)
AUTHOR = User(
    id=1, account_id=1, full_name="A", email_address="a@b.c", headline=None, photo_path=None
)

# Everything that processes a text: every template filter for texts, and every export that is not
# made in a thread and rate-limited.
OF_TEXT: dict[str, Callable[[str], Any]] = {
    "difference from nothing": lambda text: difference("a b c", text),
    "difference from half of it": lambda text: difference(text[: len(text) // 2], text),
    "difference from another order": lambda text: difference(text[::-1], text),
    "difference from other words": lambda text: difference(text.replace("b", "c"), text),
    "hints": lambda text: hints(report(text), report(text + " ")),
    "Markdown": lambda text: markdown.of_report(WORKSPACE, report(text), AUTHOR),
    "badge": lambda text: badge.of_report(WORKSPACE, report(text)),
    "folded": fold,
    "prose as HTML": prose.html,
    "prose as text": prose.plain,
    **{
        f"the filter {name}": getattr(show, f"_{name}")
        for name in ("first_sentence", "initials", "device")
    },
    "the filter length_class": lambda text: show._length_class(report(text)),  # noqa: SLF001
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("what", OF_TEXT)
def test_nothing_takes_the_square_of_a_text(what: str, text: str) -> None:
    began = time.perf_counter()
    OF_TEXT[what](repeated(TEXTS[text]))
    assert time.perf_counter() - began < LIMIT_S


SHORT = [
    ("a " * 740, ("a " * 5 + "b ") * 123),
    ("a b " * 350, "a c " * 350),
    ("a\n" * 1_400, "b\na\n" * 700),
]


@pytest.mark.parametrize(("old", "new"), SHORT)
def test_texts_of_the_same_few_words_are_shown_whole(old: str, new: str) -> None:
    assert [(one.text, one.new) for one in difference(old, new)] == [(old, False), (new, True)]
