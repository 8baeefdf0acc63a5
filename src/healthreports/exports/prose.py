"""The texts of a report as HTML and as plain text: a safe subset of Markdown.

The subset has links, lists and emphasis, and it preserves line breaks. It has no headings, pictures
or HTML, and links lead only to web and e-mail addresses. The API returns the text as it was sent.
"""

from functools import lru_cache
from typing import Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

# A longer text is shown as it was typed: nobody reads that much, and parsing it takes time.
MOST_READ: Final = 20_000
_RULES: Final = ("emphasis", "link", "autolink", "list", "newline", "escape", "entity")
_reader: Final = MarkdownIt("zero", {"breaks": True}).enable(list(_RULES))
_TAGS: Final = {"p", "br", "strong", "em", "ul", "ol", "li", "a"}
_ATTRIBUTES: Final = {"a": {"href"}, "ol": {"start"}}
_SCHEMES: Final = {"http", "https", "mailto"}


@lru_cache(maxsize=256)
def html(text: str) -> str | None:
    """The text as safe HTML; None if it is too long to be parsed as Markdown."""
    if len(text) > MOST_READ:
        return None
    return nh3.clean(
        _reader.render(text),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="noreferrer noopener nofollow",
    )


def plain(text: str) -> str:
    """The text without Markdown: bullets or numbers before items, addresses after their links."""
    if len(text) > MOST_READ or not any(mark in text for mark in _MARKS):
        return text
    lines: list[str] = []
    numbers: list[int | None] = []
    for token in _reader.parse(text):
        match token.type:
            case "bullet_list_open":
                numbers.append(None)
            case "ordered_list_open":
                numbers.append(int(token.attrs.get("start", 1)))
            case "bullet_list_close" | "ordered_list_close":
                numbers.pop()
            case "inline":
                lines.append(_item(numbers) + _inline(token.children or []))
            case "paragraph_open" if not numbers and lines:
                lines.append("")
    return "\n".join(lines)


_MARKS: Final = "*_[<-+\\&)."


def _item(numbers: list[int | None]) -> str:
    """The indent, and the bullet or number, before the next item of the innermost list."""
    if not numbers:
        return ""
    indent, number = "   " * (len(numbers) - 1), numbers[-1]
    if number is None:
        return f"{indent}• "
    numbers[-1] = number + 1
    return f"{indent}{number}. "


def _inline(tokens: list[Token]) -> str:
    said: list[str] = []
    links: list[tuple[str, int]] = []
    for token in tokens:
        if token.type == "link_open":
            links.append((str(token.attrs.get("href", "")), len(said)))
        elif token.type == "link_close":
            address, since = links.pop()
            if address != "".join(said[since:]):
                said.append(f" ({address})")
        elif token.type in {"softbreak", "hardbreak"}:
            said.append("\n")
        else:
            said.append(token.content)
    return "".join(said)
