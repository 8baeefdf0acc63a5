"""The documents say what is there: settings, commands, targets, rules."""

import re
from collections import Counter
from pathlib import Path

import pytest

from commands import COMMANDS
from healthreports.core.vocabulary import AuditAction, Through
from healthreports.settings import every_setting

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the README's table whose first column is headed so."""
    table = README.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    lines = table.splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_the_readme_lists_each_setting_as_it_is_declared() -> None:
    shown = {"": "(none)"}
    expected = [
        [
            one.variable,
            one.flag or "(none)",
            shown.get(str(one.default), str(one.default)),
            one.says.strip("`"),
        ]
        for one in every_setting()
    ]
    assert [[*row[:3], row[3].split("; see [")[0]] for row in rows("setting")] == expected


def test_the_readme_lists_each_command_with_its_help() -> None:
    expected = [[f"healthreports {one.path}", one.says] for one in COMMANDS]
    assert rows("command") == expected


def test_every_serving_flag_is_a_setting() -> None:
    [serve] = [one for one in COMMANDS if one.path == "serve"]
    flags = {option for one in serve.command.params for option in one.opts}
    assert flags - {"--upgrade"} == {one.flag for one in every_setting() if one.flag}


def test_the_readme_lists_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    listed = {name.removeprefix("make ") for name, _ in rows("target")}
    assert listed == targets - {"help"}


CONFORMANCE = (ROOT / "docs" / "reference" / "conformance.md").read_text("utf-8")


def test_the_conformance_page_speaks_of_each_rule_of_the_contract() -> None:
    protocol = (ROOT / "docs" / "reference" / "contract" / "protocol.md").read_text("utf-8")
    rules = set(re.findall(r"^(\d\.\d) ", protocol, re.MULTILINE))
    spoken_of: set[str] = set()
    for named in re.findall(r"^\| (\d[^|]*) \|", CONFORMANCE, re.MULTILINE):
        for part in re.findall(r"\d\.\d to \d\.\d|\d\.\d|\d", named):
            first, _, last = part.partition(" to ")
            spoken_of |= {one for one in rules if first <= one <= (last or first) or one[0] == part}
    assert rules == spoken_of


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "docs/explanation/architecture.md",
        "docs/reference/conformance.md",
        "docs/how-to/back-up.md",
        "docs/explanation/security.md",
    ],
)
def test_links_between_documents_lead_somewhere(path: str) -> None:
    text = (ROOT / path).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if "://" not in target:
            assert (ROOT / path).parent.joinpath(target).exists(), target


def test_the_page_of_threats_names_tests_that_exist() -> None:
    named = set(
        re.findall(
            r"`(tests/[^`:]+)[^`]*`",
            (ROOT / "docs" / "explanation" / "security.md").read_text("utf-8"),
        )
    )
    assert named
    for path in named:
        assert (ROOT / path).is_file(), path


SOURCE = ROOT / "src" / "healthreports"
ARCHITECTURE = (ROOT / "docs" / "explanation" / "architecture.md").read_text("utf-8")


def test_the_architecture_page_names_each_package_and_module() -> None:
    for package in SOURCE.rglob("__init__.py"):
        name = package.parent.relative_to(SOURCE).as_posix()
        if name != ".":
            assert f"**{name}/**" in ARCHITECTURE, name
    words = set(re.findall(r"[a-z_]+", ARCHITECTURE))
    for module in SOURCE.rglob("[a-z]*.py"):
        if "migrations" not in module.parts:
            assert module.stem in words, module


def test_each_path_that_the_architecture_page_names_exists() -> None:
    named = set(re.findall(r"`([a-z_]+/[a-z_/.]*)`", ARCHITECTURE))
    assert len(named) > 40
    for path in named:
        place = ROOT / path if path.startswith("src/") else SOURCE / path
        assert place.exists() or place.with_suffix(".py").is_file(), path


def test_the_audit_page_lists_each_action_and_each_way() -> None:
    page = (ROOT / "docs" / "reference" / "audit.md").read_text("utf-8")
    table = page.split("| action | when |", 1)[1].split("\n\n", 1)[0]
    listed = re.findall(r"`([a-z_]+\.[a-z_]+)`", table)
    assert sorted(listed) == sorted(AuditAction)
    for one in Through:
        assert f"`{one}`" in page


STATUSES = ("met", "not shown by a test", "partly", "not met", "does not apply")


def test_the_rows_of_the_verification_standard_name_tests_that_exist() -> None:
    page = (ROOT / "docs" / "explanation" / "security.md").read_text("utf-8")
    table = page.partition("## OWASP ASVS")[2]
    rows = re.findall(r"^\| (V[\d., V]+) \| ([^|]+) \| ([^|]+) \| (.+) \|$", table, re.MULTILINE)
    numbers = [one for row in rows for one in row[0].split(", ")]
    assert len(numbers) == len(set(numbers)) > 250
    counts = Counter(status for row in rows for status in [row[2]] for _ in row[0].split(", "))
    listed = re.findall(rf"^\| ({'|'.join(STATUSES)}) \| (\d+) \|$", table, re.MULTILINE)
    assert {name: int(number) for name, number in listed} == counts
    for number, _, status, why in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", why)
        assert named or status != "met" or "page" in why or "docs/" in why or "README" in why, (
            number
        )
        for path, test in named:
            text = (ROOT / path).read_text("utf-8")
            assert not test or re.search(rf"^(async )?def {test}\b", text, re.MULTILINE), test
