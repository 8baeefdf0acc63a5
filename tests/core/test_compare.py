"""What changed between two reports, and what is worth a second look."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthreports.core.compare import (
    Hint,
    Look,
    Move,
    Piece,
    difference,
    hints,
    moves,
    rewordings,
)
from healthreports.core.model import Detail, Instant, StatusReport
from healthreports.core.portfolio import State, Trend
from healthreports.core.vocabulary import Category, Color

SCOPE, BUDGET, SCHEDULE, CLIENT = Category
LONG = "The foundations are poured and dry."


def report(
    color: str, description: str = "Fine.", **details: str | tuple[str, str | None]
) -> StatusReport:
    """A report; `scope="red"` or `scope=("red", "Late.")`."""
    pairs = {
        Category(name.capitalize()): (said, None) if isinstance(said, str) else said
        for name, said in details.items()
    }
    return StatusReport(
        id=1,
        account_id=1,
        workspace_id=1,
        creator_id=1,
        updater_id=None,
        color=Color(color),
        description=description,
        details=tuple(
            Detail(category, Color(pairs[category][0]), pairs[category][1])
            for category in Category
            if category in pairs
        ),
        created_at=Instant(0),
        updated_at=Instant(0),
    )


def old_of(pieces: tuple[Piece, ...]) -> str:
    return "".join(one.text for one in pieces if not one.new)


def new_of(pieces: tuple[Piece, ...]) -> str:
    return "".join(one.text for one in pieces if one.new is not False)


def looks(before: StatusReport | None, after: StatusReport) -> dict[Look, tuple[Category, ...]]:
    found = hints(before, after)
    named = {one.look: one.categories for one in found}
    assert len(named) == len(found), "a hint stands there twice"
    return named


def test_moves_name_the_whole_first_then_categories_in_their_order() -> None:
    before = report("green", client="green", scope="yellow", budget="red")
    after = report("red", client="yellow", scope="green", schedule="red")
    assert moves(before, after) == (
        Move(None, State.GREEN, State.RED),
        Move(SCOPE, State.YELLOW, State.GREEN),
        Move(BUDGET, State.RED, State.NONE),
        Move(SCHEDULE, State.NONE, State.RED),
        Move(CLIENT, State.GREEN, State.YELLOW),
    )


def test_what_stays_the_same_is_no_move() -> None:
    one = report("yellow", "Before", scope="red")
    assert moves(one, report("yellow", "After", scope=("red", "other words"))) == ()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("green", "red", Trend.WORSE),
        ("yellow", "red", Trend.WORSE),
        ("red", "yellow", Trend.BETTER),
        ("yellow", "green", Trend.BETTER),
        ("none", "red", None),
        ("green", "none", None),
    ],
)
def test_a_move_has_a_direction_where_both_ends_are_colors(
    before: str, after: str, expected: Trend | None
) -> None:
    assert Move(SCOPE, State(before), State(after)).trend is expected


def test_rewordings_are_of_texts_that_both_reports_have() -> None:
    before = report("red", "One", scope=("red", "Old"), budget=("red", "Same"), client="red")
    after = report("red", "Two", scope=("red", "New"), budget=("red", "Same"), client=("red", "N"))
    assert [one.category for one in rewordings(before, after)] == [None, SCOPE]


def test_a_reworded_text_shows_what_stayed() -> None:
    pieces = difference("We wait for the permit.", "We have the permit.")
    assert "".join(one.text for one in pieces if one.new is None).split() == [
        "We",
        "the",
        "permit.",
    ]
    assert [one.text.strip() for one in pieces if one.new] == ["have"]
    assert "wait" in "".join(one.text for one in pieces if one.new is False)


def test_a_text_that_was_written_anew_is_shown_as_a_whole() -> None:
    old = "Published delivery confidence for the year: amber. The whole-life cost is 310 million."
    new = "The supplier of the track is four weeks late; the test of the first section moves."
    assert [(one.text, one.new) for one in difference(old, new)] == [(old, False), (new, True)]


words = st.lists(
    st.sampled_from(["late", "on", "time", "\n", " ", "\t", "\r\n", "é", "<b>", "\u2028", ""])
).map("".join)


@given(st.one_of(words, st.text()), st.one_of(words, st.text()))
def test_the_pieces_joined_give_back_both_texts(old: str, new: str) -> None:
    pieces = difference(old, new)
    assert (old_of(pieces), new_of(pieces)) == (old, new)
    assert all(one.text for one in pieces if old or new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("word " * 3_000, "word " * 2_999 + "other "),
        ("line\n" * 3_000, "line\n" * 2_999 + "other\n"),
        ("a line of some words\n" * 400, "a line of some words\n" * 399 + "the last, no end"),
        ("x" * 50_000, "y" * 50_000),
        ("a " * 10, "b " * 20_000),
    ],
    ids=["words", "lines", "by lines", "one word", "short to long"],
)
def test_long_texts_are_given_back_too(old: str, new: str) -> None:
    pieces = difference(old, new)
    assert (old_of(pieces), new_of(pieces)) == (old, new)


def test_a_long_text_with_one_line_changed_shows_that_line() -> None:
    lines = [f"Line {number} says something of its own.\n" for number in range(300)]
    changed = [*lines[:150], "Another line.\n", *lines[151:]]
    pieces = difference("".join(lines), "".join(changed))
    assert [one.text for one in pieces if one.new] == ["Another line.\n"]
    assert [one.text for one in pieces if one.new is False] == [lines[150]]


@pytest.mark.parametrize(
    ("look", "before", "after", "categories"),
    [
        (
            Look.BETTER_THAN_WORST,
            None,
            report("green", scope="yellow", budget="green"),
            (SCOPE,),
        ),
        (
            Look.BETTER_THAN_WORST,
            None,
            report("yellow", "We need help.", scope="red", client="red", budget="yellow"),
            (SCOPE, CLIENT),
        ),
        (Look.GREEN_TO_RED, report("green"), report("red"), ()),
        (
            Look.GREEN_TO_RED,
            report("red", budget="green"),
            report("red", budget="red"),
            (BUDGET,),
        ),
        (Look.REPEATED, report("green", LONG), report("yellow", LONG), ()),
        (
            Look.REPEATED,
            report("green", "A", scope=("green", LONG)),
            report("green", "B", scope=("green", LONG)),
            (SCOPE,),
        ),
        (Look.NO_NEED_NAMED, None, report("red", "It is late."), ()),
        (
            Look.NO_NEED_NAMED,
            None,
            report("red", "It is late.", schedule=("red", "Very late.")),
            (SCHEDULE,),
        ),
        (Look.NO_NEED_NAMED, None, report("yellow", "It is late.", client="red"), (CLIENT,)),
        (Look.DROPPED, report("green", scope="green"), report("green"), (SCOPE,)),
        (
            Look.DROPPED,
            report("green", scope="green", client="red", budget="green"),
            report("green", budget="green"),
            (SCOPE, CLIENT),
        ),
    ],
)
def test_a_second_look_is_asked_for(
    look: Look,
    before: StatusReport | None,
    after: StatusReport,
    categories: tuple[Category, ...],
) -> None:
    assert looks(before, after).get(look) == categories


@pytest.mark.parametrize(
    ("look", "before", "after"),
    [
        (Look.BETTER_THAN_WORST, None, report("yellow", scope="yellow", budget="green")),
        (Look.BETTER_THAN_WORST, None, report("red", scope="green")),
        (Look.BETTER_THAN_WORST, None, report("green")),
        (Look.GREEN_TO_RED, report("yellow"), report("red")),
        (Look.GREEN_TO_RED, report("green"), report("yellow")),
        (Look.GREEN_TO_RED, report("red"), report("green")),
        (Look.GREEN_TO_RED, report("red"), report("red", scope="red")),
        (Look.GREEN_TO_RED, None, report("red")),
        (Look.REPEATED, report("green", "On track."), report("green", "On track.")),
        (Look.REPEATED, report("green", LONG), report("green", f"{LONG} Now we build.")),
        (Look.REPEATED, report("green", scope=("green", LONG)), report("green", LONG)),
        (Look.REPEATED, None, report("green", LONG)),
        (Look.NO_NEED_NAMED, None, report("red", "We need a second crane by May.")),
        (Look.NO_NEED_NAMED, None, report("red", "The sponsor has to DECIDE by Friday.")),
        (Look.NO_NEED_NAMED, None, report("yellow", "It is late.", scope="yellow")),
        (
            Look.NO_NEED_NAMED,
            None,
            report("yellow", "It is late.", scope=("red", "The client must approve it.")),
        ),
        (Look.DROPPED, report("green"), report("green")),
        (Look.DROPPED, report("green"), report("green", scope="red")),
        (Look.DROPPED, None, report("green")),
    ],
)
def test_no_second_look_is_asked_for(
    look: Look, before: StatusReport | None, after: StatusReport
) -> None:
    assert look not in looks(before, after)


def test_a_red_report_whose_red_category_says_what_is_needed_is_not_asked_again() -> None:
    after = report("red", "The crane broke.", schedule=("red", "We need a second crane by May."))
    assert hints(None, after) == ()


def test_a_report_without_anything_odd_has_no_hints() -> None:
    before = report("yellow", "We had waited for the permit.", scope="yellow", budget="green")
    after = report("green", "The permit is here.", scope="green", budget="green")
    assert hints(before, after) == ()


def test_hints_come_in_one_order_whatever_changed() -> None:
    before = report("green", LONG, scope="green", budget="green")
    after = report("yellow", LONG, scope="red")
    assert hints(before, after) == (
        Hint(Look.BETTER_THAN_WORST, (SCOPE,)),
        Hint(Look.NO_NEED_NAMED, (SCOPE,)),
        Hint(Look.GREEN_TO_RED, (SCOPE,)),
        Hint(Look.REPEATED),
        Hint(Look.DROPPED, (BUDGET,)),
    )
