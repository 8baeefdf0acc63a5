"""The style guide matches the style sheet, and texts have enough contrast."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CSS = (ROOT / "src/healthreports/web/static/style.css").read_text("utf-8")
GUIDE = (ROOT / "docs/explanation/style.md").read_text("utf-8")
SCREENSHOTS = (ROOT / "tests/browser/screenshots.py").read_text("utf-8")


def tokens(css: str) -> dict[str, str]:
    return dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{3,6});", css))


LIGHT_PART, DARK_PART = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[:2]
SCHEMES = {"light": tokens(LIGHT_PART), "dark": tokens(DARK_PART)}


def test_the_guide_has_each_color_as_it_is() -> None:
    rows = re.findall(r"^\| `(--[\w-]+)` \| `(#\w+)` \| `(#\w+)` \| [^|]+ \|$", GUIDE, re.MULTILINE)
    assert {name: light for name, light, _ in rows} == SCHEMES["light"]
    assert {name: dark for name, _, dark in rows} == SCHEMES["dark"]


def test_no_color_stands_outside_the_tokens() -> None:
    """Only tokens have a dark variant. Print styles are exempt: they have a single scheme."""
    screen = CSS.split("@media print", 1)[0]
    rest = screen.replace(LIGHT_PART, "").replace(DARK_PART, "")
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[;\s,)])", rest) == []


def brightness(color: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    digits = color[1:]
    digits = "".join(one * 2 for one in digits) if len(digits) == 3 else digits
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (
        one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, brighter = sorted((brightness(one), brightness(other)))
    return (brighter + 0.05) / (darker + 0.05)


STATUSES = ("red", "yellow", "green", "none")
READ = [
    *(("--ink", behind) for behind in ("--bg", "--surface", "--hover", "--accent-tint")),
    *(("--muted", behind) for behind in ("--bg", "--surface", "--hover")),
    *(("--accent", behind) for behind in ("--bg", "--surface", "--accent-tint")),
    ("--on-accent", "--accent"),
    *((f"--{one}", f"--{one}-tint") for one in STATUSES),
    *(("--ink", f"--{one}-tint") for one in STATUSES),
]
SEEN = [
    *((f"--{one}-fill", "--surface") for one in STATUSES[:3]),
    *(("--mark", f"--{one}-fill") for one in STATUSES[:3]),
    ("--edge", "--surface"),
]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("front", "behind", "least"),
    [*((*pair, 4.5) for pair in READ), *((*pair, 3.0) for pair in SEEN)],
    ids=str,
)
def test_what_is_read_and_seen_has_contrast(
    scheme: str, front: str, behind: str, least: float
) -> None:
    colors = SCHEMES[scheme]
    assert contrast(colors[front], colors[behind]) >= least


def test_the_guide_shows_each_element_that_is_pictured() -> None:
    part = SCREENSHOTS.split("ELEMENTS: Final = {", 1)[1].split("\n}", 1)[0]
    pictured = {
        name.replace(" ", "-") for name in re.findall(r'^    "([\w ]+)":', part, re.MULTILINE)
    }
    for scheme in SCHEMES:
        shown = set(re.findall(rf"screens/element-([\w-]+)-{scheme}\.png", GUIDE))
        assert shown == pictured
