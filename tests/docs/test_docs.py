"""The documents say what is there: settings, commands, targets, rules."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

import reference
from commands import COMMANDS
from healthreports.contract.openapi import document
from healthreports.core import vocabulary
from healthreports.core.vocabulary import AuditAction, Through
from healthreports.settings import every_setting

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_page_that_follows_from_the_code_is_what_the_code_says(name: str) -> None:
    page = reference.FOLDER / name
    assert page.read_text("utf-8") == reference.PAGES[name](), "run: make docs"


def test_each_limit_of_the_domain_is_on_the_page_of_limits() -> None:
    units = {"SECOND_US", "DAY_US", "HOUR_S"}
    numbers = {name for name, value in vars(vocabulary).items() if type(value) is int}
    assert numbers - units == set(reference.LIMITS)


def test_every_serving_flag_is_a_setting() -> None:
    [serve] = [one for one in COMMANDS if one.path == "serve"]
    flags = {option for one in serve.command.params for option in one.opts}
    assert flags - {"--upgrade"} == {one.flag for one in every_setting() if one.flag}


def test_the_contributing_page_lists_make_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    listed = set(re.findall(r"^\| `make ([a-z-]+)` \|", CONTRIBUTING, re.MULTILINE))
    assert listed == targets - {"help"}


def test_the_readme_is_short() -> None:
    assert (ROOT / "README.md").read_text("utf-8").count("\n") <= 150


TEXTS = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "bench" / "RESULTS.md"])
EVERY_TEXT = pytest.mark.parametrize("text", TEXTS, ids=lambda one: str(one.relative_to(ROOT)))
# Blocks of commands, and commands between backticks.
CODE = re.compile(
    r"^```(?:sh|console)\n(.*?)^```|`(healthreports [^`]+)`", re.MULTILINE | re.DOTALL
)
# Not the namespace of Kubernetes, and not the line with which a server says where it listens.
COMMAND = re.compile(
    r"(?<!--namespace )\bhealthreports (?!healthreports|listens on)"
    r"([a-z][a-z-]*)(?: ([a-z][a-z-]*))?"
)
# What the settings of other programs are called, and examples.
OTHER_VARIABLES = {"HEALTHREPORTS_FUZZ", "HEALTHREPORTS_SERVICE_HOST"}


@EVERY_TEXT
def test_a_text_links_to_what_is_there(text: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", text.read_text("utf-8")):
        if "://" not in target:
            assert text.parent.joinpath(target).exists(), target


# The changelog also names what earlier versions had.
@pytest.mark.parametrize(
    "text",
    [one for one in TEXTS if one.name != "changelog.md"],
    ids=lambda one: str(one.relative_to(ROOT)),
)
def test_a_text_names_settings_commands_and_targets_that_exist(text: Path) -> None:
    page = text.read_text("utf-8")
    variables = {one.variable for one in every_setting()} | OTHER_VARIABLES
    assert set(re.findall(r"HEALTHREPORTS_[A-Z_]*[A-Z]", page)) <= variables
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", page)) <= targets
    paths = {one.path for one in COMMANDS}
    groups = {one.split()[0] for one in paths}
    code = "\n".join(block or inline for block, inline in CODE.findall(page))
    for first, second in COMMAND.findall(code):
        assert first in groups, first
        assert first in paths or not second or f"{first} {second}" in paths, (first, second)
    for path in re.findall(r"`((?:src|docs|tests|tools|deploy|bench)/[\w./-]+)`", page):
        assert (ROOT / path).exists() or path.startswith("bench/var"), path


@EVERY_TEXT
def test_a_text_names_paths_of_the_api_that_are_answered(text: Path) -> None:
    paths = [re.sub(r"\{[a-z_]+\}", "[^/]+", path) for path in document()["paths"]]
    known = re.compile(f"({'|'.join(paths)})(\\.json)?")
    page = text.read_text("utf-8")
    for path in re.findall(r"/api/v1(/[\w./-]+\w)", page):
        assert known.fullmatch(path) or path == "/openapi.json", path


def test_each_library_is_on_the_page_of_dependencies() -> None:
    page = (DOCS / "reference" / "dependencies.md").read_text("utf-8").lower()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"]]
    for group in (*extras.values(), *project["dependency-groups"].values()):
        wanted += group
    for one in wanted:
        name = re.split(r"[<>=\[; ]", one)[0]
        if name != "healthreports":
            assert name in page, name


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
        place = SOURCE / path
        found = place.exists() or place.with_suffix(".py").is_file()
        assert found or (ROOT / path).exists(), path


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
