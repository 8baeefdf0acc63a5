"""Exports of a report: any text can be read back from every format."""

import gc
import re
import shutil
import subprocess
import warnings
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from healthreports.core.model import Detail, Instant, StatusReport, User, Workspace
from healthreports.core.vocabulary import DAY_US, Category, Color
from healthreports.exports import badge, letters, markdown, pdf

SVG = "{http://www.w3.org/2000/svg}"
THEN = Instant(20_000 * DAY_US)  # 2024-10-04
# What a title or a text may contain: any character but U+0000 and lone surrogates (5.7).
anything = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))
prose = st.lists(
    st.sampled_from(
        ["a", "1", " ", "    ", "\n", "\n\n", "\t", "#", "-", "+", "*", "_", "`", "~", ">", "=",
         "1.", "2)", "|", "[x](y)", "![i](j)", "<b>", "</p>", "&amp;", "&lt;", "\\", "\\\n",
         "http://example.org", "<http://a.b>", "[a]: /b", "'", '"', "  \n", "---", "```", "    x"]
    )
).map("".join)  # fmt: skip


def workspace(title: str = "Bridge") -> Workspace:
    return Workspace(
        id=1,
        account_id=1,
        creator_id=None,
        title=title,
        description=None,
        archived=False,
        access_level="invitation",
        clients_see_status_reports=False,
        start_date=None,
        due_date=None,
        created_at=THEN,
        updated_at=THEN,
    )


def user(name: str = "Ada Author") -> User:
    return User(
        id=1, account_id=1, full_name=name, email_address="a@b", headline=None, photo_path=None
    )


def report(
    description: str = "All is well.", color: Color = Color.GREEN, *details: Detail
) -> StatusReport:
    return StatusReport(
        id=7,
        account_id=1,
        workspace_id=1,
        creator_id=1,
        updater_id=None,
        color=color,
        description=description,
        details=details,
        created_at=THEN,
        updated_at=THEN,
    )


class _Blocks(HTMLParser):
    """The elements of a rendered text and their contents."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.blocks: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.tags.append(tag)
        if tag in ("p", "h2"):
            self.blocks.append("")
        elif tag == "br" and self.blocks:
            self.blocks[-1] += "\n"

    def handle_data(self, data: str) -> None:
        if self.blocks:
            self.blocks[-1] += data
        else:
            assert not data.strip(), data


def rendered(text: str) -> _Blocks:
    return _Blocks(MarkdownIt("commonmark").render(text))


def words(text: str) -> list[str]:
    return text.split()


def test_markdown_has_a_heading_a_line_on_who_and_when_and_each_detail() -> None:
    made = markdown.of_report(
        workspace(),
        report(
            "Late.\nVery.\n\nStill.",
            Color.RED,
            Detail(Category.SCOPE, Color.GREEN, "As agreed."),
            Detail(Category.CLIENT, Color.YELLOW),
        ),
        user(),
    )
    shown = rendered(made)
    assert set(shown.tags) == {"h2", "p", "br", "strong"}
    heading, byline, *blocks = shown.blocks
    assert heading.startswith("Bridge: ")
    assert words(heading)[-1] == "Red"
    assert byline.strip() == "Status report of 2024-10-04, by Ada Author"
    assert [block.replace("\n\n", "\n").splitlines() for block in blocks] == [
        ["Late.", "Very."],
        ["Still."],
        ["Scope: ✅ Green", "As agreed."],
        ["Client: ⚠️ Yellow"],
    ]


def assert_given_back(text: str) -> None:
    shown = rendered(markdown.of_report(workspace(), report(text), user()))
    assert set(shown.tags) <= {"h2", "p", "br"}, shown.tags
    assert words("\n".join(shown.blocks[2:])) == words(text)


@pytest.mark.parametrize(
    "text",
    [
        "1. one\n2. two",
        "    four spaces",
        "above\n\n    four spaces\n\nbelow",
        "\tby a tab",
        "Title\n=====",
        "Title\n---",
        "| a | b |\n|---|---|",
        "a\r- b",
        "a\r\n- b",
        "a  \nb",
        "ends with a line\n",
        "three\n\n\nempty lines",
        "a line of blanks\n   \nbetween",
        "https://example.org/a_b_c & <b>*</b>",
        "back\\slash\\\nat an end",
        "&lt; &amp;amp; &#35;",
        "[a]: https://example.org",
        "![picture](x) <!-- not a comment -->",
    ],
    ids=ascii,
)
def test_markdown_gives_a_text_back(text: str) -> None:
    assert_given_back(text)


@settings(deadline=None)
@given(prose)
def test_markdown_takes_nothing_of_any_text_for_its_own(text: str) -> None:
    assert_given_back(text)


@settings(deadline=None)
@given(prose)
@example("- [ ] done")
@example(" ")
@example("")
def test_markdown_gives_the_text_of_a_category_back(text: str) -> None:
    shown = rendered(
        markdown.of_report(
            workspace(), report("D", Color.RED, Detail(Category.BUDGET, Color.RED, text)), user()
        )
    )
    assert set(shown.tags) <= {"h2", "p", "br", "strong"}, shown.tags
    assert words("\n".join(shown.blocks[3:])) == ["Budget:", "🛑", "Red", *words(text)]


@settings(deadline=None)
@given(prose, prose)
@example("# heading #", "_x_")
@example("two\nlines", "A")
@example("A", "two\n\nblocks")
def test_markdown_keeps_heading_and_byline_on_a_line_each(title: str, name: str) -> None:
    shown = rendered(markdown.of_report(workspace(title), report(), user(name)))
    assert set(shown.tags) <= {"h2", "p", "br"}, shown.tags
    assert shown.tags.count("h2") == 1
    assert words(shown.blocks[0]) == words(f"{title.strip()}: ✅ Green")


@given(anything, st.sampled_from(Color))
@example("a & b < c > d \" e ' f", Color.RED)
@example("{width} {0} %s", Color.YELLOW)
@example("bell \x07", Color.GREEN)
@example("not a character \uffff", Color.GREEN)
@example("t" * 255, Color.GREEN)
def test_a_badge_is_well_formed_whatever_the_title(title: str, color: Color) -> None:
    root = ET.fromstring(badge.of_report(workspace(title), report(color=color)))
    assert root.tag == f"{SVG}svg"


@pytest.mark.parametrize("color", Color)
def test_a_badge_says_title_color_and_day_in_words(color: Color) -> None:
    root = ET.fromstring(badge.of_report(workspace("R&D <1>"), report(color=color)))
    said = f"R&D <1>: {color.capitalize()} 2024-10-04"
    assert root.get("aria-label") == said
    assert root.findtext(f"{SVG}title") == said
    assert [one.text for one in root.iter(f"{SVG}text")] == [
        "R&D <1>",
        f"{color.capitalize()} 2024-10-04",
    ]
    width = int(root.get("width", "0"))
    assert all(float(one.get("x", "0")) < width for one in root.iter(f"{SVG}text"))


def test_badges_of_different_colors_differ_in_shape_too() -> None:
    shapes = set()
    for color in Color:
        text = badge.of_report(workspace(), report(color=color))
        shapes.add(tuple(re.findall(r'<(?:path|circle) [^>]*?(?:d|cx)="[^"]*"', text)[1:]))
    assert len(shapes) == len(Color)


def test_a_long_title_is_cut_on_the_badge_and_whole_for_who_hears_it() -> None:
    title = "A very long title " * 10
    root = ET.fromstring(badge.of_report(workspace(title), report()))
    shown = next(root.iter(f"{SVG}text")).text or ""
    assert shown.endswith("…")
    assert len(shown) < 50
    assert title in root.get("aria-label", "")


def printed(
    title: str, text: str, color: Color, *details: Detail, author: str = "A", paper: str = "A4"
) -> bytes:
    """The report as PDF. Another test checks that no files stay open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        made = pdf.of_report(
            workspace(title), report(text, color, *details), user(author), paper=paper
        )
        gc.collect()
    assert made.startswith(b"%PDF-")
    return made


def sheets(content: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", content))


SENTENCE = "The northern pier is two weeks late since the crane broke down in May. "


@pytest.mark.parametrize("paper", ["A4", "Letter"])
@pytest.mark.parametrize("split", [False, True], ids=["in one text", "in five texts"])
def test_three_thousand_characters_fit_on_one_sheet(paper: str, *, split: bool) -> None:
    text = (SENTENCE * 50)[:3_000]
    if split:
        details = [Detail(one, Color.RED, text[:600]) for one in Category]
        made = printed("W" * 80, text[:600], Color.RED, *details, paper=paper)
    else:
        made = printed("W" * 80, text, Color.GREEN, paper=paper)
    assert sheets(made) == 1


def test_what_does_not_fit_goes_on_to_more_sheets() -> None:
    assert sheets(printed("W", "A line.\n" * 200, Color.GREEN)) > 1


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_document_leaves_no_file_open() -> None:
    """Nor does a document that was too long in a larger font size."""
    long = report("A line.\n" * 65)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        pdf.of_report(workspace(), long, user())
        gc.collect()
        gc.disable()
        try:
            before = _open_files()
            pdf.of_report(workspace(), long, user())
            after = _open_files()
        finally:
            gc.enable()
            gc.collect()
    assert after == before


ODD_TEXTS = (
    "👩\u200d🚀 ships",
    "שלום עולם",
    "東京",
    "e\u0301 \u200b \u200d \u202e",
    "\u200b",
    "\x07\x1b[31m",
    "a\rb\r\nc\x0bd\x0ce\u2028f\u2029g",
    "\uffff\ue000\U0010ffff",
    "**not bold** __nor this__ --",
    "\t" * 30,
    "\u00a0" * 300,
    "x" * 1_000,
)


def test_any_text_can_be_printed() -> None:
    details = [Detail(one, Color.RED, text) for one, text in zip(Category, ODD_TEXTS, strict=False)]
    for title in (ODD_TEXTS[0], "\u200b", "x" * 255):
        made = printed(title, "\n\n".join(ODD_TEXTS), Color.YELLOW, *details, author=title)
        assert sheets(made) >= 1


def lines_of(content: bytes) -> list[str]:
    """The lines of text that a reader of the file sees."""
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext on this machine")
    read = subprocess.run(
        ["pdftotext", "-layout", "-", "-"], input=content, capture_output=True, check=True
    )
    # pdftotext adds marks of direction.
    said = re.sub("[\u202a-\u202e\u2066-\u2069]", "", read.stdout.decode())
    return [" ".join(line.split()) for line in said.splitlines() if line.strip()]


def test_a_script_that_runs_to_the_left_is_shaped_and_in_its_order() -> None:
    text = "مشروع التحول الرقمي"
    assert letters.runs_left(text)
    assert not letters.runs_left("A مشروع")
    assert letters.letters_of(text) == ((), "")
    shown = " ".join(lines_of(printed("Bridge", f"{text}\nAll is well.", Color.GREEN)))
    assert text in shown
    assert "All is well." in shown


def test_a_script_that_we_have_no_letters_for_takes_those_of_the_machine() -> None:
    text = "数字化转型"
    found = letters.letters_of(text)
    if found.missing:
        pytest.skip("no font with Chinese on this machine")
    assert text in " ".join(lines_of(printed(text, "一切按计划进行。", Color.GREEN)))
    assert not pdf.missing_in(text)


def test_a_letter_that_no_font_has_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "_files", lambda: ())
    says = "No font on this server has 2 of the characters: U+6771, U+4EAC."
    assert sorted(pdf.missing_in("Bridge", "東京 is fine")) == sorted(says)
    shown = lines_of(printed("東京", "All is well.", Color.GREEN))
    assert any("No font on this server has 2 of the characters" in line for line in shown)
    assert pdf.missing_in("Bridge", "Ünïcödé Ελληνικά Кириллица עברית") == ""


def test_marks_of_markdown_are_not_printed() -> None:
    shown = lines_of(printed("B", "**Late.** We need:\n\n- a crane\n- a decision", Color.RED))
    assert "Late. We need:" in shown
    assert "• a crane" in shown
