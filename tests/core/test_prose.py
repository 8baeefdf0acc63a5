"""A safe subset of Markdown: texts are shown as written, and no text can do harm."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effort import effort
from healthreports.exports import prose

PIECES = st.sampled_from(
    ["a", " ", "\n", "\n\n", "*", "**", "_", "[", "](", ")", "<", ">", "\\", "&", "&lt;", "- ",
     "1. ", "javascript:alert(1)", "https://a.example", "data:text/html,x", "<script>",
     "<img src=x>", "!["]
)  # fmt: skip
ALLOWED = {"p", "br", "strong", "em", "ul", "ol", "li", "a"}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    ("text", "html", "plain"),
    [
        ("On plan.", "<p>On plan.</p>", "On plan."),
        ("One\ntwo", "<p>One<br>\ntwo</p>", "One\ntwo"),
        ("One\n\ntwo", "<p>One</p>\n<p>two</p>", "One\n\ntwo"),
        (
            "**Late** and *sorry*",
            "<p><strong>Late</strong> and <em>sorry</em></p>",
            "Late and sorry",
        ),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>", "• a\n• b"),
        ("2. a\n3. b", '<ol start="2">\n<li>a</li>\n<li>b</li>\n</ol>', "2. a\n3. b"),
        ("# Title", "<p># Title</p>", "# Title"),
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>", "<b>x</b>"),
        (
            "[plan](https://a.example)",
            '<p><a href="https://a.example" rel="noreferrer noopener nofollow">plan</a></p>',
            "plan (https://a.example)",
        ),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>", "[x](javascript:alert(1))"),
        ("5 * 3 = 15, 100_000_000", "<p>5 * 3 = 15, 100_000_000</p>", "5 * 3 = 15, 100_000_000"),
    ],
)
def test_what_is_shown(text: str, html: str, plain: str) -> None:
    assert (prose.html(text) or "").strip() == html
    assert prose.plain(text) == plain


@effort(150, 20_000)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_nothing_but_a_few_tags_and_safe_links_comes_out(text: str) -> None:
    shown = prose.html(text)
    assert shown is not None
    tags = Tags()
    tags.feed(shown)
    for tag, attributes in tags.found:
        assert tag in ALLOWED
        assert attributes.keys() <= {"href", "rel", "start"}
        if tag == "a" and attributes.get("href"):
            assert re.match(r"https?:|mailto:|[^:]*$", str(attributes["href"]))
    assert "<script" not in shown
    assert isinstance(prose.plain(text), str)


def test_a_very_long_text_is_not_read_as_markdown() -> None:
    long = "*" * (prose.MOST_READ + 1)
    assert prose.html(long) is None
    assert prose.plain(long) == long
